"""Which routes does an alert take through the tree?"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field

from receiver.policy.break_through import BreakThrough
from receiver.policy.durations import Duration
from receiver.policy.matching import (
    LabelPatterns,
    Labels,
    LabelValues,
    Matcher,
    Matchers,
    combined,
    is_label_name,
    matches,
)
from receiver.policy.record import Record

Outside = Literal["defer", "drop"]
Value = TypeVar("Value")

GROUP_BY_ALL = "..."
NOT_REACHED = "not reached: an earlier sibling matched without continue"


def _check_group_by(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for position, name in enumerate(names or ()):
        if not is_label_name(name):
            raise ValueError("group_by has an empty label name; remove it")
        if name in (names or ())[:position]:
            raise ValueError(f'group_by names "{name}" twice; remove one')
    if names and GROUP_BY_ALL in names and len(names) > 1:
        raise ValueError(
            f"group_by: '{GROUP_BY_ALL}' means every label and stands alone; remove the other labels"
        )
    return names


def _check_positive(duration: timedelta | None) -> timedelta | None:
    if duration == timedelta():
        raise ValueError("this interval cannot be zero; leave it out for the default")
    return duration


class Route(Record):
    """A node of the routing tree, as it is written."""

    model_config = ConfigDict(serialize_by_alias=True)  # what is written out can be read again

    name: str | None = None
    receiver: str | None = None
    escalation_policy: str | None = None
    matchers: Matchers = ()
    match: LabelValues = Field(default_factory=dict)
    match_re: LabelPatterns = Field(default_factory=dict)
    continue_: bool = Field(default=False, alias="continue")
    routes: "tuple[Route, ...]" = ()
    group_by: Annotated[tuple[str, ...] | None, AfterValidator(_check_group_by)] = None
    group_wait: Duration | None = None
    group_interval: Annotated[Duration | None, AfterValidator(_check_positive)] = None
    repeat_interval: Annotated[Duration | None, AfterValidator(_check_positive)] = None
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()
    outside: Outside = "defer"  # silence outside hours is a page that comes later, not one that is lost
    break_through: Annotated[BreakThrough, Field(json_schema_extra={"default": "critical"})] = (
        BreakThrough()
    )  # what does not wait for opening hours
    labels: LabelValues = Field(default_factory=dict)  # Alertmanager 0.34: said about the route, not matched


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where no route says anything."""

    group_wait: timedelta = timedelta()  # Alertmanager has waited already
    group_interval: timedelta = timedelta(seconds=30)  # the least time between two updates of a conversation
    repeat_interval: timedelta = timedelta(hours=4)  # Alertmanager's own


OURS = Defaults()
ALERTMANAGERS = Defaults(timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=4))


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the routing tree, with all that it inherits."""

    path: str
    name: str
    receiver: str | None
    escalation_policy: str | None
    group_by: tuple[str, ...] | None  # None: nobody said, so the payload's own group labels count
    group_by_all: bool
    group_wait: timedelta
    group_interval: timedelta
    repeat_interval: timedelta
    mute_time_intervals: tuple[str, ...]
    active_time_intervals: tuple[str, ...]
    outside: Outside
    break_through: BreakThrough
    labels: Labels
    matchers: tuple[Matcher, ...]
    continue_: bool
    children: "tuple[Node, ...]"
    key: str


def root_errors(route: Route) -> list[str]:
    """Return what makes the route unfit to be the root, each with what to do."""
    rules = {
        "the root route needs a receiver, for alerts that no other route takes": (
            route.receiver is None and route.escalation_policy is None
        ),
        "the root route takes every alert and cannot have matchers; move them to a route below": bool(
            route.matchers or route.match or route.match_re
        ),
        "the root route cannot have mute_time_intervals; move them to a route below": bool(
            route.mute_time_intervals
        ),
        "the root route cannot have active_time_intervals; move them to a route below": bool(
            route.active_time_intervals
        ),
        "the root route has no siblings to continue with; remove continue": route.continue_,
    }
    return [text for text, broken in rules.items() if broken]


def tree(route: Route, defaults: Defaults = OURS) -> Node:
    """Return the root node of the tree, everything inherited."""
    errors = root_errors(route)
    if errors:
        raise ValueError("; ".join(errors))
    return _node(route, _above(defaults), "route", "")


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and all below it, depth first."""
    yield node
    for child in node.children:
        yield from walk(child)


def match(node: Node, labels: Labels) -> list[Node]:
    """Return the nodes that take the alert: depth first, the first sibling unless it continues."""
    if not matches(node.matchers, labels):
        return []
    found: list[Node] = []
    for child in node.children:
        below = match(child, labels)
        if below:
            found += below
            if not child.continue_:
                break
    return found or [node]


def explain(node: Node, labels: Labels) -> list[dict[str, Any]]:
    """Return for every node that was asked, and each sibling that was not, why it was or was not taken.

    `taken` is what `match` returns; a node may match and still leave the alert to a node below it.
    """
    failed = next((matcher for matcher in node.matchers if not matcher.matches(labels)), None)
    if failed is not None:
        actual = labels.get(failed.name, "")
        return [
            _said(
                node, matched=False, taken=False, why=f'{failed} does not hold: {failed.name} is "{actual}"'
            )
        ]
    below: list[dict[str, Any]] = []
    stopped = False
    for child in node.children:
        if stopped:
            below.append(_said(child, matched=False, taken=False, why=NOT_REACHED))
            continue
        answers = explain(child, labels)
        below += answers
        stopped = answers[0]["matched"] and not child.continue_
    taken = not any(answer["taken"] for answer in below)
    why = "every matcher holds" if node.matchers else "it has no matchers"
    return [
        _said(node, matched=True, taken=taken, why=why if taken else f"{why}; routes below took it"),
        *below,
    ]


def _said(node: Node, *, matched: bool, taken: bool, why: str) -> dict[str, Any]:
    return {"path": node.path, "name": node.name, "matched": matched, "taken": taken, "why": why}


def _above(defaults: Defaults) -> Node:
    """Return what the root inherits from."""
    return Node(
        path="",
        name="",
        receiver=None,
        escalation_policy=None,
        group_by=None,
        group_by_all=False,
        group_wait=defaults.group_wait,
        group_interval=defaults.group_interval,
        repeat_interval=defaults.repeat_interval,
        mute_time_intervals=(),
        active_time_intervals=(),
        outside=Route.model_fields["outside"].default,
        break_through=Route.model_fields["break_through"].default,
        labels={},
        matchers=(),
        continue_=False,
        children=(),
        key="",
    )


def _node(route: Route, parent: Node, path: str, prefix: str) -> Node:
    matchers = combined(route.matchers, route.match, route.match_re)
    group_by, group_by_all = _grouping(route, parent)
    says_who = route.receiver is not None or route.escalation_policy is not None
    named = route.model_fields_set
    bare = Node(
        path=path,
        name=route.name or path,
        # Naming either takes the place of both: who is told is one question.
        receiver=route.receiver if says_who else parent.receiver,
        escalation_policy=route.escalation_policy if says_who else parent.escalation_policy,
        group_by=group_by,
        group_by_all=group_by_all,
        group_wait=_or(route.group_wait, parent.group_wait),
        group_interval=_or(route.group_interval, parent.group_interval),
        repeat_interval=_or(route.repeat_interval, parent.repeat_interval),
        mute_time_intervals=route.mute_time_intervals,
        active_time_intervals=route.active_time_intervals,
        outside=route.outside if "outside" in named else parent.outside,
        break_through=route.break_through if "break_through" in named else parent.break_through,
        labels={**parent.labels, **route.labels},
        matchers=matchers,
        continue_=route.continue_,
        children=(),
        key=f"{prefix}{{{','.join(map(str, matchers))}}}",
    )
    children = (
        _node(child, bare, f"{path}.routes[{position}]", f"{bare.key}/")
        for position, child in enumerate(route.routes)
    )
    return replace(bare, children=tuple(children))


def _grouping(route: Route, parent: Node) -> tuple[tuple[str, ...] | None, bool]:
    """Return the labels to group by, and whether it is all of them.

    An empty list is an answer, one group for everything; only its absence is silence.
    """
    if route.group_by == (GROUP_BY_ALL,):
        return parent.group_by, True
    if route.group_by is not None:
        return route.group_by, False
    return parent.group_by, parent.group_by_all


def _or(own: Value | None, inherited: Value) -> Value:
    return inherited if own is None else own
