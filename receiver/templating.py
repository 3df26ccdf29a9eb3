"""What does a message say, and how is it kept harmless?

Templates may come from an operator's directory, and values from anyone who can fire an alert. So the
sandbox hands out plain data only, counts every iteration and call, and bounds every string: a template
ends after a number of steps, whatever it says, without a clock being asked.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from receiver.policy import lengths
from receiver.policy.incident import MessageEvent
from receiver.policy.outbox import SUMMED_UP
from receiver.resources import TEMPLATES

MAX_TITLE = 120  # two lines on a lock screen
MAX_REPLY = 1000  # it is meant to be one line
MAX_STRING = 100_000  # far above any service's limit, far below what hurts
MAX_ITEMS = 10_000
MAX_STEPS = 20_000  # iterations and calls in one rendering; ours take some hundred
MAX_NUMBER = 10**15
MAX_PLAIN = 3000
MAX_URL = 600  # a longer link is left out: a shortened one leads nowhere

TEXT_LIMITS = {
    "apprise": 1900,  # bytes; Discord takes 2,000 characters, ntfy makes a file of more than 4,096 bytes
    "console": 20_000,  # a terminal has no limit, a reader has
    "email": 60_000,  # Gmail hides what comes after 102 kB
    "slack": 2900,  # section.text ends at 3,000 characters
    "telegram": 3700,  # a message ends at 4,096, with the title and, once, the reply
}
LENGTHS: Mapping[str, Callable[[str], int]] = {  # who does not count characters
    "apprise": lengths.encoded,
    "telegram": lengths.seen,
}
DEFAULT_LIMIT = 2900


class Size(NamedTuple):
    """How much of the facts a message shows."""

    longest: int  # characters of one value
    alerts: int
    pairs: int  # labels or annotations of one mapping


SHORTENINGS = (  # the first that fits the channel's limit is used
    Size(1500, 20, 40),
    Size(600, 10, 24),
    Size(250, 6, 12),
    Size(120, 4, 8),
    Size(60, 2, 6),
    Size(30, 1, 4),
)
PAIRS = {"labels", "annotations", "group_labels", "common_labels", "common_annotations"}  # names are free
PARAGRAPHS = {"annotations", "common_annotations"}  # a description may have line breaks

ESCAPED_SUFFIXES = (".html", ".mrkdwn")
BIDI = "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # reorder what is read
HIDDEN = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{BIDI}]")  # a line break and a tab stay

STRING_METHODS = {"lower", "upper", "title", "capitalize", "strip", "startswith", "endswith", "split"}
MAPPING_METHODS = {"get", "items", "keys", "values"}
KEPT_FILTERS = {
    *("abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float"),
    *("int", "items", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr"),
    *("reverse", "safe", "select", "selectattr", "sort", "string", "title", "trim", "truncate", "unique"),
    *("upper", "urlencode", "wordcount"),
}


class TemplateFailure(Exception):
    """A template could not be rendered; `reason` says which and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TooLong(SecurityError):
    """A template made more than anybody may; with shorter values it may not."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message in words; `text` and `reply` hold the markup of the channel, the rest none."""

    text: str
    reply: str | None
    title: str
    alternative: str | None = None  # the text once more without markup, where there is a template for it


class Templates:
    """The shipped templates, each replaced by the file of the same name in `directory` if there is one."""

    def __init__(self, directory: Path | None = None) -> None:
        self._environment = Sandbox([directory, TEMPLATES] if directory else [TEMPLATES])
        self._names = {  # `slack/triggered` → `slack/triggered.mrkdwn`: the suffix decides the escaping
            str(path.relative_to(TEMPLATES).with_suffix("")): str(path.relative_to(TEMPLATES))
            for path in sorted(TEMPLATES.glob("*/*.*"), key=lambda path: (path.suffix != ".txt", path))
        }
        self._names |= {  # `email/triggered.txt` beside `email/triggered.html`: for who reads no markup
            f"{stem}.txt": f"{stem}.txt"
            for stem, name in self._names.items()
            if not name.endswith(".txt") and (TEMPLATES / f"{stem}.txt").exists()
        }

    def render(self, kind: str, event: MessageEvent, facts: Mapping[str, Any]) -> Rendered:
        """Return the message of a channel kind; raise TemplateFailure for any error whatever.

        Values are shortened until the result fits the channel's limit; the result itself is never
        cut, because half a tag or half an escape makes the service refuse the whole message.
        """
        limit = TEXT_LIMITS.get(kind, DEFAULT_LIMIT)
        for size in SHORTENINGS:
            short = shortened(facts, size)
            try:
                text = self._fill(f"{kind}/{event}", short)
                plainly = f"{kind}/{event}.txt"
                alternative = self._fill(plainly, short) if plainly in self._names else None
                reply = self._fill(f"{kind}/reply", short)
            except TooLong:
                continue
            length = LENGTHS.get(kind, len)
            if length(text) <= limit and length(reply) <= MAX_REPLY:
                title = _cut(one_line(self._fill("_shared/title", short)), MAX_TITLE)
                return Rendered(text, one_line(reply) or None, title, alternative)
        raise TemplateFailure(f"{kind}/{event} stays longer than {limit} characters however short the values")

    def errors(self) -> list[str]:
        """Return what is wrong with the templates themselves, before any message needs them."""
        found = []
        for stem in self._names:
            try:
                self._template(stem)
            except TemplateFailure as failure:
                found.append(failure.reason)
        return found

    def _fill(self, stem: str, facts: dict[str, Any]) -> str:
        template = self._template(stem)
        token = _steps_left.set([MAX_STEPS])
        try:
            text = template.render(facts)
        except TooLong:
            raise
        except Exception as error:  # noqa: BLE001 - templates fail in every way there is; none may stop a page
            raise TemplateFailure(f"{template.name}: {type(error).__name__}: {error}") from None
        finally:
            _steps_left.reset(token)
        if str(template.name).endswith(".mrkdwn"):
            text = text.replace("&#39;", "'").replace("&#34;", '"')  # Slack knows only & < >
        return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip()

    def _template(self, stem: str) -> Template:
        name = self._names.get(stem)
        if name is None:
            raise TemplateFailure(f"there is no template {stem}")
        try:
            return self._environment.get_template(name)
        except Exception as error:  # noqa: BLE001 - the same
            line = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
            raise TemplateFailure(f"{name}{line}: {error}") from None


def plain(facts: Mapping[str, Any]) -> Rendered:
    """Return the message without any template: what is sent when a template fails. Cannot fail itself."""
    if facts.get("event") == MessageEvent.DIGEST:
        return _plain_digest(facts)
    incident = _mapping(facts, "incident")
    mark = "[DRILL] " if incident.get("drill") is True else ""
    severity = _word(incident, "severity").replace("none", "")
    state = one_line(f"{_word(incident, 'state').upper()} {severity}") or "ALERT"
    title = one_line(f"{mark}{state} · {_word(incident, 'title') or 'incident'}")
    lines = [_word(facts, "reason_text")]
    lines += [f"{name}: {value}" for name, value in _pairs(_mapping(incident, "annotations"))]
    lines += [f"{name} = {value}" for name, value in _pairs(_mapping(incident, "labels"))]
    lines += [f"since {incident['started_at']}"] if incident.get("started_at") else []
    lines += [f"acknowledged by {incident['acknowledged_by']}"] if incident.get("acknowledged_by") else []
    lines += [f"could not be reached: {facts['fallback_for']}"] if facts.get("fallback_for") else []
    lines += [link for link in (_link(facts.get("runbook_url")), _link(incident.get("url"))) if link]
    text = "\n".join(_tidied(line, 300, one_line) for line in lines if line)
    reply = one_line(_word(facts, "reason_text"))
    return Rendered(
        _cut(text, MAX_PLAIN) or title, mark + _cut(reply, 300) if reply else None, _cut(title, MAX_TITLE)
    )


def _plain_digest(facts: Mapping[str, Any]) -> Rendered:
    listed = facts.get("incidents")
    among = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list | tuple) else []
    count = facts.get("count") if isinstance(facts.get("count"), int) else len(among)
    worst = _word(_mapping(facts, "incident"), "title") or "incident"
    how_many = _word(facts, "reason_text") if facts.get("reason") in SUMMED_UP else f"{count} incidents"
    title = _cut(one_line(f"{how_many} · {worst}"), MAX_TITLE)
    lines = [
        f"{_word(one, 'state').upper()} {_word(one, 'severity')} · {_word(one, 'title')}" for one in among
    ]
    lines += [f"… and {facts['incidents_omitted']} more"] if facts.get("incidents_omitted") else []
    lines += [link for link in (_link(facts.get("list_url")),) if link]
    text = "\n".join(_cut(one_line(line), 120) for line in lines)
    return Rendered(_cut(text, MAX_PLAIN) or title, None, title)


def one_line(text: str) -> str:
    """Return the text without line breaks and without characters that do not print."""
    return " ".join(clean(text).split())


def clean(text: str) -> str:
    """Return the text without control characters, lone surrogates and marks that reorder it."""
    return HIDDEN.sub("", text)


def shortened(facts: Mapping[str, Any], size: Size) -> dict[str, Any]:
    """Return the facts with every value cut to size; alerts left out are counted in `alerts_omitted`."""
    alerts = list(facts.get("alerts") or [])
    short: dict[str, Any] = _short({name: value for name, value in facts.items() if name != "alerts"}, size)
    short["alerts"] = [_short(alert, size) for alert in alerts[: size.alerts]]
    short["alerts_omitted"] = int(facts.get("alerts_omitted") or 0) + len(alerts[size.alerts :])
    return short


def _short(value: Any, size: Size, name: str = "") -> Any:
    if isinstance(value, str):
        if name.endswith("url"):
            return value if len(value) <= MAX_URL and one_line(value) == value else ""
        return _tidied(value, size.longest, one_line)
    if isinstance(value, Mapping):
        if name in PAIRS:
            return _short_pairs(value, size, tidy=clean if name in PARAGRAPHS else one_line)
        if name == "answer_links":
            return {key: _short(inner, size, "url") for key, inner in value.items()}
        return {key: _short(inner, size, key) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_short(inner, size) for inner in value[: size.pairs]]
    return value


def _short_pairs(pairs: Mapping[str, Any], size: Size, *, tidy: Callable[[str], str]) -> dict[str, str]:
    kept = list(pairs.items())[: size.pairs]
    return {
        _tidied(name, size.longest, one_line): _tidied(str(value), size.longest, tidy) for name, value in kept
    }


def _tidied(text: str, longest: int, tidy: Callable[[str], str]) -> str:
    """Return a value clean and cut; what lies far behind the cut is not looked at, it may be megabytes."""
    near = text[: 4 * longest]
    tidied = tidy(near).strip()
    if len(near) < len(text) and len(tidied) < longest:
        tidied += "…"
    return _cut(tidied, longest)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _mapping(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = facts.get(name)
    return value if isinstance(value, Mapping) else {}


def _pairs(mapping: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in mapping.items()][:40]


def _word(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    return "" if value is None else str(value)


_steps_left: ContextVar[list[int] | None] = ContextVar("steps_left", default=None)


def _step(count: int = 1) -> None:
    left = _steps_left.get()
    if left is not None:
        left[0] -= count
        if left[0] < 0:
            raise SecurityError(f"it takes more than {MAX_STEPS} steps")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2 with what could eat memory or time taken out, and the rest counted."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, directories: list[Path]) -> None:
        super().__init__(
            loader=FileSystemLoader(directories),
            autoescape=lambda name: bool(name) and str(name).endswith(ESCAPED_SUFFIXES),
            undefined=StrictUndefined,
            optimized=False,  # constants are folded without the bounds below
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        ours: dict[str, Callable[..., Any]] = {
            "counted": _counted,
            "concat": _concat,
            "join": _join,
            "replace": _replace,
            "tojson": _tojson,
            "instant": _instant,
            "link": _link,
        }
        self.filters = {name: self.filters[name] for name in KEPT_FILTERS} | ours
        self.globals = {"range": _range}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        changed = Counting().visit(tree)
        assert isinstance(changed, nodes.Template)  # noqa: S101 - for mypy; the root is returned as it came
        return changed

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """Return the parts as one string, within the limit; captures, macros and the whole end here."""
        kept, size = [], 0
        for part in parts:
            size += len(part)
            kept.append(part)
            if size > MAX_STRING:
                raise TooLong(f"it makes more than {MAX_STRING} characters")
        return "".join(kept)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Return whether a template may have it: of plain data, only methods that cannot grow a value."""
        if isinstance(obj, str):
            return attr in STRING_METHODS
        if isinstance(obj, Mapping):
            return attr in MAPPING_METHODS
        if obj is None or isinstance(obj, bytes | int | float | list | tuple | set):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Offer no `str.format`: its widths are unbounded, and Jinja would let it past the check above."""

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Count a call, then make it."""
        _step()
        return super().call(context, obj, *args, **kwargs)

    def get_template(self, *args: Any, **kwargs: Any) -> Template:
        """Count an include or import: templates may include themselves."""
        _step()
        return super().get_template(*args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Calculate with small numbers; of strings and lists, only joining within the limit."""
        if isinstance(left, int | float) and isinstance(right, int | float):
            if max(abs(left), abs(right)) > MAX_NUMBER or (operator == "**" and abs(right) > 10):
                raise SecurityError("a number is too large")
            return super().call_binop(context, operator, left, right)
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return _concat([left, right])
        if operator == "+" and isinstance(left, list) and isinstance(right, list):
            _within(len(left) + len(right), MAX_ITEMS)
            return left + right
        raise SecurityError(f"{operator} is for numbers")


class Counting(NodeTransformer):
    """Routes what Jinja does not let us intercept (loops, `~`) through filters of ours."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - Jinja dispatches by this name
        """Count the iterations; a recursive loop could multiply without any."""
        if node.recursive:
            raise TemplateSyntaxError("recursive loops are not available", node.lineno)
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "counted", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802 - the same
        """Bound the length."""
        self.generic_visit(node)
        items = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(items, "concat", [], [], None, None, lineno=node.lineno)


def _within(size: int, limit: int) -> None:
    if size > limit:
        raise TooLong(f"it makes more than {limit} in one value")


def _range(*bounds: int) -> list[int]:
    numbers = range(*bounds)
    _within(len(numbers), MAX_ITEMS)
    _step(len(numbers))
    return list(numbers)


def _counted(values: Iterable[Any]) -> list[Any]:
    listed = list(values)
    _step(len(listed))
    return listed


def _concat(values: Iterable[Any]) -> str:
    return _join(values, "")


def _join(values: Iterable[Any], between: str = "", attribute: str | None = None) -> str:
    parts = [value[attribute] if attribute else value for value in values]
    if any(isinstance(part, Markup) for part in [between, *parts]):
        parts, between = [escape(part) for part in parts], escape(between)
    parts = [part if isinstance(part, str) else str(part) for part in parts]
    _within(sum(map(len, parts)) + len(between) * len(parts), MAX_STRING)
    return between.join(parts)


def _replace(text: str, old: str, new: str) -> str:
    _within(len(text) + text.count(old) * len(new), MAX_STRING)
    return text.replace(old, new)


def _tojson(value: Any) -> str:
    return dumps(value, ensure_ascii=False)


def _instant(moment: str | None) -> str:
    """Return an RFC 3339 time as people write it, in UTC; anything else as it is."""
    try:
        return datetime.fromisoformat(moment or "").astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):
        return moment or ""


def _link(url: str | None) -> str:
    """Return a web address that cannot break out of a link, or nothing: `javascript:` is no link."""
    if not isinstance(url, str) or not re.match(r"https?://[^\s/]", url):
        return ""
    return re.sub(r"[\s|<>\"'`]", lambda found: f"%{ord(found.group()):02X}", url)
