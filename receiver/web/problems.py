"""What does a refused request hear? Always RFC 9457, never a traceback."""

import json
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from receiver.store.database import DatabaseFailure, Overloaded

log = structlog.get_logger()


class ProblemResponse(JSONResponse):
    """A refusal a program can read."""

    media_type = "application/problem+json"

    def render(self, content: Any) -> bytes:
        """Return the document; half a character, quoted from what was asked, must not spoil it."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def problem(
    status: int, detail: str, *, headers: dict[str, str] | None = None, **more: Any
) -> ProblemResponse:
    """Return a refusal: `detail` says what is wrong and what to do."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return ProblemResponse({**content, **more}, status_code=status, headers=headers)


PROBLEM: dict[str, Any] = {
    ProblemResponse.media_type: {
        "schema": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "errors": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
                    },
                },
            },
        }
    }
}
REFUSALS = {
    400: "What came is no request that can be read.",
    401: "A credential or signature is missing or wrong.",
    403: "A page of another site sent it.",
    404: "There is no such thing.",
    409: "It does not fit the state of the thing; nothing was changed.",
    413: "The body is too large.",
    422: "The request does not fit; `errors` or `detail` says where.",
    503: "Temporary: the database does not take or give it now; send it again.",
}
DOCUMENTED: dict[int | str, dict[str, Any]] = {  # what every endpoint may answer, for /openapi.json
    "default": {"description": "Refused; `detail` says what is wrong and what to do.", "content": PROBLEM}
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return how an endpoint may refuse, for /openapi.json."""
    return {status: {"description": REFUSALS[status], "content": PROBLEM} for status in statuses}


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""

    async def refused(_: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    async def invalid(_: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - the same
        said = [
            {"where": ".".join(str(part) for part in one["loc"]), "what": one["msg"]}
            for one in error.errors()
        ]
        return problem(422, "the request does not fit; see `errors`", errors=said)

    async def unavailable(_: Request, error: Exception) -> ProblemResponse:
        log.warning("request.unavailable", error=type(error).__name__)
        detail = "the database does not answer now; try again"
        return problem(503, detail, headers={"Retry-After": "5"})

    async def failed(request: Request, error: Exception) -> ProblemResponse:
        log.error("request.failed", path=_path(request), exc_info=error)
        return problem(500, "a bug in Tocsin; the log has the details")

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(DatabaseFailure, unavailable)
    app.add_exception_handler(Overloaded, unavailable)
    app.add_exception_handler(Exception, failed)


def _path(request: Request) -> str:
    """Return which way in it was; the address itself may hold a token."""
    return str(getattr(request.scope.get("route"), "path", request.url.path))
