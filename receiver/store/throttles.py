"""How much of destinations and services was used, and which of them fail?"""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, or_, select, update

from receiver.policy.throttle import Throttle
from receiver.store import bulk, pipelined
from receiver.store.prepared import Prepared
from receiver.store.tables import Throttle as Row

THROTTLE = Row.__table__  # type: ignore[attr-defined]
COLUMNS = (THROTTLE.c.name, THROTTLE.c.free_at, THROTTLE.c.failures, THROTTLE.c.probe_at, THROTTLE.c.under)
CLAIMS = 7_205_759_403  # any number, the same in all replicas


def take_turns(db: Connection) -> None:
    """Let only one replica at a time decide what its buckets allow, until the commit."""
    if db.dialect.name == "postgresql":
        pipelined.write(db, f"SELECT pg_advisory_xact_lock({CLAIMS})")


HOLDING = Prepared(
    select(*COLUMNS).where(
        or_(THROTTLE.c.free_at > bindparam("now"), THROTTLE.c.failures > 0, THROTTLE.c.probe_at.is_not(None))
    )
)


def holding(db: Connection, now: datetime) -> dict[str, Throttle]:
    """Return, by name, those that may keep somebody waiting: the others are as if there were none."""
    return {name: Throttle(*rest) for name, *rest in HOLDING.tuples(db, now=now)}


def of(db: Connection, names: Collection[str]) -> dict[str, Throttle]:
    """Return those of these names that are known."""
    statement = select(*COLUMNS).where(THROTTLE.c.name.in_(names))
    return {name: Throttle(*rest) for name, *rest in db.execute(statement)}


def save(db: Connection, throttles: Mapping[str, Throttle]) -> None:
    """Add or overwrite throttles; what was taken or asked for meanwhile stays so."""
    if throttles:
        later = "MAX" if db.dialect.name == "sqlite" else "GREATEST"
        clause = (
            "ON CONFLICT (name) DO UPDATE SET free_at = CASE WHEN throttle.under = excluded.under"
            f" THEN {later}(throttle.free_at, excluded.free_at) ELSE excluded.free_at END,"
            " failures = excluded.failures, probe_at = excluded.probe_at, under = excluded.under"
        )
        rows = [
            {
                "name": name,
                "free_at": one.free_at,
                "failures": one.failures,
                "probe_at": one.probe_at,
                "under": one.under,
            }
            for name, one in sorted(throttles.items())
        ]
        bulk.insert(db, THROTTLE, rows, unless=clause)


def open_breakers(db: Connection) -> int:
    """Return how many services are not tried but by probes."""
    statement = select(func.count()).select_from(THROTTLE).where(THROTTLE.c.probe_at.is_not(None))
    return int(db.execute(statement).scalar_one())


def forget(db: Connection, names: Collection[str]) -> None:
    """Take throttles away."""
    if names:
        db.execute(delete(THROTTLE).where(THROTTLE.c.name.in_(sorted(names))))


def bring_back(db: Connection, now: datetime) -> None:
    """Let nobody wait for a time that a clock which was wrong has set."""
    ahead = update(THROTTLE).where(THROTTLE.c.free_at > now)
    db.execute(ahead.values(free_at=now))
    db.execute(update(THROTTLE).where(THROTTLE.c.probe_at > now).values(probe_at=now))
