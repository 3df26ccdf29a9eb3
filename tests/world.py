"""The service in a box: real database, real sockets to fake services, and a clock that the test moves."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection, func, select

from receiver.app import make_app, running
from receiver.config import Settings
from receiver.policy.fingerprint import fingerprint
from receiver.policy.outbox import NotificationState
from receiver.services import Services
from receiver.store.tables import Escalation, Incident, Notification
from receiver.watching import Watching
from receiver.worker import Worker
from tests.fakes.clock import FakeClock
from tests.fakes.http import Reply, Request
from tests.fakes.slack import TOKEN, FakeSlack, words_of
from tests.fakes.webhook import FakeWebhook

CHANNELS = ("#ops", "#dev", "#page", "#quiet", "#fallback")
RECEIVERS = """
receivers:
  - name: ops
    slack_configs: [&app {channel: "#ops", app_token: "${TOKEN}", app_url: "${SLACK}", allow_private_addresses: true}]
  - name: dev
    slack_configs: [{channel: "#dev", app_token: "${TOKEN}", app_url: "${SLACK}", allow_private_addresses: true}]
  - name: page
    slack_configs: [{channel: "#page", app_token: "${TOKEN}", app_url: "${SLACK}", allow_private_addresses: true}]
  - name: quiet
    slack_configs: [{channel: "#quiet", app_token: "${TOKEN}", app_url: "${SLACK}", allow_private_addresses: true, send_resolved: false}]
  - name: hook
    webhook_configs: [{url: "${HOOK}", allow_private_addresses: true}]
  - name: fallback
    slack_configs: [{channel: "#fallback", app_token: "${TOKEN}", app_url: "${SLACK}", allow_private_addresses: true}]
""".replace("&app ", "")
ROUTE = "route: {receiver: ops}"
DOWN = Reply(status=503)


@dataclass
class Told:
    """One thing that a person saw in a channel: a message, or an edit of it with its reply."""

    channel: str
    text: str  # as it looked then
    edited: bool  # it changed an earlier message
    reply: str = ""  # what was said in its thread
    broadcast: bool = False  # the reply was shown in the channel, too


class Workspace(FakeSlack):
    """A Slack that remembers in which order people saw what, and can be out of order itself."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = {name: f"C{number:08d}" for number, name in enumerate(CHANNELS, start=1)}
        self.told: list[Told] = []
        self.unseen: list[Told] = []
        self.broken: dict[str, Reply] = {}  # by channel; "" is every channel
        self.calls_made = 0
        self.heard = asyncio.Event()  # somebody saw something

    def fails_with(self, reply: Reply, channel: str = "") -> None:
        """Answer everything with this until it `recovers`."""
        self.broken[channel] = reply

    def recovers(self, channel: str = "") -> None:
        self.broken.pop(channel, None)

    def answer(self, request: Request) -> Reply:
        self.calls_made += 1
        content = request.json()
        if "channel" not in content:  # to a webhook, or to one person alone
            return super().answer(request)
        broken = self.broken.get("") or self.broken.get(self._name(content["channel"]))
        if broken is not None:
            return broken
        reply = super().answer(request)
        if reply.status == 200 and json.loads(reply.body)["ok"]:
            self._remember(content, is_edit=request.path.endswith("chat.update"))
        return reply

    def expect(self, channel: str, *words: str, edited: bool | None = None) -> Told:
        """Return the oldest thing that the channel saw and no test has looked at; it has all the words."""
        for told in self.unseen:
            if told.channel == channel:
                everything = f"{told.text}\n{told.reply}"
                missing = [word for word in words if word not in everything]
                assert not missing, f"{channel} saw no {missing}, but:\n{everything}"
                assert edited is None or told.edited is edited
                self.unseen.remove(told)
                return told
        raise AssertionError(f"{channel} saw nothing; others saw {self.unseen}")

    def expect_each(self, channel: str, *words: str) -> None:
        """Look at the oldest things that the channel saw, one for each word: conversations overtake each other."""
        seen = [told for told in self.unseen if told.channel == channel][: len(words)]
        for word in words:
            told = next((one for one in seen if word in one.text), None)
            assert told is not None, f"{channel} saw no {word}, but {seen}"
            seen.remove(told)
            self.unseen.remove(told)

    def expect_nothing(self, channel: str | None = None) -> None:
        """Check that nothing is left that no test has looked at."""
        left = [told for told in self.unseen if channel in {None, told.channel}]
        assert not left, f"somebody saw {left}"

    def _remember(self, content: dict[str, Any], *, is_edit: bool) -> None:
        channel = self._name(content["channel"])
        if "thread_ts" in content:
            last = next(told for told in reversed(self.told) if told.channel == channel)
            last.reply, last.broadcast = content["text"], content["reply_broadcast"]
            return
        told = Told(channel, words_of(content), is_edit)
        self.told.append(told)
        self.unseen.append(told)
        self.heard.set()

    def _name(self, channel: str) -> str:
        return next((name for name, id_ in self.channels.items() if id_ == channel), channel)


class Program(FakeWebhook):
    """A webhook that a test reads, and can break."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: Reply | None = None
        self._seen = 0

    def answer(self, request: Request) -> Reply:
        return self.broken or super().answer(request)

    def expect(self, **wanted: Any) -> Any:
        """Return the oldest body that no test has looked at; it has these values."""
        assert len(self.bodies) > self._seen, "the webhook was told nothing"
        body = self.bodies[self._seen]
        self._seen += 1
        assert {name: body[name] for name in wanted} == wanted
        return body

    def expect_nothing(self) -> None:
        assert self.bodies[self._seen :] == []


@dataclass
class Group:
    """What one Alertmanager knows of one group."""

    labels: dict[str, str]
    firing: dict[str, dict[str, Any]] = field(default_factory=dict)


class Alertmanager:
    """Posts what Alertmanager would: the whole group, whenever something in it changed."""

    def __init__(self, world: "World", path: str = "/webhooks/alertmanager") -> None:
        self._world = world
        self._path = path
        self._groups: dict[str, Group] = {}
        self.last: dict[str, Any] = {}

    async def fires(
        self, alertname: str, *, annotations: dict[str, str] | None = None, settle: bool = True, **labels: str
    ) -> int:
        """Let an alert fire; return its incident."""
        group = self._group(alertname)
        alert = self._alert({"alertname": alertname, **labels}, annotations or {})
        group.firing.setdefault(alert["fingerprint"], alert)
        return await self.sends(self.body(group, []), settle=settle)

    async def storm(self, alertnames: Iterable[str], **labels: str) -> list[int]:
        """Let many alerts fire, each in a group of its own, before anything is delivered."""
        return await self._all_at_once([self._fired(name, labels) for name in alertnames])

    async def calm(self, alertnames: Iterable[str]) -> list[int]:
        """Let all alerts of many groups end, before anything is delivered."""
        return await self._all_at_once([self._ended(name) for name in alertnames])

    def _fired(self, alertname: str, labels: dict[str, str]) -> dict[str, Any]:
        group = self._group(alertname)
        alert = self._alert({"alertname": alertname, **labels}, {})
        group.firing.setdefault(alert["fingerprint"], alert)
        return self.body(group, [])

    def _ended(self, alertname: str) -> dict[str, Any]:
        group = self._group(alertname)
        over = [{**one, "status": "resolved", "endsAt": self._instant()} for one in group.firing.values()]
        group.firing.clear()
        return self.body(group, over)

    async def _all_at_once(self, bodies: list[dict[str, Any]]) -> list[int]:
        ids = list(await asyncio.gather(*(self.sends(body, settle=False) for body in bodies)))
        await self._world.settle()
        return ids

    async def resolves(self, alertname: str, **labels: str) -> int:
        """Let an alert end: all of the name that have these labels."""
        group = self._group(alertname)
        over = [one for one in group.firing.values() if labels.items() <= one["labels"].items()]
        for alert in over:
            del group.firing[alert["fingerprint"]]
        ended = [{**alert, "status": "resolved", "endsAt": self._instant()} for alert in over]
        return await self._post(group, ended)

    async def forgets(self, alertname: str, **labels: str) -> int:
        """Leave alerts out of the group's next body, as after a silence."""
        group = self._group(alertname)
        kept = {
            name: one for name, one in group.firing.items() if not labels.items() <= one["labels"].items()
        }
        group.firing = kept
        return await self._post(group, [])

    async def repeats(self) -> int:
        """Send the last body once more."""
        return await self.sends(self.last)

    async def sends(self, payload: dict[str, Any], *, settle: bool = True) -> int:
        """Post a body, and have done what follows; return the first incident it is about, 0 for none."""
        self.last = payload
        response = await self._world.client.post(self._path, json=payload)
        assert response.status_code == 200, response.text
        if settle:
            await self._world.settle()
        return next(iter(response.json()["incidents"]), 0)

    async def _post(self, group: Group, ended: list[dict[str, Any]]) -> int:
        return await self.sends(self.body(group, ended))

    def body(self, group: Group, ended: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the group as it is, with what just ended."""
        return {
            "version": "4",
            "groupKey": f"{{}}:{json.dumps(group.labels)}",
            "truncatedAlerts": 0,
            "status": "firing" if group.firing else "resolved",
            "receiver": "tocsin",
            "groupLabels": group.labels,
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example.org:9093",
            "alerts": [*group.firing.values(), *ended],
        }

    def _group(self, alertname: str) -> Group:
        return self._groups.setdefault(alertname, Group({"alertname": alertname}))

    def _alert(self, labels: dict[str, str], annotations: dict[str, str]) -> dict[str, Any]:
        return {
            "status": "firing",
            "labels": labels,
            "annotations": annotations,
            "startsAt": self._instant(),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example.org:9090/graph",
            "fingerprint": fingerprint(labels),
        }

    def _instant(self) -> str:
        return self._world.clock.now().isoformat()


class Process:
    """One running Tocsin: services, its web application, and a worker that works when it is told to."""

    services: Services
    client: httpx.AsyncClient
    worker: Worker
    watching: Watching

    def __init__(self, settings: Settings, environ: dict[str, str], clock: FakeClock) -> None:
        self._settings, self._environ, self._clock = settings, environ, clock
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        self.services = await self._stack.enter_async_context(
            running(self._settings, self._environ, self._clock)
        )
        self.services.uniform = lambda _shortest, longest: longest  # no luck in tests
        transport = httpx.ASGITransport(make_app(self.services))
        self.client = await self._stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5001")
        )
        self.worker = Worker(self.services)
        self.watching = Watching(self.services)

    async def stop(self) -> None:
        await self._stack.aclose()

    async def work(self) -> int:
        """Do once what is due; return how much that was."""
        now = self._clock.now()
        services = self.services
        done = await asyncio.gather(services.review(now), services.look_after(now), services.watch(now))
        delivered = await self.worker.deliver_due()
        await self.worker.settle()
        return sum(done) + delivered


class World:
    """Everything around one test, and Tocsin in the middle."""

    def __init__(self, database_url: str, folder: Path, slack: Workspace, webhook: Program) -> None:
        self.clock = FakeClock()
        self.slack = slack
        self.webhook = webhook
        self._file = folder / "routing.yaml"
        self._file.write_text(RECEIVERS + ROUTE)
        environ = {"TOKEN": TOKEN, "SLACK": slack.app_url, "HOOK": webhook.url("/hook")}
        settings = Settings(config=str(self._file), database_url=database_url)
        self._arguments = (settings, environ, self.clock)
        self.process = Process(*self._arguments)
        self.alertmanager = Alertmanager(self)

    @property
    def client(self) -> httpx.AsyncClient:
        """Who asks the API."""
        return self.process.client

    @property
    def services(self) -> Services:
        return self.process.services

    @property
    def worker(self) -> Worker:
        return self.process.worker

    async def restart(self) -> None:
        """Stop, and start anew on the same database."""
        await self.process.stop()
        self.process = Process(*self._arguments)
        await self.process.start()

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Process]:
        """Run one more Tocsin on the same database."""
        process = Process(*self._arguments)
        await process.start()
        try:
            yield process
        finally:
            await process.stop()

    async def routes(self, text: str) -> None:
        """Put another routing.yaml, with the usual receivers, into force."""
        await self.reload(RECEIVERS + text)

    def write(self, text: str) -> None:
        """Leave another routing.yaml where the next run finds it."""
        self._file.write_text(text)

    async def reload(self, text: str) -> None:
        """Put another routing.yaml into force."""
        self.write(text)
        response = await self.client.post("/-/reload")
        assert response.status_code == 200, response.text
        await self.settle()

    async def settle(self) -> None:
        """Do all that is due, and what becomes due by that, without letting time pass."""
        self.clock.advance(microseconds=1)
        before = None
        while True:
            worked = await self.process.work()
            left = await self.services.read(due, self.clock.now())
            if not worked and left in {0, before}:
                return
            before = left

    async def fast_forward(self, **duration: float) -> None:
        """Let time pass, from one moment at which something is due to the next."""
        until = self.clock.now() + timedelta(**duration)
        while True:
            moment = await self.services.read(next_moment, self.clock.now(), self.worker.next_at)
            if moment is None or moment > until:
                break
            self.clock.advance(seconds=(moment - self.clock.now()).total_seconds())
            await self.settle()
        self.clock.advance(seconds=max(0.0, (until - self.clock.now()).total_seconds()))
        await self.settle()

    async def look_around(self) -> None:
        """Do what Tocsin does once a minute to watch itself."""
        await self.process.watching.look_around()
        await self.settle()

    async def act(self, incident: int, verb: str, **said: str) -> dict[str, Any]:
        """Do what a person does through the API; return the incident."""
        response = await self.client.post(f"/api/v1/incidents/{incident}/{verb}", json=said)
        assert response.status_code == 200, response.text
        await self.settle()
        return dict(response.json())

    async def acknowledge(self, incident: int, actor: str = "ana") -> dict[str, Any]:
        return await self.act(incident, "acknowledge", actor=actor)

    async def ask(self, path: str, **query: Any) -> Any:
        """Return what the API answers."""
        response = await self.client.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def incident(self, incident: int) -> dict[str, Any]:
        return dict(await self.ask(f"/api/v1/incidents/{incident}"))

    async def incidents(self, **query: Any) -> list[dict[str, Any]]:
        return list((await self.ask("/api/v1/incidents", **query))["items"])

    async def notifications(self, incident: int, destination: str | None = None) -> list[dict[str, Any]]:
        """Return what became of everything that was owed about an incident, oldest first."""
        rows = (await self.incident(incident))["notifications"]
        return [row for row in rows if destination in {None, row["destination"]}]

    async def timeline(self, incident: int) -> str:
        """Return the history of an incident as text."""
        lines = (await self.incident(incident))["timeline"]
        return "\n".join(f"{line['kind']}: {line['text']}" for line in lines)

    async def alarms(self) -> list[dict[str, Any]]:
        """Return the incidents that Tocsin has about itself."""
        return [one for one in await self.incidents() if one["source"] == "tocsin"]

    async def metric(self, name: str) -> float:
        """Return the value of a metric, 0 where it was never counted."""
        text = (await self.client.get("/metrics")).text
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), 0.0)


def due(db: Connection, now: datetime) -> int:
    """Return how many notifications, incidents and steps are due."""
    notifications = select(func.count()).where(
        Notification.state == NotificationState.OWED,  # type: ignore[arg-type]
        Notification.due_at <= now,  # type: ignore[arg-type]
    )
    incidents = select(func.count()).where(Incident.review_at <= now)  # type: ignore[arg-type, operator]
    steps = select(func.count()).where(Escalation.next_step_at <= now)  # type: ignore[arg-type, operator]
    return sum(int(db.execute(one).scalar_one()) for one in (notifications, incidents, steps))


def next_moment(db: Connection, now: datetime, usable_at: datetime | None = None) -> datetime | None:
    """Return when the next thing will be due; `usable_at` is when a bucket or breaker lets somebody through."""
    notifications = select(func.min(Notification.due_at)).where(
        Notification.state == NotificationState.OWED,  # type: ignore[arg-type]
        Notification.due_at > now,  # type: ignore[arg-type]
    )
    incidents = select(func.min(Incident.review_at)).where(Incident.review_at > now)  # type: ignore[arg-type, operator]
    late = select(func.min(Notification.fallback_at)).where(
        Notification.state == NotificationState.OWED,  # type: ignore[arg-type]
        Notification.fallback_at > now,  # type: ignore[arg-type, operator]
    )
    steps = select(func.min(Escalation.next_step_at)).where(Escalation.next_step_at > now)  # type: ignore[arg-type, operator]
    moments = [db.execute(one).scalar() for one in (notifications, incidents, late, steps)]
    if usable_at is not None and usable_at > now and due(db, now):
        moments.append(usable_at)
    return min((moment for moment in moments if moment is not None), default=None)


@asynccontextmanager
async def a_world(database_url: str, folder: Path) -> AsyncIterator[World]:
    """Yield a world that runs, on a migrated and empty database."""
    async with Workspace() as slack, Program() as webhook:
        world = World(database_url, folder, slack, webhook)
        await world.process.start()
        try:
            yield world
        finally:
            await world.process.stop()
