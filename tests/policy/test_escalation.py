"""When is the next step of an escalation policy, and whom does it name?"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from receiver.policy.escalation import EscalationPolicy, Step, Whom, in_turn, plan, step_after, take

AT = datetime(2026, 2, 3, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def policy(*afters, repeat=0, **more):
    steps = [{"after": after, "notify": [{"person": f"p{number}"}]} for number, after in enumerate(afters, 1)]
    return EscalationPolicy.model_validate({"name": "page", "steps": steps, "repeat": repeat, **more})


def reaching(*people):
    """Return who hears of a step: the person it names, if they are among these."""

    def reaches(step, _at):
        person = step.notify[0].person
        return ((person,), "") if person in people else ((), f"{person} is away")

    return reaches


def always(at):
    return at


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        pytest.param(0, (0, timedelta()), id="the first is at once"),
        pytest.param(1, (1, 5 * MINUTE), id="the second after its wait"),
        pytest.param(2, (0, 20 * MINUTE), id="the next round after the wait between rounds"),
        pytest.param(3, (1, 5 * MINUTE), id="and the same steps in it"),
        pytest.param(4, None, id="after the last round there is none"),
    ],
)
def test_steps_follow_each_other(taken, expected):
    found = step_after(policy("0s", "5m", repeat=1, repeat_after="20m"), taken)

    assert (found and (found[0], found[2])) == expected


@pytest.mark.parametrize(
    ("taken", "people", "number", "told", "missed", "wait"),
    [
        pytest.param(
            0, "p1 p2 p3", 1, ("p1",), [], 5 * MINUTE, id="one step is taken, and the next is waited for"
        ),
        pytest.param(
            0, "p2 p3", 2, ("p2",), [1], 10 * MINUTE, id="one that reaches nobody falls through at once"
        ),
        pytest.param(0, "p3", 3, ("p3",), [1, 2], None, id="and so do several"),
        pytest.param(0, "", 3, (), [1, 2, 3], None, id="to the end, where nobody is reached"),
        pytest.param(2, "p1 p2", 3, (), [3], None, id="the last one may reach nobody"),
    ],
)
def test_what_follows_when_a_step_is_due(taken, people, number, told, missed, wait):
    found = take(policy("0s", "5m", "10m"), taken, AT, reaching(*people.split()))

    assert (found.number, found.told, found.wait) == (number, told, wait)
    assert found.missed == tuple((place, f"p{place} is away") for place in missed)


def test_a_round_that_reaches_nobody_does_not_run_into_the_next():
    found = take(policy("0s", "5m", repeat=3), 0, AT, reaching())

    assert (found.number, found.told, found.wait) == (2, (), timedelta(minutes=15))


def test_a_step_knows_the_time_it_is_taken_at():
    asked = []

    take(policy("0s"), 0, AT, lambda _step, at: asked.append(at) or (("p1",), ""))

    assert asked == [AT]


@pytest.mark.parametrize(
    ("turn", "names"),
    [(0, ["a", "b", "c"]), (1, ["b", "c", "a"]), (2, ["c", "a", "b"]), (3, ["a", "b", "c"])],
)
def test_in_a_round_robin_whose_turn_it_is_comes_first(turn, names):
    people = tuple(Whom(person=name) for name in "abc")

    assert [whom.person for whom in in_turn(Step(notify=people, round_robin=True), turn)] == names
    assert [whom.person for whom in in_turn(Step(notify=people), turn)] == ["a", "b", "c"]


def test_a_plan_is_the_rest_of_the_round():
    found = list(plan(policy("0s", "5m", "10m", repeat=2), 1, AT, reaching("p2", "p3"), always))

    assert [(at - AT, taken.told) for at, taken in found] == [(timedelta(), ("p2",)), (10 * MINUTE, ("p3",))]


def test_a_plan_of_the_last_round_ends_with_it():
    found = list(plan(policy("0s", "5m"), 0, AT, reaching("p1", "p2"), always))

    assert [at - AT for at, _ in found] == [timedelta(), 5 * MINUTE]


def test_a_plan_waits_until_the_route_may_speak():
    morning = AT + timedelta(hours=5)

    found = list(plan(policy("0s", "5m"), 0, AT, reaching("p1", "p2"), lambda at: max(at, morning)))

    assert [at for at, _ in found] == [morning, morning + 5 * MINUTE]


def test_a_route_that_never_speaks_has_no_plan():
    assert list(plan(policy("0s"), 0, AT, reaching("p1"), lambda _at: None)) == []


@pytest.mark.parametrize(
    ("whom", "words"),
    [
        pytest.param({}, "exactly one of receiver, person, schedule is needed, found none", id="nobody"),
        pytest.param({"person": "a", "receiver": "b"}, "found receiver and person", id="two at once"),
        pytest.param({"person": "a", "turn": "next"}, "only a schedule has turns", id="a turn of a person"),
    ],
)
def test_whom_a_step_names_is_one(whom, words):
    with pytest.raises(ValidationError, match=words):
        Whom.model_validate(whom)


@pytest.mark.parametrize(
    ("whom", "words"),
    [
        (Whom(receiver="ops"), "receiver ops"),
        (Whom(person="ana"), "person ana"),
        (Whom(schedule="primary"), "schedule primary"),
        (Whom(schedule="primary", turn="next"), "schedule primary (next)"),
    ],
)
def test_whom_a_step_names_can_be_said(whom, words):
    assert str(whom) == words


@pytest.mark.parametrize("key", ["ack_timeout", "repeat_after"])
def test_a_wait_of_nothing_is_refused(key):
    with pytest.raises(ValidationError, match="cannot be zero"):
        policy("0s", **{key: "0s"})


@given(
    afters=some.lists(some.sampled_from(["0s", "1m", "7m"]), min_size=1, max_size=4),
    repeat=some.integers(0, 3),
    away=some.sets(some.integers(1, 4)),
)
def test_every_policy_comes_to_an_end(afters, repeat, away):
    """However many are away, each step is taken once in each round, later ones never before earlier ones."""
    found = policy(*afters, repeat=repeat)
    reaches = reaching(*(f"p{number}" for number in range(1, 5) if number not in away))
    taken, waited = 0, []
    while step_after(found, taken) is not None:
        before, following = taken, take(found, taken, AT, reaches)
        taken = following.number
        waited.append(following.wait)
        assert taken > before
        assert taken - before == len(following.missed) + bool(following.told)

    assert taken == len(afters) * (repeat + 1)
    assert waited[-1] is None
    assert None not in waited[:-1]


@given(repeat=some.integers(0, 2), ack=some.sampled_from([None, "30m"]))
def test_a_frozen_policy_is_the_same_when_it_is_read_again(repeat, ack):
    whole = policy("0s", "5m", repeat=repeat, ack_timeout=ack)

    assert EscalationPolicy.model_validate(whole.model_dump(mode="json", exclude_defaults=True)) == whole
