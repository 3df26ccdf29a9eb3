"""Which escalation policies are at work on an incident, now that it changed?

A policy is at work while its incident is triggered and not snoozed. Acknowledge, resolve and snooze stop it
in the transaction that records them; whatever triggers the incident again lets it begin anew, with the
first step.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from receiver.config import Config
from receiver.pipeline import facts
from receiver.policy.escalation import EscalationPolicy, step_after
from receiver.policy.incident import Event, Happening, Reason, State, after
from receiver.policy.routing import Node
from receiver.store import escalations
from receiver.store.database import Db

if TYPE_CHECKING:
    from receiver.pipeline.draft import Draft

Row = dict[str, Any]

TRIGGERED_AGAIN = {Reason.UNACKNOWLEDGED, Reason.LAPSED, Reason.SNOOZE_OVER}  # who was asked is asked again
OPENED_AGAIN = {Reason.REOPENED, Reason.MORE_SEVERE}  # the policies of its routes are, as they are now
CHANGES_QUIET = {Reason.NEW_ALERTS, Reason.MORE_SEVERE}  # what waited for hours may break through now
ASSIGNED_WAIT = timedelta(minutes=15)  # for whom it was assigned to, before the policies begin again
BEGINS = {Reason.FIRST, Reason.NEW_ALERTS, *OPENED_AGAIN, *TRIGGERED_AGAIN}


def thawed(frozen: Mapping[str, Any]) -> EscalationPolicy:
    """Return a policy as it was when it began; many incidents have the same."""
    return _thawed(to_json(frozen))


@lru_cache(256)
def _thawed(text: bytes) -> EscalationPolicy:
    return EscalationPolicy.model_validate_json(text)


def load(db: Db, drafts: Sequence["Draft"]) -> dict[int, list[Row]]:
    """Return the escalations of incidents that are known already."""
    return escalations.of(db, [draft.row["id"] for draft in drafts if draft.row["id"] is not None])


def follow(config: Config, draft: "Draft", known: Sequence[Row], now: datetime) -> list[Row]:
    """Return the escalations that stop or begin; set when the acknowledgement expires.

    The incident of a new one may have no id yet: its caller fills that in.
    """
    row, its = draft.row, {one["policy"]: one for one in known}
    named = {node.escalation_policy: node for node in reversed(draft.nodes) if node.escalation_policy}
    if (
        row["state"] == State.ACKNOWLEDGED
        and draft.reason is Reason.MORE_SEVERE
        and named.keys() - its.keys()
    ):
        row.update(state=after(State.ACKNOWLEDGED, Event.UNACKNOWLEDGE))
        row.update(acknowledged_at=None, acknowledged_by=None, acknowledged_how=None)
        draft.line(now, Happening.UNACKNOWLEDGED, "it got worse than what was acknowledged")
    row["acknowledged_until"] = _acknowledged_until(row, known)
    why = _why_stopped(row)
    if why is not None:
        stops = [stopped(one, why) for one in known if one["next_step_at"] is not None]
        return stops + [_assigned(draft, its, person, now) for person, _ in draft.assigned]
    if draft.is_escalated or draft.assigned:
        return _asked_for(draft, its, now)
    if draft.reason not in BEGINS:
        return []
    found = []
    if draft.reason in CHANGES_QUIET:
        found += [{**one, "next_step_at": now} for one in known if one["next_step_at"] and one["why"]]
    anew = {one["policy"] for one in known if one["next_step_at"] is None}
    if draft.reason in TRIGGERED_AGAIN:
        found += [begun_again(its[name], draft.reason, now) for name in sorted(anew)]
    for name, node in named.items():
        if name in config.policy_named and (
            name not in its or (name in anew and draft.reason in OPENED_AGAIN)
        ):
            found.append(_begun(draft, its.get(name), config.policy_named[name], node, now))
    return found


def _asked_for(draft: "Draft", its: Mapping[str, Row], now: datetime) -> list[Row]:
    """Return what a person's wish makes of the escalations: the next step now, or somebody who is told."""
    found = dict(its)
    for name, row in its.items():
        policy = thawed(row["frozen"])
        if draft.is_escalated and step_after(policy, row["taken"]) is None:
            row = begun_again(row, Reason.ESCALATED, now)  # noqa: PLW2901 - it goes round once more
        if draft.is_escalated:
            found[name] = {**row, "step_at": now, "next_step_at": now, "why": ""}
        elif not all(adds for _, adds in draft.assigned):
            found[name] = begun_again(row, Reason.ESCALATED, now + ASSIGNED_WAIT)
    for person, _ in draft.assigned:
        row = _assigned(draft, its, person, now)
        found[row["policy"]] = row
    return [row for name, row in found.items() if row is not its.get(name)]


def _assigned(draft: "Draft", its: Mapping[str, Row], person: str, now: datetime) -> Row:
    """Return an escalation of one step, which tells one person; no route's hours hold it."""
    policy = EscalationPolicy.model_validate(
        {"name": f"assigned to {person}", "steps": [{"notify": [{"person": person}]}]}
    )
    known = its.get(policy.name)
    return {
        "incident_id": draft.row["id"],
        "policy": policy.name,
        "route": "",
        "frozen": policy.model_dump(mode="json", exclude_defaults=True),
        "channels": [],
        "turn": 0,
        "begun": known["begun"] + 1 if known else 1,
        **_from_the_first(policy, Reason.ASSIGNED, now),
    }


def _why_stopped(row: Row) -> str | None:
    if row["state"] == State.RESOLVED:
        return "it is over"
    if row["state"] == State.ACKNOWLEDGED:
        return f"acknowledged by {row['acknowledged_by']}"
    if row["snoozed_until"] is not None:
        return f"snoozed until {facts.instant(row['snoozed_until'])}"
    return None


def _acknowledged_until(row: Row, known: Sequence[Row]) -> datetime | None:
    """Return when the acknowledgement expires: the shortest time that its policies give."""
    if row["state"] != State.ACKNOWLEDGED:
        return None
    policies = [thawed(one["frozen"]) for one in known]
    times = [policy.ack_timeout for policy in policies if policy.ack_timeout is not None]
    acknowledged_at: datetime = row["acknowledged_at"]
    return acknowledged_at + min(times) if times else None


def _begun(draft: "Draft", known: Row | None, policy: EscalationPolicy, node: Node, now: datetime) -> Row:
    wait = node.group_wait if draft.reason is Reason.FIRST else timedelta()
    return {
        "incident_id": draft.row["id"],
        "policy": policy.name,
        "route": node.name,
        "frozen": policy.model_dump(mode="json", exclude_defaults=True),
        "channels": list(draft.channels or (known["channels"] if known else ())),
        "turn": known["turn"] if known else None,  # the caller counts
        "begun": known["begun"] + 1 if known else 1,
        **_from_the_first(policy, draft.reason or Reason.FIRST, now + wait),
    }


def begun_again(row: Row, reason: Reason, now: datetime) -> Row:
    """Return an escalation that begins with its first step again, as it was frozen."""
    policy = thawed(row["frozen"])
    return {**row, "begun": row["begun"] + 1, **_from_the_first(policy, reason, now)}


def _from_the_first(policy: EscalationPolicy, reason: Reason, now: datetime) -> Row:
    first = step_after(policy, 0)
    step_at = now + first[2] if first else None
    return {"reason": reason, "taken": 0, "reached": False, "pending": [], "step_at": step_at,
            "next_step_at": step_at, "why": ""}  # fmt: skip


def stopped(row: Row, why: str) -> Row:
    """Return an escalation that does nothing more, and why; it remembers how far it came."""
    return {**row, "pending": [], "step_at": None, "next_step_at": None, "why": why}


def brought_back(row: Row, by: timedelta, now: datetime) -> Row:
    """Return an escalation after the clock was put back: no step is late, though one may be early."""

    def earlier(at: datetime | None) -> datetime | None:
        return None if at is None else max(now, at - by)

    later = [(one, datetime.fromisoformat(one["at"])) for one in row["pending"]]
    return {
        **row,
        "step_at": earlier(row["step_at"]),
        "next_step_at": earlier(row["next_step_at"]),
        "pending": [{**one, "at": max(now, at - by).isoformat()} for one, at in later],
    }


def count_turns(db: Db, begun: Sequence[Row]) -> None:
    """Say whose turn it is in each round robin that is new."""
    new = [row for row in begun if row["turn"] is None]
    robins = [row for row in new if any(step.get("round_robin") for step in row["frozen"]["steps"])]
    turns: Mapping[str, int] = escalations.next_turns(db, [row["policy"] for row in robins])
    ahead: dict[str, int] = {}
    for row in new:
        name = row["policy"]
        row["turn"] = turns.get(name, 0) + ahead.get(name, 0)
        ahead[name] = ahead.get(name, 0) + (name in turns)
