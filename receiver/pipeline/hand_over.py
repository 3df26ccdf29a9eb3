"""Somebody else comes on call: what is open is told to whoever takes over, in one message."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from receiver.channels import KINDS
from receiver.config import Config, Destination
from receiver.pipeline import rota, route
from receiver.policy.incident import Reason
from receiver.policy.oncall import Schedule, on_call
from receiver.store import escalations, handovers, outbox
from receiver.store.database import Db

Row = dict[str, Any]

MOST = 5000  # incidents of one hand-over, as many as one message finishes


def hand_over(db: Db, config: Config, moments: Sequence[datetime]) -> list[int]:
    """Owe what is open to whoever came on call since the last look; return how much that is."""
    return [_hand_over(db, config, now) for now in moments]


def _hand_over(db: Db, config: Config, now: datetime) -> int:
    taken = rota.taken_over(db, config, now)
    known = handovers.held(db)
    seen: list[Row] = []
    owed: dict[str, Row] = {}
    for schedule in config.schedules:
        person, _ = on_call(schedule, taken.get(schedule.name, ()), config.interval_named, now)
        if schedule.name in known and known[schedule.name] == person:
            continue
        seen.append({"schedule": schedule.name, "person": person, "at": now})
        if person is not None and schedule.name in known:  # a schedule that is new is taken over by nobody
            owed.update((row["key"], row) for row in _owed(db, config, schedule, person, now))
    handovers.save(db, seen)
    outbox.owe(db, list(owed.values()))
    return len(owed)


def _owed(db: Db, config: Config, schedule: Schedule, person: str, now: datetime) -> Iterator[Row]:
    to = _contact(config, person)
    if to is None:
        return
    policies = [
        policy.name
        for policy in config.escalation_policies
        if any(whom.schedule == schedule.name for step in policy.steps for whom in step.notify)
    ]
    for incident in escalations.under_way(db, policies, MOST):
        node = config.node_named.get(incident["route"], config.tree)
        target = route.Target(to.name, person, node)
        key = f"{incident['id']}:{to.name}:{Reason.HANDED_OVER}:{now.isoformat()}"
        row = route.owe(config, incident, target, Reason.HANDED_OVER, due=now, now=now, key=key)
        yield {**row, "urgent": False}  # it is news to one person, and pages come first


def _contact(config: Config, person: str) -> Destination | None:
    """Return where the person is told first, of those that can show many incidents in one message."""
    contacts = sorted(config.contacts_of(person) or (), key=lambda one: one[0])
    return next((to for _, to in contacts if KINDS[to.kind].takes_digests), None)
