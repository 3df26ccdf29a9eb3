"""What a person does is known everywhere."""

from tests.world import DOWN, World


async def test_everybody_hears_that_somebody_is_on_it(world: World) -> None:
    """An acknowledgement is told at once, in the message that asked for it."""
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "nobody is on it yet")

    shown = await world.acknowledge(incident)

    world.slack.expect("#ops", "Acknowledged", "ana", edited=True)
    assert (shown["state"], shown["acknowledged_by"]) == ("acknowledged", "ana")


async def test_everybody_hears_that_nobody_is_on_it_any_more(world: World) -> None:
    """Giving an incident back asks people again, and reminders begin anew."""
    await world.routes("route: {receiver: ops, repeat_interval: 1h}")
    incident = await world.alertmanager.fires("DiskFull")
    await world.acknowledge(incident)
    await world.fast_forward(hours=2)
    world.slack.expect("#ops", "DiskFull")
    world.slack.expect("#ops", "Acknowledged")
    await world.act(incident, "unacknowledge")
    world.slack.expect("#ops", "nobody is on it any more")

    await world.fast_forward(hours=1, seconds=1)

    world.slack.expect("#ops", "still firing")


async def test_the_last_word_counts(world: World) -> None:
    """Given back and taken again while the service was out, the message says who is on it, and only that."""
    incident = await world.alertmanager.fires("DiskFull")
    await world.acknowledge(incident)
    world.slack.expect("#ops", "DiskFull")
    world.slack.expect("#ops", "Acknowledged")
    world.slack.fails_with(DOWN)
    await world.act(incident, "unacknowledge")
    await world.acknowledge(incident, "bo")
    world.slack.recovers()
    await world.fast_forward(minutes=10)

    told = world.slack.expect("#ops", "acknowledged by bo")
    assert "nobody" not in told.reply
    world.slack.expect_nothing()


async def test_resolved_by_hand(world: World) -> None:
    """A person can end an incident; what Alertmanager then says of its end is no news."""
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(minutes=1)
    await world.act(incident, "resolve", actor="ana")
    world.slack.expect("#ops", "Resolved", "resolved by hand")
    await world.fast_forward(minutes=1)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=5)

    world.slack.expect_nothing()
    assert "resolved by hand" in await world.timeline(incident)


async def test_what_is_done_twice_is_told_once(world: World) -> None:
    """Two people who press the same button make one message."""
    incident = await world.alertmanager.fires("DiskFull")
    await world.acknowledge(incident)
    world.slack.expect("#ops", "DiskFull")
    world.slack.expect("#ops", "Acknowledged")

    shown = await world.acknowledge(incident, "bo")

    world.slack.expect_nothing()
    assert shown["acknowledged_by"] == "ana"


async def test_a_note_is_told(world: World) -> None:
    """A note is part of the history, and those who know the incident hear of it."""
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(minutes=1)

    await world.act(incident, "note", actor="ana", text="made room on /var")

    world.slack.expect("#ops", "a note was added")
    assert "note: made room on /var" in await world.timeline(incident)


async def test_more_alerts_of_what_somebody_is_on(world: World) -> None:
    """More alerts of an acknowledged incident are told, without a call for help."""
    incident = await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.acknowledge(incident)
    await world.fast_forward(minutes=1)
    world.slack.expect("#ops", "DiskFull")
    world.slack.expect("#ops", "Acknowledged")
    await world.alertmanager.fires("DiskFull", instance="db-2")

    told = world.slack.expect("#ops", "Acknowledged", "2 firing", "more alerts fire")
    assert "nobody is on it" not in told.text
