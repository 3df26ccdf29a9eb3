"""How do we tell a person what is wrong with the configuration?"""

import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from receiver.config.document import Document, Node, Problem, Scalar, Steps, Table, did_you_mean, path_text
from receiver.config.document import Sequence as ListNode


class ConfigError(Exception):
    """The configuration cannot be used; `errors` has one line for each thing to change."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


LATER = "there is no such channel yet; use slack_configs or webhook_configs"
HINTS = {  # what people bring from alertmanager.yml
    "templates": "messages come from the templates that are shipped; remove it",
    "mute_time_intervals": "write it under time_intervals",
    "tracing": "there are no traces yet; remove it",
    **dict.fromkeys(
        ("service_key", "service_key_file"),
        "Events API v1 is not spoken; add an Events API v2 integration to the service in PagerDuty, and write"
        " its integration key as routing_key",
    ),
    **dict.fromkeys(
        ("description", "message", "html", "text"), "what is said is written by Tocsin; remove it"
    ),
    "threading": "the mails of an incident are one thread anyhow; remove it",
    **dict.fromkeys(
        (
            "discord_configs",
            "incidentio_configs",
            "jira_configs",
            "mattermost_configs",
            "msteams_configs",
            "msteamsv2_configs",
            "pushover_configs",
            "rocketchat_configs",
            "sns_configs",
            "victorops_configs",
            "webex_configs",
            "wechat_configs",
        ),
        LATER,
    ),
}
EXPECTED = {  # what a value of each type must be, and how to write it
    "bool": "must be true or false",
    "dict": 'must be a mapping; write "key: value" lines below it',
    "float": "must be a number",
    "int": "must be a whole number",
    "list": 'must be a list; begin each entry with "- "',
    "mapping": 'must be a mapping; write "key: value" lines below it',
    "model": 'must be a mapping; write "key: value" lines below it',
    "string": "must be text",
    "tuple": 'must be a list; begin each entry with "- "',
}


def describe(document: Document, error: ErrorDetails, model: type[BaseModel]) -> Problem:
    """Return what pydantic found as a sentence with a place; no secret is in it."""
    path: Steps = error["loc"]
    kind = error["type"]
    node, found = document.find(path)
    if kind == "missing":
        return Problem(node.position, path_text(path), "is missing; add it")
    if kind == "extra_forbidden":
        return _unknown_key(document, path, model)
    if isinstance(node, Scalar) and node.is_empty:
        return Problem(node.position, path_text(found), "is empty; write a value, or remove the key")
    return Problem(node.position, path_text(found) or "file", _hide(node, _words(error)))


def _unknown_key(document: Document, path: Steps, model: type[BaseModel]) -> Problem:
    parent, _ = document.find(path[:-1])
    key = str(path[-1])
    position = parent.keys.get(key, parent.position) if isinstance(parent, Table) else parent.position
    known = known_keys(model, path[:-1])
    advice = f"; {HINTS[key]}" if key in HINTS and key not in known else did_you_mean(key, known)
    text = "is not a known key" + (advice or f"; the keys here are {', '.join(sorted(known))}")
    return Problem(position, path_text(path), text)


def _words(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in {"literal_error", "enum"}:
        return _choices(error, re.findall(r"'([^']*)'", context["expected"]))
    if kind == "string_pattern_mismatch":
        return f"has characters that cannot stand here; write what matches {context['pattern']}"
    if kind == "too_long":
        return f"has {context['actual_length']} entries; keep at most {context['max_length']}"
    if kind in {"too_short", "string_too_short"}:
        return "is empty; write a value, or remove the key"
    expected = (
        EXPECTED.get(kind.split("_")[0]) if kind.endswith(("_type", "_parsing", "_from_float")) else None
    )
    return expected or error["msg"].replace("Input should be", "must be").replace("Value should", "must")


def _choices(error: ErrorDetails, choices: Sequence[str]) -> str:
    meant = did_you_mean(str(error.get("input")), choices)
    return "must be " + " or ".join(f'"{choice}"' for choice in choices) + meant


def _hide(node: Node, text: str) -> str:
    """Return `text` without what came from the environment: it may be a secret."""
    if isinstance(node, Scalar) and node.is_expanded:
        return f"what {node.written} stands for is not valid here; correct the variable"
    for scalar in scalars(node):
        if scalar.is_expanded and scalar.text:
            text = text.replace(scalar.text, scalar.written)
    return text


def scalars(node: Node) -> Iterator[Scalar]:
    """Return every single value at or below `node`."""
    if isinstance(node, Scalar):
        yield node
        return
    for below in node.items if isinstance(node, ListNode) else node.entries.values():
        yield from scalars(below)


def known_keys(model: type[BaseModel], path: Iterable[str | int]) -> set[str]:
    """Return the keys that the record at `path` below `model` may have."""
    for step in path:
        field = next((f for name, f in model.model_fields.items() if step in {name, f.alias}), None)
        if field is not None:
            model = next(_records(field.annotation), model)
    return {field.alias or name for name, field in model.model_fields.items()}


def _records(annotation: Any) -> Iterator[type[BaseModel]]:
    """Return the record classes named anywhere in a type, e.g. Route in `tuple[Route, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _records(argument)
