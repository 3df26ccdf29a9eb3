"""What is to be quiet, and until when? JSON, described by /openapi.json."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from receiver.pipeline import silence
from receiver.pipeline.facts import instant
from receiver.pipeline.silence import Made, Preview
from receiver.policy.durations import Duration
from receiver.policy.matching import Matcher, parse_matchers
from receiver.services import Services
from receiver.store import silences
from receiver.web import shapes
from receiver.web.api import EARLIEST, LATEST, Cursor, Instant, Limit
from receiver.web.common import USUAL_ITEMS, actor_of, clean, cursor, page, services_of
from receiver.web.shapes import described

router = APIRouter(tags=["silences"])
Held = Annotated[Services, Depends(services_of)]
Facts = dict[str, Any]

LONGEST = timedelta(days=3660)
MOST_MATCHERS = 100
LONGEST_MATCHER = 4096  # characters
MADE = described(shapes.Silence, 403, 409, 413, 422, 503, status=201) | described(shapes.SilencePreview)
Lasts = Annotated[Duration | None, Field(gt=timedelta(), le=LONGEST)]
MatcherText = Annotated[str, Field(max_length=LONGEST_MATCHER, examples=['service="checkout"'])]


class Until(BaseModel):
    """When a silence ends: at an instant, or after a while."""

    model_config = ConfigDict(extra="forbid")

    ends_at: Instant | None = Field(
        default=None, gt=EARLIEST, lt=LATEST, description="Exactly then; RFC 3339."
    )
    lasts: Lasts = Field(default=None, description="Such as `2h`; instead of `ends_at`.")
    actor: str | None = Field(default=None, max_length=100, description="Who wants it.")

    @model_validator(mode="after")
    def _says_when(self) -> "Until":
        if (self.ends_at is None) is (self.lasts is None):
            raise ValueError("write either ends_at or lasts")
        return self

    def after(self, begins_at: datetime) -> datetime:
        """Return when it ends; a length of time is reckoned from the beginning, in whole seconds."""
        if self.ends_at is not None:
            return self.ends_at
        return (begins_at + (self.lasts or timedelta())).replace(microsecond=0)


class Wish(Until):
    """A silence to make."""

    matchers: list[MatcherText] = Field(
        min_length=1, max_length=MOST_MATCHERS, description="As in routing.yaml; all of them must hold."
    )
    starts_at: Instant | None = Field(default=None, gt=EARLIEST, lt=LATEST, description="Now when absent.")
    text: str = Field(default="", max_length=1000, description="Why.")
    everything: bool = Field(default=False, description="Yes, it is meant to hide (nearly) everything.")
    dry_run: bool = Field(default=False, description="Answer with what it would hide, and do nothing.")

    @field_validator("matchers")
    @classmethod
    def _are_matchers(cls, texts: list[str]) -> list[str]:
        return [str(one) for text in texts for one in parse_matchers(clean(text))]


@router.get(
    "/api/v1/silences", summary="List silences, newest first.", responses=described(shapes.Silences, 422, 503)
)
async def list_silences(
    services: Held,
    active: Annotated[
        bool | None, Query(description="Only those that count now, or only the others.")
    ] = None,
    cursor_: Cursor = None,
    limit: Limit = USUAL_ITEMS,
) -> Facts:
    """Return silences that are over as well as those to come."""
    rows = await services.read(
        silences.newest, before=cursor(cursor_), limit=limit + 1, now=services.clock.now(), is_active=active
    )
    answer = page(rows, limit)
    return {**answer, "items": [silence_facts(row) for row in answer["items"]]}


@router.post(
    "/api/v1/silences", status_code=201, summary="Make a silence, or see what it would hide.", responses=MADE
)
async def make_silence(services: Held, wish: Wish, response: Response) -> Facts:
    """Keep what matches quiet until a time; 409 for one that hides everything, unless that is confirmed."""
    now = services.clock.now()
    starts_at = wish.starts_at or now
    ends_at = wish.after(max(starts_at, now))
    if ends_at <= max(starts_at, now):
        raise HTTPException(422, "ends_at: lies before the beginning, or in the past; write a later time")
    found = await services.read(silence.preview, _matchers(wish.matchers))
    if wish.dry_run:
        response.status_code = 200
        return preview_facts(found, services.settings.base_url)
    if found.is_everything and not wish.everything:
        raise HTTPException(409, asked_twice(found))
    row = await services.silence(Made(
        {"matchers": wish.matchers, "starts_at": starts_at, "ends_at": ends_at, "made_at": now,
         "made_by": actor_of(wish.actor), "text": one_line(wish.text)},
        found.hidden,
    ))  # fmt: skip
    return silence_facts(row)


@router.post(
    "/api/v1/silences/{silence_id}",
    summary="Extend or shorten a silence.",
    responses=described(shapes.Silence, 403, 404, 409, 413, 422, 503),
)
async def change_silence(services: Held, silence_id: int, until: Annotated[Until, Body()]) -> Facts:
    """Let it end at another time; `lasts` is reckoned from now, or from its beginning if that is to come."""
    now = services.clock.now()
    row = await services.read(silences.find, silence_id)
    if row is None:
        raise HTTPException(404, f"there is no silence {silence_id}")
    if row["ends_at"] <= now:
        raise HTTPException(409, f"silence {silence_id} is over; make a new one")
    begins_at = max(row["starts_at"], now)
    ends_at = until.after(begins_at)
    if ends_at <= begins_at:
        raise HTTPException(422, "ends_at: lies before the beginning, or in the past; DELETE ends it now")
    changed = await services.move_end(silence_id, ends_at, actor_of(until.actor))
    return silence_facts(changed or row)


@router.delete(
    "/api/v1/silences/{silence_id}",
    summary="End a silence.",
    responses=described(shapes.Silence, 403, 404, 422, 503),
)
async def end_silence(
    services: Held, silence_id: int, actor: Annotated[str | None, Query(max_length=100)] = None
) -> Facts:
    """End it now; one that has not begun never does. It is kept as history. Said twice it changes nothing."""
    row = await services.move_end(silence_id, None, actor_of(actor))
    if row is None:
        raise HTTPException(404, f"there is no silence {silence_id}")
    return silence_facts(row)


def silence_facts(row: Facts) -> Facts:
    """Return a silence as the API shows it."""
    return {name: instant(value) if isinstance(value, datetime) else value for name, value in row.items()}


def preview_facts(found: Preview, base_url: str) -> Facts:
    """Return what a silence would hide as the API shows it."""
    shown = [
        {"id": row["id"], "title": row["title"], "severity": row["severity"],
         "alerts": found.alerts[row["id"]], "firing": row["firing"],
         "url": f"{base_url}/incidents/{row['id']}"}
        for row in found.shown
    ]  # fmt: skip
    hidden = set(found.hidden)
    return {
        "incidents": len(hidden),
        "alerts": sum(found.alerts.values()),
        "hides": [one for one in shown if one["id"] in hidden],
        "in_part": [one for one in shown if one["id"] not in hidden],
        "everything": found.is_everything,
    }


def asked_twice(found: Preview) -> str:
    """Return what is asked of whoever wants to silence everything."""
    incidents, alerts = len(found.hidden), sum(found.alerts.values())
    return (
        f"this would keep (nearly) everything quiet, also what is still to come: now {incidents} open"
        f" incident{'s' * (incidents != 1)} with {alerts} firing alert{'s' * (alerts != 1)};"
        ' say "everything": true if that is meant, or add a matcher'
    )


def one_line(text: str) -> str:
    """Return a person's words on one line, as a reason is."""
    return " ".join(clean(text).split())


def _matchers(texts: list[str]) -> list[Matcher]:
    return [one for text in texts for one in parse_matchers(text)]
