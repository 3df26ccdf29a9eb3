"""How fast is Tocsin, on SQLite and on PostgreSQL, with everything on disk before it answers?"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg

from benchmarks import alertmanager
from benchmarks.fill import STEPS, fill_with_open
from benchmarks.programs import Sink, Tocsin, all_answered, load, memory, run_tocsin
from tests.alertmanager import run_alertmanager
from tests.postgres import Server
from tests.processes import wait_until

ALERTS = 5  # new alerts a body, all of one group, as a busy Alertmanager sends them
OPEN_INCIDENTS = 100_000
TIMERS = 20_000  # of them, due in the same second
FILLED_WITHIN = 100.0  # seconds; the steps are due then
SETTLES = 5.0  # seconds, after the start
IDLES = 20.0  # seconds
BACKLOG = 4000  # incidents; taken in less time than a held answer may take
FIRST_PAGE = "/api/v1/incidents?limit=50"


@contextlib.contextmanager
def fresh_file() -> Iterator[str]:
    """Return the address of a SQLite database that does not exist yet."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as name:
        yield f"sqlite:///{name}/tocsin.db"


@contextlib.contextmanager
def fresh_database(server: Server) -> Iterator[str]:
    """Return the address of an empty PostgreSQL database."""
    url = server.create_database()
    yield url
    server.drop_database(url)


def incidents(database_url: str) -> int:
    """Return how many incidents are committed; the database is asked, which costs the service nothing."""
    query = "SELECT coalesce(max(id), 0) FROM incident"
    if database_url.startswith("sqlite:///"):
        path = database_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return int(database.execute(query).fetchone()[0])
    with psycopg.connect(database_url) as connection:
        return int(connection.execute(query).fetchone()[0])  # type: ignore[index]


def ingest_rate(database_url: str, sink: Sink, *, notifying: bool, requests: int = 3000) -> float:
    """Return new alerts a second, each on disk before its answer, notifying the sink meanwhile or not."""
    with run_tocsin(database_url, sink, group_wait="0s" if notifying else "1h") as tocsin:
        return measured_ingest(tocsin, requests)


def measured_ingest(tocsin: Tocsin, requests: int) -> float:
    """Return new alerts a second that a running service takes."""
    warm, measured = (f"{word}-{time.monotonic_ns()}" for word in ("warm", "measured"))
    load(tocsin, "webhook", warm, requests=200, alerts=ALERTS)
    result = all_answered(load(tocsin, "webhook", measured, requests=requests, alerts=ALERTS))
    return float(result["alerts"] / result["elapsed"])


def storm(database_url: str, sink: Sink) -> float:
    """Return the seconds until a storm that Alertmanager sends is committed."""
    with (
        run_tocsin(database_url, sink) as tocsin,
        run_alertmanager(
            alertmanager.configuration(
                f"{tocsin.url}/webhooks/alertmanager",
                group_by="bench_group",
                group_wait=f"{alertmanager.STORM_WAIT:.0f}s",
            )
        ) as sender,
    ):
        began_at = alertmanager.raise_storm(sender)
        wait_until(
            lambda: incidents(database_url) >= alertmanager.STORM,
            within=alertmanager.STORM_WITHIN,
            otherwise=lambda: f"{incidents(database_url)} of {alertmanager.STORM} incidents are committed",
        )
        return time.perf_counter() - began_at


def latencies(database_url: str, sink: Sink, *, rate: float, requests: int) -> list[float]:
    """Return seconds from POST to arrival at a webhook, for each incident."""
    with run_tocsin(database_url, sink) as tocsin:
        load(tocsin, "webhook", "warm", requests=100, alerts=1, rate=rate)
        alertmanager.await_groups(sink, 1)
        sink.control("reset")
        sent = load(tocsin, "webhook", "paced", requests=requests, alerts=1, rate=rate)["sent"]
        return alertmanager.until_arrival("Tocsin", sink, sent)


def delivery_rate(database_url: str, sink: Sink) -> float:
    """Return notifications a second that arrive, when many are owed and the destination begins to answer."""
    sink.control("reset")
    with run_tocsin(database_url, sink) as tocsin:
        sink.control("hold")
        all_answered(load(tocsin, "webhook", "backlog", requests=BACKLOG, alerts=1))
        released_at = sink.control("release")
        alertmanager.await_groups(sink, BACKLOG)
        return float(BACKLOG / (sink.control("report")["last"] - released_at))


def memory_of_open_incidents(database_url: str, sink: Sink) -> float:
    """Return MB with as many open incidents as a storm has alerts, all of them delivered."""
    sink.control("reset")
    with run_tocsin(database_url, sink) as tocsin:
        all_answered(load(tocsin, "webhook", "held", requests=alertmanager.STORM, alerts=1, connections=8))
        alertmanager.await_groups(sink, alertmanager.STORM)
        return memory(tocsin)


def timers(file: Path, sink: Sink) -> tuple[float, list[float]]:
    """Return the share of a core that idles, and by how much each of many steps due at once was late.

    Both with many open incidents; the steps tell the sink, which they compete with for the processor.
    """
    due_at = datetime.now(UTC) + timedelta(seconds=FILLED_WITHIN)
    fill_with_open(file, sink, OPEN_INCIDENTS, TIMERS, due_at)
    with run_tocsin(f"sqlite:///{file}", sink, steps=STEPS) as tocsin:
        time.sleep(SETTLES)
        began_at, before = time.perf_counter(), _cpu(tocsin)
        time.sleep(IDLES)
        idle = (_cpu(tocsin) - before) / (time.perf_counter() - began_at)
        if datetime.now(UTC) >= due_at:
            raise RuntimeError("the database took too long to fill; the steps were due before they could be")
        wait_until(
            lambda: len(_taken_at(file)) >= TIMERS,
            within=(due_at - datetime.now(UTC)).total_seconds() + 120,
            otherwise=lambda: f"{len(_taken_at(file))} of {TIMERS} steps were taken",
        )
    return idle, [(at - due_at).total_seconds() for at in _taken_at(file)]


def _cpu(tocsin: Tocsin) -> float:
    times = psutil.Process(tocsin.process.pid).cpu_times()
    return float(times.user + times.system)


def _taken_at(file: Path) -> list[datetime]:
    """Return when each step was taken; the database is asked, which costs the service nothing."""
    query = "SELECT at FROM timeline WHERE text LIKE 'policy page, step 2%'"
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return [datetime.fromisoformat(row[0]).replace(tzinfo=UTC) for row in database.execute(query)]


def with_history(database_url: str, sink: Sink, requests: int = 3000) -> tuple[float, float]:
    """Return the ingest rate, and milliseconds for the first page of the incident list, on this database."""
    os.sync()  # what others wrote, the copying of the history above all, must not compete for the disk
    with run_tocsin(database_url, sink, group_wait="1h") as tocsin:
        rate = measured_ingest(tocsin, requests)
        tocsin.request("GET", FIRST_PAGE)  # the first request compiles the statement
        return rate, 1000 * statistics.median(_first_page(tocsin) for _ in range(20))


def _first_page(tocsin: Tocsin) -> float:
    began_at = time.perf_counter()
    status, answer = tocsin.request("GET", FIRST_PAGE)
    if status != 200 or not answer["items"]:
        raise RuntimeError(f"the incident list answered {status}: {answer}")
    return time.perf_counter() - began_at
