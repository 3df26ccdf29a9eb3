"""How does an answer look on a terminal?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True, slots=True)
class Pen:
    """Writes in colours, or plainly where nobody would see them."""

    colours: bool = False

    def good(self, text: str) -> str:
        """Return text for what is as it should be."""
        return self._painted(text, "32")

    def bad(self, text: str) -> str:
        """Return text for what is not."""
        return self._painted(text, "31")

    def late(self, text: str) -> str:
        """Return text for what is still to come."""
        return self._painted(text, "33")

    def strong(self, text: str) -> str:
        """Return text to be seen first."""
        return self._painted(text, "1")

    def faint(self, text: str) -> str:
        """Return text to be seen last."""
        return self._painted(text, "2")

    def _painted(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colours and text else text


PLAIN = Pen()


def pen_for(stream: TextIO, environ: Mapping[str, str]) -> Pen:
    """Return a pen with colours for a terminal whose owner did not refuse them (no-color.org)."""
    refused = environ.get("NO_COLOR") or environ.get("TERM") == "dumb"
    return Pen(colours=stream.isatty() and not refused)


def printable(text: str) -> str:
    """Return the text with everything that could drive a terminal shown as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
