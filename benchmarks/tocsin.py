"""How fast is Tocsin, on SQLite and on PostgreSQL, with everything on disk before it answers?"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator

import psycopg

from benchmarks import alertmanager
from benchmarks.programs import Sink, Tocsin, all_answered, load, memory, run_tocsin
from tests.alertmanager import run_alertmanager
from tests.postgres import Server
from tests.processes import wait_until

ALERTS = 5  # new alerts a body, all of one group, as a busy Alertmanager sends them
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
