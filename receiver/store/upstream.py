"""What do we believe of one Alertmanager's alerts?"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select, text

from receiver.store.incidents import ALERT, INCIDENT

IS_OPEN = (INCIDENT.c.state != text("'resolved'"), INCIDENT.c.source == bindparam("source"))
FIRING = (
    select(ALERT.c.incident_id, ALERT.c.fingerprint, ALERT.c.vanished_at.is_not(None))
    .join(INCIDENT, INCIDENT.c.id == ALERT.c.incident_id)
    .where(*IS_OPEN, ALERT.c.state == text("'firing'"))
)
QUIET = select(INCIDENT.c.id, INCIDENT.c.upstream).where(
    *IS_OPEN, INCIDENT.c.upstream["quiet"].as_string().is_not(None)
)
TRUNCATED = select(INCIDENT.c.upstream).where(*IS_OPEN, INCIDENT.c.truncated > 0)


def firing(db: Connection, source: str) -> dict[tuple[int, str], bool]:
    """Return, by incident and fingerprint, the alerts that fire, and whether each has vanished."""
    return {(row[0], row[1]): bool(row[2]) for row in db.execute(FIRING, {"source": source})}


def quiet(db: Connection, source: str) -> dict[int, list[str]]:
    """Return, by incident, what keeps alerts quiet there, as we know it."""
    return {row[0]: list(row[1]["quiet"]) for row in db.execute(QUIET, {"source": source})}


def truncated(db: Connection, source: str) -> list[Mapping[str, Any]]:
    """Return receiver, group key and address of groups that were sent in part, each once."""
    found = [row[0] for row in db.execute(TRUNCATED, {"source": source})]
    return list({(one.get("receiver"), one.get("group_key")): one for one in found}.values())
