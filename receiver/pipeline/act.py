"""A person does something: acknowledges, unacknowledges, resolves, snoozes, notes, takes a schedule over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from receiver import metrics
from receiver.config import Config
from receiver.pipeline import facts
from receiver.pipeline.draft import Draft, owe, save, with_alerts
from receiver.policy.durations import in_words
from receiver.policy.incident import Event, Happening, Reason, State, Verb, after
from receiver.store import heard, incidents, outbox, overrides
from receiver.store.database import Db

Row = dict[str, Any]

USUAL_SNOOZE = timedelta(hours=1)
CLOCKS_DIFFER = timedelta(minutes=1)  # ours and a service's, at the most
CHANGES = {  # of state, as the timeline tells them
    *(Happening.OPENED, Happening.REOPENED, Happening.RESOLVED),
    *(Happening.ACKNOWLEDGED, Happening.UNACKNOWLEDGED),
}
PRESSED_TWICE = timedelta(minutes=1)  # two snoozes that end this close to each other are one
THERE = {  # what a service that keeps the state knows after a person did this in it
    Verb.ACKNOWLEDGE: State.ACKNOWLEDGED.value,
    Verb.UNACKNOWLEDGE: State.TRIGGERED.value,
    Verb.RESOLVE: State.RESOLVED.value,
}
NAMES = {"email": "an e-mail", "pagerduty": "PagerDuty", "opsgenie": "Opsgenie"}  # the others: capitalised


@dataclass(frozen=True, slots=True)
class Action:
    """One wish of one person."""

    incident_id: int
    verb: Verb
    actor: str
    text: str
    at: datetime
    via: str | None = None  # the channel kind it came through; None: the pages or the API
    key: str | None = None  # of the service's event; a second one with the same key changes nothing
    until: datetime | None = None  # of a snooze
    person: str | None = None  # to whom it is assigned
    adds: bool = False  # and the policies at work go on as well
    said_at: datetime | None = None  # when the person said it, where that is long before we heard


def act(db: Db, config: Config, actions: Sequence[Action]) -> list[Row | None]:
    """Carry out what people want; return each incident as it is then, None where there is no such."""
    ids = sorted({action.incident_id for action in actions})
    drafts = {draft.row["id"]: draft for draft in with_alerts(db, incidents.incidents(db, ids))}
    paged_at = outbox.first_told_at(db, [action.incident_id for action in actions if action.via])
    fresh = heard.add(db, {action.key: action.at for action in actions if action.key})
    done: list[Action] = []
    for action in actions:
        draft = drafts.get(action.incident_id)
        if draft is None or (action.key is not None and action.key not in fresh):
            continue
        fresh.discard(action.key or "")  # one batch may hold the same event twice
        _apply(db, draft, action, paged_at)
        done.append(action)
    save(
        db,
        config,
        [draft for draft in drafts.values() if draft.touched],
        max(action.at for action in actions),
    )
    _remember(db, config, [action for action in done if action.via and action.verb in THERE])
    return [drafts[action.incident_id].row if action.incident_id in drafts else None for action in actions]


def _remember(db: Db, config: Config, actions: Sequence[Action]) -> None:
    """Note what the service that a person spoke through knows itself, so that it is not told back.

    Where two destinations of the kind were told of the incident, nobody knows which of them it was.
    """
    keyed = {name for name, one in config.destinations.items() if one.config.keeps_state}
    talks = outbox.conversations(db, sorted({action.incident_id for action in actions})) if keyed else []
    for action in actions:
        there = [
            talk
            for talk in talks
            if talk["incident_id"] == action.incident_id
            and talk["destination"] in keyed
            and talk["destination"].startswith(f"{action.via} ")
        ]
        if len(there) == 1:
            there[0]["ids"] = {**there[0]["ids"], "state": THERE[action.verb]}
            outbox.save_conversations(db, there)


def _apply(db: Db, draft: Draft, action: Action, paged_at: Mapping[int, datetime]) -> None:
    if action.verb is Verb.NOTE:
        _note(db, draft, action)
        return
    if action.verb is Verb.SNOOZE:
        _snooze(draft, action)
        return
    if action.verb in {Verb.ESCALATE, Verb.ASSIGN}:
        _ask_for_more(draft, action)
        return
    row = draft.row
    state = after(State(row["state"]), Event(action.verb))
    if state == row["state"] or _is_overtaken(db, action):
        return  # said twice, or too late: ordinary
    how = _how(action, paged_at.get(row["id"]))
    said = (f", {how}" if how else "") + (f": {action.text}" if action.text else "")
    row.update(state=state, snoozed_until=None)
    if state is State.ACKNOWLEDGED:
        row.update(acknowledged_at=action.at, acknowledged_by=action.actor, acknowledged_how=how)
        draft.line(action.at, Happening.ACKNOWLEDGED, f"acknowledged{said}", action.actor)
        owe(draft, Reason.ACKNOWLEDGED, action.at)
    elif state is State.TRIGGERED:
        row.update(acknowledged_at=None, acknowledged_by=None, acknowledged_how=None)
        draft.line(action.at, Happening.UNACKNOWLEDGED, f"unacknowledged{said}", action.actor)
        owe(draft, Reason.UNACKNOWLEDGED, action.at)
    else:
        metrics.INCIDENTS.labels("resolved").inc()
        row.update(resolved_at=action.at)
        draft.line(action.at, Happening.RESOLVED, f"resolved by hand{said}", action.actor)
        owe(draft, Reason.ALL_RESOLVED, action.at)


def _is_overtaken(db: Db, action: Action) -> bool:
    """Return whether the incident changed after the person spoke: what was meant is no more.

    A service sends again for minutes what we could not take; clocks differ by seconds.
    """
    if action.said_at is None:
        return False
    changes = [line["at"] for line in incidents.timeline(db, action.incident_id) if line["kind"] in CHANGES]
    return max(changes, default=action.said_at) > action.said_at + CLOCKS_DIFFER


def _how(action: Action, paged_at: datetime | None) -> str | None:
    """Return from where it was said and how long after the page: `from Telegram, 40 s after the page`."""
    if action.via is None:
        return None
    name = NAMES.get(action.via, action.via.capitalize())
    late = f", {in_words(action.at - paged_at)} after the page" if paged_at and paged_at <= action.at else ""
    return f"from {name}{late}"


def _snooze(draft: Draft, action: Action) -> None:
    """Keep the incident quiet for a while; what grows more severe or is over speaks all the same."""
    row, until = draft.row, action.until or action.at + USUAL_SNOOZE
    before = row["snoozed_until"]
    if row["state"] == State.RESOLVED or until <= action.at:
        return
    if before is not None and abs(until - before) < PRESSED_TWICE:
        return
    row["snoozed_until"] = until
    said = f": {action.text}" if action.text else ""
    draft.line(action.at, Happening.SNOOZED, f"snoozed until {facts.instant(until)}{said}", action.actor)
    owe(draft, Reason.SNOOZED, action.at)


def _ask_for_more(draft: Draft, action: Action) -> None:
    """Let the next step be taken now, or somebody be told; whoever was on it is no longer."""
    row = draft.row
    if row["state"] == State.RESOLVED:
        return
    said = f": {action.text}" if action.text else ""
    if action.verb is Verb.ASSIGN and action.person is not None:
        draft.assigned.append((action.person, action.adds))
        how = "added" if action.adds else "assigned to"
        draft.line(action.at, Happening.ASSIGNED, f"{how} {action.person}{said}", action.actor)
    elif action.verb is Verb.ESCALATE:
        draft.is_escalated = True
        draft.line(action.at, Happening.ESCALATED, f"the next step is taken now{said}", action.actor)
    else:
        return  # assigned to nobody, as a button that we never made could say
    draft.touched = True
    if row["state"] == State.ACKNOWLEDGED and not action.adds:
        row.update(state=after(State.ACKNOWLEDGED, Event.UNACKNOWLEDGE), snoozed_until=None)
        row.update(acknowledged_at=None, acknowledged_by=None, acknowledged_how=None)
        owe(draft, Reason.UNACKNOWLEDGED, action.at)
    row["snoozed_until"] = None


def _note(db: Db, draft: Draft, action: Action) -> None:
    history = incidents.timeline(db, action.incident_id)
    notes = [line for line in history if line["kind"] == Happening.NOTE]
    if notes and (notes[-1]["text"], notes[-1]["actor"]) == (action.text, action.actor):
        return  # sent twice
    draft.line(action.at, Happening.NOTE, action.text, action.actor)
    owe(draft, Reason.NOTE, action.at)


def override(db: Db, _config: Config, wishes: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """Let people take schedules over; return the overrides of each wish, and which others they overlap."""
    made = [[overrides.add(db, one) for one in wish] for wish in wishes]
    return [[{**row, "overlaps": overrides.overlapping(db, row)} for row in rows] for rows in made]


def end_override(db: Db, _config: Config, wishes: Sequence[tuple[int, datetime]]) -> list[Row | None]:
    """End overrides, each at its moment; return them as they are then, None where there is no such."""
    return [overrides.end(db, id_, now) for id_, now in wishes]
