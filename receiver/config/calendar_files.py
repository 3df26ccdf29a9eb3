"""Which days are in a calendar file?"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

LARGEST = 512 * 1024  # bytes; some six thousand events, which take two seconds to read
TOO_OFTEN = {"SECONDLY", "MINUTELY", "HOURLY", "BYHOUR", "BYMINUTE", "BYSECOND"}  # endless to count
DAY = timedelta(days=1)
MISSING = 'needs the extra "ical"; install tocsin[ical]'


def days_in(file: str) -> Callable[[int], frozenset[date]]:
    """Return what finds the days that events of the file touch in a year; ValueError if it is no calendar."""
    text = _text(file)
    try:
        import icalendar  # noqa: PLC0415 - an extra, which few have
        import recurring_ical_events  # noqa: PLC0415 - the same
    except ImportError:
        raise ValueError(f"{MISSING}") from None
    try:
        calendar: Any = icalendar.Calendar.from_ical(text)
        events = calendar.walk("VEVENT")
        for event in events:
            _check(event)
        query = recurring_ical_events.of(calendar)
        years = [event["DTSTART"].dt.year for event in events]

        def find(year: int) -> frozenset[date]:
            found = query.between(date(year, 1, 1), date(year + 1, 1, 1))
            kept = (event for event in found if event.get("STATUS") != "CANCELLED")
            return frozenset(day for event in kept for day in _touched(event, year))

        if years:
            find(max(years))  # whatever is wrong with its rules is said now, not at night
    except _Unfit:
        raise
    except Exception as error:  # noqa: BLE001 - the libraries raise whatever their parsers stumble over
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{file} is no iCalendar file that can be read: {said}; export it anew") from None
    if not years:
        raise ValueError(f"there are no events in {file}; export it anew")
    return find


class _Unfit(ValueError):
    """An event that cannot be a holiday."""


def _text(file: str) -> bytes:
    path = Path(file)
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"{file} is no file; correct the path")
        with path.open("rb") as opened:
            text = opened.read(LARGEST + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"{file} cannot be read: {reason}; write it, or correct the path") from None
    if len(text) > LARGEST:
        raise ValueError(f"{file} is larger than {LARGEST // 1024} kB; export a calendar of holidays alone")
    return text


def _check(event: Any) -> None:
    name = " ".join(str(event.get("SUMMARY", "without a name")).split())[:80]
    if event.errors:
        key, why = event.errors[0]
        raise _Unfit(f'the event "{name}" has an unusable {key}: {why}; correct it')
    if "DTSTART" not in event:
        raise _Unfit(f'the event "{name}" has no DTSTART; correct it')
    rules = event.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        if TOO_OFTEN & {*rule, *map(str.upper, rule.get("FREQ", []))}:
            raise _Unfit(f'the event "{name}" comes more often than daily; remove it')


def _touched(event: Any, year: int) -> Iterator[date]:
    """Yield the days of the event on its own clocks; an end at midnight touches nothing of that day."""
    start, end = event["DTSTART"].dt, event["DTEND"].dt
    if end > start:
        end -= timedelta(microseconds=1) if isinstance(end, datetime) else DAY
    day, last = max(_day(start), date(year, 1, 1)), min(_day(end), date(year, 12, 31))
    while day <= last:
        yield day
        day += DAY


def _day(at: date) -> date:
    return at.date() if isinstance(at, datetime) else at
