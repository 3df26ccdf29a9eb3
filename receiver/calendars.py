"""What do the calendars of schedules say now?

Whatever cannot be read changes nothing about who is on call.
"""

import asyncio
from datetime import timedelta
from typing import Any

import structlog

from receiver.lookups.calendars import UnusableError, events
from receiver.pipeline.rota import Reading
from receiver.policy.hours import zone
from receiver.policy.oncall import Schedule, shifts_of
from receiver.policy.watching import self_alarm
from receiver.services import Services
from receiver.store import calendars

log = structlog.get_logger()

PATIENCE = timedelta(days=1)  # with a calendar that cannot be read, until somebody is told
SHOWN = 20  # titles in one line of the log


class Calendars:
    """Reads calendars again when it is time."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def look(self) -> None:
        """Read the calendars that were not asked for lately."""
        having = {one.calendar_key: one for one in self._services.config.schedules if one.calendar}
        if having:
            known = await self._services.read(calendars.everything)
            await asyncio.gather(*(self._look_at(one, known.get(key)) for key, one in having.items()))

    async def _look_at(self, schedule: Schedule, row: dict[str, Any] | None) -> None:
        calendar, now = schedule.calendar, self._services.clock.now()
        assert calendar is not None  # noqa: S101 - `look` chose those that have one
        if row is not None and row["asked_at"] <= now < row["asked_at"] + calendar.refresh:
            return
        url = calendar.url.get_secret_value() if calendar.url else None
        where = zone(schedule.time_zone)
        try:
            found = await events(self._services.client, url=url, file=calendar.file, zone=where, now=now)
        except UnusableError as failure:
            log.warning("calendar.unusable", schedule=schedule.name, reason=str(failure))
            await self._services.note_calendar(Reading(schedule.calendar_key, now, problem=str(failure)))
            if row is not None and now - row["read_at"] >= PATIENCE:
                summary = f"the calendar of {schedule.name} could not be read for a day: {failure}"
                lasts = 2 * calendar.refresh + timedelta(minutes=5)  # it is said again at each failure
                labels = {"schedule": schedule.name}
                alarm = self_alarm(
                    "TocsinCalendar", labels, summary, now=now, severity="warning", lasts=lasts
                )
                await self._services.raise_alarm(alarm)
            return
        config = self._services.config
        _, unknown = shifts_of(found, [one.name for one in config.people], config.person_by_mail)
        before = calendars.events_in(row["text"]) if row else ()
        if unknown and tuple(found) != before:
            log.warning("calendar.nobody", schedule=schedule.name, titles=sorted(set(unknown))[:SHOWN])
        await self._services.note_calendar(Reading(schedule.calendar_key, now, tuple(found)))
