"""Who would have been told differently by another configuration: the run, the comparison, the command."""

import json
import re
import shlex
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from receiver.__main__ import main
from receiver.config import parse
from receiver.differences import in_words
from receiver.resources import ROOT
from receiver.simulate import CannotReadError, simulate
from tests.command import tocsin
from tests.world import RECEIVERS, ROUTE, World, a_world

AT = datetime(2026, 11, 20, tzinfo=UTC)
PAGE = (ROOT / "docs" / "simulate.md").read_text(encoding="utf-8")
ENVIRON = {"TOKEN": "xoxb-1", "SLACK": "https://slack.example.org/api/", "HOOK": "https://hook.example.org"}
POLICY = """
people:
  - {name: ana, time_zone: Europe/Lisbon, contacts: [{slack: "#page"}]}
global: {slack_app_token: "${TOKEN}", slack_app_url: "${SLACK}", allow_private_addresses: true}
escalation_policies:
  - name: page
    steps:
      - notify: [{receiver: ops}]
      - {after: 15m, notify: [{person: ana}]}
"""

NEVER = """
time_intervals: [{name: never, time_intervals: [{years: ["1999"]}]}]
route: {receiver: ops, routes: [{active_time_intervals: [never]}]}
"""
CONSOLE = "receivers: [{name: ops, console_configs: [{}]}]\nroute: {receiver: ops}\n"


@pytest.fixture
async def world(migrated_file: Path, tmp_path: Path):
    """A service on SQLite."""
    shutil.copyfile(migrated_file, tmp_path / "tocsin.db")
    async with a_world(f"sqlite:///{tmp_path}/tocsin.db", tmp_path) as world:
        yield world


def compared(world: World, routes: str, before: str = RECEIVERS + ROUTE, **span: timedelta):
    """What another configuration would have told of all that happened in this world."""
    url, now = world.services.settings.database_url, world.clock.now()
    old, new = parse(before, ENVIRON), parse(RECEIVERS + routes, ENVIRON)
    since = now - span.get("since", timedelta(days=30))
    return simulate(url, since, now - span.get("until", timedelta()), old, new)


def changes(answer):
    return [
        (one["title"], change["change"], change["destination"])
        for one in answer["differences"]
        for change in one["changes"]
    ]


def messages(answer):
    return {one["destination"]: tuple(one["messages"].values()) for one in answer["totals"]}


async def a_night(world: World) -> None:
    """What the page about it shows: two alerts, of which one is acknowledged."""
    await world.alertmanager.fires("DiskFull", severity="critical")
    incident = await world.alertmanager.fires("HighLatency", severity="warning")
    await world.fast_forward(minutes=5)
    await world.acknowledge(incident, actor="bo")
    await world.fast_forward(minutes=55)
    await world.alertmanager.resolves("HighLatency")
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=1)


async def test_both_databases_are_read(migrated_url: str, tmp_path: Path):
    async with a_world(migrated_url, tmp_path) as world:
        await a_night(world)

        answer = compared(world, ROUTE)

    assert answer["differences"] == []
    assert answer["incidents"] == {"before": 2, "after": 2}
    assert answer["bodies"] == 4
    assert "Nobody is told differently" in in_words(answer)


async def test_what_is_counted_is_what_was_sent(world: World):
    """The page, two reminders and the end: as many as the real service sent."""
    incident = await world.alertmanager.fires("DiskFull", severity="critical")
    await world.fast_forward(hours=9)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=1)
    sent = [one for one in await world.notifications(incident) if one["state"] == "sent"]

    answer = compared(world, ROUTE)

    assert messages(answer) == {"slack #ops": (len(sent), len(sent))}


async def test_what_people_did_is_done_again(world: World):
    """The acknowledged one is not escalated, the other is; nobody is called."""
    await a_night(world)
    world.slack.told.clear()

    answer = compared(world, POLICY + "route: {escalation_policy: page, group_by: [alertname]}")

    assert changes(answer) == [("DiskFull", "added", "slack #page")]
    [change] = answer["differences"][0]["changes"]
    assert change["after"]["why"] == "escalated, by route to ana"
    assert change["before"] == {"at": None, "messages": 0, "why": "no route leads there; it matches route"}
    assert world.slack.told == []


async def test_who_is_no_longer_told_is_told_why(world: World):
    await a_night(world)

    answer = compared(world, NEVER)

    assert {change for _, change, _ in changes(answer)} == {"no_longer"}
    assert all("before it went out" in one["changes"][0]["after"]["why"] for one in answer["differences"])


async def test_a_wait_makes_it_later_and_a_minute_is_the_same(world: World):
    await a_night(world)

    later = compared(world, "route: {receiver: ops, group_wait: 3m}")
    same = compared(world, "route: {receiver: ops, group_wait: 1m}")
    earlier = compared(world, ROUTE, before=RECEIVERS + "route: {receiver: ops, group_wait: 3m}")

    assert {change for _, change, _ in changes(later)} == {"later"}
    assert "3 min later" in in_words(later)
    assert same["differences"] == []
    assert {change for _, change, _ in changes(earlier)} == {"earlier"}


async def test_incidents_are_known_by_their_alerts_where_the_grouping_differs(world: World):
    await world.alertmanager.fires("DiskFull", host="a")
    await world.alertmanager.fires("DiskFull", host="b")

    answer = compared(world, "route: {receiver: dev, group_by: [alertname, host]}")

    assert answer["incidents"] == {"before": 1, "after": 2}
    [difference] = answer["differences"]
    assert difference["incidents"] == {"before": 1, "after": 2}
    assert changes(answer) == [("DiskFull", "no_longer", "slack #ops"), ("DiskFull", "added", "slack #dev")]
    assert "1 → 2 incidents" in in_words(answer)


async def test_a_repeat_whose_body_is_not_kept_again_counts_all_the_same(world: World):
    await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=1)
    await world.alertmanager.repeats()
    await world.fast_forward(minutes=6)

    answer = compared(world, ROUTE)
    only_the_repeat = compared(world, ROUTE, since=timedelta(seconds=390))

    assert (answer["bodies"], answer["unreadable"]) == (2, 0)
    assert (only_the_repeat["bodies"], only_the_repeat["unreadable"]) == (1, 0)
    assert only_the_repeat["incidents"] == {"before": 1, "after": 1}


async def test_silences_keep_quiet_what_they_kept_quiet(world: World):
    silence = {"matchers": ['alertname="DiskFull"'], "lasts": "2h", "actor": "bo", "text": "new disk"}
    response = await world.client.post("/api/v1/silences", json=silence)
    assert response.status_code < 300, response.text
    await world.alertmanager.fires("DiskFull")

    answer = compared(world, "route: {receiver: dev}")

    assert (answer["differences"], answer["totals"]) == ([], [])


async def test_a_snooze_is_as_long_as_it_was(world: World):
    incident = await world.alertmanager.fires("DiskFull", severity="critical")
    await world.fast_forward(minutes=5)
    await world.act(incident, "snooze", actor="bo")
    await world.fast_forward(minutes=50)
    asleep = compared(world, POLICY + "route: {escalation_policy: page, group_by: [alertname]}")
    await world.fast_forward(hours=2)
    awake = compared(world, POLICY + "route: {escalation_policy: page, group_by: [alertname]}")

    assert changes(asleep) == []
    assert changes(awake) == [("DiskFull", "added", "slack #page")]


async def test_alarms_that_both_raise_are_the_same(world: World):
    """A policy that reaches nobody raises an alarm of which no body speaks."""
    await world.alertmanager.fires("DiskFull")
    nobody = """
people: [{name: ana}]
escalation_policies: [{name: page, steps: [{notify: [{person: ana}]}]}]
route: {receiver: ops, routes: [{matchers: [alertname="DiskFull"], escalation_policy: page}]}
"""

    same = compared(world, nobody, before=RECEIVERS + nobody)
    more = compared(world, nobody)

    assert (same["incidents"], same["differences"]) == ({"before": 2, "after": 2}, [])
    alarm = ("TocsinNobodyReached", "added", "slack #fallback")
    assert [one[:2] for one in changes(more) if one[0] == alarm[0]] == [alarm[:2]]
    assert "there is no such incident" in in_words(more, width=200)


async def test_bodies_that_are_gone_are_counted(world: World):
    await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=1)
    file = world.services.settings.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE payload SET body = NULL")

    answer = compared(world, ROUTE)

    assert (answer["bodies"], answer["unreadable"]) == (1, 1)
    assert "1 body could not be read again" in in_words(answer)
    assert "nobody is told anything" in in_words(answer)


async def test_what_others_wrote_does_not_drive_the_terminal_and_does_not_fill_it(world: World):
    await world.alertmanager.fires("Disk\x1b[2JFull")
    answer = compared(world, "route: {receiver: dev}")
    answer["differences"] *= 60

    words = in_words(answer, width=60)

    assert "\x1b" not in words
    assert "and 10 more; --json has all of them" in words
    assert max(map(len, words.splitlines())) <= 80


async def test_pages_at_night_are_counted_where_the_person_is(world: World):
    await a_night(world)
    policy = POLICY.replace("Europe/Lisbon", "Pacific/Kiritimati")
    at = world.clock.now().astimezone(ZoneInfo("Pacific/Kiritimati")).hour

    answer = compared(world, policy + "route: {escalation_policy: page, group_by: [alertname]}")

    [ana] = [one for one in answer["totals"] if one["person"] == "ana"]
    assert ana["messages"]["after"] > 0
    assert bool(ana["at_night"]["after"]) is (at >= 22 or at < 7)


async def test_the_example_of_the_page_answers_as_the_page_says(world: World, tmp_path: Path):
    await a_night(world)
    for example in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        name = example.split()[1]
        (tmp_path / name).write_text(example)
    [command, *said] = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0].splitlines()

    arguments = shlex.split(command.removeprefix("$ tocsin "))
    answer = tocsin(*arguments, within=tmp_path, SLACK_TOKEN="xoxb-1", COLUMNS="100")

    assert answer.stdout.splitlines() == said, answer.stdout + answer.stderr


async def test_the_command_gives_the_same_to_programs(world: World, tmp_path: Path):
    await a_night(world)
    for name, route in (("routing.yaml", "ops"), ("new.yaml", "dev")):
        (tmp_path / name).write_text(CONSOLE.replace("ops", route))
    span = ("--since", "2026-11-20T03:00:00Z", "--until", "2026-11-20T06:00:00Z")

    answer = json.loads(tocsin("simulate", *span, "--config", "new.yaml", "--json", within=tmp_path).stdout)

    assert {name: value for name, value in answer.items() if name != "totals"} == {
        "since": "2026-11-20T03:00:00Z",
        "until": "2026-11-20T06:00:00Z",
        "bodies": 4,
        "unreadable": 0,
        "incidents": {"before": 2, "after": 2},
        "differences": [],
    }
    [stdout] = answer["totals"]
    assert stdout["destination"] == "console stdout"
    assert stdout["messages"]["before"] == stdout["messages"]["after"] > 0
    assert (stdout["person"], stdout["at_night"]) == (None, None)


async def test_the_database_is_not_written_to(world: World):
    await a_night(world)
    with sqlite3.connect(world.services.settings.database_url.removeprefix("sqlite:///")) as database:
        before = list(database.iterdump())

        compared(world, "route: {receiver: dev}")

        assert list(database.iterdump()) == before


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("tocsin.db", "nothing was posted from"),
        ("of #1 ana.db", "nothing was posted from"),
        ("absent.db", "there is no database"),
        ("old.db", "run `tocsin migrate` first"),
        ("no.db", "the database cannot be read: file is not a database; see --database"),
    ],
)
def test_what_cannot_be_run_again_is_said(migrated_file: Path, tmp_path: Path, file, said):
    shutil.copyfile(migrated_file, tmp_path / "tocsin.db")
    shutil.copyfile(migrated_file, tmp_path / "of #1 ana.db")
    sqlite3.connect(tmp_path / "old.db").close()
    (tmp_path / "no.db").write_text(CONSOLE * 100)
    config = parse(CONSOLE, {})

    with pytest.raises(CannotReadError, match=re.escape(said)):
        simulate(f"sqlite:///{tmp_path / file}", AT - timedelta(days=30), AT, config, config)


@pytest.mark.parametrize(
    ("since", "said"),
    [
        ("1x", '"1x" is not a duration'),
        ("2026-11-01T00:00", "is not an instant"),
        ("soon", "is not an instant"),
    ],
)
def test_a_time_that_is_none_is_said(capsys: pytest.CaptureFixture[str], since, said):
    with pytest.raises(SystemExit) as exit_:
        main(["simulate", "--since", since, "--config", "new.yaml"])

    assert exit_.value.code == 1
    assert said in capsys.readouterr().err


def test_the_command_says_what_it_cannot_run(tmp_path: Path):
    for name in ("routing.yaml", "new.yaml"):
        (tmp_path / name).write_text(CONSOLE)

    answer = tocsin("simulate", "--since", "30d", "--config", "new.yaml", within=tmp_path)

    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == "there is no database tocsin.db; name another with --database\n"
