"""How often something should be heard, and when it is missing."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from receiver.policy.durations import format_duration
from receiver.policy.heartbeat import Heartbeat, beating, interval, missing_at, with_gap

AT = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("every", "gaps", "expected"),
    [
        pytest.param(5 * MINUTE, [], 5 * MINUTE, id="what is stated counts"),
        pytest.param(5 * MINUTE, [9000.0] * 5, 5 * MINUTE, id="whatever was learned"),
        pytest.param(None, [], 60 * MINUTE, id="an hour as long as nothing is known"),
        pytest.param(None, [60.0, 60.0], 60 * MINUTE, id="two gaps are not enough"),
        pytest.param(None, [14400.0], 240 * MINUTE, id="one long gap is enough to be patient"),
        pytest.param(None, [60.0, 300.0, 60.0], 5 * MINUTE, id="the longest of three"),
    ],
)
def test_how_often_it_should_be_heard(every, gaps, expected):
    assert interval(every, gaps) == expected


@pytest.mark.parametrize(
    ("every", "tolerated"),
    [
        pytest.param(30 / 60 * MINUTE, MINUTE, id="a minute at least"),
        pytest.param(5 * MINUTE, 2.5 * MINUTE, id="half of it"),
        pytest.param(240 * MINUTE, 15 * MINUTE, id="a quarter of an hour at most"),
    ],
)
def test_how_long_it_may_be_late(every, tolerated):
    assert missing_at(AT, AT - MINUTE, every) == AT + every + tolerated


def test_nothing_is_missing_before_somebody_listened():
    assert missing_at(AT, AT + 30 * MINUTE, 5 * MINUTE) == AT + 37.5 * MINUTE


def test_the_last_five_gaps_are_remembered_and_short_ones_are_none():
    gaps = []
    for seconds in (60, 61, 9, 62, 63, 64, 65):
        gaps = with_gap(gaps, timedelta(seconds=seconds))

    assert gaps == [61, 62, 63, 64, 65]


def test_an_alert_may_be_the_beat_of_several():
    one = Heartbeat(name="one", matchers=['alertname="Watchdog"'])
    other = Heartbeat(name="other", matchers=['alertname=~"Watchdog|DeadMan"', 'cluster="x"'])

    assert beating([one, other], {"alertname": "Watchdog", "cluster": "x"}) == ["one", "other"]
    assert beating([one, other], {"alertname": "Watchdog"}) == ["one"]
    assert beating([one, other], {"alertname": "DiskFull"}) == []


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param({"matchers": []}, 'say which, such as alertname="Watchdog"', id="everything would be a beat"),
        pytest.param({"matchers": ['alertname!="x"']}, "say which", id="almost everything"),
        pytest.param({"matchers": ['alertname=~".*"']}, "say which", id="everything in other words"),
        pytest.param({"matchers": ['alertname="x"'], "every": "5s"}, "10s or longer", id="too often"),
    ],
)  # fmt: skip
def test_what_would_swallow_pages_is_refused(written, said):
    with pytest.raises(ValidationError, match=said):
        Heartbeat.model_validate({"name": "x", **written})


@pytest.mark.parametrize("every", ["10s", "1h"])
def test_an_interval_may_be_stated(every):
    stated = Heartbeat.model_validate({"name": "x", "matchers": ["alertname=A"], "every": every})

    assert format_duration(stated.every) == every
