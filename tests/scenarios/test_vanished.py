"""An alert that Alertmanager no longer names, without saying that it ended."""

from tests.world import World


async def test_a_vanished_alert_still_counts(world: World) -> None:
    """What was silenced upstream is not over: the timeline says so, and nobody is told of an end."""
    incident = await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(minutes=1)
    world.slack.unseen.clear()
    await world.alertmanager.forgets("DiskFull", instance="db-1")
    await world.fast_forward(minutes=14)

    world.slack.expect_nothing()
    assert "vanished: DiskFull (instance=db-1)" in await world.timeline(incident)
    assert (await world.incident(incident))["alert_counts"] == {"firing": 2, "total": 2}


async def test_a_vanished_alert_ends_after_a_while(world: World) -> None:
    """What is not named again for a quarter of an hour counts as over."""
    incident = await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(minutes=1)
    await world.alertmanager.forgets("DiskFull", instance="db-1")
    world.slack.unseen.clear()
    await world.fast_forward(minutes=16)

    world.slack.expect("#ops", "DiskFull")
    assert (await world.incident(incident))["alert_counts"] == {"firing": 1, "total": 2}


async def test_an_alert_that_returns(world: World) -> None:
    """What is named again within that time never was away."""
    incident = await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.alertmanager.forgets("DiskFull", instance="db-1")
    await world.fast_forward(minutes=10)
    world.slack.unseen.clear()
    await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.fast_forward(minutes=30)

    world.slack.expect_nothing()
    assert "returned:" in await world.timeline(incident)


async def test_a_late_end_does_not_end_what_fires_anew(world: World) -> None:
    """An old body that says "resolved" changes nothing for an alert that has fired again since."""
    incident = await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=1)
    await world.alertmanager.resolves("DiskFull")
    end = world.alertmanager.last
    await world.fast_forward(minutes=1)
    await world.alertmanager.fires("DiskFull")
    await world.alertmanager.sends(end)

    assert (await world.incident(incident))["state"] == "triggered"
