"""The loop over due work: what is owed is delivered, and what time changes is changed."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta

import anyio.to_thread
import structlog

from receiver.pipeline.admit import Claim
from receiver.pipeline.deliver import Delivery
from receiver.policy.throttle import Slots
from receiver.services import Services
from receiver.store import escalations, outbox
from receiver.store.database import Db
from receiver.store.listen import listen

log = structlog.get_logger()

TICK = 1.0  # seconds; the longest that anything due waits to be noticed
SHORTEST_TICK = 0.02  # seconds; between looks while something is due that nobody may take yet
BEFORE_ASKING = 0.1  # seconds; a question would get in the way of the next body
CROWDED_TICK = 0.25  # seconds; the same while destinations have enough under way
MOST_AT_ONCE = 64  # notifications of one claim
MOST_IN_A_RUSH = 4  # notifications of one claim while many bodies come at once
BREATH = 0.025  # seconds between claims then
MOST_UNDER_WAY = 256  # attempts at one time
KEPT_FOR_URGENT = 32  # of those; a storm of the rest leaves them free
MOST_PER_SERVICE = 96  # a service that hangs must not hold up the others
MOST_PER_DESTINATION = 64  # the same
SLOTS = Slots(MOST_UNDER_WAY, KEPT_FOR_URGENT, MOST_PER_SERVICE, MOST_PER_DESTINATION)
PATIENCE = timedelta(seconds=15)  # for attempts under way when the process ends


def next_due_at(db: Db, closed: Collection[str]) -> datetime | None:
    """Return when the next notification or step is due; notifications to `closed` do not count."""
    moments = (outbox.next_due_at(db, closed), escalations.next_step_at(db))
    return min((at for at in moments if at is not None), default=None)


class Worker:
    """Does what is due, until it is told to stop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._under_way: dict[asyncio.Task[None], Delivery] = {}
        self._per_destination: Counter[str] = Counter()
        self._starved = False  # more may be due than there was room for
        self._is_more = False  # the last claim left something
        self._closed: frozenset[str] = frozenset()  # destinations that wait for a bucket, a breaker or a slot
        self.next_at: datetime | None = None  # when the first bucket or breaker lets somebody through

    async def run(self) -> None:
        """Work until cancelled; then finish what is under way, or let go of it."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._deliver_forever())
                group.create_task(self._review_forever())
                group.create_task(self._watch_config())
                group.create_task(listen(self._services.settings.database_url, self._services.owed.set))
        finally:
            await asyncio.shield(self._finish())

    async def deliver_due(self) -> int:
        """Start delivering what is due now; return how much that was."""
        # Bodies go first, for Alertmanager must hear in time; then steps, for they say who is told.
        is_slow = self._services.writer.is_rushed or self._services.has_steps
        most = MOST_IN_A_RUSH if is_slow else MOST_AT_ONCE
        limit = min(most, MOST_UNDER_WAY - len(self._under_way))
        if limit <= 0:
            self._starved, self._is_more = True, False
            return 0
        wish = Claim(self._services.clock.now(), limit, SLOTS, dict(self._per_destination))
        claimed = await self._services.claim(wish)
        self._starved, self._is_more = claimed.is_crowded, claimed.is_more
        self._closed, self.next_at = claimed.closed, claimed.next_at
        for delivery in claimed.deliveries:
            task = asyncio.create_task(self._deliver(delivery))
            self._under_way[task] = delivery
            self._per_destination[delivery.notification["destination"]] += 1
            task.add_done_callback(self._done)
        return len(claimed.deliveries)

    @property
    def under_way(self) -> int:
        """How many attempts there are at this moment."""
        return len(self._under_way)

    async def settle(self) -> None:
        """Wait for all that is under way."""
        while self._under_way:
            await asyncio.wait(list(self._under_way))

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await self._services.deliver(delivery)
        except Exception:
            # The database could not take the result: the lease ends, and the row comes due again.
            log.exception("delivery.not_recorded", notification_id=delivery.notification["id"])

    def _done(self, task: asyncio.Task[None]) -> None:
        name = self._under_way.pop(task).notification["destination"]
        self._per_destination[name] -= 1
        room = self._per_destination[name] <= MOST_PER_DESTINATION // 2
        if not self._per_destination[name]:
            del self._per_destination[name]
        if self._starved and room:  # not for each one: a claim is worth it when it brings many
            self._services.owed.set()

    async def _deliver_forever(self) -> None:
        while True:
            self._services.owed.clear()
            if await self._attempt(self.deliver_due) and self._is_more:
                continue
            if self._services.writer.is_rushed:
                await self._services.clock.sleep(BREATH)
                continue
            # Where messages come one after the other, the next is awaited before the database is asked.
            if not await self._is_woken(within=BEFORE_ASKING):
                await self._is_woken(within=await self._until_due())

    async def _is_woken(self, *, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                await self._services.owed.wait()
        except TimeoutError:
            return False
        return True

    async def _until_due(self) -> float:
        try:
            due_at = await self._services.read(next_due_at, self._closed)
        except Exception:
            log.exception("outbox.unreadable")
            return TICK
        due_at = min((at for at in (due_at, self.next_at) if at is not None), default=None)
        if due_at is None:
            return TICK
        soonest = CROWDED_TICK if self._starved else SHORTEST_TICK
        return min(TICK, max(soonest, (due_at - self._services.clock.now()).total_seconds()))

    async def _review_forever(self) -> None:
        async def review() -> int:
            now = self._services.clock.now()
            services = self._services
            done = await asyncio.gather(services.review(now), services.look_after(now), services.watch(now))
            return sum(done)

        while True:
            if not await self._attempt(review):
                await self._services.clock.sleep(TICK)

    async def _attempt(self, work: Callable[[], Awaitable[int]]) -> int:
        try:
            return await work()
        except Exception:
            log.exception("worker.failed")
            await self._services.clock.sleep(TICK)
            return 0

    async def _watch_config(self) -> None:
        """Read routing.yaml again when it changes.

        Asked once a second: watching the folder would be told of every write to a database beside the file.
        """

        async def reload() -> int:
            return len(await self._services.reload())

        while True:
            await self._services.clock.sleep(TICK)
            if await anyio.to_thread.run_sync(self._services.is_outdated):
                await self._attempt(reload)  # a database that is away must not end the worker

    async def _finish(self) -> None:
        if self._under_way:
            await asyncio.wait(list(self._under_way), timeout=PATIENCE.total_seconds())
        for task, delivery in list(self._under_way.items()):
            task.cancel()
            try:
                await self._services.release(delivery)
            except Exception:
                log.exception("delivery.not_released", notification_id=delivery.notification["id"])
