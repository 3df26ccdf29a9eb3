"""Somebody is told, and if nobody acts, somebody else."""

import pytest

from tests.world import World

POLICIES = """
global: {slack_app_token: "${TOKEN}", slack_app_url: "${SLACK}", allow_private_addresses: true}
people:
  - {name: ana, contacts: [{slack: UANA}, {after: 5m, slack: UANAPHONE}]}
  - {name: bo, contacts: [{slack: UBO}]}
  - {name: lead, contacts: [{slack: ULEAD}]}
schedules:
  - name: primary
    rotations: [{name: weekly, people: [ana], every: 1w, starts_at: 2026-01-05T09:00}]
  - name: secondary
    rotations: [{name: weekly, people: [bo], every: 1w, starts_at: 2026-01-05T09:00}]
escalation_policies:
  - name: page
    steps:
      - notify: [{schedule: primary}]
      - {after: 10m, notify: [{schedule: secondary}, {receiver: ops}]}
      - {after: 15m, notify: [{person: lead}]}
    repeat: 1
    repeat_after: 20m
    ack_timeout: 30m
fallback: fallback
"""
ROUTE = """
route:
  receiver: dev
  routes:
    - {name: critical, matchers: ['severity="critical"'], escalation_policy: page}
"""


@pytest.fixture
async def paged(world: World) -> World:
    for number, name in enumerate(("UANA", "UANAPHONE", "UBO", "ULEAD"), start=1):
        world.slack.channels[name] = f"D{number:08d}"
    await world.routes(POLICIES + ROUTE)
    return world


async def test_nobody_acknowledges(paged: World) -> None:
    """The second person is woken when the first stays silent, then the lead, then it begins anew."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")
    paged.slack.expect_nothing()

    await paged.fast_forward(minutes=5)
    paged.slack.expect("UANAPHONE", "DiskFull")
    await paged.fast_forward(minutes=4)
    paged.slack.expect_nothing()
    await paged.fast_forward(minutes=1)
    paged.slack.expect("UBO", "DiskFull")
    paged.slack.expect("#ops", "DiskFull")
    await paged.fast_forward(minutes=15)
    paged.slack.expect("ULEAD", "DiskFull")
    paged.slack.expect_nothing()

    await paged.fast_forward(minutes=20)
    assert "nobody acknowledged it in time" in paged.slack.expect("UANA").reply
    await paged.fast_forward(hours=1)
    for again in ("UANAPHONE", "UBO", "#ops", "ULEAD"):
        paged.slack.expect(again, "DiskFull")
    paged.slack.expect_nothing()

    story = await paged.timeline(incident)
    assert "policy page, step 1: slack UANA (ana, on call by primary)" in story
    assert "policy page, step 3, round 2: slack ULEAD (lead)" in story


async def test_who_acknowledges_stops_it(paged: World) -> None:
    """An acknowledgement ends the escalation, later contacts included, and tells those who were told."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")

    await paged.acknowledge(incident)
    paged.slack.expect("UANA", "acknowledged by ana")
    await paged.fast_forward(minutes=29)

    paged.slack.expect_nothing()


async def test_an_acknowledgement_expires(paged: World) -> None:
    """Whoever acknowledged and did not resolve may be asleep: it begins with the first step again."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    await paged.acknowledge(incident)
    paged.slack.unseen.clear()

    await paged.fast_forward(minutes=30)
    told = paged.slack.expect("UANA", "DiskFull")
    assert "nobody is on it any more" in told.reply
    assert (await paged.incident(incident))["state"] == "triggered"
    await paged.fast_forward(minutes=10)

    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect("UBO", "DiskFull")
    assert "ana acknowledged it 30 min ago, and it still fires" in await paged.timeline(incident)


async def test_the_end_stops_it(paged: World) -> None:
    """Nobody is woken for what is over."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")

    await paged.alertmanager.resolves("DiskFull")
    await paged.fast_forward(hours=2)

    paged.slack.expect("UANA", "Resolved")

    paged.slack.expect_nothing()


async def test_what_fires_again_pages_again(paged: World) -> None:
    """A reopened incident begins its policy anew."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    await paged.alertmanager.resolves("DiskFull")
    await paged.fast_forward(minutes=3)
    paged.slack.unseen.clear()

    await paged.alertmanager.fires("DiskFull", severity="critical")
    assert "it fires again" in paged.slack.expect("UANA").reply
    await paged.fast_forward(minutes=10)

    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect("UBO", "DiskFull")


async def test_a_snooze_stops_it_and_its_end_begins_it_anew(paged: World) -> None:
    """Quiet for an hour is quiet for everybody; then it begins with the first step."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    await paged.act(incident, "snooze", actor="ana")
    paged.slack.unseen.clear()

    await paged.fast_forward(minutes=59)
    paged.slack.expect_nothing()
    await paged.fast_forward(minutes=1)
    paged.slack.expect("UANA", "the snooze is over, and it still fires")
    await paged.fast_forward(minutes=10)

    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect("UBO", "DiskFull")


async def test_a_restart_forgets_no_step(paged: World) -> None:
    """What is due after a restart is what was due before it."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")
    await paged.fast_forward(minutes=4)

    await paged.restart()
    await paged.fast_forward(minutes=6)

    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect("UBO", "DiskFull")
    paged.slack.expect("#ops", "DiskFull")
    paged.slack.expect_nothing()


async def test_a_reload_does_not_disturb_it(paged: World) -> None:
    """The policy that was in force when the incident opened goes on; the next incident has the new one."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")

    await paged.routes(
        POLICIES.replace("after: 10m", "after: 1m").replace("{schedule: secondary}", "{person: lead}") + ROUTE
    )
    await paged.fast_forward(minutes=9)
    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect_nothing()
    await paged.fast_forward(minutes=1)
    paged.slack.expect("UBO", "DiskFull")
    paged.slack.expect("#ops", "DiskFull")

    await paged.alertmanager.fires("NetDown", severity="critical")
    paged.slack.expect("UANA", "NetDown")
    await paged.fast_forward(minutes=1)
    paged.slack.expect("ULEAD", "NetDown")


async def test_more_alerts_do_not_wake_the_next_person_early(paged: World) -> None:
    """News go to those who were told; the others hear when it is their turn."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")
    await paged.fast_forward(minutes=2)

    await paged.alertmanager.fires("DiskFull", severity="critical", instance="db-2")
    await paged.fast_forward(minutes=1)

    paged.slack.expect("UANA", "more alerts fire")
    paged.slack.expect_nothing()


async def test_a_step_that_reaches_nobody_falls_through(paged: World) -> None:
    """Where nobody is on call the next step is taken at once, and the timeline says why."""
    gone = POLICIES.replace(
        "people: [ana], every: 1w, starts_at: 2026", "people: [ana], every: 1w, starts_at: 2036"
    )
    await paged.routes(gone + ROUTE)

    incident = await paged.alertmanager.fires("DiskFull", severity="critical")

    paged.slack.expect("UBO", "DiskFull")
    paged.slack.expect("#ops", "DiskFull")
    assert "step 1: nobody; nobody is on call in primary" in await paged.timeline(incident)


async def test_a_policy_that_reaches_nobody_tells_the_fallback(paged: World) -> None:
    """A page that nobody could be told goes to the fallback, and Tocsin raises an alarm about itself."""
    nobody = """
people: [{name: ana}]
escalation_policies:
  - {name: page, steps: [{notify: [{person: ana}]}, {after: 5m, notify: [{person: ana}]}]}
fallback: fallback
"""
    await paged.routes(nobody + ROUTE)

    incident = await paged.alertmanager.fires("DiskFull", severity="critical")

    paged.slack.expect("#fallback", "DiskFull")
    assert [one["title"] for one in await paged.alarms()] == ["TocsinNobodyReached"]
    story = await paged.timeline(incident)
    assert "policy page reached nobody; instead: slack #fallback" in story
    assert "step 2: nobody; ana, has no contact to tell" in story


async def test_who_was_on_call_may_be_gone(paged: World) -> None:
    """A person whom routing.yaml lost cannot be told, so the next step is taken."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")
    without_bo = POLICIES.replace("  - {name: bo, contacts: [{slack: UBO}]}\n", "").replace(
        "people: [bo]", "people: [lead]"
    )

    await paged.routes(without_bo + ROUTE)
    await paged.fast_forward(minutes=10)

    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect("ULEAD", "DiskFull")
    paged.slack.expect("#ops", "DiskFull")


async def test_what_gets_worse_than_what_was_acknowledged_pages_anew(paged: World) -> None:
    """Who acknowledged a warning did not acknowledge what it became."""
    incident = await paged.alertmanager.fires("DiskFull", severity="warning")
    await paged.acknowledge(incident)
    paged.slack.unseen.clear()

    await paged.alertmanager.fires("DiskFull", severity="critical", instance="db-2")

    paged.slack.expect("UANA", "DiskFull")
    assert (await paged.incident(incident))["state"] == "triggered"
    assert "it got worse than what was acknowledged" in await paged.timeline(incident)
