"""What did Tocsin make up for itself, that all replicas must know?"""

from sqlalchemy import Connection, select

from receiver.store import bulk
from receiver.store.tables import Secret

SECRET = Secret.__table__  # type: ignore[attr-defined]


def own(db: Connection, name: str, made: str) -> str:
    """Return the secret of this name; the first who asks has it made."""
    bulk.insert(db, SECRET, [{"name": name, "value": made}], unless="ON CONFLICT DO NOTHING")
    found: str = db.execute(select(SECRET.c.value).where(SECRET.c.name == name)).scalar_one()
    return found
