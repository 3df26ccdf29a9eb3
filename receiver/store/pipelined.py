"""How does PostgreSQL hear much in one round trip?

At every round trip the writer lets go of the interpreter, and has it back when the event loop lets go. So
what is written and gives nothing back waits until something is asked or the transaction ends, and goes with
it (libpq's pipeline mode). Nothing here is for SQLite, where nothing is far away.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

WAITING = "statements that wait to be sent"

Row = dict[str, Any]
Given = Row | Sequence[Row] | None
"""The named values of a statement; of several rows it is executed for each."""


def send_in_time(engine: Engine) -> None:
    """Have what waits sent before what SQLAlchemy asks, and before each commit."""

    @event.listens_for(engine, "before_cursor_execute")
    def send_before(db: Connection, *_: Any) -> None:
        _send(db)

    @event.listens_for(engine, "commit")
    def send_at_last(db: Connection) -> None:
        _send(db)

    @event.listens_for(engine, "rollback")
    def forget(db: Connection) -> None:
        if not db.invalidated:
            db.info.pop(WAITING, None)


def write(db: Connection, statement: str, given: Given = None) -> None:
    """Execute a statement that gives nothing back, some time before the next one that does."""
    db.info.setdefault(WAITING, []).append((statement, given))


def ask(db: Connection, statement: str, given: Row) -> list[tuple[Any, ...]]:
    """Return what a statement finds."""
    with _under_way(db) as driver, driver.cursor() as cursor:
        cursor.execute(statement, given)
        return list(cursor.fetchall())


def _send(db: Connection) -> None:
    if db.info.get(WAITING):
        with _under_way(db):
            pass


@contextmanager
def _under_way(db: Connection) -> Iterator[Any]:
    """Yield the driver's connection, on which what waited goes; errors are said as SQLAlchemy says them."""
    waiting = db.info.pop(WAITING, ())
    driver: Any = db.connection.driver_connection
    try:
        if not waiting:
            yield driver
            return
        with driver.pipeline():
            for statement, given in waiting:
                _execute(driver, statement, given)
            yield driver
    except db.dialect.loaded_dbapi.Error as error:
        is_lost = db.dialect.is_disconnect(error, driver, None)
        if is_lost:
            db.invalidate(error)
        raise DBAPIError.instance(
            "(several statements)", None, error, db.dialect.loaded_dbapi.Error, hide_parameters=True,
            connection_invalidated=is_lost, dialect=db.dialect,
        ) from error  # fmt: skip


def _execute(driver: Any, statement: str, given: Given) -> None:
    with driver.cursor() as cursor:
        if given is None or isinstance(given, dict):
            cursor.execute(statement, given)
        else:
            cursor.executemany(statement, given)
