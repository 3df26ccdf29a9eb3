"""Somebody outside hears that Tocsin is well, as long as it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.http import FakeHttp, Reply
from tests.world import DOWN, ROUTE, World

SECRET = "/0b1d4f2e-8a4c-4f3a-9c7e-2f6f1a3b5c7d"


@pytest.fixture
async def outside(world: World) -> AsyncIterator[FakeHttp]:
    """A dead man's switch, which hears a beat a minute."""
    async with FakeHttp() as fake:
        await world.routes(f"outgoing_heartbeat: {{url: '{fake.url(SECRET)}'}}\n{ROUTE}")
        yield fake


async def minutes(world: World, count: int) -> None:
    for _ in range(count):
        await world.fast_forward(minutes=1)
        await world.process.watching.beat()
        await world.settle()


async def test_it_beats_as_long_as_all_is_well(world: World, outside: FakeHttp) -> None:
    """Once a minute the address is asked, whatever fires."""
    await world.alertmanager.fires("DiskFull")

    await minutes(world, 3)
    await world.process.watching.beat()

    assert [(one.method, one.path) for one in outside.requests] == [("GET", SECRET)] * 3


async def test_a_worker_that_hangs_is_not_well(world: World, outside: FakeHttp) -> None:
    """A process whose worker has not looked for a minute keeps silent."""
    await minutes(world, 1)

    world.clock.advance(seconds=61)
    await world.process.watching.beat()

    assert len(outside.requests) == 1
    assert await world.metric('tocsin_outgoing_heartbeats_total{outcome="withheld"}') >= 1


async def test_a_database_that_takes_no_write_is_not_well(
    world: World, outside: FakeHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that cannot be written down does not count."""
    await minutes(world, 1)

    def full(_db: object, _items: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(world.services, "_watch", full)
    for _ in range(7):
        world.clock.advance(seconds=10)
        with pytest.raises(OSError, match="no space"):
            await world.services.watch(world.clock.now())
    await world.process.watching.beat()

    assert len(outside.requests) == 1


async def test_pages_that_are_overdue_are_not_well(world: World, outside: FakeHttp) -> None:
    """When nothing goes out for ten minutes, whoever listens should call somebody."""
    world.slack.fails_with(DOWN)
    await world.alertmanager.fires("DiskFull")
    await minutes(world, 9)
    assert len(outside.requests) == 9

    await minutes(world, 5)
    assert len(outside.requests) <= 10
    world.slack.recovers()
    await minutes(world, 6)

    assert len(outside.requests) > 10


async def test_nobody_at_the_other_end_is_an_alarm_after_a_while(
    world: World, outside: FakeHttp, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ten minutes of failures are a self-alarm; the address is in no text."""
    outside.fails(*[Reply(status=404, body=f"no check {SECRET}".encode())] * 12)
    await minutes(world, 10)
    assert await world.alarms() == []

    await minutes(world, 2)

    [alarm] = await world.alarms()
    assert (alarm["title"], alarm["severity"]) == ("TocsinOutgoingHeartbeat", "warning")
    said = world.slack.expect("#ops", "does not hear it", "answered 404")
    assert SECRET[1:] not in said.text + capfd.readouterr().out + str(await world.incident(alarm["id"]))
    await minutes(world, 16)
    assert [one["state"] for one in await world.alarms()] == ["resolved"]


async def test_the_address_may_be_in_a_file(world: World, outside: FakeHttp, tmp_path: Path) -> None:
    """It is read at each beat, and relative to routing.yaml; one that is gone is a failure like others."""
    file = tmp_path / "secrets" / "url"
    file.parent.mkdir()
    file.write_text(outside.url("/one") + "\n")
    await world.routes(f"outgoing_heartbeat: {{url_file: secrets/url, every: 30s}}\n{ROUTE}")
    await minutes(world, 1)
    file.write_text(outside.url("/two"))
    await minutes(world, 1)
    file.unlink()
    await minutes(world, 1)

    assert [one.path for one in outside.requests] == ["/one", "/two"]
    assert await world.metric('tocsin_outgoing_heartbeats_total{outcome="failed"}') >= 1


async def test_without_an_address_nobody_is_asked(world: World) -> None:
    """What routing.yaml does not name is not done."""
    await minutes(world, 2)

    assert await world.alarms() == []
