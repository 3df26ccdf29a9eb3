"""Does routing.yaml do what its owners wrote down that it should?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from pydantic import Field, PlainValidator, model_validator

from receiver.config import Config, ConfigError, text_of, validate
from receiver.config.document import (
    START,
    Document,
    Position,
    Problem,
    Table,
    UnreadableError,
    did_you_mean,
)
from receiver.config.document import (
    read as read_document,
)
from receiver.explain import explain
from receiver.pipeline.facts import instant
from receiver.policy import hours
from receiver.policy.durations import Duration, format_duration
from receiver.policy.matching import LabelValues
from receiver.policy.record import Record
from receiver.terminal import PLAIN, Pen, printable

ABOUT_AN_ALERT = ("routes", "receivers", "notify", "plan")


def _check_instant(value: object) -> datetime:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f'"{value}" is not an instant; write it as 2026-03-02T10:00:00Z')
    return at.astimezone(UTC)


Instant = Annotated[datetime, PlainValidator(_check_instant)]
Name = Annotated[str, Field(min_length=1)]


class Hearing(Record):
    """One line of an expected plan; what is not written is not compared."""

    after: Duration | None = None
    at: Instant | None = None
    to: Name | None = None


class Expected(Record):
    """What a test expects; what is not written is not compared."""

    routes: tuple[str, ...] | None = None
    receivers: tuple[str, ...] | None = None
    notify: bool | None = None
    active: bool | None = None
    plan: tuple[Hearing, ...] | None = None


class PolicyTest(Record):
    """One question to the policy, and the answer that is expected."""

    name: Name
    at: Instant
    labels: LabelValues | None = None
    annotations: dict[str, str] = Field(default_factory=dict)
    firing: tuple[LabelValues, ...] = ()  # other alerts that fire now, for inhibit rules
    time_interval: Name | None = None
    expect: Expected = Expected()

    @model_validator(mode="after")
    def _asks_for_what_it_expects(self) -> "PolicyTest":
        if self.labels is None and self.time_interval is None:
            raise ValueError("asks nothing; write the labels of an alert, or the name of a time_interval")
        about = [name for name in ABOUT_AN_ALERT if getattr(self.expect, name) is not None]
        if self.labels is None and about:
            raise ValueError(f"expects {about[0]} without an alert; write its labels")
        if self.time_interval is None and self.expect.active is not None:
            raise ValueError("expects active without an interval; write the name of a time_interval")
        return self


class PolicyTests(Record):
    """A file of tests."""

    tests: Annotated[tuple[PolicyTest, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class WrittenTest:
    """A test, and where it is written."""

    test: PolicyTest
    file: str
    interval_position: Position
    path: str


class Difference(NamedTuple):
    """What one expectation met."""

    what: str
    expected: Any
    actual: Any
    why: str  # empty where the values say it all

    def __str__(self) -> str:
        because = f" ({self.why})" if self.why else ""
        return f"{self.what}: expected {_shown(self.expected)}, actual {_shown(self.actual)}{because}"


def read(file: str, environ: Mapping[str, str] | None = None) -> list[WrittenTest]:
    """Return the tests in the file; raise ConfigError with everything that is wrong with it."""
    try:
        document = read_document(text_of(file), environ or {})
    except UnreadableError as error:
        problem = error.problem
        if problem.path == "file":
            problem = problem._replace(text="is empty; write a list under `tests:`")
        raise ConfigError([problem.line_of(file)]) from None
    if not isinstance(document.root, Table):
        problem = Problem(START, "file", "must be a mapping with `tests`; write keys at the left margin")
        raise ConfigError([problem.line_of(file)])
    found, wrong = validate(document, PolicyTests)
    problems = sorted({*wrong, *document.problems})
    if found is None or problems:
        raise ConfigError([problem.line_of(file) for problem in problems])
    return [_written(document, file, number, test) for number, test in enumerate(found.tests)]


def _written(document: Document, file: str, number: int, test: PolicyTest) -> WrittenTest:
    node, _ = document.find(("tests", number, "time_interval"))
    return WrittenTest(test, file, node.position, f"tests[{number}].time_interval")


def run(config: Config, tests: Sequence[WrittenTest]) -> list[dict[str, Any]]:
    """Return for each test whether it passed, and what it found.

    Raise ConfigError where a test names an interval that routing.yaml does not have.
    """
    unknown = [
        _unknown_interval(config, one).line_of(one.file)
        for one in tests
        if one.test.time_interval and one.test.time_interval not in config.interval_named
    ]
    if unknown:
        raise ConfigError(unknown)
    return [_result(config, one.test) for one in tests]


def _unknown_interval(config: Config, one: WrittenTest) -> Problem:
    name = one.test.time_interval or ""
    advice = did_you_mean(name, config.interval_named) or "; define it under `time_intervals` of routing.yaml"
    return Problem(one.interval_position, one.path, f'"{name}" is not defined{advice}')


def _result(config: Config, test: PolicyTest) -> dict[str, Any]:
    actual: dict[str, Any] = dict.fromkeys(("routes", "receivers", "notify", "active", "plan"))
    why = ""
    if test.labels is not None:
        answer = explain(config, test.labels, test.at, test.firing)
        actual |= {name: answer[name] for name in ABOUT_AN_ALERT}
        why = "; ".join(f"{one['route']}: {one['why']}" for one in answer["tellings"])
    if test.time_interval is not None:
        actual["active"] = hours.is_active(config.interval_named[test.time_interval], test.at)
    found = _compare(test.expect, actual, why)
    return {"name": test.name, "passed": not found, "actual": actual, "differences": found}


def _compare(expect: Expected, actual: Mapping[str, Any], why: str) -> list[Difference]:
    wanted = {
        "routes": _list(expect.routes),
        "receivers": _list(expect.receivers),
        "notify": expect.notify,
        "active": expect.active,
    }
    found = [
        Difference(what, value, actual[what], why if what == "notify" else "")
        for what, value in wanted.items()
        if value is not None and value != actual[what]
    ]
    if expect.plan is not None:
        planned = [_hearing(one) for one in expect.plan]
        is_same = len(planned) == len(actual["plan"]) and all(
            wish.items() <= entry.items() for wish, entry in zip(planned, actual["plan"], strict=True)
        )
        if not is_same:
            heard = [{name: entry[name] for name in _keys(planned)} for entry in actual["plan"]]
            found.append(Difference("plan", planned, heard, "" if heard else why))
    return found


def _list(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


def _hearing(wish: Hearing) -> dict[str, Any]:
    values = {
        "after": None if wish.after is None else format_duration(wish.after),
        "at": instant(wish.at),
        "to": wish.to,
    }
    return {name: value for name, value in values.items() if value is not None}


def _keys(planned: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what to show of a plan: what was asked about, else when and to whom."""
    asked = {name for one in planned for name in one}
    return [name for name in ("after", "at", "to") if name in asked] or ["after", "to"]


def differences(result: Mapping[str, Any]) -> list[str]:
    """Return a line for each expectation that was not met."""
    return [str(one) for one in result["differences"]]


def in_words(results: Sequence[Mapping[str, Any]], pen: Pen = PLAIN) -> str:
    """Return the results for a terminal."""
    lines = []
    for result in results:
        lines.append(f"{pen.good('✔') if result['passed'] else pen.bad('✘')} {printable(result['name'])}")
        for one in result["differences"]:
            because = f" ({one.why})" if one.why else ""
            lines += [
                f"    {one.what}",
                f"      expected  {pen.good(printable(_shown(one.expected)))}",
                f"      actual    {pen.bad(printable(_shown(one.actual)))}{pen.faint(printable(because))}",
            ]
    failed = sum(not result["passed"] for result in results)
    passed = pen.good(f"{len(results) - failed} passed")
    lines += ["", f"{passed}, {pen.bad(f'{failed} failed') if failed else '0 failed'}"]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    """Return a value as it would be written in a test."""
    if isinstance(value, list):
        return f"[{', '.join(_shown(one) for one in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_shown(one)}" for name, one in value.items()) + "}"
    return value if isinstance(value, str) else json.dumps(value)
