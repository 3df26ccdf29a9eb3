"""How do we reach the database, and how do many writes share one commit?

Everything that writes goes through the `Writer`, one thread with one connection. What waits together
commits together: that is what makes `synchronous=FULL` cheap. The same holds on PostgreSQL, where
replicas each have a writer of their own and rows are locked in a fixed order.
"""

import asyncio
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from pydantic_core import from_json, to_json
from sqlalchemy import Connection, Engine, Executable, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from receiver import metrics
from receiver.store.pipelined import send_in_time

log = structlog.get_logger()

RUSH = 8  # bodies that share one commit; beyond that Alertmanager must hear in time, so bodies go first
# Seconds until the interpreter changes hands between the event loop and the writer, where neither waits. The
# loop asks for it at every callback, and each change costs both of them.
HANDS_OVER = 0.002
MOST_TRIES = 3  # of a transaction that gave way to another replica
BATCH = 512  # items of one transaction; beyond that a commit gets slower, not cheaper
PATIENCE = {  # with a PostgreSQL that is gone without a word; without it the writer would hang for minutes
    "connect_timeout": "5",  # seconds, like all but the last
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",  # milliseconds
}
Db = Connection  # a transaction under way, as the stages know it
DatabaseFailure = SQLAlchemyError  # the database does not answer, or not as it should


def sqlite_file(url: str) -> Path | None:
    """Return the file behind a SQLite URL, None for any other database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    return Path(parsed.database or "tocsin.db")


def connect(url: str, *, writing: bool, size: int = 4) -> Engine:
    """Return an engine whose transactions are the ones we mean (design.md, 6).

    On SQLite every writing transaction is `BEGIN IMMEDIATE`: the driver's own habit leaves the first
    SELECT outside and loses updates without an error.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        unsaid = {name: value for name, value in PATIENCE.items() if name not in parsed.query}
        parsed = parsed.set(drivername="postgresql+psycopg").update_query_dict(unsaid)
        engine = create_engine(
            parsed,
            json_serializer=_dumps,
            json_deserializer=from_json,
            pool_pre_ping=not writing,  # a round trip for each commit; the writer begins anew instead
            pool_size=size,
            hide_parameters=True,
        )

        @event.listens_for(engine, "connect")
        def speak_utc(connection: Any, _record: Any) -> None:
            # The server's own zone would shift the end of year 9999 out of what Python can hold.
            connection.execute("SET TIME ZONE 'UTC'")
            connection.commit()

        send_in_time(engine)
        return engine
    engine = create_engine(
        parsed,
        json_serializer=_dumps,
        json_deserializer=from_json,
        pool_size=size,
        hide_parameters=True,  # alerts and secrets stay out of error texts
        connect_args={
            "timeout": 30,
            "check_same_thread": False,
            "cached_statements": 512,  # each statement in each size; those that fall out are parsed anew
        },
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # a power cut loses nothing that was answered
            "foreign_keys=ON",
            f"cache_size={-8192 if writing else -2048}",  # KiB; readers look at few pages
            "wal_autocheckpoint=4000",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _dumps(value: Any) -> str:
    return to_json(value).decode()


Stage = Callable[[Connection, Sequence[Any]], Sequence[Any]]
"""A stage takes a transaction and the items that wait, and returns one result for each, in order.

One with a true attribute `comes_last` runs after the others of its commit, and sees what they wrote.
"""


class Job(NamedTuple):
    """One item on its way through a stage."""

    stage: Stage
    item: Any
    weight: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Overloaded(Exception):
    """The writer is behind by more than its bound; the caller should come again later."""


@dataclass
class Writer:
    """The one thread that writes."""

    engine: Engine
    most_waiting: int = 20_000  # items; about ten seconds of work
    most_bytes: int = 256 * 1024 * 1024  # of raw bodies waiting
    bodies: int = 0  # that share the commit under way, or lately shared one
    _waiting: deque[Job] = field(default_factory=deque)
    _weight: int = 0
    _wake: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False
    _thread: threading.Thread | None = None
    _db: Connection | None = None  # the thread's alone

    def start(self) -> None:
        """Start the thread."""
        sys.setswitchinterval(HANDS_OVER)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits, then end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def waiting(self) -> int:
        """Return how many items wait."""
        return len(self._waiting)

    def submit(self, stage: Stage, item: Any, *, weight: int = 0) -> asyncio.Future[Any]:
        """Return the result-to-be of `item`: set after the commit that holds it.

        `weight` is its size in bytes where that can be large; items with a weight are refused with
        Overloaded when too much waits.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._wake:
            if self._stopping:
                raise Overloaded("shutting down")
            if weight and (len(self._waiting) >= self.most_waiting or self._weight >= self.most_bytes):
                raise Overloaded(f"{len(self._waiting)} items wait to be written")
            self._waiting.append(Job(stage, item, weight, loop, future))
            self._weight += weight
            self._wake.notify()
        return future

    def _take(self) -> list[Job]:
        with self._wake:
            while not self._waiting and not self._stopping:
                self._wake.wait()
            jobs = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._weight -= sum(job.weight for job in jobs)
            # Between two commits of bodies there may be one of what was sent; that does not end a rush.
            self.bodies = max(sum(job.weight > 0 for job in jobs), self.bodies // 2)
        return jobs

    @property
    def is_rushed(self) -> bool:
        """Whether many bodies come at once."""
        return self.bodies >= RUSH

    def _run(self) -> None:
        try:
            while jobs := self._take():
                metrics.BATCH_ITEMS.observe(len(jobs))
                try:
                    done = self._commit(jobs)
                except Exception as error:  # noqa: BLE001 - whatever happens, this thread goes on and its callers hear
                    done = [(job, error) for job in jobs]
                _resolve(done)
        finally:
            if self._db is not None:
                self._db.close()

    def _connected(self) -> Connection:
        """Return the connection, which is kept: asking the pool for it costs more than a small commit."""
        if self._db is None:
            self._db = self.engine.connect()
        return self._db

    def _commit(self, jobs: list[Job], tries: int = 1) -> list[tuple[Job, Any]]:
        """Return each job with its result or its exception; one poisoned item costs only itself."""
        done: list[tuple[Job, Any]] = []
        try:
            db = self._connected()
            with db.begin():
                done = list(_run_stages(db, jobs))
        except Exception as error:
            if _gave_way(error) and tries < MOST_TRIES:
                log.warning("write.gave_way", items=len(jobs))
                return self._commit(jobs, tries + 1)
            if not done and _is_lost(error) and tries < MOST_TRIES:  # a commit may have come through
                log.warning("write.reconnects", items=len(jobs))
                return self._commit(jobs, tries + 1)
            if isinstance(error, OperationalError) and _is_away(error):  # no item is to blame
                log.error("write.failed", items=len(jobs), reason=_reason(error))  # noqa: TRY400 - one line says it
                return [(job, error) for job in jobs]
            if len(jobs) == 1:
                log.exception("write.failed", stage=_name(jobs[0].stage))
                return [(jobs[0], error)]
            log.warning("write.retried_one_by_one", items=len(jobs), error=repr(error))
            return [one for job in jobs for one in self._commit([job])]
        return done


def _reason(error: OperationalError) -> str:
    return str(error.orig).strip().splitlines()[0]


def _is_away(error: OperationalError) -> bool:
    """Return whether the database is away, full or busy; anything else one item may have brought about."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF not in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG}  # the rest of it says more
    state = getattr(error.orig, "sqlstate", None)
    return state is None or state[:2] in {"08", "53", "57"}  # connection, resources, operator


def _gave_way(error: Exception) -> bool:
    """Return whether two replicas waited for each other, and PostgreSQL chose this one to begin anew."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) in {"40P01", "40001"}


def _is_lost(error: Exception) -> bool:
    """Return whether the connection had ended, as by a restart of PostgreSQL; the next try opens another."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _run_stages(db: Connection, jobs: list[Job]) -> Iterator[tuple[Job, Any]]:
    by_stage: dict[Stage, list[Job]] = {}
    for job in jobs:
        by_stage.setdefault(job.stage, []).append(job)
    for stage in sorted(by_stage, key=lambda stage: getattr(stage, "comes_last", False)):
        same = by_stage[stage]
        results = stage(db, [job.item for job in same])
        yield from zip(same, results, strict=True)


def _resolve(done: list[tuple[Job, Any]]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Job, Any]]] = {}
    for job, result in done:
        by_loop.setdefault(job.loop, []).append((job, result))
    for loop, pairs in by_loop.items():
        loop.call_soon_threadsafe(_set_results, pairs)


def _set_results(pairs: list[tuple[Job, Any]]) -> None:
    for job, result in pairs:
        if job.future.cancelled():
            continue  # the client went away; its payload is committed all the same
        if isinstance(result, Exception):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)


def _name(stage: Stage) -> str:
    return getattr(stage, "__name__", repr(stage))


def rows(db: Connection, statement: Executable, **values: Any) -> list[dict[str, Any]]:
    """Return what the statement finds, as plain dictionaries."""
    result = db.execute(statement, values)
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that sees one consistent state and writes nothing."""
    with engine.connect() as db, db.begin():
        yield db


def is_alive(db: Connection) -> bool:
    """Return whether the database answers a question."""
    return bool(db.execute(text("SELECT 1")).scalar_one())
