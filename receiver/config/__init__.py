"""What does routing.yaml ask of us, and is it sound?"""

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from receiver.config import lint
from receiver.config.calendar_files import days_in
from receiver.config.credentials import Credentials, credentials
from receiver.config.document import (
    START,
    Document,
    Problem,
    Scalar,
    Sequence,
    Table,
    UnreadableError,
    read,
    value_of,
)
from receiver.config.environment import Settings, settings
from receiver.config.problems import ConfigError, describe
from receiver.config.records import BaseReceiver, Config, Destination, OutgoingHeartbeat, Source
from receiver.config.schema import schema, schema_text
from receiver.config.shared import fill_in
from receiver.policy import holidays

__all__ = [
    "BaseReceiver",
    "Config",
    "ConfigError",
    "Credentials",
    "Destination",
    "OutgoingHeartbeat",
    "Settings",
    "Source",
    "check",
    "credentials",
    "load",
    "parse",
    "schema",
    "schema_text",
    "settings",
    "text_of",
    "validate",
]

Model = TypeVar("Model", bound=BaseModel)

# Where a key that ends in `_file` names a file.
FILE_SECTIONS = ("sources", "receivers", "global", "time_intervals", "outgoing_heartbeat", "schedules")


def load(path: str | os.PathLike[str], environ: Mapping[str, str]) -> Config:
    """Return the configuration in the file; raise ConfigError with everything that is wrong with it."""
    file = os.fspath(path)
    return parse(text_of(file), environ, file)


def parse(text: str, environ: Mapping[str, str], file: str = "routing.yaml") -> Config:
    """Return the configuration in the text, as if it stood in `file`."""
    config, _, problems = _read(text, environ, file)
    if config is None:
        raise ConfigError(_lines(problems, file))
    return config


def check(
    path: str | os.PathLike[str], environ: Mapping[str, str], at: datetime
) -> tuple[list[str], list[str]]:
    """Return every error in the file and, if there is none, every warning."""
    file = os.fspath(path)
    try:
        config, document, problems = _read(text_of(file), environ, file)
    except ConfigError as error:
        return error.errors, []
    if config is None or document is None:
        return _lines(problems, file), []
    found = lint.warnings(document, config, Path(file).parent, at)
    return [], _lines((p._replace(text=f"warning: {p.text}") for p in found), file)


def text_of(file: str) -> str:
    """Return what the file says; raise ConfigError if it cannot be read as UTF-8."""
    try:
        return Path(file).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        text = f"{file}:{line}:{column}: file: is not UTF-8 text; save it as UTF-8"
        raise ConfigError([text]) from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ConfigError([f"{file}:1:1: file: cannot be read: {reason}; correct the path"]) from None


def _lines(problems: Any, file: str) -> list[str]:
    return [problem.line_of(file) for problem in sorted(set(problems))]


def _read(
    text: str, environ: Mapping[str, str], file: str
) -> tuple[Config | None, Document | None, list[Problem]]:
    try:
        document = read(text, environ)
    except UnreadableError as error:
        return None, None, [error.problem]
    if not isinstance(document.root, Table):
        problem = "must be a mapping with `route` and `receivers`; write keys at the left margin"
        return None, None, [Problem(START, "file", problem)]
    config, wrong = _validate(document, Path(file).parent)
    unset = {(p.position, p.path) for p in document.problems}  # what follows from these is noise
    problems = [p for p in (*wrong, *lint.errors(document)) if (p.position, p.path) not in unset]
    problems += document.problems
    return (None if problems else config), document, problems


def _validate(document: Document, directory: Path) -> tuple[Config | None, list[Problem]]:
    def prepare(values: Any) -> None:
        for section in FILE_SECTIONS:
            _resolve_files(values.get(section), directory)
        fill_in(values)

    return validate(document, Config, prepare, {holidays.READER: cache(days_in)})


def validate(
    document: Document,
    model: type[Model],
    prepare: Callable[[Any], None] = lambda _: None,
    context: Mapping[str, Any] | None = None,
) -> tuple[Model | None, list[Problem]]:
    """Return the record that the document describes, and what is wrong with it.

    The record says what is wanted where: if it wants text and the YAML has a number, it is
    given what was written, as Alertmanager does, and asked again.
    """
    as_text: set[int] = set()
    absent: set[int] = set()
    while True:
        values = value_of(document.root, as_text, absent)
        prepare(values)
        try:
            return model.model_validate(values, context=context), []
        except ValidationError as error:
            found = error.errors(include_url=False)
            if not _corrected(document, found, as_text, absent):
                return None, [
                    describe(document, each, model) for each in found if not _is_echo(document, each)
                ]


def _corrected(document: Document, found: list[ErrorDetails], as_text: set[int], absent: set[int]) -> bool:
    """Note the values that should be read in another way; return whether there is a new one."""
    before = len(as_text) + len(absent)
    for error in found:
        node, path = document.find(error["loc"])
        if path != error["loc"] or not isinstance(node, Scalar):
            continue
        kind = error["type"]
        if kind in EMPTY_IS_ABSENT and node.is_empty:
            absent.add(id(node))
        elif kind in {"string_type", "literal_error"} and not node.is_empty:
            as_text.add(id(node))
    return len(as_text) + len(absent) > before


def _is_echo(document: Document, error: ErrorDetails) -> bool:
    """Say that a list is only "too short" because pydantic did not count its faulty entries."""
    node, _ = document.find(error["loc"])
    return error["type"] == "too_short" and isinstance(node, Sequence) and bool(node.items)


EMPTY_IS_ABSENT = {"tuple_type", "list_type", "dict_type"}  # `routes:` with everything below it commented out


def _resolve_files(value: Any, directory: Path) -> None:
    """Make the names of files below `value` relative to the folder of routing.yaml."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _resolve_files(item, directory)
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "file" or key.endswith("_file"):
                value[key] = _resolved(item, directory)
            if key.endswith("_files") and isinstance(item, list):
                value[key] = [_resolved(each, directory) for each in item]


def _resolved(file: Any, directory: Path) -> Any:
    return str(directory / file) if isinstance(file, str) and file else file
