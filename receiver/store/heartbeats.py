"""When was last heard what should always be heard?"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, or_, select, update

from receiver.store import bulk
from receiver.store.database import rows
from receiver.store.tables import Heartbeat

Row = dict[str, Any]

HEARTBEAT = Heartbeat.__table__  # type: ignore[attr-defined]

EVERYTHING = select(HEARTBEAT).order_by(HEARTBEAT.c.name, HEARTBEAT.c.source)
NAMED = EVERYTHING.where(HEARTBEAT.c.name.in_(bindparam("names", expanding=True))).with_for_update()
OVERWRITE = bulk.unless_there(["name", "source"], ["first_at", "last_at", "gaps"])


def everything(db: Connection) -> list[Row]:
    """Return every heartbeat there is."""
    return rows(db, EVERYTHING)


def named(db: Connection, names: Collection[str]) -> list[Row]:
    """Return the heartbeats of these names, held until the commit."""
    return rows(db, NAMED, names=sorted(names))


def save(db: Connection, saved: Sequence[Row]) -> None:
    """Add or overwrite heartbeats; whether they are missed stays as it is."""
    if saved:
        bulk.insert(db, HEARTBEAT, saved, unless=OVERWRITE)


def expect(db: Connection, awaited: Sequence[Row]) -> None:
    """Add heartbeats that nobody has heard yet; one that is there stays as it is."""
    if awaited:
        bulk.insert(db, HEARTBEAT, awaited, unless="ON CONFLICT DO NOTHING")


def miss(db: Connection, row: Row, now: datetime) -> bool:
    """Note that it is missed; return whether nobody noted it before, nor heard it meanwhile."""
    is_same = (HEARTBEAT.c.missed_at.is_(None)) & (HEARTBEAT.c.last_at == row["last_at"])
    return _set_missed(db, row, is_same, now)


def hear_again(db: Connection, row: Row) -> bool:
    """Note that it is no longer missed; return whether this was the first to note it."""
    return _set_missed(db, row, HEARTBEAT.c.missed_at.is_not(None), None)


def _set_missed(db: Connection, row: Row, condition: Any, missed_at: datetime | None) -> bool:
    changed = update(HEARTBEAT).where(_is(row), condition).values(missed_at=missed_at)
    return db.execute(changed).rowcount > 0


def forget(db: Connection, row: Row) -> bool:
    """Remove one that nobody wants to hear any more; return whether it was there."""
    return db.execute(delete(HEARTBEAT).where(_is(row))).rowcount > 0


def bring_back(db: Connection, now: datetime) -> None:
    """Let what was heard in the future, by a clock that was wrong, have been heard now."""
    is_ahead = or_(HEARTBEAT.c.last_at > now, HEARTBEAT.c.missed_at > now)
    db.execute(update(HEARTBEAT).where(is_ahead, HEARTBEAT.c.missed_at.is_(None)).values(last_at=now))
    db.execute(update(HEARTBEAT).where(is_ahead).values(last_at=now, missed_at=now))


def _is(row: Row) -> Any:
    return (HEARTBEAT.c.name == row["name"]) & (HEARTBEAT.c.source == row["source"])
