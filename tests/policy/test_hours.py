"""Time intervals are active when Alertmanager says so, and the next change is exact."""

import contextlib
from datetime import UTC, date, datetime, timedelta

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from receiver.policy.hours import HORIZON, TimeInterval, TimeRange, is_active, is_open, next_change, opens_at
from tests.policy.tables import table, texts

UPSTREAM = table("timeintervals/upstream.json")
CURATED = table("timeintervals/oracle_curated.json")["cases"]
RANDOM = table("timeintervals/oracle_random.json")["cases"]
VALIDATION = table("timeintervals/oracle_validation.json")["cases"]

# Alertmanager refuses it while it reads YAML; here the configuration loader does.
READERS_MATTER = {"duplicate key"}

# What Alertmanager refuses and we read, so that a night and a weekend are one entry; whatever it accepts
# means the same here.
OVER_MIDNIGHT = {"times '23:00'-'01:00'", "{'start_time': '09:30', 'end_time': '07:41'}"}
OVER_THE_WEEKEND = {
    "start day before end day",
    "weekdays 'friday:monday'",
    "weekdays 'saturday:sunday'",
}
WRAPS = OVER_MIDNIGHT | OVER_THE_WEEKEND

# Upstream this is a Go value that no YAML can express; the table's YAML has the same instants in two spans.
UNWRITABLE = {"out of bound days are clamped to month boundaries"}


def interval(windows, name="hours", **more):
    return TimeInterval.model_validate({"name": name, "time_intervals": windows, **more})


def read(row):
    """Return the interval of a row of the tables; some hold one window and not a list."""
    windows = texts(row["yaml"])
    return interval([windows] if row.get("yaml_shape") == "single" else windows)


def instant(text):
    return datetime.fromisoformat(text)


def spans(found):
    return None if found is None else [list(span) for span in found]


def as_in_the_table(window):
    times = window.times
    row = {
        "times_minutes": None
        if times is None
        else [[minutes(each.start_time), minutes(each.end_time)] for each in times],
        "weekdays_sunday0": spans(window.weekdays),
        "days_of_month": spans(window.days_of_month),
        "months": spans(window.months),
        "years": spans(window.years),
        "location": None if "location" not in window.model_fields_set else window.location or "UTC",
    }
    return {name: value for name, value in row.items() if value is not None}


def minutes(clock_time):
    return int(clock_time[:2]) * 60 + int(clock_time[3:])


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row["name"]) for row in UPSTREAM["valid"] + CURATED + RANDOM],
)
def test_an_interval_is_read_and_active_as_in_alertmanager(row):
    found = read(row)
    wanted = {each["time"]: each["contains"] for each in row["cases"] if each.get("time")}

    assert {time: is_active(found, instant(time)) for time in wanted} == wanted
    parsed = [as_in_the_table(window) for window in found.time_intervals]
    assert parsed == row["parsed"] or row["name"] in UNWRITABLE


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row["name"]) for row in UPSTREAM["invalid"] if row["name"] not in WRAPS]
)
def test_an_interval_that_alertmanagers_own_tests_refuse_is_refused(row):
    with pytest.raises(ValidationError):
        read(row)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row["name"]) for row in VALIDATION if row["name"] not in READERS_MATTER | WRAPS],
)
def test_an_interval_is_accepted_or_refused_as_in_alertmanager(row):
    if row["accepted"]:
        parsed = [as_in_the_table(window) for window in read(row).time_intervals]
        assert parsed == row.get("parsed", parsed)
        return

    with pytest.raises(ValidationError):
        read(row)


def test_what_alertmanager_refuses_and_we_read_is_all_listed():
    refused = {
        **{row["name"]: row["yaml"] for row in UPSTREAM["invalid"]},
        **{row["name"]: row["yaml"] for row in VALIDATION if not row["accepted"]},
        **{row["yaml"]: f"- times: [{row['yaml']}]" for row in UPSTREAM["time_ranges"] if not row["valid"]},
    }

    read_here = set()
    for name, text in refused.items():
        with contextlib.suppress(ValidationError, yaml.YAMLError):
            interval(texts(text))
            read_here.add(name)

    assert read_here == WRAPS | READERS_MATTER


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row["yaml"]) for row in UPSTREAM["time_ranges"] if row["yaml"] not in WRAPS],
)
def test_a_time_range_is_read_or_refused_as_in_alertmanager(row):
    written = texts(row["yaml"])
    if not row["valid"]:
        with pytest.raises(ValidationError):
            TimeRange.model_validate(written)
        return

    found = TimeRange.model_validate(written)

    assert (minutes(found.start_time), minutes(found.end_time)) == (row["start_minute"], row["end_minute"])


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row["name"]) for row in UPSTREAM["intervener_mutes"]["cases"]]
)
def test_several_intervals_mute_as_in_alertmanager(row):
    written = UPSTREAM["intervener_mutes"]["time_intervals"]
    mute = [interval(texts(text), name) for name, text in sorted(written.items())]

    notify, why = is_open([], mute, instant(row["now"]))

    assert notify is not row["muted"]
    assert why == ("open" if notify else f"inside mute_time_intervals {', '.join(row['muted_by'])}")


OFFICE = {"times": [{"start_time": "09:00", "end_time": "17:00"}], "weekdays": ["monday:friday"]}
NIGHT = {"times": [{"start_time": "02:15", "end_time": "02:45"}]}
OVERNIGHT = {"times": [{"start_time": "22:00", "end_time": "06:00"}]}


def night_in(zone):
    return interval([NIGHT | {"location": zone}])


def changes(found, after, until):
    """Return every instant between the two at which the interval opens or closes."""
    at, seen = instant(after), []
    while (following := next_change(found, at)) and following < instant(until):
        seen.append(following.isoformat().removesuffix("+00:00"))
        at = following
    return seen


@pytest.mark.parametrize(
    ("windows", "after", "wanted"),
    [
        pytest.param(
            [OFFICE], "2026-03-02T08:59:59+00:00", "2026-03-02T09:00:00+00:00", id="it opens on the minute"
        ),
        pytest.param(
            [OFFICE],
            "2026-03-02T09:00:00+00:00",
            "2026-03-02T17:00:00+00:00",
            id="an instant of change is before the next one",
        ),
        pytest.param(
            [OFFICE], "2026-03-06T17:00:00+00:00", "2026-03-09T09:00:00+00:00", id="a weekend is skipped"
        ),
        pytest.param(
            [OFFICE | {"location": "America/New_York"}],
            "2026-03-06T22:00:00+00:00",
            "2026-03-09T13:00:00+00:00",
            id="clocks change over the weekend",
        ),
        pytest.param(
            [OFFICE | {"location": "Asia/Kathmandu"}],
            "2026-03-02T00:00:00+00:00",
            "2026-03-02T03:15:00+00:00",
            id="a zone three quarters of an hour off",
        ),
        pytest.param(
            [{"days_of_month": ["29"], "months": ["february"]}],
            "2025-01-01T00:00:00+00:00",
            "2028-02-29T00:00:00+00:00",
            id="a leap day is years away",
        ),
        pytest.param(
            [{"days_of_month": ["-1"]}],
            "2026-02-01T00:00:00+00:00",
            "2026-02-28T00:00:00+00:00",
            id="the last day of a month",
        ),
        pytest.param(
            [{"years": ["2028"], "location": "Asia/Tokyo"}],
            "2026-02-01T00:00:00+00:00",
            "2027-12-31T15:00:00+00:00",
            id="a year begins earlier in the east",
        ),
        pytest.param(
            [OFFICE, {"weekdays": ["saturday", "sunday"]}],
            "2026-03-06T16:59:00+00:00",
            "2026-03-06T17:00:00+00:00",
            id="two windows with a gap",
        ),
        pytest.param(
            [{"weekdays": ["saturday"]}, {"weekdays": ["sunday"]}],
            "2026-03-07T12:00:00+00:00",
            "2026-03-09T00:00:00+00:00",
            id="two windows that touch",
        ),
        pytest.param(
            [OFFICE],
            "2026-03-02T10:00:00+05:00",
            "2026-03-02T09:00:00+00:00",
            id="the question may come from any zone",
        ),
        pytest.param([{}], "2026-03-02T00:00:00+00:00", None, id="a window without limits never closes"),
        pytest.param([], "2026-03-02T00:00:00+00:00", None, id="no windows never open"),
        pytest.param([{"times": []}], "2026-03-02T00:00:00+00:00", None, id="no times never open"),
        pytest.param([{"years": ["2020"]}], "2026-03-02T00:00:00+00:00", None, id="a year that is over"),
        pytest.param([{"months": ["13"]}], "2026-03-02T00:00:00+00:00", None, id="a month that never comes"),
        pytest.param(
            [
                {
                    "times": [
                        {"start_time": "12:00", "end_time": "24:00"},
                        {"start_time": "00:00", "end_time": "12:30"},
                    ]
                }
            ],
            "2026-03-02T00:00:00+00:00",
            None,
            id="times that fill the day together",
        ),
    ],
)
def test_the_next_change_is_found(windows, after, wanted):
    assert next_change(interval(windows), instant(after)) == (wanted and instant(wanted))


@pytest.mark.parametrize(
    ("found", "after", "until", "wanted"),
    [
        pytest.param(
            night_in("Europe/Berlin"),
            "2026-03-29T00:00:00Z",
            "2026-03-29T12:00:00Z",
            [],
            id="an hour that is skipped in spring never comes",
        ),
        pytest.param(
            night_in("Europe/Berlin"),
            "2026-10-25T00:00:00Z",
            "2026-10-25T12:00:00Z",
            ["2026-10-25T00:15:00", "2026-10-25T00:45:00", "2026-10-25T01:15:00", "2026-10-25T01:45:00"],
            id="an hour that comes twice in autumn comes twice",
        ),
        pytest.param(
            interval(
                [{"times": [{"start_time": "02:30", "end_time": "04:00"}], "location": "Europe/Berlin"}]
            ),
            "2026-03-29T00:00:00Z",
            "2026-03-29T12:00:00Z",
            ["2026-03-29T01:00:00", "2026-03-29T02:00:00"],
            id="a start inside the gap is the instant after it",
        ),
        pytest.param(
            interval(
                [{"times": [{"start_time": "02:30", "end_time": "04:00"}], "location": "Europe/Berlin"}]
            ),
            "2026-03-28T03:00:00Z",
            "2026-03-29T12:00:00Z",
            ["2026-03-29T01:00:00", "2026-03-29T02:00:00"],
            id="also when asked the day before",
        ),
        pytest.param(
            interval(
                [{"times": [{"start_time": "02:30", "end_time": "04:00"}], "location": "Europe/Berlin"}]
            ),
            "2026-10-25T00:00:00Z",
            "2026-10-25T12:00:00Z",
            ["2026-10-25T00:30:00", "2026-10-25T01:00:00", "2026-10-25T01:30:00", "2026-10-25T03:00:00"],
            id="clocks that go back close an interval for a while",
        ),
        pytest.param(
            night_in("Australia/Lord_Howe"),
            "2026-04-04T12:00:00Z",
            "2026-04-05T12:00:00Z",
            ["2026-04-04T15:45:00", "2026-04-04T16:15:00"],
            id="half an hour that comes before half an hour is repeated",
        ),
        pytest.param(
            interval(
                [{"times": [{"start_time": "01:45", "end_time": "02:00"}], "location": "Australia/Lord_Howe"}]
            ),
            "2026-04-04T12:00:00Z",
            "2026-04-05T12:00:00Z",
            ["2026-04-04T14:45:00", "2026-04-04T15:00:00", "2026-04-04T15:15:00", "2026-04-04T15:30:00"],
            id="half an hour that is repeated",
        ),
        pytest.param(
            interval([{"weekdays": ["sunday"], "location": "America/Havana"}]),
            "2026-03-08T00:00:00Z",
            "2026-03-09T12:00:00Z",
            ["2026-03-08T05:00:00", "2026-03-09T04:00:00"],
            id="a day that begins at one o'clock",
        ),
        pytest.param(
            interval([{"days_of_month": ["30"], "location": "Pacific/Apia"}]),
            "2011-12-29T00:00:00Z",
            "2012-01-02T00:00:00Z",
            [],
            id="a day that a country skipped",
        ),
    ],
)
def test_changes_of_the_clock_are_respected(found, after, until, wanted):
    assert changes(found, after, until) == wanted


@pytest.mark.parametrize(
    ("windows", "after", "until", "wanted"),
    [
        pytest.param(
            [OVERNIGHT],
            "2026-03-02T12:00:00Z",
            "2026-03-04T12:00:00Z",
            ["2026-03-02T22:00:00", "2026-03-03T06:00:00", "2026-03-03T22:00:00", "2026-03-04T06:00:00"],
            id="a night is one entry",
        ),
        pytest.param(
            [OVERNIGHT | {"weekdays": ["friday"]}],
            "2026-03-02T00:00:00Z",
            "2026-03-09T00:00:00Z",
            ["2026-03-06T22:00:00", "2026-03-07T06:00:00"],
            id="it belongs to the day on which it starts",
        ),
        pytest.param(
            [OVERNIGHT | {"days_of_month": ["-1"], "months": ["february"]}],
            "2026-02-01T00:00:00Z",
            "2026-04-01T00:00:00Z",
            ["2026-02-28T22:00:00", "2026-03-01T06:00:00"],
            id="and to that day's month",
        ),
        pytest.param(
            [OVERNIGHT | {"years": ["2026"]}],
            "2026-12-31T12:00:00Z",
            "2027-02-01T00:00:00Z",
            ["2026-12-31T22:00:00", "2027-01-01T06:00:00"],
            id="and to that day's year",
        ),
        pytest.param(
            [{"times": [{"start_time": "18:00", "end_time": "00:00"}]}],
            "2026-03-02T12:00:00Z",
            "2026-03-03T12:00:00Z",
            ["2026-03-02T18:00:00", "2026-03-03T00:00:00"],
            id="it may end at midnight",
        ),
        pytest.param(
            [{"times": [{"start_time": "22:00", "end_time": "06:00"}, {"start_time": "05:00", "end_time": "08:00"}]}],
            "2026-03-02T12:00:00Z",
            "2026-03-03T12:00:00Z",
            ["2026-03-02T22:00:00", "2026-03-03T08:00:00"],
            id="it overlaps with the morning",
        ),
        pytest.param(
            [{"times": [{"start_time": "22:00", "end_time": "06:00"}, {"start_time": "06:00", "end_time": "22:00"}]}],
            "2026-03-02T12:00:00Z",
            "2026-03-09T12:00:00Z",
            [],
            id="a night and a day are all the time there is",
        ),
        pytest.param(
            [{"weekdays": ["friday:monday"]}],
            "2026-03-02T12:00:00Z",
            "2026-03-11T12:00:00Z",
            ["2026-03-03T00:00:00", "2026-03-06T00:00:00", "2026-03-10T00:00:00"],
            id="a long weekend is one entry",
        ),
        pytest.param(
            [{"weekdays": ["saturday:sunday"]}],
            "2026-03-02T12:00:00Z",
            "2026-03-11T12:00:00Z",
            ["2026-03-07T00:00:00", "2026-03-09T00:00:00"],
            id="a weekend is one entry",
        ),
        pytest.param(
            [OVERNIGHT | {"weekdays": ["saturday:sunday"], "location": "America/New_York"}],
            "2026-03-02T12:00:00Z",
            "2026-03-11T12:00:00Z",
            ["2026-03-08T03:00:00", "2026-03-08T10:00:00", "2026-03-09T02:00:00", "2026-03-09T10:00:00"],
            id="a night in which the clocks skip an hour is shorter",
        ),
        pytest.param(
            [OVERNIGHT | {"location": "Australia/Lord_Howe"}],
            "2026-04-04T00:00:00Z",
            "2026-04-05T00:00:00Z",
            ["2026-04-04T11:00:00", "2026-04-04T19:30:00"],
            id="one in which they show half an hour twice is longer",
        ),
        pytest.param(
            [OVERNIGHT | {"location": "America/Santiago"}],
            "2026-04-04T12:00:00Z",
            "2026-04-05T12:00:00Z",
            ["2026-04-05T01:00:00", "2026-04-05T10:00:00"],
            id="clocks that go back at midnight, in the south",
        ),
        pytest.param(
            [OVERNIGHT | {"location": "America/Santiago"}],
            "2026-09-05T12:00:00Z",
            "2026-09-06T12:00:00Z",
            ["2026-09-06T02:00:00", "2026-09-06T09:00:00"],
            id="clocks that skip midnight, in the south",
        ),
        pytest.param(
            [OVERNIGHT | {"location": "Asia/Kolkata"}],
            "2026-03-29T12:00:00Z",
            "2026-03-30T12:00:00Z",
            ["2026-03-29T16:30:00", "2026-03-30T00:30:00"],
            id="a zone whose clocks are never changed",
        ),
    ],
)  # fmt: skip
def test_nights_and_weekends_are_one_entry(windows, after, until, wanted):
    assert changes(interval(windows), after, until) == wanted


@pytest.mark.parametrize(
    ("windows", "holidays", "after", "until", "wanted"),
    [
        pytest.param(
            [OFFICE], {"dates": ["2026-03-03"]}, "2026-03-02T12:00:00Z", "2026-03-04T12:00:00Z",
            ["2026-03-02T17:00:00", "2026-03-04T09:00:00"],
            id="a day that is named",
        ),
        pytest.param(
            [OFFICE | {"location": "America/New_York"}],
            {"country": "US"},
            "2026-07-02T12:00:00Z",
            "2026-07-06T15:00:00Z",
            ["2026-07-02T13:00:00", "2026-07-02T21:00:00", "2026-07-06T13:00:00"],
            id="a holiday on Saturday is kept on Friday",
        ),
        pytest.param(
            [OFFICE],
            {"country": "DE", "subdivision": "BY"},
            "2027-11-01T00:00:00Z",
            "2027-11-02T12:00:00Z",
            ["2027-11-02T09:00:00"],
            id="a holiday of a part of a country",
        ),
        pytest.param(
            [OFFICE],
            {"country": "DE", "subdivision": "BE"},
            "2027-11-01T00:00:00Z",
            "2027-11-01T12:00:00Z",
            ["2027-11-01T09:00:00"],
            id="that the other parts do not have",
        ),
        pytest.param(
            [{}], {"country": "US"}, "2063-12-24T12:00:00Z", "2063-12-27T00:00:00Z",
            ["2063-12-25T00:00:00", "2063-12-26T00:00:00"],
            id="far ahead, and all day",
        ),
        pytest.param(
            [{"location": "Asia/Tokyo"}, {"location": "America/New_York"}], {"dates": ["2026-03-03"]},
            "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z",
            ["2026-03-03T05:00:00", "2026-03-03T15:00:00"],
            id="the day is that of each window's location",
        ),
        pytest.param(
            [OVERNIGHT], {"dates": ["2026-03-03"]}, "2026-03-02T12:00:00Z", "2026-03-05T12:00:00Z",
            ["2026-03-02T22:00:00", "2026-03-03T06:00:00", "2026-03-04T22:00:00", "2026-03-05T06:00:00"],
            id="a night counts for the day on which it starts",
        ),
        pytest.param(
            [{"days_of_month": ["3"], "months": ["march"]}], {"dates": ["2026-03-03", "2027-03-03"]},
            "2026-01-01T00:00:00Z", "2028-06-01T00:00:00Z",
            ["2028-03-03T00:00:00", "2028-03-04T00:00:00"],
            id="it opens years later",
        ),
        pytest.param(
            [{"location": "Australia/Lord_Howe"}], {"dates": ["2026-04-05"]},
            "2026-04-01T00:00:00Z", "2026-04-09T00:00:00Z",
            ["2026-04-04T13:00:00", "2026-04-05T13:30:00"],
            id="a holiday on which the clocks go back is longer",
        ),
    ],
)  # fmt: skip
def test_holidays_are_never_inside_the_interval(windows, holidays, after, until, wanted):
    assert changes(interval(windows, holidays=holidays), after, until) == wanted


ZONES = st.sampled_from([
    *("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana"),
    *("America/Santiago", "Asia/Kolkata"),
])  # fmt: skip
MINUTES = st.integers(0, 24 * 60)
TIMES = (
    st.tuples(MINUTES.filter(lambda start: start < 24 * 60), MINUTES)
    .filter(lambda ends: ends[0] != ends[1])
    .map(
        lambda ends: {
            name: f"{end // 60:02}:{end % 60:02}"
            for name, end in zip(("start_time", "end_time"), ends, strict=True)
        }
    )
)
WINDOWS = st.fixed_dictionaries(
    {"location": ZONES},
    optional={
        "times": st.lists(TIMES, max_size=2),
        "weekdays": st.lists(
            st.sampled_from(["monday:friday", "saturday:monday", "sunday", "tuesday"]), max_size=2
        ),
        "days_of_month": st.lists(st.sampled_from(["1:15", "-1", "29:31", "-7:-3"]), max_size=2),
        "months": st.lists(st.sampled_from(["march:april", "10", "february"]), max_size=2),
    },
)
INSTANTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - aware below


@st.composite
def intervals_and_instants(draw, most=2):
    """Some interval, perhaps with holidays, and an instant that is often close to one of these."""
    days = draw(st.lists(st.dates(date(2024, 1, 1), date(2027, 1, 1)), max_size=3))
    near = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    some_hours = st.integers(-50, 50).map(lambda number: timedelta(hours=number))
    at = draw(st.one_of(INSTANTS, *(some_hours.map(near[n].__add__) for n in range(len(near)))))
    holidays = {"holidays": {"dates": days}} if days else {}
    return interval(draw(st.lists(WINDOWS, max_size=most)), **holidays), at


@settings(deadline=None)  # busy machines take longer, not wrong turns
@given(intervals_and_instants(), st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_an_interval_stays_as_it_is_until_the_next_change_and_then_differs(question, parts):
    found, after = question
    now = is_active(found, after)
    change = next_change(found, after)
    end = change or after + HORIZON

    assert all(
        is_active(found, after + (end - after) * part) is now
        for part in parts
        if after + (end - after) * part < end
    )
    assert change is None or (after < change and is_active(found, change) is not now)
    assert change is None or is_active(found, change - timedelta(microseconds=1)) is now


@settings(deadline=None)  # busy machines take longer, not wrong turns
@given(intervals_and_instants())
def test_no_change_is_missed_within_two_days(question):
    found, after = question
    now = is_active(found, after)
    start = after.replace(second=0, microsecond=0)
    later = (start + timedelta(minutes=number) for number in range(1, 2 * 24 * 60))

    first = next((at for at in later if is_active(found, at) is not now), None)

    change = next_change(found, after)
    assert change == first or (
        first is None and (change is None or change > start + timedelta(days=2) - timedelta(minutes=1))
    )


DAY_SHIFT, WEEKEND = interval([OFFICE], "office"), interval([{"weekdays": ["saturday", "sunday"]}], "weekend")


@pytest.mark.parametrize(
    ("active", "mute", "at", "wanted"),
    [
        pytest.param(
            [], [], "2026-03-02T10:00:00Z", (True, "open"), id="a route without intervals is always open"
        ),
        pytest.param([DAY_SHIFT], [], "2026-03-02T10:00:00Z", (True, "open"), id="inside an active interval"),
        pytest.param(
            [DAY_SHIFT],
            [],
            "2026-03-02T18:00:00Z",
            (False, "outside active_time_intervals office"),
            id="outside an active interval",
        ),
        pytest.param(
            [DAY_SHIFT, WEEKEND], [], "2026-03-07T18:00:00Z", (True, "open"), id="inside one of two"
        ),
        pytest.param(
            [WEEKEND, interval([OFFICE], "office", holidays={"dates": ["2026-03-02"]})],
            [],
            "2026-03-02T10:00:00Z",
            (False, "outside active_time_intervals weekend, office (a holiday)"),
            id="a holiday is said to be one",
        ),
        pytest.param(
            [DAY_SHIFT, WEEKEND],
            [],
            "2026-03-02T18:00:00Z",
            (False, "outside active_time_intervals office, weekend"),
            id="outside both",
        ),
        pytest.param(
            [],
            [DAY_SHIFT, WEEKEND],
            "2026-03-07T18:00:00Z",
            (False, "inside mute_time_intervals weekend"),
            id="muted by one",
        ),
        pytest.param(
            [WEEKEND],
            [WEEKEND],
            "2026-03-07T18:00:00Z",
            (False, "inside mute_time_intervals weekend"),
            id="muting wins",
        ),
    ],
)
def test_a_route_is_open_or_says_why_not(active, mute, at, wanted):
    assert is_open(active, mute, instant(at)) == wanted


@pytest.mark.parametrize(
    ("active", "mute", "after", "wanted"),
    [
        pytest.param(
            [], [], "2026-03-02T10:00:00Z", "2026-03-02T10:00:00Z", id="an open route opens at once"
        ),
        pytest.param(
            [DAY_SHIFT], [], "2026-03-06T18:00:00Z", "2026-03-09T09:00:00Z", id="it opens after the weekend"
        ),
        pytest.param(
            [], [WEEKEND], "2026-03-07T18:00:00Z", "2026-03-09T00:00:00Z", id="it opens when muting ends"
        ),
        pytest.param(
            [DAY_SHIFT],
            [interval([{"weekdays": ["monday"]}])],
            "2026-03-06T18:00:00Z",
            "2026-03-10T09:00:00Z",
            id="both must allow it",
        ),
        pytest.param(
            [WEEKEND],
            [WEEKEND],
            "2026-03-02T10:00:00Z",
            None,
            id="it never opens because one forbids what the other allows",
        ),
        pytest.param(
            [interval([])], [], "2026-03-02T10:00:00Z", None, id="it never opens because nothing ever changes"
        ),
    ],
)
def test_the_opening_time_is_the_first_instant_at_which_nothing_forbids(active, mute, after, wanted):
    assert opens_at(active, mute, instant(after)) == (wanted and instant(wanted))


@settings(deadline=None)  # busy machines take longer, not wrong turns
@given(intervals_and_instants(), st.lists(WINDOWS, max_size=1).map(interval))
def test_a_route_is_closed_until_it_opens(question, mute):
    active, after = question
    opens = opens_at([active], [mute], after)

    assert opens is None or is_open([active], [mute], opens)[0]
    assert opens in {None, after} or not is_open([active], [mute], opens - timedelta(microseconds=1))[0]
    hours_before = int(
        min((opens or after + timedelta(days=3)) - after, timedelta(days=3)) / timedelta(hours=1)
    )
    assert not any(
        is_open([active], [mute], after + timedelta(hours=number))[0] for number in range(hours_before)
    )


@pytest.mark.parametrize(
    ("window", "said"),
    [
        pytest.param(
            {"weekdays": ["funday"]}, "is not a weekday; write its English name", id="a weekday that is none"
        ),
        pytest.param(
            {"months": ["december:january"]}, "write two ranges instead", id="a range over the year's end"
        ),
        pytest.param({"weekdays": [True]}, "is not a range; write text", id="a truth value"),
        pytest.param(
            {"months": ["smarch"]},
            "is not a month; write its English name or its number",
            id="a month that is none",
        ),
        pytest.param({"days_of_month": ["1:2:3"]}, "write first:last, or one value", id="three ends"),
        pytest.param({"days_of_month": [32]}, "is not a day of the month", id="a day that is none"),
        pytest.param({"days_of_month": ["-3:3"]}, "write two ranges", id="a range over the end of the month"),
        pytest.param({"days_of_month": ["20:-20"]}, "in some months", id="a range that is empty in february"),
        pytest.param({"years": ["soon"]}, "is not a number", id="a year that is none"),
        pytest.param(
            {"times": [{"start_time": "9:00", "end_time": "17:00"}]},
            "write hours and minutes as 09:00",
            id="an hour with one digit",
        ),
        pytest.param(
            {"times": [{"start_time": "22:00", "end_time": "22:00"}]},
            "a whole day is 00:00 to 24:00, and a night such as 22:00 to 06:00",
            id="a time that ends as it starts",
        ),
        pytest.param(
            {"times": [{"start_time": "24:00", "end_time": "06:00"}]},
            "is no time at all",
            id="a time that starts as the day ends",
        ),
        pytest.param(
            {"location": "Mars/Olympus"},
            "is not a time zone; write a name such as Europe/Lisbon",
            id="a zone that is none",
        ),
        pytest.param({"location": "America"}, "is not a time zone", id="a folder of zones"),
        pytest.param({"timezone": "UTC"}, "Extra inputs", id="an unknown key"),
    ],
)
def test_a_refusal_says_what_to_write(window, said):
    with pytest.raises(ValidationError, match=said):
        interval([window])


def test_an_interval_has_a_name():
    with pytest.raises(ValidationError, match="at least 1 character"):
        interval([], name="")


def test_an_interval_that_is_written_out_can_be_read_again():
    found = interval(
        [
            OFFICE
            | {
                "days_of_month": ["1:15", "-1"],
                "months": ["may:july", "13"],
                "years": [2026],
                "location": "Europe/Lisbon",
            }
        ]
    )

    assert TimeInterval.model_validate(found.model_dump()) == found
    assert TimeInterval.model_validate_json(found.model_dump_json()) == found
    assert found.model_dump()["time_intervals"][0]["months"] == ("may:july", "13")


def test_spans_are_text_or_numbers_in_the_schema():
    window = TimeInterval.model_json_schema()["$defs"]["Window"]["properties"]

    assert window["weekdays"]["anyOf"][0]["items"]["type"] == ["string", "integer"]


def test_the_machines_own_zone_is_as_good_as_any():
    found = interval([OFFICE | {"location": "Local"}])
    change = next_change(found, instant("2026-03-07T12:00:00Z"))

    assert change is not None
    assert change.astimezone().strftime("%H:%M") == "09:00"
    assert found.time_intervals[0].zone.tzname(None) == "Local"
    assert found.time_intervals[0].zone.dst(None) is None
    assert found.time_intervals[0].zone.utcoffset(None) is None
