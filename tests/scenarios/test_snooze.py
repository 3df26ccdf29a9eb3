"""A person may have quiet for a while, and nothing is forgotten."""

from datetime import timedelta

from receiver.pipeline.facts import instant
from tests.world import DOWN, World


async def test_a_snoozed_incident_is_quiet_and_speaks_up_when_the_time_is_over(world: World) -> None:
    """One reminder comes when the snooze ends and it still fires."""
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.expect("#ops", "DiskFull")

    await world.act(incident, "snooze", actor="ana")
    world.slack.expect("#ops", "snoozed until")
    await world.fast_forward(minutes=59)
    world.slack.expect_nothing()
    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "the snooze is over, and it still fires")
    kinds = [line["kind"] for line in (await world.incident(incident))["timeline"]]
    assert "snoozed" in kinds
    assert "snooze_over" in kinds


async def test_more_alerts_wait_for_the_end_of_the_snooze(world: World) -> None:
    """What is new but no worse waits; it is told once, with the end of the snooze."""
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.act(incident, "snooze", actor="ana")
    world.slack.unseen.clear()

    await world.alertmanager.fires("DiskFull", severity="warning", instance="db-2")
    await world.fast_forward(minutes=30)

    world.slack.expect_nothing()
    await world.fast_forward(minutes=35)
    world.slack.expect("#ops", "DiskFull")


async def test_what_gets_worse_speaks_at_once(world: World) -> None:
    """A rise in severity breaks a snooze's silence."""
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.act(incident, "snooze", actor="ana")
    world.slack.unseen.clear()

    await world.alertmanager.fires("DiskFull", severity="critical", instance="db-2")
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "the severity rose")


async def test_what_is_over_says_so_at_once(world: World) -> None:
    """The end of a snoozed incident is told, and nothing comes after it."""
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.act(incident, "snooze", actor="ana")
    world.slack.unseen.clear()

    await world.alertmanager.resolves("DiskFull", severity="warning")
    await world.fast_forward(minutes=1)
    world.slack.expect("#ops", "Resolved")
    await world.fast_forward(hours=2)

    world.slack.expect_nothing()


async def test_an_acknowledged_incident_needs_no_snooze_to_be_quiet(world: World) -> None:
    """Acknowledging ends the snooze: nobody is reminded when its time comes."""
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.act(incident, "snooze", actor="ana", until=instant(world.clock.now() + timedelta(minutes=10)))
    await world.act(incident, "acknowledge", actor="bo")
    world.slack.unseen.clear()

    await world.fast_forward(hours=2)

    world.slack.expect_nothing()


async def test_a_snooze_survives_a_restart(world: World) -> None:
    """The end of a snooze is a column, not a timer."""
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.act(incident, "snooze", actor="ana")
    world.slack.unseen.clear()

    await world.restart()
    await world.fast_forward(minutes=61)

    world.slack.expect("#ops", "the snooze is over")


async def test_what_gets_worse_speaks_at_once_although_nobody_was_told_before(world: World) -> None:
    """A snooze holds back a page that is still owed, until the incident becomes critical."""
    world.slack.fails_with(DOWN)
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.act(incident, "snooze", actor="ana")
    await world.alertmanager.fires("DiskFull", severity="critical", instance="db-2")

    world.slack.recovers()
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "CRITICAL")
    assert "the snooze is over, for it got worse" in await world.timeline(incident)
