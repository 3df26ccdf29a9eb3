"""What is measured, in which order, and which result would be good enough?"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import alertmanager, tocsin
from benchmarks.fill import fill
from benchmarks.numbers import quantiles
from benchmarks.programs import Sink
from tests.postgres import Server, start_postgres

RATE = 50  # requests a second for the way from POST to arrival
PACED = 500  # of them

Numbers = dict[str, float]


class Bench:
    """What the rounds share: a sink, a durable PostgreSQL and a long history, made when first needed."""

    def __init__(self, stack: contextlib.ExitStack, sink: Sink, stored: int) -> None:
        self.stack = stack
        self.sink = sink
        self.stored = stored
        self.postgresql = ""  # its version, once it runs

    @functools.cached_property
    def postgres(self) -> Server:
        """Return a PostgreSQL that waits for the disk."""
        server = self.stack.enter_context(start_postgres(durable=True))
        self.postgresql = server.version
        return server

    @functools.cached_property
    def history(self) -> str:
        """Return the address of a SQLite database with many stored incidents."""
        directory = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-history-"))
        file = Path(directory) / "tocsin.db"
        fill(file, self.sink, self.stored)
        return f"sqlite:///{file}"


def ingest(bench: Bench) -> Numbers:
    """Measure new alerts a second, with and without notifications going out meanwhile."""
    numbers = {
        "alertmanager, notifying, alerts/s": alertmanager.ingest_rate(
            bench.sink, notifying=True, per_group=1
        ),
        "alertmanager, notifying groups of five, alerts/s": alertmanager.ingest_rate(
            bench.sink, notifying=True, per_group=5
        ),
        "alertmanager, silent, alerts/s": alertmanager.ingest_rate(bench.sink, notifying=False, per_group=5),
    }
    for notifying, word in ((True, "notifying"), (False, "silent")):
        with tocsin.fresh_file() as url:
            numbers[f"SQLite, {word}, alerts/s"] = tocsin.ingest_rate(url, bench.sink, notifying=notifying)
        with tocsin.fresh_database(bench.postgres) as url:
            numbers[f"PostgreSQL, {word}, alerts/s"] = tocsin.ingest_rate(
                url, bench.sink, notifying=notifying
            )
    return numbers


def storm(bench: Bench) -> Numbers:
    """Measure the time a storm needs to a server that only answers, and to be committed by us."""
    to_sink, _ = alertmanager.storm_to_sink(bench.sink)
    with tocsin.fresh_file() as url:
        sqlite = tocsin.storm(url, bench.sink)
    with tocsin.fresh_database(bench.postgres) as url:
        postgresql = tocsin.storm(url, bench.sink)
    return {"to a sink, s": to_sink, "SQLite, s": sqlite, "PostgreSQL, s": postgresql}


def latency(bench: Bench) -> Numbers:
    """Measure the way from POST to arrival."""
    numbers: Numbers = {}
    for name, seconds in (
        ("alertmanager", alertmanager.latencies(bench.sink, rate=RATE, requests=PACED)),
        ("SQLite", _sqlite_latencies(bench)),
    ):
        found = quantiles(seconds)
        numbers |= {f"{name}, p50, ms": found["p50"], f"{name}, p99, ms": found["p99"]}
    return numbers


def _sqlite_latencies(bench: Bench) -> list[float]:
    with tocsin.fresh_file() as url:
        return tocsin.latencies(url, bench.sink, rate=RATE, requests=PACED)


def delivery(bench: Bench) -> Numbers:
    """Measure notifications a second from a backlog."""
    with tocsin.fresh_file() as url:
        return {"SQLite, notifications/s": tocsin.delivery_rate(url, bench.sink)}


def memory(bench: Bench) -> Numbers:
    """Measure resident memory with many open incidents."""
    held = alertmanager.memory_of_open_alerts(bench.sink)
    with tocsin.fresh_file() as url:
        return {"alertmanager, MB": held, "SQLite, MB": tocsin.memory_of_open_incidents(url, bench.sink)}


def history(bench: Bench) -> Numbers:
    """Measure what a long history costs."""
    with tocsin.fresh_file() as url:
        empty, _ = tocsin.with_history(url, bench.sink)
    filled, page = tocsin.with_history(bench.history, bench.sink)
    return {"empty, alerts/s": empty, "stored, alerts/s": filled, "stored, first page, ms": page}


def timers(bench: Bench) -> Numbers:
    """Measure how late steps are that are due at once, and what many open incidents cost while idle."""
    with tempfile.TemporaryDirectory(prefix="tocsin-timers-") as directory:
        idle, late = tocsin.timers(Path(directory) / "tocsin.db", bench.sink)
    return {"SQLite, idle, % of a core": 100 * idle, "SQLite, late, p99, s": quantiles(late)["p99"] / 1000}


ROUNDS: dict[str, Callable[[Bench], Numbers]] = {
    "ingest": ingest,
    "storm": storm,
    "latency": latency,
    "delivery": delivery,
    "memory": memory,
    "history": history,
    "timers": timers,
}


@dataclass(frozen=True)
class Measure:
    """One line of the table: a number, or its ratio to another of the same rounds."""

    name: str
    what: str
    of: str
    by: str | None
    must: float | None  # None: said for comparison, nothing is demanded
    aim: float | None
    more_is_better: bool
    unit: str = "x"

    def result(self, medians: Mapping[str, float]) -> float:
        """Return the number of this line."""
        return medians[self.of] / medians[self.by] if self.by else medians[self.of]

    def verdict(self, result: float) -> str:
        """Return how good that is."""
        if self.must is None or self.aim is None:
            return "-"
        sign = 1 if self.more_is_better else -1
        if sign * result >= sign * self.aim:
            return "aim met"
        return "must met" if sign * result >= sign * self.must else "**missed**"


def _more(
    name: str, what: str, of: str, by: str | None, must: float | None, aim: float | None, unit: str = "x"
) -> Measure:
    return Measure(name, what, of, by, must, aim, more_is_better=True, unit=unit)


def _less(
    name: str, what: str, of: str, by: str | None, must: float | None, aim: float | None, unit: str = "x"
) -> Measure:
    return Measure(name, what, of, by, must, aim, more_is_better=False, unit=unit)


NOTIFYING = "alertmanager, notifying, alerts/s"
NOTIFYING_FIVE = "alertmanager, notifying groups of five, alerts/s"
SILENT = "alertmanager, silent, alerts/s"

MEASURES = (
    _more("ingest", "new alerts on SQLite, both sides notifying",
          "SQLite, notifying, alerts/s", NOTIFYING, 0.7, 1.5),
    _more("ingest", "the same on PostgreSQL",
          "PostgreSQL, notifying, alerts/s", NOTIFYING, 0.5, 1),
    _more("ingest", "SQLite, Alertmanager notifying of five at once as we do",
          "SQLite, notifying, alerts/s", NOTIFYING_FIVE, None, None),
    _more("ingest", "SQLite, nobody notifies",
          "SQLite, silent, alerts/s", SILENT, None, None),
    _more("ingest", "PostgreSQL, nobody notifies",
          "PostgreSQL, silent, alerts/s", SILENT, None, None),
    _less("storm", "10,000 groups committed on SQLite, against a sink",
          "SQLite, s", "to a sink, s", 3, 1.5),
    _less("storm", "the same on PostgreSQL",
          "PostgreSQL, s", "to a sink, s", None, None),
    _less("latency", "POST → arrival at 50/s, median",
          "SQLite, p50, ms", None, 5, 3, "ms"),
    _less("latency", "POST → arrival at 50/s, p99",
          "SQLite, p99, ms", None, 20, 6, "ms"),
    _more("delivery", "notifications to a local webhook",
          "SQLite, notifications/s", None, 800, 2000, "/s"),
    _less("memory", "resident, 10,000 open incidents, against Alertmanager",
          "SQLite, MB", "alertmanager, MB", 0.8, 0.5),
    _more("history", "ingest with a long history, against empty",
          "stored, alerts/s", "empty, alerts/s", 0.8, 0.95),
    _less("history", "first page of incidents with a long history",
          "stored, first page, ms", None, 100, 30, "ms"),
    _less("timers", "20,000 steps due at once, 100,000 open incidents, p99 late",
          "SQLite, late, p99, s", None, 5, 2, "s"),
    _less("timers", "idle with 100,000 open incidents, % of a core",
          "SQLite, idle, % of a core", None, 2, 1, "%"),
)  # fmt: skip
