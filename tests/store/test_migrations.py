"""Does a database get to our schema and back, and is it then what the tables say?"""

import contextlib

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from receiver.store.migrate import downgrade, sync_url, upgrade
from receiver.store.schema import is_current
from receiver.store.tables import metadata


@contextlib.contextmanager
def connected(url):
    engine = create_engine(sync_url(url))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def tables(url):
    with connected(url) as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version", "sqlite_sequence"}


def test_up_from_nothing_down_to_nothing_and_up_again(database_url):
    assert not is_current(database_url)

    upgrade(database_url)
    assert is_current(database_url)
    assert tables(database_url) == set(metadata.tables)

    downgrade(database_url, "base")
    assert not is_current(database_url)
    assert tables(database_url) == set()

    upgrade(database_url)
    assert tables(database_url) == set(metadata.tables)


def test_an_upgrade_of_what_is_new_already_changes_nothing(migrated_url):
    upgrade(migrated_url)

    assert is_current(migrated_url)


def test_the_migrated_schema_is_what_the_tables_say(migrated_url):
    with connected(migrated_url) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_partial_indexes_have_their_conditions(migrated_url):
    """The comparison of schemas does not look at conditions, and they carry the meaning."""
    with connected(migrated_url) as connection:
        found = {
            index["name"]: str(index["dialect_options"].get(f"{connection.dialect.name}_where", ""))
            for table in metadata.tables
            for index in inspect(connection).get_indexes(table)
        }
    partial = {
        index.name: str(index.dialect_options["sqlite"]["where"])
        for table in metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    }

    assert "uq_incident_key_open" in partial
    assert {name: words(found[name]) for name in partial} == {
        name: words(condition) for name, condition in partial.items()
    }


def words(condition):
    """Return a condition without what PostgreSQL adds to it."""
    for added in ("(", ")", "::text", "::character varying"):
        condition = condition.replace(added, "")
    return condition.replace("!=", "<>").split()


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///tocsin.db", "sqlite:///tocsin.db"),
        ("postgresql://ana:pa%25ss@db/tocsin", "postgresql+psycopg://ana:pa%25ss@db/tocsin"),
        ("postgres://db/tocsin", "postgresql+psycopg://db/tocsin"),
    ],
)
def test_the_driver_is_ours_whatever_the_address_names(url, driver):
    assert sync_url(url) == driver
