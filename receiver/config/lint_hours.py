"""Is there a time interval that loads and can hardly be meant?"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache

from receiver.config.document import Document, Problem, Steps, path_text
from receiver.config.records import Config
from receiver.policy import hours
from receiver.policy.clock_changes import ClockChange, clock_changes, touched
from receiver.policy.holidays import Holidays
from receiver.policy.hours import TimeInterval, Window

SOON = timedelta(days=90)  # a quarter, in which somebody finds the time to write down the next holidays
YEAR = timedelta(days=366)


def warnings(document: Document, config: Config, at: datetime) -> Iterator[Problem]:
    """Yield what is odd about each time interval."""
    changes = cache(lambda zone: list(clock_changes(zone, at, at + YEAR)))
    for index, interval in enumerate(config.time_intervals):
        path: Steps = ("time_intervals", index)
        yield from _unchanging(document, interval, path, at)
        if interval.holidays is not None:
            yield from _running_out(document, interval.holidays, (*path, "holidays"), at)
        for number, window in enumerate(interval.time_intervals):
            where = (*path, "time_intervals", number)
            for change in changes(window.zone) if window.times else ():
                yield from _touching(document, interval, window, where, change)


def _problem(document: Document, path: Steps, text: str) -> Problem:
    return Problem(document.find(path)[0].position, path_text(path), text)


def _unchanging(document: Document, interval: TimeInterval, path: Steps, at: datetime) -> Iterator[Problem]:
    if hours.next_change(interval, at) is not None:
        return
    text = f'the time interval "{interval.name}" is not active once in five years; correct its fields'
    if hours.is_active(interval, at):
        text = f'the time interval "{interval.name}" is always active; name none, or correct its fields'
    yield _problem(document, path, text)


def _running_out(document: Document, holidays: Holidays, path: Steps, at: datetime) -> Iterator[Problem]:
    """Yield a list or a calendar that nobody has written on; a country goes on by itself."""
    if holidays.country is not None:
        return
    day = at.date()
    known = [one for year in range(day.year - 1, day.year + 6) for one in holidays.of_year(year)]
    if max(known, default=date.min) >= day + SOON:
        return
    text = f"the last of these holidays is {max(known)}" if known else "these holidays are long over"
    yield _problem(document, path, f"{text}; add those that follow")


def _touching(
    document: Document, interval: TimeInterval, window: Window, path: Steps, change: ClockChange
) -> Iterator[Problem]:
    """Yield the day of a change on which a start or an end is no time of the clocks, or is twice."""
    odd = touched(interval, window, change)
    if not odd:
        return
    what = "skip" if change.is_gap else "show twice"
    marks = f"{' and '.join(odd)} {'are' if odd[1:] else 'is'}"
    text = (
        f"on {change.first:%Y-%m-%d} the clocks of {window.location} {what} "
        f"{change.first:%H:%M} to {change.last:%H:%M}, where {marks}; "
        f"that day it is active {_stretches(interval, window, change)}"
    )
    yield _problem(document, path, text)


def _stretches(interval: TimeInterval, window: Window, change: ClockChange) -> str:
    """Return when the interval is active on the day of a change."""
    midnight = change.first.replace(hour=0, minute=0, tzinfo=window.zone).astimezone(UTC)
    end = midnight + hours.DAY
    found = []
    start = midnight
    while start < end:
        change_at = hours.next_change(interval, start) or end
        if hours.is_active(interval, start):
            found.append(f"{start:%H:%M} to {min(change_at, end):%H:%M}")
        start = change_at
    return f"{', '.join(found)} UTC" if found else "at no time"
