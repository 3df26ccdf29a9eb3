"""Whoever is told in Slack answers from there: by a button that answers, or by one that opens a page."""

from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from tests.fakes.http import Request
from tests.fakes.slack import SIGNING_SECRET, buttons_of, words_of
from tests.world import RECEIVERS, World

BO = ("U00000002", "bo.b")
PEOPLE = "people: [{name: ana, contacts: [{slack: U00000001}]}]\n"
INTERACTIVE = f"""
  - name: answering
    slack_configs: [{{channel: "#ops", app_token: "${{TOKEN}}", app_url: "${{SLACK}}", allow_private_addresses: true,
                     signing_secret: {SIGNING_SECRET}}}]
  - name: silent
    slack_configs: [{{api_url: "${{WEBHOOK}}", allow_private_addresses: true}}]
"""


async def told_by(world: World, receiver: str) -> None:
    """Have everything told to one of the two."""
    text = PEOPLE + RECEIVERS + INTERACTIVE.replace("${WEBHOOK}", world.slack.webhook_url)
    await world.reload(f"{text}route: {{receiver: {receiver}}}\n")


async def posted(world: World, request: Request) -> httpx.Response:
    """What Tocsin answers Slack; what follows is done."""
    response = await world.client.post(request.path, headers=dict(request.headers), content=request.body)
    await world.settle()
    return response


async def presses(world: World, label: str, by: tuple[str, str] = ("U00000001", "ana.a")) -> httpx.Response:
    return await posted(world, world.slack.press(label, at=world.clock.now(), by=by))


def labels(world: World) -> list[str]:
    return [button["text"]["text"] for button in buttons_of(world.slack.main_messages()[0])]


async def test_a_press_is_shown_to_everybody_with_who_and_how_soon(world: World) -> None:
    """The message changes, its thread says what happened, and who pressed is answered alone."""
    await told_by(world, "answering")
    await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    world.clock.advance(seconds=40)

    answer = await presses(world, "Acknowledge")

    assert (answer.status_code, answer.content) == (200, b"")
    said = "acknowledged by ana, from Slack, 40 s after the page"
    told = world.slack.expect("#ops", said, "*ana* is on it", edited=True)
    assert said in told.reply
    assert [one["text"] for one in world.slack.whispers] == ["acknowledged; it is yours"]
    assert labels(world) == ["Unacknowledge", "Resolve", "Open in Tocsin"]


async def test_who_is_not_listed_is_called_as_slack_calls_them(world: World) -> None:
    """An answer counts whoever gave it; whoever can read the channel may answer."""
    await told_by(world, "answering")
    incident = await world.alertmanager.fires("DiskFull")

    await presses(world, "Acknowledge", by=BO)

    assert (await world.incident(incident))["acknowledged_by"] == "bo.b"


async def test_two_who_press_at_once_are_one_who_is_on_it(world: World) -> None:
    """The second one hears who was first; nobody else hears anything."""
    await told_by(world, "answering")
    incident = await world.alertmanager.fires("DiskFull")
    first, second = (
        world.slack.press("Acknowledge", at=world.clock.now(), by=who) for who in (("U00000001", "ana"), BO)
    )

    await posted(world, first)
    before = len(world.slack.told)
    await posted(world, second)

    assert (await world.incident(incident))["acknowledged_by"] == "ana"
    assert world.slack.whispers[-1]["text"] == "ana is on it"
    assert len(world.slack.told) == before


async def test_a_press_that_comes_again_changes_nothing(world: World) -> None:
    """Who copies a request may send it again for five minutes; it counts once."""
    await told_by(world, "answering")
    incident = await world.alertmanager.fires("DiskFull")
    press = world.slack.press("Acknowledge", at=world.clock.now())
    await posted(world, press)
    await presses(world, "Unacknowledge")

    answer = await posted(world, press)

    assert answer.status_code == 200
    assert (await world.incident(incident))["state"] == "triggered"


@pytest.mark.parametrize("minutes", [-6, 6])
async def test_a_press_of_another_time_is_refused(world: World, minutes: int) -> None:
    """After five minutes a copied request is worth nothing, and neither is one from the future."""
    await told_by(world, "answering")
    incident = await world.alertmanager.fires("DiskFull")
    press = world.slack.press("Resolve", at=world.clock.now() - timedelta(minutes=minutes))

    answer = await posted(world, press)

    assert answer.status_code == 401
    assert (await world.incident(incident))["state"] == "triggered"


async def test_a_press_that_somebody_else_signed_is_refused(world: World) -> None:
    """Whoever can reach the port cannot answer for others."""
    await told_by(world, "answering")
    incident = await world.alertmanager.fires("DiskFull")

    answer = await posted(world, world.slack.press("Resolve", at=world.clock.now(), secret="a guess"))

    assert answer.status_code == 401
    assert (await world.incident(incident))["state"] == "triggered"
    assert world.slack.whispers == []


async def test_a_snooze_and_an_end_by_button(world: World) -> None:
    """What is offered follows the state; what is over offers nothing."""
    await told_by(world, "answering")
    incident = await world.alertmanager.fires("DiskFull")

    await presses(world, "Snooze 1 h")
    snoozed = words_of(world.slack.main_messages()[0])
    await presses(world, "Resolve")
    await world.fast_forward(seconds=30)

    assert "Snoozed until 2026-11-20 04:12 UTC" in snoozed
    assert (await world.incident(incident))["state"] == "resolved"
    assert labels(world) == ["Open in Tocsin"]


async def test_a_press_on_an_incident_that_is_gone_is_answered(world: World) -> None:
    """History is pruned, messages stay."""
    await told_by(world, "answering")
    await world.alertmanager.fires("DiskFull")
    message = world.slack.main_messages()[0]
    old = next(button for button in buttons_of(message) if button["action_id"] == "acknowledge")
    old["value"] = "acknowledge:4711"

    answer = await presses(world, "Acknowledge")

    assert answer.status_code == 200
    assert world.slack.whispers[-1]["text"] == "there is no such incident any more"


async def test_a_button_of_a_webhook_opens_a_page_that_asks(world: World) -> None:
    """Without an app that answers, the button leads to us; and following it changes nothing yet."""
    await told_by(world, "silent")
    incident = await world.alertmanager.fires("DiskFull")
    buttons = buttons_of(world.slack.posted[0])
    where = next(urlsplit(one["url"]).path for one in buttons if one["action_id"] == "acknowledge")

    shown = await world.client.get(where)
    state = (await world.incident(incident))["state"]
    await world.client.post(where)
    await world.fast_forward(seconds=30)

    assert 'action="/answer/' in shown.text
    assert state == "triggered"
    assert (await world.incident(incident))["state"] == "acknowledged"
    assert "acknowledged by" in words_of(world.slack.posted[1])
