"""What came in, as it came: bodies, and what could not be understood?"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from receiver.store import bulk
from receiver.store.database import rows
from receiver.store.prepared import Prepared
from receiver.store.tables import Payload, Quarantine

PAYLOAD = Payload.__table__  # type: ignore[attr-defined]
QUARANTINE = Quarantine.__table__  # type: ignore[attr-defined]


MOST_QUARANTINED = 1000  # bodies, of 64 kB at most


HEARD = Prepared(
    select(PAYLOAD.c.digest).where(
        PAYLOAD.c.heard_in.in_(bindparam("spans", expanding=True)),
        PAYLOAD.c.digest.in_(bindparam("digests", expanding=True)),
        PAYLOAD.c.received_at > bindparam("since"),
    )
)


def heard_since(db: Connection, digests: Sequence[int], since: datetime, until: datetime) -> set[int]:
    """Return those digests whose body was accepted in the span."""
    spans = list(range(span_of(since), span_of(until) + 1))
    return {row[0] for row in HEARD.tuples(db, digests=list(digests), since=since, spans=spans)}


def span_of(moment: datetime) -> int:
    """Return the five minutes of an instant, counted since 1970."""
    return int(moment.timestamp() // 300)


KEEP = Prepared(
    insert(PAYLOAD).values({one.name: bindparam(one.name) for one in PAYLOAD.columns if not one.primary_key})
)


def keep(db: Connection, bodies: Sequence[dict[str, Any]]) -> None:
    """Add bodies."""
    kept = [{**body, "heard_in": span_of(body["received_at"])} for body in bodies]
    if kept and db.dialect.name == "sqlite":
        bulk.insert(db, PAYLOAD, kept)
    else:
        KEEP.many(db, kept)  # bulk speaks JSON to PostgreSQL, which has no bytes


def quarantine(db: Connection, bodies: Sequence[dict[str, Any]]) -> None:
    """Add what could not be understood; the oldest make room, so that nobody can fill the disk."""
    if bodies:
        db.execute(insert(QUARANTINE), list(bodies))
        newest = select(func.max(QUARANTINE.c.id)).scalar_subquery()
        db.execute(delete(QUARANTINE).where(QUARANTINE.c.id <= newest - MOST_QUARANTINED))


def quarantined(db: Connection, *, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return what could not be understood, newest first."""
    found = select(QUARANTINE).order_by(QUARANTINE.c.id.desc()).limit(limit)
    if before is not None:
        found = found.where(QUARANTINE.c.id < before)
    return rows(db, found)
