"""Who is on call, at this moment and next?

Turns are counted on the wall clock of the schedule's time zone: a hand-over at nine is at nine in summer
and in winter. One at a time that the clocks skip is at the moment they skip it; one at a time that comes
twice is at the first. Everything else is arithmetic in UTC.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import sha256
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from receiver.policy import hours
from receiver.policy.durations import Duration
from receiver.policy.hours import Location, TimeInterval, zone
from receiver.policy.record import Record

HORIZON = timedelta(days=366)  # a schedule that does not change within a year does not change
LOOKED_AHEAD = timedelta(weeks=4)  # for gaps in a schedule
HOUR = timedelta(hours=1)
SHORTEST_REFRESH = timedelta(minutes=1)

_WALL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", re.ASCII)


def _wall_time(value: object) -> datetime:
    text = value.isoformat() if isinstance(value, datetime) and value.tzinfo is None else str(value)
    try:
        if _WALL.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass  # the 31st of February: said below
    raise ValueError(f'"{text}" is not a date and time of day; write it as 2026-01-05T09:00, without a zone')


Name = Annotated[str, Field(min_length=1)]
WallTime = Annotated[datetime, BeforeValidator(_wall_time)]


class Rotation(Record):
    """People who take turns."""

    name: Name
    people: Annotated[tuple[Name, ...], Field(min_length=1)]
    every: Duration  # how long one turn is
    starts_at: WallTime  # the first hand-over, and with it the time of day of all others
    ends_at: WallTime | None = None
    active_time_intervals: tuple[Name, ...] = ()  # at other times it is as if the rotation were not there

    @model_validator(mode="after")
    def _turns_are_whole_hours(self) -> Self:
        if self.every < HOUR or self.every % HOUR:
            raise ValueError("every: a turn is a whole number of hours, at least one, such as 12h, 1d or 1w")
        if self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValueError("ends_at: lies before starts_at")
        return self


class Calendar(Record):
    """An iCalendar feed or file whose events are shifts."""

    url: SecretStr | None = None  # whoever knows it can often read everything
    file: Name | None = None
    refresh: Duration = timedelta(minutes=15)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.url is None) == (self.file is None):
            raise ValueError("needs exactly one of url and file")
        if self.url is not None and not self.url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("url: must be a web address that begins with http:// or https://")
        if self.refresh < SHORTEST_REFRESH:
            raise ValueError("refresh: at least a minute")
        return self


class Schedule(Record):
    """Rotations, of which the last that has somebody says who is on call, and above them a calendar."""

    name: Name
    time_zone: Location = "UTC"
    rotations: tuple[Rotation, ...] = ()
    calendar: Calendar | None = None

    @model_validator(mode="after")
    def _has_somebody(self) -> Self:
        if not self.rotations and self.calendar is None:
            raise ValueError("needs rotations or a calendar")
        return self

    @property
    def calendar_key(self) -> str:
        """A digest of where its calendar is: the address may hold a secret."""
        assert self.calendar is not None  # noqa: S101 - only asked of those that have one
        url = self.calendar.url.get_secret_value() if self.calendar.url else ""
        where = (url, self.calendar.file, self.time_zone)  # the zone counts where the calendar names none
        return sha256(repr(where).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody takes a schedule over for a while, because a person or a calendar says so."""

    id: int
    person: str
    starts_at: datetime
    ends_at: datetime
    through: str = "override"  # or `calendar`, with an id below 0: what a person said is newer


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a calendar."""

    title: str
    mails: tuple[str, ...]  # of those who attend, in lower case
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Shift:
    """A stretch of time in which the answer is the same; nobody is on call in a gap."""

    person: str | None
    through: str | None  # the rotation, `calendar` or `override`
    starts_at: datetime
    ends_at: datetime | None  # None: it does not change within a year


Intervals = Mapping[str, TimeInterval]


def on_call(
    schedule: Schedule, overrides: Sequence[Override], intervals: Intervals, at: datetime
) -> tuple[str | None, str | None]:
    """Return who is on call, and through what: a rotation, `calendar` or `override`.

    Nobody in a gap: (None, None). Of overrides that overlap, the one made last counts.
    """
    taken = [one for one in overrides if one.starts_at <= at < one.ends_at]
    if taken:
        newest = max(taken, key=lambda one: one.id)
        return newest.person, newest.through
    where = zone(schedule.time_zone)
    for rotation in reversed(schedule.rotations):
        person = _whose_turn(rotation, where, intervals, at)
        if person is not None:
            return person, rotation.name
    return None, None


def next_change(
    schedule: Schedule, overrides: Sequence[Override], intervals: Intervals, after: datetime
) -> datetime | None:
    """Return the first instant after `after` at which another is on call; None if not within a year."""
    now, at = on_call(schedule, overrides, intervals, after), after
    while True:
        moments = [m for m in _boundaries(schedule, overrides, intervals, at) if m > at]
        at = min(moments, default=after + HORIZON)
        if at >= after + HORIZON:
            return None
        if on_call(schedule, overrides, intervals, at) != now:
            return at


def shifts(
    schedule: Schedule, overrides: Sequence[Override], intervals: Intervals, since: datetime, until: datetime
) -> Iterator[Shift]:
    """Yield who is on call from `since` to `until`, gaps included, in order and without holes.

    The first shift begins at `since`; the last ends when it ends, which may be after `until`.
    """
    at: datetime | None = since
    while at is not None and at < until:
        end = next_change(schedule, overrides, intervals, at)
        yield Shift(*on_call(schedule, overrides, intervals, at), at, end)
        at = end


def shifts_of(
    events: Sequence[Event], people: Collection[str], mails: Mapping[str, str]
) -> tuple[list[Override], list[str]]:
    """Return who is on call by a calendar, and the titles of events that name nobody in `people`.

    A title is a name, in any case; else the first who attends and whose mail is known is meant. Of events
    that overlap, the one that begins last counts, and of those that begin together the shorter.
    """
    names = {name.casefold(): name for name in people}
    found, unknown = [], []
    for event in sorted(events, key=lambda one: (one.starts_at, -one.ends_at.timestamp(), one.title)):
        attends = (mails[mail] for mail in event.mails if mail in mails)
        person = names.get(event.title.casefold()) or next(attends, None)
        if person is None:
            unknown.append(event.title)
        else:
            found.append((person, event))
    first = -len(found)
    return [
        Override(first + number, person, event.starts_at, event.ends_at, "calendar")
        for number, (person, event) in enumerate(found)
    ], unknown


def next_gap(
    schedule: Schedule, overrides: Sequence[Override], intervals: Intervals, since: datetime, until: datetime
) -> Shift | None:
    """Return the first stretch from `since` to `until` without anybody on call, None if there is none."""
    found = shifts(schedule, overrides, intervals, since, until)
    return next((shift for shift in found if shift.person is None), None)


def _whose_turn(rotation: Rotation, where: tzinfo, intervals: Intervals, at: datetime) -> str | None:
    if rotation.active_time_intervals and not any(
        hours.is_active(intervals[name], at) for name in rotation.active_time_intervals
    ):
        return None
    if rotation.ends_at is not None and at >= _instant(rotation.ends_at, where):
        return None
    turn = _turn(rotation, where, at)
    return None if turn < 0 else rotation.people[turn % len(rotation.people)]


def _turn(rotation: Rotation, where: tzinfo, at: datetime) -> int:
    """Return the number of the turn under way, below 0 before the first."""
    wall = at.astimezone(where).replace(tzinfo=None)
    turn = (wall - rotation.starts_at) // rotation.every
    # In the hour that comes twice the clocks show less than has passed.
    while _instant(rotation.starts_at + (turn + 1) * rotation.every, where) <= at:
        turn += 1
    return turn


def _boundaries(
    schedule: Schedule, overrides: Sequence[Override], intervals: Intervals, at: datetime
) -> Iterator[datetime]:
    """Yield when the answer may change next, for each thing that it depends on."""
    where = zone(schedule.time_zone)
    for override in overrides:
        yield override.starts_at
        yield override.ends_at
    for rotation in schedule.rotations:
        turn = max(_turn(rotation, where, at), -1)
        yield _instant(rotation.starts_at + (turn + 1) * rotation.every, where)
        if rotation.ends_at is not None:
            yield _instant(rotation.ends_at, where)
        for name in rotation.active_time_intervals:
            change = hours.next_change(intervals[name], at)
            if change is not None:
                yield change


def _instant(wall: datetime, where: tzinfo) -> datetime:
    """Return when the clocks show a time: at the first moment if twice, when they skip it if never."""
    first = wall.replace(tzinfo=where, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=where, fold=1).astimezone(UTC)
    if second >= first:
        return first
    before, after = second, first  # in a gap the folds change sides, and the clocks change between them
    offset = before.astimezone(where).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(where).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
