"""Who is on call, and who takes over? JSON, described by /openapi.json."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from receiver.oncall import oncall
from receiver.pipeline.facts import instant
from receiver.services import Services
from receiver.store import overrides
from receiver.web.api import EARLIEST, LATEST, Cursor, Instant, Limit
from receiver.web.common import USUAL_ITEMS, actor_of, clean, cursor, page, services_of

router = APIRouter(tags=["on call"])
Held = Annotated[Services, Depends(services_of)]


class Turn(BaseModel):
    """Who is on call in one schedule."""

    schedule: str
    time_zone: str
    person: str | None = Field(description="Null: nobody.")
    through: str | None = Field(description="The rotation, or `override`.")
    until: datetime | None = Field(description="Null: nothing changes within a year.")
    next: str | None = Field(description="Who is on call then; null: nobody.")


class Turns(BaseModel):
    """Who is on call everywhere."""

    at: datetime
    schedules: list[Turn]


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


@router.get("/api/v1/oncall", response_model=Turns, summary="Who is on call, until when, and who is next?")
async def show_oncall(
    services: Held, at: Annotated[Instant | None, Field(gt=EARLIEST, lt=LATEST)] = None
) -> dict[str, Any]:
    """Return the answer for every schedule, now or at another time."""
    at = at or services.clock.now()
    return oncall(services.config, await services.read(overrides.by_schedule, at), at)


@router.get("/api/v1/overrides", response_model=Overrides, summary="List overrides, newest first.")
async def list_overrides(
    services: Held, schedule: str | None = None, cursor_: Cursor = None, limit: Limit = USUAL_ITEMS
) -> dict[str, Any]:
    """Return overrides that are over as well as those to come."""
    rows = await services.read(overrides.newest, schedule=schedule, before=cursor(cursor_), limit=limit + 1)
    answer = page(rows, limit)
    return {**answer, "items": [_facts(row) for row in answer["items"]]}


@router.post("/api/v1/overrides", response_model=Override, status_code=201, summary="Take a schedule over.")
async def make_override(services: Held, wish: Replacement) -> dict[str, Any]:
    """Put somebody on call for a while; of two that overlap the newer counts."""
    now = services.clock.now()
    _known("schedule", wish.schedule, list(services.config.schedule_named))
    _known("person", wish.person, [person.name for person in services.config.people])
    starts_at = wish.starts_at or now
    if wish.ends_at <= max(starts_at, now):
        raise HTTPException(422, "ends_at: lies before the beginning, or in the past; write a later time")
    row = await services.override({
        "schedule": wish.schedule, "person": wish.person, "starts_at": starts_at, "ends_at": wish.ends_at,
        "made_at": now, "made_by": actor_of(wish.actor), "text": clean(wish.text),
    })  # fmt: skip
    return _facts(row)


@router.delete("/api/v1/overrides/{override_id}", response_model=Override, summary="End an override.")
async def end_override(services: Held, override_id: int) -> dict[str, Any]:
    """End it now; one that has not begun never does. Said twice it changes nothing."""
    row = await services.end_override(override_id)
    if row is None:
        raise HTTPException(404, f"there is no override {override_id}")
    return _facts(row)


def _known(what: str, name: str, names: list[str]) -> None:
    if name not in names:
        there = ", ".join(names) or "none"
        raise HTTPException(422, f"routing.yaml has no {what} {clean(name)[:100]}; there is {there}")


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    return {name: instant(value) if isinstance(value, datetime) else value for name, value in row.items()}
