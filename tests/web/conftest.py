"""What tests of the way in need: a service with a real database, and a client that posts to it."""

import pytest

from tests.fakes.clock import FakeClock
from tests.web.service import ROUTING, service


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def routing(tmp_path):
    """The routing.yaml of the service; a test that wants another one writes it before it asks for `tocsin`."""
    file = tmp_path / "routing.yaml"
    file.write_text(ROUTING)
    return file


@pytest.fixture
async def tocsin(migrated_url, routing, clock):
    """The service on each kind of database, its worker standing still."""
    async with service(migrated_url, routing, clock) as box:
        yield box


@pytest.fixture
async def sqlite_tocsin(migrated_file, tmp_path, routing, clock):
    """The service on SQLite, for what no database can change."""
    copy = tmp_path / "one.db"
    copy.write_bytes(migrated_file.read_bytes())
    async with service(f"sqlite:///{copy}", routing, clock) as box:
        yield box
