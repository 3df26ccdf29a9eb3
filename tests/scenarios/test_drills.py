"""An exercise goes the whole way, and nobody takes it for the real thing."""

from typing import Any

from tests.world import DOWN, World


async def drill(world: World, **wish: Any) -> dict[str, Any]:
    """Hold a drill; return what the service answered."""
    response = await world.client.post("/test-alert", json=wish)
    assert response.status_code == 202, response.text
    await world.settle()
    return dict(response.json())


async def test_it_is_marked_everywhere(world: World) -> None:
    """Title, text and every reply of a drill say that it is one."""
    held = await drill(world, labels={"alertname": "DiskFull"})
    first = world.slack.expect("#ops", "[DRILL]", "DiskFull")
    await world.acknowledge(held["incident_id"])
    second = world.slack.expect("#ops", "[DRILL]", "Acknowledged")
    await world.fast_forward(minutes=6)
    third = world.slack.expect("#ops", "[DRILL]", "Resolved")

    assert first.text.count("[DRILL]") >= 2
    assert "[DRILL]" in second.reply
    assert "[DRILL]" in third.reply


async def test_its_receipt_says_who_was_told_and_how_fast(world: World) -> None:
    """For every destination the receipt says what the service answered and how long it took."""
    world.slack.fails_with(DOWN)
    held = await drill(world)
    world.slack.recovers()
    await world.fast_forward(minutes=1)

    receipt = await world.ask(f"/api/v1/drills/{held['drill_id']}")
    assert receipt["finished"]
    [told] = receipt["destinations"]
    assert (told["destination"], told["delivered"], told["attempts"]) == ("slack #ops", True, 2)
    assert told["answer"].startswith("ok, message")
    assert 2 <= told["latency_seconds"] < 3


async def test_it_ends_by_itself(world: World) -> None:
    """After five minutes a drill is over, and says so."""
    held = await drill(world)
    world.slack.expect("#ops", "[DRILL]")
    await world.fast_forward(minutes=5, seconds=1)

    world.slack.expect("#ops", "Resolved")
    assert (await world.incident(held["incident_id"]))["state"] == "resolved"
    await world.fast_forward(hours=5)
    world.slack.expect_nothing()


async def test_it_is_no_part_of_the_real_incident(world: World) -> None:
    """A drill with the labels of an alert that fires has an incident and a message of its own."""
    real = await world.alertmanager.fires("DiskFull")
    held = await drill(world, labels={"alertname": "DiskFull"})
    await world.fast_forward(minutes=6)

    assert held["incident_id"] != real
    assert (await world.incident(real))["state"] == "triggered"
    assert [one["id"] for one in await world.incidents(drill=False)] == [real]
    [main, exercise] = world.slack.main_messages()
    assert "[DRILL]" not in str(main)
    assert "[DRILL]" in str(exercise)


async def test_two_drills_at_once(world: World) -> None:
    """Each drill is an incident of its own, whatever others are held."""
    one = await drill(world)
    other = await drill(world)

    assert one["incident_id"] != other["incident_id"]


async def test_only_some_channels(world: World) -> None:
    """A drill for one kind of channel tells no other, from its beginning to its end."""
    await world.routes("""
route:
  receiver: fallback
  routes: [{receiver: ops, continue: true}, {receiver: hook}]
""")
    held = await drill(world, channels=["webhook"])
    await world.acknowledge(held["incident_id"])
    await world.act(held["incident_id"], "unacknowledge")
    await world.fast_forward(minutes=6)

    world.slack.expect_nothing()
    assert [body["drill"] for body in world.webhook.bodies] == [True] * 4


async def test_a_dry_run_tells_nobody(world: World) -> None:
    """A dry run answers with the plan, and does nothing."""
    held = await drill(world, dry_run=True)

    assert held["plan"][0]["destinations"] == ["slack #ops"]
    world.slack.expect_nothing()
    assert await world.incidents() == []


async def test_the_receipt_of_a_drill_that_arrived_nowhere(world: World) -> None:
    """A drill that ended before anything could be told says of every destination that it was not."""
    world.slack.fails_with(DOWN)
    held = await drill(world)
    await world.fast_forward(minutes=20)

    receipt = await world.ask(f"/api/v1/drills/{held['drill_id']}")
    [untold] = receipt["destinations"]
    assert (untold["delivered"], untold["state"]) == (False, "withdrawn")
    assert untold["attempts"] > 3
    assert "503" in untold["answer"]


async def test_a_failed_drill_tells_the_fallback(world: World) -> None:
    """A drill finds out that a destination is broken: the receipt shows it, and the fallback hears."""
    world.slack.channels.pop("#ops")
    held = await drill(world)

    receipt = await world.ask(f"/api/v1/drills/{held['drill_id']}")
    assert {one["destination"]: one["state"] for one in receipt["destinations"]} == {
        "slack #ops": "failed",
        "slack #fallback": "sent",
    }
    world.slack.expect("#fallback", "[DRILL]", "slack #ops")
