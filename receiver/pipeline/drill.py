"""An exercise: an alert of our own that goes the whole way, marked, and ends by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from receiver.config import Config
from receiver.pipeline.facts import instant
from receiver.pipeline.ingest import Received, ingest
from receiver.policy.fingerprint import fingerprint
from receiver.policy.outbox import NotificationState
from receiver.policy.payload import Condition, Said
from receiver.store import drills, outbox
from receiver.store.database import Db

Row = dict[str, Any]

SOURCE = "drill"


@dataclass(frozen=True, slots=True)
class Exercise:
    """One drill on its way in."""

    id: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    channels: tuple[str, ...]  # tell only these; none: all
    resolve_after: timedelta
    at: datetime


def drill(db: Db, config: Config, exercises: Sequence[Exercise]) -> list[int]:
    """Begin drills; return the incident of each."""
    accepted = ingest(db, config, [Received(_said(exercise), None) for exercise in exercises])
    ids = [one.incident_ids[0] for one in accepted]
    drills.add(
        db,
        [
            {"id": exercise.id, "incident_id": id_, "posted_at": exercise.at}
            for exercise, id_ in zip(exercises, ids, strict=True)
        ],
    )
    return ids


def _said(exercise: Exercise) -> Said:
    condition = Condition(
        fingerprint=fingerprint(exercise.labels),
        labels=exercise.labels,
        annotations=exercise.annotations,
        firing=True,
        starts_at=exercise.at,
        ends_at=exercise.at + exercise.resolve_after,
        generator_url="",
    )
    return Said(
        source=SOURCE,
        received_at=exercise.at,
        digest=int(exercise.at.timestamp() * 1_000_000),
        group_id=None,
        group_key=f"drill {exercise.id}",
        receiver="",
        group_labels=exercise.labels,
        external_url="",
        truncated=0,
        conditions=(condition,),
        drill_id=exercise.id,
        channels=exercise.channels,
    )


def receipt(db: Db, id_: str) -> dict[str, Any] | None:
    """Return what became of a drill, for each destination; None where there is no such drill."""
    found = drills.find(db, id_)
    if found is None:
        return None
    pages: dict[tuple[str, str | None], Row] = {}
    for row in outbox.of_incident(db, found["incident_id"]):
        if row["fallback_for"] is not None or row["destination"] not in {name for name, _ in pages}:
            pages[row["destination"], row["fallback_for"]] = row  # what was owed first, whatever it became
    rows = list(pages.values())
    return {
        "drill_id": id_,
        "incident_id": found["incident_id"],
        "posted_at": instant(found["posted_at"]),
        "finished": all(row["state"] != NotificationState.OWED for row in rows),
        "destinations": [_destination(row, found["posted_at"]) for row in rows],
    }


def _destination(row: Mapping[str, Any], posted_at: datetime) -> dict[str, Any]:
    delivered = row["state"] == NotificationState.SENT
    return {
        "destination": row["destination"],
        "receiver": row["receiver"],
        "route": row["route"],
        "delivered": delivered,
        "state": row["state"],
        "why": row["why"],
        "attempts": len(row["tries"]),
        "answer": row["tries"][-1]["answer"] if row["tries"] else None,
        "latency_seconds": (row["finished_at"] - posted_at).total_seconds() if delivered else None,
    }
