"""How do two outcomes of one history differ: who is told what in one of them only, or at another time?"""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from receiver.config import Config
from receiver.pipeline.facts import instant
from receiver.policy.durations import in_words as lasting
from receiver.policy.hours import zone
from receiver.policy.outbox import NotificationState
from receiver.terminal import PLAIN, Pen, printable

Row = dict[str, Any]

WORTH_SAYING = timedelta(minutes=1)  # who hears so much earlier or later is told the same
MOST_SHOWN = 50  # incidents; nobody reads more, and JSON has all
NIGHT = (22, 7)  # hours of the day, where the person is


@dataclass(frozen=True, slots=True)
class Telling:
    """One thing that one destination would have been told about one incident."""

    at: datetime
    reason: str
    route: str
    receiver: str


@dataclass
class Outcomes:
    """What came of the history under one configuration."""

    tellings: dict[int, dict[str, list[Telling]]] = field(default_factory=dict)  # by incident, destination
    messages: list[tuple[str, datetime]] = field(default_factory=list)
    of_body: list[tuple[frozenset[str], tuple[int, ...]]] = field(default_factory=list)
    incidents: dict[int, Row] = field(default_factory=dict)
    unsaid: dict[tuple[int, str], Row] = field(default_factory=dict)  # the last thing that was not told
    unreadable: int = 0  # bodies that are gone, or that this version does not understand


def compare(old: Outcomes, new: Outcomes, before: Config, after: Config) -> Row:
    """Return how two outcomes of one history differ, as plain data."""
    differences = []
    for mine, others in _same(old, new):
        changes = _changes(old, new, mine, others)
        if changes:
            shown = old.incidents[mine[0]] if mine else new.incidents[others[0]]
            differences.append(
                {
                    "title": shown["title"],
                    "source": shown["source"],
                    "severity": shown["severity"],
                    "labels": shown["labels"],
                    "started_at": instant(shown["started_at"]),
                    "incidents": {"before": len(mine), "after": len(others)},
                    "changes": changes,
                }
            )
    differences.sort(key=lambda one: str(one["started_at"]))
    return {
        "unreadable": old.unreadable,
        "incidents": {"before": len(old.incidents), "after": len(new.incidents)},
        "totals": _totals(old, new, before, after),
        "differences": differences,
    }


def _same(old: Outcomes, new: Outcomes) -> list[tuple[list[int], list[int]]]:
    """Return which incidents are about the same alerts: some of one outcome, some of the other.

    Ids and keys differ where the grouping does, so an incident is known by the bodies that spoke of its
    alerts.
    """
    leads_to: dict[tuple[str, int], tuple[str, int]] = {}

    def first(one: tuple[str, int]) -> tuple[str, int]:
        while (above := leads_to.setdefault(one, one)) != one:
            leads_to[one] = leads_to[above]
            one = above
        return one

    for mine, other in _pairs(old, new):
        leads_to[first(("new", other))] = first(("old", mine))
    groups: dict[tuple[str, int], tuple[list[int], list[int]]] = {}
    for side, (name, outcomes) in enumerate((("old", old), ("new", new))):
        for id_ in outcomes.incidents:
            groups.setdefault(first((name, id_)), ([], []))[side].append(id_)
    return list(groups.values())


def _pairs(old: Outcomes, new: Outcomes) -> Iterator[tuple[int, int]]:
    """Yield incidents of which one body spoke, about an alert of both; of self-alarms none speaks."""
    bodies = zip(old.of_body, new.of_body, strict=True)
    together = [(named, mine, others) for (named, mine), (_, others) in bodies]
    alarms = [
        {i: one for i, one in each.incidents.items() if one["source"] == "tocsin"} for each in (old, new)
    ]
    known = frozenset(name for alarm in alarms[0].values() for name in alarm["fingerprints"])
    together.append((known, tuple(alarms[0]), tuple(alarms[1])))
    for named, mine, others in dict.fromkeys(together):
        for id_, other in product(mine, others):
            if named & old.incidents[id_]["fingerprints"] & new.incidents[other]["fingerprints"]:
                yield id_, other


def _changes(old: Outcomes, new: Outcomes, mine: Sequence[int], others: Sequence[int]) -> list[Row]:
    """Return a line for each destination that is told of it in one outcome only, or at another time."""
    told, tells = _by_destination(old, mine), _by_destination(new, others)
    changes = []
    for destination in dict.fromkeys([*told, *tells]):
        was, now = told.get(destination), tells.get(destination)
        if was and now:
            apart = now[0].at - was[0].at
            if abs(apart) <= WORTH_SAYING:
                continue
            change = "later" if apart > timedelta() else "earlier"
        else:
            change = "added" if now else "no_longer"
        changes.append(
            {
                "destination": destination,
                "change": change,
                "before": _told(was) if was else _why_not(old, mine, destination),
                "after": _told(now) if now else _why_not(new, others, destination),
            }
        )
    return changes


def _by_destination(outcomes: Outcomes, ids: Sequence[int]) -> dict[str, list[Telling]]:
    found: dict[str, list[Telling]] = {}
    for id_ in ids:
        for destination, tellings in outcomes.tellings.get(id_, {}).items():
            found.setdefault(destination, []).extend(tellings)
    return {name: sorted(tellings, key=lambda one: one.at) for name, tellings in found.items()}


def _told(tellings: Sequence[Telling]) -> Row:
    one = tellings[0]
    why = f"{one.reason}, by {one.route} to {one.receiver}"
    return {"at": instant(one.at), "messages": len(tellings), "why": why}


def _why_not(outcomes: Outcomes, ids: Sequence[int], destination: str) -> Row:
    """Return why a destination heard nothing: what became of what it was owed, else where routes lead."""
    rows = [row for id_ in ids if (row := outcomes.unsaid.get((id_, destination)))]
    if rows:
        row = rows[-1]
        waits = f"; asked again at {instant(row['due_at'])}" if row["state"] == NotificationState.OWED else ""
        why = f"{row['why'] or row['state']}{waits}"
    elif not ids:
        why = "there is no such incident"
    else:
        routes = dict.fromkeys(name for id_ in ids for name in outcomes.incidents[id_]["routes"])
        why = f"no route leads there; it matches {', '.join(routes)}"
    return {"at": None, "messages": 0, "why": why}


def _totals(old: Outcomes, new: Outcomes, before: Config, after: Config) -> list[Row]:
    people = {**_people(before), **_people(after)}
    counts = [Counter(name for name, _ in one.messages) for one in (old, new)]
    nights = [
        Counter(name for name, at in one.messages if name in people and _is_night(at, people[name][1]))
        for one in (old, new)
    ]
    return [
        {
            "destination": name,
            "person": people[name][0] if name in people else None,
            "messages": {"before": counts[0][name], "after": counts[1][name]},
            "at_night": {"before": nights[0][name], "after": nights[1][name]} if name in people else None,
        }
        for name in sorted(counts[0] | counts[1])
    ]


def _people(config: Config) -> dict[str, tuple[str, str]]:
    """Return whose each destination is, and the person's time zone."""
    return {
        destination.name: (person.name, person.time_zone)
        for person in config.people
        for _, destination in config.contacts_of(person.name) or ()
    }


def _is_night(at: datetime, time_zone: str) -> bool:
    begins, ends = NIGHT
    hour = at.astimezone(zone(time_zone)).hour
    return hour >= begins or hour < ends


def in_words(answer: Mapping[str, Any], pen: Pen = PLAIN, width: int = 100) -> str:
    """Return the answer for a terminal."""
    differences, counts = answer["differences"], answer["incidents"]
    told = "1 incident is" if len(differences) == 1 else f"{len(differences)} incidents are"
    parts = [
        [f"{_span(answer)}: {_count(answer['bodies'], 'body', 'bodies')}, {_counts(counts)} incidents"],
        [pen.strong("Messages"), *_messages(answer["totals"], pen)],
        [pen.strong(f"{told} told differently" if differences else "Nobody is told differently")],
    ]
    if answer["unreadable"]:
        lost = _count(answer["unreadable"], "body", "bodies")
        parts[0].append(pen.late(f"{lost} could not be read again, and count for nothing"))
    parts += [_difference(one, pen, width) for one in differences[:MOST_SHOWN]]
    if len(differences) > MOST_SHOWN:
        parts.append([pen.faint(f"and {len(differences) - MOST_SHOWN} more; --json has all of them")])
    return "\n\n".join("\n".join(lines) for lines in parts)


def _span(answer: Mapping[str, Any]) -> str:
    return f"{_moment(answer['since'])} to {_moment(answer['until'])} UTC"


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%a %Y-%m-%d %H:%M}"


def _count(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _counts(one: Mapping[str, int]) -> str:
    return f"{one['before']} → {one['after']}"


def _messages(totals: Sequence[Mapping[str, Any]], pen: Pen) -> list[str]:
    names = [
        f"{one['destination']} ({one['person']})" if one["person"] else one["destination"] for one in totals
    ]
    width = max((len(printable(name)) for name in names), default=0)
    lines = []
    for name, one in zip(names, totals, strict=True):
        before, after = one["messages"]["before"], one["messages"]["after"]
        line = f"  {printable(name):{width}}  {before:>5} → {after:<5}"
        if one["at_night"] and any(one["at_night"].values()):
            line += f"  at night {_counts(one['at_night'])}"
        lines.append(pen.faint(line.rstrip()) if before == after else line.rstrip())
    return lines or ["  nobody is told anything"]


def _difference(one: Mapping[str, Any], pen: Pen, width: int) -> list[str]:
    counts = one["incidents"]
    split = f", {_counts(counts)} incidents" if set(counts.values()) != {1} else ""
    said = f"{printable(one['severity'])}, from {printable(one['source'])}, {_moment(one['started_at'])}"
    lines = [f"{pen.strong(printable(one['title']))}  {said}{split}"]
    size = max(len(printable(change["destination"])) for change in one["changes"])
    for change in one["changes"]:
        mark, what = MARKS[change["change"]](change, pen)
        head = f"  {mark} {printable(change['destination']):{size}}  "
        room = size + 6
        first, *rest = textwrap.wrap(printable(what), max(30, width - room)) or [""]
        lines += [f"{head}{first}", *(" " * room + line for line in rest)]
    return lines


def _added(change: Mapping[str, Any], pen: Pen) -> tuple[str, str]:
    after = change["after"]
    was = f"before, {change['before']['why']}"
    return pen.good("+"), f"told {_moment(after['at'])} ({after['why']}); {was}"


def _no_longer(change: Mapping[str, Any], pen: Pen) -> tuple[str, str]:
    before = change["before"]
    why = f"no longer told: {change['after']['why']}"
    return pen.bad("-"), f"{why}; before, {_moment(before['at'])} ({before['why']})"


def _moved(change: Mapping[str, Any], pen: Pen) -> tuple[str, str]:
    before, after = change["before"], change["after"]
    apart = datetime.fromisoformat(after["at"]) - datetime.fromisoformat(before["at"])
    how = f"{lasting(abs(apart))} {change['change']}, {_moment(after['at'])} ({after['why']})"
    return pen.late("~"), f"{how}; before, {_moment(before['at'])} ({before['why']})"


MARKS = {"added": _added, "no_longer": _no_longer, "earlier": _moved, "later": _moved}
