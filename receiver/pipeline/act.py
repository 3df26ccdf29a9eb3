"""A person says something about an incident: acknowledge, unacknowledge, resolve, note."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from receiver import metrics
from receiver.config import Config
from receiver.pipeline.draft import Draft, owe, save, with_alerts
from receiver.policy.incident import Event, Happening, Reason, State, after
from receiver.store import incidents
from receiver.store.database import Db

Row = dict[str, Any]


class Verb(StrEnum):
    """What a person can do to an incident."""

    ACKNOWLEDGE = "acknowledge"
    UNACKNOWLEDGE = "unacknowledge"
    RESOLVE = "resolve"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Action:
    """One wish of one person."""

    incident_id: int
    verb: Verb
    actor: str
    text: str
    at: datetime


def act(db: Db, config: Config, actions: Sequence[Action]) -> list[Row | None]:
    """Carry out what people want; return each incident as it is then, None where there is no such."""
    ids = sorted({action.incident_id for action in actions})
    drafts = {draft.row["id"]: draft for draft in with_alerts(db, incidents.incidents(db, ids))}
    for action in actions:
        draft = drafts.get(action.incident_id)
        if draft is not None:
            _apply(db, draft, action)
    save(
        db,
        config,
        [draft for draft in drafts.values() if draft.touched],
        max(action.at for action in actions),
    )
    return [drafts[action.incident_id].row if action.incident_id in drafts else None for action in actions]


def _apply(db: Db, draft: Draft, action: Action) -> None:
    if action.verb is Verb.NOTE:
        _note(db, draft, action)
        return
    event = Event(action.verb)
    state = after(State(draft.row["state"]), event)
    if state == draft.row["state"]:
        return  # said twice, or too late: ordinary
    said = f": {action.text}" if action.text else ""
    draft.row["state"] = state
    if state is State.ACKNOWLEDGED:
        draft.row.update(acknowledged_at=action.at, acknowledged_by=action.actor)
        draft.line(action.at, Happening.ACKNOWLEDGED, f"acknowledged{said}", action.actor)
        owe(draft, Reason.ACKNOWLEDGED, action.at)
    elif state is State.TRIGGERED:
        draft.row.update(acknowledged_at=None, acknowledged_by=None)
        draft.line(action.at, Happening.UNACKNOWLEDGED, f"unacknowledged{said}", action.actor)
        owe(draft, Reason.UNACKNOWLEDGED, action.at)
    else:
        metrics.INCIDENTS.labels("resolved").inc()
        draft.row.update(resolved_at=action.at)
        draft.line(action.at, Happening.RESOLVED, f"resolved by hand{said}", action.actor)
        owe(draft, Reason.ALL_RESOLVED, action.at)


def _note(db: Db, draft: Draft, action: Action) -> None:
    history = incidents.timeline(db, action.incident_id)
    notes = [line for line in history if line["kind"] == Happening.NOTE]
    if notes and (notes[-1]["text"], notes[-1]["actor"]) == (action.text, action.actor):
        return  # sent twice
    draft.line(action.at, Happening.NOTE, action.text, action.actor)
    owe(draft, Reason.NOTE, action.at)
