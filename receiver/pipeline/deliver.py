"""What is owed reaches its destination, or somebody hears that it could not.

    claim (one transaction) ──▶ send (the network) ──▶ record (one transaction)

A claim holds rows until a lease ends; a worker that dies lets go of them by itself. Whether a
notification is still worth sending is decided at the claim, from the state at that moment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from receiver import metrics
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
from receiver.pipeline import facts, route
from receiver.pipeline.ingest import Received, ingest
from receiver.policy import hours, retry
from receiver.policy import outbox as policy
from receiver.policy.incident import Happening, MessageEvent, Reason, State
from receiver.policy.muting import inhibited_by
from receiver.policy.outbox import NotificationState, Outcome, Send, Wait, Withdraw
from receiver.policy.routing import Node, walk
from receiver.policy.watching import self_alarm
from receiver.store import incidents, outbox
from receiver.store.database import DatabaseFailure, Db
from receiver.templating import Rendered, TemplateFailure, Templates, plain

log = structlog.get_logger()
Row = dict[str, Any]

LEASE = timedelta(minutes=2)  # longer than a row can wait for its turn and its attempt
NEVER = timedelta(days=1)  # a route that never opens is asked again tomorrow: routing.yaml may change


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's wish for work."""

    now: datetime
    limit: int
    busy: frozenset[str] = frozenset()  # destinations that have enough under way


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification to send now, with all that its message may say."""

    notification: Row
    incident: Row
    alerts: list[Row]
    conversation: Row | None
    destination: Destination | None  # None: routing.yaml no longer has it
    event: MessageEvent


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


def claim(db: Db, config: Config, wishes: Sequence[Claim]) -> list[list[Delivery]]:
    """Return what each worker is to send now."""
    return [_claim(db, config, wish) for wish in wishes]


def _claim(db: Db, config: Config, wish: Claim) -> list[Delivery]:
    claimed = outbox.claim(db, wish.now, until=wish.now + LEASE, limit=wish.limit, busy=wish.busy)
    if not claimed:
        return []
    ids = sorted({row["incident_id"] for row in claimed})
    about = {row["id"]: row for row in incidents.incidents(db, ids)}
    alerts: dict[int, list[Row]] = {id_: [] for id_ in ids}
    for alert in incidents.alerts(db, ids):
        alerts[alert["incident_id"]].append(alert)
    talks = {(row["incident_id"], row["destination"]): row for row in outbox.conversations(db, ids)}
    quiet = Quiet(db, config, wish.now)
    deliveries: list[Delivery] = []
    changed: list[Row] = []
    entries: list[Row] = []
    for row in claimed:
        incident = about[row["incident_id"]]
        talk = talks.get((row["incident_id"], row["destination"]))
        destination = config.destinations.get(row["destination"])
        decision: Send | Withdraw | Wait = _decide(row, incident, talk, destination)
        if isinstance(decision, Send):
            decision = _asked(quiet, row, incident, alerts[row["incident_id"]]) or decision
        if isinstance(decision, Send):
            delivery = Delivery(row, incident, alerts[row["incident_id"]], talk, destination, decision.event)
            deliveries.append(delivery)
        else:
            changed.append(_put_off(row, decision, wish.now))
            if decision.why != row["why"]:
                entries.append(_entry(row, decision, wish.now))
    outbox.change(db, changed)
    incidents.tell_timeline(db, entries)
    return deliveries


def _asked(quiet: "Quiet", row: Row, incident: Row, alerts: Sequence[Row]) -> Wait | None:
    """Return when to ask again, None to speak now; a bug in hours or rules must not silence anybody."""
    try:
        return quiet.asks(row, incident, alerts)
    except DatabaseFailure:
        raise
    except Exception:
        log.exception("quiet.bug", notification_id=row["id"])
        return None


def _decide(row: Row, incident: Row, talk: Row | None, destination: Destination | None) -> Send | Withdraw:
    return policy.verdict(
        reason=Reason(row["reason"]),
        state=State(incident["state"]),
        revision=row["revision"],
        sent_revision=talk["sent_revision"] if talk else None,
        send_resolved=destination.config.send_resolved if destination else True,
    )


def _put_off(row: Row, decision: Withdraw | Wait, now: datetime) -> Row:
    if isinstance(decision, Wait):
        return {**row, "why": decision.why, "due_at": decision.until, "claimed_until": None}
    metrics.NOTIFICATIONS.labels(_kind(row), NotificationState.WITHDRAWN).inc()
    return {**row, "why": decision.why, "state": NotificationState.WITHDRAWN, "finished_at": now,
            "claimed_until": None}  # fmt: skip


def _entry(row: Row, decision: Withdraw | Wait, now: datetime) -> Row:
    if isinstance(decision, Wait):
        text = f"{row['destination']}: {decision.why}; asked again at {facts.instant(decision.until)}"
        return _line(row, now, Happening.WAITS, text)
    return _line(
        row, now, Happening.WITHDRAWN, f"{row['destination']}: {row['reason']} not told: {decision.why}"
    )


def _line(row: Row, at: datetime, kind: Happening, text: str) -> Row:
    return {"incident_id": row["incident_id"], "at": at, "kind": kind, "actor": None, "text": text}


class Quiet:
    """Is this a time to speak? Asked at the moment of sending; never a state of the incident."""

    def __init__(self, db: Db, config: Config, now: datetime) -> None:
        self._db, self._config, self._now = db, config, now
        self._nodes = {node.name: node for node in walk(config.tree)}
        self._firing: list[dict[str, str]] | None = None

    def asks(self, row: Row, incident: Row, alerts: Sequence[Row]) -> Wait | None:
        """Return when to ask again, and why; None when it may be said now."""
        until = incident["snoozed_until"]
        if until is not None and until > self._now and row["reason"] in policy.SNOOZABLE:
            return Wait(until, f"snoozed until {facts.instant(until)}")
        nodes = self._leading_to(row, incident)
        waits = [self._hours(node, incident) for node in nodes]
        closed = [wait for wait in waits if wait is not None]
        if len(closed) == len(nodes):
            return min(closed, key=lambda wait: wait.until)
        return self._inhibited(nodes[0], alerts)

    def _leading_to(self, row: Row, incident: Row) -> list[Node]:
        """Return the routes that tell this destination; it is quiet only where all of them are."""
        own = self._nodes.get(row["route"], self._config.tree)
        others = [self._nodes[name] for name in incident["routes"] if name in self._nodes]
        return [own, *(node for node in others if row["destination"] in route.targets(self._config, [node]))]

    def _hours(self, node: Node, incident: Row) -> Wait | None:
        if route.breaks_through(self._config, node, incident["severity"]):
            return None
        active = [self._config.interval_named[name] for name in node.active_time_intervals]
        mute = [self._config.interval_named[name] for name in node.mute_time_intervals]
        is_open, why = hours.is_open(active, mute, self._now)
        if is_open:
            return None
        return Wait(hours.opens_at(active, mute, self._now) or self._now + NEVER, why)

    def _inhibited(self, node: Node, alerts: Sequence[Row]) -> Wait | None:
        rules = self._config.inhibit_rules
        firing = [alert["labels"] for alert in alerts if alert["state"] == "firing"]
        if not rules or not firing:
            return None
        if self._firing is None:
            wanted = [{m.name: m.value for m in rule.source if m.op == "="} for rule in rules]
            self._firing = incidents.firing_where(self._db, wanted)
        found = [inhibited_by(rules, labels, self._firing) for labels in firing]
        if not all(found) or found[0] is None:
            return None
        rule, source = found[0]
        name = source.get("alertname", "another alert")
        why = f"inhibited by {name}" + (f" (rule {rule.name})" if rule.name else "")
        return Wait(self._now + node.group_interval, why)


async def send(
    delivery: Delivery,
    channels: Mapping[str, Channel],
    templates: Templates,
    clock: Clock,
    *,
    base_url: str,
    uniform: Callable[[float, float], float],
) -> Result:
    """Try once; whatever happens is a result."""
    at, began = clock.now(), clock.elapsed()

    def ended(outcome: Outcome, answer: str, **more: Any) -> Result:
        return Result(delivery, at, clock.elapsed() - began, outcome, answer, **more)

    def again(answer: str, retry_after: float | None = None) -> Result:
        asked = timedelta(seconds=retry_after) if retry_after is not None else None
        attempt = delivery.notification["attempts"] + 2  # the one that comes after this one
        wait = retry.wait_before(attempt, retry_after=asked, uniform=uniform)
        return ended(Outcome.TEMPORARY, answer, wait=wait)

    destination = delivery.destination
    if destination is None:
        return ended(Outcome.PERMANENT, "routing.yaml no longer has this destination")
    try:
        sent = await _speak(channels[destination.kind], delivery, destination, templates, base_url)
    except TemporaryFailure as failure:
        return again(_said(failure), failure.retry_after)
    except ChannelError as failure:
        return ended(Outcome.PERMANENT, _said(failure))
    except Exception as bug:
        # Whatever is wrong with a channel must not silence the page: it is tried again, and told loudly.
        log.exception("channel.bug", destination=destination.name)
        return again(f"a bug in the channel: {type(bug).__name__}")
    return ended(Outcome.SENT, sent.answer, ids=sent.ids)


def _said(failure: ChannelError) -> str:
    return f"{failure.reason}: {failure.answer}" if failure.answer else failure.reason


async def _speak(
    channel: Channel, delivery: Delivery, to: Destination, templates: Templates, base_url: str
) -> Sent:
    """Send the message; where its markup is refused or cannot be made, send plain text."""
    told = facts.message_facts(
        delivery.incident, delivery.alerts, delivery.notification, event=delivery.event, base_url=base_url
    )
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


def _message(
    delivery: Delivery, rendered: Rendered, told: Mapping[str, Any], *, is_plain: bool = False
) -> Message:
    reason = Reason(delivery.notification["reason"])
    return Message(
        event=delivery.event,
        reason=reason,
        dedup_key=f"tocsin-{delivery.incident['id']}",
        notification_id=delivery.notification["id"],
        title=rendered.title,
        text=rendered.text,
        reply=rendered.reply if delivery.conversation and reason is not Reason.FIRST else None,
        facts=told,
        is_plain=is_plain,
    )


def record(db: Db, config: Config, results: Sequence[Result]) -> list[bool]:
    """Write down how attempts ended, and what follows: a reminder, another try, or the fallback.

    Return for each whether its conversation has more to say now.
    """
    now = max(result.at + timedelta(seconds=result.took) for result in results)
    talks = [_talk(result) for result in results]
    # Incidents are held before what is owed about them, as in every stage: replicas never wait in a ring.
    states = {row["id"]: row["state"] for row in incidents.incidents(db, sorted(_incidents(results)))}
    owed = outbox.still_owed(db, [result.delivery.notification["id"] for result in results])
    outbox.record_attempts(db, [_attempt(result) for result in results])
    results = [result for result in results if result.delivery.notification["id"] in owed]
    outbox.save_conversations(
        db, [_conversation(result, now) for result in results if result.outcome is Outcome.SENT]
    )
    results = [result for result in results if _is_held(result, owed)]
    lost = _lost(db, config, results, now)
    outbox.change(
        db, [_finished(one, lost=one.delivery.notification["id"] in lost, now=now) for one in results]
    )
    fallbacks = {id_: _fallback(config, result, now) for id_, result in lost.items()}
    waiting = _waiting(db, results)
    reminders = [
        _reminder(config, result, now)
        for result in _unreminded(waiting, results)
        if states.get(result.delivery.incident["id"]) == State.TRIGGERED
    ]
    outbox.owe(db, reminders + [row for rows in fallbacks.values() for row in rows])
    incidents.tell_timeline(db, [_told(result, fallbacks, now) for result in results])
    if lost:
        _raise_alarm(db, config, list(lost.values()), now)
    return [any(row["due_at"] <= now for row in waiting.get(talk, ())) for talk in talks]


def _incidents(results: Sequence[Result]) -> set[int]:
    return {result.delivery.incident["id"] for result in results}


def _is_held(result: Result, owed: Mapping[int, Row]) -> bool:
    """Return whether the notification still is as it was claimed.

    Where the lease ran out meanwhile, another worker may have taken it, or news may have been added to it;
    then it is not ours to finish, whatever we did.
    """
    mine = result.delivery.notification
    now = owed[mine["id"]]
    return bool(now["claimed_until"] == mine["claimed_until"] and now["revision"] == mine["revision"])


def _talk(result: Result) -> tuple[int, str]:
    return result.delivery.incident["id"], result.delivery.notification["destination"]


def _waiting(db: Db, results: Sequence[Result]) -> dict[tuple[int, str], list[Row]]:
    """Return what else is owed in these conversations."""
    waiting: dict[tuple[int, str], list[Row]] = {}
    for row in outbox.owed(db, sorted(_incidents(results))):
        waiting.setdefault((row["incident_id"], row["destination"]), []).append(row)
    return waiting


def _unreminded(waiting: Mapping[tuple[int, str], list[Row]], results: Sequence[Result]) -> list[Result]:
    """Return the results of what was sent, where nothing else is owed that will be said.

    What is owed about a revision that was just told will be withdrawn, so it does not count.
    """
    return [
        result
        for result in results
        if result.outcome is Outcome.SENT
        and not any(
            row["reason"] in {Reason.REPEAT_DUE, Reason.FALLBACK}
            or row["revision"] > result.delivery.incident["revision"]
            for row in waiting.get(
                (result.delivery.incident["id"], result.delivery.notification["destination"]), ()
            )
        )
    ]


def _lost(db: Db, config: Config, results: Sequence[Result], now: datetime) -> dict[int, Result]:
    """Return, by notification, the results after which nothing more is tried.

    The time for trying begins with the first attempt: a reminder is made hours before it is due.
    """
    failed = [one for one in results if one.outcome is not Outcome.SENT]
    tried_at = outbox.first_tried_at(db, [one.delivery.notification["id"] for one in failed])
    lost = {}
    for result in failed:
        row = result.delivery.notification
        since = max(row["created_at"], tried_at[row["id"]])  # a replay begins anew
        if result.outcome is Outcome.PERMANENT or now - since >= config.give_up_after:
            lost[row["id"]] = result
    return lost


def _attempt(result: Result) -> Row:
    return {
        "notification_id": result.delivery.notification["id"],
        "n": result.delivery.notification["attempts"] + 1,
        "at": result.at,
        "took": result.took,
        "outcome": result.outcome,
        "answer": result.answer[:2048].replace("\0", "\N{REPLACEMENT CHARACTER}"),
    }


def _finished(result: Result, *, lost: bool, now: datetime) -> Row:
    row = result.delivery.notification
    changed = {**row, "attempts": row["attempts"] + 1, "claimed_until": None}
    if result.outcome is Outcome.SENT:
        state = {"state": NotificationState.SENT, "why": "", "finished_at": now}
    elif lost:
        state = {"state": NotificationState.FAILED, "why": result.answer[:500], "finished_at": now}
    else:
        state = {"why": result.answer[:500], "due_at": now + result.wait}
    if "state" in state:
        metrics.NOTIFICATIONS.labels(_kind(row), state["state"]).inc()
    return {**changed, **state}


def _conversation(result: Result, now: datetime) -> Row:
    """Return what the destination was told; the ids of its first message stay unless there are new ones."""
    earlier = result.delivery.conversation
    return {
        "incident_id": result.delivery.incident["id"],
        "destination": result.delivery.notification["destination"],
        "ids": {**(earlier["ids"] if earlier else {}), **(result.ids or {})},
        "sent_at": now,
        "sent_revision": result.delivery.incident["revision"],
    }


def _reminder(config: Config, result: Result, now: datetime) -> Row:
    row = result.delivery.notification
    node = next((node for node in walk(config.tree) if node.name == row["route"]), config.tree)
    target = route.Target(row["destination"], row["receiver"], node)
    key = f"{row['id']}:{Reason.REPEAT_DUE}"
    due = now + node.repeat_interval
    return route.owe(result.delivery.incident, target, Reason.REPEAT_DUE, due=due, now=now, key=key)


def _fallback(config: Config, result: Result, now: datetime) -> list[Row]:
    """Return what the fallback is owed; a fallback that fails has none of its own."""
    row, incident = result.delivery.notification, result.delivery.incident
    if row["reason"] == Reason.FALLBACK or incident["state"] == State.RESOLVED:
        return []
    owed = []
    for target in route.fallback_targets(config):
        if target.destination != row["destination"]:
            key = f"{row['id']}:fallback:{target.destination}"
            page = route.owe(incident, target, Reason.FALLBACK, due=now, now=now, key=key)
            owed.append({**page, "fallback_for": row["destination"]})
    return owed


def _told(result: Result, fallbacks: Mapping[int, Sequence[Row]], now: datetime) -> Row:
    row = result.delivery.notification
    n = row["attempts"] + 1
    tries = f"attempt {n}" if n > 1 else "first attempt"
    if result.outcome is Outcome.SENT:
        return _line(row, now, Happening.TOLD, f"{row['destination']} was told ({row['reason']}, {tries})")
    if row["id"] in fallbacks:
        told = ", ".join(one["destination"] for one in fallbacks[row["id"]]) or "nobody"
        text = f"{row['destination']} could not be told ({tries}): {result.answer[:300]}; instead: {told}"
        return _line(row, now, Happening.FAILED, text)
    at = facts.instant(now + result.wait)
    return _line(
        row,
        now,
        Happening.WAITS,
        f"{row['destination']}: {tries} failed: {result.answer[:300]}; again at {at}",
    )


def _raise_alarm(db: Db, config: Config, lost: Sequence[Result], now: datetime) -> None:
    for destination in sorted({result.delivery.notification["destination"] for result in lost}):
        summary = f"{destination} could not be told; see the failed notifications"
        alarm = self_alarm("TocsinDeliveryFailed", {"destination": destination}, summary, now=now)
        ingest(db, config, [Received(alarm, None)])


def _kind(row: Row) -> str:
    return str(row["destination"]).split(" ", 1)[0]


def release(db: Db, _config: Config, held: Sequence[tuple[Delivery, datetime]]) -> list[None]:
    """Let go of what was claimed and will not be tried now, so that nobody waits for the lease."""
    outbox.change(db, [{**one.notification, "due_at": now, "claimed_until": None} for one, now in held])
    return [None] * len(held)


def ask_again(db: Db, _config: Config, moments: Sequence[datetime]) -> list[int]:
    """Ask anew about whatever waits for a time to speak; hours and rules have changed."""
    return [outbox.ask_again(db, now) for now in moments]


def take_over(db: Db, _config: Config, moments: Sequence[datetime]) -> list[int]:
    """Let go of all that is held, where nobody can be holding it any more."""
    return [outbox.let_go(db, now) for now in moments]
