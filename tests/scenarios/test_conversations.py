"""What one destination hears of one incident comes in order, and no other destination waits for it."""

import asyncio

from receiver.worker import MOST_PER_DESTINATION
from tests.fakes.http import Reply
from tests.world import DOWN, World

BOTH = """
route:
  receiver: ops
  routes:
    - {receiver: ops, continue: true}
    - {receiver: page}
"""


async def test_updates_that_were_not_sent_yet_are_one(world: World) -> None:
    """Five alerts within group_interval are one message, not five."""
    await world.routes("route: {receiver: ops, group_interval: 1m}")
    incident = await world.alertmanager.fires("DiskFull", instance="db-0")
    world.slack.expect("#ops", "db-0")
    for number in range(1, 6):
        await world.alertmanager.fires("DiskFull", instance=f"db-{number}")
        await world.fast_forward(seconds=5)
    world.slack.expect_nothing()
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "6 firing", "db-1", "db-5")
    world.slack.expect_nothing()
    sent = [row for row in await world.notifications(incident) if row["state"] == "sent"]
    assert len(sent) == 2


async def test_a_resolved_never_overtakes_its_triggered(world: World) -> None:
    """While the page is on its way, the news of its end waits behind it."""
    world.slack.script.append(Reply(delay=30))
    await world.alertmanager.sends(an_alert(world, "DiskFull"), settle=False)
    await world.worker.deliver_due()
    await world.alertmanager.sends(an_alert(world, "DiskFull", "resolved"), settle=False)

    assert await world.worker.deliver_due() == 0

    await stop_all(world)


async def test_a_destination_that_hangs_holds_up_no_other(world: World) -> None:
    """While one service says nothing, the others are told."""
    await world.routes(BOTH.replace("ops", "hook"))
    world.webhook.script.append(Reply(is_never=True))
    await world.alertmanager.sends(an_alert(world, "DiskFull"), settle=False)

    await world.worker.deliver_due()
    async with asyncio.timeout(5):
        await world.slack.heard.wait()

    world.slack.expect("#page", "DiskFull")
    assert world.webhook.bodies == []
    await stop_all(world)


async def test_a_storm_for_a_service_that_hangs_holds_up_no_other(world: World) -> None:
    """However much is owed to a destination that says nothing, only so much is tried at once."""
    await world.routes("""
route:
  receiver: page
  group_by: [alertname]
  routes: [{matchers: ['severity="info"'], receiver: hook}]
""")
    world.webhook.broken = Reply(is_never=True)
    for number in range(MOST_PER_DESTINATION + 8):
        await world.alertmanager.sends(an_alert(world, f"Noise{number}", severity="info"), settle=False)
    await world.worker.deliver_due()
    await world.alertmanager.sends(an_alert(world, "DiskFull"), settle=False)

    await world.worker.deliver_due()
    async with asyncio.timeout(5):
        await world.slack.heard.wait()

    world.slack.expect("#page", "DiskFull")
    await stop_all(world)


async def test_one_destination_is_told_and_the_other_later(world: World) -> None:
    """Each destination catches up by itself, with what is true by then."""
    await world.routes(BOTH)
    world.slack.fails_with(DOWN, "#page")
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull", "nobody is on it")
    await world.fast_forward(minutes=1)
    await world.alertmanager.fires("DiskFull", instance="db-2")
    world.slack.expect("#ops", "2 firing")
    world.slack.recovers("#page")
    await world.fast_forward(minutes=5)

    world.slack.expect("#page", "2 firing", edited=False)
    world.slack.expect_nothing()
    assert incident


def an_alert(
    world: World, alertname: str, status: str = "firing", severity: str = "critical"
) -> dict[str, object]:
    """Return a body with one alert."""
    now = world.clock.now().isoformat()
    labels = {"alertname": alertname, "severity": severity}
    ended = {"endsAt": now} if status == "resolved" else {}
    alert = {"status": status, "labels": labels, "annotations": {}, "startsAt": now, **ended}
    return {"groupKey": alertname, "groupLabels": {"alertname": alertname}, "alerts": [alert]}


async def stop_all(world: World) -> None:
    """Give up what hangs."""
    for task in list(world.worker._under_way):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
