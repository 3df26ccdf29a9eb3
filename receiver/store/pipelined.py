"""How is PostgreSQL asked much in few round trips?

At every round trip the writer lets go of the interpreter, and has it back when the event loop lets go. So
what is written and gives nothing back waits until something is asked or the transaction ends, and goes with
it (libpq's pipeline mode). Nothing here is for SQLite, where nothing is far away.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    BinaryExpression,
    BindParameter,
    Connection,
    Engine,
    all_,
    any_,
    bindparam,
    event,
    literal,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.operators import in_op, not_in_op
from sqlalchemy.sql.visitors import ExternallyTraversible, replacement_traverse
from sqlalchemy.types import TypeEngine

WAITING = "statements that wait to be sent"

Row = dict[str, Any]
Converter = Callable[[Any], Any]
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


@dataclass(frozen=True, slots=True)
class Query:
    """A statement as PostgreSQL's driver takes it, whatever the lengths of its lists."""

    text: str
    given: Row  # its own values
    bound: tuple[tuple[str, Converter], ...]  # what the driver is given for a value of this name
    names: tuple[str, ...]  # of what is found

    def filled(self, values: Row) -> Row:
        """Return the value of each name."""
        given = self.given | values
        for name, convert in self.bound:
            if given[name] is not None:
                given[name] = convert(given[name])
        return given

    def write(self, db: Connection, each: Sequence[Row]) -> None:
        """Execute it for each of these values, before the next question."""
        write(db, self.text, [self.filled(one) for one in each])

    def ask(self, db: Connection, values: Row) -> list[tuple[Any, ...]]:
        """Return what it finds."""
        return ask(db, self.text, self.filled(values))


def query_of(db: Connection, statement: Any) -> Query:
    """Return a statement with named values as the driver takes it."""
    compiled = _with_arrays(statement).compile(dialect=db.dialect)
    columns = compiled._result_columns or ()  # noqa: SLF001 - what is public of it needs an execution
    bound = {name: _binding(db, one.type) for name, one in compiled.binds.items()}
    return Query(
        compiled.string,
        {name: one.value for name, one in compiled.binds.items() if not one.required},
        tuple((name, how) for name, how in bound.items() if how is not None),
        tuple(str(column.keyname) for column in columns),
    )


def _with_arrays(statement: Any) -> Any:
    """Return the statement with arrays for its lists, so that it is the same for each length."""

    def array(element: Any, **_: Any) -> Any:
        if not isinstance(element, BinaryExpression) or element.operator not in {in_op, not_in_op}:
            return None
        if not isinstance(element.right, BindParameter):
            return None
        its, kind = element.right, ARRAY(element.left.type)
        several = bindparam(its.key, type_=kind) if its.required else literal(its.value, kind)
        return element.left == any_(several) if element.operator is in_op else element.left != all_(several)

    changed: Any = replacement_traverse(cast("ExternallyTraversible", statement), {}, array)
    return changed


def _binding(db: Connection, kind: TypeEngine[Any]) -> Converter | None:
    return None if isinstance(kind, ARRAY) else kind.dialect_impl(db.dialect).bind_processor(db.dialect)
