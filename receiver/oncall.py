"""Who is on call in every schedule, until when, and who is next? For the command line and the API."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver.config import Config
from receiver.pipeline.facts import instant
from receiver.policy.hours import zone
from receiver.policy.oncall import LOOKED_AHEAD, Override, Schedule, next_change, next_gap, on_call
from receiver.terminal import PLAIN, Pen, printable

NO_CALENDARS: Mapping[str, Mapping[str, Any]] = {}


def oncall(
    config: Config,
    overrides: Mapping[str, Sequence[Override]],
    at: datetime,
    calendars: Mapping[str, Mapping[str, Any]] = NO_CALENDARS,
) -> dict[str, Any]:
    """Return the answer for each schedule, in the order of routing.yaml; the rest is by schedule."""
    return {
        "at": instant(at),
        "schedules": [
            _turn(config, one, overrides.get(one.name, ()), at) | {"calendar": calendars.get(one.name)}
            for one in config.schedules
        ],
    }


def _turn(config: Config, schedule: Schedule, overrides: Sequence[Override], at: datetime) -> dict[str, Any]:
    person, through = on_call(schedule, overrides, config.interval_named, at)
    until = next_change(schedule, overrides, config.interval_named, at)
    gap = next_gap(schedule, overrides, config.interval_named, at, at + LOOKED_AHEAD)
    following = on_call(schedule, overrides, config.interval_named, until)[0] if until else None
    return {
        "schedule": schedule.name,
        "time_zone": schedule.time_zone,
        "person": person,
        "through": through,
        "until": instant(until),
        "next": following,
        "gap": {"starts_at": instant(gap.starts_at), "ends_at": instant(gap.ends_at)} if gap else None,
    }


def in_words(answer: Mapping[str, Any], pen: Pen = PLAIN) -> str:
    """Return the answer for a terminal; times are those of each schedule."""
    found = answer["schedules"]
    if not found:
        return "routing.yaml has no schedules"
    width = max(len(printable(one["schedule"])) for one in found)
    return "\n".join(line for one in found for line in _lines(one, width, pen))


def _lines(one: Mapping[str, Any], width: int, pen: Pen) -> list[str]:
    return [_line(one, width, pen), *_gap(one, width, pen), *_calendar(one, width, pen)]


def _calendar(one: Mapping[str, Any], width: int, pen: Pen) -> list[str]:
    """Return a line about its calendar, if it has one."""
    found = one["calendar"]
    if found is None:
        return []
    as_of = f"as of {_local(one, found['as_of'])}" if found["as_of"] else "never read"
    problem = pen.bad(f"; {printable(found['problem'])}") if found["problem"] else ""
    return [f"{'':{width}}  {pen.faint(f'calendar {as_of}')}{problem}"]


def _line(one: Mapping[str, Any], width: int, pen: Pen) -> str:
    who = pen.strong(printable(one["person"])) if one["person"] else pen.bad("nobody")
    through = pen.faint(f" ({printable(one['through'])})") if one["through"] else ""
    name = f"{printable(one['schedule']):{width}}"
    if one["until"] is None:
        return f"{name}  {who}{through}, and nothing changes within a year"
    then = printable(one["next"]) if one["next"] else pen.bad("nobody")
    return f"{name}  {who}{through} until {_local(one, one['until'])} ({one['time_zone']}), then {then}"


def _gap(one: Mapping[str, Any], width: int, pen: Pen) -> list[str]:
    """Return a line about the next gap; one that is there already was said."""
    gap = one["gap"]
    if gap is None or one["person"] is None:
        return []
    until = f"until {_local(one, gap['ends_at'])}" if gap["ends_at"] else "for a year and longer"
    return [f"{'':{width}}  {pen.bad('nobody')} from {_local(one, gap['starts_at'])} {until}"]


def _local(one: Mapping[str, Any], at: str) -> str:
    return f"{datetime.fromisoformat(at).astimezone(zone(one['time_zone'])):%a %Y-%m-%d %H:%M}"
