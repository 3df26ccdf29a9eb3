"""How do many rows get into a table quickly?

SQLAlchemy prepares every parameter of every row by itself, which costs more than the database does. Here a
statement is made once for a table and its columns, and rows are handed to the driver: to SQLite many in
one statement, to PostgreSQL as one JSON text, so that a batch is one round trip.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql

from receiver.store import pipelined
from receiver.store.prepared import Converter, binding, insert_rows

Row = dict[str, Any]

PARTS = (64, 16, 4, 1)  # rows of one statement; 64 rows of the widest table are 1,600 parameters


def insert(db: Connection, table: Table, rows: Sequence[Row], *, unless: str = "") -> None:
    """Insert rows, which all name the same columns.

    `unless` says what becomes of those that are there already (`ON CONFLICT …`).
    """
    columns = tuple(rows[0])
    if db.dialect.name == "postgresql":
        pipelined.write(db, _for_postgresql(table, columns, unless), {"rows": to_json(rows).decode()})
    else:
        _insert_parts(db, table, columns, unless, rows)


def insert_numbered(db: Connection, table: Table, rows: Sequence[Row], *, name: str) -> dict[Any, int]:
    """Insert rows that the database numbers; return the id of each by the value of one column.

    An `id` that a row names is not looked at. SQLite counts on from the largest id there ever was
    (AUTOINCREMENT), and nobody else writes meanwhile. It could return the ids itself, but its driver hands
    the interpreter over for every row that it returns.
    """
    columns = tuple(name for name in rows[0] if name != "id")
    if db.dialect.name == "postgresql":
        asked = _for_postgresql(table, columns, f"RETURNING {name}, id")
        return dict(pipelined.ask(db, asked, {"rows": to_json(rows).decode()}))
    last = _insert_parts(db, table, columns, "", rows)
    return {row[name]: id_ for id_, row in enumerate(rows, start=last - len(rows) + 1)}


def _insert_parts(
    db: Connection, table: Table, columns: tuple[str, ...], clause: str, rows: Sequence[Row]
) -> int:
    """Insert rows into SQLite; return the id of the last."""
    last = 0
    for part in _parts(_stored_rows(table, columns, rows)):
        given = tuple(chain.from_iterable(part))
        last = insert_rows(db, _for_sqlite(table, columns, clause, len(part)), given)
    return last


def _parts(rows: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows in parts of few sizes, so that SQLite knows their statements already.

    The driver hands the interpreter over at every statement and takes it back afterwards; with a statement
    for each row the writer would spend its time waiting for it.
    """
    begin = 0
    for size in PARTS:
        while len(rows) - begin >= size:
            yield rows[begin : begin + size]
            begin += size


def unless_there(keys: Iterable[str], columns: Iterable[str]) -> str:
    """Return the clause that overwrites the columns of a row that has these keys."""
    said = ", ".join(f"{name} = excluded.{name}" for name in columns)
    return f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {said}"


def _stored_rows(table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Return what SQLite is to hold: texts and numbers, column by column."""
    converters = _converters(table, columns)
    found = []
    for row in rows:
        values = [row[name] for name in columns]
        for position, convert in converters:
            if values[position] is not None:
                values[position] = convert(values[position])
        found.append(tuple(values))
    return found


@cache
def _for_sqlite(table: Table, columns: tuple[str, ...], clause: str, count: int) -> str:
    one = f"({', '.join('?' * len(columns))})"
    return f"{_into(table, columns)} VALUES {', '.join([one] * count)} {clause}"


@cache
def _for_postgresql(table: Table, columns: tuple[str, ...], clause: str) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    typed = ", ".join(f'"{name}" {table.c[name].type.compile(dialect)}' for name in columns)
    taken_apart = f"SELECT * FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS its({typed})"  # noqa: S608 - our names
    return f"{_into(table, columns)} {taken_apart} {clause}"


@cache
def _into(table: Table, columns: tuple[str, ...]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table.name} ({names})"


@cache
def _converters(table: Table, columns: tuple[str, ...]) -> tuple[tuple[int, Converter], ...]:
    found = ((position, binding(table.c[name].type)) for position, name in enumerate(columns))
    return tuple((position, convert) for position, convert in found if convert is not None)
