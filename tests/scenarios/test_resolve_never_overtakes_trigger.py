"""A resolve never overtakes its trigger, whatever PagerDuty or Opsgenie does meanwhile."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from receiver.pipeline import deliver
from receiver.pipeline.admit import Claim
from receiver.policy.fingerprint import fingerprint
from tests.fakes.http import Reply
from tests.fakes.opsgenie import KEY as API_KEY
from tests.fakes.opsgenie import FakeOpsgenie
from tests.fakes.pagerduty import KEY as ROUTING_KEY
from tests.fakes.pagerduty import WEBHOOK_SECRET, FakePagerDuty
from tests.world import DOWN, World

pytestmark = pytest.mark.parametrize("kind", ["pagerduty", "opsgenie", "jira"])


ROUTING = """
receivers:
  - name: on-call
    {receiver}
route: {{receiver: on-call, group_interval: 1s}}
reopen_within: {reopen_within}
"""


class Service:
    """PagerDuty or Opsgenie, as far as these stories need it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.fake: FakePagerDuty | FakeOpsgenie
        self.fake = FakePagerDuty() if kind == "pagerduty" else FakeOpsgenie(is_jsm=kind == "jira")

    @property
    def receiver(self) -> str:
        if isinstance(self.fake, FakePagerDuty):
            keys = (
                f"routing_key: {ROUTING_KEY}, webhook_secret: {WEBHOOK_SECRET}, url: {self.fake.enqueue_url}"
            )
            return f"pagerduty_configs: [{{{keys}, allow_private_addresses: true}}]"
        keys = f"api_key: {API_KEY}, api_url: {self.fake.api_url}"
        return f"opsgenie_configs: [{{{keys}, allow_private_addresses: true}}]"

    def shown(self) -> list[str]:
        """What a person sees there, oldest first: triggered, acknowledged or resolved."""
        if isinstance(self.fake, FakePagerDuty):
            return [one.status for one in self.fake.incidents]
        return [
            "resolved" if one.status == "closed" else "acknowledged" if one.is_acknowledged else "triggered"
            for one in self.fake.alerts
        ]

    def open_titles(self) -> list[str]:
        if isinstance(self.fake, FakePagerDuty):
            return sorted(one.title for one in self.fake.open_incidents())
        return sorted(one.message for one in self.fake.open_alerts())

    def takes_but_says_nothing(self) -> None:
        """Let the next request arrive, and its answer be lost."""
        usual = self.fake.answer

        def once(request: Any) -> Reply:
            self.fake.answer = usual  # type: ignore[method-assign]
            usual(request)
            return Reply(is_closed=True)

        self.fake.answer = once  # type: ignore[method-assign]


@pytest.fixture
async def service(kind: str, world: World) -> AsyncIterator[Service]:
    service = Service(kind)
    async with service.fake:
        await world.reload(ROUTING.format(receiver=service.receiver, reopen_within="10m"))
        yield service


def a_body(world: World, alertname: str, status: str = "firing") -> dict[str, Any]:
    """One alert in a group of its own, as Alertmanager writes it: with Alertmanager's group key."""
    labels = {"alertname": alertname, "severity": "critical"}
    now = world.clock.now().isoformat()
    alert = {
        "status": status,
        "labels": labels,
        "annotations": {},
        "startsAt": now,
        "endsAt": now if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.org:9090/graph",
        "fingerprint": fingerprint(labels),
    }
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{alertname}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "tocsin",
        "groupLabels": {"alertname": alertname},
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.org:9093",
        "alerts": [alert],
    }


async def fires(world: World, alertname: str = "DiskFull") -> int:
    return await world.alertmanager.sends(a_body(world, alertname))


async def ends(world: World, alertname: str = "DiskFull") -> int:
    return await world.alertmanager.sends(a_body(world, alertname, "resolved"))


async def test_an_incident_begins_and_ends_there(world: World, service: Service) -> None:
    incident = await fires(world)
    assert service.shown() == ["triggered"]
    await world.acknowledge(incident)
    assert service.shown() == ["acknowledged"]
    await world.fast_forward(minutes=1)

    await ends(world)
    await world.fast_forward(minutes=1)

    assert service.shown() == ["resolved"]


async def test_what_is_given_back_pages_again(world: World, service: Service) -> None:
    incident = await fires(world)
    await world.acknowledge(incident)
    await world.act(incident, "unacknowledge")

    assert service.shown()[-1] == "triggered"
    assert len(service.fake.pages) == 2


async def test_the_end_waits_for_a_beginning_that_hangs(world: World, service: Service) -> None:
    """While the trigger is on its way nothing else of the conversation leaves."""
    service.fake.script.append(Reply(delay=30))
    await world.alertmanager.sends(a_body(world, "DiskFull"), settle=False)
    await world.worker.deliver_due()
    await world.alertmanager.sends(a_body(world, "DiskFull", "resolved"), settle=False)

    assert await world.worker.deliver_due() == 0

    await service.fake.__aexit__()
    await world.worker.settle()
    await service.fake.__aenter__()


async def test_what_never_began_there_wakes_nobody_afterwards(world: World, service: Service) -> None:
    """The service was out the whole time: it is told the end in case a beginning arrived, and drops it."""
    service.fake.script.extend([DOWN] * 3)
    await fires(world)
    await ends(world)
    service.fake.script.clear()
    await world.fast_forward(minutes=10)

    assert service.shown() == []
    assert service.fake.pages == []
    assert len(service.fake.requests) == 2


async def test_an_end_that_could_not_be_told_is_told_later(world: World, service: Service) -> None:
    await fires(world)
    await world.fast_forward(minutes=1)
    service.fake.script.extend([DOWN] * 2)
    await ends(world)
    await world.fast_forward(minutes=20)

    assert service.shown() == ["resolved"]


async def test_a_beginning_whose_answer_was_lost_ends_as_well(world: World, service: Service) -> None:
    """It may have arrived, so its end is told although nobody knows that it began."""
    service.takes_but_says_nothing()
    await fires(world)
    assert service.shown() == ["triggered"]
    await ends(world)
    await world.fast_forward(minutes=20)

    assert service.shown() == ["resolved"]
    assert len(service.fake.pages) == 1


async def test_a_beginning_whose_answer_was_lost_can_be_acknowledged(world: World, service: Service) -> None:
    """Somebody takes it in another channel before the next attempt: it must not go on ringing there."""
    service.takes_but_says_nothing()
    incident = await fires(world)
    await world.acknowledge(incident)
    await world.fast_forward(minutes=20)

    assert service.shown() == ["acknowledged"]
    await world.act(incident, "unacknowledge")
    assert service.shown()[-1] == "triggered"
    assert len(service.fake.pages) == 2


async def test_an_end_whose_answer_was_lost_ends_once(world: World, service: Service) -> None:
    await fires(world)
    await world.fast_forward(minutes=1)
    service.takes_but_says_nothing()
    await ends(world)
    await world.fast_forward(minutes=20)

    assert service.shown() == ["resolved"]


async def test_a_late_end_does_not_end_the_next_incident(world: World, service: Service) -> None:
    """The next incident of a group has the same key there; the end of the one before comes before it."""
    await fires(world)
    await world.fast_forward(minutes=1)
    service.fake.script.extend([DOWN] * 1000)
    await ends(world)
    await world.fast_forward(minutes=15)  # it is over: what fires now is another incident
    await fires(world)
    service.fake.script.clear()
    await world.fast_forward(minutes=30)

    assert service.shown()[-1] == "triggered"
    assert len(await world.incidents(state="triggered")) == 1


async def test_reopened_there_as_here(world: World, service: Service) -> None:
    await fires(world)
    await world.fast_forward(minutes=1)
    await ends(world)
    await world.fast_forward(minutes=1)

    await fires(world)
    await world.fast_forward(minutes=1)

    assert service.shown() == ["resolved", "triggered"]


async def test_the_next_incident_ends_the_one_before_and_pages(world: World, service: Service) -> None:
    """The service was out while one ended and the next began: it must not be a line in the old one's log."""
    before = await fires(world)
    await world.acknowledge(before)  # the old one would page nobody however often it is triggered
    await world.fast_forward(minutes=1)
    service.fake.script.extend([DOWN] * 1000)
    await ends(world)
    await world.fast_forward(minutes=15)
    service.fake.script.clear()

    after = await fires(world)
    await world.fast_forward(minutes=10)

    assert service.shown() == ["resolved", "triggered"]
    assert len(service.fake.pages) == 2
    assert f"incident {after} took its place there" in await world.timeline(before)
    await ends(world)
    await world.fast_forward(minutes=10)
    assert service.shown() == ["resolved", "resolved"]


async def test_an_end_replayed_by_hand_does_not_end_the_next_incident(world: World, service: Service) -> None:
    """Somebody clears the dead letters of last night: what began since then goes on."""
    before = await fires(world)
    await world.fast_forward(minutes=1)
    service.fake.script.append(Reply(status=403))
    await ends(world)
    await world.fast_forward(minutes=15)
    after = await fires(world)
    (failed,) = [row for row in await world.notifications(before) if row["state"] == "failed"]

    response = await world.client.post(f"/api/v1/notifications/{failed['id']}/replay", json={})
    await world.settle()

    assert response.status_code == 200, response.text
    assert service.shown()[0] == "triggered"  # the other one is Tocsin's alarm about itself
    assert f"incident {after} took its place there" in await world.timeline(before)


async def test_what_was_never_tried_is_not_ended(world: World, service: Service) -> None:
    """While the service was out one began and ended unsaid: the next begins there as if it were the first."""
    service.fake.script.extend([DOWN] * 1000)
    await fires(world, "Other")
    await world.fast_forward(minutes=5)  # the service is left alone by now
    await world.alertmanager.sends(a_body(world, "DiskFull"), settle=False)
    await world.alertmanager.sends(a_body(world, "DiskFull", "resolved"), settle=False)
    world.clock.advance(minutes=15)
    await world.alertmanager.sends(a_body(world, "DiskFull"), settle=False)
    service.fake.script.clear()
    await world.fast_forward(minutes=10)

    assert service.shown() == ["triggered", "triggered"]
    assert len(service.fake.pages) == 2


async def test_an_end_on_its_way_is_waited_for(world: World, service: Service) -> None:
    """The page leaves when the end before it is answered, and not beside it."""
    await world.reload(ROUTING.format(receiver=service.receiver, reopen_within="1s"))
    await fires(world)
    await world.fast_forward(minutes=1)
    service.fake.script.extend([DOWN, Reply(delay=30)])
    await ends(world)
    world.clock.advance(seconds=5)
    await world.worker.deliver_due()  # the end is on its way once more, and answered late

    await world.alertmanager.sends(a_body(world, "DiskFull"), settle=False)
    await world.worker.deliver_due()

    (page,) = [row for row in await world.notifications(2) if row["reason"] == "first"]
    assert page["state"] == "owed"
    assert "the end of the incident before it is on its way" in page["why"]
    await service.fake.__aexit__()
    await world.worker.settle()
    await service.fake.__aenter__()
    await world.fast_forward(minutes=10)
    assert service.shown()[-1] == "triggered"


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_night_both_show_the_same(world: World, service: Service, seed: int) -> None:
    """Alerts come and go, people act, the service fails in every way: in the end it shows what is true."""
    luck = random.Random(seed)
    names = [f"Alert{number}" for number in range(4)]
    firing: dict[str, int] = {}
    for _ in range(40):
        name = luck.choice(names)
        service.fake.script.extend(
            luck.choices(
                [DOWN, Reply(is_reset=True), Reply(status=429), Reply(body=b"?")], k=luck.randint(0, 2)
            )
        )
        if luck.random() < 0.2:
            service.takes_but_says_nothing()
        if name not in firing:
            firing[name] = await fires(world, name)
        elif luck.random() < 0.5:
            await ends(world, name)
            del firing[name]
        else:
            verb = luck.choice(["acknowledge", "unacknowledge"])
            await world.act(firing[name], verb, actor="ana")
        await world.fast_forward(seconds=luck.choice([1, 20, 300]))
    service.fake.script.clear()
    for name in names:  # what was given up or held back is told with the next reminder
        if name in firing:
            await world.act(firing[name], "unacknowledge", actor="ana")
    await world.fast_forward(hours=5)

    assert service.open_titles() == sorted(firing)
    assert "triggered" not in {row["state"] for row in await world.incidents(state="resolved")}


async def test_a_page_that_was_sent_by_a_worker_that_died_is_ended(world: World, service: Service) -> None:
    """Nobody wrote down that it arrived; what may have begun there is ended there."""
    await world.alertmanager.sends(a_body(world, "DiskFull"), settle=False)
    claimed = await world.services.claim(Claim(world.clock.now(), 10))
    [page] = claimed.deliveries
    await deliver.send(
        page, world.services.channels, world.services.templates, world.clock,
        base_url="https://tocsin.example.org", signing_key=b"", uniform=max,
    )  # and it dies before `record`  # fmt: skip
    assert service.shown() == ["triggered"]

    await world.alertmanager.sends(a_body(world, "DiskFull", "resolved"))
    await world.fast_forward(minutes=5)

    assert service.shown() == ["resolved"]
