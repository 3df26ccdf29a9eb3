"""What time is it in a test? Whatever the test says."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)


class FakeClock:
    """Stands still until it is advanced; who sleeps is woken when their time has come."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._now = start
        self._sleepers: list[tuple[datetime, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._now

    def elapsed(self) -> float:
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self._now + timedelta(seconds=seconds), woken))
        await woken.wait()

    def jumps(self, **duration: float) -> None:
        """Be put forward or back, while no time passes."""
        self._start += timedelta(**duration)
        self._now += timedelta(**duration)

    def advance(self, **duration: float) -> None:
        """Move time forward: `advance(minutes=5)`."""
        self._now += timedelta(**duration)
        for until, woken in self._sleepers:
            if until <= self._now:
                woken.set()
        self._sleepers = [(until, woken) for until, woken in self._sleepers if not woken.is_set()]
