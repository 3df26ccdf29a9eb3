"""One incident on its way through a stage: loaded, changed in memory, written back.

Every stage that changes incidents does it through a `Draft`, so that what people are owed is decided in
one place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from receiver.config import Config
from receiver.pipeline import follow, route
from receiver.policy import grouping
from receiver.policy.incident import Happening, Reason, State
from receiver.policy.routing import Node
from receiver.store import escalations, incidents, outbox
from receiver.store.database import Db

Row = dict[str, Any]

UNSEEN = timedelta(hours=4, minutes=15)  # Alertmanager repeats a group that fires every four hours
TELLING = ("instance", "pod", "severity")  # labels that tell alerts of one name apart
MOST_NAMED = 5  # alerts that one line of the timeline names
OPENING = {  # what asks for people, told before or not
    *(Reason.FIRST, Reason.NEW_ALERTS, Reason.MORE_SEVERE, Reason.REOPENED, Reason.FLAPPING),
    *(Reason.UNACKNOWLEDGED, Reason.LAPSED, Reason.ESCALATED, Reason.SNOOZE_OVER),
}
COMES_OR_GOES = {Reason.REOPENED, Reason.ALL_RESOLVED}
ACTS = {  # people are heard, flapping or not
    *(Reason.ACKNOWLEDGED, Reason.UNACKNOWLEDGED, Reason.LAPSED, Reason.NOTE),
    *(Reason.SNOOZED, Reason.SNOOZE_OVER),
}


@dataclass(slots=True)
class Draft:
    """One incident while bodies are applied to it."""

    row: Row
    alerts: dict[str, Row] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)  # its routes, filled in by `save`
    saved: dict[str, Row] = field(default_factory=dict)  # alerts to write
    entries: list[Row] = field(default_factory=list)  # lines for the timeline
    reason: Reason | None = None
    touched: bool = False
    channels: tuple[str, ...] = ()  # of a drill: tell only these
    is_escalated: bool = False  # a person asked for the next step
    assigned: list[tuple[str, bool]] = field(default_factory=list)  # to whom, and whether besides the others

    def line(self, at: datetime, kind: Happening, text: str, actor: str | None = None) -> None:
        """Add a line to the timeline."""
        self.entries.append({"at": at, "kind": kind, "actor": actor, "text": text})

    def firing(self) -> list[Row]:
        """Return the alerts that fire."""
        return [alert for alert in self.alerts.values() if alert["state"] == "firing"]


def with_alerts(db: Db, rows: Sequence[Row]) -> list[Draft]:
    """Return drafts of these incidents, with all their alerts."""
    drafts = {row["id"]: Draft(row) for row in rows}
    for alert in incidents.alerts(db, list(drafts)):
        drafts[alert["incident_id"]].alerts[alert["fingerprint"]] = alert
    return list(drafts.values())


def owe(draft: Draft, reason: Reason | None, now: datetime) -> None:
    """Note that people should hear of the incident; one that comes and goes is told once, then kept quiet."""
    row = draft.row
    draft.touched = True
    if reason is None:
        return
    if reason is Reason.MORE_SEVERE and row["snoozed_until"] is not None:
        row["snoozed_until"] = None
        draft.line(now, Happening.SNOOZE_OVER, "the snooze is over, for it got worse")
    if row["flapping_at"] is not None and reason not in ACTS:
        if reason in COMES_OR_GOES:  # what else happens must not keep it quiet for longer
            row["flapping_at"] = now
        if reason is not Reason.MORE_SEVERE:
            return
    elif reason is Reason.REOPENED and row["reopenings"] >= grouping.FLAPPING_AFTER:
        row["flapping_at"] = now
        reason = Reason.FLAPPING
        draft.line(now, Happening.FLAPPING, f"reopened {row['reopenings']} times; quiet until it is stable")
    draft.reason = grouping.stronger(draft.reason, reason)


def save(db: Db, config: Config, drafts: Sequence[Draft], now: datetime) -> None:
    """Write incidents, alerts, timelines, and what is owed."""
    for draft in drafts:
        _summarise(config, draft)
    known_escalations = follow.load(db, drafts)
    followed = [
        (draft, follow.follow(config, draft, known_escalations.get(draft.row["id"], ()), now))
        for draft in drafts
    ]
    for draft in drafts:
        draft.row["review_at"] = _review_at(config, draft)
    opened = [draft for draft in drafts if draft.row["id"] is None]
    known = [draft for draft in drafts if draft.row["id"] is not None]
    ids = incidents.open_(db, [draft.row for draft in opened])
    for draft in opened:
        draft.row["id"] = ids[draft.row["key"]]
    incidents.change(db, [draft.row for draft in known])
    incidents.save_alerts(
        db, [{**alert, "incident_id": draft.row["id"]} for draft in drafts for alert in draft.saved.values()]
    )
    _tell(db, config, drafts, now)
    _escalate(db, followed)
    incidents.tell_timeline(
        db, [{**entry, "incident_id": draft.row["id"]} for draft in drafts for entry in draft.entries]
    )


def _summarise(config: Config, draft: Draft) -> None:
    """Fill in what the alerts of the incident say together, and when time itself may change it."""
    row, firing = draft.row, draft.firing()
    shown = firing or list(draft.alerts.values())
    row["firing"] = len(firing)
    row["total"] = len(draft.alerts)
    if draft.saved:
        row["title"] = grouping.title(alert["labels"] for alert in shown)
        row["labels"] = grouping.in_common([alert["labels"] for alert in shown])
        row["annotations"] = grouping.in_common([alert["annotations"] for alert in shown])
    if draft.reason is not None:
        row["revision"] += 1
        draft.nodes = route.nodes_of(config, [alert["labels"] for alert in shown])
        row["routes"] = [node.name for node in draft.nodes]
    if row["state"] == State.RESOLVED:
        row["snoozed_until"] = None


def _review_at(config: Config, draft: Draft) -> datetime | None:
    row = draft.row
    moments = []
    if row["flapping_at"] is not None:
        moments.append(row["flapping_at"] + config.reopen_within)
    if row["state"] != State.RESOLVED:
        firing = draft.firing()
        moments += [alert["expires_at"] for alert in firing if alert["expires_at"] is not None]
        moments += [row[name] for name in ("snoozed_until", "acknowledged_until") if row[name] is not None]
        if not firing:
            moments.append(row["last_seen_at"] + UNSEEN)  # truncated: others may fire unseen
    return min(moments, default=None)


def _escalate(db: Db, followed: Sequence[tuple[Draft, Sequence[Row]]]) -> None:
    """Write which policies begin and stop; their steps are taken when they are due, which may be now."""
    changed = []
    for draft, begun_or_stopped in followed:
        changed += [{**row, "incident_id": draft.row["id"]} for row in begun_or_stopped]
    if changed:
        follow.count_turns(db, changed)
        escalations.save(db, changed)
        outbox.wake(db)


def _tell(db: Db, config: Config, drafts: Sequence[Draft], now: datetime) -> None:
    """Add what is owed; new incidents owe nothing yet, so for them nothing is loaded."""
    telling = [(draft, draft.reason) for draft in drafts if draft.reason is not None]
    known = [draft.row["id"] for draft, _ in telling if draft.row["revision"] > 1]
    owed: dict[int, list[Row]] = {id_: [] for id_ in known}
    for row in outbox.owed(db, known):
        owed[row["incident_id"]].append(row)
    talks: dict[int, dict[str, Row]] = {id_: {} for id_ in known}
    for row in outbox.conversations(db, known):
        talks[row["incident_id"]][row["destination"]] = row
    added: list[Row] = []
    changed: list[Row] = []
    for draft, reason in telling:
        id_ = draft.row["id"]
        its_owed, its_talks = owed.get(id_, []), talks.get(id_, {})
        to = _who(config, draft, its_owed, its_talks)
        told = route.tell(config, draft.row, reason, to, owed=its_owed, conversations=its_talks, now=now)
        added += told.added
        changed += told.changed
        draft.line(now, Happening.OWED, _explained(draft, to))
    outbox.owe(db, added)
    outbox.change(db, changed)


def _who(config: Config, draft: Draft, owed: Sequence[Row], talks: dict[str, Row]) -> dict[str, route.Target]:
    """Return who is to hear: whoever its routes name when it asks for people, and whoever has heard of it."""
    named = route.targets(config, draft.nodes)
    if draft.channels:
        named = {name: one for name, one in named.items() if config.destinations[name].kind in draft.channels}
    row = draft.row
    opens = row["state"] != State.RESOLVED and draft.reason in OPENING and not row["drill"]
    found = dict(named) if opens or row["revision"] == 1 else {}
    receivers = {row["destination"]: row["receiver"] for row in owed}
    for destination in [*talks, *receivers]:
        other = route.Target(destination, receivers.get(destination, ""), draft.nodes[0])
        found.setdefault(destination, named.get(destination, other))
    return found


def _explained(draft: Draft, to: dict[str, route.Target]) -> str:
    if not to and draft.row["revision"] > 1 and draft.reason not in OPENING:
        return f"{draft.reason}: nobody, for nobody was told before"
    policies = [node for node in draft.nodes if node.escalation_policy]
    if not to and policies and draft.reason in OPENING:
        named = "; ".join(f"policy {node.escalation_policy} (route {node.name})" for node in policies)
        return f"{draft.reason}: {named}"
    if not to:
        routes = ", ".join(draft.row["routes"])
        return f"{draft.reason}: nobody; the receivers of its routes ({routes}) have no destinations"
    ways = (
        f"{one.destination} (route {one.node.name} → {one.receiver or 'told before'})" for one in to.values()
    )
    return f"{draft.reason}: {'; '.join(ways)}"


def name(alert: Row) -> str:
    """Return what a person calls an alert."""
    labels = alert["labels"]
    rest = ", ".join(f"{label}={labels[label]}" for label in TELLING if label in labels)
    called = labels.get("alertname", "(no alertname)")
    return (f"{called} ({rest})" if rest else called)[:200]


def names(alerts: Sequence[Row]) -> str:
    """Return what a person calls some alerts, the first few by name."""
    listed = "; ".join(name(alert) for alert in alerts[:MOST_NAMED])
    count = f"{len(alerts)} alerts: " if len(alerts) > 1 else ""
    return count + listed + (f" and {len(alerts) - MOST_NAMED} more" if len(alerts) > MOST_NAMED else "")
