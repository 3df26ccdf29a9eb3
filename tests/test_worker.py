"""The loop over due work: it notices, it finishes, it lets go."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from receiver.worker import Worker
from tests.fakes.http import Reply
from tests.world import World, a_world

LABELS = {"alertname": "DiskFull"}
BODY = {"groupKey": "disks", "groupLabels": LABELS, "alerts": [{"status": "firing", "labels": LABELS}]}
PATIENCE = 20  # seconds; milliseconds are usual


@pytest.fixture
async def world(migrated_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(migrated_url, tmp_path) as world:
        yield world


async def stop(task: asyncio.Task[None]) -> None:
    """Let a worker end as at shutdown."""
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE)
    assert task.cancelled()


async def test_what_is_accepted_is_delivered_at_once(world: World) -> None:
    """A worker that waits is woken by the alert, not by its tick."""
    working = asyncio.create_task(Worker(world.services).run())

    await world.alertmanager.sends(BODY, settle=False)
    async with asyncio.timeout(PATIENCE):
        await world.slack.heard.wait()

    world.slack.expect("#ops", "DiskFull")
    await stop(working)


async def test_being_stopped_wins_over_being_woken(world: World) -> None:
    """A worker that is woken in the very moment it is told to stop, stops."""
    working = asyncio.create_task(Worker(world.services).run())
    await asyncio.wait([working], timeout=0.2)

    world.services.owed.set()

    await stop(working)


async def test_what_is_under_way_is_finished(world: World) -> None:
    """A worker that is told to stop waits for the attempt under way, and its result is written down."""
    world.slack.script.append(Reply(delay=0.2, body=b'{"ok": true, "channel": "C1", "ts": "1.2"}'))
    worker = Worker(world.services)
    incident = await world.alertmanager.sends(BODY, settle=False)
    await worker.deliver_due()
    working = asyncio.create_task(worker.run())
    while not world.slack.requests:
        await asyncio.wait([working], timeout=0.005)

    await stop(working)

    [page, *_] = await world.notifications(incident)
    assert page["state"] == "sent"


async def test_what_hangs_is_let_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that outlasts the patience at the end is released: the next process need not wait."""
    monkeypatch.setattr("receiver.worker.PATIENCE", world.clock.now() - world.clock.now())
    world.slack.script.append(Reply(is_never=True))
    worker = Worker(world.services)
    incident = await world.alertmanager.sends(BODY, settle=False)
    await worker.deliver_due()
    working = asyncio.create_task(worker.run())
    while not world.slack.requests:
        await asyncio.wait([working], timeout=0.005)
    await stop(working)

    await world.restart()
    await world.settle()

    world.slack.expect("#ops", "DiskFull")
    [page, *_] = await world.notifications(incident)
    assert page["state"] == "sent"


async def test_a_changed_file_is_read(world: World) -> None:
    """A routing.yaml that is saved is in force a second later."""
    working = asyncio.create_task(Worker(world.services).run())
    before = world.services.config
    await asyncio.wait([working], timeout=0.3)  # until the file was looked at

    world._file.write_text(world._file.read_text().replace("receiver: ops}", "receiver: dev}"))
    async with asyncio.timeout(PATIENCE):
        while world.services.config is before:
            world.clock.advance(seconds=1)
            await asyncio.wait([working], timeout=0.02)

    assert world.services.config.route.receiver == "dev"
    await stop(working)


async def test_nothing_due_is_nothing_done(world: World) -> None:
    """A worker without work delivers nothing."""
    assert await world.worker.deliver_due() == 0


async def test_a_database_that_fails_stops_no_worker(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error at a claim is survived: the next one works."""
    failures = [ConnectionError("the database is away")]
    claim = world.services._claim

    def once(db: object, wishes: object) -> object:
        if failures:
            raise failures.pop()
        return claim(db, wishes)

    monkeypatch.setattr(world.services, "_claim", once)
    working = asyncio.create_task(Worker(world.services).run())
    while failures:
        await asyncio.wait([working], timeout=0.005)
    await world.alertmanager.sends(BODY, settle=False)
    async with asyncio.timeout(PATIENCE):
        while not world.slack.heard.is_set():
            world.clock.advance(seconds=1)  # it rests for a tick after an error
            await asyncio.wait([working], timeout=0.02)

    world.slack.expect("#ops", "DiskFull")
    await stop(working)


async def test_what_waits_for_its_bucket_wakes_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose destinations are all at their limit sleeps until the next may be told."""
    text = world._file.read_text()
    await world.reload(text.replace('channel: "#ops",', 'channel: "#ops", rate_limit: {count: 1, per: 1h},'))
    asked: list[object] = []
    claim = world.services._claim

    def counted(db: object, wishes: object) -> object:
        asked.append(wishes)
        return claim(db, wishes)

    monkeypatch.setattr(world.services, "_claim", counted)
    working = asyncio.create_task(Worker(world.services).run())
    for name in ("DiskFull", "Other", "Third"):
        labels = {"alertname": name}
        body = {"groupKey": name, "groupLabels": labels, "alerts": [{"status": "firing", "labels": labels}]}
        await world.alertmanager.sends(body, settle=False)
    async with asyncio.timeout(PATIENCE):
        await world.slack.heard.wait()
    await asyncio.wait([working], timeout=0.5)  # what follows from the first is done
    asked.clear()

    await asyncio.wait([working], timeout=2)

    assert len(asked) <= 3
    assert len(world.slack.told) == 1
    await stop(working)
