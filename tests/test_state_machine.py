"""Whatever people, alerts, services and time do, in whatever order: what holds all the same?"""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from receiver.pipeline.admit import Claim
from receiver.pipeline.deliver import Delivery
from receiver.policy.incident import Event, Happening, State
from receiver.store import audit, escalations, incidents, outbox
from tests.fakes.http import Reply
from tests.postgres import Server
from tests.world import DOWN, World, a_world

NAMES = some.sampled_from(["DiskFull", "NodeDown"])
INSTANCES = some.sampled_from(["a", "b"])
SEVERITIES = some.sampled_from(["warning", "critical"])
CHANNELS = some.sampled_from(["", "#ops", "#page"])
PEOPLE = some.sampled_from(["ana", "bo"])
SHORT = some.sampled_from([1, 12, 30])  # minutes; all quiet is over when a day ends
MINUTES = some.sampled_from([1, 4, 12, 61, 300])
ROUTE = """
global: {slack_app_token: "${TOKEN}", slack_app_url: "${SLACK}", allow_private_addresses: true}
people:
  - {name: ana, contacts: [{slack: UANA}, {after: 5m, slack: UANAPHONE}]}
  - {name: bo, contacts: [{slack: UBO}]}
schedules:
  - name: primary
    rotations: [{name: hourly, people: [ana, bo], every: 1h, starts_at: 2026-01-05T09:00}]
escalation_policies:
  - name: wake
    steps: [{notify: [{schedule: primary}]}, {after: 10m, notify: [{schedule: primary, turn: next}, {receiver: dev}]}]
    repeat: 1
    ack_timeout: 2h
route:
  receiver: ops
  group_wait: 30s
  repeat_interval: 1h
  routes:
    - {matchers: [severity="critical"], receiver: page, escalation_policy: wake, group_wait: 2m, continue: true}
    - {receiver: ops}
"""
OTHERWISE = ROUTE.replace("after: 10m", "after: 25m").replace("repeat: 1\n", "repeat: 0\n")
WAITING = Reply(status=429, headers={"Retry-After": "300"})
REOPENS_WITHIN = timedelta(minutes=10)
MARKS = {"Resolved": State.RESOLVED, "Acknowledged": State.ACKNOWLEDGED}


class Days(RuleBasedStateMachine):
    """Some days in the life of one Tocsin, with one Alertmanager, two people and a Slack."""

    def __init__(self, new_database: Callable[[Path], str]) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._folder = tempfile.TemporaryDirectory(prefix="tocsin-days-")
        self._new_database = new_database
        self.bodies: list[dict[str, Any]] = []
        self.owed_before: set[int] = set()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    @initialize()
    def begin(self) -> None:
        folder = Path(self._folder.name)
        opening = a_world(self._new_database(folder), folder)
        self.world: World = self.do(self._stack.enter_async_context(opening))
        for number, name in enumerate(("UANA", "UANAPHONE", "UBO"), start=1):
            self.world.slack.channels[name] = f"D{number:08d}"
        self.do(self.world.routes(ROUTE))

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.check_the_end()
        finally:
            self.do(self._stack.aclose())
            self._runner.close()
            self._folder.cleanup()

    @rule(name=NAMES, instance=INSTANCES, severity=SEVERITIES)
    def an_alert_fires(self, name: str, instance: str, severity: str) -> None:
        self.do(self.world.alertmanager.fires(name, instance=instance, severity=severity))
        self.bodies.append(self.world.alertmanager.last)

    @rule(name=NAMES, instance=INSTANCES)
    def alerts_end(self, name: str, instance: str) -> None:
        self.do(self.world.alertmanager.resolves(name, instance=instance))
        self.bodies.append(self.world.alertmanager.last)

    @rule(name=NAMES, instance=INSTANCES)
    def an_alert_is_silenced(self, name: str, instance: str) -> None:
        self.do(self.world.alertmanager.forgets(name, instance=instance))

    @rule()
    def the_last_body_comes_again(self) -> None:
        """A repeated body changes no incident, and adds nothing to what is owed."""
        if self.bodies:
            self.do(self.world.alertmanager.sends(self.bodies[-1]))
            before = self.everything()
            self.do(self.world.alertmanager.repeats())
            assert self.everything() == before

    @rule(back=some.integers(2, 4))
    def an_old_body_comes_late(self, back: int) -> None:
        if len(self.bodies) >= back:
            self.do(self.world.alertmanager.sends(self.bodies[-back]))

    @rule(who=PEOPLE)
    def somebody_takes_it(self, who: str) -> None:
        self.somebody_acts(Event.ACKNOWLEDGE, who)

    @rule(who=PEOPLE, minutes=MINUTES)
    def somebody_takes_it_and_gives_it_back(self, who: str, minutes: float) -> None:
        self.somebody_acts(Event.ACKNOWLEDGE, who)
        self.time_passes(minutes)
        self.somebody_acts(Event.UNACKNOWLEDGE, who)

    @rule(who=PEOPLE)
    def somebody_ends_it(self, who: str) -> None:
        self.somebody_acts(Event.RESOLVE, who)

    @rule(who=PEOPLE)
    def somebody_snoozes(self, who: str) -> None:
        for incident in self.open():
            self.do(self.world.act(incident["id"], "snooze", actor=who))

    @rule(who=PEOPLE, whom=PEOPLE)
    def somebody_asks_for_help(self, who: str, whom: str) -> None:
        for incident in self.open():
            if self.do(self.world.services.read(escalations.of, [incident["id"]])):
                self.do(self.world.act(incident["id"], "escalate", actor=who))
            self.do(self.world.act(incident["id"], "assign", actor=who, person=whom))

    def somebody_acts(self, event: Event, who: str) -> None:
        """What is done twice is done once."""
        for incident in self.open():
            self.do(self.world.act(incident["id"], event, actor=who))
            before = self.everything()
            self.do(self.world.act(incident["id"], event, actor="somebody else"))
            assert self.everything() == before

    @rule(who=PEOPLE, text=some.sampled_from(["on my way", "it was me"]))
    def somebody_writes(self, who: str, text: str) -> None:
        for incident in self.open():
            self.do(self.world.act(incident["id"], "note", actor=who, text=text))

    @rule(
        name=NAMES, instance=some.sampled_from(["a", ".*"]), begins=some.sampled_from([0, 5]), minutes=SHORT
    )
    def somebody_wants_quiet(self, name: str, instance: str, begins: int, minutes: int) -> None:
        begins_at = self.world.clock.now() + timedelta(minutes=begins)
        wish = {
            "matchers": [f"alertname={name}", f"instance=~{instance}"],
            "starts_at": begins_at.isoformat(),
            "ends_at": (begins_at + timedelta(minutes=minutes)).isoformat(),
        }
        assert self.do(self.world.client.post("/api/v1/silences", json=wish)).status_code == 201
        self.do(self.world.settle())

    @rule(minutes=some.sampled_from([0, 1, 12]))
    def the_end_of_the_quiet_is_moved(self, minutes: int) -> None:
        """Nobody who was asked to wait is forgotten: it ends now, sooner or later."""
        for one in self.do(self.world.ask("/api/v1/silences", active=True))["items"]:
            path = f"/api/v1/silences/{one['id']}"
            moved = (
                self.world.client.post(path, json={"lasts": f"{minutes}m"})
                if minutes
                else self.world.client.delete(path)
            )
            assert self.do(moved).status_code == 200
        self.do(self.world.settle())

    @rule(minutes=MINUTES)
    def time_passes(self, minutes: float) -> None:
        self.do(self.world.fast_forward(minutes=minutes))

    @rule(channel=CHANNELS, reply=some.sampled_from([DOWN, WAITING, None]))
    def slack_is_out_or_back(self, channel: str, reply: Reply | None) -> None:
        if reply is None:
            self.world.slack.broken.clear()
        else:
            self.world.slack.fails_with(reply, channel)

    @rule(is_held=some.booleans())
    def a_restart(self, is_held: bool) -> None:
        """The process ends, perhaps after it claimed what it did not send, and reads routing.yaml anew."""
        if is_held:
            self.claim()
        self.do(self.world.restart())
        self.do(self.world.routes(ROUTE))

    @rule(text=some.sampled_from([ROUTE, OTHERWISE]))
    def a_reload(self, text: str) -> None:
        """What a policy is at work on keeps the steps that it began with."""
        self.do(self.world.routes(text))

    @rule()
    def tocsin_looks_around(self) -> None:
        """Whoever came on call since is told what is open, and nothing needs to be mended."""
        self.do(self.world.look_around())

    @rule(name=NAMES, instance=INSTANCES, event=some.sampled_from(list(Event)))
    def something_happens_while_messages_are_under_way(self, name: str, instance: str, event: Event) -> None:
        claimed = self.claim()
        if event is Event.FIRE:
            self.an_alert_fires(name, instance, "warning")
        elif event is Event.RESOLVE:
            self.alerts_end(name, instance)
        else:
            self.somebody_acts(event, "ana")
        for delivery in claimed:
            self.do(self.world.services.deliver(delivery))
        self.do(self.world.settle())

    def claim(self) -> list[Delivery]:
        """Take what will be due in a while, as a worker does."""
        self.world.clock.advance(seconds=31)
        return list(self.do(self.world.services.claim(Claim(self.world.clock.now(), 10))).deliveries)

    @invariant()
    def one_open_incident_has_a_key(self) -> None:
        keys = [incident["key"] for incident in self.open()]
        assert len(keys) == len(set(keys))

    @invariant()
    def a_resolved_incident_reopens_only_in_time(self) -> None:
        for incident in self.all():
            over = None
            for line in self.do(self.world.services.read(incidents.timeline, incident["id"])):
                if line["kind"] == Happening.RESOLVED:
                    over = line["at"]
                if line["kind"] == Happening.REOPENED:
                    assert over is not None
                    assert line["at"] - over < REOPENS_WITHIN
                    over = None

    @invariant()
    def nothing_owed_is_lost(self) -> None:
        """What was owed is owed still, or was sent, withdrawn or given up, with a reason."""
        rows = self.rows()
        assert self.owed_before <= rows.keys()
        self.owed_before = set(rows)
        for row in rows.values():
            assert row["state"] in {"owed", "sent", "withdrawn", "failed"}
            assert row["state"] != "withdrawn" or row["why"]
            assert (row["finished_at"] is None) is (row["state"] == "owed")

    @invariant()
    def who_was_asked_and_did_nothing_is_asked_again(self) -> None:
        """A triggered incident has somebody to be told, or is kept quiet until it is stable."""
        for incident in self.open():
            if incident["state"] == State.TRIGGERED and incident["flapping_at"] is None:
                owed = [row for row in self.rows().values() if row["incident_id"] == incident["id"]]
                assert any(row["state"] == "owed" for row in owed), self.story(incident["id"])

    @invariant()
    def a_policy_is_at_work_while_nobody_is(self) -> None:
        """Of what is triggered every policy has a next step or says why not; of anything else none has."""
        for incident in self.all():
            found = self.do(self.world.services.read(escalations.of, [incident["id"]])).get(
                incident["id"], []
            )
            is_asking = incident["state"] == State.TRIGGERED and incident["snoozed_until"] is None
            for one in found:
                assert one["next_step_at"] is not None or one["why"], self.story(incident["id"])
                assert is_asking or one["next_step_at"] is None, self.story(incident["id"])
                assert is_asking or not one["pending"], self.story(incident["id"])
            began = {row["policy"] for row in found}
            asks = incident["severity"] == "critical" and is_asking and incident["flapping_at"] is None
            assert not asks or "wake" in began, self.story(incident["id"])

    @invariant()
    def no_step_is_taken_twice(self) -> None:
        """Each step of each time that a policy began told each destination once."""
        keys = [row["key"] for row in self.rows().values()]
        assert len(keys) == len(set(keys))

    @invariant()
    def the_auditor_finds_nothing(self) -> None:
        """Every open incident has a next step or a reason not to."""
        found = self.do(self.world.services.read(audit.stranded, self.world.clock.now()))
        assert not found, "\n".join(self.story(id_) for id_, _ in found)

    @invariant()
    def conversations_keep_their_order(self) -> None:
        """Of one conversation, what was owed earlier was never finished by being sent later."""
        sent: dict[tuple[int, str], list[Any]] = {}
        for row in sorted(self.rows().values(), key=lambda row: row["finished_at"] or ""):
            if row["state"] == "sent":
                sent.setdefault((row["incident_id"], row["destination"]), []).append(row["revision"])
        for revisions in sent.values():
            assert all(one <= other for one, other in pairwise(revisions))

    def check_the_end(self) -> None:
        """When every service is well and time has passed, each conversation shows how things are."""
        self.world.slack.broken.clear()
        self.do(self.world.fast_forward(minutes=70))  # longer than a snooze
        self.who_was_asked_and_did_nothing_is_asked_again()
        shown: dict[tuple[int, str], str] = {}
        for told in self.world.slack.told:
            if "as you come on call" in told.text:
                continue  # it tells of many, and is no conversation
            incident = int(re.findall(r"/incidents/(\d+)", told.text)[-1])
            shown[incident, told.channel] = told.text
        states = {incident["id"]: incident["state"] for incident in self.all()}
        for (incident, channel), text in shown.items():
            state = next((state for mark, state in MARKS.items() if mark in text), State.TRIGGERED)
            assert state == states[incident], f"{channel} believes {state}\n{self.story(incident)}"
        for incident, state in states.items():
            told = {channel for one, channel in shown if one == incident}
            assert state != State.TRIGGERED or "#ops" in told, self.story(incident)

    def all(self) -> list[dict[str, Any]]:
        return list(self.do(self.world.services.read(incidents.newest, before=None, limit=1000)))

    def open(self) -> list[dict[str, Any]]:
        return [incident for incident in self.all() if incident["state"] != State.RESOLVED]

    def rows(self) -> dict[int, dict[str, Any]]:
        """Return every notification by its id, as the table has it."""
        found = self.do(self.world.services.read(outbox.newest, before=None, limit=10_000))
        return {
            row["id"]: {**row, "finished_at": row["finished_at"] and row["finished_at"].isoformat()}
            for row in found
        }

    def everything(self) -> Any:
        """Return incidents and notifications, without when they were last heard of."""
        found = self.do(self.world.services.read(incidents.newest, before=None, limit=10_000))
        heard = {"last_seen_at", "upstream", "review_at"}
        return [{k: v for k, v in row.items() if k not in heard} for row in found], self.rows()

    def story(self, incident: int) -> str:
        """Return what happened to an incident, for the person who reads the failure."""
        rows = [row for row in self.rows().values() if row["incident_id"] == incident]
        told = "\n".join(
            f"{row['id']} {row['destination']} {row['reason']} {row['state']} {row['why']}" for row in rows
        )
        return f"{self.do(self.world.timeline(incident))}\n{told}"


def days(new_database: Callable[[Path], str], examples: int) -> None:
    """Live through so many different days."""
    run_state_machine_as_test(
        lambda: Days(new_database),
        settings=settings(
            max_examples=examples,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_on_sqlite(migrated_file: Path) -> None:
    """Nothing is lost, late for ever, or told wrongly, in any order of events, on SQLite."""

    def new_database(folder: Path) -> str:
        return f"sqlite:///{shutil.copyfile(migrated_file, folder / 'tocsin.db')}"

    days(new_database, examples=15)


def test_on_postgresql(postgres_server: Server, migrated_template: str) -> None:
    """The same holds on PostgreSQL."""
    days(lambda _folder: postgres_server.create_database(template=migrated_template), examples=4)
