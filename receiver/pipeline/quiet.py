"""Is this a time to speak?"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from receiver.config import Config
from receiver.pipeline import facts, route
from receiver.pipeline.covers import covers, inhibition
from receiver.policy import hours
from receiver.policy import outbox as policy
from receiver.policy.hours import TimeInterval
from receiver.policy.incident import Reason, State
from receiver.policy.matching import matches
from receiver.policy.muting import Cover, covered, inhibited_by
from receiver.policy.outbox import Wait, Withdraw
from receiver.policy.routing import Node
from receiver.store import incidents, silences
from receiver.store.database import Db

Row = dict[str, Any]

NEVER = timedelta(days=1)  # a route that never opens is asked again tomorrow: routing.yaml may change


class Quiet:
    """Asked at the moment of sending, and of a step; quiet is never a state of the incident."""

    def __init__(self, db: Db, config: Config, now: datetime) -> None:
        self._db, self._config, self._now = db, config, now

    def asks(
        self, row: Row, incident: Row, alerts: Sequence[Row], told_at: datetime | None
    ) -> Wait | Withdraw | None:
        """Return when to ask again, or why it is never said; None when it may be said now."""
        until = incident["snoozed_until"]
        if until is not None and until > self._now and row["reason"] in policy.SNOOZABLE:
            return Wait(until, f"snoozed until {facts.instant(until)}")
        nodes = self._leading_to(row, incident)
        is_heard = row["reason"] in policy.HEARD_ALL_THE_SAME or incident["state"] == State.RESOLVED
        if not is_heard and (wait := self.covered(alerts)) is not None:
            return wait
        opens = self._opens(nodes, incident, self._now)
        if opens is None or self._is_end_of_what_broke_through(nodes, incident, told_at):
            return None if is_heard else self._inhibited(nodes[0], alerts)
        if row["reason"] in policy.UPDATES and all(node.outside == "drop" for node in nodes):
            return self._dropped(nodes[0], incident, told_at, opens)
        return replace(opens, why=row["why"]) if row["reason"] == Reason.HEALED else opens

    def came_and_went(self, row: Row, incident: Row) -> Wait | None:
        """Return when to tell, with all else, that it came and went outside the hours; None: it did not.

        Whoever was told of nothing outside the hours learns of it when these begin, and not before.
        """
        nodes = [node for node in self._leading_to(row, incident) if node.outside == "defer"]
        opens = self._opens(nodes, incident, incident["resolved_at"]) if nodes else None
        if opens is None:
            return None
        why = f"it came and went {opens.why}, and is told with all else that did"
        return Wait(max(opens.until, self._now), why, Reason.HEALED)

    @property
    def looks_at_alerts(self) -> bool:
        """Whether `holds` asks about alerts at all; many steps at once are not made to load them in vain."""
        return bool(self._config.inhibit_rules or self._covers)

    def holds(self, node: Node, incident: Row, alerts: Sequence[Row]) -> Wait | None:
        """Return when the next step of a policy on this route may be taken, and why; None: now."""
        return self.covered(alerts) or self._hours(node, incident, self._now) or self._inhibited(node, alerts)

    def covered(self, alerts: Sequence[Row]) -> Wait | None:
        """Return until when silences and mute windows keep all that fires quiet; None: something is not."""
        return covered(self._covers, _firing(alerts))

    def among(self, rows: Sequence[Row]) -> set[int]:
        """Return the ids of those incidents that silences, mute windows or other alerts keep quiet."""
        ids = [row["id"] for row in rows if row["state"] != State.RESOLVED]
        if not self._covers and not self._config.inhibit_rules:
            return set()
        firing: dict[int, list[Row]] = {id_: [] for id_ in ids}
        for alert in incidents.alerts(self._db, ids):
            firing[alert["incident_id"]].append(alert)
        root = self._config.tree
        return {
            id_ for id_, alerts in firing.items() if self.covered(alerts) or self._inhibited(root, alerts)
        }

    def reasons(self, incident: Row, alerts: Sequence[Row]) -> list[Row]:
        """Return what keeps alerts of the incident quiet on purpose, until when, and how many of them."""
        firing = _firing(alerts)
        if incident["state"] == State.RESOLVED or not firing:
            return []
        found = [
            {"why": cover.why, "until": cover.until, "alerts": count}
            for cover in self._covers
            if (count := sum(matches(cover.matchers, labels) for labels in firing))
        ]
        rules = self._config.inhibit_rules
        sources = (inhibited_by(rules, labels, self._sources) for labels in firing) if rules else ()
        inhibitions = Counter(inhibition(*source) for source in sources if source)
        return found + [{"why": why, "until": None, "alerts": n} for why, n in inhibitions.items()]

    @cached_property
    def _covers(self) -> list[Cover]:
        return covers(self._config, silences.in_force(self._db, self._now), self._now)

    @cached_property
    def _sources(self) -> list[dict[str, str]]:
        """The labels of the alerts that fire and may inhibit others."""
        rules = self._config.inhibit_rules
        wanted = [{m.name: m.value for m in rule.source if m.op == "="} for rule in rules]
        return incidents.firing_where(self._db, wanted)

    def _leading_to(self, row: Row, incident: Row) -> list[Node]:
        """Return the routes that tell this destination; it is quiet only where all of them are."""
        named = self._config.node_named
        own = named.get(row["route"], self._config.tree)
        others = [named[name] for name in incident["routes"] if name in named]
        return [own, *(node for node in others if row["destination"] in route.targets(self._config, [node]))]

    def _opens(self, nodes: Sequence[Node], incident: Row, at: datetime) -> Wait | None:
        """Return when the first of the routes opens; None where one is open."""
        waits = [self._hours(node, incident, at) for node in nodes]
        closed = [wait for wait in waits if wait is not None]
        return min(closed, key=lambda wait: wait.until) if len(closed) == len(nodes) else None

    def _is_end_of_what_broke_through(
        self, nodes: Sequence[Node], incident: Row, told_at: datetime | None
    ) -> bool:
        """Return whether it ends after people were told of it outside the hours: they wait for that."""
        if told_at is None or incident["state"] != State.RESOLVED:
            return False
        return all(
            node.outside == "defer" and not hours.is_open(*self._intervals(node), told_at)[0]
            for node in nodes
        )

    def _dropped(self, node: Node, incident: Row, told_at: datetime | None, opens: Wait) -> Wait | Withdraw:
        """Return what becomes of an update that Alertmanager would drop; reminders go on as ever."""
        if incident["state"] != State.TRIGGERED:
            return Withdraw(f"{opens.why}, where its route drops what happens")
        if told_at is None:
            return opens
        return Wait(max(told_at + node.repeat_interval, self._now), opens.why, Reason.REPEAT_DUE)

    def _intervals(self, node: Node) -> tuple[list[TimeInterval], list[TimeInterval]]:
        """Return when a route speaks, and when it does not."""
        named = self._config.interval_named
        return (
            [named[name] for name in node.active_time_intervals],
            [named[name] for name in node.mute_time_intervals],
        )

    def _hours(self, node: Node, incident: Row, at: datetime) -> Wait | None:
        """Return when the route may speak of the incident, from `at` on, and why not then; None: it may."""
        since = incident["reopened_at"] or incident["started_at"]
        firing = incident["firing"] + incident["truncated"]  # those left out may fire: when in doubt, page
        breaks_at = route.breaks_at(self._config, node, incident["severity"], firing=firing, since=since)
        if breaks_at is not None and breaks_at <= at:
            return None
        active, mute = self._intervals(node)
        is_open, why = hours.is_open(active, mute, at)
        if is_open:
            return None
        opens_at = hours.opens_at(active, mute, at) or at + NEVER
        return Wait(min(opens_at, breaks_at or opens_at), why)

    def _inhibited(self, node: Node, alerts: Sequence[Row]) -> Wait | None:
        rules, firing = self._config.inhibit_rules, _firing(alerts)
        if not rules or not firing:
            return None
        found = [inhibited_by(rules, labels, self._sources) for labels in firing]
        if not all(found) or found[0] is None:
            return None
        return Wait(self._now + node.group_interval, inhibition(*found[0]))


def _firing(alerts: Iterable[Row]) -> list[dict[str, str]]:
    return [alert["labels"] for alert in alerts if alert["state"] == "firing"]
