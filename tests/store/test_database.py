"""Does the writer keep its word: what waits together commits together, and nothing is lost?"""

import asyncio
import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, event, select, text, update
from sqlalchemy.exc import IntegrityError

from receiver.store.database import (
    DatabaseFailure,
    Overloaded,
    Writer,
    connect,
    is_alive,
    reading,
    sqlite_file,
)
from receiver.store.drills import DRILL
from receiver.store.incidents import INCIDENT
from receiver.store.outbox import NOTIFICATION

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
INCIDENT_ROW = {
    "key": "k", "source": "prod", "state": "triggered", "severity": "none", "title": "", "labels": {},
    "annotations": {}, "group_labels": {}, "upstream": {}, "routes": [], "drill": False, "firing": 1,
    "total": 1, "truncated": 0, "revision": 1, "reopenings": 0, "started_at": NOW, "last_seen_at": NOW,
}  # fmt: skip
NOTIFICATION_ROW = {
    "key": "n", "incident_id": 1, "destination": "console", "receiver": "ops", "route": "root",
    "reason": "first", "state": "owed", "why": "", "urgent": False, "revision": 1, "attempts": 0,
    "created_at": NOW,
    "due_at": NOW,
}  # fmt: skip


@pytest.fixture
def engine(migrated_url):
    engine = connect(migrated_url, writing=True, size=1)
    yield engine
    engine.dispose()


@pytest.fixture
def writer(engine):
    """A writer that has not begun, so that a test can let things wait."""
    writer = Writer(engine)
    yield writer
    writer.stop()


def add(db, items):
    """Add an incident for each item; one that is called "poison" fails."""
    assert "poison" not in items
    for item in items:
        db.execute(INCIDENT.insert().values(INCIDENT_ROW | {"key": item}))
    return [item.upper() for item in items]


def keys(engine):
    with engine.begin() as db:
        return sorted(db.execute(select(INCIDENT.c.key)).scalars())


async def test_items_submitted_together_share_one_commit(engine, writer):
    commits = []
    event.listen(engine, "commit", commits.append)
    waiting = [writer.submit(add, name) for name in "abc"]

    writer.start()

    assert await asyncio.gather(*waiting) == ["A", "B", "C"]
    assert len(commits) == 1


async def test_items_of_one_stage_run_together_and_keep_their_results(writer):
    calls = []

    def stage(_, items):
        calls.append(items)
        return [item * 2 for item in items]

    def other(_, items):
        return [-item for item in items]

    waiting = [writer.submit(stage if n % 2 else other, n) for n in range(6)]
    writer.start()

    assert await asyncio.gather(*waiting) == [0, 2, -2, 6, -4, 10]
    assert calls == [[1, 3, 5]]


async def test_one_poisoned_item_costs_only_itself(engine, writer):
    waiting = [writer.submit(add, name) for name in ("a", "poison", "b")]

    writer.start()
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert (results[0], results[2]) == ("A", "B")
    assert isinstance(results[1], AssertionError)
    assert keys(engine) == ["a", "b"]


async def test_a_result_is_there_only_after_the_commit(engine, writer):
    seen = []
    waiting = writer.submit(add, "a")
    event.listen(engine, "commit", lambda _: seen.append(waiting.done()))

    writer.start()
    await waiting

    assert seen == [False]


async def test_too_many_items_are_refused_but_the_ones_without_weight_pass(writer):
    writer.most_waiting = 2
    first = [writer.submit(add, name, weight=1) for name in "ab"]

    with pytest.raises(Overloaded, match="2 items wait"):
        writer.submit(add, "c", weight=1)
    result = writer.submit(add, "d")

    assert writer.waiting() == 3
    writer.start()
    await asyncio.gather(*first, result)
    await writer.submit(add, "e", weight=1)  # there is room again


async def test_too_many_bytes_are_refused(writer):
    writer.most_bytes = 100
    waiting = writer.submit(add, "a", weight=100)

    with pytest.raises(Overloaded):
        writer.submit(add, "b", weight=1)

    writer.start()
    await waiting


async def test_stop_finishes_what_waits_and_takes_no_more(engine, writer):
    waiting = [writer.submit(add, f"{n:04}") for n in range(600)]  # more than one transaction takes
    writer.start()

    await asyncio.to_thread(writer.stop)

    assert len(await asyncio.gather(*waiting)) == 600
    assert len(keys(engine)) == 600
    with pytest.raises(Overloaded, match="shutting down"):
        writer.submit(add, "late")


async def test_what_a_client_no_longer_waits_for_is_committed_all_the_same(engine, writer):
    gone, there = writer.submit(add, "a"), writer.submit(add, "b")
    gone.cancel()

    writer.start()
    await there

    assert keys(engine) == ["a", "b"]


def test_no_update_is_lost_between_threads(migrated_url):
    """Reading and writing back is one transaction, even where the driver would begin it late."""
    engines = [connect(migrated_url, writing=True, size=1) for _ in range(3)]
    with engines[0].begin() as db:
        db.execute(INCIDENT.insert().values(INCIDENT_ROW))

    def count(engine):
        for _ in range(30):
            with engine.begin() as db:
                row = db.execute(select(INCIDENT.c.revision).with_for_update()).scalar_one()
                db.execute(update(INCIDENT).values(revision=row + 1))

    threads = [threading.Thread(target=count, args=[engine]) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with reading(engines[0]) as db:
        assert db.execute(select(INCIDENT.c.revision)).scalar_one() == 91
    for engine in engines:
        engine.dispose()


def test_at_most_one_open_incident_has_a_key(engine):
    with engine.begin() as db:
        db.execute(INCIDENT.insert().values(INCIDENT_ROW | {"state": "resolved", "resolved_at": NOW}))
        db.execute(INCIDENT.insert().values(INCIDENT_ROW | {"state": "acknowledged"}))

    with pytest.raises(IntegrityError), engine.begin() as db:
        db.execute(INCIDENT.insert().values(INCIDENT_ROW))


def test_a_notification_is_never_queued_twice(engine):
    with engine.begin() as db:
        db.execute(INCIDENT.insert().values(INCIDENT_ROW))
        db.execute(NOTIFICATION.insert().values(NOTIFICATION_ROW))

    with pytest.raises(IntegrityError), engine.begin() as db:
        db.execute(NOTIFICATION.insert().values(NOTIFICATION_ROW))


def test_rows_of_no_incident_are_refused(engine):
    with pytest.raises(IntegrityError), engine.begin() as db:
        db.execute(DRILL.insert().values(id="d", incident_id=77, posted_at=NOW))


def test_what_belongs_to_an_incident_goes_with_it(engine):
    with engine.begin() as db:
        db.execute(INCIDENT.insert().values(INCIDENT_ROW | {"id": 1}))
        db.execute(NOTIFICATION.insert().values(NOTIFICATION_ROW))
        db.execute(INCIDENT.delete())

        assert db.execute(select(NOTIFICATION.c.id)).all() == []


def test_an_instant_comes_back_as_the_same_instant_in_utc(engine):
    at = datetime.fromisoformat("2026-03-29T01:30:00.123456+02:00")
    with engine.begin() as db:
        db.execute(INCIDENT.insert().values(INCIDENT_ROW | {"started_at": at}))

        found = db.execute(select(INCIDENT.c.started_at)).scalar_one()

    assert found == at
    assert found.utcoffset().total_seconds() == 0


def test_absurd_instants_come_back_whatever_the_time_zone_of_the_server(migrated_url):
    """A server east or west of Greenwich shifts the ends of the calendar out of what Python can hold."""
    if not migrated_url.startswith("sqlite"):
        admin = create_engine(migrated_url.replace("postgresql:", "postgresql+psycopg:"))
        with admin.begin() as db:
            name = db.execute(text("SELECT current_database()")).scalar_one()
            db.execute(text(f"ALTER DATABASE {name} SET timezone TO 'Asia/Tokyo'"))
        admin.dispose()
    first, last = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    engine = connect(migrated_url, writing=True)
    with engine.begin() as db:
        db.execute(INCIDENT.insert().values(INCIDENT_ROW | {"started_at": first, "last_seen_at": last}))

        found = db.execute(select(INCIDENT.c.started_at, INCIDENT.c.last_seen_at)).one()

    engine.dispose()
    assert tuple(found) == (first, last)


def test_a_reader_sees_one_state_and_the_database_is_alive(migrated_url):
    engine = connect(migrated_url, writing=False)
    with reading(engine) as db:
        assert is_alive(db)
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///tocsin.db", "tocsin.db"),
        ("sqlite:////var/lib/tocsin/tocsin.db", "/var/lib/tocsin/tocsin.db"),
        ("sqlite://", "tocsin.db"),
        ("postgresql://localhost/tocsin", None),
    ],
)
def test_only_sqlite_has_a_file(url, file):
    found = sqlite_file(url)

    assert (str(found) if found else None) == file


def test_replicas_that_wait_for_each_other_both_get_their_way(postgres_server, migrated_template):
    """PostgreSQL ends such a wait by refusing one of them, which then begins anew."""
    url = postgres_server.create_database(template=migrated_template)
    both_hold_one = threading.Barrier(2)
    results, tried = [], set()

    def serve(first, second):
        def stage(db, items):
            db.execute(text(f"SELECT pg_advisory_xact_lock({first})"))
            if first not in tried:
                tried.add(first)
                both_hold_one.wait(10)
            db.execute(text(f"SELECT pg_advisory_xact_lock({second})"))
            return items

        async def submit():
            writer = Writer(connect(url, writing=True, size=1))
            writer.start()
            try:
                results.append(await writer.submit(stage, first))
            finally:
                await asyncio.to_thread(writer.stop)
                writer.engine.dispose()

        asyncio.run(submit())

    threads = [threading.Thread(target=serve, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    postgres_server.drop_database(url)

    assert sorted(results) == [1, 2]


async def test_a_connection_that_ended_between_two_commits_is_opened_anew(postgres_server, migrated_template):
    """A restart of PostgreSQL costs nobody a refusal, once it is back."""
    url = postgres_server.create_database(template=migrated_template)
    writer = Writer(connect(url, writing=True, size=1))
    writer.start()
    assert await writer.submit(add, "before") == "BEFORE"
    other = connect(url, writing=False)
    with reading(other) as db:
        ended = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                     " WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
        db.execute(ended)

    assert await writer.submit(add, "after") == "AFTER"
    assert keys(writer.engine) == ["after", "before"]

    await asyncio.to_thread(writer.stop)
    writer.engine.dispose()
    other.dispose()
    postgres_server.drop_database(url)


def test_a_postgresql_that_is_gone_is_not_waited_for_without_end():
    """What the address says itself counts more."""
    engine = connect("postgresql://host/db?connect_timeout=9", writing=True)

    assert engine.url.query["connect_timeout"] == "9"
    assert engine.url.query["tcp_user_timeout"] == "20000"


async def test_what_one_item_makes_the_database_refuse_costs_only_that_item(engine, writer):
    """SQLite calls a faulty JSON path an operational error, as it does a full disk."""

    def ask(db, paths):
        for path in paths:
            if db.dialect.name == "sqlite":
                db.execute(text("SELECT json_extract('{}', :path)"), {"path": path})
            elif path != "$":
                db.execute(text("SELECT no_such_column"))
        return paths

    good, odd, added = writer.submit(ask, "$"), writer.submit(ask, "no path"), writer.submit(add, "a")

    writer.start()

    assert (await good, await added) == ("$", "A")
    with pytest.raises(DatabaseFailure):
        await odd
    assert keys(engine) == ["a"]
