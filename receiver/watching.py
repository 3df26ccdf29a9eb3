"""Does Tocsin do what it should? Looked at from beside the worker, for one that hangs cannot say so.

Of several replicas one looks for all; if it dies, another does when the lease has run out.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from secrets import token_hex

import structlog

from receiver import metrics
from receiver.calendars import Calendars
from receiver.outgoing import Outgoing
from receiver.pipeline import audit
from receiver.pipeline.audit import Jump, Wish
from receiver.policy.watching import self_alarm
from receiver.reconciling import Reconciling
from receiver.services import Services
from receiver.store import audit as store
from receiver.store.database import DatabaseFailure, Overloaded

log = structlog.get_logger()

LOOK = 60.0  # seconds between two looks around
LEASE = timedelta(seconds=150)  # two looks, and half a one
TICK = 1.0  # seconds between two looks at the clock
LARGEST_STEP = timedelta(minutes=1)  # of a clock that is only corrected
TO_LET_GO = 5.0  # seconds; a database that is away must not keep the process from ending
NAME = "watching"  # of the lease


class Watching:
    """Looks around until it is told to stop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock
        self._me = token_hex(8)
        self._outgoing = Outgoing(services)
        self._reconciling = Reconciling(services)
        self._calendars = Calendars(services)
        self._silent: set[str] = set()  # routes that lead to nobody, as said already
        self._seen = (self._clock.now(), self._clock.elapsed())

    async def run(self) -> None:
        """Look until cancelled; then let another replica do it at once."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._repeat(TICK, self.look_at_the_clock))
                group.create_task(self._repeat(TICK, self.beat))
                group.create_task(self._repeat(LOOK, self.look_around))
        finally:
            await asyncio.shield(self._let_go())

    async def look_around(self) -> None:
        """Look for what nobody hears of, what is late and what upstream lost, where that is ours to do."""
        if await self._services.hold(NAME, self._me, LEASE):
            await self._audit()
            await self._look_for_overdue()
            await self._reconciling.look()
            await self._calendars.look()
            await self._services.hand_over(self._clock.now())

    async def beat(self) -> None:
        """Let somebody outside hear that all is well."""
        await self._outgoing.beat()

    async def look_at_the_clock(self) -> None:
        """Notice that it moved by more, or less, than the time that passed."""
        (before, ticks), self._seen = self._seen, (self._clock.now(), self._clock.elapsed())
        now, elapsed = self._seen
        expected = before + timedelta(seconds=elapsed - ticks)
        if abs(now - expected) > LARGEST_STEP:
            metrics.CLOCK_JUMPS.inc()
            log.error("clock.jumped", seconds=round((now - expected).total_seconds()), now=now.isoformat())
            await self._services.note_jump(Jump(expected, now))

    async def _audit(self) -> None:
        """Have somebody hear of incidents that nobody would; say once which routes lead to nobody.

        Readers are asked, so that what takes long keeps no body waiting; what is found is asked again
        by the writer.
        """
        now = self._clock.now()
        found = await self._services.read(store.stranded, now)
        ids, silent = audit.told_to_nobody(self._services.config, found)
        metrics.UNHEARD_INCIDENTS.set(sum(silent.values()))
        for routes in silent.keys() - self._silent:
            log.warning("audit.nobody", routes=routes, incidents=silent[routes])
        self._silent = set(silent)
        for begin in range(0, len(ids), audit.BATCH):
            wish = Wish(ids[begin : begin + audit.BATCH], now)
            metrics.AUDITED.inc(await self._services.repair(wish))

    async def _look_for_overdue(self) -> None:
        now = self._clock.now()
        summary = await self._services.read(audit.overdue, self._services.config, now)
        if summary is not None:
            log.error("outbox.overdue", summary=summary)
            await self._services.raise_alarm(self_alarm("TocsinOverdue", {}, summary, now=now))

    async def _repeat(self, every: float, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await look()
            except (DatabaseFailure, Overloaded) as failure:
                log.warning("watching.failed", look=look.__name__, reason=type(failure).__name__)
            except Exception:
                log.exception("watching.failed", look=look.__name__)  # it must not end the service
            await self._clock.sleep(every)

    async def _let_go(self) -> None:
        try:
            async with asyncio.timeout(TO_LET_GO):
                await self._services.let_go(NAME, self._me)
        except (DatabaseFailure, Overloaded, TimeoutError) as failure:
            log.warning("watching.lease_kept", reason=type(failure).__name__)  # it runs out by itself
