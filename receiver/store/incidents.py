"""What do we remember of incidents, their alerts and their timelines?"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select, text, true, update

from receiver.policy.incident import State
from receiver.store import bulk, pipelined
from receiver.store.database import rows
from receiver.store.prepared import Prepared
from receiver.store.tables import Alert, Incident, Timeline

Row = dict[str, Any]

INCIDENT = Incident.__table__  # type: ignore[attr-defined]
ALERT = Alert.__table__  # type: ignore[attr-defined]
TIMELINE = Timeline.__table__  # type: ignore[attr-defined]

CHANGING = [column.name for column in INCIDENT.columns if column.name not in {"id", "key", "source", "drill"}]
SAID = [column.name for column in ALERT.columns if not column.primary_key]


def lock(db: Connection, names: Iterable[int]) -> None:
    """Keep other replicas away from these incident keys and groups until the commit.

    Taken in sorted order, so that two replicas never wait for each other. SQLite has one writer anyway.
    """
    if db.dialect.name == "postgresql":
        statement = (
            "SELECT pg_advisory_xact_lock(one)"
            " FROM (SELECT unnest(CAST(%(names)s AS bigint[])) AS one ORDER BY 1) AS sorted"
        )
        pipelined.write(db, statement, {"names": sorted(set(names))})


OPEN_ONES = Prepared(
    select(INCIDENT)
    .where(INCIDENT.c.key.in_(bindparam("keys", expanding=True)), INCIDENT.c.state != text("'resolved'"))
    .order_by(INCIDENT.c.id)
    .with_for_update()
)
RESOLVED_ONES = Prepared(
    select(INCIDENT)
    .where(
        INCIDENT.c.resolved_in.in_(bindparam("hours", expanding=True)),
        INCIDENT.c.key.in_(bindparam("keys", expanding=True)),
        INCIDENT.c.resolved_at > bindparam("since"),
    )
    .order_by(INCIDENT.c.id)
    .with_for_update()
)


def candidates(db: Connection, keys: Sequence[str], since: datetime, until: datetime) -> list[Row]:
    """Return the incidents these keys may belong to, the likelier last: resolved within the span, or open."""
    hours = range(hour_of(since), hour_of(until) + 1)
    resolved = RESOLVED_ONES.rows(db, hours=list(hours), keys=list(keys), since=since)
    return resolved + OPEN_ONES.rows(db, keys=list(keys))


def hour_of(moment: datetime) -> int:
    """Return the hour of an instant, counted since 1970."""
    return int(moment.timestamp() // 3600)


def _with_hour(row: Row) -> Row:
    resolved_at = row["resolved_at"]
    return {**row, "resolved_in": None if resolved_at is None else hour_of(resolved_at)}


HELD = Prepared(
    select(INCIDENT)
    .where(INCIDENT.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(INCIDENT.c.id)
    .with_for_update()
)


def incidents(db: Connection, ids: Sequence[int]) -> list[Row]:
    """Return incidents by id, held until the commit."""
    possible = [id_ for id_ in ids if abs(id_) < 2**63]  # no database has a greater one
    return HELD.rows(db, ids=possible) if possible else []


SHORT = (
    *("id", "state", "severity", "revision", "source", "firing", "truncated", "started_at", "reopened_at"),
)
DECIDING = Prepared(
    select(*(INCIDENT.c[name] for name in SHORT))
    .where(INCIDENT.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(INCIDENT.c.id)
    .with_for_update()
)


def deciding(db: Connection, ids: Sequence[int]) -> list[Row]:
    """Return what decides about incidents, held until the commit; the rest of a row is costly to read."""
    return DECIDING.rows(db, ids=list(ids))


def find(db: Connection, id_: int) -> Row | None:
    """Return one incident, None where there is no such."""
    found = rows(db, select(INCIDENT).where(INCIDENT.c.id == id_)) if abs(id_) < 2**63 else []
    return found[0] if found else None


def incidents_due(db: Connection, now: datetime, limit: int) -> list[Row]:
    """Return incidents that time itself may change by now, held until the commit; others' are skipped."""
    due = select(INCIDENT).where(INCIDENT.c.review_at.is_not(None), INCIDENT.c.review_at <= now)
    return rows(db, due.order_by(INCIDENT.c.review_at).limit(limit).with_for_update(skip_locked=True))


ALERTS = Prepared(select(ALERT).where(ALERT.c.incident_id.in_(bindparam("ids", expanding=True))))


def alerts(db: Connection, incident_ids: Sequence[int]) -> list[Row]:
    """Return every alert of these incidents."""
    return ALERTS.rows(db, ids=list(incident_ids)) if incident_ids else []


FIRING_IN_GROUPS = Prepared(
    select(ALERT.c.group_id, ALERT.c.incident_id, ALERT.c.fingerprint).where(
        ALERT.c.group_id.in_(bindparam("groups", expanding=True)), ALERT.c.state == text("'firing'")
    )
)


def firing_in_groups(db: Connection, group_ids: Sequence[int]) -> list[tuple[int, int, str]]:
    """Return (group id, incident id, fingerprint) of each alert of these groups that fires."""
    if not group_ids:
        return []
    return [(row[0], row[1], row[2]) for row in FIRING_IN_GROUPS.tuples(db, groups=list(group_ids))]


def firing_where(db: Connection, equalities: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the labels of firing alerts that may have all pairs of at least one of the given sets."""
    found = or_(
        *(
            and_(true(), *(_says(ALERT.c.labels, name, value) for name, value in one.items()))
            for one in equalities
        )
    )
    statement = select(ALERT.c.labels).join(INCIDENT, INCIDENT.c.id == ALERT.c.incident_id)
    statement = statement.where(
        INCIDENT.c.state != text("'resolved'"),
        ALERT.c.state == text("'firing'"),
        found,
        INCIDENT.c.drill.is_(False),
    )
    return [dict(row[0]) for row in db.execute(statement)]


def firing_of_open(db: Connection, equalities: Mapping[str, str]) -> list[tuple[int, dict[str, str]]]:
    """Return (incident id, labels) of the alerts of open incidents that fire and may have all these pairs."""
    statement = select(ALERT.c.incident_id, ALERT.c.labels).join(
        INCIDENT, INCIDENT.c.id == ALERT.c.incident_id
    )
    statement = statement.where(
        INCIDENT.c.state != text("'resolved'"),
        ALERT.c.state == text("'firing'"),
        *(_says(ALERT.c.labels, name, value) for name, value in equalities.items()),
    )
    return [(row[0], dict(row[1])) for row in db.execute(statement)]


def in_short(db: Connection, ids: Sequence[int]) -> list[Row]:
    """Return incidents by id, newest first, without holding them."""
    return rows(db, select(INCIDENT).where(INCIDENT.c.id.in_(ids)).order_by(INCIDENT.c.id.desc()))


def firing_counts(db: Connection) -> dict[int, int]:
    """Return, for each open incident, how many of its alerts fire."""
    statement = select(INCIDENT.c.id, INCIDENT.c.firing).where(INCIDENT.c.state != text("'resolved'"))
    return {row[0]: row[1] for row in db.execute(statement)}


def open_(db: Connection, opened: Sequence[Row]) -> dict[str, int]:
    """Add incidents; return the id of each by its key."""
    if not opened:
        return {}
    return bulk.insert_numbered(db, INCIDENT, [_with_hour(row) for row in opened], name="key")


CHANGE = Prepared(
    update(INCIDENT)
    .where(INCIDENT.c.id == bindparam("its_id"))
    .values({name: bindparam(name) for name in CHANGING})
)


def change(db: Connection, changed: Sequence[Row]) -> None:
    """Write incidents back, whole."""
    CHANGE.many(
        db,
        [{**{name: row[name] for name in CHANGING}, "its_id": row["id"]} for row in map(_with_hour, changed)],
    )


OVERWRITE = bulk.unless_there(["incident_id", "fingerprint"], SAID)


def save_alerts(db: Connection, saved: Sequence[Row]) -> None:
    """Add or overwrite alerts."""
    if saved:
        bulk.insert(db, ALERT, saved, unless=OVERWRITE)


def tell_timeline(db: Connection, entries: Sequence[Row]) -> None:
    """Add lines to timelines."""
    if entries:
        bulk.insert(db, TIMELINE, entries)


def timeline(db: Connection, incident_id: int) -> list[Row]:
    """Return the history of an incident, oldest first."""
    return rows(db, select(TIMELINE).where(TIMELINE.c.incident_id == incident_id).order_by(TIMELINE.c.id))


def open_count(db: Connection) -> int:
    """Return how many incidents are open."""
    statement = select(func.count()).select_from(INCIDENT).where(INCIDENT.c.state != text("'resolved'"))
    return int(db.execute(statement).scalar_one())


def newest(
    db: Connection,
    *,
    before: int | None,
    limit: int,
    states: Sequence[State] = (),
    severities: Sequence[str] = (),
    drill: bool | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    words: str | None = None,
    equalities: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return incidents, newest first, that fit every filter given; `before` is the id to go on from."""
    found = select(INCIDENT).order_by(INCIDENT.c.id.desc()).limit(limit)
    if before is not None:
        found = found.where(INCIDENT.c.id < before)
    if states:
        is_open = State.RESOLVED not in states
        found = found.where(INCIDENT.c.state.in_([state.value for state in states]))
        if is_open:
            found = found.where(INCIDENT.c.state != text("'resolved'"))  # what the partial index says
    if severities:
        found = found.where(INCIDENT.c.severity.in_(severities))
    if drill is not None:
        found = found.where(INCIDENT.c.drill.is_(drill))
    if since is not None:
        found = found.where(INCIDENT.c.started_at >= since)
    if until is not None:
        found = found.where(INCIDENT.c.started_at < until)
    if words:
        pattern = "%" + words.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        found = found.where(func.lower(INCIDENT.c.title).like(pattern, escape="\\"))
    for name, value in (equalities or {}).items():
        found = found.where(_says(INCIDENT.c.labels, name, value))
    return rows(db, found)


def _says(labels: ColumnElement[Any], name: str, value: str) -> ColumnElement[bool]:
    """Return whether labels have a pair; yes, for a name that SQLite's JSON paths cannot hold.

    It narrows what is loaded, and whoever asks looks again.
    """
    if '"' in name or "\\" in name:
        return true()
    is_said: ColumnElement[bool] = labels[name].as_string() == value
    return is_said
