"""How is what every commit asks asked without being made anew each time?

SQLAlchemy spends several times as long on each execution of a statement as SQLite does. What is asked at
every commit is compiled once, for SQLite once for each size of its lists, and handed to the driver.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import JSON, Boolean, Connection, DateTime
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator, TypeEngine

from receiver.store.pipelined import Query, query_of

Row = dict[str, Any]
Converter = Callable[[Any], Any]

SIZES = (1, 4, 16, 64, 256, 512)  # of a list: a shorter one repeats its last, SQLAlchemy takes longer ones
SIZE_FOR = (0, *(next(size for size in SIZES if size >= length) for length in range(1, SIZES[-1] + 1)))


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement as SQLite's driver takes it."""

    text: str
    given: tuple[Any, ...]  # a value for each `?`, None where it is not the statement's own
    blanks: tuple[tuple[int, str, int | None, Converter | None], ...]
    """Which `?`, the name of its value, its place if that is a list, and what the database holds for it."""
    names: tuple[str, ...]  # of what is found
    found: tuple[tuple[int, Converter], ...]  # by position: what a value of the database means

    def filled(self, values: Row) -> list[Any]:
        """Return what stands for each `?`."""
        given = list(self.given)
        for position, name, place, convert in self.blanks:
            value = values[name]
            if place is not None:
                value = value[place] if place < len(value) else value[-1]
            given[position] = value if convert is None or value is None else convert(value)
        return given


class Prepared:
    """A statement with named values, made once."""

    def __init__(self, statement: Any) -> None:
        self.statement = statement
        self._lists: tuple[str, ...] | None = None  # the names of those values that are lists
        self._plans: dict[tuple[int, ...], Plan] = {}
        self._query: Query | None = None

    def rows(self, db: Connection, **values: Any) -> list[Row]:
        """Return what it finds, as plain dictionaries."""
        names, found = self._ask(db, values)
        return [dict(zip(names, row, strict=True)) for row in found]

    def tuples(self, db: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """Return what it finds, as tuples."""
        return [tuple(row) for row in self._ask(db, values)[1]]

    def many(self, db: Connection, each: Sequence[Row]) -> None:
        """Execute it for each of these values, which have no lists."""
        if not each:
            return
        if db.dialect.name == "postgresql":
            self._queried(db).write(db, each)
            return
        plan = self._plan(db, (), each[0])
        with _cursor(db, plan.text) as cursor:
            cursor.executemany(plan.text, [plan.filled(one) for one in each])

    def _ask(self, db: Connection, values: Row) -> tuple[tuple[str, ...], list[Any]]:
        if db.dialect.name == "postgresql":
            query = self._queried(db)
            return query.names, query.ask(db, values)
        if self._lists is None:
            self._lists = tuple(name for name, value in values.items() if isinstance(value, list))
        lengths = [len(values[name]) for name in self._lists]
        if any(not 0 < length < len(SIZE_FOR) for length in lengths):
            return self._through_sqlalchemy(db, values)
        plan = self._plan(db, tuple([SIZE_FOR[length] for length in lengths]), values)
        found = execute(db, plan.text, plan.filled(values))
        if plan.found:
            found = [_meant(plan, row) for row in found]
        return plan.names, found

    def _through_sqlalchemy(self, db: Connection, values: Row) -> tuple[tuple[str, ...], list[Any]]:
        result = db.execute(self.statement, values)
        return tuple(result.keys()), list(result)

    def _queried(self, db: Connection) -> Query:
        if self._query is None:
            self._query = query_of(db, self.statement)
        return self._query

    def _plan(self, db: Connection, sizes: tuple[int, ...], values: Row) -> Plan:
        plan = self._plans.get(sizes)
        if plan is None:
            lists = {
                name: values[name][:1] * size for name, size in zip(self._lists or (), sizes, strict=True)
            }
            plan = self._plans[sizes] = self._made(db, values | lists)
        return plan

    def _made(self, db: Connection, values: Row) -> Plan:
        compiled = self.statement.compile(dialect=db.dialect)
        state = compiled.construct_expanded_state(values)
        places = {
            one: (name, place)
            for name, several in state.parameter_expansion.items()
            for place, one in enumerate(several)
        }
        bound = {name: binding(one.type) for name, one in compiled.binds.items()}
        columns = compiled._result_columns or ()  # noqa: SLF001 - what is public of it needs an execution
        blanks = [
            (position, *places.get(name, (name, None)))
            for position, name in enumerate(state.positiontup or ())
        ]
        own = {name: one.value for name, one in compiled.binds.items() if name not in values}
        all_blank = Plan(
            state.statement,
            (None,) * len(blanks),
            tuple((n, name, place, bound[name]) for n, name, place in blanks),
            tuple(str(column.keyname) for column in columns),
            tuple((n, how) for n, column in enumerate(columns) if (how := _meaning(column.type)) is not None),
        )
        of_its_own = replace(all_blank, blanks=tuple(one for one in all_blank.blanks if one[1] in own))
        left = tuple(one for one in all_blank.blanks if one[1] not in own)
        return replace(all_blank, given=tuple(of_its_own.filled(own)), blanks=left)


def _meant(plan: Plan, row: tuple[Any, ...]) -> list[Any]:
    values = list(row)
    for position, how in plan.found:
        if values[position] is not None:
            values[position] = how(values[position])
    return values


def execute(db: Connection, text: str, given: Any) -> list[Any]:
    """Return what SQLite's driver finds."""
    with _cursor(db, text) as cursor:
        return list(cursor.execute(text, given).fetchall())


def insert_rows(db: Connection, text: str, given: Any) -> int:
    """Insert rows into SQLite; return the id of the last."""
    with _cursor(db, text) as cursor:
        return int(cursor.execute(text, given).lastrowid or 0)


@contextmanager
def _cursor(db: Connection, text: str) -> Iterator[Any]:
    """Yield a cursor of the driver, whose errors are said as SQLAlchemy says them everywhere else."""
    cursor = db.connection.cursor()
    try:
        yield cursor
    except sqlite3.Error as error:
        raise DBAPIError.instance(
            text, None, error, sqlite3.Error, hide_parameters=True, dialect=db.dialect
        ) from error
    finally:
        cursor.close()


def binding(kind: TypeEngine[Any]) -> Converter | None:
    """Return how SQLite keeps a value of this type; None: as it is."""
    kind = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    if isinstance(kind, DateTime):
        return stored_instant
    return stored_json if isinstance(kind, JSON) else None


def _meaning(kind: TypeEngine[Any]) -> Converter | None:
    kind = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    if isinstance(kind, DateTime):
        return _instant
    if isinstance(kind, JSON):
        return from_json
    return bool if isinstance(kind, Boolean) else None


@lru_cache(8192)
def stored_instant(moment: datetime) -> str:
    """Return the text that SQLAlchemy keeps for an instant in UTC; one moment stands in many rows."""
    moment = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


def stored_json(value: Any) -> str:
    """Return the text of plain data."""
    return to_json(value).decode()


@lru_cache(8192)
def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
