"""Which incident does an alert belong to, and what do its alerts say of it together?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple

from pydantic_core import to_json

from receiver.policy.incident import Reason
from receiver.policy.routing import Node

Labels = Mapping[str, str]

FLAPPING_AFTER = 3  # reopenings; twice is bad luck, three times is a pattern
FLAPPING_WITHIN = timedelta(hours=1)  # reopenings further apart have nothing to do with each other
LONGEST_TITLE = 200  # one line on a wide screen


def group_labels(node: Node, labels: Labels, said: Labels, *, is_named: bool) -> dict[str, str]:
    """Return the labels by which the first matching route groups an alert (design.md, 5.1).

    `said` is what the body calls its group; `is_named` is false for a body that names no group at all,
    whose alerts are then grouped by their name.
    """
    if node.group_by_all:
        return dict(labels)
    if node.group_by is not None:
        return {name: labels[name] for name in node.group_by if name in labels}
    if is_named or said:
        return dict(said)
    return {"alertname": labels["alertname"]} if "alertname" in labels else dict(labels)


def incident_key(source: str, grouped_by: Labels, drill_id: str | None) -> str:
    """Return what decides that two alerts belong to one incident: 32 hexadecimal digits."""
    identity = to_json([source, sorted(grouped_by.items()), drill_id])
    return blake2b(identity, digest_size=16).hexdigest()


def in_common(sets: Sequence[Labels]) -> dict[str, str]:
    """Return the pairs that every set has."""
    if not sets:
        return {}
    first, *others = sets
    if not others:
        return dict(first)
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}


def title(label_sets: Iterable[Labels]) -> str:
    """Return what a person calls an incident with these alerts."""
    names = list(dict.fromkeys(labels.get("alertname", "(no alertname)") for labels in label_sets))
    text = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    text = " ".join(text.split())  # one line, whatever the alert is called
    return text if len(text) <= LONGEST_TITLE else text[: LONGEST_TITLE - 1] + "…"


def most_severe(severities: Iterable[str], rank: Callable[[str], int]) -> str:
    """Return the severity that asks most of a person; `rank` is 0 for the most severe."""
    return min(severities, key=rank)


def reopenings(before: int, last_at: datetime | None, now: datetime) -> int:
    """Return how many reopenings have followed each other closely, with the one that happens now."""
    return before + 1 if last_at is not None and now - last_at <= FLAPPING_WITHIN else 1


class Change(NamedTuple):
    """What one body changed about one incident."""

    opened: bool
    reopened: bool
    fired: int
    resolved: int
    all_resolved: bool
    more_severe: bool


def reason_of(change: Change) -> Reason | None:
    """Return why people should hear of a change, None when they need not."""
    if change.opened:
        return Reason.FIRST
    if change.reopened:
        return Reason.REOPENED
    if change.all_resolved:
        return Reason.ALL_RESOLVED
    if change.more_severe:
        return Reason.MORE_SEVERE
    if change.fired:
        return Reason.NEW_ALERTS
    return Reason.SOME_RESOLVED if change.resolved else None


STRONGEST = (
    *(Reason.FIRST, Reason.FLAPPING, Reason.REOPENED, Reason.MORE_SEVERE, Reason.ESCALATED, Reason.ASSIGNED),
    *(Reason.LAPSED, Reason.UNACKNOWLEDGED, Reason.ACKNOWLEDGED, Reason.SNOOZED, Reason.SNOOZE_OVER),
    *(Reason.NEW_ALERTS, Reason.SOME_RESOLVED, Reason.NOTE, Reason.REPEAT_DUE),
    *(Reason.HEALED, Reason.HANDED_OVER, Reason.OUTDATED),
)


def stronger(one: Reason | None, other: Reason | None) -> Reason | None:
    """Return the reason that one message gives for two that fell together; `other` is the later one."""
    if one is None or other is None:
        return other or one
    if {one, other} == {Reason.ACKNOWLEDGED, Reason.UNACKNOWLEDGED}:
        return other  # they undo each other: the last word counts
    if Reason.ALL_RESOLVED in {one, other} or Reason.FALLBACK in {one, other}:
        return (
            one if one is Reason.FALLBACK else other
        )  # the end overtakes what came before, and is overtaken
    return min(one, other, key=STRONGEST.index)
