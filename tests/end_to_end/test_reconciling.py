"""A real Alertmanager, asked what it holds."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests import alertmanager as real
from tests.alertmanager import Alertmanager
from tests.world import ROUTE, World, a_world

CONFIG = json.dumps(
    {
        "route": {"receiver": "tocsin.hook", "group_by": ["alertname"], "group_wait": "0s"},
        "receivers": [{"name": "tocsin.hook"}],
    }
)
pytestmark = [pytest.mark.real, real.requires("alertmanager")]


@pytest.fixture
async def upstream() -> AsyncIterator[Alertmanager]:
    with real.run_alertmanager(CONFIG) as running:
        yield running


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copyfile(migrated_file, tmp_path / 'tocsin.db')}"


@pytest.fixture
async def world(upstream: Alertmanager, database: str, tmp_path: Path) -> AsyncIterator[World]:
    """A world an hour after the Alertmanager began, as far as it knows."""
    async with a_world(database, tmp_path) as world:
        now = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251 - the real one's clock is the machine's
        world.clock.advance(seconds=(now - world.clock.now()).total_seconds())
        await world.routes(f"sources: [{{name: prod, alertmanager_url: '{upstream.url}'}}]\n{ROUTE}")
        yield world


def alert(name: str, instance: str) -> dict[str, object]:
    labels = {"alertname": name, "instance": instance}
    ends_at = datetime.now(UTC) + timedelta(hours=3)  # noqa: TID251 - the same
    return {"labels": labels, "annotations": {"summary": "x"}, "endsAt": ends_at.isoformat()}


async def holds(upstream: Alertmanager, count: int) -> None:
    """Return when it holds so many alerts."""
    async with asyncio.timeout(20):
        while len(await asyncio.to_thread(upstream.alerts)) != count:
            await asyncio.wait([asyncio.ensure_future(asyncio.to_thread(upstream.alerts))])


async def looks(world: World, times: int) -> None:
    for _ in range(times):
        await world.fast_forward(minutes=1)
        await world.look_around()


async def test_what_it_no_longer_has_is_over(world: World, upstream: Alertmanager) -> None:
    """Its fingerprints are ours, and an alert that ended there ends here."""
    upstream.post_alerts([alert("DiskFull", "db-1"), alert("Other", "x")])
    await holds(upstream, 2)
    incident = await world.alertmanager.fires("DiskFull", instance="db-1")
    await looks(world, 20)
    assert (await world.incident(incident))["state"] == "triggered"

    ended = datetime.now(UTC) - timedelta(seconds=1)  # noqa: TID251 - the same
    upstream.post_alerts([alert("DiskFull", "db-1") | {"endsAt": ended.isoformat()}])
    await holds(upstream, 1)
    await looks(world, 17)

    assert (await world.incident(incident))["state"] == "resolved"
    assert "Alertmanager no longer has it" in await world.timeline(incident)


async def test_who_silenced_it_is_shown(world: World, upstream: Alertmanager) -> None:
    """A silence made there is named here, with its author, its end and its comment."""
    upstream.post_alerts([alert("DiskFull", "db-1")])
    await holds(upstream, 1)
    incident = await world.alertmanager.fires("DiskFull", instance="db-1")
    now = datetime.now(UTC)  # noqa: TID251 - the same
    status, _ = upstream.request("POST", "/api/v2/silences", {
        "matchers": [{"name": "alertname", "value": "DiskFull", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=2)).isoformat(),
        "createdBy": "ana", "comment": "new disks",
    })  # fmt: skip
    assert status == 200

    await looks(world, 1)

    [said] = (await world.incident(incident))["upstream_quiet"]
    assert (
        said
        == f"silenced in Alertmanager by ana until {now + timedelta(hours=2):%Y-%m-%d %H:%M} UTC: new disks"
    )


async def test_what_was_left_out_is_added(world: World, upstream: Alertmanager) -> None:
    """Its group is found by receiver and labels, and all of its alerts are taken in."""
    upstream.post_alerts([alert("DiskFull", f"db-{number}") for number in range(4)])
    await holds(upstream, 4)
    body = world.alertmanager.body(world.alertmanager._group("DiskFull"), [])
    first = world.alertmanager._alert({"alertname": "DiskFull", "instance": "db-0"}, {})
    said = {"groupKey": '{}:{alertname="DiskFull"}', "receiver": r"tocsin\.hook", "truncatedAlerts": 3}
    incident = await world.alertmanager.sends({**body, **said, "alerts": [first]})

    await looks(world, 1)

    assert (await world.incident(incident))["alert_counts"] == {"firing": 4, "total": 4}
