"""What people do in PagerDuty's app is done in Tocsin, and told everywhere."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.fakes.pagerduty import INTEGRATION, KEY, WEBHOOK_SECRET, FakePagerDuty, Paged
from tests.world import RECEIVERS, World


@pytest.fixture
async def pagerduty(world: World) -> AsyncIterator[FakePagerDuty]:
    """Everything goes to #ops and to PagerDuty, where ana is known."""
    async with FakePagerDuty() as pagerduty:
        keys = f"routing_key: {KEY}, webhook_secret: {WEBHOOK_SECRET}, url: {pagerduty.enqueue_url}"
        on_call = f"    pagerduty_configs: [{{{keys}, allow_private_addresses: true}}]\n  - name: dev"
        await world.reload(
            RECEIVERS.replace("  - name: dev", on_call, 1)
            + "route: {receiver: ops}\npeople: [{name: ana, contacts: [{pagerduty: PT23IWX}]}]\n"
        )
        yield pagerduty


async def press(world: World, pagerduty: FakePagerDuty, verb: str, **changes: Any) -> httpx.Response:
    """Do something in the app; return what PagerDuty's webhook is answered."""
    (incident,) = [one for one in pagerduty.incidents if one.status != "resolved"]
    return await post(world, pagerduty.press(incident, verb, at=world.clock.now(), **changes))


async def post(world: World, webhook: tuple[dict[str, str], bytes]) -> httpx.Response:
    headers, body = webhook
    response = await world.client.post("/webhooks/pagerduty", headers=headers, content=body)
    await world.settle()
    return response


def shown(pagerduty: FakePagerDuty) -> list[str]:
    return [one.status for one in pagerduty.incidents]


async def test_an_acknowledgement_is_known_everywhere(world: World, pagerduty: FakePagerDuty) -> None:
    """By name, from where, and how long after the page; and PagerDuty is not told what it said."""
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    world.clock.advance(seconds=40)

    answer = await press(world, pagerduty, "acknowledge")

    assert answer.status_code == 200
    assert (await world.incident(incident))["acknowledged_by"] == "ana"
    world.slack.expect("#ops", "acknowledged by ana, from PagerDuty, 40 s after the page")
    assert [one["event_action"] for one in pagerduty.events] == ["trigger"]


async def test_who_is_not_in_the_file_answers_by_the_name_there(
    world: World, pagerduty: FakePagerDuty
) -> None:
    incident = await world.alertmanager.fires("DiskFull")

    await press(
        world, pagerduty, "acknowledge", agent={"id": "PX", "summary": "Bo", "type": "user_reference"}
    )

    assert (await world.incident(incident))["acknowledged_by"] == "Bo"


async def test_what_ends_there_ends_here(world: World, pagerduty: FakePagerDuty) -> None:
    incident = await world.alertmanager.fires("DiskFull")

    await press(world, pagerduty, "resolve")

    assert (await world.incident(incident))["state"] == "resolved"
    assert shown(pagerduty) == ["resolved"]


async def test_what_is_given_back_there_is_not_opened_twice(world: World, pagerduty: FakePagerDuty) -> None:
    """PagerDuty pages whom it wants already; Tocsin's own way, to end it and begin anew, would page twice."""
    incident = await world.alertmanager.fires("DiskFull")
    await press(world, pagerduty, "acknowledge")

    await press(world, pagerduty, "unacknowledge")

    assert (await world.incident(incident))["state"] == "triggered"
    assert shown(pagerduty) == ["triggered"]
    assert len(pagerduty.pages) == 1


async def test_what_is_given_back_here_pages_there(world: World, pagerduty: FakePagerDuty) -> None:
    incident = await world.alertmanager.fires("DiskFull")
    await press(world, pagerduty, "acknowledge")

    await world.act(incident, "unacknowledge", actor="bo")

    assert shown(pagerduty) == ["resolved", "triggered"]
    await press(world, pagerduty, "acknowledge")
    assert (await world.incident(incident))["state"] == "acknowledged"


async def test_an_event_told_twice_is_done_once(world: World, pagerduty: FakePagerDuty) -> None:
    """PagerDuty delivers at least once; a late copy must not take an incident that was given back."""
    incident = await world.alertmanager.fires("DiskFull")
    (there,) = pagerduty.incidents
    webhook = pagerduty.press(there, "acknowledge", at=world.clock.now())
    await post(world, webhook)
    await world.act(incident, "unacknowledge", actor="ana")

    answer = await post(world, webhook)

    assert answer.status_code == 200
    assert (await world.incident(incident))["state"] == "triggered"
    await world.acknowledge(incident)
    assert shown(pagerduty)[-1] == "acknowledged"  # the copy did not make us believe that it was


async def test_our_own_events_do_not_come_back(world: World, pagerduty: FakePagerDuty) -> None:
    """What our integration did is told by the webhook as well; it must not end the next incident."""
    incident = await world.alertmanager.fires("DiskFull")
    (there,) = pagerduty.incidents

    answer = await post(world, pagerduty.press(there, "resolve", agent=INTEGRATION, at=world.clock.now()))

    assert answer.status_code == 200
    assert (await world.incident(incident))["state"] == "triggered"


async def test_a_forged_event_does_nothing(world: World, pagerduty: FakePagerDuty) -> None:
    """Signed with another secret, or not at all: refused, and nothing of it is shown."""
    incident = await world.alertmanager.fires("DiskFull")

    forged = await press(world, pagerduty, "acknowledge", secrets=("another",))
    headers, body = pagerduty.webhook("incident.resolved", {"incident_key": "x"})
    del headers["X-PagerDuty-Signature"]
    bare = await post(world, (headers, body))

    assert forged.status_code == bare.status_code == 401
    assert WEBHOOK_SECRET not in forged.text + bare.text
    assert (await world.incident(incident))["state"] == "triggered"


async def test_what_pagerduty_opened_itself_is_none_of_ours(world: World, pagerduty: FakePagerDuty) -> None:
    """An incident by hand, or of another integration, has a key that Tocsin never said."""
    incident = await world.alertmanager.fires("DiskFull")
    other = Paged(number=99, routing_key=KEY, dedup_key="by-hand", payload={"summary": "by hand"})

    answer = await post(world, pagerduty.press(other, "resolve", at=world.clock.now()))

    assert answer.status_code == 200
    assert (await world.incident(incident))["state"] == "triggered"


async def test_a_test_of_the_webhook_is_answered(world: World, pagerduty: FakePagerDuty) -> None:
    assert (await post(world, pagerduty.webhook("pagey.ping", {"message": "Hello"}))).status_code == 200


async def test_a_late_resolve_does_not_end_what_began_anew(world: World, pagerduty: FakePagerDuty) -> None:
    """PagerDuty sends again for minutes what we could not take; the incident may fire again meanwhile."""
    incident = await world.alertmanager.fires("DiskFull")
    (paged,) = pagerduty.incidents
    late = pagerduty.press(paged, "resolve", at=world.clock.now())
    await world.alertmanager.resolves("DiskFull")
    world.clock.advance(seconds=300)
    assert await world.alertmanager.fires("DiskFull") == incident

    await post(world, late)

    assert (await world.incident(incident))["state"] == "triggered"


async def test_a_late_acknowledgement_does_not_undo_what_came_after(
    world: World, pagerduty: FakePagerDuty
) -> None:
    """Taken and given back; the first of the two comes a second time, as another event, minutes later."""
    incident = await world.alertmanager.fires("DiskFull")
    (paged,) = pagerduty.incidents
    late = pagerduty.press(paged, "acknowledge", at=world.clock.now())
    world.clock.advance(seconds=120)
    await world.acknowledge(incident)
    await world.act(incident, "unacknowledge", actor="ana")

    await post(world, late)

    assert (await world.incident(incident))["state"] == "triggered"
