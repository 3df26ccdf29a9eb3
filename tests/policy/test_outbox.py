"""What becomes of an owed notification at the moment it is due?"""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.policy.incident import MessageEvent, Reason, State
from receiver.policy.outbox import IMMEDIATE, Send, Withdraw, due_at, edit, hand_over, verdict

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
WAIT, INTERVAL = timedelta(seconds=30), timedelta(minutes=5)


@pytest.mark.parametrize(
    ("reason", "sent", "due"),
    [
        pytest.param(Reason.FIRST, None, WAIT, id="the first waits for its group"),
        pytest.param(Reason.NEW_ALERTS, timedelta(minutes=1), timedelta(minutes=4), id="the next keeps the distance"),
        pytest.param(Reason.NEW_ALERTS, timedelta(hours=1), timedelta(0), id="after the distance it is due at once"),
        pytest.param(Reason.ALL_RESOLVED, timedelta(minutes=5), timedelta(0), id="exactly at the distance"),
        pytest.param(Reason.NEW_ALERTS, timedelta(days=-3650), INTERVAL, id="sent while the clock was wrong"),
        pytest.param(Reason.MORE_SEVERE, timedelta(0), timedelta(0), id="worse does not wait"),
        pytest.param(Reason.MORE_SEVERE, None, timedelta(0), id="worse does not wait for its group"),
        pytest.param(Reason.ACKNOWLEDGED, timedelta(0), timedelta(0), id="what a person does does not wait"),
    ],
)  # fmt: skip
def test_when_it_is_due(reason, sent, due):
    last_sent_at = None if sent is None else NOW - sent

    assert (
        due_at(reason, now=NOW, last_sent_at=last_sent_at, group_wait=WAIT, group_interval=INTERVAL)
        == NOW + due
    )


@pytest.mark.parametrize("reason", sorted(IMMEDIATE))
def test_what_is_immediate_is_due_now_whatever_was_sent(reason):
    for last_sent_at in (None, NOW):
        due = due_at(reason, now=NOW, last_sent_at=last_sent_at, group_wait=WAIT, group_interval=INTERVAL)

        assert due == NOW


TRIGGERED, ACKNOWLEDGED, RESOLVED = MessageEvent.TRIGGERED, MessageEvent.ACKNOWLEDGED, MessageEvent.RESOLVED


@pytest.mark.parametrize(
    ("reason", "state", "sent_revision", "becomes"),
    [
        pytest.param(Reason.FIRST, State.TRIGGERED, None, Send(TRIGGERED), id="the first page"),
        pytest.param(Reason.FIRST, State.ACKNOWLEDGED, None, Withdraw("acknowledged before it went out"), id="somebody is on it already"),
        pytest.param(Reason.FIRST, State.RESOLVED, None, Withdraw("resolved before it went out"), id="it is over already"),
        pytest.param(Reason.NEW_ALERTS, State.TRIGGERED, 1, Send(TRIGGERED), id="an update"),
        pytest.param(Reason.NEW_ALERTS, State.TRIGGERED, 2, Withdraw("an earlier message already said it"), id="an update that was said"),
        pytest.param(Reason.NEW_ALERTS, State.ACKNOWLEDGED, 1, Send(ACKNOWLEDGED), id="an update about what somebody is on"),
        pytest.param(Reason.ACKNOWLEDGED, State.ACKNOWLEDGED, 1, Send(ACKNOWLEDGED), id="somebody took it"),
        pytest.param(Reason.ALL_RESOLVED, State.RESOLVED, 1, Send(RESOLVED), id="the end"),
        pytest.param(Reason.ALL_RESOLVED, State.RESOLVED, 2, Withdraw("an earlier message already said it"), id="the end, said before"),
        pytest.param(Reason.REPEAT_DUE, State.TRIGGERED, 2, Send(TRIGGERED), id="a reminder says the same again"),
        pytest.param(Reason.REPEAT_DUE, State.ACKNOWLEDGED, 2, Withdraw("acknowledged; no reminders"), id="no reminder to who is on it"),
        pytest.param(Reason.REPEAT_DUE, State.RESOLVED, 2, Withdraw("resolved"), id="no reminder of what is over"),
        pytest.param(Reason.HEALED, State.RESOLVED, None, Send(MessageEvent.DIGEST), id="it came and went outside the hours"),
        pytest.param(Reason.HEALED, State.RESOLVED, 1, Send(RESOLVED), id="the same, and it was told otherwise meanwhile"),
        pytest.param(Reason.HEALED, State.TRIGGERED, None, Send(TRIGGERED), id="it came again"),
        pytest.param(Reason.FALLBACK, State.TRIGGERED, None, Send(TRIGGERED), id="the fallback hears what others could not"),
        pytest.param(Reason.FALLBACK, State.ACKNOWLEDGED, None, Send(ACKNOWLEDGED), id="the fallback hears of what somebody is on"),
    ],
)  # fmt: skip
def test_what_becomes_of_it(reason, state, sent_revision, becomes):
    assert (
        verdict(reason=reason, state=state, revision=2, sent_revision=sent_revision, send_resolved=True)
        == becomes
    )


@pytest.mark.parametrize("state", State)
def test_only_what_is_open_is_handed_over(state):
    found = hand_over(state)

    assert found == (Withdraw("resolved") if state is State.RESOLVED else Send(MessageEvent.DIGEST))


def test_an_end_that_nobody_wants_is_not_sent():
    becomes = verdict(
        reason=Reason.ALL_RESOLVED, state=State.RESOLVED, revision=2, sent_revision=1, send_resolved=False
    )

    assert becomes == Withdraw("send_resolved is false")


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("sent_revision", [None, 1, 2])
@pytest.mark.parametrize("send_resolved", [True, False])
def test_there_is_always_an_answer_and_never_an_empty_reason(reason, state, sent_revision, send_resolved):
    becomes = verdict(
        reason=reason, state=state, revision=2, sent_revision=sent_revision, send_resolved=send_resolved
    )

    assert isinstance(becomes, Send) or becomes.why


@pytest.mark.parametrize(
    ("sent", "becomes"),
    [
        pytest.param(None, Withdraw("an earlier message already said it"), id="nothing was told"),
        pytest.param(+1, Withdraw("an earlier message already said it"), id="told again since"),
        pytest.param(-1, Send(ACKNOWLEDGED), id="it shows what was before"),
    ],
)
def test_a_message_is_edited_once_after_a_digest(sent, becomes):
    sent_at = None if sent is None else NOW + sent * WAIT

    assert edit(State.ACKNOWLEDGED, owed_at=NOW, sent_at=sent_at) == becomes
