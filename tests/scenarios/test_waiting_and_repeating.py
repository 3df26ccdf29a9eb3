"""When people are told: group_wait, group_interval, repeat_interval."""

from tests.world import DOWN, World


async def test_group_wait_delays_the_first_message(world: World) -> None:
    """The first message waits for group_wait, and then says all that happened meanwhile."""
    await world.routes("route: {receiver: ops, group_wait: 2m}")
    await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.fast_forward(seconds=60)
    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(seconds=59)
    world.slack.expect_nothing()

    await world.fast_forward(seconds=2)

    world.slack.expect("#ops", "2 firing", edited=False)
    world.slack.expect_nothing()


async def test_group_interval_is_the_least_between_two_updates(world: World) -> None:
    """An update comes not closer than group_interval to the message before."""
    await world.routes("route: {receiver: ops, group_interval: 5m}")
    await world.alertmanager.fires("DiskFull", instance="db-1")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(minutes=1)
    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(minutes=3)
    world.slack.expect_nothing()

    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "2 firing", edited=True)


async def test_a_rise_in_severity_does_not_wait(world: World) -> None:
    """What became worse is told at once, whatever group_interval says."""
    await world.routes("route: {receiver: ops, group_interval: 5m}")
    await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.expect("#ops", "WARNING")

    await world.alertmanager.fires("DiskFull", severity="critical")

    world.slack.expect("#ops", "CRITICAL", "the severity rose")


async def test_reminders_come_while_nobody_acts(world: World) -> None:
    """Every repeat_interval people are reminded, until somebody takes it."""
    await world.routes("route: {receiver: ops, repeat_interval: 1h}")
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    for _ in range(3):
        await world.fast_forward(hours=1, seconds=1)
        told = world.slack.expect("#ops", "still firing, and nobody is on it")
        assert told.broadcast
    await world.acknowledge(incident)
    world.slack.expect("#ops", "ana", "is on it")

    await world.fast_forward(hours=5)

    world.slack.expect_nothing()


async def test_no_reminder_after_the_end(world: World) -> None:
    """A resolved incident reminds nobody."""
    await world.routes("route: {receiver: ops, repeat_interval: 1h}")
    await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(minutes=30)
    await world.alertmanager.resolves("DiskFull")
    world.slack.expect("#ops", "Resolved")

    await world.fast_forward(hours=5)

    world.slack.expect_nothing()


async def test_an_update_puts_the_reminder_off(world: World) -> None:
    """A reminder comes repeat_interval after the last message, not after the first."""
    await world.routes("route: {receiver: ops, repeat_interval: 1h}")
    await world.alertmanager.fires("DiskFull", instance="db-1")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(minutes=50)
    await world.alertmanager.fires("DiskFull", instance="db-2")
    world.slack.expect("#ops", "2 firing")
    await world.fast_forward(minutes=59)
    world.slack.expect_nothing()

    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "still firing")


async def test_a_reminder_outlives_a_row_that_spoke_for_another(world: World) -> None:
    """Where an older row tells what a newer one was for, the reminder is owed all the same."""
    incident = await world.alertmanager.fires("DiskFull", instance="db-0")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(minutes=1)
    await world.alertmanager.sends(more(world, 1), settle=False)
    world.slack.fails_with(DOWN)
    await world.worker.deliver_due()  # the row is held by a worker
    await world.alertmanager.sends(more(world, 2), settle=False)  # so this is another row
    await world.worker.settle()  # the first failed
    await world.alertmanager.sends(more(world, 3), settle=False)  # what collapses into the first
    world.slack.recovers()
    await world.fast_forward(minutes=10)

    *_, last = await world.notifications(incident)
    assert {row["reason"] for row in await world.notifications(incident) if row["state"] == "owed"} == {
        "repeat_due"
    }
    assert last


def more(world: World, number: int) -> dict[str, object]:
    """Return a body with one more alert of the same group."""
    group = world.alertmanager._group("DiskFull")
    alert = world.alertmanager._alert({"alertname": "DiskFull", "instance": f"db-{number}"}, {})
    group.firing[alert["fingerprint"]] = alert
    return world.alertmanager.body(group, [])
