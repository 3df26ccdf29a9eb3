"""How long to wait before the next attempt?"""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.policy.retry import LONGEST, SHORTEST, wait_before

SECOND = timedelta(seconds=1)


def latest(_, high):
    return high


def soonest(low, _):
    return low


@pytest.mark.parametrize(
    ("attempt", "ceiling"),
    [(2, 2), (3, 4), (4, 8), (9, 256), (10, 300), (11, 300), (1000, 300)],
)
def test_the_ceiling_doubles_up_to_five_minutes(attempt, ceiling):
    assert wait_before(attempt, retry_after=None, uniform=latest) == ceiling * SECOND


def test_the_jitter_is_full_but_never_nothing():
    assert wait_before(9, retry_after=None, uniform=soonest) == SHORTEST / 2


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        pytest.param(90 * SECOND, 90 * SECOND, id="what the service asks for is honoured"),
        pytest.param(timedelta(0), 2 * SECOND, id="less than our own wait is not"),
        pytest.param(timedelta(days=30), timedelta(hours=1), id="an hour is the most"),
    ],
)
def test_a_service_may_ask_for_a_wait(retry_after, wait):
    assert wait_before(2, retry_after=retry_after, uniform=latest) == wait


@given(st.integers(2, 10_000), st.randoms(use_true_random=False))
def test_a_wait_is_always_between_half_a_second_and_five_minutes(attempt, random):
    assert SHORTEST / 2 <= wait_before(attempt, retry_after=None, uniform=random.uniform) <= LONGEST
