"""The look at ourselves: it goes on, and it lets go."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from receiver.store.tables import Lease
from receiver.watching import Watching
from tests.world import World, a_world

PATIENCE = 20  # seconds; milliseconds are usual


@pytest.fixture
async def world(migrated_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(migrated_url, tmp_path) as world:
        yield world


def holders(db: Connection) -> list[str]:
    return list(db.execute(select(Lease.__table__.c.holder)).scalars())


async def until(world: World, watching: asyncio.Task[None], holds: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(await world.services.read(holders)) != holds:
            assert not watching.done()
            await asyncio.wait([watching], timeout=0.01)


async def stop(task: asyncio.Task[None], world: World) -> None:
    """Let it end as at shutdown, once its looks are over: a question under way would outlive the test."""
    async with asyncio.timeout(PATIENCE):
        while len(world.clock._sleepers) < 3:
            await asyncio.wait([task], timeout=0.01)
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE)
    assert task.cancelled()


async def test_it_lets_go_when_it_ends(world: World) -> None:
    """Another process can look at once, and need not wait for the end of the lease."""
    watching = asyncio.create_task(Watching(world.services).run())
    await until(world, watching, holds=1)

    await stop(watching, world)

    assert await world.services.read(holders) == []


@pytest.mark.parametrize("failure", [ConnectionError("a bug"), TimeoutError()])
async def test_a_look_that_fails_is_not_the_last(
    world: World, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """An error in one look is logged, and the next minute is looked at as if nothing were."""
    failures = [failure]
    hold = world.services._hold

    def once(db: object, wishes: object) -> object:
        if failures:
            raise failures.pop()
        return hold(db, wishes)

    monkeypatch.setattr(world.services, "_hold", once)
    watching = asyncio.create_task(Watching(world.services).run())
    async with asyncio.timeout(PATIENCE):
        while failures:
            await asyncio.wait([watching], timeout=0.01)
        while not await world.services.read(holders):
            world.clock.advance(seconds=60)
            await asyncio.wait([watching], timeout=0.01)

    await stop(watching, world)


async def test_a_database_that_is_away_keeps_nobody_from_ending(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that cannot be given back runs out by itself."""
    watching = asyncio.create_task(Watching(world.services).run())
    await until(world, watching, holds=1)

    def away(_db: object, _items: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(world.services, "_let_go", away)

    await stop(watching, world)
