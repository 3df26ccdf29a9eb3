"""Who is on call in every schedule: the command, the API and the page about it."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from icalendar import Calendar, Event

from receiver.config import check, parse
from receiver.oncall import in_words, oncall
from receiver.policy.incident import Verb
from receiver.policy.links import LASTS, Link, sign
from receiver.policy.oncall import Override
from receiver.resources import ROOT
from tests.command import tocsin
from tests.world import World, a_world

PAGE = (ROOT / "docs" / "on-call.md").read_text(encoding="utf-8")
EXAMPLE, CALENDAR = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
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


def test_the_calendar_of_the_page_is_one():
    """Whoever copies the example has a configuration that loads."""
    [schedule] = parse(CALENDAR + REST, {}).schedules

    assert schedule.calendar is not None


def test_the_command_gives_the_same_to_programs(tmp_path):
    (tmp_path / "routing.yaml").write_text(EXAMPLE + REST)

    answer = json.loads(tocsin("oncall", "--json", "--at", "2026-02-03T12:00:00Z", within=tmp_path).stdout)

    assert answer["schedules"] == [
        {
            "schedule": "primary", "time_zone": "Europe/Lisbon", "person": "ana", "through": "weekly",
            "until": "2026-02-03T20:00:00Z", "next": "cy", "gap": None, "calendar": None,
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
        ({"ends_at": "2036-11-27T00:00:00Z"}, "over a year"),
    ],
)
async def test_an_override_that_makes_no_sense_is_refused_with_words(world, wish, detail):
    usual = {"schedule": "primary", "person": "cy", "ends_at": "2026-11-27T00:00:00Z"}

    answer = await world.client.post("/api/v1/overrides", json=usual | wish)

    assert answer.status_code == 422
    assert detail in answer.json()["detail"]


def test_the_next_gap_is_named():
    """It takes overrides into account: where somebody fills it, it is none."""
    config = parse(EXAMPLE.replace("{name: weekly,", "{name: weekly, ends_at: 2026-02-09T09:00,") + REST, {})
    cover = Override(1, "bo", datetime(2026, 2, 9, 9, tzinfo=UTC), datetime(2026, 2, 9, 20, tzinfo=UTC))

    [bare], [covered] = (oncall(config, {"primary": one}, AT)["schedules"] for one in ([], [cover]))

    assert bare["gap"] == {"starts_at": "2026-02-09T09:00:00Z", "ends_at": "2026-02-09T20:00:00Z"}
    assert covered["gap"]["starts_at"] == "2026-02-10T08:00:00Z"
    [_, gap] = in_words(oncall(config, {}, AT)).splitlines()
    assert gap.strip() == "nobody from Mon 2026-02-09 09:00 until Mon 2026-02-09 20:00"


async def test_an_override_says_which_others_it_overlaps(world: World) -> None:
    """The newer counts, and who makes it hears that there is another."""
    wish = {"schedule": "primary", "person": "cy", "ends_at": "2026-11-27T00:00:00Z"}
    first = (await world.client.post("/api/v1/overrides", json=wish)).json()
    second = (await world.client.post("/api/v1/overrides", json={**wish, "person": "bo"})).json()

    assert (first["overlaps"], second["overlaps"]) == ([], [first["id"]])
    assert (await world.ask("/api/v1/oncall"))["schedules"][0]["person"] == "bo"


async def test_a_swap_is_both_or_neither(world: World) -> None:
    """One that makes no sense takes the other with it."""
    one = {"schedule": "primary", "person": "cy", "ends_at": "2026-11-27T00:00:00Z"}
    other = {**one, "person": "bo", "starts_at": "2026-11-27T00:00:00Z", "ends_at": "2026-11-28T00:00:00Z"}

    refused = await world.client.post("/api/v1/swaps", json={"overrides": [one, {**other, "person": "zoe"}]})
    assert refused.status_code == 422
    assert (await world.ask("/api/v1/overrides"))["items"] == []

    made = await world.client.post("/api/v1/swaps", json={"overrides": [one, other]})
    assert made.status_code == 201
    assert [item["person"] for item in made.json()["items"]] == ["cy", "bo"]
    alone = await world.client.post("/api/v1/swaps", json={"overrides": [one]})
    assert alone.status_code == 422


async def feed(world: World, address: str) -> list[Event]:
    answer = await world.client.get(address)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/calendar")
    return Calendar.from_ical(answer.content).walk("VEVENT")


async def test_a_schedule_and_a_person_have_a_feed(world: World) -> None:
    """It agrees with who is on call, and asking again names the same shifts."""
    answer = await world.ask("/api/v1/oncall")
    [turn], now = answer["schedules"], world.clock.now()

    events = await feed(world, turn["feed"])

    [current] = [one for one in events if one["dtstart"].dt <= now < one["dtend"].dt]
    assert current["summary"] == f"{turn['person']} on call: primary"
    assert current["dtend"].dt == datetime.fromisoformat(turn["until"])
    assert events[0]["dtstart"].dt <= now - timedelta(days=30)
    assert events[-1]["dtend"].dt >= now + timedelta(days=90)
    assert all(one["dtend"].dt == following["dtstart"].dt for one, following in pairwise(events))
    assert len({one["uid"] for one in events}) == len(events)
    world.clock.advance(seconds=600)
    assert {one["uid"] for one in events} == {one["uid"] for one in await feed(world, turn["feed"])}
    for person in answer["people"]:
        theirs = await feed(world, person["feed"])
        assert {one["summary"] for one in theirs} == {f"{person['person']} on call: primary"}
        assert {one["uid"] for one in theirs} < {one["uid"] for one in events}


async def test_gaps_are_in_the_feed_of_a_schedule(world: World) -> None:
    """Whoever looks at the calendar sees that nobody is there."""
    await world.routes(EXAMPLE.replace("people: [ana, bo], every: 1w, ", "people: [ana], every: 1w, ends_at: 2026-02-09T09:00, ") + "route: {receiver: ops}\n")  # fmt: skip
    [turn] = (await world.ask("/api/v1/oncall"))["schedules"]

    assert "Nobody on call: primary" in {one["summary"] for one in await feed(world, turn["feed"])}


async def test_a_feed_needs_its_address(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """A token is bound to what it names, and to the key; it is in no log."""
    [turn] = (await world.ask("/api/v1/oncall"))["schedules"]
    said, _, signature = turn["feed"].rpartition("/")[2].removesuffix(".ics").partition(".")
    link = sign(
        Link(1, Verb.RESOLVE, "email a@example.org", world.clock.now() + LASTS), world.services.signing_key
    )

    for token in (f"{said}x.{signature}", f"{said}.", f"{said}.{signature[:-1]}", link, "x" * 3000):
        assert (await world.client.get(f"/calendars/{token}.ics")).status_code == 404
    await world.routes(EXAMPLE.replace("primary", "other") + "route: {receiver: ops}\n")
    gone = await world.client.get(turn["feed"])
    assert gone.status_code == 404
    assert "no longer has the schedule" in gone.json()["detail"]
    world.services.signing_key = b"another"
    assert (await world.client.get(turn["feed"])).status_code == 404
    assert signature not in "".join(capfd.readouterr())


async def test_an_override_that_does_not_exist_cannot_be_ended(world):
    answer = await world.client.delete("/api/v1/overrides/4711")

    assert answer.status_code == 404
