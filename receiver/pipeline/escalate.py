"""A step of an escalation policy is due: who is told now, and when is the next one?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from receiver import metrics
from receiver.config import Config
from receiver.pipeline import facts, rota, route
from receiver.pipeline.duty import Duty, Page
from receiver.pipeline.follow import stopped, thawed
from receiver.pipeline.ingest import Received, ingest
from receiver.pipeline.quiet import Quiet
from receiver.policy.escalation import EscalationPolicy, Taken, take
from receiver.policy.incident import Happening, Reason, State
from receiver.policy.outbox import Wait
from receiver.policy.routing import Node
from receiver.policy.watching import self_alarm
from receiver.store import escalations, incidents, outbox, throttles
from receiver.store.database import DatabaseFailure, Db

log = structlog.get_logger()
Row = dict[str, Any]

BATCH = 500  # incidents of one transaction
AGAIN = timedelta(minutes=1)  # after an error of ours
OUT_OF_STEPS = "every step was taken; reminders go on"


@dataclass
class Steps:
    """What a batch of steps brings: rows to write, and whether somebody must know that nobody was reached."""

    escalations: list[Row] = field(default_factory=list)
    added: list[Row] = field(default_factory=list)
    changed: dict[int, Row] = field(default_factory=dict)  # by id
    entries: list[Row] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)  # policies


def escalate(db: Db, config: Config, moments: Sequence[datetime]) -> list[int]:
    """Take the steps that are due; return how many incidents that was about, for each moment asked."""
    return [_escalate(db, config, now) for now in moments]


def _escalate(db: Db, config: Config, now: datetime) -> int:
    ids = sorted(escalations.due(db, now, BATCH))
    if not ids:
        return 0
    throttles.take_turns(db)  # a silence that begins or ends meanwhile is seen, or asks again
    # Incidents are held first, as in every stage; another replica may have taken the step meanwhile.
    about = {row["id"]: row for row in incidents.deciding(db, ids)}
    due = [row for its in escalations.of(db, ids).values() for row in its if _is_due(row, now)]
    quiet = Quiet(db, config, now)
    alerts: dict[int, list[Row]] = {id_: [] for id_ in ids}
    for alert in incidents.alerts(db, ids) if quiet.looks_at_alerts else ():
        alerts[alert["incident_id"]].append(alert)
    owed: dict[tuple[int, str], Row] = {}
    for row in outbox.owed(db, ids):
        owed.setdefault((row["incident_id"], row["destination"]), row)
    stage = _Stage(config, Duty(config, rota.taken_over(db, config, now)), quiet, owed, now)
    for row in due:
        incident = about[row["incident_id"]]
        try:
            stage.step(row, incident, alerts[row["incident_id"]])
        except Exception:
            # A bug in one policy must neither silence its incident nor keep the others waiting.
            log.exception("escalation.bug", incident_id=incident["id"], policy=row["policy"])
            stage.give_up_for_now(row, incident)
    done = stage.done
    escalations.save(db, done.escalations)
    outbox.owe(db, done.added)
    outbox.change(db, list(done.changed.values()))
    incidents.tell_timeline(db, done.entries)
    for policy in sorted(set(done.unreached)):
        summary = f"The escalation policy {policy} reached nobody; see who is on call, and their contacts."
        alarm = self_alarm("TocsinNobodyReached", {"policy": policy}, summary, now=now)
        ingest(db, config, [Received(alarm, None)])
    return len(ids)


def _is_due(row: Row, now: datetime) -> bool:
    return row["next_step_at"] is not None and row["next_step_at"] <= now


def _asks_for_people(row: Row, incident: Row) -> bool:
    """Return whether the escalation goes on; who is added to what somebody is on hears of it all the same."""
    is_added = row["reason"] == Reason.ASSIGNED and incident["state"] == State.ACKNOWLEDGED
    return bool(incident["state"] == State.TRIGGERED) or is_added


class _Stage:
    """One batch of steps."""

    def __init__(
        self, config: Config, duty: Duty, quiet: Quiet, owed: Mapping[tuple[int, str], Row], now: datetime
    ) -> None:
        self._config, self._duty, self._quiet, self._now = config, duty, quiet, now
        self._owed = dict(owed)
        self.done = Steps()

    def step(self, row: Row, incident: Row, alerts: Sequence[Row]) -> None:
        """Do what is due of one escalation."""
        node = self._config.node_named.get(row["route"], self._config.tree)
        if not _asks_for_people(row, incident):
            self.done.escalations.append(stopped(row, f"the incident is {incident['state']}"))
            return
        wait = self._held(node, incident, alerts)
        if wait is not None:
            if wait.why != row["why"]:
                text = f"policy {row['policy']}: {wait.why}; asked again at {facts.instant(wait.until)}"
                self._line(incident, Happening.WAITS, text)
            self.done.escalations.append({**row, "next_step_at": wait.until, "why": wait.why})
            return
        row = {**row, "why": ""}
        self._tell_pending(row, incident, node)
        if row["step_at"] is not None and row["step_at"] <= self._now:
            self._take(row, incident, node)
        moments = [datetime.fromisoformat(one["at"]) for one in row["pending"]]
        row["next_step_at"] = min([*moments, *([row["step_at"]] if row["step_at"] else [])], default=None)
        if row["next_step_at"] is None:
            row["why"] = OUT_OF_STEPS
        self.done.escalations.append(row)

    def give_up_for_now(self, row: Row, incident: Row) -> None:
        """Tell the fallback, and try again later."""
        self._fall_back(row, incident, row["policy"])
        self.done.escalations.append(
            {**row, "next_step_at": self._now + AGAIN, "why": "an error; see the log"}
        )

    def _held(self, node: Node, incident: Row, alerts: Sequence[Row]) -> Wait | None:
        """Return when to ask again, None to go on; a bug in hours or rules must not silence anybody."""
        try:
            return self._quiet.holds(node, incident, alerts)
        except DatabaseFailure:
            raise
        except Exception:
            log.exception("quiet.bug", incident_id=incident["id"])
            return None

    def _tell_pending(self, row: Row, incident: Row, node: Node) -> None:
        """Tell people by their later contacts, whose time has come."""
        later = []
        for one in row["pending"]:
            if datetime.fromisoformat(one["at"]) > self._now:
                later.append(one)
            elif one["destination"] in self._config.destinations:
                page = Page(one["destination"], one["to"], one["how"], timedelta())
                self._owe(incident, node, page, Reason(one["reason"]), f"{one['key']}:{page.destination}")
                self._line(
                    incident, Happening.OWED, f"policy {row['policy']}: {page.destination} ({page.how})"
                )
        row["pending"] = later

    def _take(self, row: Row, incident: Row, node: Node) -> None:
        policy = thawed(row["frozen"])
        found = take(policy, row["taken"], self._now, self._reaches(row, incident))
        for number, why in found.missed:
            self._line(incident, Happening.WAITS, f"policy {policy.name}, step {number}: nobody; {why}")
        reason = Reason.ESCALATED if row["reached"] else Reason(row["reason"])
        if found.told:
            self._tell(row, incident, node, policy, found, reason)
        elif not row["reached"]:
            self._fall_back(row, incident, policy.name)
        row["taken"], row["reached"] = found.number, row["reached"] or bool(found.told)
        row["step_at"] = self._now + found.wait if found.wait is not None else None

    def _reaches(self, row: Row, incident: Row) -> Any:
        return partial(
            self._duty.reaches, severity=incident["severity"], turn=row["turn"], channels=row["channels"]
        )

    def _tell(
        self,
        row: Row,
        incident: Row,
        node: Node,
        policy: EscalationPolicy,
        found: Taken[Page],
        reason: Reason,
    ) -> None:
        metrics.STEPS.labels("told").inc()
        turn, place = divmod(found.number - 1, len(policy.steps))
        step = f"policy {policy.name}, step {place + 1}" + (f", round {turn + 1}" if turn else "")
        key = f"{incident['id']}:{policy.name}:{row['begun']}:{found.number}"
        said = []
        for page in found.told:
            if page.after:
                at = (self._now + page.after).isoformat()
                row["pending"].append({"at": at, "destination": page.destination, "to": page.to,
                                       "how": page.how, "reason": reason, "key": key})  # fmt: skip
                said.append(f"{page.destination} ({page.how}) after {page.after}")
            else:
                self._owe(incident, node, page, reason, f"{key}:{page.destination}")
                said.append(f"{page.destination} ({page.how})")
        self._line(incident, Happening.OWED, f"{step}: {'; '.join(said)}")

    def _owe(self, incident: Row, node: Node, page: Page, reason: Reason, key: str) -> None:
        """Owe a page; what waits for its destination and nobody holds becomes it."""
        now, place = self._now, (incident["id"], page.destination)
        held = self._owed.get(place)
        if held is not None and (held["claimed_until"] is None or held["claimed_until"] <= now):
            changed = route.collapsed(self._config, held, incident, reason, due=now)
            self._owed[place] = changed
            self.done.changed[held["id"]] = changed
            return
        target = route.Target(page.destination, page.to, node)
        self.done.added.append(route.owe(self._config, incident, target, reason, due=now, now=now, key=key))

    def _fall_back(self, row: Row, incident: Row, policy: str) -> None:
        """Tell the fallback, once each time a policy begins, and raise a self-alarm."""
        metrics.STEPS.labels("nobody").inc()
        told = []
        for target in route.fallback_targets(self._config):
            key = f"{incident['id']}:{policy}:{row['begun']}:fallback:{target.destination}"
            page = route.owe(
                self._config, incident, target, Reason.FALLBACK, due=self._now, now=self._now, key=key
            )
            self.done.added.append({**page, "fallback_for": f"the escalation policy {policy}"})
            told.append(target.destination)
        text = f"policy {policy} reached nobody; instead: {', '.join(told) or 'nobody'}"
        self._line(incident, Happening.FAILED, text)
        if incident["source"] != "tocsin":  # an alarm about an alarm would go round and round
            self.done.unreached.append(policy)

    def _line(self, incident: Row, kind: Happening, text: str) -> None:
        self.done.entries.append(
            {"incident_id": incident["id"], "at": self._now, "kind": kind, "actor": None, "text": text}
        )
