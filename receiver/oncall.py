"""Who is on call in every schedule, until when, and who is next? For the command line and the API."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver.config import Config
from receiver.pipeline.facts import instant
from receiver.policy.hours import zone
from receiver.policy.oncall import Override, Schedule, next_change, on_call
from receiver.terminal import PLAIN, Pen, printable


def oncall(config: Config, overrides: Mapping[str, Sequence[Override]], at: datetime) -> dict[str, Any]:
    """Return the answer for each schedule, in the order of routing.yaml; `overrides` are by schedule."""
    return {
        "at": instant(at),
        "schedules": [_turn(config, one, overrides.get(one.name, ()), at) for one in config.schedules],
    }


def _turn(config: Config, schedule: Schedule, overrides: Sequence[Override], at: datetime) -> dict[str, Any]:
    person, through = on_call(schedule, overrides, config.interval_named, at)
    until = next_change(schedule, overrides, config.interval_named, at)
    following = on_call(schedule, overrides, config.interval_named, until)[0] if until else None
    return {
        "schedule": schedule.name,
        "time_zone": schedule.time_zone,
        "person": person,
        "through": through,
        "until": instant(until),
        "next": following,
    }


def in_words(answer: Mapping[str, Any], pen: Pen = PLAIN) -> str:
    """Return the answer for a terminal; times are those of each schedule."""
    found = answer["schedules"]
    if not found:
        return "routing.yaml has no schedules"
    width = max(len(printable(one["schedule"])) for one in found)
    return "\n".join(_line(one, width, pen) for one in found)


def _line(one: Mapping[str, Any], width: int, pen: Pen) -> str:
    who = pen.strong(printable(one["person"])) if one["person"] else pen.bad("nobody")
    through = pen.faint(f" ({printable(one['through'])})") if one["through"] else ""
    name = f"{printable(one['schedule']):{width}}"
    if one["until"] is None:
        return f"{name}  {who}{through}, and nothing changes within a year"
    local = datetime.fromisoformat(one["until"]).astimezone(zone(one["time_zone"]))
    then = printable(one["next"]) if one["next"] else pen.bad("nobody")
    return f"{name}  {who}{through} until {local:%a %Y-%m-%d %H:%M} ({one['time_zone']}), then {then}"
