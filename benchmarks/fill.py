"""What does a database look like after a year? A few real incidents, copied until there are a million."""

import contextlib
import sqlite3
from datetime import datetime
from pathlib import Path

from benchmarks import alertmanager
from benchmarks.programs import Sink, all_answered, load, run_tocsin

REAL = 200  # incidents that went the whole way, through Alertmanager's body, database and delivery
STEP = 500  # copies of all of them in one statement; bounds the memory of the sort

# What a copy says in place of what its original says; :copy is its number.
CHANGED = {
    "incident": {
        "id": "id + :copy * {incident}",
        "key": "key || '~' || :copy",
        "state": "'resolved'",
        "firing": "0",
        "resolved_at": "strftime('%Y-%m-%d %H:%M:%f000', last_seen_at, '-' || (:copy + 60) || ' minutes')",
        "resolved_in": "CAST(strftime('%s', last_seen_at) / 3600 - :copy / 60 - 1 AS INTEGER)",
        "review_at": "NULL",
    },
    "alert": {"incident_id": "incident_id + :copy * {incident}", "state": "'resolved'", "expires_at": "NULL"},
    "payload": {
        "id": "id + :copy * {payload}",
        "digest": "digest + :copy",
        "heard_in": "heard_in - :copy / 5 - 1",
        "received_at": "strftime('%Y-%m-%d %H:%M:%f000', received_at, '-' || (:copy + 5) || ' minutes')",
        "body": "NULL",
    },  # bodies are pruned
    "timeline": {"id": "id + :copy * {timeline}", "incident_id": "incident_id + :copy * {incident}"},
    "conversation": {"incident_id": "incident_id + :copy * {incident}"},
    "notification": {
        "id": "id + :copy * {notification}",
        "key": "key || '~' || :copy",
        "incident_id": "incident_id + :copy * {incident}",
        "state": "'sent'",
    },
    "attempt": {"notification_id": "notification_id + :copy * {notification}"},
}


def fill(file: Path, sink: Sink, count: int) -> None:
    """Make a SQLite database with so many resolved incidents, and all that belongs to them."""
    sink.control("reset")
    with run_tocsin(f"sqlite:///{file}", sink) as tocsin:
        all_answered(load(tocsin, "webhook", "history", requests=REAL, alerts=1))
        alertmanager.await_groups(sink, REAL)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF;"
            "PRAGMA cache_size=-500000"
        )
        _multiply(database, count // REAL)
        database.executescript("PRAGMA journal_mode=WAL; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)")


OPEN = {  # the same, of incidents that stay open and escalate
    "incident": {"id": "id + :copy * {incident}", "key": "key || '~' || :copy"},
    "alert": {"incident_id": "incident_id + :copy * {incident}", "group_id": "group_id + :copy"},
    "escalation": {"incident_id": "incident_id + :copy * {incident}"},
    "conversation": {"incident_id": "incident_id + :copy * {incident}"},
    "notification": {
        "id": "id + :copy * {notification}",
        "key": "key || '~' || :copy",
        "incident_id": "incident_id + :copy * {incident}",
    },
}
STEPS = (  # the first is taken while the database is made, the second is measured
    {"notify": [{"receiver": "sink"}]},
    {"after": "10d", "notify": [{"receiver": "sink"}]},
)


def fill_with_open(file: Path, sink: Sink, count: int, due: int, due_at: datetime) -> None:
    """Make a SQLite database with so many open incidents, some of which have a step due at one instant."""
    sink.control("reset")
    with run_tocsin(f"sqlite:///{file}", sink, steps=STEPS) as tocsin:
        all_answered(load(tocsin, "webhook", "open", requests=REAL, alerts=1))
        alertmanager.await_groups(sink, REAL)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.executescript("PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF; PRAGMA cache_size=-500000")
        _multiply(database, count // REAL, OPEN)
        database.execute(
            "UPDATE escalation SET step_at = :at, next_step_at = :at WHERE incident_id IN"
            " (SELECT incident_id FROM escalation ORDER BY incident_id LIMIT :due)",
            {"at": due_at.strftime("%Y-%m-%d %H:%M:%S.%f"), "due": due},
        )
        database.executescript("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)")


def _multiply(
    database: sqlite3.Connection, copies: int, changed: dict[str, dict[str, str]] = CHANGED
) -> None:
    counts = {table: _next_id(database, table) for table in changed}
    database.execute("CREATE TEMP TABLE copies (number INTEGER PRIMARY KEY)")
    numbers = [(number,) for number in range(1, copies)]
    for table, said in changed.items():
        database.execute(f"CREATE TEMP TABLE original AS SELECT * FROM {table}")  # noqa: S608 - our own names
        for first in range(0, len(numbers), STEP):
            database.execute("BEGIN")
            database.execute("DELETE FROM copies")
            database.executemany("INSERT INTO copies VALUES (?)", numbers[first : first + STEP])
            database.execute(_copy_statement(database, table, said, counts))
            database.execute("COMMIT")
        database.execute("DROP TABLE original")


def _copy_statement(
    database: sqlite3.Connection, table: str, said: dict[str, str], counts: dict[str, int]
) -> str:
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    changed = {name: how.format(**counts).replace(":copy", "copies.number") for name, how in said.items()}
    values = ", ".join(changed.get(name, f'"{name}"') for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM copies, original"  # noqa: S608 - our own names


def _next_id(database: sqlite3.Connection, table: str) -> int:
    """Return a number above every id of the originals, so that copies never meet."""
    if not any(row[1] == "id" for row in database.execute(f"PRAGMA table_info({table})")):
        return 0
    return int(database.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").fetchone()[0])  # noqa: S608
