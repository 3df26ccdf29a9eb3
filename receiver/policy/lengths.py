"""How long do others find a text, where they do not count characters as Python does?"""

import html
import re


def units(text: str) -> int:
    """Return the number of UTF-16 code units; an emoji has two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def encoded(text: str) -> int:
    """Return the number of bytes as UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def seen(markup: str) -> int:
    """Return the UTF-16 code units that are left of HTML when its tags and escapes were read."""
    return units(html.unescape(re.sub(r"<[^>]*>", "", markup)))


def cut(text: str, most: int) -> str:
    """Return a plain text with so many UTF-16 code units at most."""
    if units(text) <= most:
        return text
    kept = text.encode("utf-16-le", "surrogatepass")[: (most - 1) * 2]
    return kept.decode("utf-16-le", "ignore").rstrip() + "…"
