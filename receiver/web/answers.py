"""How do people's answers come in? From a service, signed; or by a link that asks before it acts."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Request, Response
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect

from receiver import metrics
from receiver.channels.base import Forged, Heard, Inbound
from receiver.policy.incident import OFFERED, State, Verb
from receiver.policy.links import BadLink, Link, read
from receiver.services import Services
from receiver.store import incidents
from receiver.store.database import DatabaseFailure, Overloaded
from receiver.web.common import services_of
from receiver.web.pages import page
from receiver.web.problems import problem

log = structlog.get_logger()
router = APIRouter()
Held = Annotated[Services, Depends(services_of)]
Facts = dict[str, Any]
Done = list[tuple[Heard, str]]  # what people said, and what came of each

IN_TIME = 2.0  # seconds for body and commit; Slack waits three, PagerDuty five, and the way there takes some
NEVER_AGAIN = {"slack"}  # does not send again what was not answered with 200
NOT_TAKEN = "it could not be taken; press the button again"
VERBS = {
    Verb.ACKNOWLEDGE: ("Acknowledge", "others will see that you are on it, and reminders stop"),
    Verb.UNACKNOWLEDGE: ("Unacknowledge", "it is nobody's again, and reminders go on"),
    Verb.RESOLVE: ("Resolve", "it counts as over until an alert of it fires anew"),
    Verb.SNOOZE: ("Snooze for an hour", "it stays quiet for an hour unless it gets worse"),
}
EVENT: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"*/*": {"schema": {"type": "string"}}}},
    "responses": {
        "200": {"description": "Heard, or nothing that concerns us."},
        "401": {"description": "The signature is missing, wrong or too old."},
        "503": {"description": "Temporary; send it again."},
    },
}


@router.post(
    "/webhooks/slack",
    tags=["answers"],
    response_class=Response,
    openapi_extra=EVENT,
    summary="A button was pressed in Slack.",
)
async def hear_slack(request: Request, services: Held) -> Response:
    """Do what a person pressed; Slack's signature is checked first."""
    return await _hear("slack", request, services)


@router.post(
    "/webhooks/telegram",
    tags=["answers"],
    response_class=Response,
    openapi_extra=EVENT,
    summary="A button was pressed in Telegram.",
)
async def hear_telegram(request: Request, services: Held) -> Response:
    """Do what a person pressed; Telegram's secret is checked first."""
    return await _hear("telegram", request, services)


@router.post(
    "/webhooks/pagerduty",
    tags=["answers"],
    response_class=Response,
    openapi_extra=EVENT,
    summary="Something was done in PagerDuty.",
)
async def hear_pagerduty(request: Request, services: Held) -> Response:
    """Do what a person did there; PagerDuty's signature is checked first."""
    return await _hear("pagerduty", request, services)


async def _hear(kind: str, request: Request, services: Services) -> Response:
    """Answer in time, after the commit where that comes soon enough.

    Where it does not, a service that sends again is asked to, for an event counts once however often it
    comes. One that never does is answered; whoever pressed hears what came of it when that is known.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    doing: asyncio.Task[Done] | None = None
    try:
        async with asyncio.timeout(IN_TIME):
            body = await request.body()
            answers = services.hear(kind, Inbound(headers, body, services.clock.now()))
            doing = asyncio.create_task(services.heard(kind, answers))
            done = await asyncio.shield(doing)
    except Forged as forged:
        metrics.ANSWERS.labels(kind, "forged").inc()
        log.warning("answer.forged", kind=kind, reason=str(forged))
        return problem(401, "the signature does not show that this comes from the service")
    except ClientDisconnect:
        return problem(400, "the connection ended before the body did")
    except (TimeoutError, Overloaded, DatabaseFailure) as error:
        log.warning("answer.not_taken_in_time", kind=kind, reason=type(error).__name__)
        if doing is not None and not doing.done():
            if kind in NEVER_AGAIN:
                return Response(background=BackgroundTask(_finish, kind, answers, doing, services))
            doing.cancel()
        return problem(503, "it could not be taken now; send it again", headers={"Retry-After": "5"})
    return Response(background=BackgroundTask(services.confirm, kind, done))


async def _finish(kind: str, answers: Sequence[Heard], doing: asyncio.Task[Done], services: Services) -> None:
    """Tell who answered what came of it, whenever that is."""
    try:
        done = await doing
    except (Overloaded, DatabaseFailure) as error:
        log.warning("answer.lost", kind=kind, reason=type(error).__name__)
        done = [(heard, NOT_TAKEN) for heard in answers]
    await services.confirm(kind, done)


@router.api_route("/answer/{token}", methods=["GET", "HEAD"], include_in_schema=False)
async def ask(services: Held, token: str) -> Response:
    """Return a page that asks whether it is meant; a link scanner that follows the link changes nothing."""
    try:
        link = read(token, services.signing_key, services.clock.now())
    except BadLink as bad:
        return _refused(services, str(bad))
    row = await services.read(incidents.find, link.incident_id)
    if row is None:
        return _refused(services, "there is no such incident any more")
    return _page(services, link, row, token, is_done=False)


@router.post("/answer/{token}", include_in_schema=False)
async def answer(services: Held, token: str) -> Response:
    """Do what the link says, and show the incident as it is then."""
    try:
        link = read(token, services.signing_key, services.clock.now())
    except BadLink as bad:
        return _refused(services, str(bad))
    row = await services.answer(link)
    if row is None:
        return _refused(services, "there is no such incident any more")
    return _page(services, link, row, token, is_done=True)


def _page(services: Services, link: Link, row: Facts, token: str, *, is_done: bool) -> Response:
    words, means = VERBS[link.verb]
    return page("answer", {
        "here": "", "reload_errors": [], "base_url": services.settings.base_url, "token": token,
        "incident": row, "words": words, "means": means, "is_done": is_done,
        "is_offered": link.verb in OFFERED[State(row["state"])],
    })  # fmt: skip


def _refused(services: Services, why: str) -> Response:
    facts = {"here": "", "reload_errors": [], "base_url": services.settings.base_url}
    return page("error", {**facts, "title": "This link does not work", "advice": why.capitalize() + "."}, 410)
