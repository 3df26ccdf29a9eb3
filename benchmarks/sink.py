"""When did which notification arrive? A server that answers 200 to everything, at once.

    python -m benchmarks.sink 9999

GET /control/report tells what came; POST /control/reset forgets it; POST /control/hold keeps answers
back until POST /control/release. What is held counts as arrived when it is answered.
"""

import asyncio
import json
import re
import resource
import sys
import time
from typing import Any

import uvloop

GROUP = re.compile(rb'"bench_group": ?"([^"]+)"')
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNK_END = b"\r\n0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BACKLOG = 4096


class Arrivals:
    """What came, and when."""

    def __init__(self) -> None:
        self.held: list[Visitor] | None = None
        self.reset()

    def reset(self) -> None:
        self.requests = 0
        self.connections = 0
        self.at: dict[str, float] = {}

    def take(self, visitor: "Visitor", body: bytes) -> None:
        if self.held is not None:
            visitor.owed = body
            self.held.append(visitor)
            return
        self.requests += 1
        if (group := GROUP.search(body)) is not None:
            self.at.setdefault(group[1].decode(), time.perf_counter())
        visitor.transport.write(OK)

    def release(self) -> float:
        held, self.held = self.held or [], None
        released_at = time.perf_counter()
        for visitor in held:
            self.take(visitor, visitor.owed)
        return released_at

    def report(self) -> dict[str, object]:
        times = self.at.values()
        return {
            "requests": self.requests,
            "connections": self.connections,
            "groups": len(self.at),
            "first": min(times, default=0),
            "last": max(times, default=0),
        }


class Visitor(asyncio.Protocol):
    """One connection of somebody who tells us something."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.arrivals = arrivals
        self.received = b""
        self.owed = b""
        self.transport: Any = None  # asyncio types it without write()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.arrivals.connections += 1

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        length = LENGTH.search(head)
        if length is not None:
            if len(body) < int(length[1]):
                return
        elif b"chunked" in head and not body.endswith(CHUNK_END):
            return
        self.received = b""
        if b" /control/" in head[:40]:
            self._control(head.split(b" ", 2)[1].rsplit(b"/", 1)[1].decode())
        else:
            self.arrivals.take(self, body)

    def _control(self, word: str) -> None:
        answer: object = None
        if word == "hold":
            self.arrivals.held = []
        elif word == "release":
            answer = self.arrivals.release()
        elif word == "reset":
            self.arrivals.reset()
        elif word == "arrivals":
            answer = self.arrivals.at
        else:
            answer = self.arrivals.report()
        content = json.dumps(answer).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        self.transport.write(head.encode() + content)


async def main(port: int) -> None:
    """Answer until somebody ends us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    arrivals = Arrivals()
    server = await asyncio.get_running_loop().create_server(
        lambda: Visitor(arrivals), "127.0.0.1", port, backlog=BACKLOG
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
