"""Which open incidents does nobody hear of any more?"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, exists, or_, select, text

from receiver.policy.outbox import NotificationState
from receiver.store.incidents import INCIDENT
from receiver.store.outbox import NOTIFICATION
from receiver.store.tables import Escalation

Stranded = list[tuple[int, list[str]]]

ESCALATION = Escalation.__table__  # type: ignore[attr-defined]
JUST_NOW = timedelta(hours=1)  # told so lately, or given up and told of by a self-alarm, that it is no news
NOT_YET = timedelta(minutes=5)  # that a snooze ended may not have been noticed for so long


def stranded(db: Connection, now: datetime, among: Sequence[int] | None = None) -> Stranded:
    """Return id and routes of triggered incidents that have no next step, nor a reason for having none.

    A next step is something owed, be it a reminder, or a step of an escalation. A drill ends by itself.
    """
    has_notification = exists().where(
        NOTIFICATION.c.incident_id == INCIDENT.c.id,
        or_(
            NOTIFICATION.c.state == text("'owed'"),
            and_(
                NOTIFICATION.c.state.in_([NotificationState.SENT.value, NotificationState.FAILED.value]),
                NOTIFICATION.c.finished_at > now - JUST_NOW,
            ),
        ),
    )
    has_step = exists().where(
        ESCALATION.c.incident_id == INCIDENT.c.id, ESCALATION.c.next_step_at.is_not(None)
    )
    statement = select(INCIDENT.c.id, INCIDENT.c.routes).where(
        INCIDENT.c.state != text("'resolved'"),  # what the partial index says
        INCIDENT.c.state == text("'triggered'"),
        INCIDENT.c.drill.is_(False),
        INCIDENT.c.flapping_at.is_(None),
        or_(INCIDENT.c.snoozed_until.is_(None), INCIDENT.c.snoozed_until <= now - NOT_YET),
        ~has_notification,
        ~has_step,
    )
    if among is not None:
        statement = statement.where(INCIDENT.c.id.in_(among))
    return [(row[0], row[1]) for row in db.execute(statement.order_by(INCIDENT.c.id))]
