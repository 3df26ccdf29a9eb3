"""What is owed to whom, and what became of it?"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, exists, func, or_, select, text, update

from receiver.policy.incident import Reason
from receiver.policy.outbox import NotificationState
from receiver.store import bulk
from receiver.store.database import rows
from receiver.store.tables import Attempt, Conversation, Incident, Notification

Row = dict[str, Any]

NOTIFICATION = Notification.__table__  # type: ignore[attr-defined]
CONVERSATION = Conversation.__table__  # type: ignore[attr-defined]
ATTEMPT = Attempt.__table__  # type: ignore[attr-defined]
INCIDENT = Incident.__table__  # type: ignore[attr-defined]

IS_OWED = NOTIFICATION.c.state == text("'owed'")  # said as a literal, so that the partial index is used
LONGEST_BACK_OFF = timedelta(hours=1)  # what a service may ask for (policy.retry)
CHANNEL = "tocsin_outbox"  # where replicas on PostgreSQL wake each other
CHANGING = ("reason", "state", "why", "revision", "attempts", "due_at", "claimed_until", "finished_at")


def owed(db: Connection, incident_ids: Sequence[int]) -> list[Row]:
    """Return what is owed about these incidents, oldest first."""
    if not incident_ids:
        return []
    statement = select(NOTIFICATION).where(NOTIFICATION.c.incident_id.in_(incident_ids), IS_OWED)
    return rows(db, statement.order_by(NOTIFICATION.c.id))


def conversations(db: Connection, incident_ids: Sequence[int]) -> list[Row]:
    """Return every conversation about these incidents."""
    if not incident_ids:
        return []
    return rows(db, select(CONVERSATION).where(CONVERSATION.c.incident_id.in_(incident_ids)))


def owe(db: Connection, notifications: Sequence[Row]) -> None:
    """Add notifications; one that has a known key is there already and is left alone."""
    if notifications:
        bulk.insert(db, NOTIFICATION, notifications, unless="ON CONFLICT (key) DO NOTHING")
        wake(db)


CHANGE = (
    update(NOTIFICATION)
    .where(NOTIFICATION.c.id == bindparam("its_id"), IS_OWED)
    .values({name: bindparam(name) for name in CHANGING})
)


def change(db: Connection, changed: Sequence[Row]) -> None:
    """Write notifications back, as far as they can change."""
    if changed:
        db.execute(
            CHANGE, [{**{name: row[name] for name in CHANGING}, "its_id": row["id"]} for row in changed]
        )


def wake(db: Connection) -> None:
    """Tell other replicas, at commit, that something is owed."""
    if db.dialect.name == "postgresql":
        db.execute(text(f"NOTIFY {CHANNEL}"))


def claim(db: Connection, now: datetime, *, until: datetime, limit: int, busy: Collection[str]) -> list[Row]:
    """Take what is due: hold it until the lease ends, and return it.

    Within one conversation only the oldest is taken, so a resolved never overtakes its triggered; a row
    that is held or backs off keeps the later ones waiting. One that nobody has tried yet because its time
    has not come (a reminder, a route outside its hours) keeps nobody waiting; and the fallback waits for
    nobody's back-off. `busy` destinations are passed over, and so are incidents that another replica is
    changing at this moment.
    """
    earlier = NOTIFICATION.alias("earlier")
    overtakes = exists().where(
        earlier.c.incident_id == NOTIFICATION.c.incident_id,
        earlier.c.destination == NOTIFICATION.c.destination,
        earlier.c.state == text("'owed'"),
        earlier.c.id < NOTIFICATION.c.id,
        or_(
            earlier.c.due_at <= now,
            earlier.c.claimed_until.is_not(None),
            and_(earlier.c.attempts > 0, NOTIFICATION.c.reason != Reason.FALLBACK),
        ),
    )
    due = select(NOTIFICATION.c.id).where(IS_OWED, NOTIFICATION.c.due_at <= now, ~overtakes)
    if busy:
        due = due.where(NOTIFICATION.c.destination.not_in(busy))
    if db.dialect.name == "postgresql":  # hold both, or neither: whoever waited here would hold up the rest
        due = due.join(INCIDENT, INCIDENT.c.id == NOTIFICATION.c.incident_id)
    due = due.order_by(NOTIFICATION.c.due_at).limit(limit).with_for_update(skip_locked=True)
    taken = (
        update(NOTIFICATION)
        .where(NOTIFICATION.c.id.in_(due.scalar_subquery()))
        .values(due_at=until, claimed_until=until)
    )
    return sorted(rows(db, taken.returning(NOTIFICATION)), key=lambda row: row["id"])


def ask_again(db: Connection, now: datetime) -> int:
    """Make due what waits for a time to speak; return how much that is. What backs off stays as it is."""
    statement = update(NOTIFICATION).where(
        IS_OWED,
        NOTIFICATION.c.why != "",
        NOTIFICATION.c.attempts == 0,
        NOTIFICATION.c.claimed_until.is_(None),
        NOTIFICATION.c.due_at > now,
    )
    return db.execute(statement.values(due_at=now)).rowcount


def let_go(db: Connection, now: datetime) -> int:
    """Make due whatever is held; return how much that is."""
    statement = update(NOTIFICATION).where(IS_OWED, NOTIFICATION.c.claimed_until.is_not(None))
    return db.execute(statement.values(due_at=now, claimed_until=None)).rowcount


def next_due_at(db: Connection) -> datetime | None:
    """Return when the next notification comes due."""
    statement = select(NOTIFICATION.c.due_at).where(IS_OWED).order_by(NOTIFICATION.c.due_at).limit(1)
    found: datetime | None = db.execute(statement).scalar()
    return found


def overdue(db: Connection, now: datetime) -> tuple[int, datetime | None]:
    """Return how many notifications are due and not sent, and since when the oldest is.

    One that was tried and backs off was due at its first attempt; a wait of more than an hour is no back-off,
    it is one for opening hours.
    """
    is_tried = NOTIFICATION.c.attempts > 0
    tried_at = select(func.min(ATTEMPT.c.at)).where(ATTEMPT.c.notification_id == NOTIFICATION.c.id)
    since = case((is_tried, tried_at.scalar_subquery()), else_=NOTIFICATION.c.due_at)
    statement = select(func.count(), func.min(since, type_=NOTIFICATION.c.due_at.type)).where(
        IS_OWED,
        NOTIFICATION.c.due_at <= now + LONGEST_BACK_OFF,
        or_(NOTIFICATION.c.due_at <= now, is_tried),
    )
    count, oldest = db.execute(statement).one()
    return count, oldest


def still_owed(db: Connection, ids: Sequence[int]) -> dict[int, Row]:
    """Return, by id, those of these notifications that nobody has finished yet, held until the commit."""
    statement = select(NOTIFICATION).where(NOTIFICATION.c.id.in_(ids), IS_OWED).order_by(NOTIFICATION.c.id)
    return {row["id"]: row for row in rows(db, statement.with_for_update())}


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
