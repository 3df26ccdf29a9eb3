"""Who is on call, at this moment and next?"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from receiver.policy.hours import TimeInterval
from receiver.policy.oncall import (
    Calendar,
    Event,
    Override,
    Rotation,
    Schedule,
    next_change,
    next_gap,
    on_call,
    shifts,
    shifts_of,
)

WEEKLY = {"name": "weekly", "people": ["ana", "bo", "cy"], "every": "1w", "starts_at": "2026-01-05T09:00"}
NIGHTS = TimeInterval.model_validate(
    {
        "name": "nights",
        "time_intervals": [
            {
                "times": [
                    {"start_time": "20:00", "end_time": "24:00"},
                    {"start_time": "00:00", "end_time": "08:00"},
                ],
                "location": "Europe/Lisbon",
            }
        ],
    }
)
INTERVALS = {"nights": NIGHTS}
ZONES = [  # northern, southern, half an hour, none, and one that once skipped a day
    *("Europe/Lisbon", "Pacific/Auckland", "Australia/Lord_Howe", "Asia/Tokyo", "America/Santiago"),
    *("Pacific/Apia", "UTC"),
]


def schedule(*rotations: dict, zone: str = "Europe/Lisbon") -> Schedule:
    return Schedule.model_validate({"name": "primary", "time_zone": zone, "rotations": rotations})


def local(text: str, zone: str = "Europe/Lisbon", fold: int = 0) -> datetime:
    """An instant, as the clocks of the zone show it."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def who(asked: Schedule, at: datetime, *overrides: Override) -> str | None:
    return on_call(asked, overrides, INTERVALS, at)[0]


@pytest.mark.parametrize(
    ("at", "person"),
    [
        pytest.param("2026-01-05T08:59:59", None, id="nobody before the rotation begins"),
        pytest.param("2026-01-05T09:00:00", "ana", id="the first turn begins at the hand-over"),
        pytest.param("2026-01-12T08:59:59", "ana", id="a turn lasts to its last second"),
        pytest.param("2026-01-12T09:00:00", "bo", id="the next begins at the same time of day"),
        pytest.param("2026-01-26T09:00:00", "ana", id="after the last comes the first"),
        pytest.param("2026-03-30T08:59:59", "cy", id="the hand-over is at nine before the clocks change"),
        pytest.param("2026-03-30T09:00:00", "ana", id="and at nine after they did"),
        pytest.param("2028-02-28T09:00:00", "bo", id="years on, over a leap day to come"),
        pytest.param("2028-03-06T09:00:00", "cy", id="and behind it"),
    ],
)
def test_people_take_turns(at, person):
    assert who(schedule(WEEKLY), local(at)) == person


def test_daily_hand_overs_stay_at_their_time_of_day_through_both_clock_changes():
    daily = schedule({**WEEKLY, "every": "1d"})

    for day in ("2026-03-29", "2026-03-30", "2026-10-25", "2026-10-26"):
        before, after = local(f"{day}T08:59"), local(f"{day}T09:00")
        assert who(daily, before) != who(daily, after)


def test_a_hand_over_at_a_skipped_time_is_when_the_clocks_skip_it():
    """In Lisbon there is no 01:30 on the 29th of March."""
    daily = schedule({**WEEKLY, "every": "1d", "starts_at": "2026-01-05T01:30"})

    change = next_change(daily, (), {}, local("2026-03-28T12:00"))

    assert change == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert next_change(daily, (), {}, change) == local("2026-03-30T01:30")


def test_a_hand_over_at_a_time_that_comes_twice_is_at_the_first():
    """In Lisbon 01:30 comes twice on the 25th of October."""
    daily = schedule({**WEEKLY, "every": "1d", "starts_at": "2026-01-05T01:30"})

    change = next_change(daily, (), {}, local("2026-10-24T12:00"))

    assert change == local("2026-10-25T01:30", fold=0)
    assert next_change(daily, (), {}, change) == local("2026-10-26T01:30")


def test_the_hour_that_comes_twice_belongs_to_two_turns():
    """01:30 passes a first time, and the turn that began then goes on while 01:10 comes again."""
    hourly = schedule({**WEEKLY, "every": "1h", "starts_at": "2026-10-24T00:30"})

    first, again = local("2026-10-25T01:40", fold=0), local("2026-10-25T01:10", fold=1)

    assert who(hourly, first) == who(hourly, again)
    assert next_change(hourly, (), {}, first) == local("2026-10-25T02:30")


def test_turns_of_twelve_hours_do_not_drift_with_the_clocks():
    shift = schedule({**WEEKLY, "every": "12h", "starts_at": "2026-01-05T08:00"})

    for day in ("2026-01-10", "2026-07-10", "2026-12-10"):
        for time in ("08:00", "20:00"):
            moment = local(f"{day}T{time}")
            assert who(shift, moment - timedelta(seconds=1)) != who(shift, moment)


def test_a_later_rotation_goes_before_an_earlier_one_while_it_has_somebody():
    both = schedule(
        WEEKLY,
        {**WEEKLY, "name": "nights", "people": ["dee"], "every": "1d", "active_time_intervals": ["nights"]},
    )

    assert on_call(both, (), INTERVALS, local("2026-02-03T12:00"))[1] == "weekly"
    assert on_call(both, (), INTERVALS, local("2026-02-03T22:00")) == ("dee", "nights")


def test_somebody_on_call_through_two_changes_of_nothing():
    """Two turns of one person in a row are one shift."""
    same = schedule({**WEEKLY, "people": ["ana", "ana", "bo"]})

    assert next_change(same, (), {}, local("2026-01-05T09:00")) == local("2026-01-19T09:00")


def test_an_interval_that_never_changes_changes_nobody():
    """A rotation in an interval that is always active is like one without."""
    always = {"always": TimeInterval.model_validate({"name": "always", "time_intervals": [{}]})}
    asked = schedule({**WEEKLY, "active_time_intervals": ["always"]})

    assert next_change(asked, (), always, local("2026-01-05T09:00")) == local("2026-01-12T09:00")


def test_a_rotation_that_ended_has_nobody():
    ended = schedule({**WEEKLY, "ends_at": "2026-02-02T09:00"})

    assert who(ended, local("2026-02-02T08:59")) == "ana"
    assert who(ended, local("2026-02-02T09:00")) is None
    assert next_change(ended, (), {}, local("2026-02-02T09:00")) is None


def test_an_override_begins_inside_a_shift_and_ends_inside_the_next():
    swap = Override(1, "dee", local("2026-01-08T18:00"), local("2026-01-14T18:00"))
    asked = schedule(WEEKLY)

    assert who(asked, local("2026-01-08T17:59"), swap) == "ana"
    assert on_call(asked, [swap], {}, local("2026-01-08T18:00")) == ("dee", "override")
    assert who(asked, local("2026-01-14T17:59"), swap) == "dee"
    assert who(asked, local("2026-01-14T18:00"), swap) == "bo"


def test_of_overrides_that_overlap_the_one_made_last_counts():
    first = Override(1, "dee", local("2026-01-06T00:00"), local("2026-01-08T00:00"))
    second = Override(2, "eve", local("2026-01-07T00:00"), local("2026-01-09T00:00"))

    assert who(schedule(WEEKLY), local("2026-01-07T12:00"), first, second) == "eve"
    assert who(schedule(WEEKLY), local("2026-01-06T12:00"), second, first) == "dee"


def test_shifts_tell_the_gaps_too():
    nights_only = schedule({**WEEKLY, "people": ["dee"], "active_time_intervals": ["nights"]})

    found = list(shifts(nights_only, (), INTERVALS, local("2026-02-03T00:00"), local("2026-02-04T00:00")))

    assert [shift.person for shift in found] == ["dee", None, "dee"]
    assert found[1].starts_at == local("2026-02-03T08:00")
    assert found[1].ends_at == local("2026-02-03T20:00")


def test_somebody_who_is_always_on_call_never_changes():
    always = schedule({**WEEKLY, "people": ["ana"]})

    assert next_change(always, (), {}, local("2026-02-03T00:00")) is None
    assert next(shifts(always, (), {}, local("2026-02-03T00:00"), local("2026-02-04T00:00"))).ends_at is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"every": "30m"}, "whole number of hours"),
        ({"every": "90m"}, "whole number of hours"),
        ({"every": "0"}, "whole number of hours"),
        ({"people": []}, "people"),
        ({"starts_at": "2026-01-05T09:00Z"}, "without a zone"),
        ({"starts_at": "2026-02-31T09:00"}, "is not a date"),
        ({"starts_at": "monday"}, "is not a date"),
        ({"ends_at": "2026-01-05T09:00"}, "before starts_at"),
    ],
)
def test_a_rotation_that_makes_no_sense_is_refused_with_words(change, error):
    with pytest.raises(ValidationError, match=error):
        Rotation.model_validate({**WEEKLY, **change})


def test_a_schedule_is_in_a_zone_that_exists():
    with pytest.raises(ValidationError, match="not a time zone"):
        schedule(WEEKLY, zone="Europe/Nowhere")


moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - made aware at once
rotations = st.builds(
    lambda people, hours, start, zone: schedule(
        {
            "name": "one",
            "people": people,
            "every": f"{hours}h",
            "starts_at": start.replace(microsecond=0).isoformat(),
        },
        zone=zone,
    ),
    st.lists(st.sampled_from(["ana", "bo", "cy"]), min_size=1, max_size=4),
    st.sampled_from([1, 2, 5, 8, 12, 24, 36, 168]),
    st.datetimes(datetime(2025, 1, 1), datetime(2025, 12, 1)),  # noqa: DTZ001 - a time on the wall
    st.sampled_from(ZONES),
)
swaps = st.lists(
    st.builds(
        lambda id_, start, length: Override(id_, "dee", start, start + timedelta(minutes=length)),
        st.integers(1, 9), moments, st.integers(1, 20_000),
    ),
    max_size=3,
)  # fmt: skip


@settings(deadline=None)
@given(rotations, swaps, moments, st.floats(0, 0.999))
def test_the_answer_is_the_same_until_it_changes(asked, overrides, at, part):
    """Between two changes nothing changes, and at each something does; somebody is always there."""
    now = on_call(asked, overrides, {}, at)
    change = next_change(asked, overrides, {}, at)

    until = change or at + timedelta(days=366)
    assert now[0] is not None
    assert on_call(asked, overrides, {}, at + (until - at) * part) == now
    if change is not None:
        assert on_call(asked, overrides, {}, change) != now


@settings(deadline=None, max_examples=30)
@given(rotations, swaps, moments)
def test_shifts_join_without_holes(asked, overrides, at):
    found = list(shifts(asked, overrides, {}, at, at + timedelta(days=3)))

    assert found[0].starts_at == at
    for one, following in pairwise(found):
        assert one.ends_at == following.starts_at
        assert (one.person, one.through) != (following.person, following.through)


layers = st.builds(
    lambda below, start, nights, zone: schedule(
        {"name": "below", "people": below, "every": "12h", "starts_at": "2025-01-05T00:30"},
        {
            "name": "above", "people": ["eve", "fay"], "every": "1d", "starts_at": start.isoformat(),
            "active_time_intervals": ["nights"] if nights else [],
        },
        zone=zone,
    ),
    st.lists(st.sampled_from(["ana", "bo"]), min_size=1, max_size=3),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 4, 10)).map(lambda at: at.replace(microsecond=0)),  # noqa: DTZ001 - on the wall
    st.booleans(),
    st.sampled_from(ZONES),
)  # fmt: skip
# Where the clocks of some zone in the list are about to change, or just have.
changes = st.builds(
    lambda day, minutes: day + timedelta(minutes=minutes),
    st.sampled_from([
        datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC),  # Lisbon
        datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC),  # Lord Howe
        datetime(2026, 4, 4, 14, tzinfo=UTC), datetime(2026, 9, 26, 14, tzinfo=UTC),  # Auckland
    ]),
    st.integers(-3000, 3000),
)  # fmt: skip


@settings(deadline=None, max_examples=30)
@given(layers, swaps, changes, st.floats(0, 0.999))
def test_layers_that_cover_are_never_empty_and_constant_between_changes(asked, overrides, at, part):
    """A rotation that starts in the future, restricted or not, leaves no gap above one that covers."""
    now = on_call(asked, overrides, INTERVALS, at)
    change = next_change(asked, overrides, INTERVALS, at)

    assert now[0] is not None
    assert next_gap(asked, overrides, INTERVALS, at, at + timedelta(days=3)) is None
    assert change is not None
    assert on_call(asked, overrides, INTERVALS, at + (change - at) * part) == now
    assert on_call(asked, overrides, INTERVALS, change) != now


def test_the_next_gap_is_the_first_and_an_override_fills_it():
    """A schedule with a gap each day is open until somebody takes the gap over."""
    nights_only = schedule({**WEEKLY, "people": ["dee"], "active_time_intervals": ["nights"]})
    since, until = local("2026-02-03T00:00"), local("2026-02-04T00:00")
    cover = Override(1, "ana", local("2026-02-03T08:00"), local("2026-02-03T20:00"))

    gap = next_gap(nights_only, (), INTERVALS, since, until)

    assert gap is not None
    assert (gap.starts_at, gap.ends_at) == (cover.starts_at, cover.ends_at)
    assert next_gap(nights_only, [cover], INTERVALS, since, until) is None


def test_a_schedule_that_starts_in_the_future_is_a_gap_until_then():
    later = schedule({**WEEKLY, "starts_at": "2026-05-04T09:00"})

    gap = next_gap(later, (), {}, local("2026-02-03T00:00"), local("2026-02-04T00:00"))

    assert gap is not None
    assert gap.ends_at == local("2026-05-04T09:00")


def test_a_schedule_needs_somebody():
    with pytest.raises(ValidationError, match="needs rotations or a calendar"):
        schedule()


def test_without_rotations_only_the_calendar_says_who():
    """Outside of its events there is nobody; an override counts before it, whatever its age."""
    asked = Schedule.model_validate({"name": "primary", "calendar": {"file": "team.ics"}})
    start = datetime(2026, 2, 3, tzinfo=UTC)
    events = [
        Event("long", (), start, start + timedelta(days=2)),
        Event("dee", (), start, start + timedelta(days=1)),
        Event("Ana", (), start + timedelta(hours=6), start + timedelta(hours=12)),
    ]
    found, unknown = shifts_of(events, ["ana", "dee"], {})
    cover = Override(1, "eve", start, start + timedelta(hours=1))

    told = shifts(asked, [*found, cover], {}, start, start + timedelta(days=2))

    assert [(one.person, one.through) for one in told] == [
        ("eve", "override"), ("dee", "calendar"), ("ana", "calendar"), ("dee", "calendar"), (None, None),
    ]  # fmt: skip
    assert unknown == ["long"]


def test_another_zone_or_place_is_another_calendar():
    """And its key tells nothing of the address."""
    one = {"name": "a", "calendar": {"url": "https://a.example/s3cret"}}
    keys = [
        Schedule.model_validate(value).calendar_key
        for value in (one, {**one, "time_zone": "Asia/Tokyo"}, {**one, "calendar": {"file": "a.ics"}})
    ]

    assert len(set(keys)) == 3
    assert "s3cret" not in str(keys)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({}, "exactly one"),
        ({"url": "ftp://a.example"}, "web address"),
        ({"file": "a.ics", "refresh": "5s"}, "at least a minute"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused_with_words(value, error):
    with pytest.raises(ValidationError, match=error):
        Calendar.model_validate(value)
