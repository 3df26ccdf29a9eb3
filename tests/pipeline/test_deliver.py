"""What becomes of something owed at the moment it is due, and how long is waited after a failure?"""

from datetime import timedelta

import pytest

from receiver.policy.grouping import stronger
from receiver.policy.incident import MessageEvent, Reason, State
from receiver.policy.outbox import Send, Withdraw, verdict
from receiver.policy.retry import wait_before

T, A, R = State.TRIGGERED, State.ACKNOWLEDGED, State.RESOLVED
UNTOLD = None  # the revision that the destination was told last
PAGE, ON_IT, OVER = (
    Send(MessageEvent.TRIGGERED),
    Send(MessageEvent.ACKNOWLEDGED),
    Send(MessageEvent.RESOLVED),
)


@pytest.mark.parametrize(
    ("reason", "state", "sent_revision", "expected"),
    [
        pytest.param(Reason.FIRST, T, UNTOLD, PAGE, id="the page"),
        pytest.param(Reason.FIRST, A, UNTOLD, Withdraw("acknowledged before it went out"), id="somebody was faster"),
        pytest.param(Reason.FIRST, R, UNTOLD, Withdraw("resolved before it went out"), id="it healed before"),
        pytest.param(Reason.NEW_ALERTS, T, 4, PAGE, id="an update"),
        pytest.param(Reason.NEW_ALERTS, T, 5, Withdraw("an earlier message already said it"), id="said already"),
        pytest.param(Reason.NEW_ALERTS, A, 4, ON_IT, id="an update to those who are on it"),
        pytest.param(Reason.NEW_ALERTS, A, UNTOLD, Withdraw("acknowledged before it went out"), id="no page for what somebody is on"),
        pytest.param(Reason.MORE_SEVERE, A, UNTOLD, ON_IT, id="worse is told even so"),
        pytest.param(Reason.ALL_RESOLVED, R, 4, OVER, id="the end"),
        pytest.param(Reason.ALL_RESOLVED, R, UNTOLD, Withdraw("resolved before it went out"), id="the end of what was not told"),
        pytest.param(Reason.ALL_RESOLVED, T, 4, PAGE, id="the end was not the end"),
        pytest.param(Reason.REOPENED, R, 4, OVER, id="it reopened and is over again"),
        pytest.param(Reason.REPEAT_DUE, T, 5, PAGE, id="a reminder says nothing new"),
        pytest.param(Reason.REPEAT_DUE, A, 5, Withdraw("acknowledged; no reminders"), id="no reminder for those who are on it"),
        pytest.param(Reason.REPEAT_DUE, R, 5, Withdraw("resolved"), id="no reminder after the end"),
        pytest.param(Reason.UNACKNOWLEDGED, T, UNTOLD, PAGE, id="given back before anybody was told"),
        pytest.param(Reason.FALLBACK, T, 5, PAGE, id="a fallback is told what it knows"),
        pytest.param(Reason.FALLBACK, A, UNTOLD, ON_IT, id="a fallback is told that somebody is on it"),
        pytest.param(Reason.FALLBACK, R, UNTOLD, Withdraw("resolved before it went out"), id="a fallback is spared what is over"),
        pytest.param(Reason.FLAPPING, R, UNTOLD, OVER, id="what comes and goes is told even when gone"),
    ],
)  # fmt: skip
def test_what_becomes_of_revision_five(
    reason: Reason, state: State, sent_revision: int | None, expected: Send | Withdraw
) -> None:
    found = verdict(reason=reason, state=state, revision=5, sent_revision=sent_revision, send_resolved=True)

    assert found == expected


@pytest.mark.parametrize("reason", list(Reason))
def test_where_ends_are_not_wanted_none_is_sent(reason: Reason) -> None:
    found = verdict(reason=reason, state=R, revision=5, sent_revision=4, send_resolved=False)

    assert found == Withdraw("send_resolved is false")


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("sent_revision", [UNTOLD, 4])
def test_what_asks_for_people_and_was_not_said_is_always_sent(
    reason: Reason, sent_revision: int | None
) -> None:
    """Of a triggered incident no reason is withdrawn unless it was said."""
    found = verdict(reason=reason, state=T, revision=5, sent_revision=sent_revision, send_resolved=False)

    assert found == PAGE


@pytest.mark.parametrize("one", list(Reason))
@pytest.mark.parametrize("other", list(Reason))
def test_two_reasons_are_one_of_them(one: Reason, other: Reason) -> None:
    """What falls together keeps one of its reasons, and the end is never forgotten."""
    found = stronger(one, other)

    assert found in {one, other}
    if Reason.FALLBACK not in {one, other}:
        assert other is not Reason.ALL_RESOLVED or found is Reason.ALL_RESOLVED


@pytest.mark.parametrize(
    ("attempt", "asked", "longest", "shortest"),
    [
        pytest.param(2, None, 2, 0.5, id="the first retry"),
        pytest.param(3, None, 4, 0.5, id="the second"),
        pytest.param(8, None, 128, 0.5, id="the seventh"),
        pytest.param(10, None, 300, 0.5, id="from the ninth on five minutes"),
        pytest.param(10_000, None, 300, 0.5, id="and never more"),
        pytest.param(2, 30, 30, 30, id="a wait that was asked for"),
        pytest.param(10, 30, 300, 30, id="which is the least"),
        pytest.param(2, 86_400, 3600, 3600, id="but an hour at most"),
    ],
)
def test_how_long_is_waited(attempt: int, asked: float | None, longest: float, shortest: float) -> None:
    retry_after = timedelta(seconds=asked) if asked is not None else None

    most = wait_before(attempt, retry_after=retry_after, uniform=lambda _low, high: high)
    least = wait_before(attempt, retry_after=retry_after, uniform=lambda low, _high: low)

    assert (least.total_seconds(), most.total_seconds()) == (shortest, longest)
