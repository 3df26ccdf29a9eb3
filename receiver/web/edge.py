"""What happens to every request, whatever it asks for?"""

import re
from ipaddress import ip_address
from random import getrandbits
from urllib.parse import urlsplit

import structlog
from fastapi import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.logs import request_id
from receiver.services import Services
from receiver.web import alertmanager
from receiver.web.alertmanager import Headers
from receiver.web.problems import ProblemResponse, problem

log = structlog.get_logger()

SAFE = {"GET", "HEAD", "OPTIONS"}
LARGEST = 1024 * 1024  # bytes of a body that is not Alertmanager's
ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
POLICY = (
    b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none';"
    b" form-action 'self'; object-src 'none'"
)
PROTECTIVE = [
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


class Edge:
    """Gives a request its id, keeps other sites' pages out, and says how an answer may be used.

    What Alertmanager posts goes past the framework, whose stack and routing cost more than the work. The
    routes of `alertmanager.router` describe the same endpoints for /openapi.json.
    """

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        name = given if ID.fullmatch(given) else f"{getrandbits(64):016x}"  # a name, no secret

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *PROTECTIVE, (b"x-request-id", name.encode())]
            await send(message)

        token = request_id.set(name)
        try:
            source = alertmanager.source_in(scope["path"]) if scope["method"] == "POST" else None
            response: Response | None = self._refusal(scope, headers, is_alertmanager=source is not None)
            if response is None and source is not None:
                response = await self._answer(headers, receive, source)
            if response is None:
                await self._app(scope, _bounded(receive), named)
            else:
                await response(scope, receive, named)
        finally:
            request_id.reset(token)

    def _refusal(self, scope: Scope, headers: Headers, *, is_alertmanager: bool) -> ProblemResponse | None:
        """Return why a request is not even looked at, None for one that is."""
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            return problem(400, "the address holds a NUL, which is part of no text; leave it away")
        if scope["method"] not in SAFE and _is_foreign(headers):
            return problem(403, "a page of another site may not do this; open Tocsin itself")
        host = headers.get(b"host", b"").decode("latin-1")
        if not is_alertmanager and not _is_called(host, self._services):
            return problem(
                421, f"this Tocsin is not called {host[:100]}; if it should be, set TOCSIN_PUBLIC_URL"
            )
        return None

    async def _answer(self, headers: Headers, receive: Receive, source: str) -> Response:
        try:
            return await alertmanager.answer(headers, receive, self._services, source or None)
        except Exception:
            # Alertmanager sends it again only after a 5xx, and a bug of ours must not lose a page.
            log.exception("payload.failed")
            return problem(503, "a bug in Tocsin; the log has the details; send it again")


def _is_foreign(headers: Headers) -> bool:
    """Return whether a browser says that another site's page sends this; programs say nothing of the kind."""
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in {b"same-origin", b"none"}
    origin = headers.get(b"origin")
    try:
        return origin is not None and urlsplit(origin).netloc != headers.get(b"host")
    except ValueError:
        return True  # no address at all


def _bounded(receive: Receive) -> Receive:
    """Return what receives a body until it is larger than anybody needs."""
    size = 0

    async def received() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > LARGEST:
            raise HTTPException(413, f"the body is larger than {LARGEST} bytes; send less")
        return message

    return received


def _is_called(host: str, services: Services) -> bool:
    """Return whether a request may mean us by this name.

    Without a login, what protects a Tocsin on loopback is that nobody else reaches it; but a page whose name
    is made to lead to 127.0.0.1 reaches it through a browser. An address cannot be made to lead elsewhere.
    """
    if not services.settings.is_loopback:
        return True
    try:
        name = urlsplit(f"//{host}").hostname or "localhost"  # programs may leave it away, browsers never do
    except ValueError:
        return False  # no name at all
    ours = {"localhost", urlsplit(services.settings.base_url).hostname}
    return name in ours or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
