"""What a digest told is shown by each message of its own, too, without a sound."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.http import Reply
from tests.fakes.slack import buttons_of, words_of
from tests.fakes.telegram import SUPERGROUP, TOKEN, FakeTelegram
from tests.world import RECEIVERS, Told, World

MANY = [f"Alert{n:02d}" for n in range(30)]


@pytest.fixture
async def telegram(world: World) -> AsyncIterator[FakeTelegram]:
    """Everything goes to Slack and to Telegram, and of thirty incidents each was told of one by one."""
    async with FakeTelegram() as telegram:
        await world.reload(
            RECEIVERS
            + f"""
  - name: both
    slack_configs: [{{channel: "#ops", app_token: "${{TOKEN}}", app_url: "${{SLACK}}", allow_private_addresses: true}}]
    telegram_configs: [{{bot_token: "{TOKEN}", chat_id: {SUPERGROUP}, api_url: "{telegram.api_url}",
                         allow_private_addresses: true}}]
route: {{receiver: both}}
"""
        )
        for some in (MANY[:15], MANY[15:]):
            await world.alertmanager.storm(some, severity="warning")
            await world.fast_forward(minutes=1)
        assert len(world.slack.told) == len(telegram.shown()) == len(MANY)
        world.slack.told.clear()
        world.slack.unseen.clear()
        yield telegram


def heard(world: World) -> list[Told]:
    """Return what made somebody in Slack look up: new messages, and what threads show in the channel."""
    return [one for one in world.slack.told if not one.edited or one.broadcast]


def in_slack(world: World) -> list[str]:
    """Return what each message looks like that is not a digest."""
    messages = [words_of(one) for one in world.slack.main_messages()]
    return [text for text in messages if "incidents" not in text.splitlines()[0]]


def in_telegram(telegram: FakeTelegram) -> list[str]:
    """Return the same of a chat, with the buttons."""
    return [
        "\n".join([one.text, *one.labels])
        for one in telegram.shown()
        if "incidents" not in one.text.splitlines()[0] and one.reply_to is None
    ]


async def test_messages_of_what_is_over_look_so(world: World, telegram: FakeTelegram) -> None:
    """Whoever scrolls up finds no red message that is over, and no button for it."""
    ids = await world.alertmanager.calm(MANY)
    await world.fast_forward(seconds=45)  # the last were told late, and news keep their distance
    loud, messages = len(heard(world)), len(telegram.shown())
    assert any("Resolve" in text for text in in_telegram(telegram))  # the digest was first, edits have time

    await world.fast_forward(minutes=5)

    assert (len(in_slack(world)), len(in_telegram(telegram))) == (len(MANY), len(MANY))
    for text in [*in_slack(world), *in_telegram(telegram)]:
        assert "✅ Resolved" in text
        assert "Acknowledge" not in text
    assert not [
        one for message in world.slack.main_messages() for one in buttons_of(message) if "value" in one
    ]
    assert (len(heard(world)), len(telegram.shown())) == (loud, messages)
    assert "slack #ops: its message was brought up to date" in await world.timeline(ids[-1])


async def test_news_go_before_edits(world: World, telegram: FakeTelegram) -> None:
    """Edits take half of what may be sent, so what fires meanwhile is told at once."""
    await world.alertmanager.calm(MANY)
    await world.fast_forward(seconds=40)  # after a digest all keep their distance

    for name in ("One", "Two", "Three"):
        await world.alertmanager.fires(name, severity="warning")
        assert name in "\n".join(in_slack(world))
        assert name in "\n".join(in_telegram(telegram))
        await world.fast_forward(seconds=10)

    assert any("Acknowledge" in text and "Alert" in text for text in in_slack(world))  # they still go on


async def test_what_was_edited_by_news_is_not_edited_again(world: World, telegram: FakeTelegram) -> None:
    """What fires again shows so at once, and stays so."""
    await world.alertmanager.calm(MANY)
    await world.fast_forward(seconds=5)
    incident = await world.alertmanager.fires(MANY[-1], severity="warning")
    await world.fast_forward(minutes=5)

    states = [(row["reason"], row["state"]) for row in await world.notifications(incident)]
    assert ("outdated", "sent") not in states
    [shown] = [text for text in in_telegram(telegram) if MANY[-1] in text]
    assert "Acknowledge" in shown


@pytest.mark.usefixtures("telegram")
async def test_a_message_that_was_deleted_is_left_alone(world: World) -> None:
    """An edit never becomes a new message, and that it cannot be made is no reason to page anybody."""
    ids = await world.alertmanager.calm(MANY)
    await world.fast_forward(seconds=5)
    for key in list(world.slack.messages):
        world.slack.delete(*key)
    before = len(heard(world))
    await world.fast_forward(minutes=5)

    assert len(heard(world)) == before
    assert await world.alarms() == []
    rows = [row for id_ in ids for row in await world.notifications(id_, "slack #ops")]
    assert {row["state"] for row in rows if row["reason"] == "outdated"} == {"withdrawn"}


@pytest.mark.usefixtures("telegram")
async def test_edits_wait_until_the_service_is_back(world: World) -> None:
    """They are tried again like everything that is owed, and no fallback hears of them."""
    await world.alertmanager.calm(MANY)
    await world.fast_forward(seconds=5)
    world.slack.fails_with(Reply(status=503), "#ops")
    await world.fast_forward(minutes=20)
    world.slack.recovers("#ops")
    await world.fast_forward(minutes=5)

    assert all("✅ Resolved" in text for text in in_slack(world))
    assert not [told for told in world.slack.told if told.channel == "#fallback"]
