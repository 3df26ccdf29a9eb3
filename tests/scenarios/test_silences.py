"""A person has quiet about what matches, for as long as was said, and nothing is forgotten."""

from datetime import timedelta
from typing import Any

from receiver.pipeline.facts import instant
from tests.world import DOWN, World

DISK = 'alertname="DiskFull"'


async def silence(world: World, *matchers: str, **wish: Any) -> dict[str, Any]:
    """Make a silence, an hour long unless something else is said."""
    lasts = {} if "ends_at" in wish else {"lasts": "1h"}
    said = {"matchers": matchers or [DISK], "actor": "ana", "text": "new disk is on its way", **lasts, **wish}
    answer = await world.client.post("/api/v1/silences", json=said)
    assert answer.status_code == 201, answer.text
    await world.settle()
    return dict(answer.json())


async def end(world: World, made: dict[str, Any]) -> None:
    answer = await world.client.delete(f"/api/v1/silences/{made['id']}")
    assert answer.status_code == 200, answer.text
    await world.settle()


async def extend(world: World, made: dict[str, Any], **until: str) -> dict[str, Any]:
    answer = await world.client.post(f"/api/v1/silences/{made['id']}", json=until)
    assert answer.status_code == 200, answer.text
    await world.settle()
    return dict(answer.json())


async def test_what_is_silenced_before_it_fires_waits_and_is_told_once(world: World) -> None:
    """The page says until when it waits and why; when the silence ends and it still fires, it is told."""
    made = await silence(world)
    incident = await world.alertmanager.fires("DiskFull", severity="critical")
    await world.alertmanager.fires("DiskFull", severity="critical", instance="db-2")
    await world.fast_forward(minutes=59)

    world.slack.expect_nothing()
    [page] = await world.notifications(incident)
    assert page["why"] == f"silenced by ana until {made['ends_at']}: new disk is on its way"
    assert page["due_at"] == made["ends_at"]
    assert (await world.timeline(incident)).count("waits:") == 1

    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "DiskFull", "2 firing")
    world.slack.expect_nothing()


async def test_what_healed_in_the_silence_is_never_told(world: World) -> None:
    """Nobody hears of the end of what nobody was told."""
    await silence(world)
    incident = await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=5)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=8)

    world.slack.expect_nothing()
    [page] = await world.notifications(incident)
    assert (page["state"], page["why"]) == ("withdrawn", "resolved before it went out")


async def test_what_was_told_before_is_reminded_of_once_when_the_silence_ends(world: World) -> None:
    """A silence made after the page holds back reminders and news; its end is one reminder."""
    await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.expect("#ops", "DiskFull")
    await silence(world, lasts="9h")
    await world.alertmanager.fires("DiskFull", severity="warning", instance="db-2")
    await world.fast_forward(hours=8, minutes=59)
    world.slack.expect_nothing()

    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "DiskFull", "2 firing")
    world.slack.expect_nothing()
    await world.fast_forward(hours=3, minutes=50)
    world.slack.expect_nothing()
    await world.fast_forward(minutes=15)
    world.slack.expect("#ops", "still firing")


async def test_a_short_silence_is_followed_by_one_reminder(world: World) -> None:
    """Whoever silenced what they were told hears when the quiet is over, and not hours later."""
    await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.expect("#ops", "DiskFull")
    await silence(world, lasts="20m")
    await world.fast_forward(minutes=19)
    world.slack.expect_nothing()

    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "still firing")
    await world.fast_forward(hours=3)
    world.slack.expect_nothing()


async def test_the_end_of_what_was_told_before_is_told(world: World) -> None:
    """A silence holds back pages, and no good news."""
    await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.expect("#ops", "DiskFull")
    await silence(world)

    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(minutes=1)
    world.slack.expect("#ops", "Resolved")
    await world.fast_forward(hours=9)

    world.slack.expect_nothing()


async def test_what_people_say_is_told_in_a_silence(world: World) -> None:
    """An acknowledgement and a note are no pages; what a person resolves is over at once."""
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.expect("#ops", "DiskFull")
    await silence(world)

    await world.acknowledge(incident)
    world.slack.expect("#ops", "Acknowledged")
    await world.act(incident, "note", text="the disk is here")
    await world.fast_forward(minutes=1)
    world.slack.expect("#ops", "a note was added")
    await world.act(incident, "resolve")
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "Resolved")


async def test_a_silence_that_is_ended_early_lets_speak_at_once(world: World) -> None:
    """Exactly one notification follows, and the silence is kept as history."""
    made = await silence(world, lasts="1w")
    await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=30)
    world.slack.expect_nothing()

    await end(world, made)
    await end(world, made)

    world.slack.expect("#ops", "DiskFull")
    world.slack.expect_nothing()
    [kept] = (await world.ask("/api/v1/silences"))["items"]
    assert kept["ends_at"] < made["ends_at"]
    await world.fast_forward(hours=3)
    world.slack.expect_nothing()


async def test_a_silence_that_is_extended_lasts_exactly_as_long_as_was_said(world: World) -> None:
    """Extended to the minute: what waits says the new end, and is told at that instant."""
    made = await silence(world)
    incident = await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=30)
    until = instant(world.clock.now().replace(second=0, microsecond=0) + timedelta(hours=2))

    changed = await extend(world, made, ends_at=str(until))

    [page] = await world.notifications(incident)
    assert changed["ends_at"] == until
    assert page["due_at"][: len("2026-11-20T05:42:00")] == until.removesuffix("Z")
    assert f"silenced by ana until {until}" in page["why"]
    await world.fast_forward(hours=1, minutes=58)
    world.slack.expect_nothing()
    await world.fast_forward(minutes=3)
    world.slack.expect("#ops", "DiskFull")
    world.slack.expect_nothing()


async def test_a_silence_that_is_shortened_ends_then(world: World) -> None:
    """What waited for the old end is told at the new one."""
    made = await silence(world, lasts="8h")
    await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=10)

    await extend(world, made, lasts="10m")
    await world.fast_forward(minutes=9)
    world.slack.expect_nothing()
    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "DiskFull")
    world.slack.expect_nothing()


async def test_one_alert_that_is_not_silenced_speaks_for_all(world: World) -> None:
    """An incident is quiet only while each of its firing alerts is silenced."""
    await silence(world, DISK, 'instance="db-1"')
    await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.fast_forward(minutes=5)
    world.slack.expect_nothing()

    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "DiskFull", "2 firing")


async def test_quiet_again_when_only_silenced_alerts_still_fire(world: World) -> None:
    """What is not silenced has healed: its news are held, and so are reminders."""
    await silence(world, DISK, 'instance="db-1"', lasts="12h")
    await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(minutes=1)
    world.slack.expect("#ops", "2 firing")
    await world.alertmanager.resolves("DiskFull", instance="db-2")
    await world.fast_forward(hours=11)

    world.slack.expect_nothing()


async def test_an_incident_speaks_when_the_first_of_its_alerts_is_silenced_no_more(world: World) -> None:
    """Two silences keep two alerts of it quiet; the one that ends first counts."""
    await silence(world, 'instance="db-1"', lasts="2h")
    await silence(world, 'instance="db-2"', lasts="30m", actor="bo")
    await world.alertmanager.fires("DiskFull", instance="db-1")
    incident = await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(minutes=29)
    world.slack.expect_nothing()
    assert "silenced by bo" in (await world.notifications(incident))[0]["why"]

    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "2 firing")


async def test_a_silence_may_begin_later(world: World) -> None:
    """Before it begins, everything is told; then it is quiet."""
    begins = world.clock.now() + timedelta(hours=1)
    await silence(world, starts_at=instant(begins), lasts="8h")
    await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(hours=1)

    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(hours=7, minutes=59)
    world.slack.expect_nothing()

    await world.fast_forward(minutes=2)
    world.slack.expect("#ops", "2 firing")
    world.slack.expect_nothing()


async def test_a_silence_that_was_ended_before_it_began_never_counts(world: World) -> None:
    """Ending it takes it back."""
    made = await silence(world, starts_at=instant(world.clock.now() + timedelta(hours=1)))
    await end(world, made)
    await world.fast_forward(hours=1, minutes=5)

    await world.alertmanager.fires("DiskFull")

    world.slack.expect("#ops", "DiskFull")


async def test_one_silence_goes_on_where_another_one_ends(world: World) -> None:
    """Two that follow each other are quiet without a gap."""
    first = await silence(world)
    await silence(world, starts_at=first["ends_at"], lasts="2h", actor="bo")
    await world.alertmanager.fires("DiskFull")
    await world.fast_forward(hours=2, minutes=59)
    world.slack.expect_nothing()

    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "DiskFull")
    world.slack.expect_nothing()


async def test_a_restart_changes_nothing(world: World) -> None:
    """A silence is a row, and what waits for it is one, too."""
    await silence(world)
    await world.alertmanager.fires("DiskFull")

    await world.restart()
    await world.fast_forward(minutes=59)
    world.slack.expect_nothing()
    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "DiskFull")
    world.slack.expect_nothing()


async def test_a_rise_in_severity_breaks_no_silence(world: World) -> None:
    """A person silenced these labels, however severe; a severity among the matchers is another matter."""
    await silence(world, DISK)
    await silence(world, 'alertname="Slow"', 'severity="warning"')
    await world.alertmanager.fires("DiskFull", severity="warning")
    await world.alertmanager.fires("Slow", severity="warning")
    await world.fast_forward(minutes=1)
    world.slack.expect_nothing()

    await world.alertmanager.fires("DiskFull", severity="critical")
    await world.alertmanager.fires("Slow", severity="critical")
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "CRITICAL", "Slow")
    world.slack.expect_nothing()


async def test_what_backs_off_is_quiet_as_well(world: World) -> None:
    """A page that could not be delivered is not tried on while it is silenced, and nor is the fallback."""
    world.slack.fails_with(DOWN, "#ops")
    await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=2)

    await silence(world)
    world.slack.recovers("#ops")
    await world.fast_forward(minutes=58)
    world.slack.expect_nothing()

    await world.fast_forward(minutes=5)
    world.slack.expect("#ops", "DiskFull")
    world.slack.expect_nothing()


async def test_the_fallback_hears_soon_of_what_could_be_told_again(world: World) -> None:
    """A long silence that is ended early leaves the fallback no longer waiting than for any page."""
    made = await silence(world, lasts="1w")
    await world.alertmanager.fires("DiskFull")
    world.slack.fails_with(DOWN, "#ops")

    await end(world, made)
    await world.fast_forward(minutes=16)

    world.slack.expect("#fallback", "DiskFull")


async def test_quiet_hours_and_a_silence_are_both_kept(world: World) -> None:
    """What waits for the morning and is silenced until noon is told at noon."""
    day = (
        "time_intervals: [{name: day, time_intervals: [{times: [{start_time: '09:00', end_time: '17:00'}]}]}]"
    )
    await world.routes(
        f"{day}\nroute: {{receiver: fallback, routes: [{{receiver: ops, active_time_intervals: [day]}}]}}"
    )
    await world.alertmanager.fires("DiskFull", severity="warning")
    await silence(world, ends_at="2026-11-20T12:00:00Z")
    await world.fast_forward(hours=8, minutes=47)
    world.slack.expect_nothing()

    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "DiskFull")
    world.slack.expect_nothing()


async def test_the_metrics_say_how_many_silences_there_are(world: World) -> None:
    """Silences that are over, or to come, do not count."""
    made = await silence(world)
    await silence(world, starts_at=instant(world.clock.now() + timedelta(hours=5)))
    assert await world.metric("tocsin_silences ") == 1

    await end(world, made)

    assert await world.metric("tocsin_silences ") == 0


async def test_a_drill_goes_the_way_of_any_alert(world: World) -> None:
    """One that is silenced says so in its plan and its receipt, and reaches nobody."""
    await silence(world, 'team="db"')
    drill = {"labels": {"team": "db"}}
    asked = (await world.client.post("/test-alert", json={**drill, "dry_run": True})).json()
    held = (await world.client.post("/test-alert", json=drill)).json()
    await world.settle()

    world.slack.expect_nothing()
    assert "silenced by ana until" in asked["plan"][0]["why"]
    [told] = (await world.ask(f"/api/v1/drills/{held['drill_id']}"))["destinations"]
    assert (told["delivered"], told["why"]) == (False, asked["plan"][0]["why"])
