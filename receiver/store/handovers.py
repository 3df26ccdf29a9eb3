"""Who was on call when it was last looked at?"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from receiver.store import bulk
from receiver.store.database import rows
from receiver.store.tables import Handover

HANDOVER = Handover.__table__  # type: ignore[attr-defined]

HELD = select(HANDOVER.c.schedule, HANDOVER.c.person).order_by(HANDOVER.c.schedule).with_for_update()
OVERWRITE = bulk.unless_there(["schedule"], ["person", "at"])


def held(db: Connection) -> Mapping[str, str | None]:
    """Return who was on call, by schedule, held until the commit; a schedule may not have been seen yet."""
    return {row["schedule"]: row["person"] for row in rows(db, HELD)}


def save(db: Connection, saved: Sequence[dict[str, Any]]) -> None:
    """Note who is on call."""
    if saved:
        bulk.insert(db, HANDOVER, saved, unless=OVERWRITE)
