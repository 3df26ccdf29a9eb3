"""Every service is out for ten minutes in the middle of a storm of a thousand incidents."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from receiver.store.tables import Conversation, Incident, Notification
from tests.fakes.http import Reply, Request
from tests.fakes.opsgenie import KEY as OPSGENIE_KEY
from tests.fakes.opsgenie import FakeOpsgenie
from tests.fakes.pagerduty import KEY, FakePagerDuty
from tests.fakes.slack import words_of
from tests.fakes.smtp import FakeSmtp, Fault, Step
from tests.fakes.telegram import TOKEN, FakeTelegram
from tests.world import World, a_world

CRITICAL = 20  # every twentieth of the thousand
ROUTING = """
receivers:
  - name: all
    slack_configs: [{{channel: "#ops", app_token: "${{TOKEN}}", app_url: "${{SLACK}}", allow_private_addresses: true}}]
    email_configs: [{{to: ops@example.org, from: tocsin@example.org, smarthost: "{smtp}", require_tls: false}}]
    telegram_configs: [{{bot_token: "{telegram_token}", chat_id: -1001234567890, api_url: "{telegram}", allow_private_addresses: true}}]
    webhook_configs: [{{url: "${{HOOK}}", timeout: 300ms, allow_private_addresses: true}}]
  - name: pager
    pagerduty_configs: [{{routing_key: {key}, url: "{pagerduty}", allow_private_addresses: true}}]
    opsgenie_configs: [{{api_key: {opsgenie_key}, api_url: "{opsgenie}", allow_private_addresses: true}}]
  - name: fallback
    slack_configs: [{{channel: "#fallback", app_token: "${{TOKEN}}", app_url: "${{SLACK}}", allow_private_addresses: true}}]
route:
  receiver: all
  routes:
    - {{matchers: ['severity="critical"'], receiver: pager, continue: true}}
    - {{receiver: all}}
"""


class Telegram(FakeTelegram):
    """A Telegram that can be out of order."""

    broken: Reply | None = None

    def answer(self, request: Request) -> Reply:
        return self.broken or super().answer(request)


class PagerDuty(FakePagerDuty):
    """A PagerDuty that can be out of order."""

    broken: Reply | None = None

    def answer(self, request: Request) -> Reply:
        return self.broken or super().answer(request)


class Opsgenie(FakeOpsgenie):
    """An Opsgenie that can be out of order."""

    broken: Reply | None = None

    def answer(self, request: Request) -> Reply:
        return self.broken or super().answer(request)


class Mail(FakeSmtp):
    """A mail server that can be out of order."""

    is_broken = False

    def fault(self, step: Step) -> Fault | None:
        if self.is_broken and step is Step.RCPT:
            return Fault(answer="451 4.3.0 Try again later")
        return super().fault(step)


@dataclass
class Services:
    """Who can be told, and the world in which they are."""

    world: World
    mail: Mail
    telegram: Telegram
    pagerduty: PagerDuty
    opsgenie: Opsgenie

    def go_out(self) -> None:
        """Fail, each in a way of its own."""
        self.world.slack.fails_with(Reply(status=503, body=b"<html>down for maintenance</html>"))
        self.world.webhook.broken = Reply(is_never=True)
        self.mail.is_broken = True
        self.telegram.broken = Reply(status=502, body=b"<html>Bad Gateway</html>")
        self.pagerduty.broken = Reply(status=500, body=b"{")
        self.opsgenie.broken = Reply(raw=b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\n<html>")

    def come_back(self) -> None:
        """Be well again."""
        self.world.slack.recovers()
        self.world.webhook.broken = None
        self.mail.is_broken = False
        self.telegram.broken = self.pagerduty.broken = self.opsgenie.broken = None


@pytest.fixture
async def services(migrated_url: str, tmp_path: Path) -> AsyncIterator[Services]:
    """Tocsin, and one destination of every kind."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(a_world(migrated_url, tmp_path))
        fakes = [await stack.enter_async_context(kind()) for kind in (Mail, Telegram, PagerDuty, Opsgenie)]
        mail, telegram, pagerduty, opsgenie = fakes
        text = ROUTING.format(
            smtp=mail.smarthost, telegram=telegram.api_url, telegram_token=TOKEN, key=KEY,
            pagerduty=pagerduty.enqueue_url, opsgenie=opsgenie.api_url, opsgenie_key=OPSGENIE_KEY,
        )  # fmt: skip
        await world.reload(text)
        yield Services(world, mail, telegram, pagerduty, opsgenie)


def name(number: int) -> str:
    return f"Alert{number:04d}"


async def fire(world: World, numbers: range, **labels: str) -> None:
    """Let alerts fire; every so many is critical."""
    critical = [number for number in numbers if number % CRITICAL == 0]
    others = [number for number in numbers if number % CRITICAL]
    await world.alertmanager.storm(map(name, others), severity="warning", **labels)
    await world.alertmanager.storm(map(name, critical), severity="critical", **labels)


def the_end(db: Connection) -> tuple[dict[int, Any], list[Any], list[Any]]:
    incidents = {row.id: row for row in db.execute(select(Incident.__table__))}
    return (
        incidents,
        list(db.execute(select(Notification.__table__).order_by(Notification.id))),
        list(db.execute(select(Conversation.__table__))),
    )


async def test_each_destination_ends_with_the_truth(services: Services) -> None:
    """Nothing is lost, nothing told that is no longer so, critical first, and most of it in few messages."""
    world = services.world
    before = await messages_saved(world)
    await fire(world, range(401, 416))  # few enough to be told one by one
    await world.fast_forward(minutes=1)
    await fire(world, range(500))
    await world.fast_forward(seconds=40)
    services.go_out()
    out_at = world.clock.now()
    await fire(world, range(500, 1000))
    await world.fast_forward(minutes=2)
    await fire(world, range(300, 600), instance="db-2")  # more of the same: updates
    await world.fast_forward(minutes=3)
    await world.alertmanager.calm(map(name, range(400, 700)))  # some of it nobody was told of
    incident = await world.alertmanager.fires(name(980), severity="critical")
    await world.acknowledge(incident)
    await world.fast_forward(minutes=5)
    services.come_back()
    back_at = world.clock.now()
    assert back_at - out_at >= timedelta(minutes=10)
    await world.fast_forward(minutes=15)  # edits of what digests told take half of what a service takes

    incidents, notifications, conversations = await world.services.read(the_end)
    assert len(incidents) == 1000
    assert Counter(row.state for row in incidents.values()) == {
        "triggered": 699,
        "resolved": 300,
        "acknowledged": 1,
    }
    nothing_is_left(notifications, incidents, conversations)
    critical_goes_first(notifications, back_at)
    programs_hear_in_order(services)
    everybody_sees_the_truth(services, Truth(incidents, notifications, conversations))
    people_are_told_little(world, incidents)
    saved = {how: count - before[how] for how, count in (await messages_saved(world)).items()}
    assert min(saved.values()) > 0
    seen = len(world.slack.told) + len(services.mail.taken) + len(services.telegram.shown())
    print(f"\nnot sent: {saved}; people saw {seen} messages")  # the number that the design asks for


async def messages_saved(world: World) -> dict[str, float]:
    """Return how many messages another one made needless."""
    name = "tocsin_messages_saved_total"
    return {how: await world.metric(f'{name}{{how="{how}"}}') for how in ("digest", "collapsed")}


def nothing_is_left(notifications: list[Any], incidents: dict[int, Any], conversations: list[Any]) -> None:
    """Each notification was sent, or was not worth it any more; who was told knows the newest."""
    left = [row for row in notifications if row.state == "owed" and row.reason != "repeat_due"]
    assert left == []
    assert {row.state for row in notifications} == {"sent", "withdrawn", "owed"}
    behind = [one for one in conversations if one.sent_revision < incidents[one.incident_id].revision]
    assert behind == []
    told = {(one.incident_id, one.destination.split(" ")[0]) for one in conversations}
    for incident in incidents.values():
        if incident.state != "resolved":
            kinds = {"slack", "email", "telegram", "webhook"}
            kinds |= {"pagerduty", "opsgenie"} if incident.severity == "critical" else set()
            if incident.state == "acknowledged":
                continue  # whoever was not told before somebody took it need not be
            assert {(incident.id, kind) for kind in kinds} <= told


def critical_goes_first(notifications: list[Any], back_at: Any) -> None:
    """Of what waited, all that is critical is told before anything else, and none of it in a digest."""
    assert not [row for row in notifications if row.urgent and row.why == "told in a digest"]
    for destination in {row.destination for row in notifications}:
        waited = [
            row for row in notifications
            if row.destination == destination and row.state == "sent" and row.created_at < back_at <= row.finished_at
        ]  # fmt: skip
        urgent = [row.finished_at for row in waited if row.urgent]
        others = [row.finished_at for row in waited if not row.urgent]
        assert urgent
        assert not others or max(urgent) <= min(others) + timedelta(seconds=1), destination


def programs_hear_in_order(services: Services) -> None:
    """No end overtakes its beginning."""
    said = [(body["incident"]["id"], body["incident"]["state"]) for body in services.world.webhook.bodies]
    first = dict(reversed(said))
    assert "resolved" not in first.values()


@dataclass
class Truth:
    """What the database says at the end."""

    incidents: dict[int, Any]
    notifications: list[Any]
    conversations: list[Any]

    def talks(self, kind: str) -> dict[int, Any]:
        """Return the conversations of the kind's destination by incident, but those of the fallback."""
        return {
            one.incident_id: one
            for one in self.conversations
            if one.destination.split(" ")[0] == kind and one.destination != "slack #fallback"
        }

    def told_together(self, kind: str) -> Counter[int]:
        """Return how often each incident was in a digest to the kind's destination."""
        return Counter(
            row.incident_id
            for row in self.notifications
            if row.destination.split(" ")[0] == kind and row.state == "sent" and row.why == "told in a digest"
        )

    def told_last(self, kind: str) -> dict[int, Any]:
        """Return what each incident's destination was sent last."""
        sent = [row for row in self.notifications if row.state == "sent" and row.reason != "outdated"]
        sent.sort(key=lambda row: (row.finished_at, row.id))
        return {row.incident_id: row for row in sent if row.destination.split(" ")[0] == kind}


def everybody_sees_the_truth(services: Services, truth: Truth) -> None:
    """Whatever each service shows at the end is as the incidents are, and its digests hold the rest."""
    slack = [words_of(one) for one in services.world.slack.main_messages("#ops")]
    people_see(slack, truth, "slack")
    telegram = [f"{one.source}\n{one.labels}" for one in services.telegram.shown() if one.reply_to is None]
    people_see(telegram, truth, "telegram")
    threads = services.mail.threads("ops@example.org")
    people_see([thread[-1].shown() for thread in threads], truth, "email")
    pagers_show(services, truth)
    newest = {body["incident"]["id"]: body["incident"] for body in services.world.webhook.bodies}
    assert newest.keys() == truth.talks("webhook").keys()
    for id_, said in newest.items():
        row = truth.incidents[id_]
        assert said["alerts"] == {"firing": row.firing, "total": row.total}
        assert (said["state"], said["severity"]) == (row.state, row.severity)
        assert said["acknowledged_by"] == row.acknowledged_by


def people_see(messages: list[str], truth: Truth, kind: str) -> None:
    """Each incident that was told of by itself has one message, and it looks as it is; digests hold the rest."""
    shown: dict[int, str] = {}
    in_digests = 0
    for text in messages:
        if together := re.search(r"(\d+) incidents · ", text):
            in_digests += int(together[1])
            continue
        (id_,) = {int(one) for one in re.findall(r"/incidents/(\d+)", text)}
        assert id_ not in shown, f"{kind} shows {id_} twice"
        shown[id_] = text
    talks, together = truth.talks(kind), truth.told_together(kind)
    assert in_digests == together.total() > 0
    assert talks.keys() == shown.keys() | together.keys()
    assert {id_ for id_, talk in talks.items() if talk.ids} == shown.keys()
    last = truth.told_last(kind)
    for id_, text in shown.items():
        if kind == "email" and last[id_].why == "told in a digest":
            continue  # a mail cannot be edited; the digest came after it
        row = truth.incidents[id_]
        looks = {"triggered": row.severity.upper(), "acknowledged": "Acknowledged by", "resolved": "Resolved"}
        assert looks[row.state] in text, f"{kind} shows {row.state} as {text}"
        assert row.title in text
        assert ("Acknowledge" in text.replace("Acknowledged", "")) == (row.state == "triggered"), text


def pagers_show(services: Services, truth: Truth) -> None:
    """What PagerDuty and Opsgenie have is as it is here; what asks nobody any more they may not know at all."""
    paged = {one.dedup_key: one for one in services.pagerduty.incidents}
    for id_, talk in truth.talks("pagerduty").items():
        row, seen = truth.incidents[id_], paged.pop(talk.ids["dedup_key"], None)
        if seen is None:
            assert row.state != "triggered"
            continue
        assert (seen.status, seen.payload["severity"]) == (row.state, row.severity)
        assert row.title in seen.title
    raised = {one.alias: one for one in services.opsgenie.alerts}
    for id_, talk in truth.talks("opsgenie").items():
        row, alert = truth.incidents[id_], raised.pop(talk.ids["alias"], None)
        if alert is None:
            assert row.state != "triggered"
            continue
        assert alert.status == ("closed" if row.state == "resolved" else "open")
        assert alert.is_acknowledged or row.state != "acknowledged"
        assert not alert.is_acknowledged or row.state != "triggered"
        assert row.title in alert.message
    assert (paged, raised) == ({}, {})


def people_are_told_little(world: World, incidents: dict[int, Any]) -> None:
    """Each critical incident has a message of its own; the rest is in a few digests."""
    shown = {}
    for one in world.slack.told:
        if one.channel == "#ops" and "CRITICAL" in one.text.splitlines()[0]:
            shown[one.text.splitlines()[0].split(" · ")[1].split(" ")[0]] = one.text
    ordinary = [one for one in world.slack.told if "incidents" in one.text.splitlines()[0]]
    assert 2 <= len(ordinary) <= 40
    fired = {
        row.title.split(" ")[0]
        for row in incidents.values()
        if row.severity == "critical" and row.state == "triggered"
    }
    assert fired <= set(shown)
