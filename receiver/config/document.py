"""What does a YAML text say, and where does it say it?"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn, TypeAlias

import yaml

MAX_DEPTH = 64  # a route tree needs two levels for each generation; deeper is an attack or a slip
MAX_NODES = 500_000  # aliases count every time they are used, so that a small file cannot become a huge one

Steps: TypeAlias = tuple[str | int, ...]
Ids: TypeAlias = frozenset[int] | set[int]


class Position(NamedTuple):
    """A place in the text; lines and columns count from 1."""

    line: int
    column: int


START = Position(1, 1)


class Problem(NamedTuple):
    """One thing a person must change, and where."""

    position: Position
    path: str
    text: str

    def line_of(self, file: str) -> str:
        """Return `file:line:column: path: what is wrong; what to do`."""
        line = f"{file}:{self.position.line}:{self.position.column}: {self.path}: {self.text}"
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class UnreadableError(Exception):
    """The text cannot be understood as a whole; `problem` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A single value."""

    position: Position
    text: str  # with variables expanded
    written: str  # as in the file; the only form that an error may show
    is_plain: bool  # without quotes, so `8080` is a number and `true` is not a word

    @property
    def is_expanded(self) -> bool:
        """The value came (in part) from the environment, so it may be a secret."""
        return "${" in self.written and self.text != self.written

    @property
    def is_empty(self) -> bool:
        """Nothing was written, or null."""
        return self.is_plain and self.text in NULLS and not self.is_expanded


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """A list."""

    position: Position
    items: list["Node"] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A mapping; keys are always strings."""

    position: Position
    entries: dict[str, "Node"] = field(default_factory=dict)
    keys: dict[str, Position] = field(default_factory=dict)  # where each key stands


Node: TypeAlias = Scalar | Sequence | Table


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML text: its values, each with its place, and what is wrong that still lets us read on."""

    root: Node
    problems: list[Problem]

    def find(self, path: Steps) -> tuple[Node, Steps]:
        """Return the deepest node along `path`, and the part of the path that led there."""
        node: Node = self.root
        for taken, step in enumerate(path):
            below = child(node, step)
            if below is None:
                return node, path[:taken]
            node = below
        return node, path


def child(node: Node, step: str | int) -> Node | None:
    """Return what lies one step below `node`."""
    if isinstance(node, Table) and isinstance(step, str):
        return node.entries.get(step)
    if isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None


def path_text(path: Iterable[str | int]) -> str:
    """Return a path as people write it: `route.routes[2].receiver`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the nearest of `words`, or nothing."""
    near = difflib.get_close_matches(word, sorted(words), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def read(text: str, environ: Mapping[str, str]) -> Document:
    """Return the document that `text` holds; raise UnreadableError if there is none."""
    composer = _Composer(text, environ)
    try:
        root = composer.document()
    except yaml.YAMLError as error:
        raise UnreadableError(_syntax_problem(text, error)) from None
    return Document(root, composer.problems)


def value_of(node: Node, as_text: Ids = frozenset(), absent: Ids = frozenset()) -> Any:
    """Return plain Python values.

    Scalars whose id is in `as_text` stay text, and tables lose the entries whose id is in `absent`.
    """
    if isinstance(node, Scalar):
        return node.text if id(node) in as_text else _typed(node)
    if isinstance(node, Sequence):
        return [value_of(item, as_text, absent) for item in node.items]
    return {
        key: value_of(item, as_text, absent) for key, item in node.entries.items() if id(item) not in absent
    }


# The scalars of YAML 1.2's core schema: `no` and `12:30` are words here, and 012 is twelve.
LONGEST_NUMBER = 100
NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_PREFIXED_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def _typed(scalar: Scalar) -> str | int | float | bool | None:
    text = scalar.text
    if not scalar.is_plain or len(text) > LONGEST_NUMBER:
        return text
    if scalar.is_empty:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _PREFIXED_INT.fullmatch(text):
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL_FLOAT.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, ten times as fast
_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"})


class _Composer:
    """Builds nodes from PyYAML's events, which carry positions and know nothing of types."""

    def __init__(self, text: str, environ: Mapping[str, str]) -> None:
        self.events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self.environ = environ
        self.problems: list[Problem] = []
        self.anchors: dict[str, tuple[Node, int, int]] = {}  # with the number of its values and of its levels
        self.count = 0
        self.deepest = 0

    def document(self) -> Node:
        next(self.events)  # the start of the stream
        if isinstance(event := next(self.events), yaml.StreamEndEvent):
            _refuse(START, "file", "is empty; it needs at least `route` and `receivers`")
        root = self.node(next(self.events), ())
        next(self.events)  # the end of the document
        if not isinstance(event := next(self.events), yaml.StreamEndEvent):
            _refuse(_start(event), "yaml", 'holds a second document; remove the line "---" and what follows')
        return root

    def node(self, event: Any, path: Steps) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, path)
        before, above = self.count, self.deepest
        self.deepest = len(path)
        self.grow(1, 0, path, event)
        self.check_tag(event, path)
        if isinstance(event, yaml.ScalarEvent):
            node: Node = self.scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(event, path)
        else:
            node = self.table(event, path)
        if event.anchor:
            self.anchors[event.anchor] = node, self.count - before, self.deepest - len(path)
        self.deepest = max(self.deepest, above)
        return node

    def alias(self, event: Any, path: Steps) -> Node:
        if event.anchor not in self.anchors:
            text = f'no anchor "&{event.anchor}" stands before this alias; write the value here'
            _refuse(_start(event), path_text(path), text)
        node, size, levels = self.anchors[event.anchor]
        self.grow(size, levels, path, event)
        return node

    def grow(self, size: int, levels: int, path: Steps, event: Any) -> None:
        self.count += size
        self.deepest = max(self.deepest, len(path) + levels)
        if self.count > MAX_NODES:
            _refuse(_start(event), "yaml", f"holds more than {MAX_NODES} values; use fewer aliases")
        if self.deepest > MAX_DEPTH:
            _refuse(_start(event), "yaml", f"is nested more than {MAX_DEPTH} levels deep; make it flatter")

    def sequence(self, event: Any, path: Steps) -> Sequence:
        sequence = Sequence(_start(event))
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            sequence.items.append(self.node(event, (*path, len(sequence.items))))
        return sequence

    def table(self, event: Any, path: Steps) -> Table:
        table = Table(_start(event))
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key, position = self.key(event, path)
            below = (*path, key)
            node = self.node(next(self.events), below)
            if key == "<<" and event.implicit[0]:
                text = "merge keys are not supported; write the keys out in both places"
                self.problems.append(Problem(position, path_text(below), text))
            elif key in table.entries:
                text = f"is written twice (first in line {table.keys[key].line}); keep one"
                self.problems.append(Problem(position, path_text(below), text))
            else:
                table.entries[key] = node
                table.keys[key] = position
        return table

    def key(self, event: Any, path: Steps) -> tuple[str, Position]:
        if not isinstance(event, yaml.ScalarEvent):
            _refuse(
                _start(event), path_text(path) or "yaml", "has a key that is not a plain word; write a word"
            )
        return event.value, _start(event)

    def scalar(self, event: Any, path: Steps) -> Scalar:
        position = _start(event)
        is_plain = bool(event.implicit[0]) and event.tag is None
        text, problem = expand(event.value, self.environ)
        if problem:
            self.problems.append(Problem(position, path_text(path), problem))
        return Scalar(position, text, event.value, is_plain)

    def check_tag(self, event: Any, path: Steps) -> None:
        if event.tag not in _TAGS:
            text = f'has the tag "{event.tag}", which means nothing here; remove it'
            self.problems.append(Problem(_start(event), path_text(path) or "yaml", text))


_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<bad>\{))"
)

# How Python hands over bytes that are no text.
_SURROGATE = re.compile("[\ud800-\udfff]")


def expand(text: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Return `text` with `${NAME}`, `${NAME:-default}` and `$$` expanded, and what is wrong with it."""
    if "$" not in text:
        return text, None
    problems: list[str] = []

    def replace(found: re.Match[str]) -> str:
        value, problem = _meaning(found, environ)
        problems.extend([problem] if problem else [])
        return value

    return _VARIABLE.sub(replace, text), "; ".join(problems) or None


def _meaning(found: re.Match[str], environ: Mapping[str, str]) -> tuple[str, str | None]:
    name, default = found["name"], found["default"]
    if found["dollar"]:
        return "$", None
    if found["bad"]:
        text = '"${" does not begin a variable; write ${NAME}, ${NAME:-default}, or $$ for a dollar sign'
        return found[0], text
    value = environ.get(name)
    if default is not None:
        value = value or default
    if value is None:
        return found[0], f"the variable {name} is not set; set it, or write ${{{name}:-default}}"
    if _SURROGATE.search(value):
        return found[0], f"the variable {name} is not UTF-8 text; correct it"
    return value, None


def _start(event: Any) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)


def _refuse(position: Position, path: str, text: str) -> NoReturn:
    raise UnreadableError(Problem(position, path, text))


def _syntax_problem(text: str, error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else START
        began = error.context_mark if error.context and "next token" not in error.context else None
        where = f" {error.context} that begins in line {began.line + 1}" if began else ""
        lines = text.splitlines()[position.line - 1 : position.line]
        advice = (
            'put quotes around "${…}"' if "${" in "".join(lines) else "correct the YAML around this place"
        )
        return Problem(position, "yaml", f"{error.problem}{where}; {advice}")
    before = text.encode()[: getattr(error, "position", 0)].decode(errors="ignore")  # an offset in bytes
    position = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
    return Problem(position, "yaml", "a control character cannot stand here; remove it")
