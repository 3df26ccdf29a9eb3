"""How Alembic meets the database: one environment for SQLite and PostgreSQL."""

from alembic import context
from sqlalchemy import create_engine, text

from receiver.store.tables import metadata

MIGRATION_LOCK = 0x70C51  # replicas that start together migrate one after the other


def run() -> None:
    """Run the revisions in one transaction."""
    engine = create_engine(context.config.attributes["url"])
    with engine.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if is_sqlite:
            # A batch ALTER of a parent table deletes its children where foreign keys are on.
            connection.execute(text("PRAGMA foreign_keys=OFF"))
        else:
            connection.execute(text("SELECT pg_advisory_lock(:id)"), {"id": MIGRATION_LOCK})
        connection.commit()
        context.configure(
            connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True
        )
        with context.begin_transaction():
            context.run_migrations()
            if is_sqlite and connection.execute(text("PRAGMA foreign_key_check")).first():
                raise RuntimeError("a migration left rows whose parent is gone; the database was not changed")
        connection.commit()
        if not is_sqlite:
            connection.execute(text("SELECT pg_advisory_unlock(:id)"), {"id": MIGRATION_LOCK})
            connection.commit()
    engine.dispose()


run()
