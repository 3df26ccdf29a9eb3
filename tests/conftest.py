"""What every test may ask for: a database of its own, and a network that ends at this machine."""

from __future__ import annotations

import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from tests.postgres import Server, start_postgres

DATABASES = ("sqlite", "postgresql")
real_connect = socket.socket.connect

# As in the service, local variables stay out of tracebacks: one holds what waits for the writer, and cannot
# be shown while the writer takes from it.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """A test that speaks to another machine fails, even if the code under test swallows the error."""
    refused: list[object] = []

    def connect(self: socket.socket, address: tuple[str, int] | str) -> None:
        if isinstance(address, tuple) and not address[0].startswith(("127.", "::1", "localhost")):
            refused.append(address)
            raise ConnectionRefusedError(f"tests may only connect to this machine, not to {address}")
        real_connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    yield refused
    assert not refused, f"the test tried to leave this machine: {refused}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    with start_postgres() as server:
        yield server


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database; the test runs once on each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tocsin.db"
        return
    server: Server = request.getfixturevalue("postgres_server")
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture(params=DATABASES)
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database with the newest schema and no rows; the test runs once on each kind."""
    if request.param == "sqlite":
        copy = tmp_path / "tocsin.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), copy)
        yield f"sqlite:///{copy}"
        return
    server: Server = request.getfixturevalue("postgres_server")
    url = server.create_database(template=request.getfixturevalue("migrated_template"))
    yield url
    server.drop_database(url)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from receiver.store.migrate import upgrade  # noqa: PLC0415 - tests of policy need no database

    file = tmp_path_factory.mktemp("migrated") / "tocsin.db"
    upgrade(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the copy is of one file, not of its log
    return file


@pytest.fixture(scope="session")
def migrated_template(postgres_server: Server) -> str:
    from receiver.store.migrate import upgrade  # noqa: PLC0415 - tests of policy need no database

    url = postgres_server.create_database()
    upgrade(url)
    return url
