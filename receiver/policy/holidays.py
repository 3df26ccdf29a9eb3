"""Which days are holidays?"""

import difflib
import re
from collections.abc import Callable
from datetime import date
from functools import cached_property, lru_cache
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from receiver.policy.record import Record

DaysOfYear = Callable[[int], frozenset[date]]

READER = "calendars"  # where whoever reads the configuration says how a calendar file is read

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _day(value: object) -> date:
    text = value.isoformat() if isinstance(value, date) else str(value)
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass  # the 31st of February: said below
    raise ValueError(f'"{text}" is not a day; write it as 2026-12-24')


Day = Annotated[date, BeforeValidator(_day)]
Name = Annotated[str, Field(min_length=1)]


def _none(_year: int) -> frozenset[date]:
    return frozenset()


class Holidays(Record):
    """Days that are in none of the windows of an interval, whatever these say."""

    country: Name | None = None
    subdivision: Name | None = None
    dates: tuple[Day, ...] = ()
    calendar_file: Name | None = None

    _in_calendar: DaysOfYear = PrivateAttr(default_factory=lambda: _none)

    @field_validator("country")
    @classmethod
    def _check_country(cls, code: str | None) -> str | None:
        if code is not None and code not in _countries():
            raise ValueError(
                f'no holidays are known of the country "{code}"; write a code such as US or DE'
                + _meant(code, _countries())
            )
        return code

    @field_validator("subdivision")
    @classmethod
    def _check_subdivision(cls, code: str | None, known: ValidationInfo) -> str | None:
        country = known.data.get("country")
        if code is None or "country" not in known.data:  # a country that is none is said already
            return code
        if country is None:
            raise ValueError("is a part of a country; write the country as well")
        parts = _subdivisions(country)
        if not parts:
            raise ValueError(f"no holidays are known of parts of {country}; remove it")
        if code not in parts.values():
            advice = _meant(code, parts) or f"; the codes there are {', '.join(sorted({*parts.values()}))}"
            raise ValueError(f'no holidays are known of "{code}" in {country}{advice}')
        return code

    @field_validator("calendar_file")
    @classmethod
    def _check_calendar(cls, file: str | None, known: ValidationInfo) -> str | None:
        if file is not None:
            _calendar(file, known)  # said at its own place, if it cannot be read
        return file

    @model_validator(mode="after")
    def _read_calendar(self, known: ValidationInfo) -> Self:
        if self.calendar_file is not None:
            self._in_calendar = _calendar(self.calendar_file, known)
        elif not (self.country or self.dates):
            raise ValueError("names no day; write country, dates or calendar_file")
        return self

    def includes(self, day: date) -> bool:
        """Return whether the day is one of them."""
        return day in self.of_year(day.year)

    @cached_property
    def of_year(self) -> DaysOfYear:
        """What returns the holidays of a year."""
        return lru_cache(maxsize=64)(self._of_year)

    def _of_year(self, year: int) -> frozenset[date]:
        named = _of_country(self.country, self.subdivision, year) if self.country else frozenset()
        return named | self._in_calendar(year) | {day for day in self.dates if day.year == year}


def _calendar(file: str, known: ValidationInfo) -> DaysOfYear:
    """Return what the file holds, as whoever reads the configuration says; policy reads no files itself."""
    read: Callable[[str], DaysOfYear] | None = (known.context or {}).get(READER)
    if read is None:
        raise ValueError("no calendar is read here; write the dates")
    return read(file)


def _library() -> Any:
    import holidays  # noqa: PLC0415 - it takes a quarter of a second and 30 MB, and few name a country

    return holidays


@lru_cache(maxsize=1)
def _countries() -> dict[str, str]:
    """Return the code of each country by its codes and by its name."""
    from holidays.registry import COUNTRIES  # noqa: PLC0415 - the same

    return {each: code for name, code, *others in COUNTRIES.values() for each in (name, code, *others)}


@lru_cache(maxsize=256)
def _subdivisions(country: str) -> dict[str, str]:
    """Return the code of each part of a country by its code and by its name."""
    found = _library().country_holidays(country)
    names = getattr(found, "subdivisions_aliases", {})
    return {**names, **{code: code for code in found.subdivisions}}


@lru_cache(maxsize=1024)
def _of_country(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    return frozenset(_library().country_holidays(country, subdiv=subdivision, years=year, expand=False))


def _meant(word: str, codes: dict[str, str]) -> str:
    """Return a suggestion, for who wrote a name or mistyped a code."""
    bare = {re.sub(r"\W", "", each).casefold(): code for each, code in codes.items()}
    near = difflib.get_close_matches(re.sub(r"\W", "", word).casefold(), bare, n=1)
    return f'; did you mean "{bare[near[0]]}"?' if near else ""
