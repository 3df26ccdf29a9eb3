"""Does PostgreSQL hear everything, in order, though it hears it later?"""

import pytest
from sqlalchemy import text

from receiver.store import pipelined
from receiver.store.database import DatabaseFailure, connect

ADD = "INSERT INTO heard (key, at) VALUES (%(key)s, '2026-11-20')"
COUNT = "SELECT count(*) FROM heard"


@pytest.fixture
def engine(postgres_server, request):
    url = postgres_server.create_database(template=request.getfixturevalue("migrated_template"))
    engine = connect(url, writing=True, size=1)
    yield engine
    engine.dispose()
    postgres_server.drop_database(url)


def how_many(engine):
    with engine.begin() as db:
        return db.execute(text(COUNT)).scalar_one()


def test_a_question_finds_what_was_written_before_it(engine):
    with engine.begin() as db:
        pipelined.write(db, ADD, {"key": "a"})
        pipelined.write(db, ADD, [{"key": "b"}, {"key": "c"}])
        assert pipelined.ask(db, COUNT, {}) == [(3,)]
        pipelined.write(db, ADD, {"key": "d"})
        assert db.execute(text(COUNT)).scalar_one() == 4


def test_what_waits_is_part_of_the_commit(engine):
    with engine.begin() as db:
        pipelined.write(db, ADD, {"key": "a"})

    assert how_many(engine) == 1


def test_what_waits_is_forgotten_with_its_transaction(engine):
    with engine.connect() as db:
        with db.begin() as transaction:
            pipelined.write(db, ADD, {"key": "a"})
            transaction.rollback()
        with db.begin():
            pipelined.write(db, ADD, {"key": "b"})

    assert how_many(engine) == 1


def twice(db):
    pipelined.write(db, ADD, {"key": "a"})
    pipelined.write(db, ADD, {"key": "a"})
    pipelined.write(db, ADD, {"key": "hunter2hunter2"})


def write_twice(engine, *, ask):
    with engine.begin() as db:
        twice(db)
        if ask:
            pipelined.ask(db, COUNT, {})


@pytest.mark.parametrize("ask", [True, False], ids=["at the next question", "at the commit"])
def test_a_fault_is_said_as_everywhere_and_nothing_stays(engine, ask):
    """The values of a statement may be secret."""
    with pytest.raises(DatabaseFailure) as raised:
        write_twice(engine, ask=ask)

    assert raised.value.orig.sqlstate == "23505"
    assert "hunter2" not in str(raised.value)
    assert how_many(engine) == 0


@pytest.mark.parametrize("ask", [True, False], ids=["at the next question", "at the commit"])
def test_a_connection_that_ended_is_known_as_such(engine, ask):
    """So the writer begins anew with another."""
    with engine.connect() as db:
        with db.begin():
            pid = db.execute(text("SELECT pg_backend_pid()")).scalar_one()
        end(pid, connect(engine.url.render_as_string(hide_password=False), writing=True))
        with pytest.raises(DatabaseFailure) as raised:
            write_on(db, ask=ask)

    assert raised.value.connection_invalidated
    write_once(engine)
    assert how_many(engine) == 1


def end(pid, engine):
    with engine.begin() as db:
        db.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    engine.dispose()


def write_on(db, *, ask):
    with db.begin():
        pipelined.write(db, ADD, {"key": "a"})
        if ask:
            pipelined.ask(db, COUNT, {})


def write_once(engine):
    with engine.begin() as db:
        pipelined.write(db, ADD, {"key": "b"})
