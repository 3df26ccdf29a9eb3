"""Somebody else comes on call and is told what is open, once and in one message."""

from datetime import timedelta

import pytest

from tests.world import DOWN, World

PEOPLE = """
global: {slack_app_token: "${TOKEN}", slack_app_url: "${SLACK}", allow_private_addresses: true}
people:
  - {name: ana, contacts: [{after: 5m, slack: UANAPHONE}, {slack: UANA}]}
  - {name: bo, contacts: [{pagerduty: PT23IWX}, {after: 2m, slack: UBO}]}
schedules:
  - name: primary
    rotations: [{name: daily, people: [ana, bo], every: 1d, starts_at: 2026-11-19T09:00}]
escalation_policies:
  - {name: page, steps: [{notify: [{schedule: primary}]}, {after: 20h, notify: [{schedule: primary}]}]}
fallback: fallback
route:
  receiver: ops
  routes:
    - name: critical
      matchers: ['severity="critical"']
      escalation_policy: page
"""
DAY = """\
      active_time_intervals: [day]
time_intervals:
  - {name: day, time_intervals: [{times: [{start_time: "09:00", end_time: "17:00"}]}]}
"""


@pytest.fixture
async def staffed(world: World) -> World:
    """A world in which ana is on call, and bo from 09:00 on."""
    await begin(world)
    await world.look_around()
    return world


async def begin(world: World, text: str = PEOPLE) -> None:
    """Name people, and let Slack know them."""
    for number, name in enumerate(("UANA", "UANAPHONE", "UBO"), start=1):
        world.slack.channels[name] = f"D{number:08d}"
    await world.routes(text)


async def nine_o_clock(world: World) -> None:
    """Let the clock pass the next hand-over, and Tocsin look around."""
    now = world.clock.now()
    turn = now.replace(hour=9, minute=0, second=30, microsecond=0)
    turn += timedelta(days=turn <= now)
    await world.fast_forward(seconds=(turn - now).total_seconds())
    await world.look_around()


async def test_who_takes_over_is_told_what_is_open_in_one_message(staffed: World) -> None:
    """Acknowledged or not; it is no page, so it goes to the first contact that can show it."""
    world = staffed
    taken = await world.alertmanager.fires("DiskFull", severity="critical")
    await world.alertmanager.fires("HighLatency", severity="critical")
    await world.acknowledge(taken, actor="ana")
    world.slack.unseen.clear()

    await nine_o_clock(world)

    told = world.slack.expect("UBO", "2 incidents open as you come on call", "DiskFull", "HighLatency")
    assert "*ana* is on it" in told.text
    world.slack.expect_nothing("UBO")
    assert (
        "slack ubo was told (handed_over, first attempt, in a digest of 2)"
        in (await world.timeline(taken)).lower()
    )


async def test_it_is_told_once(staffed: World) -> None:
    """Later looks, and a restart, add nothing; the next hand-over does."""
    world = staffed
    await world.acknowledge(await world.alertmanager.fires("DiskFull", severity="critical"))
    await nine_o_clock(world)
    world.slack.expect("UBO", "1 incident open as you come on call")
    world.slack.unseen.clear()

    await world.look_around()
    await world.restart()
    await world.look_around()
    world.slack.expect_nothing()

    await nine_o_clock(world)
    world.slack.expect("UANA", "1 incident open as you come on call")


async def test_a_hand_over_while_nobody_looked_is_told_late(staffed: World) -> None:
    """Tocsin was down at nine: whoever is on call when it is back did not hear of it."""
    world = staffed
    await world.acknowledge(await world.alertmanager.fires("DiskFull", severity="critical"))
    world.slack.unseen.clear()
    world.clock.advance(hours=10)

    await world.restart()
    await world.look_around()

    world.slack.expect("UBO", "DiskFull")


async def test_where_nothing_is_open_nothing_is_told(staffed: World) -> None:
    """What is over, what another route told, and drills are nobody's inheritance."""
    world = staffed
    await world.alertmanager.fires("DiskFull", severity="critical")
    await world.alertmanager.resolves("DiskFull", severity="critical")
    await world.alertmanager.fires("Elsewhere", severity="warning")
    world.slack.unseen.clear()

    await nine_o_clock(world)

    world.slack.expect_nothing("UBO")


async def test_a_schedule_that_is_new_is_taken_over_by_nobody(world: World) -> None:
    """Who was on call before it was written into routing.yaml is not told that they are."""
    await begin(world)
    await world.alertmanager.fires("DiskFull", severity="critical")
    world.slack.unseen.clear()

    await world.look_around()

    world.slack.expect_nothing()


async def test_an_override_is_a_hand_over_and_so_is_its_end(staffed: World) -> None:
    world = staffed
    await world.acknowledge(await world.alertmanager.fires("DiskFull", severity="critical"))
    world.slack.unseen.clear()
    now = world.clock.now()
    said = {"schedule": "primary", "person": "bo", "starts_at": now, "ends_at": now + timedelta(minutes=30)}

    answer = await world.client.post(
        "/api/v1/overrides",
        json={name: str(value).replace(" ", "T") for name, value in said.items()} | {"actor": "ana"},
    )
    assert answer.status_code == 201, answer.text
    await world.look_around()
    world.slack.expect("UBO", "DiskFull")

    await world.fast_forward(minutes=31)
    await world.look_around()
    world.slack.expect("UANA", "DiskFull")


async def test_who_was_told_at_the_hand_over_is_paged_all_the_same(staffed: World) -> None:
    """The message pages nobody, so it must not stand for a step of the policy."""
    world = staffed
    incident = await world.alertmanager.fires("DiskFull", severity="critical")
    await nine_o_clock(world)
    world.slack.expect("UBO", "1 incident open as you come on call")
    world.slack.unseen.clear()

    await world.fast_forward(hours=18)

    world.slack.expect("UBO", "CRITICAL · DiskFull")
    assert "policy page, step 2: slack UBO (bo, on call by primary)" in await world.timeline(incident)


async def test_who_is_off_call_again_is_not_told_that_they_are_on(staffed: World) -> None:
    """The service was out for longer than the turn: only whoever is on call now hears."""
    world = staffed
    incident = await world.alertmanager.fires("DiskFull", severity="critical")
    await world.acknowledge(incident)
    world.slack.fails_with(DOWN, "UBO")
    await nine_o_clock(world)
    await nine_o_clock(world)
    world.slack.recovers("UBO")
    world.slack.expect("UANA")
    world.slack.unseen.clear()

    await world.fast_forward(hours=2)

    assert [told.channel for told in world.slack.told if "come on call" in told.text] == ["UANA"]
    assert "slack UBO: handed_over not told: another is on call by now" in await world.timeline(incident)


async def test_it_waits_for_the_hours_of_its_route(world: World) -> None:
    """What can wait at night is told in the morning, to who is on call then."""
    early = PEOPLE.replace("2026-11-19T09:00", "2026-11-19T04:00").replace("critical", "warning")
    await begin(world, early + DAY)
    await world.look_around()
    await world.acknowledge(await world.alertmanager.fires("DiskFull", severity="warning"))

    await world.fast_forward(hours=1)
    await world.look_around()
    world.slack.expect_nothing("UBO")

    await nine_o_clock(world)
    world.slack.expect("UBO", "DiskFull")


async def test_it_is_over_before_it_could_be_told(staffed: World) -> None:
    """While the service is out it resolves; nothing is left to hand over."""
    world = staffed
    incident = await world.alertmanager.fires("DiskFull", severity="critical")
    world.slack.fails_with(DOWN, "UBO")
    await nine_o_clock(world)
    await world.alertmanager.resolves("DiskFull", severity="critical")
    world.slack.recovers("UBO")
    world.slack.unseen.clear()

    await world.fast_forward(minutes=30)

    world.slack.expect_nothing("UBO")
    assert "slack UBO: all_resolved not told: resolved before it went out" in await world.timeline(incident)
