"""How is what every commit asks asked without being made anew each time?

SQLAlchemy spends several times as long on each execution of a statement as SQLite does. What is asked at
every commit is compiled once for each size of its lists and handed to the driver. PostgreSQL is asked
through SQLAlchemy: there the round trip is what counts.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import JSON, Boolean, Connection, DateTime
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator, TypeEngine

Row = dict[str, Any]
Converter = Callable[[Any], Any]

SIZES = (1, 4, 16, 64, 256)  # of a list: a shorter one repeats its last value, SQLAlchemy takes a longer one


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement as the driver takes it."""

    text: str
    fixed: Row  # values that the statement brings itself, by name
    places: tuple[tuple[str, int | None], ...]  # for each `?`: the name of its value, and its place in a list
    bound: dict[str, Converter]  # by name: what the database holds for a value
    names: tuple[str, ...]  # of what is found
    found: tuple[tuple[int, Converter], ...]  # by position: what a value of the database means


class Prepared:
    """A statement with named values, made once."""

    def __init__(self, statement: Any) -> None:
        self.statement = statement
        self._plans: dict[tuple[int, ...], Plan] = {}

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
        if db.dialect.name != "sqlite":
            db.execute(self.statement, list(each))
            return
        plan = self._plan(db, {}, each[0])
        rows = [
            tuple(_stored(plan, values[name], name) for name, _ in plan.places)
            for values in ({**plan.fixed, **one} for one in each)
        ]
        _run(db, plan, rows, is_many=True)

    def _ask(self, db: Connection, values: Row) -> tuple[tuple[str, ...], list[Any]]:
        if db.dialect.name != "sqlite":
            return self._through_sqlalchemy(db, values)
        lists = {name: value for name, value in values.items() if isinstance(value, list)}
        if any(not 0 < len(value) <= SIZES[-1] for value in lists.values()):
            return self._through_sqlalchemy(db, values)
        padded = {name: _padded(value) for name, value in lists.items()}
        plan = self._plan(db, padded, values | padded)
        everything = {**plan.fixed, **values}
        given = tuple(
            _stored(plan, everything[name] if place is None else padded[name][place], name)
            for name, place in plan.places
        )
        found = _run(db, plan, given)
        if plan.found:
            found = [_meant(plan, row) for row in found]
        return plan.names, found

    def _through_sqlalchemy(self, db: Connection, values: Row) -> tuple[tuple[str, ...], list[Any]]:
        result = db.execute(self.statement, values)
        return tuple(result.keys()), list(result)

    def _plan(self, db: Connection, lists: dict[str, list[Any]], values: Row) -> Plan:
        sizes = tuple(len(lists[name]) for name in sorted(lists))
        plan = self._plans.get(sizes)
        if plan is None:
            plan = self._plans[sizes] = self._made(db, values)
        return plan

    def _made(self, db: Connection, values: Row) -> Plan:
        compiled = self.statement.compile(dialect=db.dialect)
        state = compiled.construct_expanded_state(values)
        places = {
            one: (name, place)
            for name, several in state.parameter_expansion.items()
            for place, one in enumerate(several)
        }
        types = {name: one.type for name, one in compiled.binds.items()}
        columns = compiled._result_columns or ()  # noqa: SLF001 - what is public of it needs an execution
        return Plan(
            state.statement,
            {name: one.value for name, one in compiled.binds.items() if name not in values},
            tuple(places.get(name, (name, None)) for name in state.positiontup or ()),
            {name: how for name in types if (how := binding(types[name])) is not None},
            tuple(str(column.keyname) for column in columns),
            tuple((n, how) for n, column in enumerate(columns) if (how := _meaning(column.type)) is not None),
        )


def _padded(value: list[Any]) -> list[Any]:
    size = next(size for size in SIZES if size >= len(value))
    return value + [value[-1]] * (size - len(value))


def _stored(plan: Plan, value: Any, name: str) -> Any:
    how = plan.bound.get(name)
    return value if how is None or value is None else how(value)


def _meant(plan: Plan, row: tuple[Any, ...]) -> list[Any]:
    values = list(row)
    for position, how in plan.found:
        if values[position] is not None:
            values[position] = how(values[position])
    return values


def _run(db: Connection, plan: Plan, given: Any, *, is_many: bool = False) -> list[Any]:
    with cursor_of(db, plan.text) as cursor:
        if is_many:
            cursor.executemany(plan.text, given)
            return []
        cursor.execute(plan.text, given)
        return list(cursor.fetchall())


@contextmanager
def cursor_of(db: Connection, text: str) -> Iterator[Any]:
    """Yield a cursor of SQLite's driver, whose errors are said as SQLAlchemy says them everywhere else."""
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
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def stored_json(value: Any) -> str:
    """Return the text of plain data."""
    return to_json(value).decode()


@lru_cache(8192)
def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
