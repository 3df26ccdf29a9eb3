"""What does a body posted by Alertmanager say?

Facts that shape this file: the group's status and common labels lie when alerts were truncated, so only
the alerts themselves are read; addresses differ between highly available peers, so they do not count when
bodies are compared; bodies come from many programs, so whatever still names a condition is understood.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from receiver.policy.fingerprint import fingerprint

Labels = Mapping[str, str]

QUOTED = re.compile(r"\\(.)")  # Alertmanager quotes the receiver's name as a regular expression


class NotJson(ValueError):
    """The body is not JSON."""


class NotUsable(ValueError):
    """The body is JSON, but says nothing about alerts."""


class Condition(NamedTuple):
    """One alert, as one body tells it."""

    fingerprint: str
    labels: Labels
    annotations: Labels
    firing: bool
    starts_at: datetime
    ends_at: datetime | None  # when it resolved; for one that fires, when to stop believing it
    generator_url: str


class Unusable(NamedTuple):
    """One alert that could not be understood, and why."""

    why: str
    body: bytes


class Said(NamedTuple):
    """What one body says."""

    source: str
    received_at: datetime
    digest: int
    group_id: int | None  # None: the body does not say which group it speaks of
    group_key: str
    receiver: str
    group_labels: Labels
    external_url: str
    truncated: int
    conditions: tuple[Condition, ...]
    unusable: tuple[Unusable, ...] = ()
    drill_id: str | None = None  # keeps an exercise apart from the real thing
    channels: tuple[str, ...] = ()  # of an exercise: tell only these


def understand(body: bytes, *, source: str, now: datetime) -> Said:
    """Return what the body says.

    Errors: NotJson, NotUsable; both with a text that says what is wrong and what to send.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        document = from_json(body)
    except ValueError as error:
        try:
            document = _patiently(body)
        except (ValueError, RecursionError):
            raise NotJson(f"the body is not JSON: {error}; send Alertmanager's webhook format") from None
    if not isinstance(document, dict):
        raise NotUsable("the body is not an object with a list `alerts`; send Alertmanager's webhook format")
    alerts = document.get("alerts")
    if not isinstance(alerts, list):
        raise NotUsable("`alerts` is not a list; send Alertmanager's webhook format")
    return said(document, alerts, source=source, now=now)


def _patiently(body: bytes) -> Any:
    """Return what a body says that is unsound in one place, so that the good alerts beside it are heard.

    What the fast parser refuses whole: half a character, a byte of another encoding, a number of a thousand
    digits, a value that is nested more deeply than anybody reads.
    """
    return json.loads(body.decode("utf-8", "replace"), object_pairs_hook=_whole, parse_int=_number)


def _whole(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {_replaced(name): _replaced(one) if isinstance(one, str) else one for name, one in pairs}


def _replaced(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _number(digits: str) -> int | str:
    return int(digits) if len(digits) < 20 else digits


def said(document: Mapping[str, Any], alerts: list[Any], *, source: str, now: datetime) -> Said:
    """Return what the document says of `alerts`; NotUsable when it says nothing of any."""
    conditions: dict[str, Condition] = {}
    unusable: list[Unusable] = []
    for alert in alerts:
        condition = _condition(alert, now)
        if isinstance(condition, Unusable):
            unusable.append(condition)
        else:
            earlier = conditions.get(condition.fingerprint)
            if earlier is None or condition.firing or not earlier.firing:  # in doubt, it fires
                conditions[condition.fingerprint] = condition
    if alerts and not conditions:
        raise NotUsable(f"no alert in the body can be used: {unusable[0].why}")
    group_labels = _texts(document.get("groupLabels"))
    group_key = _text(document.get("groupKey"))
    receiver = _text(document.get("receiver"))
    truncated = _count(document.get("truncatedAlerts"))
    group_name = group_key or (to_json(sorted(group_labels.items())).decode() if group_labels else "")
    return Said(
        source=source,
        received_at=now,
        digest=_hash(
            [source, receiver, group_key, truncated, [_essence(one) for one in conditions.values()]]
        ),
        group_id=_hash([source, receiver, group_name]) if group_name else None,
        group_key=group_key,
        receiver=QUOTED.sub(r"\1", receiver) if "\\" in receiver else receiver,
        group_labels=group_labels,
        external_url=_text(document.get("externalURL")),
        truncated=truncated,
        conditions=tuple(conditions.values()),
        unusable=tuple(unusable),
    )


def _condition(alert: Any, now: datetime) -> Condition | Unusable:
    if not isinstance(alert, dict):
        return Unusable("an alert is not an object", _excerpt(alert))
    labels = _texts(alert.get("labels"))
    if not labels:
        return Unusable("an alert has no labels, so nothing tells it from others", _excerpt(alert))
    named = alert.get("fingerprint")
    ends_at = _instant(alert.get("endsAt"))
    status = alert.get("status")
    firing = status != "resolved" and (status == "firing" or ends_at is None or ends_at > now)
    return Condition(
        fingerprint=_text(named) if isinstance(named, str) and 0 < len(named) <= 64 else fingerprint(labels),
        labels=labels,
        annotations=_texts(alert.get("annotations")),
        firing=firing,
        starts_at=_instant(alert.get("startsAt")) or now,
        ends_at=(ends_at or now) if not firing else None,
        generator_url=_text(alert.get("generatorURL")),
    )


def _essence(condition: Condition) -> list[Any]:
    ended = None if condition.firing else condition.ends_at
    return [condition.fingerprint, condition.starts_at, ended, condition.labels, condition.annotations]


def _excerpt(value: Any) -> bytes:
    return _json(value)[:65536]


def _json(value: Any) -> bytes:
    try:
        return to_json(value)
    except ValueError:
        return b"(nested too deeply)"


def _hash(value: Any) -> int:
    """Return 64 signed bits, what both databases hold in one integer."""
    return int.from_bytes(blake2b(to_json(value), digest_size=8).digest(), signed=True)


def _texts(value: Any) -> dict[str, str]:
    """Return a label set; an empty value is the same as none."""
    if not isinstance(value, dict):
        return {}
    if _is_sound(value):
        return value
    return {
        name if "\0" not in name else _text(name): text for name, one in value.items() if (text := _text(one))
    }


def _is_sound(texts: dict[str, Any]) -> bool:
    """Return whether all values are texts that say something, and nothing holds a NUL; nearly always."""
    values = texts.values()
    try:
        return all(values) and "\0" not in "".join(texts) and "\0" not in "".join(values)
    except TypeError:
        return False


def _text(value: Any) -> str:
    """Return a text without NUL, which PostgreSQL cannot hold."""
    if type(value) is str:
        return value if "\0" not in value else value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if value is None:
        return ""
    return _json(value).decode()


def _count(value: Any) -> int:
    try:
        return min(max(int(value or 0), 0), 2**31 - 1)
    except (TypeError, ValueError, OverflowError):
        return 0


def _instant(value: Any) -> datetime | None:
    """Return an instant in UTC; None for Go's zero time and for what is no time at all."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        parsed = parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.year > 1 else None
