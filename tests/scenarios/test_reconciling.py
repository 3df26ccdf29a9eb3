"""What Alertmanager says when it is asked: what is lost, what is quiet there, what was left out."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.lookups import alertmanager
from tests.fakes.alertmanager import BROKEN, FakeAlertmanager
from tests.fakes.http import Reply
from tests.world import ROUTE, World, a_world

LOST = "Alertmanager no longer has it: DiskFull (instance=db-1)"


@pytest.fixture
async def world(migrated_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A world whose one source can be asked."""
    async with a_world(migrated_url, tmp_path) as world:
        yield world


@pytest.fixture
async def upstream(world: World) -> AsyncIterator[FakeAlertmanager]:
    """Its Alertmanager, which has run for a day and holds one alert of somebody else."""
    async with FakeAlertmanager(world.clock.now() - timedelta(days=1)) as fake:
        fake.holds("Other")
        await world.routes(f"sources: [{{name: prod, alertmanager_url: '{fake.url('')}'}}]\n{ROUTE}")
        yield fake


async def fires(world: World, upstream: FakeAlertmanager, **labels: str) -> int:
    """Let an alert fire, there and here."""
    upstream.holds("DiskFull", **labels)
    return await world.alertmanager.fires("DiskFull", **labels)


async def looks(world: World, times: int) -> None:
    """Let so many minutes pass, with a look in each."""
    for _ in range(times):
        await world.fast_forward(minutes=1)
        await world.look_around()


async def sends_in_part(world: World, *, left_out: int, receiver: str = "tocsin") -> int:
    """Post the first alert of a group, as with `max_alerts: 1`."""
    body = world.alertmanager.body(world.alertmanager._group("DiskFull"), [])
    alert = world.alertmanager._alert({"alertname": "DiskFull", "instance": "db-0"}, {})
    key = '{}/{team="db"}:{alertname="DiskFull"}'
    said = {"groupKey": key, "alerts": [alert], "truncatedAlerts": left_out, "receiver": receiver}
    return await world.alertmanager.sends(body | said)


async def state(world: World, incident: int) -> str:
    return str((await world.incident(incident))["state"])


async def test_what_alertmanager_no_longer_has_is_over(world: World, upstream: FakeAlertmanager) -> None:
    """An end that never came is found: after vanish_after of looks at which the alert was not there."""
    incident = await fires(world, upstream, instance="db-1")
    await looks(world, 1)
    upstream.loses("DiskFull")

    await looks(world, 15)
    assert await state(world, incident) == "triggered"
    await looks(world, 1)

    assert await state(world, incident) == "resolved"
    assert f"alerts_resolved: {LOST}" in await world.timeline(incident)
    assert (await world.incident(incident))["notifications"][-1]["reason"] == "all_resolved"


async def test_what_is_there_stays(world: World, upstream: FakeAlertmanager) -> None:
    """An alert that Alertmanager holds fires for as long as it does; so does one of two."""
    incident = await fires(world, upstream, instance="db-1")
    await fires(world, upstream, instance="db-2")
    upstream.loses("DiskFull", instance="db-1")

    await looks(world, 20)

    assert (await world.incident(incident))["alert_counts"] == {"firing": 1, "total": 2}


async def test_a_vanished_alert_is_over_at_the_second_look(world: World, upstream: FakeAlertmanager) -> None:
    """Its group was sent without it, and Alertmanager does not have it: that is enough, twice."""
    incident = await fires(world, upstream, instance="db-1")
    await fires(world, upstream, instance="db-2")
    await world.alertmanager.forgets("DiskFull", instance="db-1")
    upstream.loses("DiskFull", instance="db-1")

    await looks(world, 1)
    assert (await world.incident(incident))["alert_counts"]["firing"] == 2
    await looks(world, 1)

    assert (await world.incident(incident))["alert_counts"]["firing"] == 1
    assert LOST in await world.timeline(incident)


async def test_a_look_between_at_which_it_is_there_begins_anew(
    world: World, upstream: FakeAlertmanager
) -> None:
    """What comes and goes within a group_interval is never sent, and must not be closed here."""
    incident = await fires(world, upstream, instance="db-1")
    for _ in range(4):
        upstream.loses("DiskFull")
        await looks(world, 10)
        upstream.holds("DiskFull", instance="db-1")
        await looks(world, 1)

    assert await state(world, incident) == "triggered"


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_no_answer_ends_nothing(world: World, upstream: FakeAlertmanager, broken: Reply) -> None:
    """An Alertmanager that is away, or answers with something else, says nothing about any alert."""
    incident = await fires(world, upstream, instance="db-1")
    await looks(world, 1)
    upstream.broken = broken

    await looks(world, 20)

    assert await state(world, incident) == "triggered"
    assert await world.alarms() == []


async def test_half_an_answer_ends_nothing(world: World, upstream: FakeAlertmanager) -> None:
    """A status without the alerts is no answer."""
    incident = await fires(world, upstream, instance="db-1")
    await looks(world, 1)
    upstream.loses("DiskFull")
    answer = upstream.answer
    upstream.answer = lambda request: (  # type: ignore[method-assign]
        Reply(status=500) if request.path.endswith("/alerts") else answer(request)
    )

    await looks(world, 20)

    assert await state(world, incident) == "triggered"


async def test_an_answer_without_end_is_none(
    world: World, upstream: FakeAlertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than we are ready to read is not read, and proves nothing."""
    monkeypatch.setattr(alertmanager, "MOST", 2_000)
    incident = await fires(world, upstream, instance="db-1")
    await looks(world, 1)
    upstream.loses("DiskFull")
    for number in range(20):
        upstream.holds(f"Other{number}")

    await looks(world, 20)

    assert await state(world, incident) == "triggered"


async def test_an_alertmanager_that_was_just_started_ends_nothing(
    world: World, upstream: FakeAlertmanager
) -> None:
    """It knows only what Prometheus has sent again; a quarter of an hour later it is believed."""
    incident = await fires(world, upstream, instance="db-1")
    await looks(world, 1)
    upstream.loses("DiskFull")
    upstream.started_at = world.clock.now()

    await looks(world, 14)
    assert await state(world, incident) == "triggered"
    await looks(world, 18)

    assert await state(world, incident) == "resolved"


async def test_an_empty_alertmanager_ends_nothing(world: World, upstream: FakeAlertmanager) -> None:
    """One that holds no alert at all may have lost them all."""
    incident = await fires(world, upstream, instance="db-1")
    await looks(world, 1)
    upstream.alerts.clear()

    await looks(world, 30)

    assert await state(world, incident) == "triggered"


async def test_an_alertmanager_of_somebody_else_ends_nothing(
    world: World, upstream: FakeAlertmanager
) -> None:
    """An address that leads to another one, which never held an alert of ours, proves nothing."""
    incident = await world.alertmanager.fires("DiskFull", instance="db-1")

    await looks(world, 30)

    assert upstream.asked("/alerts") == 30
    assert await state(world, incident) == "triggered"


async def test_what_we_hear_while_we_ask_counts(world: World, upstream: FakeAlertmanager) -> None:
    """A body that comes between the question and the answer wins."""
    incident = await fires(world, upstream, instance="db-1")
    await looks(world, 1)
    upstream.loses("DiskFull")
    await looks(world, 15)
    await world.fast_forward(minutes=1)
    reconcile = world.services.reconcile

    async def late(finding: object) -> int:
        world.clock.advance(seconds=1)
        await world.alertmanager.fires("DiskFull", instance="db-1", settle=False)
        return await reconcile(finding)  # type: ignore[arg-type]

    world.services.reconcile = late  # type: ignore[method-assign]
    await world.process.watching.look_around()

    assert await state(world, incident) == "triggered"


async def test_who_silenced_it_there_is_shown(world: World, upstream: FakeAlertmanager) -> None:
    """The incident says who wants quiet upstream, until when and why; when that ends, it says so."""
    incident = await fires(world, upstream, instance="db-1")
    await fires(world, upstream, instance="db-2")
    upstream.alerts[1].silenced_by = ["4711"]
    upstream.silences["4711"] = {
        "createdBy": "ana", "comment": "new\ndisks", "endsAt": "2026-11-20T05:00:00.000Z",
    }  # fmt: skip

    await looks(world, 3)

    said = "silenced in Alertmanager by ana until 2026-11-20 05:00 UTC: new disks (1 of 2 alerts)"
    assert (await world.incident(incident))["upstream_quiet"] == [said]
    assert (await world.timeline(incident)).count(f"upstream: {said}") == 1
    page = await world.client.get(f"/incidents/{incident}")
    assert "silenced in Alertmanager by ana" in page.text

    await world.alertmanager.repeats()
    await looks(world, 1)
    assert (await world.timeline(incident)).count("upstream: silenced") == 1

    upstream.alerts[1].silenced_by = []
    await looks(world, 1)
    assert (await world.incident(incident))["upstream_quiet"] == []
    assert "upstream: no longer silenced or inhibited" in await world.timeline(incident)


async def test_a_silence_that_cannot_be_asked_for_is_shown_all_the_same(
    world: World, upstream: FakeAlertmanager
) -> None:
    """Its id is better than nothing."""
    incident = await fires(world, upstream, instance="db-1")
    upstream.alerts[1].silenced_by = ["gone/../4711"]

    await looks(world, 1)

    assert (await world.incident(incident))["upstream_quiet"] == ["silenced in Alertmanager (gone/../4711)"]


async def test_what_inhibits_it_there_is_shown(world: World, upstream: FakeAlertmanager) -> None:
    """The incident names the alert that keeps it quiet upstream."""
    incident = await fires(world, upstream, instance="db-1")
    upstream.alerts[1].inhibited_by = [upstream.alerts[0].fingerprint]

    await looks(world, 1)

    assert (await world.incident(incident))["upstream_quiet"] == ["inhibited in Alertmanager by Other"]


async def test_what_was_left_out_is_added(world: World, upstream: FakeAlertmanager) -> None:
    """A group that came in part is completed: all of its alerts are in the incident."""
    for number in range(5):
        upstream.holds("DiskFull", instance=f"db-{number}")
    incident = await sends_in_part(world, left_out=4)
    assert (await world.incident(incident))["truncated_alerts"] == 4

    await looks(world, 1)

    found = await world.incident(incident)
    assert (found["alert_counts"], found["truncated_alerts"]) == ({"firing": 5, "total": 5}, 0)
    assert upstream.asked("/alerts/groups") == 1
    await looks(world, 1)
    assert upstream.asked("/alerts/groups") == 1


async def test_what_was_left_out_and_is_silenced_is_not_added(
    world: World, upstream: FakeAlertmanager
) -> None:
    """Only what Alertmanager would have posted is added."""
    upstream.receiver = "web.hook"
    for number in range(3):
        upstream.holds("DiskFull", instance=f"db-{number}")
    upstream.alerts[-1].silenced_by = ["4711"]
    incident = await sends_in_part(world, left_out=2, receiver=r"web\.hook")

    await looks(world, 1)

    assert (await world.incident(incident))["alert_counts"] == {"firing": 2, "total": 2}


async def test_nobody_is_asked_where_there_is_nothing_to_ask(
    world: World, upstream: FakeAlertmanager
) -> None:
    """Without an open incident of the source its Alertmanager is left alone."""
    await looks(world, 3)

    assert upstream.requests == []


async def test_other_sources_are_none_of_its_business(world: World, upstream: FakeAlertmanager) -> None:
    """A self-alarm, or a drill, is in no Alertmanager, and is not missed there."""
    await fires(world, upstream, instance="db-1")
    await world.client.post("/test-alert", json={"resolve_after": "2h"})
    await looks(world, 20)

    drill = next(one for one in await world.incidents() if one["drill"])
    assert drill["state"] == "triggered"
