"""What does an iCalendar text say, and how is it fetched?

A calendar is others' text. It is fetched under a deadline and with a bound; what cannot be understood, or
would be endless, is refused as a whole, so that what was known before stays.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any

import anyio.to_thread

from receiver.channels.base import ChannelError
from receiver.channels.client import Client, origin_of
from receiver.policy.oncall import Event

TIMEOUT = 20.0  # seconds for one feed
MOST = 4 * 1024 * 1024  # bytes of one calendar
MOST_EVENTS = 5000  # of the window
MOST_RECURRING = 100  # recurrences are worked out one by one
FREQUENCIES = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}  # a shift that recurs each minute is none
BACK, AHEAD = timedelta(days=70), timedelta(days=400)  # what is kept of a calendar


class UnusableError(Exception):
    """The calendar says nothing that can be used; the text says why, and holds no secret."""


async def events(
    client: Client, *, url: str | None, file: str | None, zone: tzinfo, now: datetime
) -> list[Event]:
    """Return the events around now. Errors: UnusableError."""
    text = await anyio.to_thread.run_sync(_read, file) if file else await _fetch(client, str(url))
    return await anyio.to_thread.run_sync(parse, text, zone, now)


async def _fetch(client: Client, url: str) -> str:
    try:
        answer = await client.get(url, timeout=TIMEOUT, most=MOST)
    except ChannelError as failure:
        raise UnusableError(failure.reason) from None
    if answer.status != 200:
        raise UnusableError(f"{origin_of(url)} answered {answer.status}")
    return answer.text


def _read(file: str) -> str:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MOST).decode("utf-8-sig", "replace")
    except OSError as error:
        raise UnusableError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from None


def parse(text: str, zone: tzinfo, now: datetime) -> list[Event]:
    """Return the events around now; times without a zone are of `zone`. Errors: UnusableError."""
    if len(text.encode()) >= MOST:
        raise UnusableError(f"it has {MOST // 2**20} MiB or more")
    try:
        import icalendar  # noqa: PLC0415 - an extra, and it takes a while
        import recurring_ical_events  # noqa: PLC0415 - the same
    except ImportError:
        raise UnusableError("calendars need the extra ical; install tocsin[ical]") from None
    try:
        calendar = icalendar.Calendar.from_ical(text)
        _check(calendar)
        found = recurring_ical_events.of(calendar).between(now - BACK, now + AHEAD)
        told = [event for one in found for event in _event(one, zone)]
    except UnusableError:
        raise
    except Exception as error:  # noqa: BLE001 - the libraries raise anything at what others wrote
        raise UnusableError(f"it is no iCalendar text that can be read ({type(error).__name__})") from None
    if len(told) > MOST_EVENTS:
        raise UnusableError(f"it has more than {MOST_EVENTS} events within {(BACK + AHEAD).days} days")
    return sorted(told, key=lambda one: (one.starts_at, one.ends_at, one.title))


def _check(calendar: Any) -> None:
    """Refuse what is something else, and what would take for ever to work out."""
    if calendar.name != "VCALENDAR":
        raise UnusableError("it is no iCalendar text")
    rules = [event["rrule"] for event in calendar.walk("VEVENT") if "rrule" in event]
    if len(rules) > MOST_RECURRING:
        raise UnusableError(f"it has more than {MOST_RECURRING} recurring events")
    for rule in rules:
        parts = {} if isinstance(rule, list) else {name.upper(): value for name, value in rule.items()}
        if {str(one).upper() for one in parts.get("FREQ", ())} - FREQUENCIES or not parts:
            raise UnusableError("an event recurs more often than daily, or by several rules")
        if parts.keys() & {"BYHOUR", "BYMINUTE", "BYSECOND"}:
            raise UnusableError("an event recurs several times a day")


def _event(event: Any, zone: tzinfo) -> Iterator[Event]:
    """Yield the event, unless it is cancelled or takes no time."""
    starts_at, ends_at = _instant(event.start, zone), _instant(event.end, zone)
    if str(event.get("status", "")).upper() == "CANCELLED" or ends_at <= starts_at:
        return
    attendees = event.get("attendee", [])
    mails = [str(one) for one in (attendees if isinstance(attendees, list) else [attendees])]
    yield Event(
        title=str(event.get("summary", ""))[:200].strip(),
        mails=tuple(mail[7:].lower() for mail in mails if mail.lower().startswith("mailto:"))[:20],
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _instant(at: date, zone: tzinfo) -> datetime:
    """Return when it is; a whole day begins at midnight on the clocks of the schedule."""
    moment = at if isinstance(at, datetime) else datetime.combine(at, time.min)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
