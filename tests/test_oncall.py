"""Who is on call in every schedule: the command, the API and the page about it."""

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from receiver.config import check, parse
from receiver.oncall import in_words, oncall
from receiver.policy.oncall import Override
from receiver.resources import ROOT
from tests.command import tocsin
from tests.world import World, a_world

PAGE = (ROOT / "docs" / "on-call.md").read_text(encoding="utf-8")
[EXAMPLE] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
REST = "receivers: [{name: ops, console_configs: [{}]}]\nroute: {receiver: ops}\n"
AT = datetime(2026, 2, 3, 12, tzinfo=UTC)


@pytest.fixture
async def world(migrated_url: str, tmp_path: Path):
    """A service whose routing.yaml is the example of the page."""
    async with a_world(migrated_url, tmp_path) as world:
        await world.routes(EXAMPLE + "route: {receiver: ops}\n")
        yield world


def test_the_example_of_the_page_answers_as_the_page_says(tmp_path):
    [command, *said] = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0].splitlines()
    (tmp_path / "routing.yaml").write_text(EXAMPLE + REST)

    answer = tocsin(*shlex.split(command.removeprefix("$ tocsin ")), within=tmp_path)

    assert answer.stdout.splitlines() == said


def test_the_command_gives_the_same_to_programs(tmp_path):
    (tmp_path / "routing.yaml").write_text(EXAMPLE + REST)

    answer = json.loads(tocsin("oncall", "--json", "--at", "2026-02-03T12:00:00Z", within=tmp_path).stdout)

    assert answer["schedules"] == [
        {
            "schedule": "primary", "time_zone": "Europe/Lisbon", "person": "ana", "through": "weekly",
            "until": "2026-02-03T20:00:00Z", "next": "cy",
        }
    ]  # fmt: skip


def test_without_schedules_the_command_says_so(tmp_path):
    (tmp_path / "routing.yaml").write_text(REST)

    assert "no schedules" in tocsin("oncall", within=tmp_path).stdout


def test_nobody_is_said_as_clearly_as_somebody():
    config = parse(EXAMPLE + REST, {})

    words = in_words(oncall(config, {}, datetime(2025, 12, 31, tzinfo=UTC)))

    assert words == "primary  nobody until Mon 2026-01-05 09:00 (Europe/Lisbon), then ana"


def test_an_override_without_end_in_sight_is_said_to_be_one():
    config = parse(EXAMPLE + REST, {})
    override = Override(1, "bo", AT, datetime(2030, 1, 1, tzinfo=UTC))

    words = in_words(oncall(config, {"primary": [override]}, AT))

    assert words == "primary  bo (override), and nothing changes within a year"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("people: [ana, bo]", "people: [ana, zoe]"), 'the person "zoe" is not defined'),
        (("[nights]\n", "[night]\n"), 'the time interval "night" is not defined; did you mean "nights"'),
        (("every: 1w, starts_at: 2026-01-05T09:00", "every: 90m, starts_at: 2026-01-05T09:00"), "whole number of hours"),
        (("2026-01-05T09:00", "soon"), 'schedules[0].rotations[0].starts_at: "soon" is not a date'),
    ],
)  # fmt: skip
def test_every_mistake_has_a_place(change, error, tmp_path):
    file = tmp_path / "routing.yaml"
    file.write_text(EXAMPLE.replace(*change) + REST)

    errors, _ = check(file, {}, AT)

    assert error in "\n".join(errors)


def test_a_gap_is_warned_of(tmp_path):
    file = tmp_path / "routing.yaml"
    file.write_text(EXAMPLE.replace("{name: weekly,", "{name: weekly, ends_at: 2026-02-09T09:00,") + REST)

    _, warnings = check(file, {}, AT)

    assert 'nobody is on call in "primary" from 2026-02-09 09:00 UTC until 2026-02-09 20:00 UTC' in "\n".join(warnings)  # fmt: skip


async def test_somebody_takes_over_and_gives_back(world: World) -> None:
    """An override counts from the moment it is made, and ends when it is ended."""
    until = "2026-11-27T00:00:00Z"
    made = await world.client.post(
        "/api/v1/overrides", json={"schedule": "primary", "person": "cy", "ends_at": until, "actor": "ana"}
    )
    [turn] = (await world.ask("/api/v1/oncall"))["schedules"]
    assert made.status_code == 201
    assert (turn["person"], turn["through"]) == ("cy", "override")

    world.clock.advance(seconds=60)
    ended = await world.client.delete(f"/api/v1/overrides/{made.json()['id']}")
    again = await world.client.delete(f"/api/v1/overrides/{made.json()['id']}")

    [turn] = (await world.ask("/api/v1/oncall"))["schedules"]
    assert turn["through"] != "override"
    assert ended.json() == again.json()
    [listed] = (await world.ask("/api/v1/overrides", schedule="primary"))["items"]
    assert listed == ended.json()
    assert (await world.ask("/api/v1/overrides", schedule="other"))["items"] == []


async def test_an_override_survives_a_restart(world: World) -> None:
    """It is a row."""
    until = "2026-11-27T00:00:00Z"
    await world.client.post(
        "/api/v1/overrides", json={"schedule": "primary", "person": "cy", "ends_at": until}
    )

    await world.restart()

    assert (await world.ask("/api/v1/oncall"))["schedules"][0]["person"] == "cy"


@pytest.mark.parametrize(
    ("wish", "detail"),
    [
        ({"schedule": "secondary"}, "no schedule secondary; there is primary"),
        ({"person": "zoe"}, "no person zoe; there is ana, bo, cy"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
        ({"starts_at": "2027-01-01T00:00:00Z"}, "ends_at"),
    ],
)
async def test_an_override_that_makes_no_sense_is_refused_with_words(world, wish, detail):
    usual = {"schedule": "primary", "person": "cy", "ends_at": "2026-11-27T00:00:00Z"}

    answer = await world.client.post("/api/v1/overrides", json=usual | wish)

    assert answer.status_code == 422
    assert detail in answer.json()["detail"]


async def test_an_override_that_does_not_exist_cannot_be_ended(world):
    answer = await world.client.delete("/api/v1/overrides/4711")

    assert answer.status_code == 404
