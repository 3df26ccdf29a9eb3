"""A service fails again and again: it is given up for a while, probed, and taken up again."""

import asyncio
from contextlib import AsyncExitStack

from receiver.pipeline.admit import Claim
from tests.fakes.http import FakeHttp, Reply
from tests.world import DOWN, World

MANY = [f"Alert{n:02d}" for n in range(15)]
PATIENCE = 4  # seconds; less than what hangs is given
HOOK = """
route:
  receiver: hook
"""


def mixed(*receivers: str) -> str:
    routes = ", ".join(f"{{receiver: {name}, continue: true}}" for name in receivers)
    return f"route: {{receiver: ops, routes: [{routes}]}}\n"


async def test_a_service_that_fails_is_only_probed(world: World) -> None:
    """After five failures in a row nothing but a probe is tried, ever less often, however much waits."""
    await world.routes(HOOK)
    world.webhook.broken = DOWN
    await world.alertmanager.storm(MANY, severity="warning")
    tried = len(world.webhook.requests)
    assert tried == len(MANY)  # all at once, before the first answer

    await world.alertmanager.storm([f"More{n}" for n in range(50)], severity="warning")
    await world.fast_forward(minutes=10)

    assert len(world.webhook.requests) - tried <= 26
    assert await world.metric("tocsin_open_breakers") == 1
    ready = await world.client.get("/health/ready")
    assert ready.status_code == 200


async def test_what_waited_goes_out_when_the_service_is_back(world: World) -> None:
    """One probe arrives, and all that waited follows at once, without waiting out its own back-off."""
    await world.routes(HOOK)
    world.webhook.broken = DOWN
    await world.alertmanager.storm(MANY, severity="warning")
    await world.fast_forward(minutes=10)
    world.webhook.broken = None
    await world.fast_forward(seconds=31)

    assert len(world.webhook.bodies) == len(MANY)
    assert await world.metric("tocsin_open_breakers") == 0
    opened = await world.metric('tocsin_breaker_total{happening="opened"')
    assert opened >= 1


async def test_a_page_behind_an_open_breaker_says_why_it_waits(world: World) -> None:
    """Who asks why nobody was told finds the answer at the incident."""
    await world.routes(HOOK)
    world.webhook.broken = DOWN
    await world.alertmanager.storm(MANY, severity="warning")
    await world.fast_forward(minutes=2)
    incident = await world.alertmanager.fires("Late", severity="warning")
    await world.fast_forward(seconds=8)

    [page] = await world.notifications(incident)
    if page["attempts"] == 0:
        assert "fails again and again" in page["why"]
        assert "fails again and again" in await world.timeline(incident)


async def test_critical_is_probed_first(world: World) -> None:
    """The probe is the critical page: it is the first that arrives."""
    await world.routes(HOOK)
    world.webhook.broken = DOWN
    await world.alertmanager.storm(MANY, severity="warning")
    await world.fast_forward(minutes=2)
    incident = await world.alertmanager.fires("Fire", severity="critical")
    world.webhook.broken = None
    await world.fast_forward(minutes=1)

    assert world.webhook.bodies[0]["incident"]["id"] == incident


async def test_other_services_do_not_suffer(world: World) -> None:
    """An open breaker of one service keeps no other one from being told."""
    await world.routes(mixed("hook", "ops"))
    world.webhook.broken = DOWN
    await world.alertmanager.storm(MANY[:6], severity="warning")
    await world.fast_forward(minutes=1)

    assert len(world.slack.told) == 6


async def test_a_refusal_opens_no_breaker(world: World) -> None:
    """What one destination refuses says nothing about its service."""
    await world.routes(HOOK)
    world.webhook.broken = Reply(status=404)
    await world.alertmanager.storm(MANY, severity="warning")

    assert await world.metric("tocsin_open_breakers") == 0


async def test_a_breaker_is_shared_by_replicas(world: World) -> None:
    """What one process found out, another need not find out again."""
    await world.routes(HOOK)
    world.webhook.broken = DOWN
    await world.alertmanager.storm(MANY, severity="warning")
    tried = len(world.webhook.requests)
    async with world.another() as other:
        await world.alertmanager.storm(["One", "Two", "Three"], severity="warning")
        await other.work()

    assert len(world.webhook.requests) == tried


async def test_a_service_that_routing_yaml_lost_is_forgotten(world: World) -> None:
    """Nothing is said for ever of a service that is not used any more."""
    await world.routes(HOOK)
    world.webhook.broken = DOWN
    await world.alertmanager.storm(MANY, severity="warning")
    assert await world.metric("tocsin_open_breakers") == 1

    text = "receivers: [{name: ops, console_configs: [{}]}]\nroute: {receiver: ops}\n"
    await world.reload(text)

    assert await world.metric("tocsin_open_breakers") == 0


async def test_the_fallback_hears_of_what_is_late(world: World) -> None:
    """After fallback_after the fallback is told as well, once, and the page is tried on."""
    await world.routes(HOOK + "fallback_after: 5m\n")
    world.webhook.broken = DOWN
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.fast_forward(minutes=4, seconds=59)
    world.slack.expect_nothing()
    await world.fast_forward(seconds=2)
    world.slack.expect("#fallback", "DiskFull", "could not be reached")
    await world.fast_forward(minutes=30)
    world.slack.expect_nothing()

    world.webhook.broken = None
    await world.fast_forward(minutes=5)

    [page, *_] = await world.notifications(incident)
    assert page["state"] == "sent"
    assert (
        "could not be told for 5 min; tried on, and slack #fallback is told as well"
        in await world.timeline(incident)
    )


async def test_what_is_acknowledged_needs_no_fallback(world: World) -> None:
    """Where somebody is on it, nobody else is woken because another cannot be told."""
    await world.routes(HOOK + "fallback_after: 5m\n")
    world.webhook.broken = DOWN
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.acknowledge(incident)
    await world.fast_forward(minutes=30)

    world.slack.expect_nothing()


async def test_what_waits_for_its_hours_is_not_late(world: World) -> None:
    """A page that may not be told yet tells no fallback that it was not."""
    await world.routes("""
time_intervals: [{name: day, time_intervals: [{times: [{start_time: "09:00", end_time: "17:00"}]}]}]
route: {receiver: ops, routes: [{matchers: ['severity="warning"'], active_time_intervals: [day]}]}
fallback_after: 5m
""")
    await world.alertmanager.fires("DiskFull", severity="warning")
    await world.fast_forward(hours=5)

    world.slack.expect_nothing()


async def test_a_probe_that_is_let_go_is_followed_by_another(world: World) -> None:
    """A process that ends while it probes leaves the next probe to others, at once."""
    await world.routes(HOOK)
    world.webhook.broken = DOWN
    await world.alertmanager.storm(MANY, severity="warning")
    world.webhook.broken = None
    world.clock.advance(seconds=60)

    claimed = await world.services.claim(Claim(world.clock.now(), 64))
    [probe] = [one for one in claimed.deliveries if one.probes is not None]
    assert len(claimed.deliveries) == 1
    await world.services.release(probe)
    await world.fast_forward(seconds=1)

    assert len(world.webhook.bodies) == len(MANY)


async def test_services_that_hang_leave_room_for_others(world: World) -> None:
    """Eight services that take requests and never answer, and a ninth is told all the same, at once."""
    async with AsyncExitStack() as stack:
        hung = [await stack.enter_async_context(FakeHttp()) for _ in range(8)]
        for server in hung:
            server.script.extend([Reply(is_never=True)] * 200)
        receivers = [
            f'  - {{name: hung{n}, webhook_configs: [{{url: "{server.url()}", timeout: 5s, allow_private_addresses: true}}]}}'
            for n, server in enumerate(hung)
        ]
        routes = [f"    - {{receiver: hung{n}, continue: true}}" for n in range(len(hung))]
        text = "\n".join([*receivers, "route:", "  receiver: ops", "  routes:", *routes])
        await world.routes(text + "\n    - {matchers: ['team=\"dev\"'], receiver: hook}\n")
        for n in range(64):
            await world.alertmanager.fires(f"Hung{n}", settle=False, severity="warning")
        for _ in range(12):
            await world.worker.deliver_due()
        assert world.worker.under_way > 180

        await world.alertmanager.fires("Well", settle=False, severity="warning", team="dev")
        await world.alertmanager.fires("Fire", settle=False, severity="critical", team="dev")
        async with asyncio.timeout(PATIENCE):
            while len(world.webhook.bodies) < 2:
                await world.worker.deliver_due()

        assert {body["incident"]["title"].split(" ")[0] for body in world.webhook.bodies} == {"Well", "Fire"}
        await world.worker.settle()


async def test_breakers_that_nothing_waits_behind_keep_no_other_from_being_probed(world: World) -> None:
    """Four services broke and nothing is owed to them any more: a fifth is probed, and taken up again."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(FakeHttp()) for _ in range(5)]
        servers.sort(key=lambda server: f"webhook {server.url()}")  # the last one has the last turn
        for server in servers:
            server.script.extend([DOWN] * 200)
        receivers = [
            f'  - {{name: hook{n}, webhook_configs: [{{url: "{server.url()}", allow_private_addresses: true}}]}}'
            for n, server in enumerate(servers)
        ]
        routes = [f"    - {{matchers: ['to=\"{n}\"'], receiver: hook{n}}}" for n in range(len(servers))]
        await world.routes("\n".join([*receivers, "route:", "  receiver: ops", "  routes:", *routes]))
        for n in range(4):
            names = [f"Old{n}{m}" for m in range(6)]
            await world.alertmanager.storm(names, severity="warning", to=str(n))
            await world.alertmanager.calm(names)
        await world.fast_forward(minutes=10)
        assert await world.metric("tocsin_open_breakers") == 4
        await world.alertmanager.storm([f"New{m}" for m in range(6)], severity="critical", to="4")
        assert await world.metric("tocsin_open_breakers") == 5

        last = servers[-1]
        last.script.clear()
        before = len(last.requests)
        await world.fast_forward(minutes=1)

        assert len(last.requests) - before == 6
        assert await world.metric("tocsin_open_breakers") == 4
