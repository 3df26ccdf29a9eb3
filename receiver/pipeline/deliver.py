"""What is owed reaches its destination, or somebody hears that it could not.

    claim (one transaction) ──▶ send (the network) ──▶ record (one transaction)

A claim holds rows until a lease ends; a worker that dies lets go of them by itself. Whether a
notification is still worth sending is decided at the claim, from the state at that moment.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from receiver import metrics
from receiver.channels import KINDS
from receiver.channels.base import (
    Channel,
    ChannelError,
    MarkupRefused,
    Message,
    Sent,
    TemporaryFailure,
)
from receiver.clock import Clock
from receiver.config import Config, Destination
from receiver.pipeline import admit, facts, route
from receiver.pipeline.admit import Admitted, Claim
from receiver.pipeline.quiet import Quiet
from receiver.pipeline.succession import Succession
from receiver.policy import outbox as policy
from receiver.policy import retry
from receiver.policy.incident import Happening, MessageEvent, Reason, State, Verb
from receiver.policy.links import LASTS, Link, sign
from receiver.policy.outbox import NotificationState, Outcome, Send, Wait, Withdraw
from receiver.policy.throttle import UNKNOWN, breaker
from receiver.store import escalations, incidents, outbox, throttles
from receiver.store.database import DatabaseFailure, Db
from receiver.templating import Rendered, TemplateFailure, Templates, plain

log = structlog.get_logger()
Row = dict[str, Any]
Answer = TypeVar("Answer")

NO_MORE = "routing.yaml no longer has it"
OF_INTEREST = policy.UPDATES | {Reason.REPEAT_DUE, Reason.OUTDATED}  # anything else must reach somebody
SILENT = {Reason.FIRST, Reason.OUTDATED}  # nothing is said beneath the message
IN_ORDER = timedelta(microseconds=1)  # what opens together goes out by severity, told apart by this
LAST = timedelta(milliseconds=1)  # what is over comes after all that fires


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to send now, with all that it may say."""

    notification: Row
    incident: Row
    alerts: list[Row]
    conversation: Row | None
    destination: Destination | None  # None: routing.yaml no longer has it
    event: MessageEvent
    members: "tuple[Delivery, ...]" = ()  # of a digest: what it tells, the most severe first, which is this
    probes: str | None = None  # the service that this attempt finds out about
    is_awaited: bool = False  # its service failed before, so a success is news

    @property
    def is_edit(self) -> bool:
        """Whether it changes a message that was sent before."""
        can_be = self.destination is not None and self.destination.config.edit_costs > 0
        return can_be and self.conversation is not None and bool(self.conversation["ids"])


@dataclass(frozen=True, slots=True)
class Result:
    """How one attempt ended."""

    delivery: Delivery
    at: datetime
    took: float  # seconds
    outcome: Outcome
    answer: str
    ids: Mapping[str, str] | None = None
    wait: timedelta = timedelta()  # before the next attempt, where there is one
    asked: timedelta | None = None  # how long the service asked to be left alone
    together: int = 1  # notifications that this was one attempt at
    luck: float = 1.0  # between a half and one: how much of a probe's wait is waited
    is_ours: bool = False  # the service was not even asked


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a worker is to send now, and when it should ask again."""

    deliveries: list[Delivery]
    is_more: bool  # something else was due, and the claim was full
    is_crowded: bool  # something may have been due that found no slot
    closed: frozenset[str]  # destinations that wait for a slot, a bucket or a breaker
    next_at: datetime | None  # when the first bucket or breaker lets somebody through again


def claim(db: Db, config: Config, wishes: Sequence[Claim]) -> list[Claimed]:
    """Return what each worker is to send now."""
    return [_claim(db, config, wish) for wish in wishes]


def _claim(db: Db, config: Config, wish: Claim) -> Claimed:
    admitted = admit.admit(db, config, wish)
    found = _worth_saying(db, config, admitted.rows, wish.now)
    risen = _risen(db, config, found, admitted)
    found = [one for one in found if one.notification["id"] not in risen]
    deliveries = _in_digests(config, found, admitted)
    sent = Counter(one.notification["destination"] for one in deliveries)
    probed = {one.probes for one in deliveries if one.probes is not None}
    edits = Counter(one.notification["destination"] for one in deliveries if one.is_edit)
    gate = admit.settle(db, admitted, sent, edits, probed)
    closed = frozenset(gate.closed(urgent=False))
    return Claimed(deliveries, admitted.is_more or bool(risen), gate.is_crowded(), closed, gate.next_at())


def _worth_saying(db: Db, config: Config, claimed: Sequence[Row], now: datetime) -> list[Delivery]:
    """Return what is to be said now; what is not is withdrawn or waits for its time."""
    if not claimed:
        return []
    ids = sorted({row["incident_id"] for row in claimed})
    about = {row["id"]: row for row in incidents.incidents(db, ids)}
    alerts: dict[int, list[Row]] = {id_: [] for id_ in ids}
    for alert in incidents.alerts(db, ids):
        alerts[alert["incident_id"]].append(alert)
    talks = {(row["incident_id"], row["destination"]): row for row in outbox.conversations(db, ids)}
    maybe = outbox.ambiguous_at(db, [row["id"] for row in claimed if row["attempts"]])
    quiet = Quiet(db, config, now)
    succession = Succession(db, config, claimed, about, now)
    deliveries: list[Delivery] = []
    changed: list[Row] = []
    entries: list[Row] = []
    for row in sorted(claimed, key=lambda row: about[row["incident_id"]]["state"] == State.RESOLVED):
        incident = about[row["incident_id"]]
        talk = talks.get((row["incident_id"], row["destination"]))
        destination = config.destinations.get(row["destination"])
        found = _decide(row, incident, talk, destination, may_be_told=row["id"] in maybe)
        decision = _revised(quiet, found, row, incident, talk, destination)
        if isinstance(decision, Send):
            told_at = talk["sent_at"] if talk else None
            decision = _asked(quiet.asks, row, incident, alerts[row["incident_id"]], told_at) or decision
        if isinstance(decision, Send):
            decision = succession.bars(row, incident, talk) or decision
        if isinstance(decision, Send):
            talk = talk or succession.conversation(row, incident)
            delivery = Delivery(row, incident, alerts[row["incident_id"]], talk, destination, decision.event)
            deliveries.append(delivery)
        else:
            behind = config.rank(incident["severity"]) * IN_ORDER
            changed.append(_put_off(config, row, decision, now, behind))
            if decision.why != row["why"]:
                entries.append(_entry(row, decision, now))
    for end, why in succession.left():
        changed.append(_put_off(config, end, why, now))
        entries.append(_entry(end, why, now))
    outbox.save_conversations(db, succession.inherited)
    outbox.change(db, changed)
    incidents.tell_timeline(db, entries)
    return deliveries


def _risen(db: Db, config: Config, found: Sequence[Delivery], admitted: Admitted) -> set[int]:
    """Let go of what became urgent after it was owed: it is in no digest, and goes out first."""
    risen = {
        one.notification["id"]: one.notification
        for one in found
        if one.notification["id"] in admitted.digests and config.is_urgent(one.incident["severity"])
    }
    free = {"urgent": True, "due_at": admitted.gate.now, "claimed_until": None}
    outbox.change(db, [{**row, **free} for row in risen.values()])
    return set(risen)


def _in_digests(config: Config, found: Sequence[Delivery], admitted: Admitted) -> list[Delivery]:
    """Return the messages, the most severe first; what is told in a digest becomes one, the same."""
    messages: list[Delivery] = []
    together: dict[str, list[Delivery]] = {}
    summed_up: dict[tuple[str, str], list[Delivery]] = {}
    for one in found:
        id_, name = one.notification["id"], one.notification["destination"]
        service = admitted.before.get(breaker(admitted.gate.way(name).service), UNKNOWN)
        delivery = replace(one, probes=admitted.probes.get(id_), is_awaited=service.failures > 0)
        if one.event is MessageEvent.DIGEST:
            summed_up.setdefault((name, one.notification["reason"]), []).append(delivery)
        elif (
            id_ in admitted.digests and not one.incident["drill"]
        ):  # an exercise is marked, and has a receipt
            together.setdefault(name, []).append(delivery)
        else:
            messages.append(delivery)
    messages += [one[0] if len(one) == 1 else _digest(config, one) for one in together.values()]
    messages.sort(key=lambda one: config.rank(one.incident["severity"]))
    return messages + [_digest(config, one) for one in summed_up.values()]


def _digest(config: Config, members: Sequence[Delivery]) -> Delivery:
    worst, *others = sorted(members, key=lambda one: _worst_first(config, one))
    return replace(worst, event=MessageEvent.DIGEST, members=(worst, *others), conversation=None)


def _worst_first(config: Config, one: Delivery) -> tuple[int, bool, int]:
    state, severity = one.incident["state"], one.incident["severity"]
    return config.rank(severity), state != State.TRIGGERED, one.notification["id"]


def _revised(
    quiet: Quiet, decision: Send | Withdraw, row: Row, incident: Row, talk: Row | None, to: Destination | None
) -> Send | Withdraw | Wait:
    """Return the decision after a look at routing.yaml: is there the destination, and had it hours?"""
    if isinstance(decision, Send) and to is None:
        is_of_interest = talk is not None and row["reason"] in OF_INTEREST
        return Withdraw(NO_MORE) if is_of_interest or row["reason"] in policy.SUMMED_UP else decision
    is_untold = decision == Withdraw(policy.UNTOLD) and not incident["drill"]
    if is_untold and to is not None and KINDS[to.kind].takes_digests:
        return _asked(quiet.came_and_went, row, incident) or decision
    return decision


def _asked(question: Callable[..., Answer], row: Row, *about: Any) -> Answer | None:
    """Return what hours and rules say; a bug in them must not silence anybody."""
    if row["reason"] == Reason.OUTDATED:
        return None  # it makes no sound
    try:
        return question(row, *about)
    except DatabaseFailure:
        raise
    except Exception:
        log.exception("quiet.bug", notification_id=row["id"])
        return None


def _decide(
    row: Row, incident: Row, talk: Row | None, destination: Destination | None, *, may_be_told: bool
) -> Send | Withdraw:
    if row["reason"] == Reason.OUTDATED:
        sent_at = talk["sent_at"] if talk else None
        return policy.edit(State(incident["state"]), owed_at=row["created_at"], sent_at=sent_at)
    if row["reason"] == Reason.HANDED_OVER:
        return policy.hand_over(State(incident["state"]))
    told = talk["sent_revision"] if talk else None
    if destination is not None and destination.config.keeps_state:
        may_be_told = row["attempts"] > 0  # where an end of nothing does no harm, any attempt will do
    if told is None and may_be_told:
        told = 0  # whoever saw it begin must see it end
    return policy.verdict(
        reason=Reason(row["reason"]),
        state=State(incident["state"]),
        revision=row["revision"],
        sent_revision=told,
        send_resolved=destination.config.send_resolved if destination else True,
    )


def _put_off(
    config: Config, row: Row, decision: Withdraw | Wait, now: datetime, behind: timedelta = timedelta()
) -> Row:
    if isinstance(decision, Wait):
        reason = decision.reason or Reason(row["reason"])
        fallback_at = route.fallback_at(config, reason, decision.until)
        behind = LAST if reason is Reason.HEALED else behind
        # A reminder whose time has not come has nothing to be asked again about, after a reload.
        why = "" if decision.reason is Reason.REPEAT_DUE else decision.why
        return {**row, "reason": reason, "why": why, "due_at": decision.until + behind,
                "claimed_until": None, "fallback_at": fallback_at}  # fmt: skip
    metrics.NOTIFICATIONS.labels(kind_of(row), NotificationState.WITHDRAWN).inc()
    if row["state"] == NotificationState.OWED and decision.why == policy.SAID_ALREADY:
        metrics.SAVED.labels("collapsed").inc()
    return {**row, "why": decision.why, "state": NotificationState.WITHDRAWN, "finished_at": now,
            "claimed_until": None}  # fmt: skip


def withdraw(db: Db, config: Config, rows: Sequence[Row], why: str, now: datetime) -> None:
    """Never say what is owed, and say in the timeline why not."""
    decision = Withdraw(why)
    outbox.change(db, [_put_off(config, row, decision, now) for row in rows])
    incidents.tell_timeline(db, [_entry(row, decision, now) for row in rows])


def _entry(row: Row, decision: Withdraw | Wait, now: datetime) -> Row:
    if isinstance(decision, Wait):
        text = f"{row['destination']}: {decision.why}; asked again at {facts.instant(decision.until)}"
        return line(row, now, Happening.WAITS, text)
    return line(
        row, now, Happening.WITHDRAWN, f"{row['destination']}: {row['reason']} not told: {decision.why}"
    )


def line(row: Row, at: datetime, kind: Happening, text: str) -> Row:
    """Return a line of the timeline about a notification."""
    return {"incident_id": row["incident_id"], "at": at, "kind": kind, "actor": None, "text": text}


async def send(
    delivery: Delivery,
    channels: Mapping[str, Channel],
    templates: Templates,
    clock: Clock,
    *,
    base_url: str,
    signing_key: bytes,
    uniform: Callable[[float, float], float],
) -> Result:
    """Try once; whatever happens is a result."""
    at, began = clock.now(), clock.elapsed()

    def ended(outcome: Outcome, answer: str, **more: Any) -> Result:
        return Result(delivery, at, clock.elapsed() - began, outcome, answer, **more)

    def again(outcome: Outcome, answer: str, retry_after: float | None = None) -> Result:
        asked = timedelta(seconds=retry_after) if retry_after is not None else None
        attempt = delivery.notification["attempts"] + 2  # the one that comes after this one
        wait = retry.wait_before(attempt, retry_after=asked, uniform=uniform)
        return ended(outcome, answer, wait=wait, asked=asked, luck=uniform(0.5, 1.0))

    destination = delivery.destination
    if destination is None:
        return ended(Outcome.PERMANENT, "routing.yaml no longer has this destination")
    channel = channels[destination.kind]
    links = _answer_links(delivery, base_url, signing_key, at) if channel.needs_templates else {}
    try:
        sent = await _speak(channel, delivery, destination, templates, base_url, links)
    except TemporaryFailure as failure:
        outcome = Outcome.AMBIGUOUS if failure.is_ambiguous else Outcome.TEMPORARY
        return replace(again(outcome, _said(failure), failure.retry_after), is_ours=failure.is_ours)
    except ChannelError as failure:
        return ended(Outcome.PERMANENT, _said(failure))
    except Exception as bug:
        # Whatever is wrong with a channel must not silence the page: it is tried again, and told loudly.
        log.exception("channel.bug", destination=destination.name)
        return again(Outcome.TEMPORARY, f"a bug in the channel: {type(bug).__name__}")
    return ended(Outcome.SENT, sent.answer, ids=sent.ids)


def _answer_links(delivery: Delivery, base_url: str, key: bytes, now: datetime) -> dict[str, str]:
    """Return a link for each verb, by which whoever reads the message can answer it."""
    if not key:
        return {}
    to, until = delivery.notification["destination"], now + LASTS
    verbs = (Verb.ACKNOWLEDGE, Verb.UNACKNOWLEDGE, Verb.SNOOZE, Verb.RESOLVE)
    return {
        str(verb): f"{base_url}/answer/{sign(Link(delivery.incident['id'], verb, to, until), key)}"
        for verb in verbs
    }


def _said(failure: ChannelError) -> str:
    return f"{failure.reason}: {failure.answer}" if failure.answer else failure.reason


async def _speak(
    channel: Channel, delivery: Delivery, to: Destination, templates: Templates, base_url: str,
    links: Mapping[str, str],
) -> Sent:  # fmt: skip
    """Send the message; where its markup is refused or cannot be made, send plain text."""
    told = _told(delivery, base_url, links)
    earlier = Sent(delivery.conversation["ids"]) if delivery.conversation else None
    if not channel.needs_templates:
        words = Rendered(text="", reply=None, title=delivery.incident["title"])  # it sends data
        return await channel.send(to.config, _message(delivery, words, told), earlier)
    try:
        rendered = templates.render(to.kind, delivery.event, told)
        return await channel.send(to.config, _message(delivery, rendered, told), earlier)
    except (TemplateFailure, MarkupRefused) as failure:
        metrics.RENDER_FAILURES.labels(to.kind).inc()
        log.warning("markup.failed", kind=to.kind, what=delivery.event, reason=failure.reason)
    message = _message(delivery, plain(told), told, is_plain=True)
    return await channel.send(to.config, message, earlier)


def _told(delivery: Delivery, base_url: str, links: Mapping[str, str]) -> dict[str, Any]:
    """Return what the message may say: of one incident, or of many."""
    if delivery.members:
        among = [one.incident for one in delivery.members]
        return facts.digest_facts(among, delivery.notification, base_url=base_url)
    return facts.message_facts(
        delivery.incident, delivery.alerts, delivery.notification, event=delivery.event, base_url=base_url,
        answer_links=links,
    )  # fmt: skip


def _message(
    delivery: Delivery, rendered: Rendered, told: Mapping[str, Any], *, is_plain: bool = False
) -> Message:
    reason = Reason(delivery.notification["reason"])
    return Message(
        event=delivery.event,
        reason=reason,
        dedup_key=_dedup_key(delivery),
        notification_id=delivery.notification["id"],
        title=rendered.title,
        text=rendered.text,
        reply=rendered.reply if delivery.conversation and reason not in SILENT else None,
        facts=told,
        is_plain=is_plain,
        alternative=rendered.alternative,
    )


def _dedup_key(delivery: Delivery) -> str:
    if delivery.members:
        return f"tocsin-digest-{delivery.notification['id']}"
    return f"tocsin-{delivery.incident['id']}"


def kind_of(row: Row) -> str:
    """Return the kind of channel that a notification goes through."""
    return str(row["destination"]).split(" ", 1)[0]


def release(db: Db, _config: Config, held: Sequence[tuple[Delivery, datetime]]) -> list[None]:
    """Let go of what was claimed and not finished, so that nobody waits for the lease; it may be out."""
    rows = [(one.notification, now) for all_, now in held for one in all_.members or (all_,)]
    tried = [{**row, "attempts": row["attempts"] + 1} for row, _ in rows]
    free = [{**row, "due_at": now, "claimed_until": None} for row, (_, now) in zip(tried, rows, strict=True)]
    outbox.change(db, free)
    probes = {breaker(one.probes): now for one, now in held if one.probes is not None}
    known = throttles.of(db, probes) if probes else {}
    throttles.save(db, {name: replace(one, probe_at=probes[name]) for name, one in known.items()})
    return [None] * len(held)


def ask_again(db: Db, _config: Config, moments: Sequence[datetime]) -> list[int]:
    """Ask anew about whatever waits for a time to speak; hours and rules have changed."""
    return [outbox.ask_again(db, now) + escalations.ask_again(db, now) for now in moments]


def take_over(db: Db, _config: Config, moments: Sequence[datetime]) -> list[int]:
    """Let go of all that is held, where nobody can be holding it any more."""
    return [outbox.let_go(db, now) for now in moments]
