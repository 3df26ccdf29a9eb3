"""What follows from an attempt: a reminder, another try, or somebody else who is told?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from receiver import metrics
from receiver.config import Config
from receiver.pipeline import facts, route
from receiver.pipeline.deliver import Result, kind_of, line
from receiver.pipeline.ingest import Received, ingest
from receiver.policy import throttle
from receiver.policy.incident import Happening, Reason, State
from receiver.policy.outbox import NotificationState, Outcome
from receiver.policy.throttle import Throttle
from receiver.policy.watching import self_alarm
from receiver.store import incidents, outbox, throttles
from receiver.store.database import Db

log = structlog.get_logger()
Row = dict[str, Any]

MAYBE = "it may have arrived"  # what is said of an attempt that was not answered
TOLD_IN_DIGEST = "told in a digest"


def record(db: Db, config: Config, together: Sequence[Result]) -> list[bool]:
    """Write down how attempts ended, and what follows: a reminder, another try, or the fallback.

    Return for each whether its conversations have more to say now.
    """
    now = max(result.at + timedelta(seconds=result.took) for result in together)
    talks = [[_talk(one) for one in _each(result)] for result in together]
    metrics.SAVED.labels("digest").inc(
        sum(len(one.delivery.members[1:]) for one in together if one.outcome is Outcome.SENT)
    )
    results = [one for result in together for one in _each(result)]
    # Incidents are held before what is owed about them, as in every stage: replicas never wait in a ring.
    states = {row["id"]: row["state"] for row in incidents.deciding(db, sorted(_incidents(results)))}
    owed = outbox.still_owed(db, [result.delivery.notification["id"] for result in results])
    maybe = outbox.ambiguous_at(db, _ids(one for one in results if one.outcome is Outcome.AMBIGUOUS))
    outbox.record_attempts(db, [_attempt(result) for result in results])
    results = [result for result in results if result.delivery.notification["id"] in owed]
    outbox.save_conversations(db, [_conversation(result, now) for result in results if _is_told(result)])
    results = [result for result in results if _is_held(result, owed)]
    lost = _lost(db, config, results, maybe, now)
    outbox.change(
        db,
        [
            {
                **_finished(one, lost=one.delivery.notification["id"] in lost, now=now),
                "urgent": owed[one.delivery.notification["id"]]["urgent"],  # it may have become so meanwhile
            }
            for one in results
        ],
    )
    fallbacks = {
        id_: fallback(config, one.delivery.notification, one.delivery.incident, now)
        for id_, one in lost.items()
        if not _is_edit(one)
    }
    waiting = _waiting(db, results)
    reminders = [
        _reminder(config, result, now)
        for result in _unreminded(waiting, results)
        if states.get(result.delivery.incident["id"]) == State.TRIGGERED
    ]
    owing = [*reminders, *_outdated(db, config, results, now)]
    outbox.owe(db, owing + [row for rows in fallbacks.values() for row in rows])
    incidents.tell_timeline(db, [_told(result, fallbacks, now) for result in results])
    if fallbacks:
        _raise_alarm(db, config, [lost[id_] for id_ in fallbacks], now)
    return [
        any(row["due_at"] <= now for talk in its_talks for row in waiting.get(talk, ()))
        for its_talks in talks
    ]


def _each(result: Result) -> Iterator[Result]:
    """Yield how the attempt ended for each notification: a digest is one attempt at many.

    Nobody keeps the ids of a digest: an update must not take its place.
    """
    if not result.delivery.members:
        yield result
    count = len(result.delivery.members)
    for member in result.delivery.members:
        answer = f"in a digest of {count}: {result.answer}"
        yield replace(result, delivery=member, ids=None, answer=answer, together=count)


def _ids(results: Iterable[Result]) -> list[int]:
    return [result.delivery.notification["id"] for result in results]


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
        if _is_told(result)
        and not any(
            row["reason"] in {Reason.REPEAT_DUE, Reason.FALLBACK}
            or row["revision"] > result.delivery.incident["revision"]
            for row in waiting.get(_talk(result), ())
        )
    ]


def _lost(
    db: Db, config: Config, results: Sequence[Result], maybe: Mapping[int, Sequence[datetime]], now: datetime
) -> dict[int, Result]:
    """Return, by notification, the results after which nothing more is tried.

    The time for trying begins with the first attempt: a reminder is made hours before it is due. What may
    have arrived is tried once more, and not a third time, where somebody else can be told instead.
    """
    failed = [one for one in results if one.outcome is not Outcome.SENT]
    tried_at = outbox.first_tried_at(db, _ids(failed))
    lost = {}
    for result in failed:
        row = result.delivery.notification
        since = max(row["created_at"], tried_at[row["id"]])  # a replay begins anew
        twice = any(at >= row["created_at"] for at in maybe.get(row["id"], ()))
        is_enough = twice and fallback(config, row, result.delivery.incident, now)
        if result.outcome is Outcome.PERMANENT or is_enough or now - since >= config.give_up_after:
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
    why = _why(result)
    if result.outcome is Outcome.SENT:
        state = {"state": NotificationState.SENT, "why": why, "finished_at": now}
    elif lost and _is_edit(result):  # it was told what it does not show; that is no dead letter
        state = {"state": NotificationState.WITHDRAWN, "why": why, "finished_at": now}
    elif lost:
        state = {"state": NotificationState.FAILED, "why": why, "finished_at": now}
    else:
        state = {"why": why, "due_at": now + result.wait}
    if "state" in state:
        metrics.NOTIFICATIONS.labels(kind_of(row), state["state"]).inc()
    return {**changed, **state}


def _why(result: Result) -> str:
    if result.outcome is Outcome.SENT:
        return TOLD_IN_DIGEST if result.together > 1 else ""
    maybe = f"{MAYBE}: " if result.outcome is Outcome.AMBIGUOUS else ""
    return f"{maybe}{result.answer}"[:500]


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


def _is_edit(result: Result) -> bool:
    """Return whether it only was to change how an earlier message looks."""
    return bool(result.delivery.notification["reason"] == Reason.OUTDATED)


def _is_told(result: Result) -> bool:
    """Return whether somebody was told; an edit tells nobody, and a hand-over pages nobody.

    Whoever takes over is paged by the next step all the same, though nothing has changed since.
    """
    handed_over = result.delivery.notification["reason"] == Reason.HANDED_OVER
    return result.outcome is Outcome.SENT and not handed_over and not _is_edit(result)


def _outdated(db: Db, config: Config, results: Sequence[Result], now: datetime) -> list[Row]:
    """Return edits of the messages that look older than what a digest told.

    Nobody waits for them, so together they take half of what may be edited, and news find the other half.
    """
    told = [
        one
        for one in results
        if _is_told(one)
        and one.together > 1
        and one.delivery.is_edit
        and one.delivery.notification["destination"] in config.ways  # it may just have been removed
    ]
    if not told:
        return []
    last = outbox.last_edit_at(db, {one.delivery.notification["destination"] for one in told})
    owed = []
    for result in told:
        row = result.delivery.notification
        target = _target(config, row)
        begin = now + throttle.BETWEEN_DIGESTS  # until then nothing goes there but what is urgent
        pace = 2 * config.ways[target.destination].edit_pace
        due = max(begin, last.get(target.destination, begin)) + pace
        last[target.destination] = due
        key = f"{row['id']}:{Reason.OUTDATED}"
        owed.append(
            route.owe(config, result.delivery.incident, target, Reason.OUTDATED, due=due, now=now, key=key)
        )
    return owed


def _target(config: Config, row: Row) -> route.Target:
    node = config.node_named.get(row["route"], config.tree)
    return route.Target(row["destination"], row["receiver"], node)


def _reminder(config: Config, result: Result, now: datetime) -> Row:
    row = result.delivery.notification
    target = _target(config, row)
    key = f"{row['id']}:{Reason.REPEAT_DUE}"
    due = now + target.node.repeat_interval
    return route.owe(config, result.delivery.incident, target, Reason.REPEAT_DUE, due=due, now=now, key=key)


def fallback(config: Config, row: Row, incident: Row, now: datetime) -> list[Row]:
    """Return what the fallback is owed; a fallback that fails has none of its own, nor has a hand-over."""
    if row["reason"] in {Reason.FALLBACK, Reason.HANDED_OVER} or incident["state"] == State.RESOLVED:
        return []
    owed = []
    for target in route.fallback_targets(config):
        if target.destination != row["destination"]:
            key = f"{row['id']}:fallback:{target.destination}"
            page = route.owe(config, incident, target, Reason.FALLBACK, due=now, now=now, key=key)
            owed.append({**page, "fallback_for": row["destination"]})
    return owed


def _told(result: Result, fallbacks: Mapping[int, Sequence[Row]], now: datetime) -> Row:
    row, name = result.delivery.notification, result.delivery.notification["destination"]
    n = row["attempts"] + 1
    tries = f"attempt {n}" if n > 1 else "first attempt"
    maybe = f"; {MAYBE}" if result.outcome is Outcome.AMBIGUOUS else ""
    if _is_edit(result) and result.outcome is Outcome.SENT:
        return line(row, now, Happening.TOLD, f"{name}: its message was brought up to date ({tries})")
    if _is_edit(result) and result.outcome is Outcome.PERMANENT:
        said = result.answer[:300]
        return line(row, now, Happening.WITHDRAWN, f"{name}: its message stays as it is: {said}")
    if result.outcome is Outcome.SENT:
        how = f", in a digest of {result.together}" if result.together > 1 else ""
        return line(row, now, Happening.TOLD, f"{name} was told ({row['reason']}, {tries}{how})")
    said = f"{result.answer[:300]}{maybe}"
    if row["id"] in fallbacks:
        told = ", ".join(one["destination"] for one in fallbacks[row["id"]]) or "nobody"
        return line(
            row, now, Happening.FAILED, f"{name} could not be told ({tries}): {said}; instead: {told}"
        )
    again = "once more" if maybe else "again"
    at = facts.instant(now + result.wait)
    return line(row, now, Happening.WAITS, f"{name}: {tries} failed: {said}; {again} at {at}")


def _raise_alarm(db: Db, config: Config, lost: Sequence[Result], now: datetime) -> None:
    for destination in sorted({result.delivery.notification["destination"] for result in lost}):
        summary = f"{destination} could not be told; see the failed notifications"
        alarm = self_alarm("TocsinDeliveryFailed", {"destination": destination}, summary, now=now)
        ingest(db, config, [Received(alarm, None)])


def is_news(result: Result) -> bool:
    """Return whether an attempt says something about its service: it failed, or is back."""
    delivery = result.delivery
    if delivery.destination is None:
        return False
    if result.outcome in {Outcome.SENT, Outcome.PERMANENT}:
        return delivery.is_awaited or delivery.probes is not None
    return True


def weigh(db: Db, config: Config, results: Sequence[Result]) -> list[bool]:
    """Open and close breakers, and leave alone who asked for it; return whether something may go out now."""
    throttles.take_turns(db)
    told = {one.delivery.notification["destination"] for one in results}
    ways = {name: config.ways.get(name) for name in told}
    names = {throttle.bucket(name) for name in ways}
    names |= {throttle.breaker(way.service) for way in ways.values() if way is not None}
    before = throttles.of(db, names)
    after = dict(before)
    hurried = []
    for result in results:
        way = ways[result.delivery.notification["destination"]]
        hurried.append(way is not None and _weighed(db, config, after, way, result))
    throttles.save(db, {name: one for name, one in after.items() if before.get(name) != one})
    return hurried


def _weighed(db: Db, config: Config, known: dict[str, Throttle], way: throttle.Way, result: Result) -> bool:
    """Change what is known of a service by one attempt; return whether what waited may go out now."""
    name, now = throttle.breaker(way.service), result.at + timedelta(seconds=result.took)
    before = known.get(name, throttle.UNKNOWN)
    is_probe = result.delivery.probes is not None
    after = before
    if result.outcome is Outcome.SENT:
        after = throttle.answered(before)
    elif result.outcome is Outcome.PERMANENT or result.is_ours:
        # That is about one destination, or about us; the next one finds out more.
        after = replace(before, probe_at=now) if is_probe and before.is_open else before
    elif result.asked is None or is_probe:
        after = throttle.failed(before, now, is_probe=is_probe, luck=result.luck)
    if result.asked is not None:
        bucket = throttle.bucket(way.destination)
        alone = throttle.left_alone(known.get(bucket, throttle.UNKNOWN), way.limit, now + result.asked)
        known[bucket] = alone
    if after != before:
        known[name] = after
    if before.is_open == after.is_open:
        return before.is_open and after.probe_at == now
    if after.is_open:
        log.warning(
            "breaker.opened", service=way.service, failures=after.failures, reason=result.answer[:300]
        )
        metrics.BREAKERS.labels(way.service, "opened").inc()
        return False
    count = outbox.hurry(db, config.services.get(way.service, ()), now)
    log.warning("breaker.closed", service=way.service, after_failures=before.failures, waiting=count)
    metrics.BREAKERS.labels(way.service, "closed").inc()
    outbox.wake(db)
    return True
