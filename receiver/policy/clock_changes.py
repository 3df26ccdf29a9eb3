"""When are the clocks changed, and which times of day are none then, or come twice?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from receiver.policy.hours import DAY, MINUTE, TimeInterval, Window, clock_shift, has_day

MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ClockChange:
    """What the clocks of a zone skip, or show twice: from `first` to `last`, as they show it."""

    at: datetime
    first: datetime  # a time of day, without a zone
    last: datetime  # the same
    is_gap: bool


def clock_changes(zone: tzinfo, since: datetime, until: datetime) -> Iterator[ClockChange]:
    """Yield when the clocks of the zone are changed."""
    day = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while day < until:
        for at in clock_shift(zone, day):
            before = (at - MOMENT).astimezone(zone).replace(tzinfo=None) + MOMENT
            after = at.astimezone(zone).replace(tzinfo=None)
            yield ClockChange(at, min(before, after), max(before, after), is_gap=after > before)
        day += DAY


def touched(interval: TimeInterval, window: Window, change: ClockChange) -> list[str]:
    """Return the starts and ends of a window that are no time at the change, or come twice."""
    found = set()
    for each in window.times or ():
        for minute, written in zip(each.stretch, (each.start_time, each.end_time), strict=True):
            for day in (change.first.date() - DAY, change.first.date()):
                wall = datetime(day.year, day.month, day.day) + minute * MINUTE  # noqa: DTZ001 - wall clock
                if change.first < wall < change.last and has_day(window, interval.holidays, day):
                    found.add(written)
    return sorted(found)
