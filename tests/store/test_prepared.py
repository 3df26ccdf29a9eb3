"""Does a statement that was made once find what SQLAlchemy finds?"""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import bindparam, select, text, update

from receiver.policy.incident import State
from receiver.store import bulk
from receiver.store.database import DatabaseFailure, connect, rows
from receiver.store.incidents import INCIDENT
from receiver.store.outbox import NOTIFICATION
from receiver.store.prepared import Prepared
from receiver.store.throttles import THROTTLE
from tests.store.test_database import INCIDENT_ROW, NOTIFICATION_ROW

NOW = datetime(2026, 11, 20, 3, 12, 30, 123456, tzinfo=UTC)
COUNT = 300
AMONG = select(INCIDENT).where(INCIDENT.c.id.in_(bindparam("ids", expanding=True))).order_by(INCIDENT.c.id)


@pytest.fixture
def db(migrated_url):
    engine = connect(migrated_url, writing=True, size=1)
    with engine.begin() as db:
        for number in range(1, COUNT + 1):
            row = {
                "id": number,
                "key": f"k{number}",
                "labels": {"n": str(number), "é": "\N{SNOWMAN}"},
                "drill": number % 2 == 0,
            }
            row |= {
                "resolved_at": NOW + timedelta(seconds=number) if number % 3 == 0 else None,
                "routes": ["a", "b"],
            }
            db.execute(INCIDENT.insert().values(INCIDENT_ROW | row))
        yield db
        db.rollback()
    engine.dispose()


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 17, 64, 257, 300])
def test_it_finds_the_same_for_a_list_of_any_length(db, count):
    """What is found has the same types and values: instants, data, truth values and nothing at all."""
    ids = list(range(1, count + 1))

    found = Prepared(AMONG).rows(db, ids=ids)

    assert found == rows(db, AMONG, ids=ids)
    assert len(found) == count
    assert all(isinstance(one["drill"], bool) and isinstance(one["labels"], dict) for one in found)
    assert all(
        one["started_at"].tzinfo is UTC or one["started_at"].utcoffset() == timedelta() for one in found
    )


def test_it_is_made_once_for_lists_of_about_the_same_length(db):
    asked = Prepared(AMONG)
    for count in (5, 7, 16):
        assert len(asked.rows(db, ids=list(range(1, count + 1)))) == count

    assert len(asked._plans) == (1 if db.dialect.name == "sqlite" else 0)


@pytest.mark.parametrize("count", [0, 1, 300])
def test_it_finds_all_but_those_of_a_list_of_any_length(db, count):
    but = select(INCIDENT.c.id).where(INCIDENT.c.id.not_in(bindparam("ids", expanding=True)))

    found = Prepared(but).tuples(db, ids=list(range(1, count + 1)))

    assert sorted(found) == [(id_,) for id_ in range(count + 1, COUNT + 1)]


def test_values_that_the_statement_brings_itself_are_kept(db):
    asked = Prepared(
        select(INCIDENT.c.id).where(INCIDENT.c.state == "triggered", INCIDENT.c.resolved_at > bindparam("at"))
    )

    assert asked.tuples(db, at=NOW + timedelta(seconds=297)) == [(300,)]


def test_lists_that_the_statement_brings_itself_are_kept(db):
    asked = Prepared(
        select(INCIDENT.c.id).where(
            INCIDENT.c.state.in_([State.TRIGGERED, "another"]),
            INCIDENT.c.id.in_([7, 8]),
            INCIDENT.c.id != bindparam("but"),
        )
    )

    assert asked.tuples(db, but=7) == [(8,)]


def test_an_instant_in_another_zone_is_the_same_instant(db):
    asked = Prepared(select(INCIDENT.c.id).where(INCIDENT.c.resolved_at == bindparam("at")))
    there = (NOW + timedelta(seconds=3)).astimezone(timezone(timedelta(hours=9)))

    assert asked.tuples(db, at=there) == [(3,)]


def test_it_changes_many_rows(db):
    change = Prepared(
        update(INCIDENT)
        .where(INCIDENT.c.id == bindparam("its_id"), INCIDENT.c.state == "triggered")
        .values({name: bindparam(name) for name in ("labels", "resolved_at", "drill", "acknowledged_by")})
    )
    each = [
        {"its_id": 1, "labels": {"a": "b"}, "resolved_at": NOW, "drill": True, "acknowledged_by": None},
        {"its_id": 2, "labels": {}, "resolved_at": None, "drill": False, "acknowledged_by": "ana"},
    ]

    change.many(db, each)
    change.many(db, [])

    found = rows(db, AMONG, ids=[1, 2])
    assert [{name: row[name] for name in each[0] if name != "its_id"} for row in found] == [
        {name: value for name, value in one.items() if name != "its_id"} for one in each
    ]


def test_what_it_changes_it_can_return(db):
    db.execute(NOTIFICATION.insert().values(NOTIFICATION_ROW | {"id": 1}))
    claim = Prepared(
        update(NOTIFICATION)
        .where(NOTIFICATION.c.id.in_(bindparam("ids", expanding=True)))
        .values(due_at=bindparam("until"), attempts=NOTIFICATION.c.attempts + 1)
        .returning(NOTIFICATION)
    )

    found = claim.rows(db, ids=[1], until=NOW)

    assert [(row["due_at"], row["attempts"], row["urgent"]) for row in found] == [(NOW, 1, False)]


def test_a_fault_of_the_database_is_said_as_everywhere(db):
    """Whoever asks catches one kind of error, and it tells nothing of the values."""
    wrong = Prepared(text("SELECT nothing FROM nowhere WHERE secret = :secret"))

    with pytest.raises(DatabaseFailure) as raised:
        wrong.rows(db, secret="hunter2hunter2")

    assert "hunter2" not in str(raised.value)


def test_a_fault_in_a_bulk_insert_is_said_the_same_way(db):
    """A disk that is full must not look like the fault of one item."""
    row = {"name": "bucket", "free_at": None, "failures": 0, "probe_at": None}

    def insert_and_ask() -> None:  # PostgreSQL hears of it with the next question
        bulk.insert(db, THROTTLE, [row])
        db.execute(text("SELECT 1"))

    with pytest.raises(DatabaseFailure):
        insert_and_ask()


@pytest.mark.parametrize("count", [1, 3, 64, 85])
def test_rows_that_are_numbered_have_the_ids_that_are_returned(db, count):
    """Also where the newest was deleted, whose id is never used again."""
    db.execute(INCIDENT.delete().where(INCIDENT.c.id == COUNT))
    if db.dialect.name == "postgresql":  # the rows of `db` brought their ids, which it does not count
        db.execute(text(f"SELECT setval(pg_get_serial_sequence('incident', 'id'), {COUNT})"))
    row = {name: value for name, value in INCIDENT_ROW.items() if name != "id"}

    ids = bulk.insert_numbered(db, INCIDENT, [{**row, "key": f"new{n}"} for n in range(count)], name="key")

    found = db.execute(select(INCIDENT.c.key, INCIDENT.c.id).where(INCIDENT.c.key.like("new%")))
    assert ids == {row.key: row.id for row in found}
    assert len(ids) == count
    assert COUNT not in ids.values()
