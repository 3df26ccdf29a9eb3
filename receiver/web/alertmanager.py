"""What does Alertmanager post, and what does it hear? 2xx only after the commit; design.md, 4.3."""

import asyncio
import hmac
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Request
from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive

from receiver import metrics
from receiver.config import Credentials, credentials
from receiver.pipeline.ingest import Body, Misfit
from receiver.policy.payload import NotJson, NotUsable
from receiver.services import Services
from receiver.store.database import DatabaseFailure, Overloaded
from receiver.web.common import services_of
from receiver.web.problems import ProblemResponse, problem
from receiver.web.shapes import Taken, described

log = structlog.get_logger()
router = APIRouter(tags=["ingest"])

UNNAMED = "default"  # the source of bodies, where routing.yaml names none
NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")  # of a source, as in routing.yaml
READ_SECONDS = 10.0  # Alertmanager gives up at ten seconds, too
LARGEST = 16 * 1024 * 1024  # bytes of a body
EXCERPT = 65536  # bytes kept of a body that is refused
PATH = "/webhooks/alertmanager"
ACCEPTED = metrics.PAYLOADS.labels("accepted")

Headers = Mapping[bytes, bytes]

WEBHOOK_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "required": ["alerts"], "properties": {
            "version": {"type": "string"}, "groupKey": {"type": "string"}, "receiver": {"type": "string"},
            "status": {"type": "string"}, "truncatedAlerts": {"type": "integer"},
            "groupLabels": {"type": "object"}, "externalURL": {"type": "string"},
            "alerts": {"type": "array", "items": {"type": "object", "required": ["labels"]}},
        }}}},
    },
}  # fmt: skip
ANSWERS = described(Taken, 400, 401, 403, 404, 413, 422, 503)


class Refusal(Exception):
    """The body is not taken; `response` says why."""

    def __init__(self, outcome: str, response: ProblemResponse) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.response = response


def source_in(path: str) -> str | None:
    """Return the source that a path names, "" where it names none; None when the path is not ours."""
    if path in {"/", PATH}:
        return ""
    name = path.removeprefix(f"{PATH}/")
    return name if name != path and name and "/" not in name else None


@router.post(PATH, responses=ANSWERS, openapi_extra=WEBHOOK_BODY, summary="Take a group of alerts.")
@router.post(
    "/",
    responses=ANSWERS,
    openapi_extra=WEBHOOK_BODY,
    summary="The same; existing configurations point here.",
)
async def receive_any(request: Request, services: Annotated[Services, Depends(services_of)]) -> Response:
    """Answer after what the body says is on disk."""
    return await answer(dict(request.scope["headers"]), request.receive, services, None)


@router.post(
    PATH + "/{source}",
    responses=ANSWERS,
    openapi_extra=WEBHOOK_BODY,
    summary="The same, from a named source.",
)
async def receive_from(
    request: Request, services: Annotated[Services, Depends(services_of)], source: str
) -> Response:
    """Answer after what the body says is on disk."""
    return await answer(dict(request.scope["headers"]), request.receive, services, source)


async def answer(headers: Headers, receive: Receive, services: Services, source: str | None) -> Response:
    """Return the answer to one body, after what it says is on disk."""
    try:
        named = _source(headers, services, source)
        body = await _body(headers, receive, services, named)
        taken = await _take(services, named, body)
    except Refusal as refusal:
        metrics.PAYLOADS.labels(refusal.outcome).inc()
        log.warning("payload.refused", outcome=refusal.outcome, source=source or UNNAMED)
        return refusal.response
    ACCEPTED.inc()
    return taken


async def _take(services: Services, source: str, body: bytes) -> Response:
    try:
        accepted = await services.take(Body(source, services.clock.now(), body))
    except NotJson as error:
        raise Refusal("not_json", problem(400, str(error))) from None
    except NotUsable as error:
        raise Refusal("not_usable", problem(422, str(error))) from None
    except (Overloaded, DatabaseFailure) as error:
        reason = str(error) if isinstance(error, Overloaded) else "the database does not take it now"
        refusal = problem(503, f"{reason}; send it again", headers={"Retry-After": "5"})
        raise Refusal("unavailable", refusal) from None
    said_back = {
        "status": "repeat" if accepted.is_repeat else "accepted",
        "incidents": accepted.incident_ids,
        "quarantined": accepted.unusable,
    }
    return Response(to_json(said_back), media_type="application/json")


async def _set_aside(services: Services, misfit: Misfit) -> None:
    try:
        await services.set_aside(misfit)
    except (Overloaded, DatabaseFailure):
        raise Refusal(
            "unavailable", problem(503, "the database does not take it now; send it again")
        ) from None


def _source(headers: Headers, services: Services, name: str | None) -> str:
    """Return the name of the source that speaks; Refusal where it may not."""
    sources = services.config.source_named
    if not sources and (name is None or NAME.fullmatch(name)):
        return name or UNNAMED
    if name is not None and name not in sources:
        raise Refusal(
            "unknown_source", problem(404, "routing.yaml has no source of this name; see `sources`")
        )
    candidates = [sources[name]] if name is not None else list(sources.values())
    for source in candidates:
        if _is_believed(headers, credentials(source)):
            return source.name
    asked = {"WWW-Authenticate": 'Bearer realm="tocsin", Basic realm="tocsin"'}
    detail = "a valid credential of the source is missing; set `authorization` or `basic_auth` in http_config"
    raise Refusal("unauthorized", problem(401, detail, headers=asked))


def _is_believed(headers: Headers, wanted: Credentials) -> bool:
    if not wanted.is_required:
        return True
    scheme, _, shown = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return _is_one_of(shown.strip().encode(), [token.encode() for token in wanted.tokens])
    if scheme.lower() == "basic":
        try:
            login = b64decode(shown.strip(), validate=True)
        except (Base64Error, ValueError):
            return False
        pairs = [f"{user}:{password}".encode() for user, password in wanted.logins]
        return _is_one_of(login, pairs)
    return False


def _is_one_of(shown: bytes, secret: list[bytes]) -> bool:
    """Return whether a secret was shown; all are compared, so that the time it takes tells nothing."""
    return sum(hmac.compare_digest(shown, one) for one in secret) > 0


async def _body(headers: Headers, receive: Receive, services: Services, source: str) -> bytes:
    """Return the body; one that is too large or too slow is refused before it costs much."""
    chunks: list[bytes] = []
    size, more = 0, True
    too_large = int(headers.get(b"content-length") or 0) > LARGEST
    try:
        async with asyncio.timeout(READ_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal("disconnected", problem(400, "the connection ended before the body did"))
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                too_large = too_large or size > LARGEST
                more = message.get("more_body", False) and not too_large
    except TimeoutError:
        detail = f"the body did not arrive within {READ_SECONDS:g} s; send it again"
        raise Refusal("slow", problem(503, detail, headers={"Connection": "close"})) from None
    body = b"".join(chunks)
    if too_large:
        why = f"the body is larger than {LARGEST} bytes; set max_alerts in Alertmanager"
        await _set_aside(services, Misfit(source, services.clock.now(), why, body[:EXCERPT]))
        raise Refusal("too_large", problem(413, why, headers={"Connection": "close"}))
    return body
