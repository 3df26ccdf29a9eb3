"""Recurring quiet time keeps quiet what matches, on every route. It is 03:12 when a scenario begins."""

from tests.world import World

NIGHT = """
time_intervals:
  - {name: small_hours, time_intervals: [{times: [{start_time: "02:00", end_time: "04:00"}]}]}
  - {name: dawn, time_intervals: [{times: [{start_time: "04:00", end_time: "05:00"}]}]}
  - {name: day, time_intervals: [{times: [{start_time: "09:00", end_time: "17:00"}]}]}
route: {receiver: ops}
mute_windows:
  - {name: backup, matchers: [job="postgres"], time_intervals: [small_hours], text: the nightly dump}
"""


async def test_quiet_while_the_window_is_open_and_told_when_it_closes(world: World) -> None:
    """Critical or not; the row says which window it is, until when, and why."""
    await world.routes(NIGHT)
    incident = await world.alertmanager.fires("HighIO", job="postgres", severity="critical")
    await world.fast_forward(minutes=47)

    world.slack.expect_nothing()
    [page] = await world.notifications(incident)
    assert page["why"] == "mute window backup until 2026-11-20T04:00:00Z: the nightly dump"
    assert page["due_at"] == "2026-11-20T04:00:00Z"

    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "CRITICAL", "HighIO")
    world.slack.expect_nothing()


async def test_what_does_not_match_is_told(world: World) -> None:
    """A window is for what it names, and one alert that it does not name speaks for all."""
    await world.routes(NIGHT)
    await world.alertmanager.fires("HighIO", job="postgres")
    await world.fast_forward(minutes=1)
    world.slack.expect_nothing()

    await world.alertmanager.fires("HighIO", job="web")
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "HighIO", "2 firing")


async def test_the_quiet_goes_on_where_one_interval_follows_another(world: World) -> None:
    """Two intervals that touch are one wait."""
    await world.routes(NIGHT.replace("[small_hours],", "[small_hours, dawn],"))
    incident = await world.alertmanager.fires("HighIO", job="postgres")
    await world.fast_forward(minutes=1)
    assert "until 2026-11-20T05:00:00Z" in (await world.notifications(incident))[0]["why"]
    await world.fast_forward(hours=1, minutes=45)
    world.slack.expect_nothing()

    await world.fast_forward(minutes=3)

    world.slack.expect("#ops", "HighIO")


async def test_a_reload_without_the_window_lets_speak_at_once(world: World) -> None:
    """What waits is asked anew under the new rules."""
    await world.routes(NIGHT)
    await world.alertmanager.fires("HighIO", job="postgres")
    world.slack.expect_nothing()

    await world.routes(NIGHT[: NIGHT.index("mute_windows")])

    world.slack.expect("#ops", "HighIO")


async def test_a_window_that_never_ends_says_so(world: World) -> None:
    """It is asked about every day, for routing.yaml may change."""
    await world.routes(NIGHT.replace('[{times: [{start_time: "02:00", end_time: "04:00"}]}]', "[{}]"))
    incident = await world.alertmanager.fires("HighIO", job="postgres")
    await world.fast_forward(days=2)

    world.slack.expect_nothing()
    [page] = await world.notifications(incident)
    assert page["why"] == "mute window backup: the nightly dump"


async def test_the_incident_says_what_keeps_it_quiet_and_until_when(world: World) -> None:
    """Asked at the moment of looking: nothing is stored about it."""
    await world.routes(NIGHT)
    incident = await world.alertmanager.fires("HighIO", job="postgres")
    await world.alertmanager.fires("HighIO", job="web")

    assert (await world.incident(incident))["quiet"] == [
        {
            "why": "mute window backup until 2026-11-20T04:00:00Z: the nightly dump",
            "until": "2026-11-20T04:00:00Z",
            "alerts": 1,
        }
    ]
    await world.fast_forward(hours=1)
    assert (await world.incident(incident))["quiet"] == []
