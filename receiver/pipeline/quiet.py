"""Is this a time to speak?"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from receiver.config import Config
from receiver.pipeline import facts, route
from receiver.pipeline.covers import covers, inhibition
from receiver.policy import hours
from receiver.policy import outbox as policy
from receiver.policy.incident import State
from receiver.policy.matching import matches
from receiver.policy.muting import Cover, covered, inhibited_by
from receiver.policy.outbox import Wait
from receiver.policy.routing import Node, walk
from receiver.store import incidents, silences
from receiver.store.database import Db

Row = dict[str, Any]

NEVER = timedelta(days=1)  # a route that never opens is asked again tomorrow: routing.yaml may change


class Quiet:
    """Asked at the moment of sending, and of a step; quiet is never a state of the incident."""

    def __init__(self, db: Db, config: Config, now: datetime) -> None:
        self._db, self._config, self._now = db, config, now
        self._nodes = {node.name: node for node in walk(config.tree)}

    def asks(self, row: Row, incident: Row, alerts: Sequence[Row]) -> Wait | None:
        """Return when to ask again, and why; None when it may be said now."""
        until = incident["snoozed_until"]
        if until is not None and until > self._now and row["reason"] in policy.SNOOZABLE:
            return Wait(until, f"snoozed until {facts.instant(until)}")
        nodes = self._leading_to(row, incident)
        is_heard = row["reason"] in policy.SAID_BY_PEOPLE or incident["state"] == State.RESOLVED
        if not is_heard and (wait := self.covered(alerts)) is not None:
            return wait
        waits = [self._hours(node, incident) for node in nodes]
        closed = [wait for wait in waits if wait is not None]
        if len(closed) == len(nodes):
            return min(closed, key=lambda wait: wait.until)
        return None if is_heard else self._inhibited(nodes[0], alerts)

    @property
    def looks_at_alerts(self) -> bool:
        """Whether `holds` asks about alerts at all; many steps at once are not made to load them in vain."""
        return bool(self._config.inhibit_rules or self._covers)

    def holds(self, node: Node, incident: Row, alerts: Sequence[Row]) -> Wait | None:
        """Return when the next step of a policy on this route may be taken, and why; None: now."""
        return self.covered(alerts) or self._hours(node, incident) or self._inhibited(node, alerts)

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
        own = self._nodes.get(row["route"], self._config.tree)
        others = [self._nodes[name] for name in incident["routes"] if name in self._nodes]
        return [own, *(node for node in others if row["destination"] in route.targets(self._config, [node]))]

    def _hours(self, node: Node, incident: Row) -> Wait | None:
        if route.breaks_through(self._config, node, incident["severity"]):
            return None
        active = [self._config.interval_named[name] for name in node.active_time_intervals]
        mute = [self._config.interval_named[name] for name in node.mute_time_intervals]
        is_open, why = hours.is_open(active, mute, self._now)
        if is_open:
            return None
        return Wait(hours.opens_at(active, mute, self._now) or self._now + NEVER, why)

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
