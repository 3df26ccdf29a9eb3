"""What is owed to whom, and what became of it?"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, exists, func, or_, select, text, update

from receiver.policy.incident import Reason
from receiver.policy.outbox import SUMMED_UP, NotificationState, Outcome
from receiver.store import bulk, pipelined
from receiver.store.database import rows
from receiver.store.prepared import Prepared
from receiver.store.tables import Attempt, Conversation, Incident, Notification

Row = dict[str, Any]

NOTIFICATION = Notification.__table__  # type: ignore[attr-defined]
CONVERSATION = Conversation.__table__  # type: ignore[attr-defined]
ATTEMPT = Attempt.__table__  # type: ignore[attr-defined]
INCIDENT = Incident.__table__  # type: ignore[attr-defined]

IS_OWED = NOTIFICATION.c.state == text("'owed'")  # said as a literal, so that the partial index is used
IS_URGENT = text("notification.urgent")  # the same
LONGEST_BACK_OFF = timedelta(hours=1)  # what a service may ask for (policy.retry)
SAME = 400  # characters of an answer that tell it from a reason to wait
MOST_AT_ONCE = 5_000  # parameters of one statement; both databases end not far above 30,000
CHANNEL = "tocsin_outbox"  # where replicas on PostgreSQL wake each other
CHANGING = (
    *("reason", "state", "why", "urgent", "revision", "attempts", "due_at", "claimed_until"),
    *("fallback_at", "finished_at"),
)


OWED_ABOUT = Prepared(
    select(NOTIFICATION)
    .where(NOTIFICATION.c.incident_id.in_(bindparam("ids", expanding=True)), IS_OWED)
    .order_by(NOTIFICATION.c.id)
)


def owed(db: Connection, incident_ids: Sequence[int]) -> list[Row]:
    """Return what is owed about these incidents, oldest first."""
    if not incident_ids:
        return []
    return OWED_ABOUT.rows(db, ids=list(incident_ids))


TALKS = Prepared(select(CONVERSATION).where(CONVERSATION.c.incident_id.in_(bindparam("ids", expanding=True))))


def conversations(db: Connection, incident_ids: Sequence[int]) -> list[Row]:
    """Return every conversation about these incidents."""
    if not incident_ids:
        return []
    return TALKS.rows(db, ids=list(incident_ids))


def told_of_open(
    db: Connection, keys: Sequence[str], destinations: Sequence[str]
) -> dict[tuple[str, str], Row]:
    """Return what these destinations were told about open incidents, by destination and incident key."""
    if not keys:
        return {}
    statement = (
        select(CONVERSATION, INCIDENT.c.key)
        .join(INCIDENT, INCIDENT.c.id == CONVERSATION.c.incident_id)
        .where(
            INCIDENT.c.key.in_(keys),
            INCIDENT.c.state != text("'resolved'"),  # as the unique index says it
            CONVERSATION.c.destination.in_(destinations),
        )
    )
    return {(row["destination"], row["key"]): row for row in rows(db, statement)}


def owed_ends(db: Connection, keys: Sequence[str], destinations: Sequence[str]) -> dict[tuple[str, str], Row]:
    """Return the ends that are owed of incidents that are over, by destination and incident key."""
    if not keys:
        return {}
    statement = (
        select(NOTIFICATION, INCIDENT.c.key.label("incident_key"))
        .join(INCIDENT, INCIDENT.c.id == NOTIFICATION.c.incident_id)
        .where(
            IS_OWED,
            NOTIFICATION.c.destination.in_(destinations),
            NOTIFICATION.c.reason != Reason.REPEAT_DUE,
            INCIDENT.c.key.in_(keys),
            INCIDENT.c.state == text("'resolved'"),
        )
        .order_by(NOTIFICATION.c.id)
    )
    found = rows(db, statement)
    return {(row["destination"], row.pop("incident_key")): row for row in found}


def owe(db: Connection, notifications: Sequence[Row]) -> None:
    """Add notifications; one that has a known key is there already and is left alone."""
    if notifications:
        bulk.insert(db, NOTIFICATION, notifications, unless="ON CONFLICT (key) DO NOTHING")
        wake(db)


CHANGE = Prepared(
    update(NOTIFICATION)
    .where(NOTIFICATION.c.id == bindparam("its_id"), IS_OWED)
    .values({name: bindparam(name) for name in CHANGING})
)


def change(db: Connection, changed: Sequence[Row]) -> None:
    """Write notifications back, as far as they can change."""
    CHANGE.many(db, [{**{name: row[name] for name in CHANGING}, "its_id": row["id"]} for row in changed])


def wake(db: Connection) -> None:
    """Tell other replicas, at commit, that something is owed."""
    if db.dialect.name == "postgresql":
        pipelined.write(db, f"NOTIFY {CHANNEL}")


EARLIER = NOTIFICATION.alias("earlier")


OVERTAKES = exists().where(
    EARLIER.c.incident_id == NOTIFICATION.c.incident_id,
    EARLIER.c.destination == NOTIFICATION.c.destination,
    EARLIER.c.state == text("'owed'"),
    EARLIER.c.id < NOTIFICATION.c.id,
    or_(
        EARLIER.c.due_at <= bindparam("now"),
        EARLIER.c.claimed_until.is_not(None),
        and_(EARLIER.c.attempts > 0, NOTIFICATION.c.reason != text(f"'{Reason.FALLBACK}'")),
    ),
)
DUE = select(NOTIFICATION.c.id, NOTIFICATION.c.destination).where(
    IS_OWED, NOTIFICATION.c.due_at <= bindparam("now"), ~OVERTAKES
)
"""What may be taken now.

Within one conversation that is only the oldest, so a resolved never overtakes its triggered; a row that is
held or backs off keeps the later ones waiting. One that nobody has tried yet because its time has not come
(a reminder, a route outside its hours) keeps nobody waiting; and the fallback waits for nobody's back-off.
"""
IS_ORDINARY = text("NOT notification.urgent")
NOT_CLOSED = NOTIFICATION.c.destination.not_in(bindparam("closed", expanding=True))
NOT_TAKEN = NOTIFICATION.c.id.not_in(bindparam("taken", expanding=True))


def _longest_due_first(*conditions: Any) -> Any:
    return DUE.where(*conditions).order_by(NOTIFICATION.c.due_at).limit(bindparam("limit"))


FIRST = {  # by: is it urgent, is something closed, was something taken
    (urgent, closed, taken): _longest_due_first(
        IS_URGENT if urgent else IS_ORDINARY,
        *([NOT_CLOSED] if closed else []),
        *([NOT_TAKEN] if taken else []),
    )
    for urgent in (True, False) for closed in (True, False) for taken in (True, False)
}  # fmt: skip
TO_ONE = _longest_due_first(
    IS_ORDINARY,
    NOT_TAKEN,
    NOTIFICATION.c.destination == bindparam("destination"),
    NOTIFICATION.c.reason != text(f"'{Reason.OUTDATED}'"),  # a digest would tell it as news
)
TO_PROBE = (
    DUE.where(NOTIFICATION.c.destination.in_(bindparam("open", expanding=True)))
    .order_by(NOTIFICATION.c.urgent.desc(), NOTIFICATION.c.attempts, NOTIFICATION.c.due_at)
    .limit(1)
)
TOGETHER = _longest_due_first(
    NOTIFICATION.c.reason.in_(sorted(SUMMED_UP)),
    NOTIFICATION.c.destination.in_(bindparam("among", expanding=True)),
)
AWAITED = DUE.with_only_columns(NOTIFICATION.c.destination).distinct().where(
    NOTIFICATION.c.destination.in_(bindparam("among", expanding=True))
)  # fmt: skip


@lru_cache(64)
def _held_by_us(statement: Any) -> Any:
    """Return the statement for PostgreSQL: what it finds is held until the commit, others' is passed over.

    The incident is held as well, or neither: whoever waited here would hold up the rest.
    """
    joined = statement.join(INCIDENT, INCIDENT.c.id == NOTIFICATION.c.incident_id)
    return joined.with_for_update(skip_locked=True)


@lru_cache(64)
def _prepared(statement: Any) -> Prepared:
    return Prepared(statement)


def _held(db: Connection, statement: Any, **values: Any) -> list[tuple[int, str]]:
    if db.dialect.name == "postgresql":
        statement = _held_by_us(statement)
    return [(row[0], row[1]) for row in _prepared(statement).tuples(db, **values)]


def due(
    db: Connection, now: datetime, *, urgent: bool, limit: int, closed: Collection[str],
    taken: Collection[int] = (),
) -> list[tuple[int, str]]:  # fmt: skip
    """Return id and destination of what may be taken, the longest due first; nothing to `closed` ones."""
    values: dict[str, Any] = {"now": now, "limit": limit}
    values |= {"closed": sorted(closed)} if closed else {}
    values |= {"taken": list(taken)} if taken else {}
    return _held(db, FIRST[urgent, bool(closed), bool(taken)], **values)


def to_probe(
    db: Connection, now: datetime, destinations: Collection[str], closed: Collection[str]
) -> list[tuple[int, str]]:
    """Return what to try first at a service that fails: the urgent, and of these what was tried least."""
    return _held(db, TO_PROBE, now=now, open=sorted(set(destinations) - set(closed)))


def awaited(db: Connection, now: datetime, among: Collection[str]) -> set[str]:
    """Return those of these destinations that something may be taken for."""
    return set(db.execute(AWAITED, {"now": now, "among": sorted(among)}).scalars())


def due_to(
    db: Connection, now: datetime, destination: str, *, limit: int, taken: Collection[int]
) -> list[int]:
    """Return the ids of what waits for one destination and is not urgent, the longest due first."""
    found = _held(db, TO_ONE, now=now, destination=destination, limit=limit, taken=list(taken))
    return [id_ for id_, _ in found]


def summed_up(db: Connection, now: datetime, among: Collection[str], *, limit: int) -> list[int]:
    """Return the ids of what is due to be told to these destinations in one message each."""
    return [id_ for id_, _ in _held(db, TOGETHER, now=now, among=sorted(among), limit=limit)]


def about_handed_over(db: Connection) -> list[int]:
    """Return the incidents that somebody who came on call is still to hear of."""
    is_owed = (NOTIFICATION.c.state == NotificationState.OWED) & (NOTIFICATION.c.reason == Reason.HANDED_OVER)
    asked = select(NOTIFICATION.c.incident_id).where(is_owed).distinct()
    return list(db.execute(asked.order_by(NOTIFICATION.c.incident_id)).scalars())


# Whoever held it and never said how it ended may have sent it: that counts as an attempt.
TRIED = NOTIFICATION.c.attempts + case((NOTIFICATION.c.claimed_until.is_not(None), 1), else_=0)
CLAIM = Prepared(
    update(NOTIFICATION)
    .where(NOTIFICATION.c.id.in_(bindparam("ids", expanding=True)))
    .values(due_at=bindparam("until"), claimed_until=bindparam("until"), attempts=TRIED)
    .returning(NOTIFICATION)
)


def claim(db: Connection, ids: Collection[int], *, until: datetime) -> list[Row]:
    """Take notifications: hold them until the lease ends, and return them."""
    if not ids:
        return []
    return sorted(CLAIM.rows(db, ids=list(ids), until=until), key=lambda row: row["id"])


BACKS_OFF = exists().where(  # its reason is what the last attempt was answered, or that it was not
    ATTEMPT.c.notification_id == NOTIFICATION.c.id,
    or_(
        ATTEMPT.c.outcome == Outcome.AMBIGUOUS,
        func.substr(ATTEMPT.c.answer, 1, SAME) == func.substr(NOTIFICATION.c.why, 1, SAME),
    ),
)
WAITS = (  # for a time to speak
    IS_OWED,
    or_(NOTIFICATION.c.attempts == 0, ~BACKS_OFF),
    NOTIFICATION.c.claimed_until.is_(None),
)


def last_edit_at(db: Connection, destinations: Collection[str]) -> dict[str, datetime]:
    """Return when the last edit is due that is owed to a message because of a digest, by destination."""
    last = func.max(NOTIFICATION.c.due_at, type_=NOTIFICATION.c.due_at.type)
    statement = select(NOTIFICATION.c.destination, last).where(
        IS_OWED,
        NOTIFICATION.c.reason == Reason.OUTDATED,
        NOTIFICATION.c.destination.in_(sorted(destinations)),
    )
    return {row[0]: row[1] for row in db.execute(statement.group_by(NOTIFICATION.c.destination))}


def ask_again(db: Connection, now: datetime) -> int:
    """Make due what waits for a time to speak; return how much that is. What backs off stays as it is."""
    statement = update(NOTIFICATION).where(*WAITS, NOTIFICATION.c.why != "", NOTIFICATION.c.due_at > now)
    return db.execute(statement.values(due_at=now)).rowcount


def ask_about(db: Connection, incident_ids: Sequence[int], now: datetime, fallback_at: datetime) -> int:
    """Make due what waits for a time to speak about these incidents, and their reminders."""
    count = 0
    for start in range(0, len(incident_ids), MOST_AT_ONCE):
        some = incident_ids[start : start + MOST_AT_ONCE]
        is_asked = or_(NOTIFICATION.c.why != "", NOTIFICATION.c.reason == Reason.REPEAT_DUE)
        count += _ask(db, now, fallback_at, is_asked, NOTIFICATION.c.incident_id.in_(some))
    return count


def ask_whoever_says(db: Connection, why: str, now: datetime, fallback_at: datetime) -> int:
    """Make due what waits for a reason that begins like this."""
    return _ask(db, now, fallback_at, NOTIFICATION.c.why.startswith(why, autoescape=True))


def _ask(db: Connection, now: datetime, fallback_at: datetime, *conditions: Any) -> int:
    """Make due what waits; the fallback hears of it when it would of anything that is due now."""
    statement = update(NOTIFICATION).where(*WAITS, NOTIFICATION.c.due_at > now, *conditions)
    late_at = case((NOTIFICATION.c.fallback_at.is_not(None), fallback_at), else_=None)
    count = db.execute(statement.values(due_at=now, fallback_at=late_at)).rowcount
    if count:
        wake(db)
    return count


def let_go(db: Connection, now: datetime) -> int:
    """Make due whatever is held; return how much that is."""
    statement = update(NOTIFICATION).where(IS_OWED, NOTIFICATION.c.claimed_until.is_not(None))
    return db.execute(statement.values(due_at=now, claimed_until=None, attempts=TRIED)).rowcount


def next_due_at(db: Connection, closed: Collection[str] = ()) -> datetime | None:
    """Return when the next notification comes due; those to `closed` destinations do not count."""
    statement = select(NOTIFICATION.c.due_at).where(IS_OWED).order_by(NOTIFICATION.c.due_at).limit(1)
    if closed:
        statement = statement.where(NOTIFICATION.c.destination.not_in(sorted(closed)))
    found: datetime | None = db.execute(statement).scalar()
    return found


def overdue(db: Connection, now: datetime) -> tuple[int, datetime | None]:
    """Return how many notifications are due and not sent, and since when the oldest is.

    One that was tried and backs off was due at its first attempt; any other wait is one for a time to speak.
    """
    count, oldest = db.execute(select(func.count(), OLDEST).where(*_is_overdue(now))).one()
    return count, oldest


def overdue_to(db: Connection, now: datetime) -> list[tuple[str, int, datetime]]:
    """Return the same for each destination that something is due to."""
    statement = select(NOTIFICATION.c.destination, func.count(), OLDEST).where(*_is_overdue(now))
    found = db.execute(statement.group_by(NOTIFICATION.c.destination))
    return [(row[0], row[1], row[2]) for row in found]


IS_TRIED = NOTIFICATION.c.attempts > 0
TRIED_AT = select(func.min(ATTEMPT.c.at)).where(ATTEMPT.c.notification_id == NOTIFICATION.c.id)
OLDEST = func.min(
    case((IS_TRIED, TRIED_AT.scalar_subquery()), else_=NOTIFICATION.c.due_at),
    type_=NOTIFICATION.c.due_at.type,
)


def _is_overdue(now: datetime) -> tuple[Any, ...]:
    return (
        IS_OWED,
        NOTIFICATION.c.due_at <= now + LONGEST_BACK_OFF,
        or_(NOTIFICATION.c.due_at <= now, and_(IS_TRIED, BACKS_OFF)),
        NOTIFICATION.c.reason != Reason.OUTDATED,  # it was told; nobody waits for the edit
    )


def bring_back(db: Connection, now: datetime, fallback_at: datetime) -> None:
    """Make due whatever a clock that was wrong has put off, but reminders; what is held stays held.

    The fallback hears of what is not sent by `fallback_at`.
    """
    waits = update(NOTIFICATION).where(
        IS_OWED, NOTIFICATION.c.claimed_until.is_(None), NOTIFICATION.c.due_at > now,
        NOTIFICATION.c.reason != Reason.REPEAT_DUE.value,
    )  # fmt: skip
    db.execute(waits.values(due_at=now))
    late = update(NOTIFICATION).where(
        IS_OWED, NOTIFICATION.c.fallback_at > fallback_at, NOTIFICATION.c.due_at <= now
    )
    db.execute(late.values(fallback_at=fallback_at))
    wake(db)


def late(db: Connection, now: datetime, limit: int) -> list[Row]:
    """Return what should have been told so long ago that the fallback hears of it now."""
    statement = select(NOTIFICATION).where(
        text("notification.state = 'owed' AND notification.fallback_at IS NOT NULL"),
        NOTIFICATION.c.fallback_at <= now,
    )
    return rows(db, statement.order_by(NOTIFICATION.c.fallback_at).limit(limit))


def waiting_for(
    db: Connection, since: datetime, destinations: Collection[str], limit: int
) -> list[tuple[int, str]]:
    """Return id and destination of what waits longer than since for these, and does not say why."""
    statement = select(NOTIFICATION.c.id, NOTIFICATION.c.destination).where(
        IS_OWED,
        NOTIFICATION.c.due_at <= since,
        NOTIFICATION.c.why == "",
        NOTIFICATION.c.claimed_until.is_(None),
        NOTIFICATION.c.destination.in_(sorted(destinations)),
    )
    return _held(db, statement.limit(limit))


def explain(db: Connection, whys: Mapping[int, str]) -> list[Row]:
    """Write down why these wait; return them."""
    by_why: dict[str, list[int]] = {}
    for id_, why in whys.items():
        by_why.setdefault(why, []).append(id_)
    found: list[Row] = []
    for why, ids in by_why.items():
        statement = update(NOTIFICATION).where(NOTIFICATION.c.id.in_(ids), IS_OWED).values(why=why)
        found += rows(db, statement.returning(NOTIFICATION))
    return found


def hurry(db: Connection, destinations: Collection[str], now: datetime) -> int:
    """Make due what backs off for these destinations; return how much that is."""
    backs_off = select(NOTIFICATION.c.id, NOTIFICATION.c.destination).where(
        IS_OWED,
        NOTIFICATION.c.attempts > 0,
        NOTIFICATION.c.claimed_until.is_(None),
        NOTIFICATION.c.due_at > now,
        NOTIFICATION.c.due_at <= now + LONGEST_BACK_OFF,
        NOTIFICATION.c.destination.in_(sorted(destinations)),
    )
    ids = [id_ for id_, _ in _held(db, backs_off)]
    if ids:
        db.execute(update(NOTIFICATION).where(NOTIFICATION.c.id.in_(ids), IS_OWED).values(due_at=now))
    return len(ids)


def find(db: Connection, ids: Collection[int]) -> dict[int, Row]:
    """Return notifications by id, held until the commit."""
    possible = [id_ for id_ in ids if abs(id_) < 2**63]  # no database has a greater one
    statement = select(NOTIFICATION).where(NOTIFICATION.c.id.in_(possible)).order_by(NOTIFICATION.c.id)
    return {row["id"]: row for row in rows(db, statement.with_for_update())}


def replay(db: Connection, id_: int, fallback_at: datetime | None, now: datetime, why: str) -> None:
    """Owe once more what was given up."""
    statement = update(NOTIFICATION).where(NOTIFICATION.c.id == id_, NOTIFICATION.c.state == text("'failed'"))
    db.execute(
        statement.values(
            state=NotificationState.OWED,
            why=why,
            created_at=now,  # the time for trying begins anew
            due_at=now,
            finished_at=None,
            claimed_until=None,
            fallback_at=fallback_at,
        )
    )
    wake(db)


STILL_OWED = Prepared(
    select(NOTIFICATION)
    .where(NOTIFICATION.c.id.in_(bindparam("ids", expanding=True)), IS_OWED)
    .order_by(NOTIFICATION.c.id)
    .with_for_update()
)


def still_owed(db: Connection, ids: Sequence[int]) -> dict[int, Row]:
    """Return, by id, those of these notifications that nobody has finished yet, held until the commit."""
    return {row["id"]: row for row in STILL_OWED.rows(db, ids=list(ids))}


def first_tried_at(db: Connection, ids: Sequence[int]) -> dict[int, datetime]:
    """Return when each of these notifications was first tried."""
    if not ids:
        return {}
    statement = select(ATTEMPT.c.notification_id, func.min(ATTEMPT.c.at))
    statement = statement.where(ATTEMPT.c.notification_id.in_(ids)).group_by(ATTEMPT.c.notification_id)
    return {row[0]: row[1] for row in db.execute(statement)}


def first_told_at(db: Connection, incident_ids: Sequence[int]) -> dict[int, datetime]:
    """Return, by incident, when the first notification about it was sent."""
    if not incident_ids:
        return {}
    statement = select(NOTIFICATION.c.incident_id, func.min(NOTIFICATION.c.finished_at)).where(
        NOTIFICATION.c.incident_id.in_(incident_ids), NOTIFICATION.c.state == NotificationState.SENT
    )
    return {row[0]: row[1] for row in db.execute(statement.group_by(NOTIFICATION.c.incident_id))}


def incident_told_as(db: Connection, kind: str, dedup_key: str) -> int | None:
    """Return the open incident that a service of this kind knows by this key, None where there is none."""
    statement = select(CONVERSATION.c.incident_id).join(INCIDENT, INCIDENT.c.id == CONVERSATION.c.incident_id)
    statement = statement.where(
        INCIDENT.c.state != text("'resolved'"),
        CONVERSATION.c.destination.startswith(f"{kind} ", autoescape=True),
        CONVERSATION.c.ids["dedup_key"].as_string() == dedup_key,
    )
    found: int | None = db.execute(statement.order_by(INCIDENT.c.id.desc()).limit(1)).scalar()
    return found


def ambiguous_at(db: Connection, ids: Sequence[int]) -> dict[int, list[datetime]]:
    """Return when attempts at these notifications ended without an answer, though they may have arrived."""
    if not ids:
        return {}
    found: dict[int, list[datetime]] = {}
    statement = select(ATTEMPT.c.notification_id, ATTEMPT.c.at).where(
        ATTEMPT.c.notification_id.in_(ids), ATTEMPT.c.outcome == Outcome.AMBIGUOUS
    )
    for id_, at in db.execute(statement):
        found.setdefault(id_, []).append(at)
    return found


def record_attempts(db: Connection, attempts: Sequence[Row]) -> None:
    """Add attempts; the number of one made twice, after a lease ran out, is taken once."""
    if attempts:
        bulk.insert(db, ATTEMPT, attempts, unless="ON CONFLICT DO NOTHING")


RETELL = bulk.unless_there(["incident_id", "destination"], ["ids", "sent_at", "sent_revision"])


def save_conversations(db: Connection, saved: Sequence[Row]) -> None:
    """Add or overwrite what destinations were told."""
    if saved:
        bulk.insert(db, CONVERSATION, saved, unless=RETELL)


def of_incident(db: Connection, incident_id: int) -> list[Row]:
    """Return every notification about an incident, oldest first, each with its attempts."""
    statement = select(NOTIFICATION).where(NOTIFICATION.c.incident_id == incident_id)
    found = rows(db, statement.order_by(NOTIFICATION.c.id))
    by_id: dict[int, list[Row]] = {row["id"]: [] for row in found}
    tries = select(ATTEMPT).where(ATTEMPT.c.notification_id.in_(list(by_id)))
    for attempt in rows(db, tries.order_by(ATTEMPT.c.notification_id, ATTEMPT.c.n)):
        by_id[attempt["notification_id"]].append(attempt)
    return [{**row, "tries": by_id[row["id"]]} for row in found]


def newest(
    db: Connection, *, before: int | None, limit: int, states: Sequence[NotificationState] = ()
) -> list[Row]:
    """Return notifications, newest first."""
    found = select(NOTIFICATION).order_by(NOTIFICATION.c.id.desc()).limit(limit)
    if before is not None:
        found = found.where(NOTIFICATION.c.id < before)
    if states == (NotificationState.FAILED,):
        found = found.where(NOTIFICATION.c.state == text("'failed'"))  # what the partial index says
    elif states:
        found = found.where(NOTIFICATION.c.state.in_([state.value for state in states]))
    return rows(db, found)
