"""Who is told: everybody whom a matching route names, each once."""

from tests.world import World


async def test_two_routes_with_one_destination_tell_it_once(world: World) -> None:
    """A destination that two matching routes name hears once, through the first."""
    await world.routes("""
route:
  receiver: fallback
  routes:
    - {name: first, receiver: ops, continue: true}
    - {name: second, receiver: ops}
""")
    incident = await world.alertmanager.fires("DiskFull")

    world.slack.expect("#ops", "DiskFull")
    world.slack.expect_nothing()
    assert (await world.incident(incident))["routes"] == ["first", "second"]
    assert {row["route"] for row in await world.notifications(incident)} == {"first"}


async def test_one_open_route_is_enough(world: World) -> None:
    """A destination that two routes name is told while either of them is open."""
    await world.routes("""
time_intervals: [{name: day, time_intervals: [{times: [{start_time: "09:00", end_time: "17:00"}]}]}]
route:
  receiver: fallback
  routes:
    - {receiver: ops, active_time_intervals: [day], continue: true}
    - {receiver: ops}
""")
    await world.alertmanager.fires("DiskFull", severity="warning")

    world.slack.expect("#ops", "DiskFull")


async def test_alerts_of_different_severity_tell_all_their_receivers(world: World) -> None:
    """An incident whose alerts take different routes is told to the receivers of all of them."""
    await world.routes("""
route:
  receiver: ops
  group_by: [alertname]
  routes: [{matchers: [severity="critical"], receiver: page}]
""")
    await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.expect("#ops", "WARNING")
    await world.alertmanager.fires("DiskFull", severity="critical")

    world.slack.expect("#page", "CRITICAL", "2 firing", edited=False)
    world.slack.expect("#ops", "CRITICAL", edited=True)


async def test_the_end_is_told_to_all_who_heard(world: World) -> None:
    """Everybody who was told of the beginning is told of the end, whatever the routes say by then."""
    await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    await world.routes("route: {receiver: dev, routes: [{matchers: [alertname=Never], receiver: ops}]}")
    await world.fast_forward(minutes=1)

    await world.alertmanager.resolves("DiskFull")

    world.slack.expect("#ops", "Resolved")
    world.slack.expect_nothing()


async def test_group_by_keeps_incidents_apart(world: World) -> None:
    """Alerts that differ in a label of group_by are different incidents."""
    await world.routes("route: {receiver: ops, group_by: [alertname, cluster]}")
    one = await world.alertmanager.fires("DiskFull", cluster="a")
    await world.alertmanager.fires("DiskFull", cluster="b")

    incidents = await world.incidents()
    assert len(incidents) == 2
    assert one in {incident["id"] for incident in incidents}


async def test_a_receiver_without_destinations_says_so(world: World) -> None:
    """Where a route leads to nobody, the timeline says so."""
    await world.reload("receivers: [{name: nobody}]\nroute: {receiver: nobody}")
    incident = await world.alertmanager.fires("DiskFull")

    assert "owed: first: nobody" in await world.timeline(incident)


async def test_every_row_and_the_timeline_say_why(world: World) -> None:
    """Every notification has its reason, and the timeline says of each destination why it was told."""
    await world.routes("""
route:
  receiver: fallback
  routes:
    - {name: screens, receiver: hook, continue: true}
    - {name: people, receiver: ops}
""")
    incident = await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.fast_forward(minutes=1)
    await world.acknowledge(incident)
    await world.fast_forward(minutes=1)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(minutes=1)

    rows = await world.notifications(incident, "slack #ops")
    assert [row["reason"] for row in rows] == ["first", "acknowledged", "all_resolved"]
    timeline = await world.timeline(incident)
    assert "slack #ops (route people → ops)" in timeline
    assert "(route screens → hook)" in timeline
    assert timeline.count("told: slack #ops was told") == 3
    assert timeline.count("told: webhook") == 3
