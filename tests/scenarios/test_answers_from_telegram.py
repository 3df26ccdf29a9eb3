"""Whoever is told in Telegram answers from there, and nothing of ours need be reachable from outside."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from receiver.polling import LEASE, LOOK, TURN, Polling
from receiver.services import Services
from receiver.store.database import connect
from tests.fakes.telegram import ANA, GROUP, SUPERGROUP, TOKEN, FakeTelegram
from tests.world import RECEIVERS, World

BO = {"id": 200000002, "is_bot": False, "first_name": "Bo", "username": "bo"}
LEASE_NAME = "telegram:4711000001"


@pytest.fixture
async def telegram() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as telegram:
        yield telegram


async def told_by(world: World, telegram: FakeTelegram, chat_id: int = SUPERGROUP, more: str = "") -> None:
    """Have everything told in Slack and in a chat of Telegram."""
    await world.reload(
        "people: [{name: ana, contacts: [{telegram: 100000001}]}]"
        + RECEIVERS
        + f"""
  - name: both
    slack_configs: [{{channel: "#ops", app_token: "${{TOKEN}}", app_url: "${{SLACK}}", allow_private_addresses: true}}]
    telegram_configs: [{{bot_token: "{TOKEN}", chat_id: {chat_id}, api_url: "{telegram.api_url}",
                         allow_private_addresses: true, {more}}}]
route: {{receiver: both}}
"""
    )


@asynccontextmanager
async def listening(services: Services) -> AsyncIterator[Polling]:
    """Listen as `tocsin serve` does."""
    polling = Polling(services)
    task = asyncio.create_task(polling.run())
    try:
        yield polling
    finally:
        task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(task, return_exceptions=True)


async def test_a_press_is_heard_at_once_and_shown_everywhere(world: World, telegram: FakeTelegram) -> None:
    """Who pressed is known by name, and the others read from where and how soon."""
    await told_by(world, telegram)
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    world.clock.advance(seconds=40)

    async with listening(world.services):
        update = await telegram.press("Acknowledge")
        await telegram.until(lambda: telegram.toasts)
        await world.settle()

    assert telegram.toasts == {update["callback_query"]["id"]: "acknowledged; it is yours"}
    told = world.slack.expect("#ops", "acknowledged by ana, from Telegram, 40 s after the page", edited=True)
    assert "ana" in told.text
    first, reply = telegram.shown()
    assert first.text.startswith("👀 Acknowledged by ana")
    assert first.labels[:2] == ["↩️ Unacknowledge", "✅ Resolve"]
    assert (reply.reply_to, reply.is_silent) == (first.id, True)
    assert (await world.incident(incident))["acknowledged_by"] == "ana"


async def test_somebody_unknown_is_called_as_telegram_calls_them(
    world: World, telegram: FakeTelegram
) -> None:
    """Whoever is in the chat may answer."""
    await told_by(world, telegram)
    incident = await world.alertmanager.fires("DiskFull")

    async with listening(world.services):
        await telegram.press("Resolve", by=BO)
        await telegram.until(lambda: telegram.toasts)

    assert (await world.incident(incident))["state"] == "resolved"
    assert "resolved by hand" in await world.timeline(incident)


async def test_a_press_that_comes_twice_counts_once(world: World, telegram: FakeTelegram) -> None:
    """Telegram repeats what was not confirmed; what was done since is not undone."""
    await told_by(world, telegram)
    incident = await world.alertmanager.fires("DiskFull")

    async with listening(world.services):
        update = await telegram.press("Acknowledge")
        await telegram.until(lambda: telegram.toasts)
        await world.act(incident, "unacknowledge", actor="bo")
        asked = telegram.calls.count("getUpdates")
        await telegram.send_update(update | {"callback_query": update["callback_query"] | {"id": "again"}})
        await telegram.until(lambda: "again" in telegram.toasts)
        await telegram.until(lambda: telegram.calls.count("getUpdates") > asked)

    assert (await world.incident(incident))["state"] == "triggered"
    assert (await world.timeline(incident)).count("acknowledged: acknowledged") == 1


async def test_what_was_pressed_while_nobody_listened_is_heard_later(
    world: World, telegram: FakeTelegram
) -> None:
    """Telegram keeps it for a day."""
    await told_by(world, telegram)
    incident = await world.alertmanager.fires("DiskFull")
    await telegram.press("Acknowledge")
    await telegram.press("Snooze")

    async with listening(world.services):
        await telegram.until(lambda: len(telegram.toasts) == 2)

    assert (await world.incident(incident))["state"] == "acknowledged"


async def test_a_press_in_a_foreign_chat_does_nothing(world: World, telegram: FakeTelegram) -> None:
    """Anybody may write to a bot."""
    await told_by(world, telegram)
    incident = await world.alertmanager.fires("DiskFull")

    async with listening(world.services):
        await telegram.send_update(telegram.callback(f"resolve:{incident}", GROUP))
        await telegram.until(lambda: not telegram.updates and telegram.is_asked)

    assert (await world.incident(incident))["state"] == "triggered"
    assert telegram.toasts == {}


async def test_a_press_is_confirmed_only_when_it_is_on_disk(world: World, telegram: FakeTelegram) -> None:
    """While the database refuses it, Telegram keeps it."""
    await told_by(world, telegram)
    incident = await world.alertmanager.fires("DiskFull")
    url = world.services.settings.database_url

    async with listening(world.services):
        await telegram.until(lambda: telegram.is_asked)
        in_database(url, "ALTER TABLE heard RENAME TO heard_away")
        await telegram.press("Acknowledge")
        await until_asleep(world, 2)
        assert (len(telegram.updates), telegram.toasts) == (1, {})

        in_database(url, "ALTER TABLE heard_away RENAME TO heard")
        world.clock.advance(seconds=2)
        await telegram.until(lambda: telegram.toasts)
        await telegram.until(lambda: not telegram.updates)

    assert (await world.incident(incident))["state"] == "acknowledged"


async def test_in_a_group_that_moved_the_conversation_and_its_buttons_go_on(
    world: World, telegram: FakeTelegram
) -> None:
    """The operator reads the new chat_id in the answer of the attempt."""
    await told_by(world, telegram, GROUP)
    incident = await world.alertmanager.fires("DiskFull")
    new = telegram.migrate(GROUP)
    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(minutes=1)

    async with listening(world.services):
        await telegram.press("Acknowledge", new.id)
        await telegram.until(lambda: telegram.toasts)

    assert (await world.incident(incident))["state"] == "acknowledged"
    told = await world.notifications(incident, f"telegram {GROUP}")
    assert any(f"set chat_id: {new.id}" in attempt["answer"] for one in told for attempt in one["tries"])


async def test_of_two_replicas_one_asks_and_the_other_takes_over_when_it_stops(
    world: World, telegram: FakeTelegram
) -> None:
    """Two who ask at the same time would throw each other out."""
    await told_by(world, telegram)
    incident = await world.alertmanager.fires("DiskFull")
    if world.services.settings.database_url.startswith("sqlite"):
        return  # one process has the file
    async with world.another() as second, listening(second.services):
        async with listening(world.services):
            await telegram.until(lambda: telegram.is_asked)
            world.clock.advance(seconds=TURN)

        world.clock.advance(seconds=TURN)
        await telegram.press("Acknowledge")
        await telegram.until(lambda: telegram.toasts)

    assert telegram.conflicts == 0
    assert (await world.incident(incident))["state"] == "acknowledged"


async def test_a_replica_that_died_is_replaced_when_its_lease_has_run_out(
    world: World, telegram: FakeTelegram
) -> None:
    """Until then nobody asks, for it might still be alive."""
    await told_by(world, telegram)
    await world.alertmanager.fires("DiskFull")
    await world.services.hold(LEASE_NAME, "the dead", LEASE)

    async with listening(world.services) as polling:
        await polling.look()
        await until_asleep(world, 2)  # one waits for a change of routing.yaml, one for its turn
        assert "getUpdates" not in telegram.calls
        world.clock.advance(seconds=LEASE.total_seconds())
        await telegram.until(lambda: telegram.is_asked)


async def test_alone_on_a_database_nobody_waits_for_a_dead_process(
    world: World, telegram: FakeTelegram
) -> None:
    """On SQLite whoever held the lease is gone when a process starts."""
    await told_by(world, telegram)
    await world.services.hold(LEASE_NAME, "the dead", LEASE)

    await world.services.take_over()

    async with listening(world.services):
        await telegram.until(lambda: telegram.is_asked)


@pytest.mark.parametrize(
    ("code", "description"),
    [
        (
            409,
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
        ),
        (401, "Unauthorized"),
        (502, "Bad Gateway"),
    ],
)
async def test_what_keeps_us_from_hearing_is_tried_again(
    world: World, telegram: FakeTelegram, code: int, description: str
) -> None:
    """It waits longer and longer, and never gives up."""
    await told_by(world, telegram)
    for _ in range(3):
        telegram.refuses("getUpdates", code, description)

    async with listening(world.services):
        for failures in range(1, 4):
            await telegram.until(lambda tried=failures: telegram.calls.count("getUpdates") == tried)
            await until_asleep(world, 2)
            world.clock.advance(seconds=2**failures)
        await telegram.until(lambda: telegram.is_asked)


async def test_who_is_not_heard_for_long_is_told_so_until_it_is_over(
    world: World, telegram: FakeTelegram
) -> None:
    """Buttons that do nothing are a fault of ours; a hiccup is none."""
    await told_by(world, telegram)
    for _ in range(12):
        telegram.refuses("getUpdates", 409, "Conflict: terminated by other getUpdates request")

    async with listening(world.services):
        for tried in range(1, 9):
            await telegram.until(lambda tried=tried: telegram.calls.count("getUpdates") == tried)
            await until_asleep(world, 2)
            assert await world.alarms() == []
            world.clock.advance(seconds=2**tried)  # 2 + 4 + … + 128 are less than five minutes
        await telegram.until(lambda: telegram.calls.count("getUpdates") == 9)
        await until_asleep(world, 2)
        await world.settle()
        [alarm] = await world.alarms()
        world.slack.expect("#ops", "TocsinTelegramUnheard", "Conflict")

        for tried in range(10, 13):  # said again at each failure, it is one incident that goes on
            world.clock.advance(minutes=5)
            await telegram.until(lambda tried=tried: telegram.calls.count("getUpdates") == tried)
            await until_asleep(world, 2)
            await world.settle()
        assert [one["state"] for one in await world.alarms()] == ["triggered"]
        world.clock.advance(minutes=5)
        await telegram.until(lambda: telegram.is_asked)
        await world.fast_forward(minutes=16)

    assert alarm["labels"] == {
        "alertname": "TocsinTelegramUnheard",
        "bot": "4711000001",
        "severity": "critical",
    }
    assert [one["state"] for one in await world.alarms()] == ["resolved"]


async def test_a_service_that_is_out_is_asked_again_as_long_as_told(
    world: World, telegram: FakeTelegram
) -> None:
    """`retry_after` counts here as well."""
    await told_by(world, telegram)
    telegram.refuses("getUpdates", 429, "Too Many Requests: retry after 120", retry_after=120)

    async with listening(world.services):
        await telegram.until(lambda: telegram.calls.count("getUpdates") == 1)
        await until_asleep(world, 2)
        world.clock.advance(seconds=119)
        assert telegram.calls.count("getUpdates") == 1
        world.clock.advance(seconds=1)
        await telegram.until(lambda: telegram.is_asked)


async def test_a_change_of_routing_yaml_begins_and_ends_it(world: World, telegram: FakeTelegram) -> None:
    """A bot that nobody is told by any more is left alone, and its lease is free."""
    async with listening(world.services) as polling:
        await told_by(world, telegram)
        await polling.look()
        await telegram.until(lambda: telegram.is_asked)

        await world.routes("route: {receiver: ops}")
        await polling.look()

        await telegram.all_closed()
        assert await world.services.hold(LEASE_NAME, "another", LEASE)
        assert timedelta(seconds=5).total_seconds() > LOOK


async def test_before_it_asks_it_takes_a_webhook_away(world: World, telegram: FakeTelegram) -> None:
    """Telegram answers nobody while there is one."""
    telegram.webhook = {"url": "https://old.example.org/"}
    await told_by(world, telegram)

    async with listening(world.services):
        await telegram.until(lambda: telegram.is_asked)

    assert telegram.webhook is None


async def test_where_updates_are_off_nobody_is_asked_and_buttons_open_pages(
    world: World, telegram: FakeTelegram
) -> None:
    """The bot may belong to another program."""
    await told_by(world, telegram, more="updates: off")
    await world.alertmanager.fires("DiskFull")

    async with listening(world.services) as polling:
        await polling.look()
        await until_asleep(world, 1)

    assert telegram.calls == ["sendMessage"]
    assert "/answer/" in telegram.shown()[0].buttons[0][0]["url"]


async def test_by_webhook_a_press_comes_to_our_door(world: World, telegram: FakeTelegram) -> None:
    """The secret is what Telegram was told; the answer is shown to the person after ours."""
    await told_by(world, telegram, more="updates: webhook, webhook_secret: sesame_sesame")
    public = world.services.settings.model_copy(update={"public_url": "https://tocsin.example.org"})
    world.services.settings = public
    incident = await world.alertmanager.fires("DiskFull")

    async with listening(world.services):
        await telegram.until(lambda: telegram.webhook)
    assert telegram.webhook is not None
    assert telegram.webhook["url"] == "https://tocsin.example.org/webhooks/telegram"

    [[button], *_] = telegram.shown()[0].buttons
    update = telegram.callback(button["callback_data"], SUPERGROUP, telegram.shown()[0])
    shown = {"X-Telegram-Bot-Api-Secret-Token": telegram.webhook["secret_token"]}
    forged = await world.client.post("/webhooks/telegram", content=json.dumps(update))
    heard = await world.client.post("/webhooks/telegram", content=json.dumps(update), headers=shown)
    again = await world.client.post("/webhooks/telegram", content=json.dumps(update), headers=shown)

    assert [one.status_code for one in (forged, heard, again)] == [401, 200, 200]
    assert (await world.incident(incident))["acknowledged_by"] == "ana"
    assert (await world.timeline(incident)).count("acknowledged: acknowledged") == 1
    assert list(telegram.toasts.values()) == ["acknowledged; it is yours"]
    assert "getUpdates" not in telegram.calls


async def test_a_webhook_that_is_refused_is_said_and_left_alone(
    world: World, telegram: FakeTelegram, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person must change something: the address, or the way."""
    await told_by(world, telegram, more="updates: webhook, webhook_secret: sesame_sesame")

    async with listening(world.services) as polling:
        await polling.look()
        await until_asleep(world, 1)
    assert "set TOCSIN_PUBLIC_URL" in capsys.readouterr().out

    public = world.services.settings.model_copy(update={"public_url": "http://tocsin.example.org"})
    world.services.settings = public
    telegram.refuses("setWebhook", 400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
    async with listening(world.services):
        await telegram.until(lambda: "setWebhook" in telegram.calls)
        await until_asleep(world, 1)

    assert "An HTTPS URL must be provided" in capsys.readouterr().out
    assert telegram.calls == ["setWebhook"]


async def test_a_webhook_that_cannot_be_set_now_is_set_later(world: World, telegram: FakeTelegram) -> None:
    """Telegram may be out as we start."""
    await told_by(world, telegram, more="updates: webhook, webhook_secret: sesame_sesame")
    public = world.services.settings.model_copy(update={"public_url": "https://tocsin.example.org"})
    world.services.settings = public
    telegram.refuses("setWebhook", 502, "Bad Gateway")

    async with listening(world.services):
        await telegram.until(lambda: "setWebhook" in telegram.calls)
        await until_asleep(world, 2)
        world.clock.advance(seconds=2)
        await telegram.until(lambda: telegram.webhook)


async def test_a_bot_is_listened_to_as_soon_as_its_token_is_there(
    world: World, telegram: FakeTelegram, tmp_path: Path
) -> None:
    """Secrets are mounted when they are mounted."""
    file = tmp_path / "token"
    await told_by(world, telegram)
    routing = (
        (tmp_path / "routing.yaml").read_text().replace(f'bot_token: "{TOKEN}"', f"bot_token_file: {file}")
    )
    await world.reload(routing)

    async with listening(world.services) as polling:
        await polling.look()
        await until_asleep(world, 1)
        assert telegram.calls == []
        file.write_text(TOKEN)
        world.clock.advance(seconds=LOOK)
        await telegram.until(lambda: telegram.is_asked)


def in_database(url: str, statement: str) -> None:
    """Do to the database what nobody should."""
    engine = connect(url, writing=True)
    with engine.begin() as db:
        db.execute(text(statement))
    engine.dispose()


async def until_asleep(world: World, count: int) -> None:
    """Return when so many wait for the clock."""
    async with asyncio.timeout(30):  # a busy machine takes its time
        while len(world.clock._sleepers) < count:
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)


def test_the_people_of_these_stories_are_two():
    assert ANA["id"] != BO["id"]
