"""An alert fires, and a person hears of it."""

from tests.world import World


async def test_a_page_arrives(world: World) -> None:
    """An alert that fires is told at once, with what it is about."""
    incident = await world.alertmanager.fires(
        "DiskFull", severity="page", annotations={"summary": "/var is 97 % full"}
    )

    told = world.slack.expect("#ops", "DiskFull", "/var is 97 % full", f"/incidents/{incident}")
    assert not told.edited
    world.slack.expect_nothing()


async def test_the_end_is_told_in_the_same_message(world: World) -> None:
    """When the alert resolves, the message says so, and its thread has a line about it."""
    await world.alertmanager.fires("DiskFull")
    first = world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(minutes=5)
    await world.alertmanager.resolves("DiskFull")

    told = world.slack.expect("#ops", "Resolved", "all alerts resolved", edited=True)
    assert told.reply
    assert not first.reply
    assert not told.broadcast
    assert len(world.slack.main_messages()) == 1


async def test_more_alerts_are_told_in_the_thread_and_the_channel(world: World) -> None:
    """A second alert of the same incident changes the message, and its reply is shown to everyone."""
    await world.alertmanager.fires("DiskFull", instance="db-1")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(minutes=1)
    await world.alertmanager.fires("DiskFull", instance="db-2")

    told = world.slack.expect("#ops", "2 firing", "db-1", "db-2", "more alerts fire", edited=True)
    assert told.broadcast


async def test_a_program_is_told_in_alertmanagers_words(world: World) -> None:
    """A webhook hears what Alertmanager would have posted, and the incident and the reason beside it."""
    await world.routes("route: {receiver: hook}")
    incident = await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.fast_forward(minutes=5)
    await world.alertmanager.resolves("DiskFull")

    first = world.webhook.expect(status="firing", reason="first", groupLabels={"alertname": "DiskFull"})
    last = world.webhook.expect(status="resolved", reason="all_resolved")
    assert first["incident"]["id"] == last["incident"]["id"] == incident
    assert first["alerts"][0]["labels"] == {"alertname": "DiskFull", "instance": "db-1"}


async def test_a_repeated_body_is_told_once(world: World) -> None:
    """What Alertmanager repeats, or its peer says too, wakes nobody again."""
    await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    await world.alertmanager.repeats()
    await world.fast_forward(minutes=2)
    await world.alertmanager.repeats()

    world.slack.expect_nothing()
    assert len(await world.incidents()) == 1
