"""A new routing.yaml, and a process that starts anew, lose nothing."""

import pytest

from receiver.pipeline.admit import Claim
from tests.world import DOWN, RECEIVERS, ROUTE, World


async def test_a_reload_keeps_what_is_owed(world: World) -> None:
    """What was owed before a reload is delivered after it."""
    world.slack.fails_with(DOWN)
    await world.alertmanager.fires("DiskFull")
    await world.routes("route: {receiver: ops, group_wait: 1h}")
    world.slack.recovers()
    await world.fast_forward(minutes=10)

    world.slack.expect("#ops", "DiskFull")


async def test_a_destination_that_was_removed_goes_to_the_fallback(world: World) -> None:
    """What is owed to a destination that routing.yaml no longer has is told to the fallback."""
    world.slack.fails_with(DOWN)
    incident = await world.alertmanager.fires("DiskFull")
    without = "\n".join(
        line for line in RECEIVERS.splitlines() if "#ops" not in line and "name: ops" not in line
    )
    await world.reload(without + "\nroute: {receiver: dev}\n")
    world.slack.recovers()
    await world.fast_forward(minutes=10)

    world.slack.expect("#fallback", "DiskFull", "slack #ops")
    [failed, *_] = await world.notifications(incident, "slack #ops")
    assert (failed["state"], failed["why"]) == ("failed", "routing.yaml no longer has this destination")


async def test_a_faulty_file_changes_nothing(world: World) -> None:
    """A routing.yaml with an error is refused, and the one in force stays."""
    world._file.write_text("route: {receiver: nobody-knows}\nreceivers: []")
    response = await world.client.post("/-/reload")
    assert response.status_code == 422

    await world.alertmanager.fires("DiskFull")

    world.slack.expect("#ops", "DiskFull")
    assert await world.metric("tocsin_config_last_reload_successful") == 0


async def test_a_restart_forgets_no_page(world: World) -> None:
    """What was accepted before a restart is told after it."""
    world.slack.fails_with(DOWN)
    await world.alertmanager.fires("DiskFull")
    world.slack.recovers()
    await world.restart()
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "DiskFull")


async def test_a_restart_forgets_no_deadline(world: World) -> None:
    """Waits, reminders and ends that were due while nothing ran happen after the restart."""
    await world.routes("route: {receiver: ops, group_wait: 5m, repeat_interval: 1h}")
    await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=3)
    await world.restart()
    await world.fast_forward(minutes=1)
    world.slack.expect_nothing()
    await world.fast_forward(minutes=2)
    world.slack.expect("#ops", "DiskFull")
    await world.restart()
    await world.fast_forward(hours=1)

    world.slack.expect("#ops", "still firing", edited=True)


async def test_a_worker_that_died_lets_go(world: World) -> None:
    """What a dead worker held is delivered by another when the lease is over."""
    await world.alertmanager.sends(SENT, settle=False)
    claimed = await world.services.claim(Claim(world.clock.now(), 10))
    assert len(claimed.deliveries) == 1
    await world.restart()
    await world.fast_forward(seconds=119)
    world.slack.expect_nothing()

    await world.fast_forward(seconds=2)

    world.slack.expect("#ops", "DiskFull")


async def test_a_worker_that_was_only_slow(world: World) -> None:
    """A worker whose lease ran out does not finish what has news since: the news is told."""
    await world.alertmanager.sends(SENT, settle=False)
    [delivery] = (await world.services.claim(Claim(world.clock.now(), 10))).deliveries
    world.clock.advance(minutes=3)  # the process was stopped for a while
    await world.alertmanager.sends(ENDED, settle=False)
    await world.services.deliver(delivery)  # with what was known at the claim
    world.slack.expect("#ops", "DiskFull", "nobody is on it")
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "Resolved")


ALERT = {"status": "firing", "labels": {"alertname": "DiskFull"}, "startsAt": "2026-11-20T03:00:00Z"}
SENT = {"groupKey": "disks", "groupLabels": {"alertname": "DiskFull"}, "alerts": [ALERT]}
ENDED = {**SENT, "alerts": [{**ALERT, "status": "resolved", "endsAt": "2026-11-20T03:14:00Z"}]}


def limited(rate_limit: str) -> str:
    return RECEIVERS.replace('channel: "#ops",', f'channel: "#ops", {rate_limit}') + ROUTE


@pytest.mark.parametrize("rate_limit", ["rate_limit: {count: 10, per: 1s, burst: 5},", ""])
async def test_a_limit_that_was_raised_or_removed_keeps_nobody_waiting(world: World, rate_limit: str) -> None:
    """What was used up under the old limit, for two days, is forgotten with it; nothing false is said."""
    await world.reload(limited("rate_limit: {count: 1, per: 1h, burst: 50},"))
    await world.alertmanager.storm([f"Alert{n:02d}" for n in range(50)], severity="critical")
    waiting = await world.alertmanager.fires("Waiting", severity="critical")
    await world.fast_forward(seconds=10)
    world.slack.unseen.clear()

    await world.reload(limited(rate_limit))
    incident = await world.alertmanager.fires("Fire", severity="critical")

    world.slack.expect("#ops", "Waiting")
    world.slack.expect("#ops", "Fire")
    assert "rate limit" in await world.timeline(waiting)
    assert "asked not to be told" not in await world.timeline(incident)


@pytest.mark.parametrize("rate_limit", ["rate_limit: {count: 10, per: 1s, burst: 5},", ""])
async def test_the_same_holds_where_it_changed_between_two_runs(world: World, rate_limit: str) -> None:
    """Nobody who stops Tocsin, edits the file and starts it waits for what the old limit allowed."""
    await world.reload(limited("rate_limit: {count: 1, per: 1h, burst: 2},"))
    await world.alertmanager.storm(["One", "Two", "Three"], severity="critical")
    assert len(world.slack.told) == 2

    world.write(limited(rate_limit))
    await world.restart()
    await world.settle()

    assert len(world.slack.told) == 3


async def test_a_restart_is_no_way_around_a_limit(world: World) -> None:
    """What was used stays used where the limit is the same."""
    await world.reload(limited("rate_limit: {count: 1, per: 1h, burst: 2},"))
    await world.alertmanager.storm(["One", "Two", "Three"], severity="critical")

    await world.restart()
    await world.settle()

    assert len(world.slack.told) == 2


async def test_a_limit_that_stayed_keeps_what_was_used(world: World) -> None:
    """A reload that changes no limit is no way around it."""
    limit = "rate_limit: {count: 1, per: 1h, burst: 2},"
    await world.reload(limited(limit))
    await world.alertmanager.storm(["One", "Two", "Three"], severity="critical")
    assert len(world.slack.told) == 2

    await world.reload(limited(limit) + "\nfallback_after: 3h\n")

    assert len(world.slack.told) == 2


async def test_a_destination_that_was_removed_is_reminded_of_nothing(world: World) -> None:
    """What it was told already and would hear more of harms nobody: no alarm, and no fallback is woken."""
    await world.routes("route: {receiver: dev}\n")
    incidents = [await world.alertmanager.fires(name, severity="warning") for name in ("One", "Two", "Three")]
    world.slack.unseen.clear()
    without = "\n".join(
        line for line in RECEIVERS.splitlines() if "#dev" not in line and "name: dev" not in line
    )
    await world.reload(without + "\n" + ROUTE)
    await world.alertmanager.resolves("One")
    await world.acknowledge(incidents[1])

    await world.fast_forward(hours=5)

    assert await world.alarms() == []
    world.slack.expect_nothing()
    for incident in incidents:
        last = (await world.notifications(incident, "slack #dev"))[-1]
        assert (last["state"], last["why"]) == ("withdrawn", "routing.yaml no longer has it")


async def test_a_page_for_a_destination_that_was_removed_reaches_somebody(world: World) -> None:
    """What grew worse just before is told to the fallback, though the destination was told before."""
    await world.routes("route: {receiver: dev}\n")
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.fails_with(DOWN)
    await world.alertmanager.fires("DiskFull", severity="critical", instance="b")
    without = "\n".join(
        line for line in RECEIVERS.splitlines() if "#dev" not in line and "name: dev" not in line
    )
    await world.reload(without + "\n" + ROUTE)
    world.slack.recovers()
    await world.fast_forward(minutes=2)

    world.slack.expect("#dev", "DiskFull")
    world.slack.expect("#fallback", "DiskFull", "slack #dev")
    assert (await world.notifications(incident, "slack #dev"))[-1]["state"] == "failed"


HOURS = """
time_intervals:
  - {name: day, time_intervals: [{times: [{start_time: "09:00", end_time: "17:00"}]}]}
  - {name: night, time_intervals: [{times: [{start_time: "00:00", end_time: "09:00"}]}]}
route: {receiver: ops, routes: [{active_time_intervals: [%s]}]}
"""


async def test_what_was_tried_and_waits_for_its_hours_is_asked_again(world: World) -> None:
    """New hours count at once for a page that was tried before the old ones closed."""
    await world.routes(HOURS % "night")
    world.slack.fails_with(DOWN)
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.routes(HOURS % "day")
    await world.fast_forward(minutes=10)
    [page] = await world.notifications(incident)
    assert page["attempts"] == 1
    assert "day" in page["why"]
    world.slack.recovers()

    await world.routes(HOURS % "night")

    world.slack.expect("#ops", "DiskFull")


async def test_a_reload_is_no_way_around_a_back_off(world: World) -> None:
    """What was tried and will be tried again is not tried sooner."""
    world.slack.fails_with(DOWN)
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.fast_forward(minutes=10)
    [before] = await world.notifications(incident)

    await world.routes("route: {receiver: ops}\n")

    [after] = await world.notifications(incident)
    assert after["due_at"] == before["due_at"]
    assert after["attempts"] == before["attempts"] > 1
