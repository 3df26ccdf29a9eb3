"""What does a channel that sends data say of an incident, and how is it kept within the service's limits?"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator

from receiver.channels.base import Message, Sent

MAX_URL = 2000  # a longer link is left out: a shortened one leads nowhere
BREAKS = re.compile(r"[\t\r\n\x0b\x0c\x85\u2028\u2029]")
INVISIBLE = (
    re.compile(  # control, formatting and half characters; \u200d stays, it joins the parts of an emoji
        r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
        r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
    )
)


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


def short(text: str, longest: int, tidy: Callable[[str], str] = one_line) -> str:
    """Return the text tidied and no longer than that; what would be cut off anyway is not looked at."""
    return cut(tidy(text[: 2 * longest + 100]), longest)


def cut(text: str, longest: int) -> str:
    """Return the text, shortened visibly where it is too long."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def summary(facts: Mapping[str, Any], longest: int) -> str:
    """Return one line for a lock screen: what it is, how much of it, where, and what is wrong."""
    incident = facts["incident"]
    drill = "[DRILL] " if incident["drill"] else ""
    firing = incident["alerts"]["firing"]
    many = f" ({firing} firing)" if firing > 1 and incident["state"] != "resolved" else ""
    title = short(incident["title"], longest // 2)
    place = short(incident["where"], longest // 3)
    what = short(incident["annotations"].get("summary", ""), longest)
    at = f" · {place}" if place and place not in f"{title} {what}" else ""
    said = f": {what}" if what and what not in title else ""
    return cut(f"{drill}{title}{many}{at}{said}", longest)


def where(labels: Mapping[str, str]) -> str:
    """Return the label that says what is affected, nothing if none does."""
    names = ("instance", "pod", "node", "host", "service", "deployment", "namespace", "cluster", "job")
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
        short(name, size.longest): short(value, size.longest, lines)
        for name, value in sorted(given.items())[: size.pairs]
    }


def fitting(make: Callable[[Size], dict[str, Any]], facts: Mapping[str, Any], limit: int) -> bytes:
    """Return as JSON the most of what `make` makes of the facts that stays within the limit of bytes."""
    content = b""
    for size in sizes(facts["alerts"], limit, ("labels", "annotations")):
        content = as_json(make(size))
        if len(content) <= limit:
            break
    return content


def sizes(alerts: Sequence[Mapping[str, Any]], limit: int, kinds: Sequence[str]) -> Iterator[Size]:
    """Yield the sizes worth trying; to count is cheap, and a storm has no time for what cannot fit."""
    for size in SIZES:
        shown = alerts[: size.alerts]
        values = (v for one in shown for kind in kinds for v in list(one[kind].values())[: size.pairs])
        if size is SIZES[-1] or sum(min(len(value), size.longest) for value in values) <= limit:
            yield size


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
    # Two Tocsins may tell the same integration, and both count their incidents from one.
    return f"{message.dedup_key}-{digest(facts['public_url'] + facts['incident']['key'])}"


def _set(labels: Mapping[str, str]) -> str:
    """Return labels as Alertmanager writes a set of them; where Go quotes otherwise, they do not compare."""
    quoted = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(labels.items()))
    return "{" + ", ".join(quoted) + "}"


def _clean(text: str) -> str:
    if text.isprintable() and text.isascii():
        return text
    return INVISIBLE.sub("", BREAKS.sub(" ", text))
