"""Is this a time to speak?"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from receiver.config import Config
from receiver.pipeline import facts, route
from receiver.policy import hours
from receiver.policy import outbox as policy
from receiver.policy.muting import inhibited_by
from receiver.policy.outbox import Wait
from receiver.policy.routing import Node, walk
from receiver.store import incidents
from receiver.store.database import Db

Row = dict[str, Any]

NEVER = timedelta(days=1)  # a route that never opens is asked again tomorrow: routing.yaml may change


class Quiet:
    """Asked at the moment of sending, and of a step; quiet is never a state of the incident."""

    def __init__(self, db: Db, config: Config, now: datetime) -> None:
        self._db, self._config, self._now = db, config, now
        self._nodes = {node.name: node for node in walk(config.tree)}
        self._firing: list[dict[str, str]] | None = None

    def asks(self, row: Row, incident: Row, alerts: Sequence[Row]) -> Wait | None:
        """Return when to ask again, and why; None when it may be said now."""
        until = incident["snoozed_until"]
        if until is not None and until > self._now and row["reason"] in policy.SNOOZABLE:
            return Wait(until, f"snoozed until {facts.instant(until)}")
        nodes = self._leading_to(row, incident)
        waits = [self._hours(node, incident) for node in nodes]
        closed = [wait for wait in waits if wait is not None]
        if len(closed) == len(nodes):
            return min(closed, key=lambda wait: wait.until)
        return self._inhibited(nodes[0], alerts)

    @property
    def looks_at_alerts(self) -> bool:
        """Whether `holds` asks about alerts at all; many steps at once are not made to load them in vain."""
        return bool(self._config.inhibit_rules)

    def holds(self, node: Node, incident: Row, alerts: Sequence[Row]) -> Wait | None:
        """Return when the next step of a policy on this route may be taken, and why; None: now."""
        return self._hours(node, incident) or self._inhibited(node, alerts)

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
        rules = self._config.inhibit_rules
        firing = [alert["labels"] for alert in alerts if alert["state"] == "firing"]
        if not rules or not firing:
            return None
        if self._firing is None:
            wanted = [{m.name: m.value for m in rule.source if m.op == "="} for rule in rules]
            self._firing = incidents.firing_where(self._db, wanted)
        found = [inhibited_by(rules, labels, self._firing) for labels in firing]
        if not all(found) or found[0] is None:
            return None
        rule, source = found[0]
        name = source.get("alertname", "another alert")
        why = f"inhibited by {name}" + (f" (rule {rule.name})" if rule.name else "")
        return Wait(self._now + node.group_interval, why)
