"""Which process does what only one may do at a time?"""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.store import leases
from receiver.store.database import connect

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def db(migrated_url):
    engine = connect(migrated_url, writing=True, size=1)
    with engine.begin() as db:
        yield db
        db.rollback()
    engine.dispose()


def test_the_first_who_asks_has_it_and_keeps_it(db):
    assert leases.take(db, "bot", "one", NOW, NOW + MINUTE)
    assert not leases.take(db, "bot", "two", NOW, NOW + MINUTE)
    assert leases.take(db, "bot", "one", NOW + MINUTE / 2, NOW + 2 * MINUTE)
    assert not leases.take(db, "bot", "two", NOW + MINUTE, NOW + 2 * MINUTE)


def test_another_has_it_when_it_has_run_out(db):
    leases.take(db, "bot", "one", NOW, NOW + MINUTE)

    assert leases.take(db, "bot", "two", NOW + MINUTE, NOW + 2 * MINUTE)
    assert not leases.take(db, "bot", "one", NOW + MINUTE, NOW + 2 * MINUTE)


def test_one_thing_says_nothing_about_another(db):
    leases.take(db, "bot", "one", NOW, NOW + MINUTE)

    assert leases.take(db, "another bot", "two", NOW, NOW + MINUTE)


def test_what_is_let_go_is_free_and_only_the_holder_lets_go(db):
    leases.take(db, "bot", "one", NOW, NOW + MINUTE)

    leases.let_go(db, "bot", "two")
    assert not leases.take(db, "bot", "two", NOW, NOW + MINUTE)
    leases.let_go(db, "bot", "one")
    assert leases.take(db, "bot", "two", NOW, NOW + MINUTE)


def test_where_nobody_else_can_be_everything_is_free(db):
    leases.take(db, "bot", "one", NOW, NOW + MINUTE)

    leases.let_all_go(db)

    assert leases.take(db, "bot", "two", NOW, NOW + MINUTE)
