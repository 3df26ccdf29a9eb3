"""What does a channel that sends data say of an incident, and how is it kept within the service's limits?"""

import hashlib
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator

from receiver.channels.base import Message, Sent

MAX_URL = 2000  # a longer link is left out: a shortened one leads nowhere
INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, formatting and half characters: nobody means them


class Size(NamedTuple):
    """How much of an incident is shown."""

    longest: int  # characters of one value
    alerts: int
    pairs: int  # labels or annotations of one alert


SIZES = (  # the first that fits is used
    Size(4000, 50, 60),
    Size(1000, 50, 60),
    Size(250, 30, 30),
    Size(80, 10, 20),
    Size(30, 2, 8),
)


def _plain(text: str) -> str:
    if "{{" in text:
        raise ValueError("templates are not run here; write plain text, or leave it out for the default")
    return text


Plain = Annotated[str, AfterValidator(_plain)]  # Alertmanager would run it as a template


def one_line(text: str) -> str:
    """Return the text without line breaks, and without what would show it otherwise than it is."""
    return " ".join(_clean(text).split())


def lines(text: str) -> str:
    """Return the text with its line breaks, and without other characters that nobody means."""
    return "\n".join(_clean(line).rstrip() for line in text.splitlines())


def cut(text: str, longest: int) -> str:
    """Return the text, shortened visibly where it is too long."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def summary(facts: Mapping[str, Any], longest: int) -> str:
    """Return one line for a lock screen: what it is, how much of it, and what its alerts say is wrong."""
    incident = facts["incident"]
    drill = "[DRILL] " if incident["drill"] else ""
    firing = incident["alerts"]["firing"]
    many = f" ({firing} firing)" if firing > 1 and incident["state"] != "resolved" else ""
    title = one_line(incident["title"])
    what = one_line(incident["annotations"].get("summary") or where(incident["labels"]))
    said = f": {what}" if what and what not in title else ""
    return cut(f"{drill}{cut(title, longest // 2)}{many}{said}", longest)


def where(labels: Mapping[str, str]) -> str:
    """Return the label that says where it happens, nothing if none does."""
    names = ("instance", "pod", "node", "host", "service", "job", "cluster")
    return next((labels[name] for name in names if labels.get(name)), "")


def links(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return where to look further, by name."""
    named = {
        "Runbook": facts.get("runbook_url"),
        "Dashboard": facts.get("dashboard_url"),
        "Graph": facts.get("source_url"),
        "Incident": facts["incident"]["url"],
        "Alertmanager": facts.get("external_url"),
    }
    return {name: url for name, url in named.items() if is_link(url)}


def is_link(url: object) -> bool:
    """Return whether this is a web address that can be shown."""
    return (
        isinstance(url, str)
        and url.startswith(("http://", "https://"))
        and len(url) <= MAX_URL
        and url.isprintable()
        and " " not in url
    )


def alert_text(alerts: Sequence[Mapping[str, Any]], size: Size) -> str:
    """Return alerts as Alertmanager's default template writes them: rules of the service may read it."""
    more = f"… and {len(alerts) - size.alerts} more\n" if len(alerts) > size.alerts else ""
    return "".join(_alert(alert, size) for alert in alerts[: size.alerts]) + more


def _alert(alert: Mapping[str, Any], size: Size) -> str:
    source = alert["generator_url"]
    parts = ["Labels:", *(f" - {name} = {value}" for name, value in pairs(alert["labels"], size).items())]
    parts += ["Annotations:"]
    parts += [f" - {name} = {value}" for name, value in pairs(alert["annotations"], size).items()]
    return "\n".join([*parts, f"Source: {source if is_link(source) else ''}"]) + "\n"


def pairs(given: Mapping[str, str], size: Size) -> dict[str, str]:
    """Return labels or annotations, in order and shortened."""
    return {
        cut(one_line(name), size.longest): cut(lines(value), size.longest)
        for name, value in sorted(given.items())[: size.pairs]
    }


def fitting(make: Callable[[Size], dict[str, Any]], limit: int) -> bytes:
    """Return as JSON the most of what `make` makes that stays within the limit of bytes."""
    content = b""
    for size in SIZES:
        content = as_json(make(size))
        if len(content) <= limit:
            break
    return content


def as_json(content: object) -> bytes:
    """Return the content as it is posted; half characters, which are no text, become question marks."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def as_mapping(text: str) -> dict[str, Any] | None:
    """Return the object that an answer holds, None where it holds none."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def digest(secret: str) -> str:
    """Return what tells two secrets apart, and neither of them."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def dedup_key(message: Message, earlier: Sent | None) -> str:
    """Return by which key the service knows the incident, the same for the whole conversation.

    Where the incident is exactly one group of Alertmanager, it is the key that Alertmanager itself would
    use for it: so both may tell the same service, while one takes the place of the other. The group key
    ends with the labels of the group. Where they are others than the incident's, a group may be several
    incidents, and the end of one would end the others.
    """
    if earlier is not None and earlier.ids.get("dedup_key"):
        return earlier.ids["dedup_key"]
    facts = message.facts
    group_key = facts["group_key"]
    if group_key and not facts["incident"]["drill"] and group_key.endswith(f":{_set(facts['group_labels'])}"):
        return hashlib.sha256(group_key.encode("utf-8", "replace")).hexdigest()
    return message.dedup_key


def _set(labels: Mapping[str, str]) -> str:
    """Return labels as Alertmanager writes a set of them; where Go quotes otherwise, they do not compare."""
    quoted = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(labels.items()))
    return "{" + ", ".join(quoted) + "}"


def _clean(text: str) -> str:
    return "".join(
        c if c.isascii() and c.isprintable() else " " if c in "\r\n\t" else _visible(c) for c in text
    )


def _visible(character: str) -> str:
    if character == "\u200d":
        return character  # joins the parts of an emoji
    return "" if unicodedata.category(character) in INVISIBLE else character
