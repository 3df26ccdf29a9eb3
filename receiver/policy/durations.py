"""How long is `1h30m`, and how is it written?"""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

PATTERN = r"^(0|(?=[0-9])([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$"
LONGEST = timedelta(microseconds=2**63 // 1000)  # Prometheus counts nanoseconds in 64 bits
UNITS = {
    "y": timedelta(days=365),
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
EXACT_ONLY = ("y", "w")  # 10d stays 10d, it does not become 1w3d

_WHOLE = re.compile(PATTERN, re.ASCII)
_PART = re.compile(r"([0-9]+)(ms|[ywdhms])", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Return the duration that Prometheus reads in the text: `1h30m`, `2w`, `0`."""
    if not _WHOLE.fullmatch(text):
        shown = text.encode("utf-8", "replace").decode()  # half a character has no place in an error
        raise ValueError(
            f'"{shown}" is not a duration; write numbers with units, largest first, such as 30s, 1h30m or 2w'
        )
    try:
        total = sum((int(count) * UNITS[unit] for count, unit in _PART.findall(text)), timedelta())
    except OverflowError:
        total = timedelta.max
    if total > LONGEST:
        raise ValueError(f'"{text}" is too long; durations end at 292 years')
    return total


def format_duration(duration: timedelta) -> str:
    """Return the duration as Prometheus writes it; parsing the result gives it back."""
    rest, text = duration, ""
    for unit, length in UNITS.items():
        count, remainder = divmod(rest, length)
        if count and not (unit in EXACT_ONLY and remainder):
            text += f"{count}{unit}"
            rest = remainder
    return text or "0s"


def in_words(duration: timedelta) -> str:
    """Return about how long it is, for a person: `40 s`, `3 min`, `2 h 5 min`, `4 d`."""
    seconds = int(duration.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 2 * 3600:
        return f"{seconds // 60} min"
    if seconds < 48 * 3600:
        hours, minutes = seconds // 3600, seconds % 3600 // 60
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{seconds // 86400} d"


def _validate(value: object) -> timedelta:
    if isinstance(value, timedelta) and value >= timedelta():
        return value
    if isinstance(value, str):
        return parse_duration(value)
    if value == 0 and not isinstance(value, bool):  # YAML reads a bare 0 as a number
        return timedelta()
    raise ValueError(f"{value!r} is not a duration; write a number with its unit, such as 30s or 5m")


Duration = Annotated[
    timedelta,
    PlainValidator(_validate),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["30s", "5m", "1h30m", "2w"]}),
]
