"""A clock that jumps makes nothing silent: what waited goes out, and somebody hears of it."""

from tests.fakes.http import Reply
from tests.world import DOWN, World

ROUTES = "route: {receiver: ops, routes: [{receiver: dev, matchers: ['alertname=~\"Tocsin.*\"']}]}"


async def look(world: World) -> None:
    await world.process.watching.look_at_the_clock()
    await world.settle()


async def test_time_that_passes_is_no_jump(world: World) -> None:
    """A look that comes late sees both clocks agree; a step of seconds is a correction."""
    world.clock.advance(hours=3)
    await look(world)
    world.clock.jumps(seconds=50)
    await look(world)

    assert await world.alarms() == []


async def test_a_jump_forward_is_told(world: World) -> None:
    """People hear that reminders and the like came early; nobody is missed for it."""
    await world.routes(ROUTES)
    await world.alertmanager.fires("DiskFull")
    world.slack.unseen.clear()

    world.clock.jumps(hours=5)
    await look(world)

    world.slack.expect("#dev", "TocsinClockJump", "jumped 5 h forward")
    world.slack.expect("#ops", "DiskFull")  # the reminder is due
    await look(world)
    assert len(await world.alarms()) == 1


async def test_a_jump_back_keeps_no_page_waiting(world: World) -> None:
    """What backs off, or waits for its group, goes out at once and not when the clock is there again."""
    await world.routes(ROUTES.replace("ops,", "ops, group_wait: 2m,").replace("dev,", "dev, group_wait: 0s,"))
    await world.alertmanager.fires("DiskFull")
    world.slack.expect_nothing()

    world.clock.jumps(hours=-5)
    await look(world)

    world.slack.expect("#ops", "DiskFull")
    world.slack.expect("#dev", "TocsinClockJump", "put back by 5 h", "Pages that waited go out now")


async def test_a_jump_back_ends_no_back_off_for_ever(world: World) -> None:
    """What failed is tried again now, breaker or not, and its fallback is not hours away."""
    await world.routes(ROUTES)
    world.slack.fails_with(DOWN)
    incident = await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=3)

    world.clock.jumps(hours=-5)
    await look(world)
    await world.fast_forward(minutes=16)
    world.slack.recovers()
    await world.fast_forward(minutes=6)

    world.slack.expect("#ops", "DiskFull")
    assert "is told as well" in await world.timeline(incident)


async def test_a_jump_back_leaves_reminders_where_they_are(world: World) -> None:
    """A reminder is later by as much, and is not sent at once."""
    await world.routes(ROUTES)
    await world.alertmanager.fires("DiskFull")
    world.slack.unseen.clear()

    world.clock.jumps(hours=-2)
    await look(world)
    world.slack.expect_nothing("#ops")
    await world.fast_forward(hours=6, minutes=1)

    world.slack.expect("#ops", "DiskFull")


async def test_a_jump_back_frees_who_asked_to_be_left_alone(world: World) -> None:
    """A bucket or a Retry-After that ends hours away keeps nobody waiting."""
    await world.routes(ROUTES)
    world.slack.fails(Reply(status=429, headers={"Retry-After": "60"}))
    await world.alertmanager.fires("DiskFull")

    world.clock.jumps(hours=-5)
    await look(world)
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "DiskFull")


async def test_a_jump_back_makes_no_step_late(world: World) -> None:
    """The next person hears as long after the first as was said, whatever the clock showed meanwhile."""
    await world.routes("""
escalation_policies:
  - {name: page, steps: [{notify: [{receiver: ops}]}, {after: 10m, notify: [{receiver: page}]}]}
route: {receiver: dev, routes: [{escalation_policy: page, matchers: [severity="critical"], group_by: [alertname]}]}
""")
    await world.alertmanager.fires("DiskFull", severity="critical")
    world.slack.expect("#ops", "DiskFull")

    world.clock.jumps(hours=-5)
    await look(world)
    await world.fast_forward(minutes=9)
    world.slack.expect_nothing("#page")
    await world.fast_forward(minutes=1)

    world.slack.expect("#page", "DiskFull")
