"""Slack waits three seconds for an answer and PagerDuty five, however slow the database is."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from receiver.store.database import Db
from receiver.web import answers
from tests.fakes.http import Request
from tests.fakes.pagerduty import KEY, WEBHOOK_SECRET, FakePagerDuty
from tests.fakes.slack import SIGNING_SECRET
from tests.fakes.telegram import SUPERGROUP, TOKEN, FakeTelegram
from tests.web.service import Box
from tests.world import World

AT_MOST = 30  # seconds that a test which fails goes on
TELEGRAM_SECRET = "sesame_sesame"


@asynccontextmanager
async def held_up(world: World) -> AsyncIterator[Callable[[], None]]:
    """Have a commit take as long as the test wants; yield what ends it."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(_db: Db, items: Sequence[Any]) -> Sequence[Any]:
        begun.set()
        go_on.wait(AT_MOST)
        return items

    slow = world.services.writer.submit(wait, None)
    await asyncio.to_thread(begun.wait, AT_MOST)
    try:
        yield go_on.set
    finally:
        go_on.set()
        await slow


@asynccontextmanager
async def posting(world: World) -> AsyncIterator[Callable[[Request], Any]]:
    """Yield what posts as over a socket: the answer is there before what follows it."""
    async with (
        Box(world.services, world.client, world.clock).listening() as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=AT_MOST) as client,
    ):
        yield lambda one: client.post(one.path, headers=dict(one.headers), content=one.body)


@contextmanager
def gone(world: World) -> Iterator[None]:
    """Have the database take nothing."""
    engine = world.services.writer.engine

    def refuse(_db: Db) -> None:
        raise OperationalError("BEGIN", {}, ConnectionError("the database is away"))

    event.listen(engine, "begin", refuse)
    try:
        yield
    finally:
        event.remove(engine, "begin", refuse)


async def whispered(world: World) -> str:
    """Return what Slack told the person who pressed, as soon as it is told."""
    async with asyncio.timeout(AT_MOST):
        await world.slack.whispered.wait()
    return str(world.slack.whispers[0]["text"])


async def interactive(world: World) -> None:
    """Have Slack tell us which buttons are pressed."""
    await world.reload(
        f"""
receivers:
  - name: ops
    slack_configs: [{{channel: "#ops", app_token: "${{TOKEN}}", app_url: "${{SLACK}}", allow_private_addresses: true,
                     signing_secret: {SIGNING_SECRET}}}]
route: {{receiver: ops}}
"""
    )


def test_we_answer_before_anybody_gives_up() -> None:
    """The way to us and back takes time as well."""
    assert answers.IN_TIME <= 2.0


async def test_slack_is_answered_in_time_and_the_person_when_it_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack never sends a press again; what is not on disk yet is not called done."""
    await interactive(world)
    incident = await world.alertmanager.fires("DiskFull")
    monkeypatch.setattr(answers, "IN_TIME", 0.1)

    async with posting(world) as post, held_up(world) as go_on:
        answer = await post(world.slack.press("Acknowledge", at=world.clock.now()))
        early = list(world.slack.whispers)
        go_on()
        said = await whispered(world)

    assert (answer.status_code, answer.content, early) == (200, b"", [])
    assert said == "acknowledged; it is yours"
    assert (await world.incident(incident))["state"] == "acknowledged"


async def test_who_pressed_hears_that_it_did_not_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack was answered, and then the database did not take it: the person alone can press again."""
    await interactive(world)
    incident = await world.alertmanager.fires("DiskFull")
    monkeypatch.setattr(answers, "IN_TIME", 0.1)

    async with posting(world) as post, held_up(world) as go_on:
        answer = await post(world.slack.press("Acknowledge", at=world.clock.now()))
        with gone(world):
            go_on()
            said = await whispered(world)

    assert answer.status_code == 200
    assert said == "it could not be taken; press the button again"
    assert (await world.incident(incident))["state"] == "triggered"


async def test_pagerduty_is_asked_to_send_it_again_and_it_counts_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken after all, and what comes again changes nothing."""
    async with FakePagerDuty() as pagerduty:
        keys = f"routing_key: {KEY}, webhook_secret: {WEBHOOK_SECRET}, url: {pagerduty.enqueue_url}"
        await world.reload(
            f"receivers: [{{name: ops, pagerduty_configs: [{{{keys}, allow_private_addresses: true}}]}}]\n"
            "route: {receiver: ops}\n"
        )
        incident = await world.alertmanager.fires("DiskFull")
        headers, body = pagerduty.press(pagerduty.incidents[0], "acknowledge", at=world.clock.now())
        webhook = Request("POST", "/webhooks/pagerduty", headers, body)
        monkeypatch.setattr(answers, "IN_TIME", 0.1)

        async with posting(world) as post, held_up(world):
            slow = await post(webhook)
        monkeypatch.undo()
        again = await world.client.post(webhook.path, headers=headers, content=body)
        await world.settle()

    assert (slow.status_code, slow.headers["Retry-After"], again.status_code) == (503, "5", 200)
    assert (await world.incident(incident))["state"] == "acknowledged"
    assert (await world.timeline(incident)).count("acknowledged, from PagerDuty") == 1


async def test_telegram_is_asked_to_send_it_again_and_it_counts_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for a bot whose buttons come by a webhook."""
    async with FakeTelegram() as telegram:
        keys = f'bot_token: "{TOKEN}", chat_id: {SUPERGROUP}, updates: webhook, api_url: "{telegram.api_url}"'
        await world.reload(
            f"receivers: [{{name: ops, telegram_configs: [{{{keys}, webhook_secret: {TELEGRAM_SECRET},"
            " allow_private_addresses: true}]}]\nroute: {receiver: ops}\n"
        )
        incident = await world.alertmanager.fires("DiskFull")
        [message] = telegram.shown()
        update = telegram.callback(message.buttons[0][0]["callback_data"], SUPERGROUP, message)
        shown = {"X-Telegram-Bot-Api-Secret-Token": TELEGRAM_SECRET}
        webhook = Request("POST", "/webhooks/telegram", shown, json.dumps(update).encode())
        monkeypatch.setattr(answers, "IN_TIME", 0.1)

        async with posting(world) as post, held_up(world):
            slow = await post(webhook)
        monkeypatch.undo()
        again = await world.client.post(webhook.path, headers=dict(webhook.headers), content=webhook.body)
        await world.settle()

    assert (slow.status_code, again.status_code) == (503, 200)
    assert list(telegram.toasts.values()) == ["acknowledged; it is yours"]
    assert (await world.timeline(incident)).count("acknowledged, from Telegram") == 1
