"""What every scenario begins with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world import World, a_world


@pytest.fixture
async def world(migrated_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """Tocsin on an empty database of either kind; everything goes to #ops."""
    async with a_world(migrated_url, tmp_path) as world:
        yield world
