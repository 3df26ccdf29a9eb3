"""Which answers of people were heard already?"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, select

from receiver.store import bulk
from receiver.store.tables import Heard

HEARD = Heard.__table__  # type: ignore[attr-defined]


def add(db: Connection, answers: Mapping[str, datetime]) -> set[str]:
    """Note answers by their keys; return the keys that were not known before."""
    if not answers:
        return set()
    known: set[str] = {
        row[0] for row in db.execute(select(HEARD.c.key).where(HEARD.c.key.in_(list(answers))))
    }
    fresh = [{"key": key, "at": at} for key, at in answers.items() if key not in known]
    if fresh:
        bulk.insert(db, HEARD, fresh, unless="ON CONFLICT DO NOTHING")
    return set(answers) - known
