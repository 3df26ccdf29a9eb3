"""How do tests hold a service in their hands?"""

import asyncio
import contextlib
from dataclasses import dataclass

import httpx
import uvicorn
from sqlalchemy import select

from receiver.app import make_app, running
from receiver.config import Settings
from receiver.services import Services
from receiver.store import incidents, outbox, payloads
from receiver.worker import Worker
from tests.fakes.clock import FakeClock

ROUTING = """
receivers:
  - name: ops
    console_configs: [{}]
route:
  receiver: ops
"""
TABLES = {
    "incident": incidents.INCIDENT,
    "alert": incidents.ALERT,
    "timeline": incidents.TIMELINE,
    "notification": outbox.NOTIFICATION,
    "payload": payloads.PAYLOAD,
    "quarantine": payloads.QUARANTINE,
}


@dataclass(frozen=True)
class Box:
    """The service, its clock, and a client."""

    services: Services
    client: httpx.AsyncClient
    clock: FakeClock

    async def post(self, body, *, source=None, **options):
        """Post a body as Alertmanager does: bytes as they are, anything else as JSON."""
        path = "/webhooks/alertmanager" + (f"/{source}" if source else "")
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.client.post(path, **content, **options)

    async def rows(self, table, **equal):
        """Return the rows of a table that have these values, oldest first."""
        columns = TABLES[table]

        def ask(db):
            found = select(columns).order_by(*columns.primary_key)
            for name, value in equal.items():
                found = found.where(columns.c[name] == value)
            return [dict(row) for row in db.execute(found).mappings()]

        return await self.services.read(ask)

    async def everything(self, *tables):
        """Return all rows of these tables, for a comparison with later."""
        return {name: await self.rows(name) for name in tables}

    async def work(self):
        """Deliver what is due, and change what time changes."""
        await self.services.review(self.clock.now())
        worker = Worker(self.services)
        while await worker.deliver_due():
            await worker.settle()

    @contextlib.asynccontextmanager
    async def listening(self):
        """Yield the port of a real server, for what only a socket can do."""
        server = uvicorn.Server(
            uvicorn.Config(make_app(self.services), port=0, log_config=None, access_log=False, lifespan="off")
        )
        server.install_signal_handlers = lambda: None
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.wait([serving], timeout=0.01)
        try:
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            await serving


@contextlib.asynccontextmanager
async def service(url, routing, clock):
    """Yield the service on this database, with this routing.yaml."""
    settings = Settings(config=str(routing), database_url=url, public_url="https://tocsin.example.org")
    async with running(settings, {}, clock) as services:
        transport = httpx.ASGITransport(make_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield Box(services, client, clock)
