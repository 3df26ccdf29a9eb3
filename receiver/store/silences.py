"""What do people want quiet, and until when?"""

from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from receiver.policy.matching import Matcher, parse_matchers
from receiver.policy.muting import Silence
from receiver.store.database import rows
from receiver.store.prepared import Prepared
from receiver.store.tables import Silence as SilenceRow

Row = dict[str, Any]

SILENCE = SilenceRow.__table__  # type: ignore[attr-defined]


def add(db: Connection, silence: Row) -> Row:
    """Remember a silence; return it with its id."""
    return rows(db, insert(SILENCE).values(**silence).returning(SILENCE))[0]


def move_end(db: Connection, id_: int, ends_at: datetime, now: datetime) -> Row | None:
    """Let a silence that is not over end at another time; return it, None where there is no such."""
    if abs(id_) >= 2**63:
        return None
    statement = update(SILENCE).where(SILENCE.c.id == id_, SILENCE.c.ends_at > now)
    db.execute(statement.values(ends_at=ends_at))
    return find(db, id_)


def find(db: Connection, id_: int) -> Row | None:
    """Return a silence, None where there is no such."""
    found = rows(db, select(SILENCE).where(SILENCE.c.id == id_)) if abs(id_) < 2**63 else []
    return found[0] if found else None


def newest(
    db: Connection, *, before: int | None, limit: int, now: datetime, is_active: bool | None = None
) -> list[Row]:
    """Return silences, newest first: all of them, those in force, or those that are not."""
    found = select(SILENCE).order_by(SILENCE.c.id.desc()).limit(limit)
    if before is not None:
        found = found.where(SILENCE.c.id < before)
    if is_active is not None:
        counts = (SILENCE.c.starts_at <= now) & (SILENCE.c.ends_at > now)
        found = found.where(counts if is_active else ~counts)
    return rows(db, found)


NOT_OVER = select(SILENCE).where(SILENCE.c.ends_at > bindparam("at"), SILENCE.c.ends_at > SILENCE.c.starts_at)
HELD = NOT_OVER.where(SILENCE.c.starts_at <= bindparam("at"))
IN_FORCE = Prepared(HELD)


def still_to_end(db: Connection, at: datetime) -> list[Row]:
    """Return the silences that are not over by then, those that have not begun among them."""
    return rows(db, NOT_OVER.order_by(SILENCE.c.starts_at, SILENCE.c.id), at=at)


def not_over(db: Connection, at: datetime) -> list[Silence]:
    """Return the same as policy knows them."""
    return [_silence(row) for row in rows(db, NOT_OVER, at=at)]


def in_force(db: Connection, at: datetime) -> list[Silence]:
    """Return the silences that count at the instant."""
    return [_silence(row) for row in IN_FORCE.rows(db, at=at)]


def count_in_force(db: Connection, at: datetime) -> int:
    """Return how many silences count at the instant."""
    counted = HELD.with_only_columns(func.count())
    return int(db.execute(counted, {"at": at}).scalar_one())


def _silence(row: Row) -> Silence:
    matchers = _matchers(tuple(row["matchers"]))
    return Silence(matchers, row["starts_at"], row["ends_at"], row["made_by"], row["text"])


@lru_cache(1024)  # every claim asks, and regular expressions take their time
def _matchers(texts: tuple[str, ...]) -> tuple[Matcher, ...]:
    return tuple(matcher for text in texts for matcher in parse_matchers(text))
