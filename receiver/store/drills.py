"""Which exercises were held?"""

from typing import Any

from sqlalchemy import Connection, insert, select

from receiver.store.tables import Drill

DRILL = Drill.__table__  # type: ignore[attr-defined]


def add(db: Connection, drills: list[dict[str, Any]]) -> None:
    """Remember drills."""
    if drills:
        db.execute(insert(DRILL), drills)


def find(db: Connection, id_: str) -> dict[str, Any] | None:
    """Return a drill, None when there is no such."""
    row = db.execute(select(DRILL).where(DRILL.c.id == id_)).mappings().first()
    return dict(row) if row else None
