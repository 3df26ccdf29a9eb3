"""An alert that comes and goes is told once, then kept quiet until it is stable."""

from tests.world import DOWN, World


async def come_and_go(world: World, times: int) -> int:
    """Let an alert fire and end so many times within its reopening window, and fire at last."""
    incident = await world.alertmanager.fires("DiskFull")
    for _ in range(times):
        await world.fast_forward(minutes=1)
        await world.alertmanager.resolves("DiskFull")
        await world.fast_forward(minutes=1)
        assert await world.alertmanager.fires("DiskFull") == incident
    return incident


async def test_firing_again_soon_is_the_same_incident(world: World) -> None:
    """What fires again within ten minutes reopens its incident, and people are asked again."""
    incident = await come_and_go(world, 1)

    for words in ("nobody is on it", "Resolved", "it fires again"):
        world.slack.expect("#ops", words)
    assert (await world.incident(incident))["state"] == "triggered"


async def test_firing_again_later_is_another_incident(world: World) -> None:
    """What fires again after more than ten minutes is a new incident with a new message."""
    first = await world.alertmanager.fires("DiskFull")
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(minutes=11)

    second = await world.alertmanager.fires("DiskFull")

    assert second != first
    assert len(world.slack.main_messages()) == 2


async def test_one_notice_then_quiet(world: World) -> None:
    """From the third reopening on there is one notice and no more, however often it comes and goes."""
    incident = await come_and_go(world, 3)
    notice = world.slack.told[-1]
    assert "it comes and goes" in notice.reply
    world.slack.unseen.clear()
    for _ in range(4):
        await world.fast_forward(minutes=2)
        await world.alertmanager.resolves("DiskFull")
        await world.fast_forward(minutes=2)
        await world.alertmanager.fires("DiskFull")

    world.slack.expect_nothing()
    assert (await world.incident(incident))["flapping"]
    assert "flapping: reopened 3 times" in await world.timeline(incident)


async def test_stable_again(world: World) -> None:
    """When it has kept still for ten minutes, people hear how it ended up."""
    incident = await come_and_go(world, 4)
    world.slack.unseen.clear()
    await world.alertmanager.resolves("DiskFull")
    world.slack.expect_nothing()
    await world.fast_forward(minutes=11)

    world.slack.expect("#ops", "Resolved")
    assert not (await world.incident(incident))["flapping"]
    assert "stable:" in await world.timeline(incident)


async def test_worse_is_told_all_the_same(world: World) -> None:
    """A flapping incident that becomes more severe is told at once."""
    await come_and_go(world, 4)
    world.slack.unseen.clear()

    await world.alertmanager.fires("DiskFull", severity="critical")

    world.slack.expect("#ops", "CRITICAL")


async def test_people_are_heard_while_it_flaps(world: World) -> None:
    """An acknowledgement is told at once, however quiet the incident is kept."""
    incident = await come_and_go(world, 4)
    world.slack.unseen.clear()

    await world.acknowledge(incident)

    world.slack.expect("#ops", "Acknowledged", "ana")


async def test_who_never_heard_of_it_hears_that_it_flaps(world: World) -> None:
    """A service that was out while the incident began to flap is told so, even if nothing fires just then."""
    world.slack.fails_with(DOWN)
    await come_and_go(world, 3)
    await world.alertmanager.resolves("DiskFull")
    world.slack.recovers()
    await world.fast_forward(minutes=5)

    world.slack.expect("#ops", "DiskFull")
