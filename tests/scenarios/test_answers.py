"""Answers that come in by a link, or from a service that must show who it is."""

from datetime import timedelta

import pytest

from receiver.policy.incident import Verb
from receiver.policy.links import LASTS, Link, sign
from tests.world import World

LINKED = "email ana@example.org"


def link(world: World, incident: int, verb: Verb = Verb.ACKNOWLEDGE) -> str:
    """Where a message leads."""
    now = world.clock.now()
    return f"/answer/{sign(Link(incident, verb, LINKED, now + LASTS), world.services.signing_key)}"


async def test_following_a_link_changes_nothing(world: World) -> None:
    """Mail scanners follow every link; only pressing the button does something."""
    incident = await world.alertmanager.fires("DiskFull")
    where = link(world, incident)

    shown = await world.client.get(where)
    head = await world.client.head(where)

    assert shown.status_code == head.status_code == 200
    assert 'action="/answer/' in shown.text
    assert "Acknowledge" in shown.text
    assert (await world.incident(incident))["state"] == "triggered"


async def test_pressing_the_button_does_it_and_says_from_where(world: World) -> None:
    """The timeline tells who answered, from where, and how long after the page."""
    incident = await world.alertmanager.fires("DiskFull")
    world.clock.advance(seconds=40)

    shown = await world.client.post(link(world, incident))
    await world.settle()

    assert "is on it" in shown.text
    assert 'action="/answer/' not in shown.text
    assert (await world.incident(incident))["acknowledged_by"] == LINKED
    assert "acknowledged, from an e-mail, 40 s after the page" in await world.timeline(incident)
    world.slack.expect("#ops", "DiskFull")
    world.slack.expect("#ops", f"acknowledged by {LINKED}, from an e-mail, 40 s after the page")


async def test_a_known_address_has_a_name(world: World) -> None:
    """Who is listed in `people` answers by name."""
    people = "people: [{name: ana, contacts: [{email: Ana@Example.org}]}]\nroute: {receiver: ops}\n"
    await world.routes(people)
    incident = await world.alertmanager.fires("DiskFull")

    await world.client.post(link(world, incident))

    assert (await world.incident(incident))["acknowledged_by"] == "ana"


async def test_pressing_twice_says_it_once(world: World) -> None:
    """The second press finds it done."""
    incident = await world.alertmanager.fires("DiskFull")
    where = link(world, incident, Verb.SNOOZE)

    await world.client.post(where)
    again = await world.client.post(where)

    assert again.status_code == 200
    assert (await world.timeline(incident)).count("snoozed: snoozed until") == 1


async def test_a_link_of_an_incident_that_is_over_offers_nothing(world: World) -> None:
    """There is no button for what makes no sense any more."""
    incident = await world.alertmanager.fires("DiskFull")
    await world.alertmanager.resolves("DiskFull")

    shown = await world.client.get(link(world, incident))

    assert "It is over" in shown.text
    assert 'action="/answer/' not in shown.text


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("token", ["x", "a.b", "%00", "é", "x" * 5000, "W10.AAAA"])
async def test_a_link_that_is_not_ours_is_refused_with_a_page(world: World, token: str, method: str) -> None:
    """A person sees what is wrong; nothing happens, and nothing crashes."""
    answer = await world.client.request(method, f"/answer/{token}")

    assert answer.status_code in {400, 404, 405, 410}


async def test_a_link_ends_after_a_week(world: World) -> None:
    """An old mail in a stolen mailbox opens nothing."""
    incident = await world.alertmanager.fires("DiskFull")
    where = link(world, incident)
    world.clock.advance(seconds=timedelta(days=7).total_seconds())

    answer = await world.client.post(where)

    assert answer.status_code == 410
    assert "too old" in answer.text
    assert (await world.incident(incident))["state"] == "triggered"


async def test_a_link_to_an_incident_that_is_gone_says_so(world: World) -> None:
    """History is pruned; its links then lead to words, not to an error."""
    answer = await world.client.post(link(world, 4711))

    assert answer.status_code == 410
    assert "no such incident" in answer.text


async def test_the_key_outlives_a_restart(world: World) -> None:
    """Nobody gave a secret key, so one was made, and is kept."""
    incident = await world.alertmanager.fires("DiskFull")
    where = link(world, incident)

    await world.restart()

    assert (await world.client.get(where)).status_code == 200


async def test_replicas_share_the_key(world: World) -> None:
    """A link made by one replica is understood by another."""
    async with world.another() as other:
        assert other.services.signing_key == world.services.signing_key


@pytest.mark.parametrize("kind", ["slack", "telegram", "pagerduty"])
@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"payload=%7B%7D", b'{"event": {}}'])
async def test_nobody_is_believed_without_a_signature(world: World, kind: str, body: bytes) -> None:
    """What does not show where it comes from gets 401 and is counted."""
    answer = await world.client.post(f"/webhooks/{kind}", content=body)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert await world.metric(f'tocsin_answers_total{{channel="{kind}",verb="forged"}}') >= 1


async def test_the_page_of_the_incident_says_who_answered_from_where(world: World) -> None:
    """Who looks at the incident later sees the same as who was told."""
    incident = await world.alertmanager.fires("DiskFull")
    world.clock.advance(seconds=40)

    await world.client.post(link(world, incident, Verb.SNOOZE))
    snoozed = (await world.client.get(f"/incidents/{incident}")).text
    await world.client.post(link(world, incident))
    acknowledged = (await world.client.get(f"/incidents/{incident}")).text

    assert "Snoozed" in snoozed
    assert "Snoozed</dt>" not in acknowledged
    assert "from an e-mail, 40 s after the page" in acknowledged
