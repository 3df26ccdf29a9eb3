"""Which process does what only one may do at a time?"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete
from sqlalchemy.dialects import postgresql, sqlite

from receiver.store.tables import Lease

LEASE = Lease.__table__  # type: ignore[attr-defined]
INSERT = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def take(db: Connection, name: str, holder: str, now: datetime, until: datetime) -> bool:
    """Take or keep what nobody else holds now; return whether it is the holder's."""
    row = {"holder": holder, "until": until}
    taken: Any = INSERT[db.dialect.name](LEASE).values(name=name, **row)
    is_free = (LEASE.c.holder == holder) | (LEASE.c.until <= now)
    taken = taken.on_conflict_do_update(index_elements=[LEASE.c.name], set_=row, where=is_free)
    return db.execute(taken.returning(LEASE.c.name)).first() is not None


def let_go(db: Connection, name: str, holder: str) -> None:
    """Let go of what the holder has, so that nobody waits for its end."""
    db.execute(delete(LEASE).where(LEASE.c.name == name, LEASE.c.holder == holder))


def let_all_go(db: Connection) -> None:
    """Let go of everything, where nobody can be holding it any more."""
    db.execute(delete(LEASE))
