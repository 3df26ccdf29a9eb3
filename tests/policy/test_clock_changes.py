"""Every change of the clocks is found, with what they skip or show twice."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from receiver.policy.clock_changes import clock_changes, touched
from receiver.policy.hours import TimeInterval

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
SHOWN = "%Y-%m-%d %H:%M"


@pytest.mark.parametrize(
    ("zone", "wanted"),
    [
        ("Europe/Lisbon", [("2026-03-29 01:00", "2026-03-29 02:00", True), ("2026-10-25 01:00", "2026-10-25 02:00", False)]),
        ("America/New_York", [("2026-03-08 02:00", "2026-03-08 03:00", True), ("2026-11-01 01:00", "2026-11-01 02:00", False)]),
        ("Australia/Lord_Howe", [("2026-04-05 01:30", "2026-04-05 02:00", False), ("2026-10-04 02:00", "2026-10-04 02:30", True)]),
        ("America/Santiago", [("2026-04-04 23:00", "2026-04-05 00:00", False), ("2026-09-06 00:00", "2026-09-06 01:00", True)]),
        ("Asia/Kolkata", []),
        ("America/Phoenix", []),
    ],
)  # fmt: skip
def test_the_changes_of_a_year_are_found(zone, wanted):
    found = clock_changes(ZoneInfo(zone), SINCE, UNTIL)

    assert [(f"{one.first:{SHOWN}}", f"{one.last:{SHOWN}}", one.is_gap) for one in found] == wanted


@pytest.mark.parametrize(
    ("window", "wanted"),
    [
        pytest.param({}, [], id="no times"),
        pytest.param({"times": [{"start_time": "01:00", "end_time": "02:00"}]}, [], id="at the ends"),
        pytest.param({"times": [{"start_time": "01:30", "end_time": "09:00"}]}, ["01:30"], id="a start"),
        pytest.param({"times": [{"start_time": "00:00", "end_time": "01:30"}]}, ["01:30"], id="an end"),
        pytest.param({"times": [{"start_time": "22:00", "end_time": "01:30"}]}, ["01:30"], id="the end of a night"),
        pytest.param(
            {"times": [{"start_time": "22:00", "end_time": "01:30"}], "weekdays": ["sunday"]}, [], id="of the next day's night"
        ),
        pytest.param({"times": [{"start_time": "01:30", "end_time": "09:00"}], "weekdays": ["monday"]}, [], id="of another day"),
    ],
)  # fmt: skip
def test_starts_and_ends_that_a_change_touches_are_found(window, wanted):
    interval = TimeInterval.model_validate({"name": "t", "time_intervals": [window]})
    [spring, _autumn] = clock_changes(ZoneInfo("Europe/Lisbon"), SINCE, UNTIL)

    assert touched(interval, interval.time_intervals[0], spring) == wanted
