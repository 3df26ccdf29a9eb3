"""How fast does a server take requests? A load generator that costs next to nothing itself.

    python -m benchmarks.load 9093 api --requests 200 --alerts 64
    python -m benchmarks.load 5001 webhook --requests 2000 --alerts 5 --connections 32
    python -m benchmarks.load 5001 webhook --requests 500 --alerts 1 --rate 50

It prints one line of JSON. With `--rate` requests leave on time, whether earlier ones were answered or not.
"""

import argparse
import asyncio
import collections
import json
import re
import time
from collections.abc import Callable
from typing import Any

import uvloop

from benchmarks.bodies import api_bodies, webhook_bodies
from benchmarks.numbers import quantiles

PATHS = {"api": "/api/v2/alerts", "webhook": "/webhooks/alertmanager"}
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BROKEN = 0  # in place of a status: the connection ended before an answer
REFUSED_PATIENCE = 0.05  # seconds before a refused connection is tried again


class Connection(asyncio.Protocol):
    """One connection that carries one request at a time."""

    def __init__(self, answered: Callable[["Connection", int, float], None]) -> None:
        self.answered = answered
        self.received = b""
        self.sent_at: float | None = None
        self.transport: Any = None  # asyncio types it without write()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, request: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        length = LENGTH.search(head)
        if len(body) < int(length[1]) if length else not body.endswith(b"0\r\n\r\n"):
            return
        self.received = b""
        status = STATUS.match(head)
        self._finish(int(status[1]) if status else BROKEN)

    def connection_lost(self, _error: Exception | None) -> None:
        self.transport.close()
        if self.sent_at is not None:
            self._finish(BROKEN)

    def _finish(self, status: int) -> None:
        took = time.perf_counter() - (self.sent_at or 0)
        self.sent_at = None
        self.answered(self, status, took)


class Load:
    """The requests still to be sent, and what became of the others."""

    def __init__(self, port: int, requests: list[bytes]) -> None:
        self.port = port
        self.waiting = collections.deque(requests)
        self.unanswered = len(requests)
        self.statuses: collections.Counter[int] = collections.Counter()
        self.latencies: list[float] = []
        self.idle: list[Connection] = []
        self.finished = asyncio.Event()

    async def as_fast_as_answered(self, connections: int) -> None:
        """Send the next request of a connection when its last was answered."""
        opened = [await self._open(self._then_next) for _ in range(connections)]
        self.started_at = time.perf_counter()
        for connection in opened:
            self._send_next(connection)
        await self.finished.wait()

    async def at_rate(self, rate: float, ids: list[str]) -> dict[str, float]:
        """Send so many requests a second; return when each left."""
        sent: dict[str, float] = {}
        self.idle = [await self._open(self._then_idle) for _ in range(16)]
        self.started_at = time.perf_counter()
        for number, id_ in enumerate(ids):
            await asyncio.sleep(self.started_at + number / rate - time.perf_counter())
            connection = self.idle.pop() if self.idle else await self._open(self._then_idle)
            sent[id_] = time.perf_counter()
            connection.send(self.waiting.popleft())
        await self.finished.wait()
        return sent

    async def _open(self, answered: Callable[[Connection, int, float], None]) -> Connection:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return (await loop.create_connection(lambda: Connection(answered), "127.0.0.1", self.port))[1]
            except ConnectionError:
                await asyncio.sleep(REFUSED_PATIENCE)

    def _then_next(self, connection: Connection, status: int, took: float) -> None:
        self._count(status, took)
        if connection.transport.is_closing():
            task = asyncio.ensure_future(self._open(self._then_next))
            task.add_done_callback(lambda opened: self._send_next(opened.result()))
        else:
            self._send_next(connection)

    def _send_next(self, connection: Connection) -> None:
        if self.waiting:
            connection.send(self.waiting.popleft())

    def _then_idle(self, connection: Connection, status: int, took: float) -> None:
        self._count(status, took)
        if not connection.transport.is_closing():
            self.idle.append(connection)

    def _count(self, status: int, took: float) -> None:
        self.statuses[status] += 1
        self.latencies.append(took)
        self.unanswered -= 1
        if not self.unanswered:
            self.elapsed = time.perf_counter() - self.started_at
            self.finished.set()


def request(path: str, body: bytes) -> bytes:
    """Return the bytes of a POST."""
    head = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def main(given: argparse.Namespace) -> None:
    """Send everything and print what happened."""
    if given.kind == "api":
        per_group = given.per_group or given.alerts
        bodies = list(api_bodies(given.prefix, given.requests, given.alerts, per_group=per_group))
        ids = [f"{given.prefix}-{number}" for number in range(given.requests)]
    else:
        named = list(webhook_bodies(given.prefix, given.requests, given.alerts))
        ids, bodies = [name for name, _ in named], [body for _, body in named]
    path = PATHS[given.kind]
    load = Load(given.port, [request(path, body) for body in bodies])
    sent = {}
    if given.rate:
        sent = await load.at_rate(given.rate, ids)
    else:
        await load.as_fast_as_answered(given.connections)
    result = {
        "requests": given.requests,
        "alerts": given.requests * given.alerts,
        "bytes": len(bodies[0]),
        "started_at": load.started_at,
        "elapsed": load.elapsed,
        "statuses": load.statuses,
        "latency": quantiles(load.latencies),
        "sent": sent,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("port", type=int)
    parser.add_argument("kind", choices=PATHS)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--alerts", type=int, default=5, help="new alerts in a body")
    parser.add_argument("--per-group", type=int, default=0, help="alerts with equal bench_group; api only")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0, help="requests a second")
    parser.add_argument("--prefix", default="load", help="makes the alerts of this run new ones")
    uvloop.run(main(parser.parse_args()))
