"""Somebody else comes on call: what is open is told to whoever takes over, in one message."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from receiver.channels import KINDS
from receiver.config import Config, Destination
from receiver.pipeline import rota, route
from receiver.pipeline.deliver import withdraw
from receiver.policy.incident import Reason
from receiver.policy.oncall import on_call
from receiver.store import escalations, handovers, incidents, outbox
from receiver.store.database import Db

Row = dict[str, Any]

MOST = 5000  # incidents of one hand-over, as many as one message finishes
GONE = "another is on call by now"


def hand_over(db: Db, config: Config, moments: Sequence[datetime]) -> list[int]:
    """Owe what is open to whoever came on call since the last look; return how much that is."""
    return [_hand_over(db, config, now) for now in moments]


def _hand_over(db: Db, config: Config, now: datetime) -> int:
    taken = rota.taken_over(db, config, now)
    known = handovers.held(db)
    present = {
        one.name: on_call(one, taken.get(one.name, ()), config.interval_named, now)[0]
        for one in config.schedules
    }
    changed = {name: one for name, one in present.items() if name not in known or known[name] != one}
    gone = {known[name] for name in changed if name in known} - {None, *present.values()}
    _take_back(db, config, gone, now)
    owed: dict[str, Row] = {}
    for name, person in changed.items():
        if person is not None and name in known:  # a schedule that is new is taken over by nobody
            owed.update((row["key"], row) for row in _owed(db, config, name, person, now))
    handovers.save(db, [{"schedule": name, "person": one, "at": now} for name, one in changed.items()])
    outbox.owe(db, list(owed.values()))
    return len(owed)


def _take_back(db: Db, config: Config, gone: Collection[str | None], now: datetime) -> None:
    """Take back what waited, for hours or a service, until whoever was to hear is no longer on call."""
    ids = outbox.about_handed_over(db) if gone else []
    if not ids:
        return
    incidents.deciding(db, ids)
    late = [
        row
        for row in outbox.owed(db, ids)
        if row["reason"] == Reason.HANDED_OVER
        and row["receiver"] in gone
        and (row["claimed_until"] is None or row["claimed_until"] <= now)
    ]
    withdraw(db, config, late, GONE, now)


def _owed(db: Db, config: Config, schedule: str, person: str, now: datetime) -> Iterator[Row]:
    to = _contact(config, person)
    if to is None:
        return
    policies = [
        policy.name
        for policy in config.escalation_policies
        if any(whom.schedule == schedule for step in policy.steps for whom in step.notify)
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
