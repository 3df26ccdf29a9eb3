"""Whoever is told by a push, through apprise, is told what everybody is told."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.http import FakeHttp, Reply, Request
from tests.world import RECEIVERS, World


class Phone(FakeHttp):
    """What the pushes show, and a service that can be out of order."""

    broken: Reply | None = None

    def __init__(self) -> None:
        super().__init__()
        self.pushes: list[str] = []

    def answer(self, request: Request) -> Reply:
        if self.broken is None:
            said: dict[str, Any] = request.json()
            self.pushes.append(f"{said['title']}\n{said['message']}")
        return self.broken or super().answer(request)

    def titles(self) -> list[str]:
        return [push.splitlines()[0] for push in self.pushes]


@pytest.fixture
async def phone(world: World) -> AsyncIterator[Phone]:
    """Everything is pushed."""
    async with Phone() as phone:
        url = phone.url("/secretpath").replace("http://", "json://")
        await world.reload(
            f"{RECEIVERS}  - name: push\n"
            f'    apprise_configs: [{{url: "{url}", allow_private_addresses: true}}]\n'
            "route: {receiver: push}\n"
        )
        yield phone


async def test_a_push_tells_how_it_begins_who_has_it_and_how_it_ends(world: World, phone: Phone) -> None:
    """No push can be edited, so each stands alone; the page of the incident is one touch away."""
    incident = await world.alertmanager.fires("DiskFull", severity="critical")
    await world.fast_forward(minutes=1)
    await world.acknowledge(incident)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(minutes=1)

    beginning, taken, end = phone.pushes
    assert beginning.startswith("🔥 CRITICAL · DiskFull")
    assert f"/incidents/{incident}" in beginning
    assert taken.startswith("👀 Acknowledged by")
    assert end.startswith("✅ Resolved · DiskFull")


async def test_a_push_survives_an_outage(world: World, phone: Phone) -> None:
    """It is tried again, and says how things are by then; where it goes is shown without its secrets."""
    phone.broken = Reply(status=503)
    incident = await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.fast_forward(minutes=5)
    await world.alertmanager.fires("DiskFull", instance="db-2")
    phone.broken = None
    await world.fast_forward(minutes=6)

    [push] = phone.pushes
    assert "2 firing" in push.splitlines()[0]
    [page, *_] = await world.notifications(incident)
    assert page["state"] == "sent"
    assert page["destination"].startswith("apprise json://127.0.0.1")
    assert "secretpath" not in str(await world.incident(incident))


async def test_a_push_that_is_refused_tells_the_fallback(world: World, phone: Phone) -> None:
    """A key that is no longer right is for a person to mend, so somebody else hears at once."""
    phone.broken = Reply(status=403)
    await world.alertmanager.fires("DiskFull")

    world.slack.expect("#fallback", "DiskFull", "apprise json://", "could not be reached")


async def test_a_storm_is_few_pushes_and_critical_ones_come_alone(world: World, phone: Phone) -> None:
    """A phone that shakes sixty times is put away."""
    await world.alertmanager.storm([f"Alert{n:02d}" for n in range(60)], severity="warning")
    await world.alertmanager.fires("Fire", severity="critical")
    await world.fast_forward(minutes=2)

    assert any(title.startswith("🔥 CRITICAL · Fire") for title in phone.titles())
    [digest] = [title for title in phone.titles() if "incidents" in title]
    alone = [title for title in phone.titles() if "Alert" in title and "incidents" not in title]
    assert f"{60 - len(alone)} incidents" in digest
    assert len(alone) < 10
