"""What should always be heard: a beat tells nobody, its absence does."""

import asyncio
from datetime import timedelta

from sqlalchemy import Connection, select

from receiver.store.tables import Heartbeat
from tests.world import World

HEARTBEAT = """
heartbeats: [{name: watchdog, matchers: ['alertname="Watchdog"'], every: 5m}]
route: {receiver: ops}
"""
LEARNED = HEARTBEAT.replace(", every: 5m", "")
MISSING = "TocsinHeartbeatMissing"


async def passes(world: World, **duration: float) -> None:
    """Let time pass as it does for a running service, which looks around all the time."""
    until = world.clock.now() + timedelta(**duration)
    while world.clock.now() < until:
        await world.fast_forward(seconds=min(60, (until - world.clock.now()).total_seconds()))


async def beats(world: World, times: int, **apart: float) -> None:
    for _ in range(times):
        await passes(world, **apart)
        await world.alertmanager.fires("Watchdog")


def stored(db: Connection) -> list[tuple[str, str]]:
    table = Heartbeat.__table__
    return [tuple(row) for row in db.execute(select(table.c.name, table.c.source).where(table.c.name != ""))]


async def test_a_beat_opens_no_incident(world: World) -> None:
    """An alert that only says that somebody is there is noted, and tells nobody, however often it comes."""
    await world.routes(HEARTBEAT)

    assert await world.alertmanager.fires("Watchdog") == 0
    await beats(world, 3, minutes=5)

    assert await world.incidents() == []
    assert await world.services.read(stored) == [("watchdog", "default")]
    world.slack.expect_nothing()


async def test_what_comes_with_a_beat_is_an_alert(world: World) -> None:
    """Of a body with a beat and an alert, the alert opens its incident."""
    await world.routes(HEARTBEAT)
    body = world.alertmanager.body(world.alertmanager._group("DiskFull"), [])
    body["alerts"] = [world.alertmanager._alert({"alertname": name}, {}) for name in ("Watchdog", "DiskFull")]

    await world.alertmanager.sends(body)

    [incident] = await world.incidents()
    assert (incident["title"], incident["alerts"]["total"]) == ("DiskFull", 1)


async def test_a_heartbeat_that_stops_pages(world: World) -> None:
    """A beat that does not come within its time and half of it again is an incident, once."""
    await world.routes(HEARTBEAT)
    await beats(world, 2, minutes=5)
    await passes(world, minutes=7)
    world.slack.expect_nothing()

    await passes(world, minutes=1)
    await passes(world, minutes=60)

    [alarm] = await world.alarms()
    assert alarm["labels"]["alertname"] == MISSING
    assert (alarm["labels"]["heartbeat"], alarm["labels"]["from"]) == ("watchdog", "default")
    assert (alarm["severity"], alarm["state"]) == ("critical", "triggered")
    world.slack.expect("#ops", MISSING, "The heartbeat watchdog from default was heard last at")
    world.slack.expect_nothing()


async def test_a_heartbeat_that_is_back_ends_its_alarm(world: World) -> None:
    """The incident resolves by itself with the next beat, and the next absence is a new alarm."""
    await world.routes(HEARTBEAT)
    await beats(world, 1, minutes=1)
    await passes(world, minutes=10)

    await world.alertmanager.fires("Watchdog")
    [alarm] = await world.alarms()
    assert alarm["state"] == "resolved"

    await passes(world, minutes=20)
    assert [one["state"] for one in await world.alarms()].count("triggered") == 1


async def test_the_end_of_a_heartbeat_is_no_beat(world: World) -> None:
    """A Watchdog that resolves keeps nobody waiting."""
    await world.routes(HEARTBEAT)
    await beats(world, 1, minutes=1)
    await passes(world, minutes=4)

    await world.alertmanager.resolves("Watchdog")
    await passes(world, minutes=4)

    assert [one["state"] for one in await world.alarms()] == ["triggered"]


async def test_a_heartbeat_never_heard_pages(world: World) -> None:
    """What is in routing.yaml and was never heard is an incident as well; the first beat ends it."""
    await world.routes(HEARTBEAT)
    await passes(world, minutes=8)

    world.slack.expect("#ops", MISSING, "was never heard")
    await world.alertmanager.fires("Watchdog")
    [alarm] = await world.alarms()
    assert (alarm["labels"]["from"], alarm["state"]) == ("anywhere", "resolved")


async def test_how_often_it_beats_is_learned(world: World) -> None:
    """Without `every`, the longest of the last gaps counts, after three; an hour before that."""
    await world.routes(LEARNED)
    await beats(world, 1, minutes=1)
    await passes(world, minutes=59)
    assert await world.alarms() == []

    await beats(world, 4, minutes=10)
    await passes(world, minutes=70)
    assert await world.alarms() == [], "the longest gap was 69 minutes"
    await beats(world, 6, minutes=10)
    await passes(world, minutes=16)

    [alarm] = await world.alarms()
    assert alarm["labels"]["alertname"] == MISSING
    assert "every 10 min (as learned)" in (await world.incident(alarm["id"]))["annotations"]["summary"]


async def test_a_retry_is_no_second_beat(world: World) -> None:
    """Bodies that follow each other at once teach nothing."""
    await world.routes(LEARNED)
    for _ in range(6):
        await world.alertmanager.fires("Watchdog")

    await passes(world, minutes=30)

    assert await world.alarms() == []


async def test_a_restart_forgets_no_heartbeat(world: World) -> None:
    """What stops beating while Tocsin is started anew is missed all the same."""
    await world.routes(HEARTBEAT)
    await beats(world, 1, minutes=1)
    await passes(world, minutes=5)

    await world.restart()
    await passes(world, minutes=3)

    assert [one["state"] for one in await world.alarms()] == ["triggered"]


async def test_nobody_is_missed_while_nobody_listens(world: World) -> None:
    """After an outage of our own, a heartbeat has its whole time again before it is missed."""
    await world.routes(HEARTBEAT)
    await beats(world, 1, minutes=1)

    world.clock.advance(hours=3)
    await world.settle()
    assert await world.alarms() == []
    await passes(world, minutes=8)

    assert [one["state"] for one in await world.alarms()] == ["triggered"]


async def test_a_heartbeat_that_is_removed_ends_its_alarm(world: World) -> None:
    """What routing.yaml no longer names is missed by nobody."""
    await world.routes(HEARTBEAT)
    await beats(world, 1, minutes=1)
    await passes(world, minutes=10)

    await world.routes("route: {receiver: ops}")

    assert [one["state"] for one in await world.alarms()] == ["resolved"]
    assert await world.services.read(stored) == []


async def test_several_replicas_raise_one_alarm(world: World) -> None:
    """Whoever notes the absence first raises the alarm, alone."""
    await world.routes(HEARTBEAT)
    await beats(world, 1, minutes=1)
    await passes(world, minutes=7)
    async with world.another() as other:
        world.clock.advance(minutes=1)
        now = world.clock.now()
        counts = await asyncio.gather(other.services.watch(now), world.services.watch(now))
        await world.settle()

    assert sorted(counts) == [0, 1]
    assert len(await world.alarms()) == 1


async def test_each_source_has_a_heartbeat_of_its_own(world: World) -> None:
    """One Alertmanager that beats does not hide another that stopped."""
    await world.routes(HEARTBEAT)
    body = world.alertmanager.body(world.alertmanager._group("Watchdog"), [])
    body["alerts"] = [world.alertmanager._alert({"alertname": "Watchdog"}, {})]
    for _ in range(3):
        await world.client.post("/webhooks/alertmanager/west", json=body)
        await passes(world, minutes=4)
    await world.client.post("/webhooks/alertmanager/east", json=body)

    await passes(world, minutes=5)

    assert [one["labels"]["from"] for one in await world.alarms()] == ["west"]


async def test_a_clock_that_was_wrong_keeps_no_heartbeat_alive(world: World) -> None:
    """A beat from the future counts as heard now."""
    await world.routes(HEARTBEAT)
    world.clock.advance(hours=10)
    await beats(world, 2, minutes=5)

    world.clock.advance(hours=-10)
    await passes(world, minutes=9)

    assert [one["state"] for one in await world.alarms()] == ["triggered"]


async def test_a_heartbeat_may_say_who_hears(world: World) -> None:
    """A receiver at the heartbeat hears of its absence, and so do the routes below the root that match."""
    await world.routes("""
heartbeats: [{name: watchdog, matchers: ['alertname="Watchdog"'], every: 5m, receiver: page}]
route: {receiver: ops, routes: [{receiver: dev, matchers: ['severity="critical"']}]}
""")
    await passes(world, minutes=8)

    world.slack.expect("#page", MISSING)
    world.slack.expect("#dev", MISSING)
    world.slack.expect_nothing()
    [alarm] = await world.alarms()
    assert alarm["routes"] == ["heartbeat watchdog", "route.routes[0]"]
