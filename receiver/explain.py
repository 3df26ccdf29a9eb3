"""Who would hear of this, when, and why not the others? The same answer for the command line and the API."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from receiver.config import Config
from receiver.pipeline.covers import covers, inhibition
from receiver.pipeline.duty import Duty
from receiver.pipeline.facts import instant
from receiver.pipeline.forecast import foresee
from receiver.pipeline.route import breaks_at
from receiver.policy import grouping, hours, muting, routing
from receiver.policy.durations import format_duration
from receiver.policy.hours import TimeInterval
from receiver.policy.matching import Labels, matches
from receiver.policy.muting import Silence
from receiver.policy.oncall import Override
from receiver.policy.routing import Node
from receiver.terminal import PLAIN, Pen, printable

NO_OVERRIDES: Mapping[str, Sequence[Override]] = {}
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Telling:
    """What one matching route would do."""

    node: Node
    notify: bool  # at this instant
    why: str
    tells_at: datetime | None  # None: never


def tellings(
    config: Config, labels: Labels, at: datetime, firing: Sequence[Labels] = (),
    silences: Sequence[Silence] = (),
) -> list[Telling]:  # fmt: skip
    """Return what each matching route would do with such an alert, in the order of the tree.

    `firing` holds the labels of other alerts that fire at the same time, `silences` those that are not over.
    """
    found = muting.inhibited_by(config.inhibit_rules, labels, firing)
    nodes = routing.match(config.tree, labels)
    if found is not None:
        why = inhibition(*found)
        return [Telling(node, notify=False, why=why, tells_at=None) for node in nodes]
    held = muting.covered(covers(config, silences, at), [labels])
    hushed = [one for one in silences if matches(one.matchers, labels)]
    told = [_telling(config, node, labels, at, hushed) for node in nodes]
    return told if held is None else [replace(one, notify=False, why=held.why) for one in told]


def _telling(
    config: Config, node: Node, labels: Labels, at: datetime, silences: Sequence[Silence]
) -> Telling:
    due = at + node.group_wait
    severity = config.severity_of(labels)
    active = [config.interval_named[name] for name in node.active_time_intervals]
    mute = [config.interval_named[name] for name in node.mute_time_intervals]
    windows = [
        config.interval_named[name]
        for window in config.mute_windows
        if matches(window.matchers, labels)
        for name in window.time_intervals
    ]
    is_open, why = hours.is_open(active, mute, at)
    breaks = breaks_at(config, node, severity, firing=1, since=at)
    if breaks is not None and breaks <= at:
        said = why if is_open else f"{why}, but {severity} breaks through"
        return Telling(node, notify=True, why=said, tells_at=_speaks_at((), windows, silences, due))
    opens = _speaks_at(active, [*mute, *windows], silences, due)
    if breaks is not None:
        early = _speaks_at((), windows, silences, max(due, breaks))
        if early is not None and (opens is None or early < opens):
            why = why if is_open else f"{why}, but what fires for that long breaks through"
            return Telling(node, notify=is_open, why=why, tells_at=early)
    return Telling(node, notify=is_open, why=why, tells_at=opens)


def _speaks_at(
    active: Sequence[TimeInterval], mute: Sequence[TimeInterval], silences: Sequence[Silence], at: datetime
) -> datetime | None:
    """Return the first instant from `at` on at which neither hours nor silences say no; None: never."""
    while True:
        opens_at = hours.opens_at(active, mute, at)
        if opens_at is None:
            return None
        ends = [one.ends_at for one in silences if one.is_in_force(opens_at)]
        if not ends:
            return opens_at
        at = max(ends)


def plan(
    config: Config, found: Sequence[Telling], at: datetime, severity: str, duty: Duty
) -> list[dict[str, Any]]:
    """Return who hears when if nobody acts, soonest first; by receivers a destination is told once.

    Of an escalation policy it is the first round.
    """
    seen: set[str] = set()
    entries = []
    for tells_at, telling in _soonest_first(found):
        receiver = telling.node.receiver or ""
        named = [one.name for one in config.destinations_of(receiver)]
        destinations = [name for name in named if name not in seen]
        seen.update(destinations)
        if destinations:
            entries.append(_entry(tells_at, at, receiver, destinations, telling, telling.why))
        entries += _steps(config, telling, tells_at, at, severity, duty)
    return sorted(entries, key=lambda entry: datetime.fromisoformat(entry["at"]))


def _entry(
    tells_at: datetime, at: datetime, to: str, destinations: Sequence[str], telling: Telling, why: str
) -> dict[str, Any]:
    return {
        "after": format_duration(_readable(tells_at - at)),
        "at": instant(tells_at),
        "to": to,
        "destinations": list(destinations),
        "route": telling.node.name,
        "why": why,
    }


def _steps(
    config: Config, telling: Telling, tells_at: datetime, at: datetime, severity: str, duty: Duty
) -> Iterator[dict[str, Any]]:
    """Yield an entry for each receiver or person of each step."""
    policy = config.policy_named.get(telling.node.escalation_policy or "")
    if policy is None:
        return
    first = policy.steps[0].after
    told = foresee(config, duty, telling.node, policy, severity=severity, taken=0, step_at=tells_at + first)
    together: dict[tuple[datetime, str, str], list[str]] = {}
    for one in told:
        together.setdefault((one.at, one.page.to, one.why), []).append(one.page.destination)
    for (moment, to, why), destinations in together.items():
        yield _entry(moment, at, to, destinations, telling, why)


def _soonest_first(found: Sequence[Telling]) -> Iterator[tuple[datetime, Telling]]:
    timed = [(telling.tells_at, telling) for telling in found if telling.tells_at is not None]
    yield from sorted(timed, key=lambda pair: pair[0])


def _readable(duration: timedelta) -> timedelta:
    """Return a duration without the fraction of a second that nobody waits for."""
    return duration - duration % SECOND if duration >= MINUTE else duration


def explain(
    config: Config, labels: Labels, at: datetime, firing: Sequence[Labels] = (),
    silences: Sequence[Silence] = (), overrides: Mapping[str, Sequence[Override]] = NO_OVERRIDES,
) -> dict[str, Any]:  # fmt: skip
    """Return the whole answer as plain data; `overrides` of schedules are by schedule."""
    at = at.astimezone(UTC)
    found = tellings(config, labels, at, firing, silences)
    first = found[0].node
    grouped_by = grouping.group_labels(first, labels, {}, is_named=False)
    return {
        "at": instant(at),
        "labels": dict(labels),
        "severity": config.severity_of(labels),
        "routes": [telling.node.name for telling in found],
        "receivers": [telling.node.receiver for telling in found if telling.node.receiver is not None],
        "notify": any(telling.notify for telling in found),
        "grouped_by": "the group labels of Alertmanager" if first.group_by is None else grouped_by,
        "tellings": [
            {"route": one.node.name, "receiver": one.node.receiver,
             "escalation_policy": one.node.escalation_policy, "notify": one.notify, "why": one.why,
             "at": instant(one.tells_at), "repeats": format_duration(one.node.repeat_interval)}
            for one in found
        ],
        "plan": plan(config, found, at, config.severity_of(labels), Duty(config, overrides)),
        "tree": routing.explain(config.tree, labels),
    }  # fmt: skip


def in_words(answer: Mapping[str, Any], pen: Pen = PLAIN) -> str:
    """Return the answer for a terminal."""
    at = datetime.fromisoformat(answer["at"])
    parts = [
        [f"{_pairs(answer['labels'], pen)}  {pen.faint('·')}  {_moment(at)}"],
        [pen.strong("Routes"), *_tree(answer, pen)],
        [pen.strong("Hours"), *_hours(answer["tellings"], pen)],
        [pen.strong("Who hears, if nobody acts"), *_plan(answer, at, pen)],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts)


def _pairs(labels: Labels, pen: Pen) -> str:
    pairs = (f"{pen.faint(printable(name) + '=')}{printable(value)}" for name, value in labels.items())
    return " ".join(pairs) or "an alert without labels"


def _moment(at: datetime) -> str:
    seconds = ":%S" if at.second else ""
    return at.strftime(f"%a %Y-%m-%d %H:%M{seconds} UTC")


def _wait(duration: timedelta) -> str:
    return f"in {format_duration(_readable(duration))}" if duration else "at once"


def _tree(answer: Mapping[str, Any], pen: Pen) -> list[str]:
    """Return a line for each node that was asked or passed over, drawn as a tree."""
    nodes = answer["tree"]
    leads = iter([_leads_to(one) for one in answer["tellings"]])  # the order of the nodes that take it
    rows = list(zip(_branches([node["path"] for node in nodes]), nodes, strict=True))
    width = max(len(branch) + len(_title(node)) for branch, node in rows)
    lines = []
    for branch, node in rows:
        room = " " * (width - len(branch) - len(_title(node)))
        mark, title = _marked(node, pen)
        leads_to = printable(f" → {next(leads)}") if node["taken"] else ""
        why = pen.faint(printable(node["why"]))
        lines.append(f"  {pen.faint(branch)}{mark} {title}{room}  {why}{leads_to}")
    return lines


def _leads_to(telling: Mapping[str, Any]) -> str:
    policy = telling["escalation_policy"]
    ways = [telling["receiver"], f"policy {policy}" if policy else None]
    return " and ".join(way for way in ways if way) or "no receiver"


def _title(node: Mapping[str, Any]) -> str:
    return printable(node["name"])


def _marked(node: Mapping[str, Any], pen: Pen) -> tuple[str, str]:
    title = _title(node)
    if node["taken"]:
        return pen.good("✔"), pen.good(title)
    if node["matched"]:
        return "↓", title
    return pen.faint("·" if node["why"] == routing.NOT_REACHED else "✘"), title


def _branches(paths: Sequence[str]) -> list[str]:
    """Return what is drawn before each node; paths are in the order of the tree."""
    drawn: dict[str, str] = {}  # what is drawn before the children of a node
    branches = []
    for position, path in enumerate(paths):
        above = path.rpartition(".routes[")[0]
        if not above:
            drawn[path] = ""
            branches.append("")
            continue
        is_last = not any(later.rpartition(".routes[")[0] == above for later in paths[position + 1 :])
        branches.append(drawn[above] + ("└─ " if is_last else "├─ "))
        drawn[path] = drawn[above] + ("   " if is_last else "│  ")
    return branches


def _hours(said: Sequence[Mapping[str, Any]], pen: Pen) -> list[str]:
    width = max(len(printable(one["route"])) for one in said)
    return [
        f"  {pen.good('✔') if one['notify'] else pen.late('✘')} {printable(one['route']):{width}}"
        f"  {printable(one['why'])}{_until(one)}"
        for one in said
    ]


def _until(one: Mapping[str, Any]) -> str:
    """Return when a route that is quiet may speak."""
    if one["notify"] or one["why"].startswith("inhibited"):
        return ""
    if one["at"] is None:
        return "; never open within a year"
    return f"; may speak {_moment(datetime.fromisoformat(one['at']))}"


def _plan(answer: Mapping[str, Any], at: datetime, pen: Pen) -> list[str]:
    repeats = {one["route"]: one["repeats"] for one in answer["tellings"]}
    rows = []
    for entry in answer["plan"]:
        told_at = datetime.fromisoformat(entry["at"])
        when = f"{_moment(told_at)}  {_wait(told_at - at):>8}"
        to = printable(f"{entry['to']} ({', '.join(entry['destinations'])})")
        again = f", then every {repeats[entry['route']]} until someone acknowledges"
        if entry["why"].startswith("step "):
            again = f"  {printable(entry['why'])}"
        rows.append(f"  {pen.strong(when)}  {to}{pen.faint(again)}")
    return rows or [f"  {pen.bad('nobody')}: {_why_nobody(answer)}"]


def _why_nobody(answer: Mapping[str, Any]) -> str:
    silent = [one["why"] for one in answer["tellings"] if one["at"] is None]
    if silent:
        return printable("; ".join(dict.fromkeys(silent)))
    receivers = ", ".join(dict.fromkeys(answer["receivers"]))
    return printable(f"{receivers} has no destinations" if receivers else "its routes name no receiver")
