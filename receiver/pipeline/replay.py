"""A person wants what was given up to be tried again: the dead letters go out once more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from receiver.config import Config
from receiver.pipeline import route
from receiver.pipeline.deliver import line
from receiver.policy.incident import Happening, Reason
from receiver.policy.outbox import NotificationState
from receiver.store import incidents, outbox
from receiver.store.database import Db

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Again:
    """The wish that one notification is tried again."""

    notification_id: int
    actor: str
    at: datetime


def replay(db: Db, config: Config, wishes: Sequence[Again]) -> list[Row | None]:
    """Owe again what was given up; return each notification as it was, None where there is no such.

    Its attempts are counted on, and the time for trying begins anew. One that is owed already changes
    nothing.
    """
    found = outbox.find(db, {wish.notification_id for wish in wishes})
    for wish in wishes:
        row = found.get(wish.notification_id)
        if row is not None and row["state"] == NotificationState.FAILED:
            fallback_at = route.fallback_at(config, Reason(row["reason"]), wish.at)
            why = f"tried again for {wish.actor}"
            outbox.replay(db, row["id"], fallback_at, wish.at, why)
            text = f"{row['destination']}: {why}, after {row['attempts']} attempts"
            incidents.tell_timeline(db, [{**line(row, wish.at, Happening.OWED, text), "actor": wish.actor}])
            found[row["id"]] = {**row, "state": NotificationState.OWED, "why": why, "due_at": wish.at,
                                "finished_at": None}  # fmt: skip
    return [found.get(wish.notification_id) for wish in wishes]
