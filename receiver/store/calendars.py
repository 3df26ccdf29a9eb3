"""What did calendars say when they last could be read?"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, select, update

from receiver.policy.oncall import Event
from receiver.store import bulk
from receiver.store.database import rows
from receiver.store.tables import Calendar

Row = dict[str, Any]

CALENDAR = Calendar.__table__  # type: ignore[attr-defined]
EVENTS = TypeAdapter(tuple[Event, ...])
OVERWRITE = bulk.unless_there(["url"], ["read_at", "asked_at", "text", "problem"])


def everything(db: Connection) -> dict[str, Row]:
    """Return what is known of each calendar, by the digest of where it is."""
    return {row["url"]: row for row in rows(db, select(CALENDAR))}


def save(db: Connection, digest: str, events: Sequence[Event], now: datetime) -> None:
    """Remember what a calendar says."""
    text = EVENTS.dump_json(tuple(events)).decode()
    row = {"url": digest, "read_at": now, "asked_at": now, "text": text, "problem": ""}
    bulk.insert(db, CALENDAR, [row], unless=OVERWRITE)


def fail(db: Connection, digest: str, problem: str, now: datetime) -> None:
    """Note that a calendar could not be read; what it said before stays."""
    row = {"url": digest, "read_at": now, "asked_at": now, "text": "", "problem": problem}
    bulk.insert(db, CALENDAR, [row], unless="ON CONFLICT DO NOTHING")
    db.execute(update(CALENDAR).where(CALENDAR.c.url == digest).values(asked_at=now, problem=problem))


@lru_cache(maxsize=64)
def events_in(text: str) -> tuple[Event, ...]:
    """Return the events of a row; a text is read once."""
    return EVENTS.validate_json(text) if text else ()
