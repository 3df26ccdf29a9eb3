"""Does an alert's label set satisfy a list of matchers?"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import re2
from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import core_schema

from receiver.policy import syntax
from receiver.policy.syntax import EXAMPLE, MatcherError

Labels = Mapping[str, str]

EQUAL, NOT_EQUAL, REGEX, NOT_REGEX = "=", "!=", "=~", "!~"
OPERATORS = (EQUAL, NOT_EQUAL, REGEX, NOT_REGEX)  # in Alertmanager's sorting order

_CLASSIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ANY_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")
_ALTERNATIVES = re.compile(r"[a-zA-Z0-9_ /:|-]*")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label, such as `severity=~"critical|page"`."""

    name: str
    op: str
    value: str
    _literals: frozenset[str] | None = field(init=False, repr=False, compare=False, default=None)
    _regex: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise MatcherError(f'"{self.op}" is not an operator; use one of {" ".join(OPERATORS)}')
        if not is_label_name(self.name):
            raise MatcherError(f"a matcher needs the name of a label; write for example {EXAMPLE}")
        if self.op in {REGEX, NOT_REGEX}:
            object.__setattr__(self, "_regex", _compile(self.value))
            bare = self.value.removeprefix("^(?:").removesuffix(")$")  # as match_re is written out
            if _ALTERNATIVES.fullmatch(bare):  # a set is far faster than any regular expression
                object.__setattr__(self, "_literals", frozenset(bare.split("|")))

    def matches(self, labels: Labels) -> bool:
        """Return whether the label's value satisfies the condition."""
        actual = labels.get(self.name, "")  # a missing label equals the empty string
        op = self.op
        if op == EQUAL:
            return actual == self.value
        if op == NOT_EQUAL:
            return actual != self.value
        if self._literals is not None:
            return (actual in self._literals) is (op == REGEX)
        # Bytes, because the binding is several times slower on text; RE2 reads them as UTF-8.
        found = self._regex.search(actual.encode("utf-8", "surrogatepass")) is not None
        return found is (op == REGEX)

    def __str__(self) -> str:
        return syntax.written(self.name, self.op, self.value)


def matches(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Return whether the labels satisfy every matcher."""
    for matcher in matchers:  # noqa: SIM110 - all() with a generator costs twice as much on the hot path
        if not matcher.matches(labels):
            return False
    return True


def is_label_name(name: str) -> bool:
    """Return whether Prometheus 3 accepts the name: anything but nothing."""
    return bool(name)


def is_classic_label_name(name: str) -> bool:
    """Return whether every Prometheus accepts the name: letters, digits and underscores."""
    return _CLASSIC_NAME.fullmatch(name) is not None


def in_order(matchers: Iterable[Matcher]) -> tuple[Matcher, ...]:
    """Return the matchers in the order in which Alertmanager writes them into a group key."""
    return tuple(
        sorted(matchers, key=lambda matcher: (matcher.name, matcher.value, OPERATORS.index(matcher.op)))
    )


def to_api(matcher: Matcher) -> dict[str, str | bool]:
    """Return the matcher as Alertmanager's API writes it."""
    return {
        "name": matcher.name,
        "value": matcher.value,
        "isRegex": matcher.op in {REGEX, NOT_REGEX},
        "isEqual": matcher.op in {EQUAL, REGEX},
    }


def from_api(body: Mapping[str, Any]) -> Matcher:
    """Return the matcher that Alertmanager's API wrote; older ones leave out isEqual."""
    ops = (EQUAL, REGEX) if body.get("isEqual", True) else (NOT_EQUAL, NOT_REGEX)
    return Matcher(body["name"], ops[bool(body["isRegex"])], body["value"])


def parse_matchers(text: str) -> list[Matcher]:
    """Return the matchers that Alertmanager reads in the text in its default mode.

    It reads the text in the classic and in the UTF-8 syntax; where both have an
    answer and the answers differ, the classic one counts.
    """
    try:
        classic = parse_classic_matchers(text)
    except MatcherError as refusal:
        return _utf8_or(refusal, text)
    return classic


def parse_matcher(text: str) -> Matcher:
    """Return the one matcher that Alertmanager reads in the text in its default mode."""
    _refuse_braces(text)
    try:
        return parse_classic_matcher(text)
    except MatcherError as refusal:
        return _only(_utf8_or(refusal, text))


def parse_classic_matchers(text: str) -> list[Matcher]:
    """Return the matchers of a list in the syntax from before UTF-8 label names."""
    return [Matcher(*parts) for parts in syntax.read_classic_list(text)]


def parse_classic_matcher(text: str) -> Matcher:
    """Return the one matcher in the syntax from before UTF-8 label names."""
    return Matcher(*syntax.read_classic(text))


def parse_utf8_matchers(text: str) -> list[Matcher]:
    """Return the matchers of a list in the syntax that allows any UTF-8 label name."""
    return [Matcher(*parts) for parts in syntax.read_utf8_list(text)]


def parse_utf8_matcher(text: str) -> Matcher:
    """Return the one matcher in the syntax that allows any UTF-8 label name."""
    _refuse_braces(text)
    return _only(parse_utf8_matchers(text))


def _utf8_or(refusal: MatcherError, text: str) -> list[Matcher]:
    try:
        return parse_utf8_matchers(text)
    except MatcherError:
        raise refusal from None


def _only(found: list[Matcher]) -> Matcher:
    if len(found) != 1:
        raise MatcherError(f"expected one matcher, found {len(found)}; give each its own entry")
    return found[0]


def _refuse_braces(text: str) -> None:
    if text.startswith("{") or text.endswith("}"):
        raise MatcherError(f"{text!r} is one matcher and has no braces around it; remove them")


def _compile(pattern: str) -> Any:
    if _ANY_BYTE.search(pattern):
        raise MatcherError(f'"{pattern}" uses \\C, which Go does not know; write a dot for any character')
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(f"^(?:{pattern})$", options)
    except (re2.error, UnicodeEncodeError) as refusal:
        reason = refusal.args[0].decode() if isinstance(refusal.args[0], bytes) else str(refusal.args[0])
        raise MatcherError(
            f'"{pattern}" is not a regular expression in RE2 syntax: {reason}; '
            "look-around and back references do not exist there"
        ) from None


def _entry(value: object) -> tuple[Matcher, ...]:
    if isinstance(value, Matcher):
        return (value,)
    if not isinstance(value, str):
        raise MatcherError(f"a matcher is text; write it in quotes, such as '{EXAMPLE}'")
    return tuple(parse_matchers(value))


def _refuse_text(value: object) -> object:
    if isinstance(value, str):
        raise MatcherError(f"matchers are a list; write ['{EXAMPLE}']")
    return value


_Entry = Annotated[
    tuple[Matcher, ...], PlainValidator(_entry), WithJsonSchema({"type": "string", "examples": [EXAMPLE]})
]


class _Flat:
    """Joins the entries of a list, each of which may hold several matchers."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        entries = handler.generate_schema(tuple[_Entry, ...])
        return core_schema.no_info_after_validator_function(_joined, entries)


def _joined(entries: tuple[tuple[Matcher, ...], ...]) -> tuple[Matcher, ...]:
    return tuple(matcher for entry in entries for matcher in entry)


def _as_texts(matchers: tuple[Matcher, ...]) -> list[str]:
    return [str(matcher) for matcher in matchers]


Matchers = Annotated[
    tuple[Matcher, ...],
    _Flat(),
    BeforeValidator(_refuse_text),
    PlainSerializer(_as_texts, return_type=list[str]),
]


def _check_names(labels: dict[str, str]) -> dict[str, str]:
    if not all(map(is_label_name, labels)):
        raise MatcherError("a label has a name; remove the empty one")
    return labels


def _check_patterns(patterns: dict[str, str]) -> dict[str, str]:
    for pattern in _check_names(patterns).values():
        _compile(pattern)
    return patterns


LabelValues = Annotated[dict[str, str], AfterValidator(_check_names)]
LabelPatterns = Annotated[dict[str, str], AfterValidator(_check_patterns)]


def combined(matchers: Iterable[Matcher], match: LabelValues, match_re: LabelPatterns) -> tuple[Matcher, ...]:
    """Return the matchers of all three spellings, in Alertmanager's order."""
    equal = [Matcher(name, EQUAL, value) for name, value in match.items()]
    patterns = [Matcher(name, REGEX, f"^(?:{pattern})$") for name, pattern in match_re.items()]
    return in_order([*matchers, *equal, *patterns])
