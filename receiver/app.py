"""How are the parts put together, started and ended?"""

import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO

import structlog
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from receiver.channels import open_channels
from receiver.channels.client import Client
from receiver.clock import Clock, SystemClock
from receiver.config import Settings
from receiver.config import load as load_config
from receiver.polling import Polling
from receiver.services import Services, identity_of
from receiver.store import schema
from receiver.store.database import DatabaseFailure, Writer, connect, sqlite_file
from receiver.templating import Templates
from receiver.watching import Watching
from receiver.web import alertmanager, answers, api, health, oncall, problems, silence_pages, silences, ui
from receiver.web.edge import Edge
from receiver.worker import Worker

log = structlog.get_logger()

BACKLOG = 4096  # connections; a bursting Alertmanager opens one for each notification
KEEP_ALIVE = 75  # seconds; longer than Alertmanager's pauses between flushes of a group


class CannotStartError(Exception):
    """The service cannot start; the text says why and what to do."""


def make_app(services: Services) -> ASGIApp:
    """Return the web application."""
    app = FastAPI(
        title="Tocsin",
        summary="Alertmanager webhook receiver and incident router.",
        version=version("tocsin"),
        docs_url=None,
        redoc_url=None,
        responses=problems.DOCUMENTED,
    )
    app.state.services = services
    problems.install(app)
    for part in (
        *(alertmanager.router, answers.router, api.router, oncall.router, silences.router, health.router),
        *(ui.router, silence_pages.router),
    ):
        app.include_router(part)
    return Edge(app, services)


@asynccontextmanager
async def running(
    settings: Settings, environ: Mapping[str, str], clock: Clock | None = None
) -> AsyncIterator[Services]:
    """Yield services that are connected; end them in order."""
    clock = clock or SystemClock()
    client = Client(clock)
    read_as = identity_of(settings.config)
    writer = Writer(connect(settings.database_url, writing=True, size=1))
    services = Services(
        settings=settings,
        environ=dict(environ),
        config=load_config(settings.config, environ),
        clock=clock,
        writer=writer,
        readers=connect(settings.database_url, writing=False),
        client=client,
        channels=open_channels(client, clock),
        templates=Templates(),
        read_as=read_as,
    )
    writer.start()
    try:
        await services.prepare()
        yield services
    finally:
        await asyncio.to_thread(writer.stop)
        await client.aclose()
        writer.engine.dispose()
        services.readers.dispose()


@contextmanager
def alone(database_url: str) -> Iterator[None]:
    """Keep a second process off the same SQLite file; PostgreSQL takes any number."""
    file = sqlite_file(database_url)
    if file is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        lock: IO[str] = stack.enter_context(file.with_name(file.name + ".lock").open("a"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStartError(
                f"another tocsin already serves {file}; stop it, or use PostgreSQL for several replicas"
            ) from None
        yield


class Server(uvicorn.Server):
    """Leaves signals to `serve`: uvicorn raises them again once it has stopped, before our work is done."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(settings: Settings, environ: Mapping[str, str], door: socket.socket) -> None:
    """Serve until a signal says to stop; then finish or release what is under way.

    A worker that ends by itself ends the service, too: one that takes alerts and tells nobody is worse.
    """
    async with running(settings, environ) as services:
        server = Server(
            uvicorn.Config(
                make_app(services),
                log_config=None,
                access_log=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=10,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
            )
        )
        if sqlite_file(settings.database_url) is not None:
            await services.take_over()  # we are alone here: whoever held a page is gone
        worker = asyncio.create_task(_work(services))
        reloads: set[asyncio.Task[list[str]]] = set()
        loop = asyncio.get_running_loop()
        for stop in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(stop, server.handle_exit, stop, None)
        worker.add_done_callback(lambda _: setattr(server, "should_exit", True))
        loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(asyncio.create_task(services.reload())))
        log.info("serve.started", url=settings.base_url, pid=os.getpid())
        try:
            await server.serve(sockets=[door])
        finally:
            worker.cancel()
            await asyncio.wait([worker])
            log.info("serve.stopped")
        if not worker.cancelled():
            worker.result()


async def _work(services: Services) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(Worker(services).run())
        group.create_task(Polling(services).run())
        group.create_task(Watching(services).run())


def run(settings: Settings, environ: Mapping[str, str], *, migrations: bool, insecure: bool) -> None:
    """Check that we may serve, bring the database up to date, and serve."""
    if not settings.is_loopback and not insecure:
        raise CannotStartError(
            f"{settings.host} can be reached from outside, and there is no login yet;"
            " bind to 127.0.0.1 behind a proxy that asks for one, or add --insecure"
        )
    if not Path(settings.config).exists():
        raise CannotStartError(f"there is no {settings.config}; name another with --config")
    with alone(settings.database_url):
        _prepare(settings.database_url, migrations=migrations)
        gc.freeze()  # what is loaded now stays; collecting it again and again would only cost time
        gc.set_threshold(20_000, 20, 20)  # a request makes thousands of objects, and hardly a cycle
        with _bound(settings) as door:
            settings = settings.model_copy(update={"port": door.getsockname()[1]})
            import uvloop  # noqa: PLC0415 - it needs a moment that `--help` does not have

            uvloop.run(serve(settings, environ, door))


def _bound(settings: Settings) -> socket.socket:
    """Return the socket that requests come in by; bound before anything is promised."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        reason = (error.strerror or str(error)).lower()
        raise CannotStartError(f"{where} cannot be bound: {reason}; choose another with --port") from None


def _prepare(database_url: str, *, migrations: bool) -> None:
    try:
        if migrations:
            schema.bring_up_to_date(database_url)
        elif not schema.is_current(database_url):
            raise CannotStartError("the database has an older schema; run `tocsin migrate` first")
    except schema.MigrationError as error:
        raise CannotStartError(str(error)) from None
    except DatabaseFailure as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise CannotStartError(f"the database does not answer: {reason}; see TOCSIN_DATABASE_URL") from None
