"""Durations are Prometheus' durations."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from receiver.policy.durations import LONGEST, PATTERN, Duration, format_duration, in_words, parse_duration

DURATION = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0", timedelta(), id="zero needs no unit"),
        pytest.param("0s", timedelta(), id="zero may have one"),
        pytest.param("1ms", timedelta(milliseconds=1), id="milliseconds are the smallest unit"),
        pytest.param("30s", timedelta(seconds=30), id="seconds"),
        pytest.param("5m", timedelta(minutes=5), id="m means minutes"),
        pytest.param("1h30m", timedelta(hours=1, minutes=30), id="units add up"),
        pytest.param("90m", timedelta(minutes=90), id="a unit may exceed the next larger one"),
        pytest.param("2w", timedelta(days=14), id="a week has seven days"),
        pytest.param("1y", timedelta(days=365), id="a year has 365 days"),
        pytest.param(
            "1y2w3d4h5m6s7ms",
            timedelta(days=382, hours=4, minutes=5, seconds=6, milliseconds=7),
            id="all units at once",
        ),
    ],
)
def test_a_duration_is_read(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("5", id="no unit"),
        pytest.param("m", id="no number"),
        pytest.param("30m1h", id="units from small to large"),
        pytest.param("1h1h", id="a unit twice"),
        pytest.param("-5m", id="negative"),
        pytest.param("1.5h", id="fractions"),
        pytest.param("1 h", id="a space inside"),
        pytest.param(" 1h", id="a space before"),
        pytest.param("1h\n", id="a line break after"),
        pytest.param("5M", id="capitals"),
        pytest.param("\u0665m", id="digits of other scripts"),
        pytest.param("00", id="zero twice"),
    ],
)
def test_what_is_not_a_duration_is_refused_with_examples(text):
    with pytest.raises(ValueError, match="is not a duration; write numbers with units, largest first"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["293y", "99999999999999999999y"])
def test_a_duration_that_prometheus_could_not_count_is_refused(text):
    with pytest.raises(ValueError, match="is too long; durations end at 292 years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        pytest.param(timedelta(), "0s", id="zero"),
        pytest.param(timedelta(days=14), "2w", id="whole weeks"),
        pytest.param(timedelta(days=10), "10d", id="days that are not whole weeks"),
        pytest.param(timedelta(days=365), "1y", id="whole years"),
        pytest.param(timedelta(minutes=90), "1h30m", id="hours and minutes"),
        pytest.param(timedelta(milliseconds=1500), "1s500ms", id="milliseconds"),
    ],
)
def test_a_duration_is_written_as_prometheus_writes_it(duration, expected):
    assert format_duration(duration) == expected


@settings(deadline=None)  # busy machines take longer
@given(
    st.integers(min_value=0, max_value=LONGEST // timedelta(milliseconds=1)).map(
        lambda count: timedelta(milliseconds=count)
    )
)
def test_what_is_written_is_read_back(duration):
    assert parse_duration(format_duration(duration)) == duration


def test_a_field_takes_text_durations_and_a_bare_zero():
    taken = [DURATION.validate_python(value) for value in ("5m", timedelta(minutes=5), 0)]

    assert taken == [timedelta(minutes=5), timedelta(minutes=5), timedelta()]


@pytest.mark.parametrize("value", [5, False, None, timedelta(seconds=-1), 1.5])
def test_a_field_refuses_numbers_without_a_unit(value):
    with pytest.raises(ValidationError, match="is not a duration; write a number with its unit"):
        DURATION.validate_python(value)


def test_a_field_is_text_again_when_written_and_in_the_schema():
    assert DURATION.dump_python(timedelta(minutes=5)) == "5m"
    assert DURATION.json_schema()["type"] == "string"
    assert DURATION.json_schema()["pattern"] == PATTERN


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        pytest.param(0, "0 s", id="nothing"),
        pytest.param(119.9, "119 s", id="seconds up to two minutes"),
        pytest.param(120, "2 min", id="minutes from there"),
        pytest.param(7199, "119 min", id="up to two hours"),
        pytest.param(7200, "2 h", id="whole hours"),
        pytest.param(7500, "2 h 5 min", id="hours and minutes"),
        pytest.param(172799, "47 h 59 min", id="up to two days"),
        pytest.param(172800, "2 d", id="days from there"),
    ],
)
def test_a_person_reads_about_how_long_it_is(seconds, said):
    assert in_words(timedelta(seconds=seconds)) == said
