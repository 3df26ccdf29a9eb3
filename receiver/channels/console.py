"""How does a message appear on standard output?"""

import select
import sys
import unicodedata
from typing import ClassVar

from receiver.channels.base import ChannelConfig, Message, Sent, TemporaryFailure
from receiver.channels.client import Client
from receiver.clock import Clock
from receiver.policy.throttle import Limit

HIDDEN = {"Cc", "Cs", "Zl", "Zp"}  # control characters, lone surrogates, foreign line ends
BIDI = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # reorder what is read


class ConsoleConfig(ChannelConfig):
    """An entry of `console_configs`."""

    @property
    def destination(self) -> str:
        """Where all of them lead: there is one standard output."""
        return "console stdout"


class Console:
    """Prints messages."""

    Config: ClassVar[type[ChannelConfig]] = ConsoleConfig
    needs_templates: ClassVar[bool] = True
    takes_digests: ClassVar[bool] = False
    destination_limit: ClassVar[Limit | None] = None
    service_limit: ClassVar[Limit | None] = None

    def __init__(self, client: Client, clock: Clock) -> None:
        """Take what every channel is given; printing needs neither."""

    async def send(self, to: ConsoleConfig, message: Message, earlier: Sent | None) -> Sent:  # noqa: ARG002 - it cannot edit
        """Print the message with one write, so that messages never mix."""
        lines = [message.title, *([message.reply] if message.reply else []), message.text]
        text = visible("\n".join(lines)) + "\n\n"
        encoding = sys.stdout.encoding or "utf-8"
        if _is_stopped():
            raise TemporaryFailure("nobody reads standard output; press Ctrl-Q if the terminal is stopped")
        try:
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
            sys.stdout.flush()
        except (OSError, ValueError) as error:  # ValueError: it was closed
            raise TemporaryFailure(f"standard output cannot be written: {error}") from None
        return Sent()

    async def aclose(self) -> None:
        """Leave standard output open: it is not ours."""


def _is_stopped() -> bool:
    """Return whether a write would wait, and the whole service with it, until somebody reads on."""
    try:
        return not select.select([], [sys.stdout.fileno()], [], 0)[1]
    except (OSError, ValueError):  # nothing that could stop: a test's, or closed, which the write will tell
        return False


def visible(text: str) -> str:
    """Return the text with what could drive a terminal, or reorder its lines, shown as an escape."""
    return "".join(
        f"\\x{ord(c):02x}" if c in BIDI or (c != "\n" and unicodedata.category(c) in HIDDEN) else c
        for c in text
    )
