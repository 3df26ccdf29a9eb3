"""Whom will an escalation policy tell, and when, if nobody acts?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from receiver.config import Config
from receiver.pipeline import route
from receiver.pipeline.duty import Duty, Page
from receiver.pipeline.follow import thawed
from receiver.policy import escalation, hours
from receiver.policy.escalation import EscalationPolicy, step_after
from receiver.policy.incident import State
from receiver.policy.routing import Node

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One destination that will be told at a time."""

    at: datetime
    page: Page
    why: str  # `step 2 of page: bo, on call by secondary`


def foresee(
    config: Config, duty: Duty, node: Node, policy: EscalationPolicy, *, severity: str, taken: int,
    step_at: datetime, turn: int = 0, channels: Sequence[str] = (),
) -> Iterator[Foreseen]:  # fmt: skip
    """Yield who will be told by the rest of the round, step by step."""
    reaches = partial(duty.reaches, severity=severity, turn=turn, channels=channels)
    opens = partial(_opens_at, config, node, severity)
    for at, taken_then in escalation.plan(policy, taken, step_at, reaches, opens):
        place = (taken_then.number - 1) % len(policy.steps) + 1
        for page in taken_then.told:
            yield Foreseen(at + page.after, page, f"step {place} of {policy.name}: {page.how}")


def _opens_at(config: Config, node: Node, severity: str, at: datetime) -> datetime | None:
    breaks_at = route.breaks_at(config, node, severity, firing=1, since=at)
    if breaks_at is not None and breaks_at <= at:
        return at
    active = [config.interval_named[name] for name in node.active_time_intervals]
    mute = [config.interval_named[name] for name in node.mute_time_intervals]
    moments = (hours.opens_at(active, mute, at), breaks_at)
    return min((one for one in moments if one is not None), default=None)


def of_incident(config: Config, duty: Duty, incident: Row, rows: Sequence[Row]) -> list[Foreseen]:
    """Return who will be told of an open incident by its escalations, soonest first."""
    if incident["state"] == State.RESOLVED:
        return []
    found: list[Foreseen] = []
    for row in rows:
        node = config.node_named.get(row["route"], config.tree)
        found += _of_escalation(config, duty, node, incident, row)
    return sorted(found, key=lambda one: one.at)


def _of_escalation(config: Config, duty: Duty, node: Node, incident: Row, row: Row) -> Iterator[Foreseen]:
    policy = thawed(row["frozen"])
    for one in row["pending"]:
        page = Page(one["destination"], one["to"], one["how"], timedelta())
        yield Foreseen(datetime.fromisoformat(one["at"]), page, f"a later contact: {one['how']}")
    first = step_after(policy, 0)
    begins_at: datetime | None = incident["acknowledged_until"] or incident["snoozed_until"]
    taken, step_at = row["taken"], row["step_at"]
    if row["next_step_at"] is None and begins_at is not None and first is not None:
        taken, step_at = 0, begins_at + first[2]
    elif step_at is not None and row["why"]:  # it waits for a time to speak
        step_at = max(step_at, row["next_step_at"])
    if step_at is not None:
        yield from foresee(
            config, duty, node, policy, severity=incident["severity"], taken=taken, step_at=step_at,
            turn=row["turn"], channels=row["channels"],
        )  # fmt: skip
