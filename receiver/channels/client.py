"""How do we speak HTTP to the outside, without being led to where we must not go?

The one module that knows httpx, and of it only URLs, errors and certificates: its pool assigns requests to
connections in time that grows with the square of the pool, its client logs whole URLs, which are secrets,
and its requests and responses cost as much as the exchange itself. So the transport below is ours: a list
of idle connections for each origin, and llhttp to read the answers.
"""

import asyncio
import ipaddress
import json
import math
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, Self

import httptools
import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_random

from receiver.channels.base import ChannelError, PermanentFailure, TemporaryFailure
from receiver.clock import Clock

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_ANSWER = 65_536  # an answer is shown to people, 2 kB of it; more than this is not worth the memory
SHORTEST_SECRET = 6  # shorter strings occur by chance
MAX_IDLE = 32  # connections kept for one origin; a storm needs no more, and services dislike more
IDLE_SECONDS = 4.0  # common servers close after five; being first avoids a race
CONNECT_SECONDS = 3.0  # one address that swallows packets must leave time for the next
MAX_RETRY_AFTER = 3600.0  # a service may not silence a page for longer without being asked again
TRANSIENT = {408, 425, 429}  # the 4xx codes that are about the moment, not about the request

METADATA = {  # where clouds hand out credentials to whoever asks from inside
    ipaddress.ip_address("169.254.169.254"),
    ipaddress.ip_address("fd00:ec2::254"),
    ipaddress.ip_address("100.100.100.200"),
}
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # NAT64: an IPv4 address in the last 32 bits

CONNECTING = AsyncRetrying(  # inside one attempt only; every longer wait is the outbox's
    retry=retry_if_exception_type(httpx.ConnectError),
    stop=stop_after_attempt(3) | stop_after_delay(5),
    wait=wait_random(0.05, 0.3),
    reraise=True,
)

try:
    USER_AGENT = f"tocsin/{version('tocsin')}"
except PackageNotFoundError:  # run from a checkout that was never installed
    USER_AGENT = "tocsin"
STANDARD_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered; `text` is the first 64 kB, or `most` that was asked for."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    text: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection leads, and by which rule it was allowed."""

    scheme: str
    host: str
    port: int
    private_allowed: bool


@dataclass(frozen=True, slots=True)
class Posting:
    """One request on its way."""

    url: httpx.URL
    head: bytes
    content: bytes
    private_allowed: bool
    fate: "Fate"
    most: int  # bytes of the answer that are read


class UnansweredError(TemporaryFailure):
    """The request was written, and no whole answer came: it may have arrived."""


@dataclass(slots=True)
class Fate:
    """What became of one request so far."""

    is_repeatable: bool
    is_written: bool = False  # its first byte may be out


def _no_answer(reason: str, fate: Fate) -> TemporaryFailure:
    if not fate.is_written:
        return TemporaryFailure(reason)
    return UnansweredError(reason, is_ambiguous=not fate.is_repeatable)


class Client:
    """Posts to other services, and asks them; used from one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._transport = Transport(clock)

    async def post(
        self,
        url: str,
        *,
        content: bytes,
        headers: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - the timeout is named in the failure
        private_allowed: bool,
        secrets: Iterable[str] = (),
        is_repeatable: bool = True,
        method: Literal["POST", "PUT"] = "POST",
        most: int = MAX_ANSWER,
    ) -> Answer:
        """Return the answer to one POST (or PUT), whatever its status; no redirect is followed.

        Errors: UnansweredError when the request was written and no answer came, TemporaryFailure when it
        was not written, PermanentFailure when the address is not allowed. None ever quotes more of the URL
        than scheme and host: paths and queries hold secrets. An answer that repeats the URL or one of
        `secrets` comes back without it.

        Say `is_repeatable=False` where the service would tell people twice what it is posted twice: it is
        then never written a second time here, and the failure says that it `is_ambiguous`.
        """
        answer = await self._exchange(
            method, url, content, headers, timeout,
            private_allowed=private_allowed, is_repeatable=is_repeatable, most=most,
        )  # fmt: skip
        text = answer.text
        for secret in [*_secret_parts(url, _parsed(url)), *secrets]:
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "[secret]")
        return replace(answer, text=text)

    async def get(
        self,
        url: str,
        *,
        timeout: float,  # noqa: ASYNC109 - the timeout is named in the failure
        most: int = MAX_ANSWER,
    ) -> Answer:
        """Return the answer to one GET of an address that routing.yaml names, which may be a private one.

        Errors as for a POST. The answer is as it came, for a program to read: it may repeat the URL.
        """
        return await self._exchange(
            "GET", url, b"", {}, timeout, private_allowed=True, is_repeatable=True, most=most
        )

    async def _exchange(
        self,
        method: str,
        url: str,
        content: bytes,
        headers: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - the timeout is named in the failure
        *,
        private_allowed: bool,
        is_repeatable: bool,
        most: int,
    ) -> Answer:
        fate = Fate(is_repeatable)
        try:
            async with asyncio.timeout(timeout):
                parsed = _parsed(url)
                head = _head(method, parsed, STANDARD_HEADERS | dict(headers), len(content))
                posting = Posting(parsed, head, content, private_allowed, fate, most)
                reading = await self._transport.exchange(posting)
        except TimeoutError:
            raise _no_answer(f"no answer from {origin_of(url)} within {timeout:g} s", fate) from None
        except (httpx.HTTPError, OSError) as error:
            raise _no_answer(f"{origin_of(url)}: {_reason(error)}", fate) from None
        except (httpx.InvalidURL, UnicodeError):
            raise PermanentFailure("the configured URL cannot be used; check how it is written") from None
        said = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in reading.headers)
        return Answer(reading.status, dict(said), reading.body.decode("utf-8", "replace"))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


def origin_of(url: str) -> str:
    """Return the part of a URL that is no secret: scheme and host."""
    try:
        parsed = _parsed(url)
    except (httpx.InvalidURL, UnicodeError):
        return "the configured URL"
    port = f":{parsed.port}" if parsed.port else ""
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    return f"{parsed.scheme}://{host}{port}"


def _secret_parts(written: str, url: httpx.URL) -> list[str]:
    """Return what of a URL may be a secret, longest first."""
    path = url.raw_path.decode()
    return [written, path, path.rpartition("/")[2], *url.params.values(), url.password]


@lru_cache(maxsize=256)  # httpx reads a URL in 40 µs, and destinations are few
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def check(answer: Answer, *, url: str, now: datetime) -> None:
    """Raise the failure that an HTTP status means; a 2xx means none."""
    if not 200 <= answer.status < 300:
        raise _failure_of(answer, origin_of(url), now)


def _failure_of(answer: Answer, service: str, now: datetime) -> ChannelError:
    status = answer.status
    if status >= 500 or status in TRANSIENT:
        wait = retry_after(answer.headers.get("retry-after", ""), now)
        if wait is None:
            wait = _retry_after_in(answer.text)
        return TemporaryFailure(f"{service} answered {status}", answer=answer.text, retry_after=wait)
    if 300 <= status < 400:
        reason = f"{service} answered {status}, a redirect; set the final address, redirects are not followed"
        return PermanentFailure(reason, answer=answer.text)
    return PermanentFailure(f"{service} answered {status}", answer=answer.text)


def retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as seconds or as a date."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = (date - now).total_seconds()
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _retry_after_in(text: str) -> float | None:
    """Return the seconds that a JSON answer asks for itself, as Telegram and those after it do."""
    try:
        said = json.loads(text)
        seconds = (said.get("parameters") or said).get("retry_after")
        seconds = float(seconds) if isinstance(seconds, int | float | str) else math.nan
    except (ValueError, RecursionError, AttributeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if math.isfinite(seconds) else None


def refusal(address: str, *, private_allowed: bool) -> str | None:
    """Return why nothing may be sent to this address, or None when it may.

    An IPv6 address that carries an IPv4 one is judged by the one it carries.
    """
    ip = _carried(ipaddress.ip_address(address.partition("%")[0]))
    if ip in METADATA or ip.is_link_local:
        return "a link-local or cloud metadata address, which is never allowed"
    if private_allowed or (ip.is_global and not ip.is_multicast and not ip.is_reserved):
        return None
    return "a private address; set allow_private_addresses: true if that is meant"


def _carried(ip: Address) -> Address:
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in TRANSLATED:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _reason(error: Exception) -> str:
    """Return what went wrong with a connection, in words that hold no secret."""
    cause = error.__cause__ or error
    match cause:
        case ssl.SSLCertVerificationError():
            return f"its TLS certificate is not valid: {cause.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {cause.reason or 'no common ground'}"
        case socket.gaierror():
            return "its name cannot be resolved"
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionResetError() | BrokenPipeError():
            return "connection reset"
        case TimeoutError():
            return "no connection in time"
        case httpx.RemoteProtocolError():
            return str(cause)
        case OSError():
            return cause.strerror or "connection failed"
        case _:
            return "the exchange failed"


class Transport:
    """Keeps idle connections by origin; how many are open at once is the caller's to bound."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._idle: dict[Origin, list[Connection]] = {}
        self._tls: ssl.SSLContext | None = None

    async def exchange(self, posting: Posting) -> "Reading":
        """Return the answer, over an idle connection if there is one."""
        origin = _origin(posting)
        connection = self._reusable(origin)
        if connection is not None:
            try:
                return await self._exchange(origin, connection, posting)
            except StaleConnectionError:
                # The server closed it as we began to write, and most likely read nothing.
                if not posting.fate.is_repeatable:
                    raise
        return await self._exchange(origin, await self._open(origin), posting)

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed by whoever uses them."""
        idle = [connection for connections in self._idle.values() for connection in connections]
        self._idle.clear()
        for connection in idle:
            await connection.aclose()

    async def _exchange(self, origin: Origin, connection: "Connection", posting: Posting) -> "Reading":
        try:
            reading = await connection.exchange(posting)
        except BaseException:
            connection.abort()
            raise
        connections = self._idle.setdefault(origin, [])
        if connection.is_reusable and len(connections) < MAX_IDLE:
            connection.idle_since = self._clock.elapsed()
            connections.append(connection)
        else:
            connection.abort()
        return reading

    def _reusable(self, origin: Origin) -> "Connection | None":
        oldest = self._clock.elapsed() - IDLE_SECONDS
        connections = self._idle.get(origin, [])
        while connections:
            connection = connections.pop()
            if connection.idle_since >= oldest and connection.is_open:
                return connection
            connection.abort()
        return None

    async def _open(self, origin: Origin) -> "Connection":
        self._forget_expired()
        connection: Connection = await CONNECTING.copy()(self._connect, origin)
        return connection

    async def _connect(self, origin: Origin) -> "Connection":
        tls = None
        if origin.scheme == "https":
            tls = self._tls = self._tls or httpx.create_ssl_context()
        try:
            return await Connection.open(origin, tls)
        except OSError as error:
            raise httpx.ConnectError("no connection") from error

    def _forget_expired(self) -> None:
        oldest = self._clock.elapsed() - IDLE_SECONDS
        for origin, connections in list(self._idle.items()):
            while connections and connections[0].idle_since < oldest:
                connections.pop(0).abort()
            if not connections:
                del self._idle[origin]


def _origin(posting: Posting) -> Origin:
    url = posting.url
    if url.scheme not in {"http", "https"} or not url.host:
        raise httpx.InvalidURL("only http and https")
    port = url.port or (443 if url.scheme == "https" else 80)
    return Origin(url.scheme, url.host, port, posting.private_allowed)


class StaleConnectionError(httpx.RemoteProtocolError):
    """A reused connection ended before a byte of the answer."""


class Connection:
    """One HTTP/1.1 connection, one exchange at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._exchanges = 0
        self.idle_since = 0.0
        self.is_reusable = True

    @classmethod
    async def open(cls, origin: Origin, tls: ssl.SSLContext | None) -> Self:
        """Connect to the first address of the origin that is allowed and answers.

        The addresses are judged here, after the name was resolved, and the connection goes to the
        address that was judged: a name that changes its answer in between gains nothing.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        refusals = {a: refusal(a, private_allowed=origin.private_allowed) for a in addresses}
        allowed = [address for address in addresses if refusals[address] is None]
        if not allowed:
            address, why = next(iter(refusals.items()))
            raise PermanentFailure(f"{origin.host} is {address}, {why}")
        name = origin.host if tls else None
        for address in allowed[:-1]:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return cls(
                        *await asyncio.open_connection(address, origin.port, ssl=tls, server_hostname=name)
                    )
            except OSError:
                continue  # TimeoutError is one; the last address speaks for all
        return cls(*await asyncio.open_connection(allowed[-1], origin.port, ssl=tls, server_hostname=name))

    @property
    def is_open(self) -> bool:
        """Whether the server has not hung up on the idle connection."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def exchange(self, posting: Posting) -> "Reading":
        """Return the answer to a request."""
        self._exchanges += 1
        reading = Reading(posting.most)
        posting.fate.is_written = True
        try:
            self._writer.write(posting.head + posting.content)
            await self._writer.drain()
            while not reading.is_complete:
                chunk = await self._reader.read(MAX_ANSWER)
                reading.feed(chunk)
        except (ConnectionError, httpx.RemoteProtocolError) as error:
            if self._exchanges > 1 and not reading.has_begun:
                raise StaleConnectionError("the connection was closed before an answer came") from error
            raise
        self.is_reusable = reading.is_reusable
        return reading

    def abort(self) -> None:
        """Drop the connection at once."""
        self._writer.transport.abort()

    async def aclose(self) -> None:
        """Close the connection and wait until it is."""
        self._writer.close()
        try:
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
        except OSError:
            self.abort()


def _head(method: str, url: httpx.URL, headers: Mapping[str, str], length: int) -> bytes:
    lines = [method.encode() + b" " + url.raw_path + b" HTTP/1.1", b"Host: " + url.netloc]
    lines += [f"{name}: {value}".encode("ascii") for name, value in headers.items()]
    lines.append(f"Content-Length: {length}".encode())
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise httpx.InvalidURL("a line break in a header")
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Reading:
    """An answer while it is being read; llhttp calls the `on_` methods."""

    def __init__(self, most: int = MAX_ANSWER) -> None:
        self._most = most
        self._parser = httptools.HttpResponseParser(self)
        self._size = 0
        self._ends_with_connection = False
        self._has_head = False
        self.has_begun = False
        self.is_complete = False
        self.is_reusable = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; none means that the server hung up."""
        if not chunk:
            self._end()
            return
        self.has_begun = True
        try:
            self._parser.feed_data(chunk)
        except httptools.HttpParserError:
            if not self.is_complete:  # bytes after a complete answer only cost us the connection
                raise httpx.RemoteProtocolError("it answered with something that is not HTTP") from None
            self.is_reusable = False
        self._size += len(chunk)
        if not self._has_head and self._size > MAX_ANSWER:
            raise httpx.RemoteProtocolError("the head of its answer does not end")
        if len(self.body) >= self._most:
            self.is_complete = True
            self.is_reusable = False
            del self.body[self._most :]

    def _end(self) -> None:
        if not self._has_head:
            raise httpx.RemoteProtocolError("it closed the connection without an answer")
        if not self._ends_with_connection:
            raise httpx.RemoteProtocolError("it closed the connection in the middle of its answer")
        self.is_complete = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the status, and whether the end of the connection is the end of the body."""
        self.status = self._parser.get_status_code()
        names = {name.lower() for name, _ in self.headers}
        self._ends_with_connection = not names & {b"content-length", b"transfer-encoding"}
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if len(self.body) < self._most:
            self.body += body

    def on_message_complete(self) -> None:
        """Finish, unless this was a word in advance (1xx)."""
        if self.status < 200:
            self.headers.clear()
            self._has_head = False
            return
        self.is_complete = True
        self.is_reusable = self._parser.should_keep_alive()
