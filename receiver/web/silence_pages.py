"""What does a person see of silences, and press? Pages made here, that work without JavaScript."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from receiver.pipeline import silence
from receiver.pipeline.covers import covers
from receiver.policy.matching import parse_matchers
from receiver.services import Services
from receiver.store import silences
from receiver.web.common import clean, services_of
from receiver.web.forms import READ, Name, number, read_form, then
from receiver.web.pages import everywhere, page, refusal
from receiver.web.silences import Until, Wish, change_silence, end_silence, make_silence, preview_facts

router = APIRouter(include_in_schema=False)
Held = Annotated[Services, Depends(services_of)]
Form = Mapping[str, str]
Facts = dict[str, Any]

EMPTY = {"matchers": "", "starts_at": "", "lasts": "2h", "text": "", "incident": ""}
FIELDS = {  # of a wish, as the form calls them
    "matchers": "Matchers", "starts_at": "Begins", "ends_at": "The end", "lasts": "For", "text": "Why",
}  # fmt: skip


@router.api_route("/silences", methods=READ)
async def show_silences(services: Held, tocsin_name: Name = "") -> HTMLResponse:
    """Return the silences that count now or will, and a form for another."""
    now = services.clock.now()
    rows = await services.read(silences.still_to_end, now)
    facts = {
        **everywhere(services),
        "here": "silences",
        "silences": [{**row, "has_begun": row["starts_at"] <= now} for row in rows],
        "windows": [cover.why for cover in covers(services.config, (), now)],
        "form": EMPTY,
        "name": unquote(tocsin_name),
    }
    return page("silences", facts)


@router.post("/silences")
async def press_silence(request: Request, services: Held) -> Response:
    """Make a silence, or show what it would hide and ask whether it is meant."""
    try:
        form = await read_form(request)
    except HTTPException as error:
        return refusal(services, error.status_code, "That could not be read", str(error.detail))
    name = clean(form.get("actor", "")).strip()[:100]
    try:
        wish = _wish(form, name)
    except ValidationError as error:
        return _asked(services, form, name, 422, refusal=_words(error))
    if "preview" in form:
        return await _previewed(services, form, name, wish, 200)
    try:
        await make_silence(services, wish, Response())
    except HTTPException as error:
        if error.status_code == 409:
            return await _previewed(services, form, name, wish, 409)
        return _asked(services, form, name, error.status_code, refusal=str(error.detail))
    incident = number(form.get("incident", ""))
    return then(f"/incidents/{incident}" if incident is not None else "/silences", name)


@router.post("/silences/{silence_id}/{verb}")
async def press_end(request: Request, services: Held, silence_id: str, verb: str) -> Response:
    """Let a silence end at another time, or now."""
    id_ = number(silence_id)
    if id_ is None or verb not in {"move", "end"}:
        return refusal(services, 404, "There is nothing to press here", "Go back to the list of silences.")
    try:
        form = await read_form(request)
        name = clean(form.get("actor", "")).strip()[:100]
        if verb == "end":
            await end_silence(services, id_, name)
        else:
            until = Until.model_validate({"ends_at": _instant(form.get("ends_at", "")), "actor": name})
            await change_silence(services, id_, until)
    except ValidationError as error:
        return refusal(services, 422, "That is no end", f"Go back and correct it. {_words(error)}")
    except HTTPException as error:
        return refusal(services, error.status_code, "That was not done", str(error.detail).capitalize() + ".")
    return then("/silences", name)


def _wish(form: Form, name: str) -> Wish:
    lines = (line.strip() for line in form.get("matchers", "").split("\n"))
    return Wish.model_validate({
        "matchers": [line for line in lines if line],
        "starts_at": _instant(form.get("starts_at", "")),
        "lasts": form.get("lasts", "").strip() or None,
        "text": form.get("text", "").strip(),
        "actor": name,
        "everything": "everything" in form,
    })  # fmt: skip


def _instant(value: str) -> str | None:
    """Return what a browser sends for a date and time, which is meant in UTC."""
    return f"{value.strip()}Z" if value.strip() else None


def _words(error: ValidationError) -> str:
    return "; ".join(
        f"{FIELDS.get(str(one['loc'][0]), 'The form') if one['loc'] else 'The form'}:"
        f" {one['msg'].removeprefix('Value error, ')}"
        for one in error.errors()
    )


async def _previewed(services: Services, form: Form, name: str, wish: Wish, status: int) -> HTMLResponse:
    matchers = [one for text in wish.matchers for one in parse_matchers(text)]
    found = await services.read(silence.preview, matchers)
    return _asked(services, form, name, status, preview=preview_facts(found, services.settings.base_url))


def _asked(
    services: Services, form: Form, name: str, status: int, *, refusal: str = "", preview: Facts | None = None
) -> HTMLResponse:
    written = {field: clean(form.get(field, usual)) for field, usual in EMPTY.items()}
    facts = {"here": "silences", "form": written, "name": name, "refusal": refusal, "preview": preview}
    return page("silence", {**everywhere(services), **facts}, status)
