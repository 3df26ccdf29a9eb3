"""Does the configuration hold together, and is there something in it that cannot be meant?"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from receiver.config import lint_hours
from receiver.config.document import (
    Document,
    Node,
    Position,
    Problem,
    Scalar,
    Sequence,
    Steps,
    Table,
    did_you_mean,
    path_text,
    value_of,
)
from receiver.config.records import Config
from receiver.policy import hours, oncall, routing
from receiver.policy.escalation import Whom
from receiver.policy.hours import TimeInterval
from receiver.policy.matching import EQUAL, REGEX, Matcher
from receiver.policy.muting import MuteWindow, narrows
from receiver.policy.routing import Route

# Where each kind of name is defined, and what a person calls it.
DEFINED_IN = {
    "receiver": "receivers",
    "time interval": "time_intervals",
    "source": "sources",
    "escalation policy": "escalation_policies",
    "person": "people",
    "schedule": "schedules",
    "mute window": "mute_windows",
    "heartbeat": "heartbeats",
}
NAMED_BY = {  # the keys of a route that name something defined elsewhere
    "receiver": "receiver",
    "escalation_policy": "escalation policy",
    "mute_time_intervals": "time interval",
    "active_time_intervals": "time interval",
}


def errors(document: Document) -> list[Problem]:
    """Return every name that is defined twice or not at all, and what is wrong with the root route.

    It reads the document and not the records, so that one bad value hides nothing else.
    """
    defined = {kind: _names(document, section) for kind, section in DEFINED_IN.items()}
    return [
        *_repeated({**defined, "route": _route_names(document)}),
        *(problem for found in _references(document) for problem in _undefined(*found, defined)),
        *_root_errors(document),
        *_severities(document),
        *_shared_contacts(document),
    ]


def _names(document: Document, section: str) -> list[tuple[Scalar, Steps]]:
    node, found = document.find((section,))
    items = node.items if found and isinstance(node, Sequence) else []
    named = (
        (item.entries.get("name"), (section, index, "name"))
        for index, item in enumerate(items)
        if isinstance(item, Table)
    )
    return [(name, path) for name, path in named if isinstance(name, Scalar)]


def _route_names(document: Document) -> list[tuple[Scalar, Steps]]:
    """Return the names of routes; what is owed remembers its route, and so its hours, by this name."""
    named = ((route.entries.get("name"), (*path, "name")) for route, path in _routes(document))
    return [(name, path) for name, path in named if isinstance(name, Scalar)]


def _repeated(defined: dict[str, list[tuple[Scalar, Steps]]]) -> Iterator[Problem]:
    for kind, names in defined.items():
        first: dict[str, Scalar] = {}
        for name, path in names:
            before = first.setdefault(name.text, name)
            if before is not name:
                line = before.position.line
                text = f'the {kind} "{name.written}" is defined twice (first in line {line}); rename one'
                yield Problem(name.position, path_text(path), text)


def _shared_contacts(document: Document) -> Iterator[Problem]:
    """Yield contacts that two people have: an answer from there would have no name."""
    people, found = document.find(("people",))
    first: dict[tuple[str, str], str] = {}
    for index, person in enumerate(_items(people) if found else ()):
        contacts = person.entries.get("contacts") if isinstance(person, Table) else None
        name = person.entries.get("name") if isinstance(person, Table) else None
        for place, contact in enumerate(_items(contacts)):
            for kind, address in contact.entries.items() if isinstance(contact, Table) else ():
                if not isinstance(address, Scalar) or not isinstance(name, Scalar):
                    continue
                before = first.setdefault((kind, address.text.lower()), name.text)
                if before != name.text:
                    path = path_text(("people", index, "contacts", place, kind))
                    text = f"{kind} {address.written} is {before}'s contact already; give it to one of them"
                    yield Problem(address.position, path, text)


def _references(document: Document) -> Iterator[tuple[str, Scalar, Steps]]:
    """Yield everything that names something: the kind of thing, the name and its path."""
    fallback, found = document.find(("fallback",))
    if found and isinstance(fallback, Scalar):
        yield "receiver", fallback, found
    for tables, named in (
        (_routes(document), NAMED_BY),
        (_rotations(document), {"people": "person", "active_time_intervals": "time interval"}),
        (_tables(document, "heartbeats"), {"receiver": "receiver", "escalation_policy": "escalation policy"}),
        (_tables(document, "mute_windows"), {"time_intervals": "time interval"}),
    ):
        for table, path in tables:
            for key, kind in named.items():
                yield from _named(kind, table.entries.get(key), (*path, key))
    for step, path in _steps(document):
        yield from _references_of_step(step, path)


def _references_of_step(step: Table, path: Steps) -> Iterator[tuple[str, Scalar, Steps]]:
    for key in ("active_time_intervals", "mute_time_intervals"):
        yield from _named("time interval", step.entries.get(key), (*path, key))
    for number, whom in enumerate(_items(step.entries.get("notify"))):
        for kind in ("receiver", "person", "schedule") if isinstance(whom, Table) else ():
            yield from _named(kind, whom.entries.get(kind), (*path, "notify", number, kind))  # type: ignore[union-attr]


def _named(kind: str, node: Node | None, path: Steps) -> Iterator[tuple[str, Scalar, Steps]]:
    if isinstance(node, Scalar):
        yield kind, node, path
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            if isinstance(item, Scalar):
                yield kind, item, (*path, index)


def _tables(document: Document, section: str) -> Iterator[tuple[Table, Steps]]:
    """Yield each entry of a list at the top level."""
    node, found = document.find((section,))
    for index, item in enumerate(_items(node) if found else ()):
        if isinstance(item, Table):
            yield item, (section, index)


def _rotations(document: Document) -> Iterator[tuple[Table, Steps]]:
    for schedule, path in _tables(document, "schedules"):
        for number, rotation in enumerate(_items(schedule.entries.get("rotations"))):
            if isinstance(rotation, Table):
                yield rotation, (*path, "rotations", number)


def _steps(document: Document) -> Iterator[tuple[Table, Steps]]:
    for policy, path in _tables(document, "escalation_policies"):
        for number, step in enumerate(_items(policy.entries.get("steps"))):
            if isinstance(step, Table):
                yield step, (*path, "steps", number)


def _items(node: Node | None) -> list[Node]:
    return node.items if isinstance(node, Sequence) else []


def _routes(document: Document) -> Iterator[tuple[Table, Steps]]:
    root, found = document.find(("route",))
    if found:
        yield from _routes_below(root, found)


def _routes_below(node: Node, path: Steps) -> Iterator[tuple[Table, Steps]]:
    if isinstance(node, Table):
        yield node, path
        below = node.entries.get("routes")
        for index, item in enumerate(below.items if isinstance(below, Sequence) else []):
            yield from _routes_below(item, (*path, "routes", index))


def _undefined(
    kind: str, name: Scalar, path: Steps, defined: dict[str, list[tuple[Scalar, Steps]]]
) -> Iterator[Problem]:
    known = {scalar.text for scalar, _ in defined[kind]}
    if name.text in known or name.is_empty:
        return
    advice = did_you_mean(name.text, known) or f"; define it under {DEFINED_IN[kind]}"
    yield Problem(name.position, path_text(path), f'the {kind} "{name.written}" is not defined{advice}')


def _root_errors(document: Document) -> Iterator[Problem]:
    node, found = document.find(("route",))
    if not (found and isinstance(node, Table)):
        return
    values = {key: value for key, value in value_of(node).items() if key != "routes"}
    try:
        route = Route.model_validate(values)
    except ValidationError:
        return  # it has errors of its own, which are reported
    for text in routing.root_errors(route):
        key = next((key for key in node.entries if re.search(rf"\b{key.split('_re')[0]}", text)), None)
        if key is None or "needs" in text:
            yield Problem(node.position, "route", text)
        else:
            yield Problem(node.keys[key], f"route.{key}", text)


def _severities(document: Document) -> Iterator[Problem]:
    node, found = document.find(("severity_order",))
    listed = (
        [item for item in node.items if isinstance(item, Scalar)]
        if isinstance(node, Sequence) and found
        else []
    )
    known = {item.text for item in listed} or set(Config.model_fields["severity_order"].default)
    for index, item in enumerate(listed):
        if item.text in {earlier.text for earlier in listed[:index]}:
            yield Problem(
                item.position, f"severity_order[{index}]", f'"{item.written}" is listed twice; keep one'
            )
    for severity, path in _named_severities(document):
        if severity.text not in known:
            advice = did_you_mean(severity.text, known) or "; write one of that list, or add it there"
            text = f'the severity "{severity.written}" is not in severity_order{advice}'
            yield Problem(severity.position, path_text(path), text)


def _named_severities(document: Document) -> Iterator[tuple[Scalar, Steps]]:
    for route, path in _routes(document):
        severity, place = route.entries.get("break_through"), (*path, "break_through")
        if isinstance(severity, Table):
            severity, place = severity.entries.get("severity"), (*place, "severity")
        if isinstance(severity, Scalar):
            yield severity, place
    for step, path in _steps(document):
        severity = step.entries.get("severity")
        if isinstance(severity, Scalar):
            yield severity, (*path, "severity")


def warnings(document: Document, config: Config, directory: Path, at: datetime) -> list[Problem]:
    """Return what loads and still can hardly be meant."""
    return [
        *_unreachable(document, config.tree, ()),
        *lint_hours.warnings(document, config, at),
        *_pointless_receivers(document, config),
        *_missing_files(document, directory),
        *_gaps(document, config, at),
        *_out_of_reach(document, config),
        *_no_fallback(document, config),
        *_doubtful_windows(document, config, at),
    ]


def _unreachable(document: Document, node: routing.Node, above: tuple[Matcher, ...]) -> Iterator[Problem]:
    """Yield the routes that no alert can take."""
    takers = _Takers()
    conditions = above + node.matchers
    for child in node.children:
        position = _position(document, child.path)
        taker = takers.find(child)
        if contradiction := _contradiction(conditions + child.matchers):
            text = f"no alert can match both {contradiction[0]} and {contradiction[1]}; correct the matchers"
            yield Problem(position, child.path, text)
        elif taker:
            text = f"no alert gets here, {taker.path} takes it; move this route up, or let that one continue"
            yield Problem(position, child.path, text)
        else:
            takers.add(child)
            yield from _unreachable(document, child, conditions)


class _Takers:
    """The earlier siblings that keep what they match, found by what they must match."""

    def __init__(self) -> None:
        self._by_condition: dict[tuple[str, ...], list[routing.Node]] = defaultdict(list)

    def add(self, node: routing.Node) -> None:
        if not node.continue_:
            self._by_condition[self._key(node)].append(node)

    def find(self, node: routing.Node) -> routing.Node | None:
        """Return an earlier sibling that takes whatever `node` matches."""
        keys = [(), *((m.name,) for m in node.matchers)]
        keys += [(m.name, value) for m in node.matchers for value in _values(m) or ()]
        return next(
            (taker for key in keys for taker in self._by_condition.get(key, ()) if _implies(node, taker)),
            None,
        )

    @staticmethod
    def _key(node: routing.Node) -> tuple[str, ...]:
        equal = next((m for m in node.matchers if m.op == EQUAL), None)
        if equal:
            return equal.name, equal.value
        return tuple(m.name for m in node.matchers[:1])


_ALTERNATIVES = re.compile(r"[a-zA-Z0-9_|-]+")


def _values(matcher: Matcher) -> list[str] | None:
    """Return every value that the matcher accepts, None when they cannot be counted."""
    if matcher.op == EQUAL:
        return [matcher.value]
    bare = matcher.value.removeprefix("^(?:").removesuffix(")$")  # as match_re is written out
    return bare.split("|") if matcher.op == REGEX and _ALTERNATIVES.fullmatch(bare) else None


def _implies(node: routing.Node, taker: routing.Node) -> bool:
    """Return whether all that `node` matches is matched by `taker` as well; False when in doubt."""
    return all(
        any(
            mine == theirs
            or (
                mine.name == theirs.name
                and (values := _values(mine)) is not None
                and all(theirs.matches({theirs.name: value}) for value in values)
            )
            for mine in node.matchers
        )
        for theirs in taker.matchers
    )


def _contradiction(matchers: Iterable[Matcher]) -> tuple[Matcher, Matcher] | None:
    by_name: dict[str, list[Matcher]] = defaultdict(list)
    for matcher in matchers:
        by_name[matcher.name].append(matcher)
    for same in by_name.values():
        for one in same:
            values = _values(one)
            for other in same:
                if values is not None and not any(other.matches({other.name: value}) for value in values):
                    return one, other
    return None


def _pointless_receivers(document: Document, config: Config) -> Iterator[Problem]:
    used = {node.receiver for node in routing.walk(config.tree)} | {config.fallback_receiver}
    used |= {whom.receiver for whom in _whom(config)}
    for index, receiver in enumerate(config.receivers):
        path = f"receivers[{index}]"
        if not config.destinations_of(receiver.name):
            text = f'the receiver "{receiver.name}" has no destinations; what is routed to it reaches nobody'
            yield Problem(_position(document, path), path, text)
        elif receiver.name not in used:
            text = f'no route leads to the receiver "{receiver.name}"; route something to it, or remove it'
            yield Problem(_position(document, path), path, text)


def _gaps(document: Document, config: Config, at: datetime) -> Iterator[Problem]:
    """Yield, for each schedule, the first time of the coming weeks in which nobody is on call."""
    for index, schedule in enumerate(config.schedules):
        if schedule.calendar is not None:
            continue  # only the running service knows what it says
        path = f"schedules[{index}]"
        gap = oncall.next_gap(schedule, (), config.interval_named, at, at + oncall.LOOKED_AHEAD)
        if gap is not None:
            until = f"until {_minute(gap.ends_at)}" if gap.ends_at else "for a year and longer"
            text = (
                f'nobody is on call in "{schedule.name}" from {_minute(gap.starts_at)} {until};'
                " add a rotation below the others that always has somebody"
            )
            yield Problem(_position(document, path), path, text)


def _whom(config: Config) -> Iterator[Whom]:
    for policy in config.escalation_policies:
        for step in policy.steps:
            yield from step.notify


def _out_of_reach(document: Document, config: Config) -> Iterator[Problem]:
    """Yield the people whom a policy or a schedule names and nothing can tell."""
    on_call = {name for one in config.schedules for rotation in one.rotations for name in rotation.people}
    awaited = on_call | {whom.person for whom in _whom(config)}
    for index, person in enumerate(config.people):
        if person.name in awaited and not config.contacts_of(person.name):
            path = f"people[{index}]"
            text = (
                f"nobody can reach {person.name}: write a contact (slack, telegram or email) here, and under"
                " `global` the account that it is told through"
            )
            yield Problem(_position(document, path), path, text)


def _no_fallback(document: Document, config: Config) -> Iterator[Problem]:
    if config.escalation_policies and not config.destinations_of(config.fallback_receiver):
        text = "nobody is told where an escalation policy reaches nobody; name a receiver as `fallback`"
        yield Problem(_position(document, "escalation_policies"), "escalation_policies", text)


def _doubtful_windows(document: Document, config: Config, at: datetime) -> Iterator[Problem]:
    """Yield the mute windows that keep nothing quiet, or everything, or for ever."""
    for index, window in enumerate(config.mute_windows):
        path = f"mute_windows[{index}]"
        intervals = [config.interval_named[name] for name in window.time_intervals]
        doubts = [_never_or_always(window.name, intervals, at), _all_or_nothing(window)]
        for text in filter(None, doubts):
            yield Problem(_position(document, path), path, text)


def _never_or_always(name: str, intervals: list[TimeInterval], at: datetime) -> str:
    changes = [hours.next_change(interval, at) for interval in intervals]
    is_active = any(hours.is_active(interval, at) for interval in intervals)
    if not is_active and not any(changes):
        return f'the mute window "{name}" is not active once in five years; correct its time intervals'
    if is_active and hours.opens_at((), intervals, at) is None:
        return f'the mute window "{name}" does not end within a year; what it keeps quiet is never told'
    return ""


def _all_or_nothing(window: MuteWindow) -> str:
    if contradiction := _contradiction(window.matchers):
        return f"no alert can match both {contradiction[0]} and {contradiction[1]}; correct the matchers"
    if not narrows(window.matchers):
        return (
            f'the mute window "{window.name}" keeps every alert quiet, or nearly so, critical ones as well;'
            " add a matcher that says which are meant"
        )
    return ""


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _missing_files(document: Document, directory: Path) -> Iterator[Problem]:
    for section in ("sources", "receivers", "global", "outgoing_heartbeat"):
        node, found = document.find((section,))
        for scalar, path in _file_names(node, found) if found else ():
            if not _is_readable(directory / scalar.text):
                text = f"the file {scalar.written} cannot be read; write it, or correct the path"
                yield Problem(scalar.position, path_text(path), text)


def _is_readable(file: Path) -> bool:
    try:
        return os.access(file, os.R_OK)
    except ValueError:  # no file has a name with a null character
        return False


def _file_names(node: Node, path: Steps) -> Iterator[tuple[Scalar, Steps]]:
    if isinstance(node, Scalar):
        keys = [step for step in path if isinstance(step, str)]
        if keys[-1].endswith(("_file", "_files")) and node.text:
            yield node, path
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from _file_names(item, (*path, index))
    else:
        for key, item in node.entries.items():
            yield from _file_names(item, (*path, key))


_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")


def _position(document: Document, path: str) -> Position:
    """Return where the thing at a written path stands."""
    steps = [int(index) if index else word for word, index in _STEP.findall(path)]
    return document.find(tuple(steps))[0].position
