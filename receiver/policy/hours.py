"""When is a time interval active, and when does that change?

A window is asked what the clocks of its location show, minute by minute. So an hour that the clocks skip
never comes, one that they show twice comes twice, and one that begins inside a gap begins after it.
"""

import re
import zoneinfo
from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cached_property, lru_cache
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from receiver.policy.holidays import Holidays
from receiver.policy.record import Record
from receiver.policy.spans import DaySpan, MonthSpan, Span, WeekdaySpan, YearSpan

HORIZON = timedelta(days=5 * 366)  # far enough for 29 February, except around 2100
YEAR = timedelta(days=366)  # a page that waits longer is asked about again before
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
MIDNIGHT = 24 * 60  # the minute at which a day ends
WHOLE_DAY = ((0, MIDNIGHT),)

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00", re.ASCII)


def _check_clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError(f'"{text}" is not a time of day; write hours and minutes as 09:00, up to 24:00')
    return text


ClockTime = Annotated[str, AfterValidator(_check_clock)]


class TimeRange(Record):
    """A part of the day: the start belongs to it, the end does not.

    One that ends before it starts goes on over midnight, and belongs to the day on which it starts.
    """

    start_time: ClockTime
    end_time: ClockTime

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.start_time in {self.end_time, "24:00"}:
            raise ValueError(
                f"{self.start_time} to {self.end_time} is no time at all; "
                "a whole day is 00:00 to 24:00, and a night such as 22:00 to 06:00"
            )
        return self

    @property
    def stretch(self) -> tuple[int, int]:
        """Return its minutes, counted from the midnight before it; over midnight that is more than a day."""
        start, end = _minutes(self.start_time), _minutes(self.end_time)
        return start, end if start < end else end + MIDNIGHT


class _MachineZone(tzinfo):
    """What Alertmanager calls `Local`: whatever the machine is set to."""

    def utcoffset(self, at: datetime | None) -> timedelta | None:
        return at.replace(tzinfo=None).astimezone().utcoffset() if at else None

    def dst(self, _at: datetime | None) -> timedelta | None:
        return None

    def tzname(self, _at: datetime | None) -> str:
        return "Local"

    def fromutc(self, at: datetime) -> datetime:
        return at.replace(tzinfo=UTC).astimezone().replace(tzinfo=self)


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """Return the time zone of this name; ValueError if there is none."""
    if name in {"", "UTC"}:
        return UTC
    if name == "Local":
        return _MachineZone()
    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a name at all, or a folder of names
        raise ValueError(f'"{name}" is not a time zone; write a name such as Europe/Lisbon or UTC') from None


def _check_location(name: str) -> str:
    zone(name)
    return name


Location = Annotated[str, AfterValidator(_check_location)]


class Window(Record):
    """A recurring stretch of time; what is not said does not restrict it."""

    times: tuple[TimeRange, ...] | None = None
    weekdays: tuple[WeekdaySpan, ...] | None = None
    days_of_month: tuple[DaySpan, ...] | None = None
    months: tuple[MonthSpan, ...] | None = None
    years: tuple[YearSpan, ...] | None = None
    location: Location = "UTC"

    @cached_property
    def stretches(self) -> tuple[tuple[int, int], ...]:
        """Return the minutes that count, in order and joined where they touch, those after midnight too."""
        if self.times is None:
            return WHOLE_DAY
        joined: list[tuple[int, int]] = []
        for start, end in sorted(each.stretch for each in self.times):
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        return tuple(joined)

    @cached_property
    def is_overnight(self) -> bool:
        """Return whether some of it is on the day after the one that it belongs to."""
        return any(end > MIDNIGHT for _, end in self.stretches)

    @cached_property
    def zone(self) -> tzinfo:
        """Return the zone whose wall clock counts."""
        return zone(self.location)


def _minutes(clock_time: str) -> int:
    hours, minutes = clock_time.split(":")
    return int(hours) * 60 + int(minutes)


class TimeInterval(Record):
    """A named set of windows; it is active while any of them is, holidays left out."""

    name: Annotated[str, Field(min_length=1)]
    time_intervals: tuple[Window, ...] = ()
    holidays: Holidays | None = None


def is_active(interval: TimeInterval, at: datetime) -> bool:
    """Return whether the instant lies in one of the interval's windows."""
    return any(_contains(window, interval.holidays, at) for window in interval.time_intervals)


def next_change(interval: TimeInterval, after: datetime) -> datetime | None:
    """Return the first instant after `after` at which the interval opens or closes.

    None means that it does not within about five years.
    """
    active = is_active(interval, after)
    for day in _days(after, HORIZON):
        if not _stays(interval, day, active=active):
            for instant in _instants([interval], day):
                if instant > after and is_active(interval, instant) is not active:
                    return instant
    return None


def is_open(active: Sequence[TimeInterval], mute: Sequence[TimeInterval], at: datetime) -> tuple[bool, str]:
    """Return whether a route with these intervals may notify at the instant, and why."""
    if active and not any(is_active(interval, at) for interval in active):
        return False, f"outside active_time_intervals {', '.join(_closed(each, at) for each in active)}"
    muting = [interval for interval in mute if is_active(interval, at)]
    if muting:
        return False, f"inside mute_time_intervals {_names(muting)}"
    return True, "open"


def opens_at(
    active: Sequence[TimeInterval], mute: Sequence[TimeInterval], after: datetime
) -> datetime | None:
    """Return the first instant, `after` or later, at which such a route may notify.

    None means that it may not within about a year.
    """
    if is_open(active, mute, after)[0]:
        return after
    for day in _days(after, YEAR):
        if not _stays_closed(active, mute, day):
            for instant in _instants([*active, *mute], day):
                if instant > after and is_open(active, mute, instant)[0]:
                    return instant
    return None


def _names(intervals: Sequence[TimeInterval]) -> str:
    return ", ".join(interval.name for interval in intervals)


def _closed(interval: TimeInterval, at: datetime) -> str:
    """Return the name of an interval that is not active, and whether that is for a holiday."""
    is_holiday = any(_contains(window, None, at) for window in interval.time_intervals)
    return f"{interval.name} (a holiday)" if is_holiday else interval.name


def _contains(window: Window, holidays: Holidays | None, at: datetime) -> bool:
    local = at.astimezone(window.zone)
    today, minute = local.date(), local.hour * 60 + local.minute
    if _has_minute(window, minute) and has_day(window, holidays, today):
        return True
    return _has_minute(window, minute + MIDNIGHT) and has_day(window, holidays, today - DAY)


def _has_minute(window: Window, minute: int) -> bool:
    return any(start <= minute < end for start, end in window.stretches)


def has_day(window: Window, holidays: Holidays | None, day: date) -> bool:
    """Return whether the local day satisfies everything but the time of day."""
    return (
        _within(day.isoweekday() % 7, window.weekdays)
        and _within(day.month, window.months)
        and _within(day.year, window.years)
        and (window.days_of_month is None or _has_day_of_month(window.days_of_month, day))
        and not (holidays is not None and holidays.includes(day))
    )


def _within(value: int, spans: tuple[Span, ...] | None) -> bool:
    return spans is None or any(span.includes(value) for span in spans)


def _has_day_of_month(spans: tuple[Span, ...], day: date) -> bool:
    length = monthrange(day.year, day.month)[1]
    ends = ([end if end > 0 else length + 1 + end for end in span] for span in spans)
    return any(first <= day.day <= last for first, last in ends)


def _days(after: datetime, horizon: timedelta) -> Iterator[datetime]:
    """Yield the start of every UTC day from the one of `after` until the horizon."""
    first = after.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (first + DAY * number for number in range(horizon.days + 1))


def _stays(interval: TimeInterval, day: datetime, *, active: bool) -> bool:
    """Return whether the interval certainly stays as it is for the whole UTC day."""
    return _all_day(interval, day) if active else _no_time(interval, day)


def _stays_closed(active: Sequence[TimeInterval], mute: Sequence[TimeInterval], day: datetime) -> bool:
    """Return whether such a route certainly may not notify on the UTC day."""
    idle = bool(active) and all(_no_time(interval, day) for interval in active)
    return idle or any(_all_day(interval, day) for interval in mute)


def _all_day(interval: TimeInterval, day: datetime) -> bool:
    return any(_fills(window, interval.holidays, day) for window in interval.time_intervals)


def _no_time(interval: TimeInterval, day: datetime) -> bool:
    return not any(_touches(window, interval.holidays, day) for window in interval.time_intervals)


def _local_days(window: Window, day: datetime) -> list[date]:
    """Return the local dates that a UTC day can touch, and the one before where a night goes on from it."""
    zone = window.zone
    first, last = day.astimezone(zone).date(), (day + DAY).astimezone(zone).date()
    if window.is_overnight:
        first -= DAY
    return [first + DAY * number for number in range((last - first).days + 1)]


def _fills(window: Window, holidays: Holidays | None, day: datetime) -> bool:
    whole = window.stretches == WHOLE_DAY
    return whole and all(has_day(window, holidays, each) for each in _local_days(window, day))


def _touches(window: Window, holidays: Holidays | None, day: datetime) -> bool:
    return bool(window.stretches) and any(
        has_day(window, holidays, each) for each in _local_days(window, day)
    )


def _instants(intervals: Sequence[TimeInterval], day: datetime) -> list[datetime]:
    """Return every instant of the UTC day, both of its ends included, at which an interval might change."""
    found: set[datetime] = set()
    for interval in intervals:
        for window in interval.time_intervals:
            shifts = set(clock_shift(window.zone, day))
            found |= shifts
            # When clocks go back, the same wall time comes twice.
            found.update(_boundaries(window, day, folds=(0, 1) if shifts else (0,)))
    return sorted(instant for instant in found if day <= instant <= day + DAY)


def _boundaries(window: Window, day: datetime, folds: Sequence[int]) -> Iterator[datetime]:
    marks = {0, *(minute for span in window.stretches for minute in span)}
    for each in _local_days(window, day):
        midnight = datetime(each.year, each.month, each.day)  # noqa: DTZ001 - wall clock; the zone follows
        for mark in marks:
            for fold in folds:
                wall = (midnight + mark * MINUTE).replace(tzinfo=window.zone, fold=fold)
                yield wall.astimezone(UTC)


def clock_shift(zone: tzinfo, day: datetime) -> Iterator[datetime]:
    """Yield the instant of the UTC day at which the zone's clocks are changed, if there is one."""
    before, after = day, day + DAY
    offset = before.astimezone(zone).utcoffset()
    if offset == after.astimezone(zone).utcoffset():
        return
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    yield after
