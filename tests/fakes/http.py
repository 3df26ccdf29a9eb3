"""A small HTTP/1.1 server that records what it is asked and answers, or fails, as it is told."""

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

TURNS = 3  # of the loop, until what was accepted is a connection of ours
NOT_STARTED = 9  # the discard port: a URL, where nobody listens


@dataclass(frozen=True)
class Request:
    """What a client sent; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What the server does with one request; the first of these that is set wins."""

    is_reset: bool = False  # break the connection (RST)
    is_closed: bool = False  # close the connection without a word
    is_never: bool = False  # take the request and stay silent
    raw: bytes | None = None  # write these bytes, whatever they are, and close
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0  # seconds before the answer
    closes: bool = False  # close the connection after the answer, without announcing it
    later: "Callable[[], Awaitable[Reply]] | None" = None  # asked for the answer: it waits for something


class FakeHttp:
    """Runs while it is entered; subclasses say what a request is answered when nothing is scripted."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.script: deque[Reply] = deque()  # answers for the next requests, before `answer` is asked
        self.connections_made = 0
        self.port = 0
        self.host = "127.0.0.1"  # as others call it
        self.tls: ssl.SSLContext | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._talks: set[asyncio.Task[None]] = set()
        self._all_closed = asyncio.Event()
        self._stopping = asyncio.Event()

    def answer(self, request: Request) -> Reply:  # noqa: ARG002 - subclasses look at it
        return Reply(body=b"ok", headers={"Content-Type": "text/plain"})

    def fails(self, *replies: Reply) -> None:
        """Answer the next requests with these."""
        self.script.extend(replies)

    def url(self, path: str = "/") -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{self.host}:{self.port or NOT_STARTED}{path}"

    @property
    def connections(self) -> int:
        return len(self._open)

    async def all_closed(self) -> None:
        """Return when no client is connected any more."""
        async with asyncio.timeout(5):
            while self._open:
                self._all_closed.clear()
                await self._all_closed.wait()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stopping.set()
        self._server.close()
        for _ in range(TURNS):
            await asyncio.sleep(0)  # noqa: TID251 - a turn, not a time
        for writer in list(self._open):
            writer.close()
        await asyncio.gather(*self._talks)
        await self.all_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Note the connection in the turn of the loop that makes it, so that none is left open at the end."""
        self.connections_made += 1
        self._open.add(writer)
        talk = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                reply = self.script.popleft() if self.script else self.answer(request)
                if not await self._reply(reply, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, which is its right
        finally:
            writer.close()
            self._open.discard(writer)
            self._all_closed.set()

    async def _reply(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if reply.later is not None:
            reply = await self._while_connected(reply.later, reader)
        if reply.is_reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return False
        if reply.is_closed:
            return False
        if reply.is_never:
            await reader.read()  # until the client gives up
            return False
        if reply.delay:
            with suppress(TimeoutError):
                async with asyncio.timeout(reply.delay):
                    await self._stopping.wait()
        writer.write(reply.raw if reply.raw is not None else _encoded(reply))
        await writer.drain()
        return reply.raw is None and not reply.closes

    async def _while_connected(
        self, later: Callable[[], Awaitable[Reply]], reader: asyncio.StreamReader
    ) -> Reply:
        """Wait for the answer as long as there is somebody to take it."""
        waits = [asyncio.ensure_future(one) for one in (later(), reader.read(1), self._stopping.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[0].result() if waits[0].done() else Reply(is_closed=True)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)  # the reader takes one who waits at a time


def as_json(said: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(
        status=status,
        body=json.dumps(said).encode(),
        headers={"Content-Type": "application/json; charset=utf-8", **named},
    )


def _encoded(reply: Reply) -> bytes:
    phrase = HTTPStatus(reply.status).phrase
    headers = {"Content-Length": str(len(reply.body)), **reply.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} {phrase}\r\n{head}\r\n".encode() + reply.body


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))
