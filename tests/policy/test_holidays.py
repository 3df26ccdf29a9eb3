"""Holidays are the days of a country, of a calendar and of a list, and nothing else."""

from datetime import date

import pytest
from pydantic import ValidationError

from receiver.policy.holidays import READER, Holidays


@pytest.mark.parametrize(
    ("written", "day", "is_holiday"),
    [
        pytest.param({"country": "US"}, "2026-11-26", True, id="the fourth Thursday of November"),
        pytest.param({"country": "US"}, "2026-11-27", False, id="the day after"),
        pytest.param({"country": "USA"}, "2026-11-26", True, id="a code of three letters"),
        pytest.param({"country": "UK"}, "2026-12-25", True, id="a code that many write"),
        pytest.param({"country": "US"}, "2027-12-31", True, id="the new year, kept in the old one"),
        pytest.param({"country": "US"}, "2026-02-12", False, id="a day that only some states keep"),
        pytest.param({"country": "US", "subdivision": "NY"}, "2026-02-12", True, id="in one that does"),
        pytest.param({"country": "PT"}, "2090-04-25", True, id="far ahead"),
        pytest.param({"dates": ["2026-12-24"]}, "2026-12-24", True, id="a day of the list"),
        pytest.param({"dates": ["2026-12-24"]}, "2027-12-24", False, id="the same day a year later"),
        pytest.param({"country": "US", "dates": ["2026-12-24"]}, "2026-12-24", True, id="a list besides"),
        pytest.param({"country": "US", "dates": ["2026-12-24"]}, "2026-12-25", True, id="a country besides"),
    ],
)
def test_a_day_is_a_holiday_or_not(written, day, is_holiday):
    assert Holidays.model_validate(written).includes(date.fromisoformat(day)) is is_holiday


def test_a_calendar_says_which_days_of_a_year_it_has():
    def read(file):
        return lambda year: frozenset({date(year, 5, 2)}) if file == "ours.ics" else frozenset()

    found = Holidays.model_validate({"calendar_file": "ours.ics"}, context={READER: read})

    assert found.includes(date(2027, 5, 2))
    assert not found.includes(date(2027, 5, 3))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param({}, "names no day; write country, dates or calendar_file", id="nothing"),
        pytest.param({"country": "XX"}, "write a code such as US or DE", id="a country that is none"),
        pytest.param({"country": "Untied States"}, 'did you mean "US"', id="a name, not quite right"),
        pytest.param({"country": "us"}, 'did you mean "US"', id="small letters"),
        pytest.param({"country": "BR", "subdivision": "Sao Paulo"}, 'of "Sao Paulo" in BR', id="a part by its name"),
        pytest.param({"country": "US", "subdivision": "New York"}, 'did you mean "NY"', id="a part by a known name"),
        pytest.param({"country": "DE", "subdivision": "Q"}, "the codes there are Augsburg, BB", id="a part that is none"),
        pytest.param({"country": "MC", "subdivision": "Q"}, "are known of parts of MC; remove it", id="a part of a country without any"),
        pytest.param({"subdivision": "NY"}, "write the country as well", id="a part of no country"),
        pytest.param({"dates": ["2026-02-31"]}, '"2026-02-31" is not a day', id="a day that is none"),
        pytest.param({"dates": ["24.12.2026"]}, "write it as 2026-12-24", id="a day in another order"),
        pytest.param({"dates": [20261224]}, "write it as 2026-12-24", id="a number"),
        pytest.param({"calendar_file": "x.ics"}, "no calendar is read here", id="a file, without anybody to read it"),
        pytest.param({"days": []}, "Extra inputs", id="an unknown key"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_write(written, said):
    with pytest.raises(ValidationError, match=said):
        Holidays.model_validate(written)


def test_what_follows_from_an_unknown_country_is_not_said():
    with pytest.raises(ValidationError) as refused:
        Holidays.model_validate({"country": "XX", "subdivision": "Q"})

    assert refused.value.error_count() == 1


def test_holidays_that_are_written_out_can_be_read_again():
    found = Holidays.model_validate({"country": "US", "subdivision": "NY", "dates": ["2026-12-24"]})

    assert Holidays.model_validate(found.model_dump()) == found
    assert Holidays.model_validate_json(found.model_dump_json()) == found
