"""Who must hear of an incident, and what becomes owed to them?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from receiver import metrics
from receiver.config import Config
from receiver.policy.grouping import stronger
from receiver.policy.incident import Reason
from receiver.policy.outbox import IMMEDIATE, NotificationState, due_at
from receiver.policy.routing import Node, match

Row = dict[str, Any]

# The fallback has none itself, and nobody else is told of what came and went, was handed over or edited.
WITHOUT_FALLBACK = frozenset({Reason.FALLBACK, Reason.HEALED, Reason.HANDED_OVER, Reason.OUTDATED})


@dataclass(frozen=True, slots=True)
class Target:
    """One destination, and the route through which it is told."""

    destination: str
    receiver: str
    node: Node


def nodes_of(config: Config, label_sets: Iterable[Mapping[str, str]]) -> list[Node]:
    """Return the routes that take alerts with these labels, each once, in the order of the tree's answers."""
    found: dict[str, Node] = {}
    for labels in label_sets:
        for node in match(config.tree, labels):
            found.setdefault(node.path, node)
    return list(found.values())


def targets(config: Config, nodes: Iterable[Node]) -> dict[str, Target]:
    """Return who hears through these routes: every destination once, through the route that waits least."""
    found: dict[str, Target] = {}
    for node in nodes:
        if node.receiver is not None:
            for destination in config.destinations_of(node.receiver):
                earlier = found.get(destination.name)
                if earlier is None or node.group_wait < earlier.node.group_wait:
                    found[destination.name] = Target(destination.name, node.receiver, node)
    return found


def fallback_targets(config: Config) -> list[Target]:
    """Return who is told when others cannot be."""
    receiver = config.fallback_receiver
    return [Target(one.name, receiver, config.tree) for one in config.destinations_of(receiver)]


def breaks_at(config: Config, node: Node, severity: str, *, firing: int, since: datetime) -> datetime | None:
    """Return from when on such an incident does not wait for the route's hours; None: it does."""
    if node.outside != "defer":
        return None
    is_severe = config.rank(severity) <= config.rank(node.break_through.severity)
    return node.break_through.breaks_at(is_severe=is_severe, firing=firing, since=since)


@dataclass(slots=True)
class Telling:
    """What is owed about one incident after something happened: rows to add and rows to write back."""

    added: list[Row]
    changed: list[Row]


def tell(
    config: Config, incident: Row, reason: Reason, to: Mapping[str, Target], *, owed: Sequence[Row],
    conversations: Mapping[str, Row], now: datetime,
) -> Telling:  # fmt: skip
    """Return what to add to the outbox, and what to change in it, so that `to` hear of the incident.

    What was not sent yet collapses into one: a row that nobody holds is given the new reason. A row that
    a worker holds may just be going out with the old text, so it is followed by another.
    """
    telling = Telling([], [])
    free: dict[str, Row] = {}
    for row in owed:
        if row["claimed_until"] is None or row["claimed_until"] <= now:
            free.setdefault(row["destination"], row)
    for target in to.values():
        conversation = conversations.get(target.destination)
        due = due_at(
            reason,
            now=now,
            last_sent_at=conversation["sent_at"] if conversation else None,
            group_wait=target.node.group_wait,
            group_interval=target.node.group_interval,
        )
        held = free.get(target.destination)
        if held is None:
            telling.added.append(owe(config, incident, target, reason, due=due, now=now))
        else:
            telling.changed.append(collapsed(config, held, incident, reason, due=due))
    if config.is_urgent(incident["severity"]):  # what goes before an urgent one must not keep it waiting
        known = {row["id"] for row in telling.changed}
        slow = [row for row in owed if not row["urgent"] and row["id"] not in known]
        telling.changed += [{**row, "urgent": True} for row in slow]
    return telling


def owe(
    config: Config, incident: Row, target: Target, reason: Reason, *, due: datetime, now: datetime,
    key: str | None = None,
) -> Row:  # fmt: skip
    """Return a new row of the outbox."""
    return {
        "key": key or f"{incident['id']}:{target.destination}:{incident['revision']}",
        "incident_id": incident["id"],
        "destination": target.destination,
        "receiver": target.receiver,
        "route": target.node.name,
        "reason": reason,
        "state": NotificationState.OWED,
        "why": "",
        "urgent": config.is_urgent(incident["severity"]),
        "revision": incident["revision"],
        "attempts": 0,
        "created_at": now,
        "due_at": due,
        "claimed_until": None,
        "fallback_at": fallback_at(config, reason, due),
        "finished_at": None,
        "fallback_for": None,
    }


def fallback_at(config: Config, reason: Reason, due: datetime) -> datetime | None:
    """Return when the fallback hears of what is due then and was not sent; None: never."""
    return None if reason in WITHOUT_FALLBACK else due + config.fallback_after


def collapsed(config: Config, row: Row, incident: Row, reason: Reason, *, due: datetime) -> Row:
    """Return what is owed already, with what is to be said now as well."""
    earlier = Reason(row["reason"])
    urgent = row["urgent"] or config.is_urgent(incident["severity"])
    changed = {**row, "revision": incident["revision"], "urgent": urgent}
    if earlier in {Reason.REPEAT_DUE, Reason.OUTDATED}:  # a reminder is hours away, and an edit has time
        return {**changed, "reason": reason, "due_at": due, "fallback_at": fallback_at(config, reason, due)}
    metrics.SAVED.labels("collapsed").inc()
    keeps_waiting = row["attempts"] and reason not in IMMEDIATE  # anything else keeps the earlier time
    due = row["due_at"] if keeps_waiting else min(row["due_at"], due)
    late_at = fallback_at(config, reason, due)  # told once for each row, however often it becomes late
    if row["fallback_at"] is not None and late_at is not None:
        late_at = min(late_at, row["fallback_at"])
    return {**changed, "reason": stronger(earlier, reason), "due_at": due, "fallback_at": late_at}
