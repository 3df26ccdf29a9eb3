"""How do the buttons that people press in Telegram reach us?

Telegram keeps them until it is asked, by one program at a time, or posts them to a webhook. So for each bot
one of the replicas holds a lease and asks; if it dies, another does when the lease has run out.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import cast

import structlog

from receiver.channels.base import ChannelError, Heard, PermanentFailure, TemporaryFailure
from receiver.channels.telegram import Telegram
from receiver.channels.telegram_config import TelegramConfig, bot_id
from receiver.policy import retry
from receiver.policy.throttle import LONG_AGO
from receiver.policy.watching import BELIEVED, self_alarm
from receiver.services import Services
from receiver.store.database import DatabaseFailure, Overloaded

log = structlog.get_logger()

KIND = "telegram"
LOOK = 2.0  # seconds between looks whether routing.yaml names other bots
QUESTION = 25  # seconds that Telegram waits for a button before it answers that there was none
LEASE = timedelta(seconds=60)  # longer than a question and its timeout, which is at most 30 s
TO_LET_GO = 5.0  # seconds; a database that is away must not keep the process from ending
TURN = 10.0  # seconds between looks whether another replica has stopped asking
UNHEARD = timedelta(minutes=5)  # that nobody's button was heard before people are told; Telegram has hiccups
DOWN = (DatabaseFailure, Overloaded)


@dataclass(frozen=True, slots=True)
class Bot:
    """One bot, and the destinations it writes to."""

    id: str
    way: str  # polling or webhook
    configs: tuple[TelegramConfig, ...]


@dataclass(slots=True)
class Streak:
    """Failures of one replica, one after the other."""

    failures: int = 0
    began_at: datetime = LONG_AGO
    last_at: datetime = LONG_AGO

    def goes_on(self, now: datetime) -> None:
        """Add one; long after the last it begins anew, for another replica may have heard meanwhile."""
        if now - self.last_at > BELIEVED:
            self.began_at = now
        self.failures += 1
        self.last_at = now

    @property
    def lasts(self) -> timedelta:
        """From the first to the last of them."""
        return self.last_at - self.began_at


class Polling:
    """Listens to every bot that routing.yaml names, until it is told to stop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock
        self._telegram = cast("Telegram", services.channels[KIND])
        self._me = token_hex(8)
        self._listening: dict[Bot, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Listen until cancelled; then let another replica do it at once."""
        try:
            while True:
                try:
                    await self.look()
                except Exception:
                    log.exception("polling.failed")  # it must not end the service
                await self._clock.sleep(LOOK)
        finally:
            await self._stop(list(self._listening))

    async def look(self) -> None:
        """Begin to listen to new bots, and stop with those that are gone or are told of in another way."""
        wanted = bots(cast("Sequence[TelegramConfig]", self._services.configs_of(KIND)))
        await self._stop([bot for bot in self._listening if bot not in wanted])
        for bot in wanted:
            if bot not in self._listening:
                self._listening[bot] = asyncio.create_task(self._listen(bot))

    async def _stop(self, gone: Sequence[Bot]) -> None:
        tasks = [self._listening.pop(bot) for bot in gone]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, bot: Bot) -> None:
        if bot.way == "webhook":
            await self._register(bot)
        else:
            await self._poll(bot)

    async def _register(self, bot: Bot) -> None:
        """Have Telegram post to us; every replica says so, and says the same."""
        public_url = self._services.settings.public_url
        if public_url is None:
            log.error(
                "telegram.webhook_impossible", bot=bot.id, reason="set TOCSIN_PUBLIC_URL, or updates: polling"
            )
            return
        to = next(config for config in bot.configs if config.updates == "webhook")
        streak = Streak()
        while True:
            try:
                await self._telegram.listen(to, f"{public_url}/webhooks/telegram")
            except PermanentFailure as failure:
                log.error("telegram.webhook_refused", bot=bot.id, reason=failure.reason)  # noqa: TRY400 - it says it all
                return
            except TemporaryFailure as failure:
                await self._back_off(bot, streak, failure)
            else:
                log.info("telegram.webhook_set", bot=bot.id)
                return

    async def _poll(self, bot: Bot) -> None:
        """Ask for what people answered, whenever it is ours to ask."""
        streak, offset, is_ours = Streak(), None, False
        lease = f"telegram:{bot.id}"
        try:
            while True:
                try:
                    if not await self._services.hold(lease, self._me, LEASE):
                        is_ours = False
                        await self._clock.sleep(TURN)
                        continue
                    if not is_ours:
                        await self._telegram.listen(bot.configs[0], None)  # a webhook would keep them from us
                        offset, is_ours = None, True
                    offset = await self._ask(bot, offset)
                    streak = Streak()
                except Exception as failure:  # noqa: BLE001 - told of by _back_off; nothing may end this
                    await self._back_off(bot, streak, failure)
        finally:
            await asyncio.shield(self._let_go(lease))

    async def _ask(self, bot: Bot, offset: int | None) -> int | None:
        """Wait for answers and do them; return the offset that confirms them, once that is committed."""
        answers, following = await self._telegram.ask(bot.configs[0], bot.configs, offset, QUESTION)
        try:
            done: list[tuple[Heard, str]] = await self._services.heard(KIND, answers)
        except DOWN:
            raise  # they are asked for once more
        except Exception:
            log.exception("telegram.answer_lost", bot=bot.id)  # a bug; the next answers must not wait for it
            return following
        await self._services.confirm(KIND, done)
        return following

    async def _back_off(self, bot: Bot, streak: Streak, failure: Exception) -> None:
        streak.goes_on(self._clock.now())
        if not isinstance(failure, (ChannelError, *DOWN)):
            log.error("polling.bug", bot=bot.id, exc_info=failure)
        reason = failure.reason if isinstance(failure, ChannelError) else type(failure).__name__
        asked = failure.retry_after if isinstance(failure, TemporaryFailure) else None
        wait = retry.wait_before(
            streak.failures + 1,
            retry_after=None if asked is None else timedelta(seconds=asked),
            uniform=self._services.uniform,
        )
        log.warning("telegram.not_heard", bot=bot.id, reason=reason, again_in=round(wait.total_seconds(), 1))
        if streak.lasts >= UNHEARD:
            await self._raise_alarm(bot, reason)
        await self._clock.sleep(wait.total_seconds())

    async def _raise_alarm(self, bot: Bot, reason: str) -> None:
        """Say that nobody is heard; said again at each failure, it is over a while after the last one."""
        summary = f"what people press in Telegram is not heard, so answer elsewhere: {reason}"
        alarm = self_alarm("TocsinTelegramUnheard", {"bot": bot.id}, summary, now=self._clock.now())
        try:
            await self._services.raise_alarm(alarm)
        except DOWN as failure:
            log.warning("polling.alarm_not_raised", bot=bot.id, reason=type(failure).__name__)

    async def _let_go(self, lease: str) -> None:
        try:
            async with asyncio.timeout(TO_LET_GO):
                await self._services.let_go(lease, self._me)
        except (*DOWN, TimeoutError) as failure:
            log.warning(
                "telegram.lease_kept", lease=lease, reason=type(failure).__name__
            )  # it runs out by itself


def bots(configs: Sequence[TelegramConfig]) -> list[Bot]:
    """Return the bots that somebody should listen to; of two ways a webhook wins, for Telegram knows one."""
    by_id: dict[str, list[TelegramConfig]] = {}
    for config in configs:
        try:
            by_id.setdefault(bot_id(config.token()), []).append(config)
        except PermanentFailure:
            continue  # its token is away; sending says so loudly, and the next look may find it
    ways = {bot: _way({config.updates: config for config in theirs}) for bot, theirs in by_id.items()}
    return [Bot(bot, way, tuple(by_id[bot])) for bot, way in ways.items() if way]


def _way(said: Mapping[str, object]) -> str | None:
    return next((way for way in ("webhook", "polling") if way in said), None)
