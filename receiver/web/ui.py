"""What does a person see, and press? Pages made here, that work without JavaScript."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import unquote, urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from receiver.pipeline.act import Action
from receiver.pipeline.quiet import Quiet
from receiver.policy.grouping import in_common
from receiver.policy.incident import Reason, State, Verb
from receiver.policy.matching import EQUAL, Matcher
from receiver.services import Services
from receiver.store import overview
from receiver.store.database import Db
from receiver.web import told
from receiver.web.api import assignable, hold_drill, list_incidents, whole
from receiver.web.common import actor_of, clean, services_of
from receiver.web.forms import READ, Name, number, read_form, then
from receiver.web.pages import FILES, everywhere, moment, page, refusal, tone
from receiver.web.silence_pages import EMPTY

router = APIRouter(include_in_schema=False)
Held = Annotated[Services, Depends(services_of)]
Word = Annotated[str, Query()]
Facts = dict[str, Any]

FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
FAILED_WITHIN = timedelta(days=1)
LONGEST_NOTE = 10_000  # characters, as in the API
LONGEST_WORDS = 200  # the same
ROWS = 50  # incidents of one page
SAID_FIRST = ("summary", "description", "message")
RUNBOOKS = {"runbook_url", "runbook"}
STATES = {
    "open": [State.TRIGGERED, State.ACKNOWLEDGED],
    "triggered": [State.TRIGGERED],
    "acknowledged": [State.ACKNOWLEDGED],
    "resolved": [State.RESOLVED],
    "all": [],
}
DRILLS = {"with": None, "without": False, "only": True}


@router.api_route("/", methods=READ)
async def show_incidents(
    services: Held, state: Word = "open", severity: Word = "", q: Word = "", match: Word = "",
    drill: Word = "with", cursor: Word = "",
) -> HTMLResponse:  # fmt: skip
    """Return the list of incidents; it begins with the open ones."""
    wanted = {
        "state": state if state in STATES else "open",
        "severity": clean(severity)[:LONGEST_WORDS],
        "q": clean(q).strip()[:LONGEST_WORDS],
        "match": clean(match).strip(),
        "drill": drill if drill in DRILLS else "with",
    }
    found, refusal = await _found(services, wanted, cursor)
    now = services.clock.now()
    rows = await services.read(overview.told, [one["id"] for one in found["items"]])
    health = told.health(rows)
    older = urlencode({**_given(wanted), "cursor": found["next"]}) if found["next"] else None
    facts = {
        **everywhere(services),
        "wanted": wanted,
        "here": "drills" if wanted["drill"] == "only" else "incidents",
        "is_filtered": any(wanted[name] for name in ("severity", "q", "match")) or wanted["drill"] == "only",
        "refusal": refusal,
        "severities": _severities(services, wanted["severity"]),
        "counts": await services.read(overview.counts, now - FAILED_WITHIN),
        "is_new": not found["items"] and not await services.read(overview.has_incidents),
        "incidents": [
            {**_shown(services, one, now), "told": health.get(one["id"], [])} for one in found["items"]
        ],
        "quiet": await services.read(_quiet, services, found["items"]),
        "older": older,
        "is_older": bool(cursor),
        "newest": urlencode(_given(wanted)),
        "source": next(iter(services.config.sources), None),
    }
    return page("incidents", facts, 422 if refusal else 200)


async def _found(services: Services, wanted: Mapping[str, str], cursor: str) -> tuple[Facts, str]:
    """Return a page of incidents, and what is wrong with the filters."""
    try:
        found = await list_incidents(
            services,
            state=STATES[wanted["state"]],
            severity=[wanted["severity"]] if wanted["severity"] else [],
            q=wanted["q"],
            match=[wanted["match"]] if wanted["match"] else [],
            drill=DRILLS[wanted["drill"]],
            cursor_=cursor,
            limit=ROWS,
        )
    except HTTPException as error:
        return {"items": [], "next": None}, str(error.detail)
    return found, ""


def _quiet(db: Db, services: Services, found: Sequence[Facts]) -> set[int]:
    return Quiet(db, services.config, services.clock.now()).among(found)


def _given(wanted: Mapping[str, str]) -> dict[str, str]:
    usual = {"state": "open", "drill": "with"}
    return {name: value for name, value in wanted.items() if value and value != usual.get(name)}


def _severities(services: Services, wanted: str) -> list[str]:
    known = list(services.config.severity_order)
    return known if not wanted or wanted in known else [*known, wanted]


def _shown(services: Services, incident: Facts, now: datetime) -> Facts:
    """Return an incident with what is derived at the moment of looking."""
    until = moment(incident["resolved_at"]) if incident["resolved_at"] else now
    return {
        **incident,
        "tone": tone(services.config, incident["severity"]),
        "lasts": until - moment(incident["started_at"]),
    }


@router.api_route("/incidents/{incident_id}", methods=READ)
async def show_incident(services: Held, incident_id: str, tocsin_name: Name = "") -> HTMLResponse:
    """Return the page of one incident."""
    id_ = number(incident_id)
    found = await services.read(whole, id_, services) if id_ is not None else None
    if found is None:
        return refusal(
            services, 404, "There is no such incident", "It may have been removed with old history."
        )
    return page("incident", {**everywhere(services), **_full(services, found), "name": unquote(tocsin_name)})


def _full(services: Services, found: Facts) -> Facts:
    config, now = services.config, services.clock.now()
    alerts = sorted(found["alerts"], key=lambda alert: (alert["status"] != "firing", alert["starts_at"]))
    common = in_common([alert["labels"] for alert in alerts])
    branches = told.branches(config, alerts, found["notifications"])
    return {
        "incident": _shown(services, found, now),
        "said": _said(found["annotations"]),
        "alerts": [_alert(alert, common, now) for alert in alerts],
        "taken": [branch for branch in branches if branch.taken],
        "not_taken": [branch for branch in branches if not branch.taken],
        "others": told.others(config, branches, found["notifications"]),
        "fallback": config.fallback_receiver,
        "next": [one for one in found["plan"] if one["reason"] == Reason.ESCALATED],
        "can_escalate": any(branch.policy for branch in branches if branch.taken),
        "people": [one.name for one in config.people if config.contacts_of(one.name)],
        "silence_form": {**EMPTY, "matchers": _exactly(found["labels"]), "incident": found["id"]},
    }


def _exactly(labels: Mapping[str, str]) -> str:
    """Return matchers for these labels, one on a line, for a person to leave some away."""
    return "\n".join(str(Matcher(name, EQUAL, value)) for name, value in labels.items())


def _said(annotations: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what the annotations say, what a person wants to read first; the runbook is shown apart."""
    first = [name for name in SAID_FIRST if name in annotations]
    others = sorted(set(annotations) - set(first) - RUNBOOKS)
    return [(name, annotations[name]) for name in (*first, *others)]


def _alert(alert: Facts, common: Mapping[str, str], now: datetime) -> Facts:
    """Return an alert with the labels that tell it from the others."""
    until = moment(alert["ends_at"]) if alert["ends_at"] and alert["status"] != "firing" else now
    own = {name: value for name, value in alert["labels"].items() if common.get(name) != value}
    return {
        **alert,
        "own": own or {"alertname": alert["labels"].get("alertname", "")},
        "lasts": until - moment(alert["starts_at"]),
    }


@router.post("/incidents/{incident_id}/{verb}")
async def act(request: Request, services: Held, incident_id: str, verb: str) -> Response:
    """Carry out what a person pressed, and show the incident as it is then."""
    id_ = number(incident_id)
    if id_ is None or verb not in set(Verb):
        return refusal(services, 404, "There is nothing to press here", "Go back to the list of incidents.")
    try:
        form = await read_form(request)
    except HTTPException as error:
        return refusal(services, error.status_code, "That could not be read", str(error.detail))
    text, name = (
        clean(form.get("text", "")).strip()[:LONGEST_NOTE],
        clean(form.get("actor", "")).strip()[:100],
    )
    if verb == Verb.NOTE and not text:
        return refusal(
            services, 422, "A note needs words", "Go back, write what others should know, and add it."
        )
    person = None
    if verb == Verb.ASSIGN:
        try:
            person = assignable(services.config, clean(form.get("person", "")))
        except HTTPException as error:
            return refusal(services, error.status_code, "That person cannot be told", str(error.detail))
    now = services.clock.now()
    row = await services.act(Action(id_, Verb(verb), actor_of(name), text, now, person=person))
    if row is None:
        return refusal(
            services, 404, "There is no such incident", "It may have been removed with old history."
        )
    return then(f"/incidents/{id_}", name)


@router.post("/ui/drill")
async def press_drill(services: Held) -> Response:
    """Hold a drill, and show its incident."""
    held = await hold_drill(services)
    return RedirectResponse(f"/incidents/{held['incident_id']}", 303)


@router.api_route("/static/{name}", methods=READ)
async def show_file(services: Held, name: str) -> Response:
    """Return a file that pages ask for."""
    file = FILES.get(name)
    if file is None:
        return refusal(services, 404, "There is no such file", "Load the page again; it knows the new name.")
    return Response(file.body, media_type=file.media_type, headers=FOR_EVER)
