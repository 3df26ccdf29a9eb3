"""What every test of a channel needs: time, a client, and an incident as plain data."""

from collections.abc import AsyncIterator

import pytest

from receiver.channels.client import Client
from tests.fakes.clock import FakeClock

pytest.register_assert_rewrite("tests.channels.contract")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def client(clock: FakeClock) -> AsyncIterator[Client]:
    client = Client(clock)
    yield client
    await client.aclose()
