"""How often may a destination or a service be used, and by whom first?"""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.policy.throttle import (
    BETWEEN_DIGESTS,
    LAST_PROBE,
    LONG_AGO,
    OPENS_AFTER,
    UNKNOWN,
    Gate,
    Limit,
    Slots,
    Throttle,
    Way,
    answered,
    breaker,
    bucket,
    digests,
    failed,
    left_alone,
    share,
    usable_at,
    used,
)

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ONE_A_SECOND = Limit(1, SECOND, 1)
EIGHT_AT_ONCE = Limit(1, SECOND, 8)
PLENTY = Slots(256, 32, 64, 32)
OPS = Way("slack #ops", "slack", ONE_A_SECOND, None, takes_digests=True)
DEV = Way("slack #dev", "slack", ONE_A_SECOND, None, takes_digests=True)
CHAT = Way("telegram 4711", "telegram", EIGHT_AT_ONCE, Limit(30, SECOND, 1))
HOOK = Way("webhook a", "webhook a")
WAYS = {way.destination: way for way in (OPS, DEV, CHAT, HOOK)}
SERVICES = {"slack": [OPS.destination, DEV.destination], "telegram": [CHAT.destination], "webhook a": [HOOK.destination]}  # fmt: skip
BROKEN = Throttle(failures=OPENS_AFTER, probe_at=NOW + SECOND)


def a_gate(throttles=None, *, now=NOW, slots=PLENTY, **under_way):
    named = {name.replace("_", " #"): count for name, count in under_way.items()}
    return Gate(now, WAYS, SERVICES, dict(throttles or {}), slots, named)


@pytest.mark.parametrize(
    ("limit", "taken", "urgent", "seconds"),
    [
        pytest.param(ONE_A_SECOND, 0, False, 0, id="a full bucket is usable"),
        pytest.param(ONE_A_SECOND, 1, False, 1, id="one a second means a second"),
        pytest.param(Limit(60, timedelta(minutes=1), 1), 1, False, 1, id="sixty a minute are one a second"),
        pytest.param(Limit(30, SECOND, 2), 1, False, 0, id="two at once are two at once"),
        pytest.param(EIGHT_AT_ONCE, 5, False, 0, id="six of eight are for everybody"),
        pytest.param(EIGHT_AT_ONCE, 6, False, 1, id="the last two are kept"),
        pytest.param(EIGHT_AT_ONCE, 6, True, 0, id="for what is urgent"),
        pytest.param(EIGHT_AT_ONCE, 8, True, 1, id="until they are used, too"),
        pytest.param(None, 1000, False, 0, id="without a limit nobody waits"),
    ],
)
def test_when_a_bucket_is_usable(limit, taken, urgent, seconds):
    throttle = UNKNOWN
    for _ in range(taken):
        throttle = used(throttle, limit, NOW)

    assert max(usable_at(throttle, limit, urgent=urgent), NOW) == NOW + seconds * SECOND


@pytest.mark.parametrize("limit", [None, ONE_A_SECOND, EIGHT_AT_ONCE])
def test_who_asked_to_be_left_alone_is(limit):
    """Not even what is urgent goes before, and a shorter wish takes nothing back."""
    throttle = left_alone(left_alone(UNKNOWN, limit, NOW + 90 * SECOND), limit, NOW + SECOND)

    assert usable_at(throttle, limit, urgent=True) == NOW + 90 * SECOND


def test_what_was_used_under_another_limit_says_nothing():
    """Nobody waits for what an older routing.yaml allowed, and what is used now counts anew."""
    before = used(used(UNKNOWN, Limit(1, timedelta(hours=1), 1), NOW), Limit(1, timedelta(hours=1), 1), NOW)

    assert usable_at(before, ONE_A_SECOND, urgent=False) < NOW
    assert usable_at(before, None, urgent=False) < NOW
    assert used(before, ONE_A_SECOND, NOW) == used(UNKNOWN, ONE_A_SECOND, NOW)
    assert left_alone(before, ONE_A_SECOND, NOW) == left_alone(UNKNOWN, ONE_A_SECOND, NOW)


def test_a_breaker_opens_at_the_fifth_failure_in_a_row():
    throttle = UNKNOWN
    for _ in range(OPENS_AFTER - 1):
        throttle = failed(throttle, NOW, is_probe=False, luck=1.0)
        assert not throttle.is_open

    throttle = failed(throttle, NOW, is_probe=False, luck=1.0)

    assert throttle.probe_at == NOW + SECOND


def test_a_success_in_between_begins_anew():
    throttle = UNKNOWN
    for _ in range(OPENS_AFTER - 1):
        throttle = failed(throttle, NOW, is_probe=False, luck=1.0)

    throttle = failed(answered(throttle), NOW, is_probe=False, luck=1.0)

    assert (throttle.failures, throttle.is_open) == (1, False)


def test_what_was_under_way_as_it_opened_says_nothing_new():
    assert failed(BROKEN, NOW, is_probe=False, luck=1.0) == BROKEN


def test_probes_come_ever_less_often_up_to_a_bound():
    throttle, waits = BROKEN, []
    for _ in range(9):
        throttle = failed(throttle, NOW, is_probe=True, luck=1.0)
        waits.append((throttle.probe_at - NOW).total_seconds())

    assert waits == [2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert failed(throttle, NOW, is_probe=True, luck=0.5).probe_at == NOW + LAST_PROBE / 2


def test_a_success_closes_it():
    assert answered(BROKEN) == Throttle(BROKEN.free_at)


@pytest.mark.parametrize(
    ("mine", "left", "most", "more"),
    [
        pytest.param(0, 256, 32, 32, id="its whole share"),
        pytest.param(30, 226, 32, 2, id="the rest of its share"),
        pytest.param(32, 224, 32, 0, id="no more than that"),
        pytest.param(0, 40, 32, 20, id="half of what the others leave"),
        pytest.param(20, 20, 32, 0, id="which it has"),
        pytest.param(0, 1, 32, 1, id="but one, if there is one"),
        pytest.param(50, 10, 32, 0, id="never less than nothing"),
    ],
)
def test_the_share_of_the_slots(mine, left, most, more):
    assert share(mine, left, most) == more


def test_hung_destinations_leave_room():
    """Twenty destinations of services that never answer, and the next one finds a slot at once."""
    left = PLENTY.most - PLENTY.kept_for_urgent
    for _ in range(20):
        left -= share(0, left, PLENTY.most_of_destination) if left > 1 else 0

    assert left >= 1


def test_a_gate_lets_through_what_the_bucket_holds():
    gate = a_gate()
    gate.let_through(OPS.destination)

    assert not gate.is_open_to(OPS.destination, urgent=True)
    assert gate.is_open_to(DEV.destination, urgent=False)
    assert gate.is_open_to(HOOK.destination, urgent=False)
    assert gate.closed(urgent=True) == {OPS.destination}
    assert gate.next_at() == NOW + SECOND


def test_a_bucket_of_a_service_is_for_all_its_destinations():
    gate = a_gate()
    gate.let_through(CHAT.destination)

    assert gate.closed(urgent=False) == {CHAT.destination}
    assert gate.next_at() == NOW + SECOND / 30


def test_behind_an_open_breaker_everybody_waits():
    gate = a_gate({breaker("slack"): BROKEN})

    assert gate.closed(urgent=True) == {OPS.destination, DEV.destination}
    assert gate.may_probe() == []
    assert gate.next_at() == NOW + SECOND


def test_one_probe_at_a_time():
    gate = a_gate({breaker("slack"): BROKEN, bucket(OPS.destination): UNKNOWN}, now=NOW + SECOND)
    assert gate.may_probe() == ["slack"]

    gate.probe("slack", NOW + timedelta(minutes=2))

    assert gate.may_probe() == []
    assert gate.probing == {"slack"}
    assert gate.has_room(OPS.destination, urgent=False)  # it is the service that is closed
    assert not gate.is_open_to(OPS.destination, urgent=True)


def test_between_digests_only_what_is_urgent_goes():
    gate = a_gate()

    gate.hold_back(OPS.destination)

    assert gate.known(digests(OPS.destination)).free_at == NOW + BETWEEN_DIGESTS
    assert gate.is_open_to(OPS.destination, urgent=True)
    assert not gate.is_open_to(OPS.destination, urgent=False)
    assert gate.closed(urgent=False) == {OPS.destination}
    assert gate.closed(urgent=True) == set()
    assert gate.next_at() == NOW + BETWEEN_DIGESTS


def test_slots_are_shared():
    gate = a_gate(slack_ops=32)

    assert gate.closed(urgent=False) == {OPS.destination}
    assert gate.is_crowded()
    assert gate.by_service == {"slack": 32}
    assert not a_gate(slack_ops=31).is_crowded()


def test_a_service_has_its_share_too():
    assert a_gate(slots=Slots(256, 32, 64, 64), slack_ops=40, slack_dev=24).closed(urgent=False) == {
        OPS.destination,
        DEV.destination,
    }
    assert a_gate(slots=Slots(256, 32, 64, 64), slack_ops=40, slack_dev=24).is_crowded()


def test_the_last_slots_are_for_what_is_urgent():
    gate = Gate(NOW, WAYS, SERVICES, {}, PLENTY, {f"webhook {n}": 16 for n in range(14)})

    assert gate.left(urgent=False) == 0
    assert gate.left(urgent=True) == PLENTY.kept_for_urgent
    assert gate.is_open_to(OPS.destination, urgent=True)
    assert not gate.is_open_to(OPS.destination, urgent=False)
    assert gate.is_crowded()


def test_a_destination_that_routing_yaml_lost_shares_nothing():
    gate = a_gate({breaker("gone"): BROKEN, bucket("slack #old"): Throttle(NOW + SECOND)})

    assert gate.way("slack #old").service == "lost slack #old"
    assert gate.closed(urgent=False) == {"slack #old"}
    assert gate.next_at() == NOW + SECOND


def test_nothing_known_keeps_nobody_waiting():
    gate = a_gate()

    assert (gate.closed(urgent=False), gate.next_at(), gate.is_crowded()) == (set(), None, False)
    assert UNKNOWN.free_at == LONG_AGO


@pytest.mark.parametrize(
    ("limit", "service_limit", "pace"),
    [
        pytest.param(None, None, 0, id="no limit"),
        pytest.param(ONE_A_SECOND, None, 1, id="the destination's"),
        pytest.param(ONE_A_SECOND, ONE_A_SECOND, 3, id="the service's, which counts an edit thrice"),
    ],
)
def test_how_long_an_edit_takes_to_be_earned_back(limit, service_limit, pace):
    way = Way("slack #ops", "slack", limit, service_limit, edit_costs=3)

    assert way.edit_pace == pace * SECOND


@pytest.mark.parametrize(
    ("edit_costs", "limit", "taken"),
    [
        pytest.param(1, EIGHT_AT_ONCE, 1, id="an edit that costs what a message does"),
        pytest.param(3, EIGHT_AT_ONCE, 3, id="an edit that costs three"),
        pytest.param(3, None, 0, id="a service without a limit"),
    ],
)
def test_an_edit_takes_what_it_costs(edit_costs, limit, taken):
    way = Way("slack #ops", "slack", None, limit, edit_costs=edit_costs)
    gate = Gate(NOW, {way.destination: way}, {"slack": [way.destination]}, {}, PLENTY, {})
    gate.let_through(way.destination)
    gate.edit(way.destination, 1)

    assert gate.known(breaker("slack")).free_at == (NOW + taken * SECOND if taken else LONG_AGO)
