"""Calendars say who is on call: what is read of them, and what becomes of those that cannot be read."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from receiver.config import ConfigError, parse
from receiver.lookups.calendars import MOST, UnusableError
from receiver.lookups.calendars import parse as read
from receiver.policy.oncall import Event, Override, shifts_of
from tests.fakes.http import FakeHttp, Reply, Request
from tests.world import World, a_world

LISBON = ZoneInfo("Europe/Lisbon")
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
CONFIG = """
people:
  - {name: ana}
  - {name: bo, contacts: [{email: bo@example.org}]}
schedules:
  - name: primary
    rotations: [{name: weekly, people: [ana], every: 1w, starts_at: 2026-01-05T09:00}]
    calendar: {url: "${CALENDAR}", refresh: 15m}
route: {receiver: ops}
"""


def event(*lines: str, uid: str = "1") -> str:
    return "\r\n".join(["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT"])


def calendar(*events: str) -> str:
    parts = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//tests//EN", *events, "END:VCALENDAR", ""]
    return "\r\n".join(parts)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LISBON).astimezone(UTC)


class Feed(FakeHttp):
    """A calendar on the web; what it says can be changed."""

    def __init__(self) -> None:
        super().__init__()
        self.reply = Reply()

    def says(self, *events: str) -> None:
        self.reply = Reply(body=calendar(*events).encode())

    def answer(self, _request: Request) -> Reply:
        return self.reply


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    async with Feed() as server:
        yield server


@pytest.fixture
async def world(migrated_url: str, tmp_path: Path, feed: Feed) -> AsyncIterator[World]:
    """A service whose schedule has a calendar; `bo` is on call by it for two days from now."""
    async with a_world(migrated_url, tmp_path) as world:
        now = world.clock.now()
        at = [f"{moment:%Y%m%dT%H%M%SZ}" for moment in (now - timedelta(hours=1), now + timedelta(days=3))]
        feed.says(event(f"DTSTART:{at[0]}", f"DTEND:{at[1]}", "SUMMARY:Bo"))
        await world.routes(CONFIG.replace("${CALENDAR}", f"http://127.0.0.1:{feed.port}/s3cret.ics"))
        yield world


async def turn(world: World) -> dict:
    [found] = (await world.ask("/api/v1/oncall"))["schedules"]
    return found


def test_recurrences_exceptions_and_clock_changes_are_worked_out():
    """A weekly shift at nine stays at nine; one that was moved is where it was moved to."""
    weekly = event(
        "DTSTART;TZID=Europe/Lisbon:20260316T090000", "DTEND;TZID=Europe/Lisbon:20260316T170000",
        "RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE;TZID=Europe/Lisbon:20260323T090000", "SUMMARY:ana",
    )  # fmt: skip
    moved = event(
        "RECURRENCE-ID;TZID=Europe/Lisbon:20260330T090000", "DTSTART;TZID=Europe/Lisbon:20260331T100000",
        "DTEND;TZID=Europe/Lisbon:20260331T170000", "SUMMARY:bo",
    )  # fmt: skip

    found = read(calendar(weekly, moved), LISBON, NOW)

    assert [(one.title, one.starts_at) for one in found] == [
        ("ana", local("2026-03-16T09:00")), ("bo", local("2026-03-31T10:00")), ("ana", local("2026-04-06T09:00")),
    ]  # fmt: skip


def test_whole_days_and_times_without_a_zone_are_of_the_schedule():
    """The day on which the clocks go forward has 23 hours."""
    day = event("DTSTART;VALUE=DATE:20260329", "DTEND;VALUE=DATE:20260330", "SUMMARY:ana")
    floating = event("DTSTART:20260401T090000", "DTEND:20260401T100000", "SUMMARY:bo", uid="2")

    whole, hour = read(calendar(day, floating), LISBON, NOW)

    assert (whole.starts_at, whole.ends_at - whole.starts_at) == (
        local("2026-03-29T00:00"),
        timedelta(hours=23),
    )
    assert hour.starts_at == local("2026-04-01T09:00")


def test_a_cancelled_event_is_none():
    gone = event("DTSTART:20260401T090000Z", "DTEND:20260401T100000Z", "SUMMARY:bo", "STATUS:CANCELLED")

    assert read(calendar(gone), LISBON, NOW) == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("<html>Log in</html>", "no iCalendar", id="a page"),
        pytest.param("", "no iCalendar", id="nothing"),
        pytest.param(event("DTSTART:20260401T090000Z"), "no iCalendar", id="an event alone"),
        pytest.param(calendar("BEGIN:VEVENT"), "no iCalendar", id="cut off"),
        pytest.param("x" * MOST, "4 MiB or more", id="huge"),
        pytest.param(
            calendar(event("DTSTART:20260101T090000Z", "RRULE:FREQ=SECONDLY")), "more often", id="each second"
        ),
        pytest.param(
            calendar(event("DTSTART:20260101T090000Z", "RRULE:FREQ=DAILY;BYMINUTE=1,2")), "several", id="minutes"
        ),
        pytest.param(
            calendar(*(event("DTSTART:20260101T090000Z", "RRULE:FREQ=DAILY", uid=str(n)) for n in range(101))),
            "more than 100 recurring", id="too many",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_as_a_whole(text, error):
    with pytest.raises(UnusableError, match=error):
        read(text, LISBON, NOW)


def test_events_are_matched_with_people():
    """By the title, else by who attends; of those that overlap the one that begins last counts."""
    day = [Event("ANA", (), NOW, NOW + timedelta(days=1)), Event("On call", ("x@y.z", "bo@example.org"), NOW, NOW + timedelta(hours=8))]  # fmt: skip
    nobody = Event("Lunch", (), NOW, NOW + timedelta(hours=1))

    found, unknown = shifts_of([*day, nobody], ["ana", "bo"], {"bo@example.org": "bo"})

    assert found == [
        Override(-2, "ana", NOW, NOW + timedelta(days=1), "calendar"),
        Override(-1, "bo", NOW, NOW + timedelta(hours=8), "calendar"),
    ]
    assert unknown == ["Lunch"]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("{}", "exactly one of url and file"),
        ("{url: 'https://a.example/b', file: b.ics}", "exactly one of url and file"),
        ("{url: 'ftp://a.example/s3cret'}", "must be a web address"),
        ("{file: b.ics, refresh: 5s}", "at least a minute"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused_with_words(value, error):
    text = CONFIG.replace('{url: "${CALENDAR}", refresh: 15m}', value)

    with pytest.raises(ConfigError) as refused:
        parse(text + "receivers: [{name: ops, console_configs: [{}]}]\n", {})

    assert error in str(refused.value.errors)
    assert "s3cret" not in str(refused.value.errors)


async def test_a_calendar_goes_before_the_rotations_and_an_override_before_both(world: World) -> None:
    """Where the calendar has nobody, the rotations say who it is."""
    assert (await turn(world))["calendar"] == {"as_of": None, "problem": ""}
    await world.look_around()

    found = await turn(world)
    assert (found["person"], found["through"], found["next"]) == ("bo", "calendar", "ana")
    assert found["calendar"]["as_of"] is not None
    until = (world.clock.now() + timedelta(hours=1)).isoformat()
    wish = {"schedule": "primary", "person": "ana", "ends_at": until}
    assert (await world.client.post("/api/v1/overrides", json=wish)).status_code == 201
    assert (await turn(world))["through"] == "override"


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(status=503), id="down"),
        pytest.param(Reply(is_reset=True), id="broken"),
        pytest.param(Reply(body=b"<html>"), id="garbage"),
        pytest.param(Reply(body=b"x" * (MOST + 1)), id="huge"),
    ],
)
async def test_a_calendar_that_cannot_be_read_changes_nothing(world: World, feed: Feed, reply, capfd) -> None:
    """It is said; after a day as a self-alarm, which no secret is part of; and it is over once it is back."""
    await world.look_around()
    before, good = await turn(world), feed.reply

    feed.reply = reply
    world.clock.advance(seconds=16 * 60)
    await world.look_around()

    found = await turn(world)
    assert found["person"] == "bo"
    assert found["calendar"]["problem"]
    assert found["calendar"]["as_of"] == before["calendar"]["as_of"]
    assert await world.alarms() == []
    world.clock.advance(days=1)
    await world.look_around()
    assert [one["labels"]["alertname"] for one in await world.alarms()] == ["TocsinCalendar"]
    assert "s3cret" not in str(found) + str(await world.alarms()) + "".join(capfd.readouterr())

    feed.reply = good
    world.clock.advance(seconds=16 * 60)
    await world.look_around()
    assert (await turn(world))["calendar"]["problem"] == ""


async def test_it_is_not_asked_again_before_it_is_time(world: World, feed: Feed) -> None:
    await world.look_around()
    await world.look_around()

    assert len(feed.requests) == 1


async def test_what_a_calendar_said_survives_a_restart(world: World, feed: Feed) -> None:
    await world.look_around()
    feed.reply = Reply(status=503)

    await world.restart()

    assert (await turn(world))["person"] == "bo"


async def test_a_calendar_can_be_a_file(world: World, tmp_path: Path) -> None:
    """Its name is relative to the folder of routing.yaml."""
    now = world.clock.now()
    at = f"{now:%Y%m%dT%H%M%SZ}"
    (tmp_path / "team.ics").write_text(calendar(event(f"DTSTART:{at}", "DURATION:P1D", "SUMMARY:bo")))
    await world.routes(CONFIG.replace('{url: "${CALENDAR}", refresh: 15m}', "{file: team.ics}"))

    await world.look_around()

    assert (await turn(world))["through"] == "calendar"
