"""Which weekdays, days, months and years does `monday:friday` or `-3:-1` name?"""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
SHORTEST_MONTH = 28

_NUMBER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)


class Span(NamedTuple):
    """A range that contains both of its ends; weekdays that end before they begin go on over the weekend."""

    first: int
    last: int

    def includes(self, value: int) -> bool:
        """Return whether the value is in it."""
        if self.first <= self.last:
            return self.first <= value <= self.last
        return value >= self.first or value <= self.last


def _ends(value: object) -> tuple[str, str]:
    """Return both ends of `first:last`; a single value is both."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(  # noqa: TRY004 - pydantic reports a ValueError, not a TypeError
            f"{value!r} is not a range; write text such as 'monday:friday' or '1:15'"
        )
    text = str(value).lower()  # YAML reads a bare 15 as a number
    ends = text.split(":")
    if len(ends) > 2:
        raise ValueError(f'"{text}" is not a range; write first:last, or one value')
    return ends[0], ends[-1]


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f'"{text}" is not a number')
    return int(text)


def _weekday(text: str) -> int:
    if text not in WEEKDAYS:
        raise ValueError(f'"{text}" is not a weekday; write its English name, such as monday')
    return WEEKDAYS.index(text)


def _month(text: str) -> int:
    if text in MONTHS:
        return MONTHS.index(text) + 1
    if not _NUMBER.fullmatch(text):
        raise ValueError(f'"{text}" is not a month; write its English name or its number')
    return int(text)  # a number beyond 12 never comes; Alertmanager accepts it, so do we


def _span(value: object, read: Callable[[str], int]) -> Span:
    first, last = _ends(value)
    span = Span(read(first), read(last))
    if span.first > span.last:
        raise ValueError(f'"{first}:{last}" ends before it starts; write two ranges instead')
    return span


def _weekday_span(value: object) -> Span:
    return Span(*map(_weekday, _ends(value)))


def _month_span(value: object) -> Span:
    return _span(value, _month)


def _year_span(value: object) -> Span:
    return _span(value, _number)


def _day_span(value: object) -> Span:
    span = Span(*map(_number, _ends(value)))
    for day in span:
        if not 1 <= abs(day) <= 31:
            raise ValueError(f"{day} is not a day of the month; write 1 to 31, or -1 to -31 from the end")
    if span.first < 0 < span.last:
        raise ValueError(
            f"{span.first}:{span.last} counts from the end and then from the start; write two ranges"
        )
    first, last = (day if day > 0 else SHORTEST_MONTH + day for day in span)
    if first > last:
        raise ValueError(
            f"{span.first}:{span.last} ends before it starts in some months; write two ranges instead"
        )
    return span


def _written(names: Sequence[str], offset: int) -> Callable[[Span], str]:
    def write(span: Span) -> str:
        ends = [names[end - offset] if 0 <= end - offset < len(names) else str(end) for end in span]
        return ends[0] if span.first == span.last else ":".join(ends)

    return write


def _span_schema(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "integer"], "examples": [example]})


WeekdaySpan = Annotated[
    Span,
    PlainValidator(_weekday_span),
    PlainSerializer(_written(WEEKDAYS, 0), return_type=str),
    _span_schema("monday:friday"),
]
DaySpan = Annotated[
    Span,
    PlainValidator(_day_span),
    PlainSerializer(_written((), 0), return_type=str),
    _span_schema("1:15"),
]
MonthSpan = Annotated[
    Span,
    PlainValidator(_month_span),
    PlainSerializer(_written(MONTHS, 1), return_type=str),
    _span_schema("may:august"),
]
YearSpan = Annotated[
    Span,
    PlainValidator(_year_span),
    PlainSerializer(_written((), 0), return_type=str),
    _span_schema("2026:2028"),
]
