"""The page about silences answers as it says."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from receiver.resources import ROOT
from tests.world import World, a_world

PAGE = (ROOT / "docs" / "silences.md").read_text(encoding="utf-8")
[ALERTS] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CONSOLE = "".join(re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
BASE = "http://127.0.0.1:5001"


@pytest.fixture
async def world(migrated_url: str, tmp_path: Path):
    """A service that heard of the alerts of the page; it is 03:12."""
    async with a_world(migrated_url, tmp_path) as world:
        for labels in yaml.safe_load(ALERTS)["firing"]:
            await world.alertmanager.fires(**labels)
        await world.settle()
        world.clock.advance(microseconds=-(world.clock.now().microsecond))
        yield world


def commands():
    """Return each command of the page, and the answer below it."""
    for part in CONSOLE.split("$ curl ")[1:]:
        command, _, said = part.replace("\\\n", " ").partition("\n")
        yield shlex.split(command), json.loads(said)


async def test_every_command_of_the_page_is_answered_as_the_page_says(world: World) -> None:
    """In order: each begins where the one before it left."""
    asked = 0
    for words, said in commands():
        method = words[words.index("-X") + 1] if "-X" in words else "POST" if "-d" in words else "GET"
        url = next(word for word in words if word.startswith(BASE))
        body = json.loads(words[words.index("-d") + 1]) if "-d" in words else None

        answer = await world.client.request(method, url, json=body)

        found = answer.json()
        assert {name: found[name] for name in said} == said, words
        asked += 1
    assert asked == 7
