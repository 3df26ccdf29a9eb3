"""Does somebody outside hear that Tocsin is well? When they do not, they sound the alarm.

Every process speaks for itself, so that one that is well is enough.
"""

from datetime import timedelta

import structlog

from receiver import metrics
from receiver.channels.base import ChannelError, read_secret
from receiver.channels.client import check
from receiver.config import OutgoingHeartbeat
from receiver.pipeline import audit
from receiver.policy.watching import BELIEVED, self_alarm
from receiver.services import Services
from receiver.store.database import DatabaseFailure

log = structlog.get_logger()

TIMEOUT = 10.0  # seconds
FORGIVEN = 600.0  # seconds of failures before they are an alarm; whoever listens has one of their own
STUCK = 60.0  # seconds; the worker looks at what is due every second, and writes


class Outgoing:
    """Beats as long as all is well."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock
        self._next = 0.0  # when to beat again, on the clock that never jumps
        self._failing_since: float | None = None

    async def beat(self) -> None:
        """Beat, when it is time for that and all is well."""
        config = self._services.config.outgoing_heartbeat
        if config is None or self._clock.elapsed() < self._next:
            return
        self._next = self._clock.elapsed() + config.every.total_seconds()
        why = await self._why_not()
        if why is not None:
            metrics.OUTGOING.labels("withheld").inc()
            log.error("outgoing_heartbeat.withheld", reason=why)
            return
        try:
            url = read_secret(config.url, config.url_file)
            check(await self._services.client.get(url, timeout=TIMEOUT), url=url, now=self._clock.now())
        except ChannelError as failure:
            await self._failed(config, failure.reason)
        else:
            metrics.OUTGOING.labels("sent").inc()
            self._failing_since = None

    async def _why_not(self) -> str | None:
        """Return what is wrong with us; None: the worker works, the disk takes it, and nothing is overdue."""
        watched_at = self._services.watched_at
        if watched_at is None or self._clock.elapsed() - watched_at > STUCK:
            return "the worker has not looked for what is due, or the database has not taken it, for a minute"
        try:
            return await self._services.read(audit.overdue, self._services.config, self._clock.now())
        except DatabaseFailure as failure:
            return f"the database does not answer: {type(failure).__name__}"

    async def _failed(self, config: OutgoingHeartbeat, reason: str) -> None:
        metrics.OUTGOING.labels("failed").inc()
        log.warning("outgoing_heartbeat.failed", reason=reason)
        if self._failing_since is None:
            self._failing_since = self._clock.elapsed()
        if self._clock.elapsed() - self._failing_since >= FORGIVEN:
            summary = f"Whoever listens for Tocsin's heartbeat does not hear it: {reason}."
            lasts = max(BELIEVED, timedelta(minutes=1) + 2 * config.every)
            now = self._clock.now()
            alarm = self_alarm(
                "TocsinOutgoingHeartbeat", {}, summary, now=now, severity="warning", lasts=lasts
            )
            await self._services.raise_alarm(alarm)
