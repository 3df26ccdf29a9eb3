"""What follows from what Alertmanager holds."""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.policy.reconciling import (
    ends_group_key,
    inhibited,
    is_lost,
    missed_since,
    proves_nothing,
    silenced,
    some_of,
)

AT = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("started_at", "count", "is_ours", "said"),
    [
        pytest.param(AT - 15 * MINUTE, 1, True, None, id="it has run for a quarter of an hour"),
        pytest.param(AT - 14 * MINUTE, 1000, True, "started less than", id="it was started lately"),
        pytest.param(AT + MINUTE, 1000, True, "started less than", id="its clock is ahead"),
        pytest.param(AT - 60 * MINUTE, 0, True, "no alert at all", id="it is empty"),
        pytest.param(AT - 60 * MINUTE, 9, False, "not held one of our", id="it may be another one"),
    ],
)
def test_which_answers_prove_something(started_at, count, is_ours, said):
    why = proves_nothing(started_at, count, AT, is_ours=is_ours)

    assert why is None if said is None else said in why


def test_it_is_missed_since_the_first_look_that_missed_it():
    before = {(1, "a"): AT - MINUTE, (2, "b"): AT - MINUTE}

    assert missed_since([(1, "a"), (2, "b"), (2, "c")], ["b"], before, AT) == {
        (1, "a"): AT - MINUTE,
        (2, "c"): AT,
    }


@pytest.mark.parametrize(
    ("ago", "vanished", "expected"),
    [
        pytest.param(0, True, False, id="one look is not enough"),
        pytest.param(1, True, True, id="two are, where its group was sent without it"),
        pytest.param(1, False, False, id="its end may still come"),
        pytest.param(14, False, False, id="for vanish_after"),
        pytest.param(15, False, True, id="not for longer"),
    ],
)
def test_when_it_is_lost(ago, vanished, expected):
    assert is_lost(AT - ago * MINUTE, vanished=vanished, vanish_after=15 * MINUTE, now=AT) is expected


@pytest.mark.parametrize(
    ("key", "labels", "expected"),
    [
        ('{}:{alertname="X"}', {"alertname": "X"}, True),
        ('{}/{team="a:b"}:{alertname="X", cluster="y"}', {"cluster": "y", "alertname": "X"}, True),
        ('{}:{alertname="a \\"b\\" é"}', {"alertname": 'a "b" é'}, True),
        ("{}:{}", {}, True),
        ('{}:{alertname="X"}', {}, False),
        ('{}:{alertname="X", cluster="y"}', {"cluster": "y"}, False),
    ],
)
def test_which_group_a_key_is_of(key, labels, expected):
    assert ends_group_key(key, labels) is expected


def test_what_people_wrote_is_one_short_line():
    assert silenced("", AT, "") == "silenced in Alertmanager by somebody until 2026-11-20 03:12 UTC"
    assert silenced("ana\nbo", AT, "x" * 999).endswith(": " + "x" * 199 + "…")
    assert some_of("quiet", 2, 2) == "quiet"
    assert some_of("quiet", 1, 2) == "quiet (1 of 2 alerts)"


def test_which_alert_keeps_another_quiet_upstream():
    assert inhibited("NodeDown") == "inhibited in Alertmanager by NodeDown"
