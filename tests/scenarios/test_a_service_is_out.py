"""A service is out of order, and the page gets through all the same."""

from tests.fakes.http import Reply, as_json
from tests.world import DOWN, World

REFUSED = as_json({"ok": False, "error": "is_archived"})


async def test_a_page_survives_an_outage(world: World) -> None:
    """A page that could not be sent for ten minutes arrives once, and says how things are by then."""
    world.slack.fails_with(DOWN)
    incident = await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.fast_forward(minutes=5)
    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(minutes=5)
    world.slack.recovers()
    await world.fast_forward(minutes=5)

    world.slack.expect("#ops", "DiskFull", "2 firing", edited=False)
    world.slack.expect_nothing()
    [page, reminder] = await world.notifications(incident)
    assert (page["state"], page["reason"], reminder["reason"]) == ("sent", "first", "repeat_due")
    assert [one["outcome"] for one in page["tries"][:-1]] == ["temporary"] * (page["attempts"] - 1)


async def test_retries_back_off(world: World) -> None:
    """A service that is out is asked ever less often, but at least every five minutes."""
    await world.routes("route: {receiver: ops}\nfallback_after: 1d\n")
    world.slack.fails_with(DOWN)
    await world.alertmanager.fires("DiskFull")
    await world.fast_forward(hours=1)

    assert 15 <= world.slack.calls_made <= 22


async def test_a_service_that_asks_to_wait_is_not_asked_before(world: World) -> None:
    """Retry-After is honoured to the second."""
    world.slack.fails_with(Reply(status=429, headers={"Retry-After": "90"}))
    await world.alertmanager.fires("DiskFull")
    world.slack.recovers()
    await world.fast_forward(seconds=89)
    world.slack.expect_nothing()

    await world.fast_forward(seconds=2)

    world.slack.expect("#ops", "DiskFull")


async def test_more_alerts_do_not_shorten_the_wait(world: World) -> None:
    """A service that asked to wait is left alone, whatever else happens to the incident."""
    world.slack.fails_with(Reply(status=429, headers={"Retry-After": "600"}))
    await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(minutes=9)

    assert world.slack.calls_made == 1


async def test_a_refusal_tells_the_fallback_at_once(world: World) -> None:
    """Where trying again cannot help, the fallback is told at once, and Tocsin says that it has a problem."""
    world.slack.fails_with(REFUSED, "#ops")
    incident = await world.alertmanager.fires("DiskFull")

    world.slack.expect("#fallback", "DiskFull", "slack #ops", "could not be reached")
    [alarm] = await world.alarms()
    assert alarm["labels"] == {
        "alertname": "TocsinDeliveryFailed",
        "severity": "critical",
        "destination": "slack #ops",
    }
    [failed, fallback, *_] = await world.notifications(incident)
    assert failed["state"] == "failed"
    assert "is_archived" in failed["why"]
    assert (fallback["state"], fallback["fallback_for"]) == ("sent", "slack #ops")
    assert "failed: slack #ops could not be told" in await world.timeline(incident)


async def test_the_alarm_about_a_refusal_finds_its_way_too(world: World) -> None:
    """The alarm that nobody could be told goes to the fallback, if its own route leads to what is broken."""
    world.slack.fails_with(REFUSED, "#ops")
    await world.alertmanager.fires("DiskFull")

    world.slack.expect("#fallback", "DiskFull")
    world.slack.expect("#fallback", "TocsinDeliveryFailed", "slack #ops could not be told")
    world.slack.expect_nothing()


async def test_the_alarm_ends_when_nothing_fails_any_more(world: World) -> None:
    """A self-alarm that is not raised again is over after a quarter of an hour."""
    world.slack.fails_with(REFUSED, "#ops")
    await world.alertmanager.fires("DiskFull")
    world.slack.recovers("#ops")
    await world.fast_forward(minutes=16)

    [alarm] = await world.alarms()
    assert alarm["state"] == "resolved"


async def test_everything_refuses(world: World) -> None:
    """When the fallback refuses as well, that ends too, and the dead letters say what was lost."""
    world.slack.fails_with(REFUSED)
    await world.alertmanager.fires("DiskFull")
    await world.fast_forward(hours=1)

    failed = await world.ask("/api/v1/notifications", state="failed")
    assert {one["destination"] for one in failed["items"]} == {"slack #ops", "slack #fallback"}
    assert len(failed["items"]) < 10


async def test_after_a_day_it_is_given_up(world: World) -> None:
    """What could not be delivered for 24 hours is a dead letter, and the fallback is told."""
    await world.routes("route: {receiver: ops}\nfallback_after: 2d\n")
    world.slack.fails_with(DOWN, "#ops")
    incident = await world.alertmanager.fires("DiskFull")
    await world.fast_forward(hours=23, minutes=50)
    world.slack.expect_nothing("#fallback")
    await world.fast_forward(minutes=20)

    world.slack.expect("#fallback", "DiskFull", "slack #ops")
    [failed, *_] = await world.notifications(incident, "slack #ops")
    assert failed["state"] == "failed"
    dead = await world.ask("/api/v1/notifications", state="failed")
    assert failed["id"] in {one["id"] for one in dead["items"]}


async def test_a_reminder_after_a_day_is_not_given_up_at_its_first_failure(world: World) -> None:
    """The day that a notification is tried for begins with its first attempt, not with its making."""
    await world.routes("route: {receiver: ops, repeat_interval: 2d}")
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    world.slack.fails_with(DOWN)
    await world.fast_forward(hours=48, minutes=10)
    world.slack.recovers()
    await world.fast_forward(minutes=5)

    world.slack.expect("#ops", "DiskFull", "still firing")
    assert {row["state"] for row in await world.notifications(incident)} == {"sent", "owed"}


async def test_what_waited_for_monday_is_not_given_up_at_its_first_failure(world: World) -> None:
    """A page that waited for opening hours longer than a day has its full day of attempts."""
    await world.routes("""
time_intervals: [{name: tuesday, time_intervals: [{weekdays: [tuesday]}]}]
route:
  receiver: ops
  routes: [{matchers: ['severity="warning"'], active_time_intervals: [tuesday]}]
""")
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.fails_with(DOWN)
    await world.fast_forward(days=4)
    world.slack.recovers()
    await world.fast_forward(minutes=5)

    world.slack.expect("#ops", "DiskFull")
    assert await world.alarms() == []
    assert incident


async def test_the_fallback_does_not_wait_for_its_own_reminder(world: World) -> None:
    """A fallback that knows the incident already hears at once that another destination was not told."""
    await world.routes("""
route:
  receiver: fallback
  routes:
    - {receiver: fallback, continue: true}
    - {receiver: ops, group_wait: 1m}
""")
    world.slack.fails_with(REFUSED, "#ops")
    await world.alertmanager.fires("DiskFull")
    world.slack.expect("#fallback", "DiskFull", edited=False)
    await world.fast_forward(minutes=2)

    world.slack.expect_each("#fallback", "TocsinDeliveryFailed", "slack #ops")


async def test_the_fallback_does_not_wait_for_its_own_hours(world: World) -> None:
    """A fallback that would be told in the morning is told at night, when another could not be."""
    await world.routes("""
time_intervals: [{name: day, time_intervals: [{times: [{start_time: "09:00", end_time: "17:00"}]}]}]
route:
  receiver: fallback
  routes:
    - {receiver: fallback, active_time_intervals: [day], continue: true}
    - {receiver: ops}
""")
    world.slack.fails_with(REFUSED, "#ops")
    incident = await world.alertmanager.fires("DiskFull", severity="warning")

    world.slack.expect("#fallback", "TocsinDeliveryFailed")
    world.slack.expect("#fallback", "DiskFull", "slack #ops")
    assert [row["reason"] for row in await world.notifications(incident, "slack #fallback")] == [
        "first",
        "fallback",
        "repeat_due",
    ]
