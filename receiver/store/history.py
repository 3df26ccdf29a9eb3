"""What was posted, and what people did about it: the history, to be run again elsewhere?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, bindparam, create_engine, event, func, insert, select, text

from receiver.policy.incident import Happening
from receiver.policy.outbox import NotificationState
from receiver.store.database import connect, rows, sqlite_file
from receiver.store.payloads import PAYLOAD, span_of
from receiver.store.tables import Alert, Escalation, Incident, Notification, Override, Silence, Timeline

Row = dict[str, Any]
Reader = Engine  # of a database that is only read

ALERT = Alert.__table__  # type: ignore[attr-defined]
ESCALATION = Escalation.__table__  # type: ignore[attr-defined]
INCIDENT = Incident.__table__  # type: ignore[attr-defined]
NOTIFICATION = Notification.__table__  # type: ignore[attr-defined]
TIMELINE = Timeline.__table__  # type: ignore[attr-defined]
STANDING = (Silence.__table__, Override.__table__)  # type: ignore[attr-defined]  # what people arranged

PAGE = 500  # bodies that are in memory at a time
ACTS = (
    *(Happening.ACKNOWLEDGED, Happening.UNACKNOWLEDGED, Happening.RESOLVED),
    *(Happening.SNOOZED, Happening.NOTE, Happening.ESCALATED),
)


def only_to_read(url: str) -> Reader:
    """Return an engine that cannot write, not even what SQLite itself would when it opens a file."""
    file = sqlite_file(url)
    if file is None:
        return connect(url, writing=False, size=1).execution_options(postgresql_readonly=True)
    name = f"file:{quote(str(file))}"
    address = URL.create("sqlite", database=name, query={"mode": "ro", "uri": "true"})
    engine = create_engine(address, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout=30000")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


@contextmanager
def scratch(url: str) -> Iterator[Connection]:
    """Yield one long transaction on a database that is thrown away: nothing of it need reach the disk."""
    engine = connect(url, writing=True, size=1)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        for pragma in ("synchronous=OFF", "cache_size=-65536", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    try:
        with engine.connect() as db:
            transaction = db.begin()
            yield db
            transaction.rollback()
    finally:
        engine.dispose()


def _within(since: datetime, until: datetime) -> tuple[Any, ...]:
    spans = PAYLOAD.c.heard_in.between(span_of(since), span_of(until))
    return spans, PAYLOAD.c.received_at >= since, PAYLOAD.c.received_at < until


def count(db: Connection, since: datetime, until: datetime) -> int:
    """Return how many bodies came in the span."""
    return int(db.execute(select(func.count()).where(*_within(since, until))).scalar_one())


def bodies(engine: Reader, since: datetime, until: datetime) -> Iterator[Row]:
    """Yield the bodies of the span as they came; `body` is None where what it was equal to is gone.

    Each page is a transaction of its own: one that lasts would let the log of a running service grow.
    """
    last = 0
    earlier: dict[int, int] = {}  # the row that holds a body, by digest
    while True:
        with engine.connect() as db, db.begin():
            statement = select(PAYLOAD).where(*_within(since, until), PAYLOAD.c.id > last)
            page = rows(db, statement.order_by(PAYLOAD.c.id).limit(PAGE))
            for row in page:
                if row["body"] is None:
                    row["body"] = _said_before(db, row, earlier)
                else:
                    earlier[row["digest"]] = row["id"]
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1]["id"]


def _said_before(db: Connection, row: Row, earlier: dict[int, int]) -> bytes | None:
    """Return the body that a repeat was equal to."""
    known = earlier.get(row["digest"])
    found = select(PAYLOAD.c.body).order_by(PAYLOAD.c.id.desc()).limit(1)
    if known is not None:
        found = found.where(PAYLOAD.c.id == known)
    else:
        spans = range(row["heard_in"] - 12, row["heard_in"] + 1)  # an hour: repeats may follow repeats
        found = found.where(PAYLOAD.c.heard_in.in_(spans), PAYLOAD.c.digest == row["digest"])
        found = found.where(PAYLOAD.c.body.is_not(None))
    body: bytes | None = db.execute(found).scalar()
    return body


def acts(db: Connection, since: datetime, until: datetime) -> list[Row]:
    """Return what people did in the span, oldest first, with the source and the alerts it was about."""
    statement = (
        select(TIMELINE, INCIDENT.c.source)
        .join(INCIDENT, INCIDENT.c.id == TIMELINE.c.incident_id)
        .where(
            TIMELINE.c.kind.in_(ACTS),
            TIMELINE.c.actor.is_not(None),
            TIMELINE.c.at >= since,
            TIMELINE.c.at < until,
            INCIDENT.c.drill.is_(False),
        )
        .order_by(TIMELINE.c.at, TIMELINE.c.id)
    )
    found = rows(db, statement)
    named: dict[int, list[str]] = {row["incident_id"]: [] for row in found}
    for first in range(0, len(named), PAGE):
        ids = list(named)[first : first + PAGE]
        pairs = select(ALERT.c.incident_id, ALERT.c.fingerprint).where(ALERT.c.incident_id.in_(ids))
        for incident_id, fingerprint in db.execute(pairs):
            named[incident_id].append(fingerprint)
    return [{**row, "fingerprints": named[row["incident_id"]]} for row in found]


def standing(db: Connection) -> list[list[Row]]:
    """Return the silences and overrides that people made."""
    return [rows(db, select(table)) for table in STANDING]


def take_over(db: Connection, arranged: Sequence[Sequence[Row]]) -> None:
    """Put silences and overrides of another database into this one."""
    for table, found in zip(STANDING, arranged, strict=True):
        if found:
            db.execute(insert(table), list(found))


def open_with(db: Connection, source: str, fingerprints: Sequence[str]) -> list[int]:
    """Return the open incidents of a source that hold one of these alerts."""
    statement = (
        select(INCIDENT.c.id)
        .join(ALERT, ALERT.c.incident_id == INCIDENT.c.id)
        .where(
            INCIDENT.c.state != "resolved",
            INCIDENT.c.source == source,
            ALERT.c.fingerprint.in_(fingerprints[:PAGE]),
        )
        .distinct()
    )
    return sorted(db.execute(statement).scalars())


IS_OWED = NOTIFICATION.c.state == text("'owed'")  # said as a literal, so that the partial index is used
TIMERS = {  # by the stage that each starts
    "claim": (NOTIFICATION.c.due_at, IS_OWED),
    "late": (NOTIFICATION.c.fallback_at, IS_OWED, NOTIFICATION.c.fallback_at.is_not(None)),
    "review": (INCIDENT.c.review_at, INCIDENT.c.review_at.is_not(None)),
    "escalate": (ESCALATION.c.next_step_at, ESCALATION.c.next_step_at.is_not(None)),
}
DUE_AND_NEXT = select(  # one statement, for it is asked at every moment of the history
    *(select(func.min(at)).where(*counts).scalar_subquery() for at, *counts in TIMERS.values()),
    *(
        select(func.min(at)).where(*counts, at > bindparam("now")).scalar_subquery()
        for at, *counts in TIMERS.values()
    ),
)


def due_and_next(db: Connection, now: datetime) -> tuple[set[str], datetime | None]:
    """Return the stages that something is due for, and when time itself brings more."""
    found = db.execute(DUE_AND_NEXT, {"now": now}).one()
    due, later = found[: len(TIMERS)], found[len(TIMERS) :]
    stages = {stage for stage, at in zip(TIMERS, due, strict=True) if at is not None and at <= now}
    return stages, min((at for at in later if at is not None), default=None)


def incidents_of(db: Connection) -> list[Row]:
    """Return all incidents but drills, oldest first, each with the fingerprints of its alerts."""
    names = ("id", "source", "state", "severity", "title", "labels", "routes", "started_at")
    statement = select(*(INCIDENT.c[name] for name in names)).where(INCIDENT.c.drill.is_(False))
    found = {row["id"]: {**row, "fingerprints": set()} for row in rows(db, statement.order_by(INCIDENT.c.id))}
    for incident_id, fingerprint in db.execute(select(ALERT.c.incident_id, ALERT.c.fingerprint)):
        if incident_id in found:
            found[incident_id]["fingerprints"].add(fingerprint)
    return list(found.values())


def unsaid(db: Connection) -> list[Row]:
    """Return why something was not said, by incident and destination: what was said to nobody."""
    names = ("incident_id", "destination", "state", "why", "due_at")
    statement = select(*(NOTIFICATION.c[name] for name in names))
    return rows(
        db, statement.where(NOTIFICATION.c.state != NotificationState.SENT).order_by(NOTIFICATION.c.id)
    )
