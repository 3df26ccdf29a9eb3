"""Which shifts does a person or a schedule have? As an iCalendar feed for people's own calendars."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from receiver.config import Config
from receiver.policy.links import Feed
from receiver.policy.oncall import Override, Schedule, Shift, shifts

BACK, AHEAD = timedelta(days=30), timedelta(days=90)


def beginning(now: datetime) -> datetime:
    """Return when a feed begins: with a month, so that a shift cut there keeps its identity for a while."""
    return (now - BACK).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def feed(config: Config, overrides: Mapping[str, Sequence[Override]], whose: Feed, now: datetime) -> bytes:
    """Return the feed; gaps are in that of a schedule. Errors: LookupError, ImportError without the extra."""
    import icalendar  # noqa: PLC0415 - an extra, and it takes a while

    names = config.schedule_named if whose.kind == "schedule" else {one.name for one in config.people}
    if whose.name not in names:
        raise LookupError(f"routing.yaml no longer has the {whose.kind} of this feed")
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Tocsin//on call//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"On call: {whose.name}")
    for schedule, shift in _shifts(config, overrides, whose, now):
        event = icalendar.Event()
        event.add("uid", f"{_identity(schedule, shift)}@tocsin")
        event.add("dtstamp", now.replace(microsecond=0))
        event.add("dtstart", shift.starts_at)  # in UTC: right on every clock
        event.add("dtend", shift.ends_at or now.replace(microsecond=0) + AHEAD)
        event.add("summary", f"{shift.person or 'Nobody'} on call: {schedule.name}")
        event.add("transp", "TRANSPARENT")  # being on call is not being busy
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _identity(schedule: Schedule, shift: Shift) -> str:
    return sha256(f"{schedule.name}\n{shift.starts_at}".encode()).hexdigest()[:32]


def _shifts(
    config: Config, overrides: Mapping[str, Sequence[Override]], whose: Feed, now: datetime
) -> Iterator[tuple[Schedule, Shift]]:
    for schedule in config.schedules:
        taken_over = overrides.get(schedule.name, ())
        for shift in shifts(schedule, taken_over, config.interval_named, beginning(now), now + AHEAD):
            if whose.name == (schedule.name if whose.kind == "schedule" else shift.person):
                yield schedule, shift
