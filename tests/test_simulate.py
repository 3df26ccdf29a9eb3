"""Who would have been told differently by another configuration: the run, the comparison, the command."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from receiver.config import load, parse
from receiver.differences import in_words
from receiver.simulate import CannotReadError, simulate
from tests.world import RECEIVERS, ROUTE, World, a_world

ENVIRON = {"TOKEN": "xoxb-1", "SLACK": "https://slack.example.org/api/", "HOOK": "https://hook.example.org"}
POLICY = """
people:
  - {name: ana, time_zone: Europe/Lisbon, contacts: [{slack: "#ana"}]}
global: {slack_app_token: "${TOKEN}"}
escalation_policies:
  - name: page
    steps:
      - notify: [{receiver: ops}]
      - {after: 15m, notify: [{person: ana}]}
"""


@pytest.fixture
async def world(migrated_url: str, tmp_path: Path):
    async with a_world(migrated_url, tmp_path) as world:
        yield world


def compared(world: World, routes: str, before: str = RECEIVERS + ROUTE):
    """What another configuration would have told of all that happened in this world."""
    url, now = world.services.settings.database_url, world.clock.now()
    old, new = parse(before, ENVIRON), parse(RECEIVERS + routes, ENVIRON)
    return simulate(url, now - timedelta(days=30), now, old, new)


def changes(answer):
    return [
        (one["title"], change["change"], change["destination"])
        for one in answer["differences"]
        for change in one["changes"]
    ]


def messages(answer):
    return {one["destination"]: tuple(one["messages"].values()) for one in answer["totals"]}


async def test_the_same_configuration_tells_the_same(world: World):
    await world.alertmanager.fires("DiskFull", severity="critical")
    await world.fast_forward(hours=9)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=1)

    answer = compared(world, ROUTE)

    assert answer["differences"] == []
    assert answer["incidents"] == {"before": 1, "after": 1}
    assert "Nobody is told differently" in in_words(answer)


async def test_what_is_counted_is_what_was_sent(world: World):
    """The first page, two reminders and the end: as many as the real service sent."""
    await world.alertmanager.fires("DiskFull", severity="critical")
    await world.fast_forward(hours=9)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=1)
    [incident] = await world.incidents()
    sent = [one for one in await world.notifications(incident["id"]) if one["state"] == "sent"]

    answer = compared(world, ROUTE)

    assert messages(answer) == {"slack #ops": (len(sent), len(sent))}
