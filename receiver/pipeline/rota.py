"""Who takes schedules over, by what people said and by what calendars say?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from receiver.config import Config
from receiver.pipeline.facts import instant
from receiver.policy.oncall import Event, Override, shifts_of
from receiver.store import calendars, overrides
from receiver.store.database import Db


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading a calendar."""

    key: str
    at: datetime
    events: tuple[Event, ...] = ()
    problem: str = ""  # empty: it could be read


def taken_over(db: Db, config: Config, since: datetime) -> Mapping[str, Sequence[Override]]:
    """Return, by schedule, the overrides and the calendar's shifts that are not over by `since`."""
    said = overrides.by_schedule(db, since)
    having = [one for one in config.schedules if one.calendar is not None]
    if not having:
        return said
    known = calendars.everything(db)
    people = [one.name for one in config.people]
    for schedule in having:
        row = known.get(schedule.calendar_key)
        events = calendars.events_in(row["text"]) if row else ()
        coming = [event for event in events if event.ends_at > since]
        found, _ = shifts_of(coming, people, config.person_by_mail)
        said[schedule.name] = [*found, *said.get(schedule.name, ())]
    return said


def calendars_of(db: Db, config: Config) -> dict[str, dict[str, Any]]:
    """Return, by schedule, since when its calendar is as it is, and why it could not be read since."""
    having = [one for one in config.schedules if one.calendar is not None]
    known = calendars.everything(db) if having else {}
    rows = {one.name: known.get(one.calendar_key) for one in having}
    return {
        name: {"as_of": instant(row["read_at"]) if row["text"] else None, "problem": row["problem"]}
        if row
        else {"as_of": None, "problem": ""}
        for name, row in rows.items()
    }


def note(db: Db, _config: Config, readings: Sequence[Reading]) -> list[None]:
    """Remember what calendars say; from one that could not be read nothing follows."""
    for one in readings:
        if one.problem:
            calendars.fail(db, one.key, one.problem, one.at)
        else:
            calendars.save(db, one.key, one.events, one.at)
    return [None] * len(readings)
