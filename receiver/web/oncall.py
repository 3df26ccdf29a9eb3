"""Who is on call, and who takes over? JSON, described by /openapi.json."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from receiver import feeds
from receiver.oncall import oncall
from receiver.pipeline import rota
from receiver.pipeline.facts import instant
from receiver.policy.links import BadLink, Feed, Kind, read_feed, sign_feed
from receiver.services import Services
from receiver.store import overrides
from receiver.web.api import EARLIEST, LATEST, Cursor, Instant, Limit
from receiver.web.common import USUAL_ITEMS, actor_of, clean, cursor, page, services_of

router = APIRouter(tags=["on call"])
Held = Annotated[Services, Depends(services_of)]

LONGEST = timedelta(days=366)  # of an override; a longer one is a slip of the year


class Gap(BaseModel):
    """Nobody is on call."""

    starts_at: datetime
    ends_at: datetime | None = Field(description="Null: not within a year.")


class Calendar(BaseModel):
    """How the calendar of a schedule was read."""

    as_of: datetime | None = Field(description="When it last could be read; null: never.")
    problem: str = Field(description="Why it could not be read the last time; empty: it could.")


class Turn(BaseModel):
    """Who is on call in one schedule."""

    schedule: str
    time_zone: str
    person: str | None = Field(description="Null: nobody.")
    through: str | None = Field(description="The rotation, `calendar` or `override`.")
    until: datetime | None = Field(description="Null: nothing changes within a year.")
    next: str | None = Field(description="Who is on call then; null: nobody.")
    gap: Gap | None = Field(description="The next within four weeks; null: there is none.")
    calendar: Calendar | None = Field(description="Null: it has none.")
    feed: str = Field(description="The address of its iCalendar feed: a secret.")


class Person(BaseModel):
    """Somebody who can be on call."""

    person: str
    feed: str = Field(description="The address of the iCalendar feed of their shifts: a secret.")


class Turns(BaseModel):
    """Who is on call everywhere."""

    at: datetime
    schedules: list[Turn]
    people: list[Person]


class Override(BaseModel):
    """Somebody takes a schedule over for a while."""

    id: int
    schedule: str
    person: str
    starts_at: datetime
    ends_at: datetime
    made_at: datetime
    made_by: str
    text: str


class Made(Override):
    """An override that was just made."""

    overlaps: list[int] = Field(description="Older ones of the schedule; where they overlap, this counts.")


class Overrides(BaseModel):
    """One page of overrides."""

    items: list[Override]
    next: str | None


class Replacement(BaseModel):
    """An override to make."""

    model_config = ConfigDict(extra="forbid")

    schedule: str
    person: str
    starts_at: Instant | None = Field(default=None, gt=EARLIEST, lt=LATEST, description="Now when absent.")
    ends_at: Instant = Field(gt=EARLIEST, lt=LATEST)
    actor: str | None = Field(default=None, max_length=100, description="Who makes it.")
    text: str = Field(default="", max_length=1000, description="Why.")


class Swap(BaseModel):
    """Two overrides to make at once."""

    model_config = ConfigDict(extra="forbid")

    overrides: Annotated[list[Replacement], Field(min_length=2, max_length=2)]


class Swapped(BaseModel):
    """The two overrides of a swap."""

    items: list[Made]


@router.get("/api/v1/oncall", response_model=Turns, summary="Who is on call, until when, and who is next?")
async def show_oncall(
    services: Held, at: Annotated[Instant | None, Field(gt=EARLIEST, lt=LATEST)] = None
) -> dict[str, Any]:
    """Return the answer for every schedule, now or at another time."""
    at = at or services.clock.now()
    known = await services.read(rota.calendars_of, services.config)
    answer = oncall(services.config, await services.read(rota.taken_over, services.config, at), at, known)
    for turn in answer["schedules"]:
        turn["feed"] = _address(services, "schedule", turn["schedule"])
    people = [
        {"person": one.name, "feed": _address(services, "person", one.name)} for one in services.config.people
    ]
    return {**answer, "people": people}


@router.get(
    "/calendars/{token}.ics",
    response_class=Response,
    responses={200: {"content": {"text/calendar": {"schema": {"type": "string"}}}}},
    summary="The shifts of a person or a schedule, as an iCalendar feed.",
)
async def show_feed(services: Held, token: str) -> Response:
    """Return the shifts of the last month and the next three; whoever has the address may read it."""
    try:
        whose = read_feed(token, services.signing_key)
    except BadLink as bad:
        raise HTTPException(404, str(bad)) from None
    now = services.clock.now()
    taken_over = await services.read(rota.taken_over, services.config, feeds.beginning(now))
    try:
        text = await anyio.to_thread.run_sync(feeds.feed, services.config, taken_over, whose, now)
    except LookupError as error:
        raise HTTPException(404, str(error)) from None
    except ImportError:
        raise HTTPException(501, "calendars need the extra ical; install tocsin[ical]") from None
    return Response(text, media_type="text/calendar", headers={"Cache-Control": "private, max-age=300"})


@router.get("/api/v1/overrides", response_model=Overrides, summary="List overrides, newest first.")
async def list_overrides(
    services: Held, schedule: str | None = None, cursor_: Cursor = None, limit: Limit = USUAL_ITEMS
) -> dict[str, Any]:
    """Return overrides that are over as well as those to come."""
    rows = await services.read(overrides.newest, schedule=schedule, before=cursor(cursor_), limit=limit + 1)
    answer = page(rows, limit)
    return {**answer, "items": [_facts(row) for row in answer["items"]]}


@router.post("/api/v1/overrides", response_model=Made, status_code=201, summary="Take a schedule over.")
async def make_override(services: Held, wish: Replacement) -> dict[str, Any]:
    """Put somebody on call for a while; of two that overlap the newer counts."""
    [row] = await services.override([_wanted(services, wish)])
    return _facts(row)


@router.post("/api/v1/swaps", response_model=Swapped, status_code=201, summary="Swap shifts.")
async def swap(services: Held, wish: Swap) -> dict[str, Any]:
    """Make two overrides at once: both, or neither."""
    rows = await services.override([_wanted(services, one) for one in wish.overrides])
    return {"items": [_facts(row) for row in rows]}


@router.delete("/api/v1/overrides/{override_id}", response_model=Override, summary="End an override.")
async def end_override(services: Held, override_id: int) -> dict[str, Any]:
    """End it now; one that has not begun never does. Said twice it changes nothing."""
    row = await services.end_override(override_id)
    if row is None:
        raise HTTPException(404, f"there is no override {override_id}")
    return _facts(row)


def _wanted(services: Services, wish: Replacement) -> dict[str, Any]:
    """Return the override that is asked for, if it makes sense."""
    now = services.clock.now()
    _known("schedule", wish.schedule, list(services.config.schedule_named))
    _known("person", wish.person, [person.name for person in services.config.people])
    starts_at = wish.starts_at or now
    if wish.ends_at <= max(starts_at, now):
        raise HTTPException(422, "ends_at: lies before the beginning, or in the past; write a later time")
    if wish.ends_at - starts_at > LONGEST:
        raise HTTPException(422, "ends_at: is over a year after the beginning; change routing.yaml instead")
    return {
        "schedule": wish.schedule, "person": wish.person, "starts_at": starts_at, "ends_at": wish.ends_at,
        "made_at": now, "made_by": actor_of(wish.actor), "text": clean(wish.text),
    }  # fmt: skip


def _address(services: Services, kind: Kind, name: str) -> str:
    token = sign_feed(Feed(kind, name), services.signing_key)
    return f"{services.settings.base_url}/calendars/{token}.ics"


def _known(what: str, name: str, names: list[str]) -> None:
    if name not in names:
        there = ", ".join(names) or "none"
        raise HTTPException(422, f"routing.yaml has no {what} {clean(name)[:100]}; there is {there}")


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    return {name: instant(value) if isinstance(value, datetime) else value for name, value in row.items()}
