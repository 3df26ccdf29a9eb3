"""What is over, or in somebody's hands, before it could be told wakes nobody."""

from tests.world import DOWN, World


async def test_resolved_before_it_went_out(world: World) -> None:
    """A page whose incident resolved before it could be sent is withdrawn, and says why."""
    await world.routes("route: {receiver: ops, group_wait: 2m}")
    incident = await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=1)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(minutes=10)

    world.slack.expect_nothing()
    [page] = await world.notifications(incident)
    assert (page["state"], page["why"]) == ("withdrawn", "resolved before it went out")
    assert "withdrawn: slack #ops" in await world.timeline(incident)


async def test_resolved_while_the_service_was_out(world: World) -> None:
    """An outage that outlasts the incident ends in silence, not in old news."""
    world.slack.fails_with(DOWN)
    await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=3)
    await world.alertmanager.resolves("DiskFull")
    world.slack.recovers()
    await world.fast_forward(minutes=10)

    world.slack.expect_nothing()


async def test_acknowledged_before_it_went_out(world: World) -> None:
    """A page whose incident somebody took before it could be sent is withdrawn, and says why."""
    await world.routes("route: {receiver: ops, group_wait: 2m}")
    incident = await world.alertmanager.fires("DiskFull")
    await world.acknowledge(incident)
    await world.fast_forward(minutes=10)

    world.slack.expect_nothing()
    [page] = await world.notifications(incident)
    assert (page["state"], page["why"]) == ("withdrawn", "acknowledged before it went out")


async def test_given_back_before_anybody_was_told(world: World) -> None:
    """An incident that was taken before its page went out, and given back, pages after all."""
    await world.routes("route: {receiver: ops, group_wait: 2m}")
    incident = await world.alertmanager.fires("DiskFull")
    await world.acknowledge(incident)
    await world.fast_forward(minutes=10)
    await world.act(incident, "unacknowledge")

    world.slack.expect("#ops", "DiskFull", "nobody is on it yet")


async def test_opened_and_over_in_one_breath(world: World) -> None:
    """An alert that is over before anybody could be told leaves a history and no message."""
    world.slack.fails_with(DOWN)
    incident = await world.alertmanager.fires("DiskFull")
    await world.alertmanager.resolves("DiskFull")
    world.slack.recovers()
    await world.fast_forward(hours=1)

    world.slack.expect_nothing()
    assert (await world.incident(incident))["state"] == "resolved"


async def test_the_end_of_what_nobody_heard_of(world: World) -> None:
    """The end of an alert whose beginning never came makes no incident."""
    assert await world.alertmanager.resolves("DiskFull") == 0

    world.slack.expect_nothing()
    assert await world.incidents() == []


async def test_a_destination_that_wants_no_ends(world: World) -> None:
    """Where send_resolved is false, the end is not told, and the row says why."""
    await world.routes("route: {receiver: quiet}")
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.expect("#quiet", "DiskFull")
    await world.fast_forward(minutes=5)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=9)

    world.slack.expect_nothing()
    *_, last = await world.notifications(incident)
    assert (last["state"], last["why"]) == ("withdrawn", "send_resolved is false")
