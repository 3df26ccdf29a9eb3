"""What of an alertmanager.yml can routing.yaml say, and what is to be done about the rest?

The result is text: values stay as they were written, and what is not translated is a comment where it stood.
Only names are ever told, for a value may be a secret.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from receiver.channels import KINDS
from receiver.channels.smtp import TlsConfig
from receiver.channels.webhook import HttpConfig
from receiver.config import validate
from receiver.config.document import (
    Document,
    Node,
    Position,
    Problem,
    Scalar,
    Sequence,
    Steps,
    Table,
    UnreadableError,
    path_text,
    read,
    value_of,
)
from receiver.config.problems import ConfigError
from receiver.config.shared import Global, filled
from receiver.policy.hours import TimeInterval
from receiver.policy.muting import InhibitRule
from receiver.policy.routing import Route

HEAD = """\
# Made by `tocsin import` from {file}.
#
# What differs from Alertmanager where neither file says anything:
# - group_wait is 0s here and group_interval 30s, not 30s and 5m: Alertmanager, in front, has waited already.
#   What is written below is waited for again; take it out where that is too long.
# - send_resolved is true everywhere; in Alertmanager it is false for Slack, e-mail and WeChat.
# - A route outside its hours waits for them (`outside: defer`); Alertmanager drops (`outside: drop`).
# - What the messages say are Tocsin's own templates.
"""
SECTIONS = ("global", "time_intervals", "mute_time_intervals", "receivers", "route", "inhibit_rules")
NESTED: Mapping[str, type[BaseModel]] = {"http_config": HttpConfig, "tls_config": TlsConfig}
BOOLS = {"continue", "send_resolved", "require_tls", "smtp_require_tls", "disable_notifications"} | {
    *("update_alerts", "insecure_skip_verify", "force_implicit_tls"),
}
YES, NO = {"yes", "on", "y"}, {"no", "off", "n"}  # Alertmanager reads YAML 1.1, where these are no words
PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")
VARIABLE = re.compile(r"\$\$|\$\{(?![A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\})")
BY_APPRISE = {
    "discord",
    "msteams",
    "msteamsv2",
    "pushover",
    "webex",
    "rocketchat",
    "mattermost",
    "wechat",
    "sns",
}
WORDS = "what messages say are Tocsin's own templates"
HINTS = {  # by key
    "templates": f"Go templates are not read; {WORDS}",
    "title": WORDS, "text": WORDS, "html": WORDS, "message": WORDS, "body": WORDS, "description": WORDS,
    "fallback": WORDS, "pretext": WORDS, "footer": WORDS, "fields": WORDS, "actions": WORDS, "color": WORDS,
    "title_link": WORDS, "short_fields": WORDS, "callback_id": WORDS, "mrkdwn_in": WORDS, "headers": WORDS,
    "http_config": "proxies, TLS and OAuth cannot be set for one service; use the system's",
    "resolve_timeout": "an alert ends when Alertmanager says so; see vanish_after in docs/routing.md",
    "service_key": "make an Events API v2 integration in PagerDuty and write its routing_key",
    "tracing": "Tocsin does not trace",
}  # fmt: skip
NOT_ONE = "is no Alertmanager configuration: it has no route or receivers; name another"
NO_TABLE = "it is not a mapping; write keys with values"
NOBODY = "nobody is told by this receiver: none of its destinations was translated"


@dataclass
class Translation:
    """A routing.yaml, and what of the other file is not in it."""

    text: str
    lost: list[Problem]


def translate(text: str, file: str) -> Translation:
    """Return the configuration as routing.yaml says it. Errors: ConfigError, where there is none."""
    try:
        document = read(text, {})
    except UnreadableError as error:
        raise ConfigError([error.problem.line_of(file)]) from None
    root = document.root
    if not isinstance(root, Table) or "route" not in root.entries or "receivers" not in root.entries:
        problem = Problem(root.position, "file", NOT_ONE)
        raise ConfigError([problem.line_of(file)])
    found = _Translator(file)
    found.lost += [one for one in document.problems if "is not set" not in one.text]
    lines = found.table(found.root(root), 0)
    return Translation("\n".join([HEAD.format(file=_in_comment(file)), *lines, ""]), sorted(set(found.lost)))


@dataclass
class _Translator:
    file: str
    lost: list[Problem] = field(default_factory=list)
    notes: dict[int, list[str]] = field(
        default_factory=dict
    )  # comments, by the id of the table they stand in
    tables: list[Table] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)  # the values of `global`

    def begin(self, position: Position) -> Table:
        """Return an empty table; all are kept, for comments are known by the id of theirs."""
        self.tables.append(Table(position))
        return self.tables[-1]

    def root(self, node: Table) -> Table:
        kept, before = self.begin(node.position), len(self.lost)
        for key in node.entries:
            if key not in SECTIONS:
                self.lose(kept, node.keys[key], (key,), HINTS.get(key, "there is no such thing here"))
        for problem in self.lost[:before]:
            self.note(kept, problem)
        shared = node.entries.get("global")
        if isinstance(shared, Scalar | Sequence) and not _is_empty(shared):
            self.lose(kept, shared.position, ("global",), NO_TABLE)
        if isinstance(shared, Table):
            kept.entries["global"] = self.known(shared, Global, ("global",))
            self.shared = value_of(kept.entries["global"])
        intervals = [
            self.known(one, TimeInterval, (section, n))
            for section in ("time_intervals", "mute_time_intervals")
            for n, one in enumerate(self.items(kept, node, section, (section,)))
        ]
        kept.entries["time_intervals"] = Sequence(node.position, list(intervals))
        receivers = [
            self.receiver(one, ("receivers", n))
            for n, one in enumerate(self.items(kept, node, "receivers", ("receivers",)))
            if self.is_table(kept, one, ("receivers", n))
        ]
        kept.entries["receivers"] = Sequence(node.position, list(receivers))
        kept.entries["route"] = self.route(node.entries["route"], ("route",))
        rules = self.items(kept, node, "inhibit_rules", ("inhibit_rules",))
        kept.entries["inhibit_rules"] = Sequence(
            node.position, [self.known(one, InhibitRule, ("inhibit_rules", n)) for n, one in enumerate(rules)]
        )
        return kept

    def route(self, node: Node, path: Steps) -> Node:
        kept = self.known(node, Route, path)
        below = kept.entries.get("routes") if isinstance(kept, Table) else None
        if isinstance(kept, Table) and isinstance(below, Sequence):
            routes = [self.route(one, (*path, "routes", n)) for n, one in enumerate(below.items)]
            kept.entries["routes"] = Sequence(below.position, routes)
        return kept

    def receiver(self, node: Node, path: Steps) -> Table:
        assert isinstance(node, Table)  # noqa: S101 - `root` has asked
        kept, count, had = self.begin(node.position), 0, 0
        for key, below in node.entries.items():
            kind = key.removesuffix("_configs")
            if key == "name":
                kept.entries[key] = below
            elif kind not in KINDS or kind == key:
                had += 1
                self.lose(kept, node.keys[key], (*path, key), _instead(kind, key))
            else:
                found = self.items(kept, node, key, (*path, key))
                had += not _is_empty(below)
                entries = [
                    entry
                    for n, one in enumerate(found)
                    if self.is_table(kept, one, (*path, key, n))
                    and (entry := self.entry(kept, kind, one, (*path, key, n))) is not None
                ]
                count += len(entries)
                if entries:
                    kept.entries[key] = Sequence(below.position, list(entries))
        if had and not count:
            self.lose(kept, node.position, path, NOBODY, how="")
        return kept

    def entry(self, above: Table, kind: str, node: Node, path: Steps) -> Node | None:
        """Return an entry of `<kind>_configs` with what we know of it, None where it would not be sound."""
        config = KINDS[kind].Config
        kept = self.known(node, config, path, no_templates=True)
        if "${" in json.dumps(value_of(kept)):
            return kept  # what a variable holds is not known here

        def fill(values: Any) -> None:
            values.update(filled(kind, dict(values), self.shared))

        _, problems = validate(Document(kept, []), config, fill)
        if not problems:
            return kept
        why = "; ".join(f"{one.path}: {one.text}" if one.path != "file" else one.text for one in problems)
        self.notes.setdefault(id(above), []).extend(self.notes.pop(id(kept), ()))
        self.lose(above, node.position, path, why, how="left out as a whole: ")
        return None

    def known(self, node: Node, model: type[BaseModel], path: Steps, *, no_templates: bool = False) -> Node:
        """Return the table with the keys that a record has; the others are lost."""
        if not isinstance(node, Table):
            return node
        names = {field.alias or name for name, field in model.model_fields.items()}
        kept = self.begin(node.position)
        for key, below in node.entries.items():
            here = (*path, key)
            if isinstance(below, Scalar) and below.is_empty:
                continue
            if key not in names:
                self.lose(kept, node.keys[key], here, HINTS.get(key, "there is no such key here"))
            elif key in NESTED and isinstance(below, Table):
                kept.entries[key] = self.known(below, NESTED[key], here)
            else:
                plain = self.without_templates(kept, below, node.keys[key], here) if no_templates else below
                if plain is not None:
                    kept.entries[key] = plain
        return kept

    def without_templates(self, above: Table, node: Node, position: Position, path: Steps) -> Node | None:
        """Return what has no Go template in it; None for what is one."""
        if isinstance(node, Scalar) and "{{" in node.written:
            self.lose(above, position, path, f"Go templates are not read; {WORDS}, or write a fixed value")
            return None
        if isinstance(node, Table):
            kept = self.begin(node.position)
            for key, below in node.entries.items():
                sound = self.without_templates(kept, below, node.keys[key], (*path, key))
                if sound is not None:
                    kept.entries[key] = sound
            return kept
        if isinstance(node, Sequence):
            items = [
                plain
                for n, one in enumerate(node.items)
                if (plain := self.without_templates(above, one, one.position, (*path, n))) is not None
            ]
            return Sequence(node.position, items)
        return node

    def items(self, above: Table, node: Table, key: str, path: Steps) -> list[Node]:
        """Return what a list holds; what is no list is lost."""
        below = node.entries.get(key)
        if isinstance(below, Sequence):
            return below.items
        if below is not None and not _is_empty(below):
            self.lose(above, node.keys[key], path, "it is not a list; write each entry after a dash")
        return []

    def is_table(self, above: Table, node: Node, path: Steps) -> bool:
        """Return whether it is a mapping; what is none is lost."""
        if not isinstance(node, Table) and not _is_empty(node):
            self.lose(above, node.position, path, NO_TABLE)
        return isinstance(node, Table)

    def lose(
        self, above: Table, position: Position, path: Steps, hint: str, *, how: str = "not translated: "
    ) -> None:
        """Note what is not translated, for the person and as a comment."""
        problem = Problem(position, path_text(path), f"{how}{hint}")
        self.lost.append(problem)
        self.note(above, problem)

    def note(self, above: Table, problem: Problem) -> None:
        """Write what is lost as a comment of the table it stood in."""
        self.notes.setdefault(id(above), []).append(_in_comment(problem.line_of(self.file)))

    # How it is written out.

    def table(self, node: Table, depth: int) -> list[str]:
        """Return the lines of a table at a depth, its comments first."""
        room = "  " * depth
        lines = [f"{room}# {note}" for note in self.notes.get(id(node), ())]
        for key, below in node.entries.items():
            if isinstance(below, Scalar):
                lines.append(f"{room}{_quoted(key)}: {_written(below, key)}")
            elif below.items if isinstance(below, Sequence) else below.entries:
                lines += [f"{room}{_quoted(key)}:", *self.below(below, depth + 1)]
            else:
                lines += self.below(below, depth)  # its comments
                lines += [f"{room}{_quoted(key)}: {_empty(below)}"] if depth else []
        return lines

    def below(self, node: Table | Sequence, depth: int) -> list[str]:
        if isinstance(node, Table):
            return self.table(node, depth)
        room, lines = "  " * depth, []
        for one in node.items:
            if isinstance(one, Scalar):
                lines.append(f"{room}- {_written(one)}")
                continue
            inner = self.below(one, depth + 1)
            at = next((n for n, line in enumerate(inner) if not line.lstrip().startswith("#")), len(inner))
            first = inner[at].lstrip() if inner[at:] else _empty(one)
            comments = [f"{room}{line.lstrip()}" for line in inner[:at]]
            lines += [*comments, f"{room}- {first}", *inner[at + 1 :]]
        return lines


def _empty(node: Table | Sequence) -> str:
    return "{}" if isinstance(node, Table) else "[]"


def _is_empty(node: Node) -> bool:
    if isinstance(node, Scalar):
        return node.is_empty
    return not (node.items if isinstance(node, Sequence) else node.entries)


def _instead(kind: str, key: str) -> str:
    if not key.endswith("_configs"):
        return "there is no such key here"
    if kind in BY_APPRISE:
        return "there is no such channel; apprise_configs reaches it, see docs/channels/apprise.md"
    return "there is no such channel; webhook_configs can tell a program that does it"


def _quoted(text: str) -> str:
    return text if PLAIN.fullmatch(text) and not text.isdigit() else json.dumps(text, ensure_ascii=False)


def _written(node: Scalar, key: str = "") -> str:
    """Return a value as routing.yaml must write it to mean the same."""
    if node.is_plain and key in BOOLS and node.written.lower() in YES | NO:
        return "true" if node.written.lower() in YES else "false"
    if node.is_plain and (PLAIN.fullmatch(node.written) or node.is_empty):
        return node.written or "null"
    text = VARIABLE.sub(lambda found: f"${found[0]}" if found[0] == "${" else "$$$$", node.written)
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"  # as people write matchers
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f").replace("\x85", "\\u0085")


def _in_comment(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)


def told(lost: Iterable[Problem], file: str) -> list[str]:
    """Return a line for each thing that is not translated."""
    return [one.line_of(file) for one in lost]
