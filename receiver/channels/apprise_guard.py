"""Where may apprise connect, and what may it say?

It opens its connections in threads, through whatever library a service needs, and logs its URLs. Python asks
its audit hooks before it makes any connection, and a logger its filters before it hands on any line: there
both are judged, by the guard of the message that is under way.
"""

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from receiver.channels.client import SHORTEST_SECRET, refusal

HOST = re.compile(  # lower case with a dot; a token where a host would be rarely looks like this
    r"(localhost|\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\]|([a-z0-9-]{1,40}\.){1,5}[a-z]{2,20})(:\d{1,5})?"
)


def shown(url: str) -> str:
    """Return the part of an apprise URL that is no secret: the service, and the host if there is one."""
    scheme, _, rest = url.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme.lower()}://{host}" if HOST.fullmatch(host) else scheme.lower()


def redacted(text: str, url: str) -> str:
    """Return the text without any part of the URL that is not `shown`."""
    found = {url, url.partition("://")[2], *re.split(r"[/?&=:@,#]+", url)}
    found |= {unquote(part) for part in found}
    open_parts = re.split(r"[/:]+", shown(url))
    for secret in sorted(found.difference(open_parts), key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = re.sub(re.escape(secret), "[secret]", text, flags=re.IGNORECASE)
    return text


@dataclass(slots=True)
class Guard:
    """Where one message may lead, and what must not be told; shared with the thread that sends it."""

    url: str
    private_allowed: bool
    refusal: str = ""
    has_connected: bool = False


_guard: ContextVar[Guard | None] = ContextVar("apprise_guard", default=None)


@contextmanager
def guarded(guard: Guard) -> Iterator[None]:
    """Let apprise work, in this context and its copies, under this guard."""
    token = _guard.set(guard)
    try:
        yield
    finally:
        _guard.reset(token)


def clean(record: logging.LogRecord) -> bool:
    """Take the secrets out of a log line; without a guard we do not know them, and there is no line."""
    guard = _guard.get()
    if guard is None:
        return False
    record.msg, record.args, record.exc_info = redacted(record.getMessage(), guard.url), (), None
    return True


def judge(event: str, arguments: tuple[Any, ...]) -> None:
    """Stop a connection of apprise that leads where it must not; Python asks before it makes any.

    apprise sends in a copy of our context, so the guard says whose connection it is. What is judged is the
    address that is connected to, after the name was resolved.
    """
    if event not in {"socket.connect", "socket.sendto"}:
        return
    guard = _guard.get()
    if guard is None:
        return
    why = _refusal(arguments[1], private_allowed=guard.private_allowed)
    if why is not None:
        guard.refusal = why
        raise ConnectionRefusedError(why)
    guard.has_connected = True


def _refusal(address: Any, *, private_allowed: bool) -> str | None:
    if not isinstance(address, tuple):  # a Unix socket, a Bluetooth device
        return None if private_allowed else "it is on this machine; set allow_private_addresses: true"
    host = str(address[0])
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, None)]  # an address is its own answer
    except OSError:
        return None  # it cannot be connected to either
    for one in found:
        why = refusal(one, private_allowed=private_allowed)
        if why is not None:
            return f"{one} is {why}"
    return None
