"""What state follows when something happens to an incident?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.policy.incident import TRANSITIONS, Event, State, after


@pytest.mark.parametrize(
    ("state", "event", "follows"),
    [
        (State.TRIGGERED, Event.FIRE, State.TRIGGERED),
        (State.TRIGGERED, Event.ACKNOWLEDGE, State.ACKNOWLEDGED),
        (State.TRIGGERED, Event.UNACKNOWLEDGE, State.TRIGGERED),
        (State.TRIGGERED, Event.RESOLVE, State.RESOLVED),
        (State.ACKNOWLEDGED, Event.FIRE, State.ACKNOWLEDGED),
        (State.ACKNOWLEDGED, Event.ACKNOWLEDGE, State.ACKNOWLEDGED),
        (State.ACKNOWLEDGED, Event.UNACKNOWLEDGE, State.TRIGGERED),
        (State.ACKNOWLEDGED, Event.RESOLVE, State.RESOLVED),
        (State.RESOLVED, Event.FIRE, State.TRIGGERED),
        (State.RESOLVED, Event.ACKNOWLEDGE, State.RESOLVED),
        (State.RESOLVED, Event.UNACKNOWLEDGE, State.RESOLVED),
        (State.RESOLVED, Event.RESOLVE, State.RESOLVED),
    ],
)
def test_every_state_and_event_has_a_following_state(state, event, follows):
    assert after(state, event) is follows


def test_no_transition_stays_where_it_is():
    assert all(state is not follows for (state, _), follows in TRANSITIONS.items())


@given(st.sampled_from(State), st.lists(st.sampled_from(Event)))
def test_an_event_that_is_repeated_at_once_changes_nothing(state, events):
    for event in events:
        once = after(state, event)
        assert after(once, event) is once
        state = once


@given(st.lists(st.sampled_from([event for event in Event if event is not Event.FIRE])))
def test_only_firing_brings_a_resolved_incident_back(events):
    state = State.RESOLVED
    for event in events:
        state = after(state, event)

    assert state is State.RESOLVED
