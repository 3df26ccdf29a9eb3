"""Which alerts of a body only say that somebody is there? They are noted, and go no further."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver import metrics
from receiver.config import Config
from receiver.policy import heartbeat
from receiver.policy.payload import Condition, Said
from receiver.policy.watching import SOURCE
from receiver.store import heartbeats
from receiver.store.database import Db

Row = dict[str, Any]
Heard = dict[tuple[str, str], list[datetime]]  # by heartbeat and source


def taken_out(config: Config, said: Said, heard: Heard) -> Said:
    """Return a body without its beats, which are added to `heard`.

    The end of an alert is no beat, and takes the way of any other.
    """
    if said.source == SOURCE or said.drill_id is not None:
        return said
    rest: list[Condition] = []
    for condition in said.conditions:
        names = heartbeat.beating(config.heartbeats, condition.labels) if condition.firing else []
        for name in names:
            metrics.BEATS.labels(name).inc()
            heard.setdefault((name, said.source), []).append(said.received_at)
        if not names:
            rest.append(condition)
    return said if len(rest) == len(said.conditions) else said._replace(conditions=tuple(rest))


def note(db: Db, heard: Mapping[tuple[str, str], Sequence[datetime]]) -> None:
    """Write beats down."""
    if not heard:
        return
    known = {(row["name"], row["source"]): row for row in heartbeats.named(db, {name for name, _ in heard})}
    heartbeats.save(db, [_beaten(known.get(of), of, moments) for of, moments in sorted(heard.items())])


def _beaten(known: Row | None, of: tuple[str, str], moments: Sequence[datetime]) -> Row:
    """Return the row after these beats; how long it was missed for says nothing about how often it comes."""
    name, source = of
    first, *later = sorted(moments)
    row = known or {"name": name, "source": source, "first_at": first, "last_at": first, "gaps": []}
    last_at, gaps = row["last_at"], row["gaps"]
    is_missed = row.get("missed_at") is not None and len(gaps) >= heartbeat.ENOUGH_GAPS
    for at in [first, *later]:
        gaps = gaps if is_missed else heartbeat.with_gap(gaps, at - last_at)
        last_at, is_missed = max(last_at, at), False
    return {"name": name, "source": source, "first_at": row["first_at"], "last_at": last_at, "gaps": gaps}
