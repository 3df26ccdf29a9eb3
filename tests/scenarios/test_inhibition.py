"""One alert keeps another one quiet while it fires."""

from tests.world import World

RULES = """
route: {receiver: ops, repeat_interval: 1h}
inhibit_rules:
  - name: node-down
    source_matchers: [alertname="NodeDown"]
    target_matchers: [severity="warning"]
    equal: [node]
"""


async def test_hidden_while_the_cause_fires(world: World) -> None:
    """What a firing alert explains is not told, and the row says which rule and which alert."""
    await world.routes(RULES)
    await world.alertmanager.fires("NodeDown", node="a")
    world.slack.expect("#ops", "NodeDown")
    incident = await world.alertmanager.fires("DiskFull", node="a", severity="warning")
    await world.fast_forward(minutes=30)

    world.slack.expect_nothing()
    [page] = await world.notifications(incident)
    assert (page["state"], page["why"]) == ("owed", "inhibited by NodeDown (rule node-down)")
    assert (await world.timeline(incident)).count("waits:") == 1


async def test_told_when_the_cause_is_gone(world: World) -> None:
    """What still fires when the cause is over is told then."""
    await world.routes(RULES)
    await world.alertmanager.fires("NodeDown", node="a")
    await world.alertmanager.fires("DiskFull", node="a", severity="warning")
    await world.fast_forward(minutes=30)
    world.slack.expect("#ops", "NodeDown")
    await world.alertmanager.resolves("NodeDown")
    world.slack.expect("#ops", "Resolved", "NodeDown")
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "DiskFull")


async def test_healed_while_hidden(world: World) -> None:
    """What healed while it was hidden is never told."""
    await world.routes(RULES)
    await world.alertmanager.fires("NodeDown", node="a")
    world.slack.expect("#ops", "NodeDown")
    await world.alertmanager.fires("DiskFull", node="a", severity="warning")
    await world.fast_forward(minutes=5)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(minutes=5)

    world.slack.expect_nothing()


async def test_reminders_wait_for_the_cause(world: World) -> None:
    """An incident that was told before its cause fired is not repeated while the cause fires."""
    await world.routes(RULES)
    await world.alertmanager.fires("DiskFull", node="a", severity="warning")
    world.slack.expect("#ops", "DiskFull")
    cause = await world.alertmanager.fires("NodeDown", node="a")
    world.slack.expect("#ops", "NodeDown")
    await world.acknowledge(cause)
    world.slack.expect("#ops", "Acknowledged")
    await world.fast_forward(hours=3)
    world.slack.expect_nothing()

    await world.alertmanager.resolves("NodeDown")
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "Resolved")
    world.slack.expect("#ops", "DiskFull", "still firing")


async def test_another_node_is_not_hidden(world: World) -> None:
    """A cause hides only what agrees with it on the labels in `equal`."""
    await world.routes(RULES)
    await world.alertmanager.fires("NodeDown", node="a")
    world.slack.expect("#ops", "NodeDown")

    await world.alertmanager.fires("DiskFull", node="b", severity="warning")

    world.slack.expect("#ops", "DiskFull")


async def test_one_alert_that_is_not_hidden_speaks_for_all(world: World) -> None:
    """An incident is hidden only while each of its alerts is."""
    await world.routes(RULES)
    await world.alertmanager.fires("NodeDown", node="a")
    world.slack.expect("#ops", "NodeDown")
    await world.alertmanager.fires("DiskFull", node="a", severity="warning")
    world.slack.expect_nothing()

    await world.alertmanager.fires("DiskFull", node="b", severity="warning")
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "DiskFull", "2 firing")


async def test_a_drill_hides_nothing(world: World) -> None:
    """A drill that looks like a cause keeps no real alert quiet."""
    await world.routes(RULES)
    await world.client.post("/test-alert", json={"labels": {"alertname": "NodeDown", "node": "a"}})
    await world.settle()
    world.slack.expect("#ops", "[DRILL]")

    await world.alertmanager.fires("DiskFull", node="a", severity="warning")

    world.slack.expect("#ops", "DiskFull")


async def test_a_rule_about_an_unusual_label_silences_nobody(world: World) -> None:
    """A quotation mark in the name of a label is allowed; it must not keep anything from being claimed."""
    await world.routes(RULES.replace('[alertname="NodeDown"]', """['"no\\"de"="down"']"""))
    await world.alertmanager.fires("DiskFull", node="a", severity="warning")

    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "DiskFull")


async def test_what_people_say_and_the_end_are_told_although_it_is_hidden(world: World) -> None:
    """An incident that was told before its cause fired is acknowledged and resolved aloud."""
    await world.routes(RULES)
    incident = await world.alertmanager.fires("DiskFull", node="a", severity="warning")
    world.slack.expect("#ops", "DiskFull")
    await world.alertmanager.fires("NodeDown", node="a")
    world.slack.expect("#ops", "NodeDown")

    await world.acknowledge(incident)
    world.slack.expect("#ops", "Acknowledged", "DiskFull")
    await world.act(incident, "resolve")
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "Resolved", "DiskFull")


async def test_the_incident_says_what_hides_it(world: World) -> None:
    """As long as the cause fires; there is no other end."""
    await world.routes(RULES)
    await world.alertmanager.fires("NodeDown", node="a")
    await world.alertmanager.fires("DiskFull", node="a", severity="warning")
    incident = await world.alertmanager.fires("DiskFull", node="b", severity="warning")

    expected = {"why": "inhibited by NodeDown (rule node-down)", "until": None, "alerts": 1}
    assert (await world.incident(incident))["quiet"] == [expected]
    await world.alertmanager.resolves("NodeDown")
    assert (await world.incident(incident))["quiet"] == []
