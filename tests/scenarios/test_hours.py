"""What happens at night is told in the morning, unless it cannot wait. It is 03:12 when a scenario begins."""

from tests.world import World

DAY = """
time_intervals: [{name: day, time_intervals: [{times: [{start_time: "09:00", end_time: "17:00"}]}]}]
route:
  receiver: fallback
  routes: [{receiver: ops, active_time_intervals: [day]}]
"""
DROP = DAY.replace("[day]}]", "[day], outside: drop}]")


async def test_told_at_opening(world: World) -> None:
    """What still fires when the route opens is told at that minute; until then the row says when."""
    await world.routes(DAY)
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.fast_forward(hours=5, minutes=47)
    world.slack.expect_nothing()
    [page] = await world.notifications(incident)
    assert page["due_at"] == "2026-11-20T09:00:00Z"
    assert "day" in page["why"]
    assert "waits: slack #ops" in await world.timeline(incident)

    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "DiskFull")


async def test_healed_meanwhile(world: World) -> None:
    """What healed before the route opened is not told, and says why."""
    await world.routes(DAY)
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.fast_forward(hours=1)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=8)

    world.slack.expect_nothing()
    [page] = await world.notifications(incident)
    assert (page["state"], page["why"]) == ("withdrawn", "resolved before it went out")


async def test_critical_breaks_through(world: World) -> None:
    """The most severe does not wait for the morning."""
    await world.routes(DAY)

    await world.alertmanager.fires("DiskFull", severity="critical")

    world.slack.expect("#ops", "CRITICAL")


async def test_what_becomes_critical_breaks_through(world: World) -> None:
    """What waits for the morning is told at the minute when it becomes critical."""
    await world.routes(DAY)
    await world.alertmanager.fires("DiskFull", severity="warning")
    await world.fast_forward(hours=1)
    world.slack.expect_nothing()

    await world.alertmanager.fires("DiskFull", severity="critical")

    world.slack.expect("#ops", "CRITICAL")


async def test_drop_lets_nothing_through(world: World) -> None:
    """A route that drops is quiet outside its hours, however severe; as in Alertmanager, what still fires
    at opening is told then.
    """
    await world.routes(DROP)
    await world.alertmanager.fires("DiskFull", severity="critical")
    await world.fast_forward(hours=5)
    world.slack.expect_nothing()

    await world.fast_forward(hours=1)

    world.slack.expect("#ops", "DiskFull")


async def test_what_healed_while_it_was_dropped_is_never_told(world: World) -> None:
    """What healed outside the hours of a route that drops is not mentioned."""
    await world.routes(DROP)
    await world.alertmanager.fires("DiskFull", severity="critical")
    await world.fast_forward(hours=1)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=8)

    world.slack.expect_nothing()


async def test_reminders_keep_the_hours(world: World) -> None:
    """Nobody is reminded outside the hours; in the morning there is one reminder."""
    await world.routes(DAY.replace("receiver: fallback", "receiver: fallback\n  repeat_interval: 1h", 1))
    await world.fast_forward(hours=13, minutes=18)  # 16:30
    await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(hours=16)
    world.slack.expect_nothing()

    await world.fast_forward(hours=1)

    world.slack.expect("#ops", "still firing")
    world.slack.expect_nothing()
