"""What does a person see at a glance: how much is open, and was somebody told?"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select, text

from receiver.policy.incident import State
from receiver.store.database import rows
from receiver.store.incidents import INCIDENT
from receiver.store.outbox import NOTIFICATION

Row = dict[str, Any]


def counts(db: Connection, failed_since: datetime) -> dict[str, int]:
    """Return how many incidents are open and unacknowledged, drills apart, and how many notifications failed.

    Each condition is said as the partial index says it, so that history costs nothing.
    """
    is_real = INCIDENT.c.drill.is_(False)
    statement = select(
        func.count().filter(is_real),
        func.count().filter(and_(is_real, INCIDENT.c.state == State.TRIGGERED.value)),
        func.count().filter(INCIDENT.c.drill.is_(True)),
    ).where(INCIDENT.c.state != text("'resolved'"))
    is_open, unacknowledged, drills = db.execute(statement).one()
    failed = (
        select(func.count())
        .select_from(NOTIFICATION)
        .where(NOTIFICATION.c.state == text("'failed'"), NOTIFICATION.c.finished_at >= failed_since)
    )
    return {
        "open": is_open,
        "unacknowledged": unacknowledged,
        "drills": drills,
        "failed": db.execute(failed).scalar_one(),
    }


def has_incidents(db: Connection) -> bool:
    """Return whether there ever was an incident."""
    return db.execute(select(INCIDENT.c.id).limit(1)).first() is not None


def told(db: Connection, incident_ids: Sequence[int]) -> list[Row]:
    """Return for each incident, destination and state of notifications the newest of them."""
    if not incident_ids:
        return []
    columns = (NOTIFICATION.c.incident_id, NOTIFICATION.c.destination, NOTIFICATION.c.state)
    statement = select(
        *columns,
        func.max(NOTIFICATION.c.id).label("newest"),
        func.max(NOTIFICATION.c.attempts).label("attempts"),
    )
    return rows(db, statement.where(NOTIFICATION.c.incident_id.in_(incident_ids)).group_by(*columns))
