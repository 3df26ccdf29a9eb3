"""Several processes on one PostgreSQL share the work."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from receiver import worker
from receiver.app import CannotStartError, alone
from receiver.services import Services
from receiver.store.database import Db
from tests.postgres import Server
from tests.world import Process, a_world

INCIDENTS = 60
PROCESSES = 2
POSTERS = 3  # for each process
PATIENCE = 30  # seconds
HOUR = 3600.0  # seconds


async def test_no_notification_is_sent_twice(
    postgres_server: Server, migrated_template: str, tmp_path: Path
) -> None:
    """Two processes that work on one storm send every notification once, and the last word is right."""
    url = postgres_server.create_database(template=migrated_template)
    async with a_world(url, tmp_path) as world, world.another() as other:
        await world.routes("route: {receiver: hook, group_interval: 1s}")
        await other.services.reload()
        processes = [world.process, other]
        posters = [storm(process, number) for number, process in enumerate(processes * POSTERS)]
        posting = asyncio.gather(*posters)
        workers = [asyncio.create_task(work(process, posting)) for process in processes]
        await asyncio.gather(posting, *workers)
        await world.fast_forward(minutes=5)

        sent = Counter(body["notification_id"] for body in world.webhook.bodies)
        assert set(sent.values()) == {1}
        last = {body["incident"]["id"]: body["incident"]["alerts"]["firing"] for body in world.webhook.bodies}
        assert last == dict.fromkeys(last, PROCESSES * POSTERS)
        assert len(last) == INCIDENTS
    postgres_server.drop_database(url)


STEPS = """
escalation_policies:
  - {name: page, steps: [{notify: [{receiver: hook}]}, {after: 10m, notify: [{receiver: hook}]}]}
fallback: hook
route: {escalation_policy: page, group_by: [alertname]}
"""


async def test_no_step_is_taken_twice(
    postgres_server: Server, migrated_template: str, tmp_path: Path
) -> None:
    """Two processes to which the same steps come due take each of them once."""
    url = postgres_server.create_database(template=migrated_template)
    async with a_world(url, tmp_path) as world, world.another() as other:
        await world.routes(STEPS)
        await other.services.reload()
        processes = [world.process, other]
        names = [f"Alert{number}" for number in range(INCIDENTS)]
        await world.alertmanager.storm(names, severity="warning")

        world.clock.advance(minutes=10)
        for _ in range(3):
            await asyncio.gather(*(process.work() for process in processes))
        await world.settle()

        told = Counter((body["incident"]["id"], body["reason"]) for body in world.webhook.bodies)
        assert set(told.values()) == {1}
        assert {reason for _, reason in told} == {"first", "escalated"}
        assert len(told) == 2 * INCIDENTS
    postgres_server.drop_database(url)


async def storm(process: Process, number: int) -> None:
    """Post one alert of each incident."""
    for name in range(INCIDENTS):
        labels = {"alertname": f"Alert{name}", "instance": str(number)}
        alert = {"status": "firing", "labels": labels, "startsAt": "2026-11-20T03:00:00Z"}
        group = {"alertname": f"Alert{name}"}
        body = {"groupKey": f"{name}{number}", "groupLabels": group, "alerts": [alert]}
        response = await process.client.post("/webhooks/alertmanager", json=body)
        assert response.status_code == 200, response.text


async def work(process: Process, posting: asyncio.Future[list[None]]) -> None:
    """Deliver while alerts are posted."""
    while not posting.done():
        if not await process.worker.deliver_due():
            await asyncio.wait([posting], timeout=0.005)
    await process.worker.settle()


def a_body(name: str) -> dict[str, object]:
    """Return what Alertmanager posts of one alert."""
    labels = {"alertname": name}
    return {"groupKey": name, "groupLabels": labels, "alerts": [{"status": "firing", "labels": labels}]}


async def test_a_second_process_on_one_file_is_refused(tmp_path: Path) -> None:
    """SQLite takes one process; the second hears what to do."""
    url = f"sqlite:///{tmp_path}/tocsin.db"
    with alone(url), pytest.raises(CannotStartError, match="use PostgreSQL for several replicas"), alone(url):
        pass


async def test_the_other_replica_goes_on(
    postgres_server: Server, migrated_template: str, tmp_path: Path
) -> None:
    """What one process accepted, another one delivers when the first is gone."""
    url = postgres_server.create_database(template=migrated_template)
    async with a_world(url, tmp_path) as world:
        async with world.another() as other:
            await other.client.post("/webhooks/alertmanager", json=a_body("DiskFull"))

        await world.settle()

        world.slack.expect("#ops", "DiskFull")
    postgres_server.drop_database(url)


async def test_a_replica_that_gives_way_begins_anew(
    postgres_server: Server, migrated_template: str, tmp_path: Path
) -> None:
    """When PostgreSQL ends a transaction because two replicas waited for each other, it is simply repeated."""
    url = postgres_server.create_database(template=migrated_template)
    async with a_world(url, tmp_path) as world:
        collisions = ["40P01"] * 2

        def collide(db: Db, items: Sequence[str]) -> Sequence[str]:
            if collisions:
                state = collisions.pop()
                db.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'as if' USING ERRCODE = '{state}'; END $$"))
            return items

        assert await world.services.writer.submit(collide, "done") == "done"
    postgres_server.drop_database(url)


class Sleeper(worker.Worker):
    """Tells when it has looked and found nothing, and when it has found something."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.asleep = asyncio.Event()
        self.found = asyncio.Queue[int]()

    async def deliver_due(self) -> int:
        self.asleep.clear()
        count = await super().deliver_due()
        if count:
            self.found.put_nowait(count)
        return count

    async def _until_due(self) -> float:
        seconds = await super()._until_due()
        self.asleep.set()
        return seconds


async def test_a_replica_hears_at_once_what_another_one_owes(
    postgres_server: Server, migrated_template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL wakes it: by itself it would look again in an hour.

    The first page may be found because whoever begins to listen looks; the second one only by being woken.
    """
    monkeypatch.setattr(worker, "TICK", HOUR)
    url = postgres_server.create_database(template=migrated_template)
    async with a_world(url, tmp_path) as world, world.another() as other:
        sleeper = Sleeper(other.services)
        working = asyncio.create_task(sleeper.run())
        for name in ("DiskFull", "CpuHot"):
            async with asyncio.timeout(PATIENCE):
                await sleeper.asleep.wait()
                await world.client.post("/webhooks/alertmanager", json=a_body(name))
                await sleeper.found.get()
                await sleeper.settle()
            world.slack.expect("#ops", name)
        working.cancel()
        await asyncio.wait([working])
    postgres_server.drop_database(url)
