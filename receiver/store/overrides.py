"""Who takes a schedule over for a while?"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from receiver.policy.oncall import Override
from receiver.store.database import rows
from receiver.store.tables import Override as OverrideRow

Row = dict[str, Any]

OVERRIDE = OverrideRow.__table__  # type: ignore[attr-defined]


def add(db: Connection, override: Row) -> Row:
    """Remember an override; return it with its id."""
    return rows(db, insert(OVERRIDE).values(**override).returning(OVERRIDE))[0]


def overlapping(db: Connection, override: Row) -> list[int]:
    """Return the ids of the older overrides of the same schedule that share some time with this one."""
    statement = select(OVERRIDE.c.id).where(
        OVERRIDE.c.schedule == override["schedule"], OVERRIDE.c.id < override["id"],
        OVERRIDE.c.ends_at > override["starts_at"], OVERRIDE.c.starts_at < override["ends_at"],
        OVERRIDE.c.ends_at > OVERRIDE.c.starts_at,
    )  # fmt: skip
    return list(db.execute(statement.order_by(OVERRIDE.c.id)).scalars())


def end(db: Connection, id_: int, now: datetime) -> Row | None:
    """End an override now, one that has not begun before it does; return it, None where there is no such."""
    if abs(id_) >= 2**63:
        return None
    running = OVERRIDE.c.id == id_
    statement = update(OVERRIDE).where(running, OVERRIDE.c.ends_at > now).values(ends_at=now)
    db.execute(statement)
    found = rows(db, select(OVERRIDE).where(running))
    return found[0] if found else None


def newest(db: Connection, *, schedule: str | None, before: int | None, limit: int) -> list[Row]:
    """Return overrides, newest first."""
    found = select(OVERRIDE).order_by(OVERRIDE.c.id.desc()).limit(limit)
    if schedule is not None:
        found = found.where(OVERRIDE.c.schedule == schedule)
    if before is not None:
        found = found.where(OVERRIDE.c.id < before)
    return rows(db, found)


def by_schedule(db: Connection, since: datetime) -> dict[str, Sequence[Override]]:
    """Return, by schedule, the overrides that are not over by `since`."""
    found: dict[str, list[Override]] = {}
    statement = select(OVERRIDE).where(OVERRIDE.c.ends_at > since, OVERRIDE.c.ends_at > OVERRIDE.c.starts_at)
    for row in rows(db, statement):
        override = Override(row["id"], row["person"], row["starts_at"], row["ends_at"])
        found.setdefault(row["schedule"], []).append(override)
    return dict(found)
