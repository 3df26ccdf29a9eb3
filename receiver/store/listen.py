"""How does a replica hear at once that another one owes something?"""

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy import make_url

from receiver.store.outbox import CHANNEL

log = structlog.get_logger()

AGAIN = 5.0  # seconds until a lost connection is tried again; due work is found by polling meanwhile


async def listen(url: str, wake: Callable[[], None]) -> None:
    """Call `wake` whenever a replica on the same PostgreSQL owes something; on SQLite there is none."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return
    import psycopg  # noqa: PLC0415 - an extra: only those who run PostgreSQL have it

    plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                wake()  # what was said while nobody listened
                async for _ in connection.notifies():
                    wake()
        except psycopg.Error as error:
            log.warning("listen.lost", reason=str(error).strip())
        await asyncio.sleep(AGAIN)  # noqa: TID251 - about the connection, not about what is due
