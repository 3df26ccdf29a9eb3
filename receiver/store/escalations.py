"""Which escalation policies are at work on which incidents?"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, literal, select, update

from receiver.policy.incident import State
from receiver.store import bulk
from receiver.store.database import rows
from receiver.store.prepared import Prepared
from receiver.store.tables import Escalation, Incident

Row = dict[str, Any]

ESCALATION = Escalation.__table__  # type: ignore[attr-defined]
INCIDENT = Incident.__table__  # type: ignore[attr-defined]

OF = Prepared(select(ESCALATION).where(ESCALATION.c.incident_id.in_(bindparam("ids", expanding=True))))
DUE = Prepared(
    select(ESCALATION.c.incident_id)
    .where(ESCALATION.c.next_step_at.is_not(None), ESCALATION.c.next_step_at <= bindparam("now"))
    .order_by(ESCALATION.c.next_step_at)
    .limit(bindparam("limit"))
)
NEXT = select(func.min(ESCALATION.c.next_step_at)).where(ESCALATION.c.next_step_at.is_not(None))
OVERWRITE = bulk.unless_there(
    ["incident_id", "policy"], [column.name for column in ESCALATION.columns if not column.primary_key]
)


def of(db: Connection, incident_ids: Sequence[int]) -> dict[int, list[Row]]:
    """Return, by incident, the escalations of these; whoever will change them holds the incidents."""
    found: dict[int, list[Row]] = {}
    for row in OF.rows(db, ids=list(incident_ids)) if incident_ids else ():
        found.setdefault(row["incident_id"], []).append(row)
    return found


def due(db: Connection, now: datetime, limit: int) -> list[int]:
    """Return the incidents that a step is due for, the longest due first."""
    return list(dict.fromkeys(row[0] for row in DUE.tuples(db, now=now, limit=limit)))


def next_step_at(db: Connection) -> datetime | None:
    """Return when the first step is due."""
    found: datetime | None = db.execute(NEXT).scalar()
    return found


def save(db: Connection, saved: Sequence[Row]) -> None:
    """Add or overwrite escalations."""
    if saved:
        bulk.insert(db, ESCALATION, saved, unless=OVERWRITE)


def next_turns(db: Connection, policies: Sequence[str]) -> dict[str, int]:
    """Return whose turn it is in each of these policies: how many incidents they were at work on."""
    if not policies:
        return {}
    last = select(func.max(ESCALATION.c.turn)).where(ESCALATION.c.policy == bindparam("policy"))
    asked = [
        select(literal(name), last.params(policy=name).scalar_subquery()) for name in dict.fromkeys(policies)
    ]
    statement = asked[0].union_all(*asked[1:])
    return {row[0]: 0 if row[1] is None else row[1] + 1 for row in db.execute(statement)}


def ahead(db: Connection, now: datetime) -> list[Row]:
    """Return the escalations whose next step is still to come."""
    return rows(db, select(ESCALATION).where(ESCALATION.c.next_step_at > now))


def under_way(db: Connection, policies: Sequence[str], limit: int) -> list[Row]:
    """Return the open incidents that these policies are or were at work on, held, each with its route."""
    if not policies:
        return []
    columns = (INCIDENT.c.id, INCIDENT.c.severity, INCIDENT.c.revision, ESCALATION.c.route)
    asked = (
        select(*columns)
        .join(ESCALATION, ESCALATION.c.incident_id == INCIDENT.c.id)
        .where(INCIDENT.c.state != State.RESOLVED, INCIDENT.c.drill.is_(False))
        .where(ESCALATION.c.policy.in_(policies))
        .order_by(INCIDENT.c.id)
        .limit(limit)
    )
    return rows(db, asked.with_for_update(of=INCIDENT))


def ask_again(db: Connection, now: datetime) -> int:
    """Make due every step that waits for a time to speak; return how many that are."""
    statement = update(ESCALATION).where(
        ESCALATION.c.next_step_at.is_not(None), ESCALATION.c.why != "", ESCALATION.c.next_step_at > now
    )
    return db.execute(statement.values(next_step_at=now)).rowcount
