"""Who is believed to have pressed a button in Telegram, and what do they read?"""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.channels.base import (
    ChannelError,
    Forged,
    Inbound,
    MarkupRefused,
    PermanentFailure,
    TemporaryFailure,
)
from receiver.channels.client import Answer, Client
from receiver.channels.telegram import Telegram
from receiver.channels.telegram_answers import (
    Migrated,
    NotEditable,
    NoThread,
    NotModified,
    TooLate,
    result_of,
)
from receiver.channels.telegram_config import TelegramConfig
from receiver.channels.telegram_presses import heard_in, mark
from receiver.policy.incident import Verb
from receiver.resources import ROOT
from tests.channels.contract import a_message
from tests.fakes.clock import START
from tests.fakes.telegram import ANA, CHANNEL, GROUP, PRIVATE, SUPERGROUP, TOKEN, FakeTelegram

SAMPLES = json.loads((ROOT / "tests/fixtures/telegram/updates.json").read_text(encoding="utf-8"))
SECRET = "sesame_sesame"
OTHER_TOKEN = "4711000002:BBFakeFakeFakeFakeFakeFakeFakeFakeFake"


@pytest.fixture
def server() -> FakeTelegram:
    return FakeTelegram()


@pytest.fixture
def channel(clock) -> Telegram:
    return Telegram(Client(clock), clock)


def config(**changes: Any) -> TelegramConfig:
    keys = {"bot_token": TOKEN, "chat_id": SUPERGROUP, "updates": "webhook", "webhook_secret": SECRET}
    return TelegramConfig(**keys | changes)


def posted(update: Any, secret: str | None = SECRET) -> Inbound:
    headers = {} if secret is None else {"x-telegram-bot-api-secret-token": secret}
    return Inbound(headers, update if isinstance(update, bytes) else json.dumps(update).encode(), START)


def pressed(data: str = "acknowledge:7", chat_id: int = SUPERGROUP, **more: Any) -> dict[str, Any]:
    return FakeTelegram().callback(data, chat_id, **more)


def test_a_press_says_who_wants_what_and_is_known_again(channel):
    update = pressed()

    [heard] = channel.hear(posted(update), [config()])

    assert (heard.verb, heard.incident_id, heard.lasts) == (Verb.ACKNOWLEDGE, 7, None)
    assert heard.contact == ("telegram", "100000001")
    assert heard.person == "Ana Lima"
    assert heard.key == f"telegram:4711000001:{update['update_id']}"
    assert heard.reply_to == {"bot": "4711000001", "query": update["callback_query"]["id"]}


def test_a_snooze_lasts_as_long_as_its_button_says(channel):
    [heard] = channel.hear(posted(pressed("snooze:7:3600")), [config()])

    assert (heard.verb, heard.lasts) == (Verb.SNOOZE, timedelta(hours=1))


@pytest.mark.parametrize(
    ("person", "name"),
    [
        ({"id": 1, "first_name": "Ana"}, "Ana"),
        ({"id": 1, "first_name": "", "username": "ana"}, "ana"),
        ({"id": 1}, "1"),
        ({"id": 1, "first_name": "\ud800", "username": "\udfff\x00"}, "1"),
        ({"id": 1, "first_name": "\u202eA\r\nna\x00", "last_name": " L "}, "A na L"),
        ({"id": 1, "first_name": "🔥" * 100}, "🔥" * 31 + "…"),
    ],
)
def test_a_person_is_called_as_in_telegram_and_tidied(channel, person, name):
    [heard] = channel.hear(posted(pressed(by=person)), [config()])

    assert heard.person == name


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + " ", SECRET[:-1], "ü", SECRET.upper()])
def test_whoever_does_not_show_the_secret_is_not_heard(channel, secret):
    with pytest.raises(Forged) as forged:
        channel.hear(posted(pressed(), secret), [config()])

    assert SECRET not in str(forged.value)


@pytest.mark.parametrize(
    "configs",
    [
        pytest.param([], id="nobody has one"),
        pytest.param([{"updates": "polling", "webhook_secret": None}], id="it is polled"),
        pytest.param([{"updates": "polling"}], id="it is polled now, and had one before"),
        pytest.param([{"webhook_secret": None, "webhook_secret_file": "/nowhere"}], id="its file is away"),
    ],
)
@pytest.mark.parametrize("secret", ["", SECRET])
def test_without_a_secret_nothing_is_believed(channel, configs, secret):
    with pytest.raises(Forged):
        channel.hear(posted(pressed(), secret), [config(**changes) for changes in configs])


def test_an_empty_secret_file_lets_nobody_in(channel, tmp_path):
    (tmp_path / "secret").write_text("\n")
    empty = config(webhook_secret=None, webhook_secret_file=str(tmp_path / "secret"))

    with pytest.raises(Forged):
        channel.hear(posted(pressed(), ""), [empty])


def test_the_secret_of_one_bot_says_nothing_for_the_chats_of_another(channel):
    mine = config(chat_id=GROUP, bot_token=OTHER_TOKEN, webhook_secret="another")

    assert channel.hear(posted(pressed(), "another"), [config(), mine]) == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b"7", b"[" * 100_000, b"\xff\xfe", b'{"update_id": "1"}'),
        b'{"update_id": 1, "callback_query": []}',
        b'{"update_id": 1, "callback_query": {"id": "1", "data": "acknowledge:7"}}',
        b'{"update_id": 1, "callback_query": {"id": "1", "data": 7, "from": {"id": 1}}}',
        b'{"update_id": 1, "callback_query": {"id": "1", "data": "acknowledge:7", "from": {}, "message": 3}}',
        b'{"update_id": 1, "callback_query": {"id": "1", "data": "acknowledge:7", "from": {"id": "1"}}}',
        b'{"update_id": 1, "callback_query": {"data": "resolve:7/\\ud800", "from": {"id": 1}, "message": {"chat": []}}}',
    ],
)
def test_nonsense_says_nothing(channel, body):
    assert channel.hear(posted(body), [config()]) == []


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("update_")])
def test_updates_that_are_no_press_of_ours_say_nothing(channel, name):
    assert channel.hear(posted(SAMPLES[name]), [config(), config(chat_id=-163056465)]) == []


@pytest.mark.parametrize(
    "data",
    [
        "",
        "ack:42",
        "acknowledge",
        "acknowledge:",
        "acknowledge:x",
        "delete:7",
        "snooze:7:x",
        "snooze:7:999999999999999",
        "acknowledge:-1",
    ],
)
def test_a_button_that_is_not_ours_does_nothing(channel, data):
    assert channel.hear(posted(pressed(data)), [config()]) == []


def test_of_an_old_message_only_the_place_is_told_and_enough(channel):
    update = pressed(is_old=True)

    assert update["callback_query"]["message"].keys() == {"message_id", "chat", "date"}
    assert len(channel.hear(posted(update), [config()])) == 1


def test_a_press_without_a_message_is_not_ours(channel):
    update = pressed()
    del update["callback_query"]["message"]

    assert channel.hear(posted(update), [config()]) == []


@pytest.mark.parametrize(
    ("chat_id", "pressed_in", "is_believed"),
    [
        pytest.param(SUPERGROUP, SUPERGROUP, True, id="a chat that is a destination"),
        pytest.param(PRIVATE, PRIVATE, True, id="a person"),
        pytest.param("@Status_of_Example", CHANNEL, True, id="a name, however it is written"),
        pytest.param(SUPERGROUP, PRIVATE, False, id="somebody who wrote to the bot"),
        pytest.param(SUPERGROUP, GROUP, False, id="a group that the bot was invited to"),
        pytest.param("@another_name", CHANNEL, False, id="another name"),
        pytest.param("@another_name", GROUP, False, id="a chat without a name"),
    ],
)
def test_a_press_counts_from_chats_that_routing_yaml_names(chat_id, pressed_in, is_believed):
    heard = heard_in([pressed(chat_id=pressed_in)], [config(chat_id=chat_id)])

    assert bool(heard) is is_believed


@pytest.mark.parametrize(
    ("made_for", "data", "pressed_in", "is_believed"),
    [
        pytest.param(GROUP, "acknowledge:7", SUPERGROUP, True, id="the group that it was before"),
        pytest.param(GROUP, "acknowledge:8", SUPERGROUP, False, id="the mark is of another incident"),
        pytest.param(GROUP, "resolve:7", SUPERGROUP, False, id="the mark is of another verb"),
        pytest.param(GROUP, "acknowledge:7", PRIVATE, False, id="a person cannot have been a group"),
        pytest.param(CHANNEL, "acknowledge:7", SUPERGROUP, False, id="nor can a channel"),
    ],
)
def test_a_group_that_moved_is_known_by_the_marks_of_its_buttons(made_for, data, pressed_in, is_believed):
    shown = mark(TOKEN, made_for, "acknowledge:7")

    heard = heard_in([pressed(f"{data}/{shown}", chat_id=pressed_in)], [config(chat_id=made_for)])

    assert bool(heard) is is_believed


def test_of_two_bots_in_one_chat_the_one_whose_button_it_is_is_meant():
    both = [config(), config(bot_token=OTHER_TOKEN)]
    data = f"acknowledge:7/{mark(OTHER_TOKEN, SUPERGROUP, 'acknowledge:7')}"

    [heard] = heard_in([pressed(data)], both)

    assert heard.reply_to["bot"] == "4711000002"


def test_a_button_from_before_the_token_was_renewed_still_works():
    data = f"acknowledge:7/{mark('4711000001:TheTokenOfYesterday', SUPERGROUP, 'acknowledge:7')}"

    assert len(heard_in([pressed(data)], [config()])) == 1


def test_a_mark_that_is_half_a_character_is_no_mark():
    assert len(heard_in([pressed("acknowledge:7/\ud800")], [config()])) == 1
    assert heard_in([pressed("acknowledge:7/\ud800")], [config(chat_id=GROUP)]) == []


def test_a_bot_whose_token_is_away_hears_nothing():
    assert heard_in([pressed()], [config(bot_token=None, bot_token_file="/nowhere")]) == []


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["resolve:7", SUPERGROUP])
)
KEYS = st.sampled_from(
    ["update_id", "callback_query", "id", "from", "message", "chat", "data", "type", "username"]
)
ANYTHING = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=6)
)


@settings(max_examples=300, deadline=None)
@given(query=st.dictionaries(KEYS, ANYTHING, max_size=6), more=ANYTHING)
def test_no_update_whatever_stops_those_behind_it(query, more):
    update = {"update_id": 1, "callback_query": {"data": "resolve:7", "from": {"id": 1}} | query}

    heard = heard_in([more, update, pressed()], [config(), config(chat_id="@abcde"), config(chat_id=GROUP)])

    assert heard[-1].verb is Verb.ACKNOWLEDGE


class TestWithTelegram:
    @pytest.fixture
    def channel(self, client, clock) -> Telegram:
        return Telegram(client, clock)

    def config(self, server, **changes):
        return config(**{"api_url": server.api_url, "allow_private_addresses": True, **changes})

    async def test_the_button_under_a_message_is_heard_and_answered(self, server, channel):
        async with server:
            to = self.config(server)
            await channel.send(to, a_message(kind="telegram"), None)
            update = await server.press("Snooze")
            [heard] = channel.hear(posted(update), [to])

            await channel.confirm(heard, "snoozed until 04:12 UTC", [to])

            assert heard.incident_id == 7
            assert server.toasts == {update["callback_query"]["id"]: "snoozed until 04:12 UTC"}

    async def test_the_button_in_a_group_that_moved_is_heard(self, server, channel):
        async with server:
            to = self.config(server, chat_id=GROUP)
            new = server.migrate(GROUP)
            await channel.send(to, a_message(kind="telegram"), None)

            update = await server.press("Acknowledge", new.id)

            assert len(channel.hear(posted(update), [to])) == 1

    async def test_what_is_said_fits_where_it_is_shown(self, server, channel):
        async with server:
            to = self.config(server)
            [heard] = channel.hear(posted(pressed()), [to])

            await channel.confirm(heard, "🔥" * 300, [to])

            assert list(server.toasts.values()) == ["🔥" * 99 + "…"]

    async def test_a_confirmation_that_comes_too_late_is_no_failure(self, server, channel):
        async with server:
            to = self.config(server)
            [heard] = channel.hear(posted(pressed()), [to])
            await channel.confirm(heard, "acknowledged", [to])

            await channel.confirm(heard, "acknowledged", [to])

            assert server.calls == ["answerCallbackQuery"] * 2

    async def test_a_confirmation_that_fails_is_only_logged(self, server, channel, capsys):
        async with server:
            to = self.config(server)
            [heard] = channel.hear(posted(pressed()), [to])
            server.refuses("answerCallbackQuery", 500, "Internal Server Error")

            await channel.confirm(heard, "acknowledged", [to])
            await channel.confirm(heard, "acknowledged", [])

            assert capsys.readouterr().out.count("telegram.not_confirmed") == 2

    async def test_what_was_pressed_is_asked_for_and_confirmed_by_the_next_question(self, server, channel):
        async with server:
            to = self.config(server, updates="polling", webhook_secret=None)
            await channel.listen(to, None)
            first = await server.send_update(pressed())
            second = await server.send_update(pressed("resolve:7") | {"update_id": first["update_id"] + 1})

            heard, following = await channel.ask(to, [to], None, 0)
            rest = await channel.ask(to, [to], following, 0)

            assert [one.verb for one in heard] == [Verb.ACKNOWLEDGE, Verb.RESOLVE]
            assert following == second["update_id"] + 1
            assert rest == ([], following)
            assert not server.updates

    async def test_an_update_that_nobody_understands_is_passed_over(self, server, channel):
        async with server:
            to = self.config(server)
            await server.send_update(SAMPLES["update_plain_message"])
            await server.send_update({"update_id": 10**12, "callback_query": {"data": {}}})

            heard, offset = await channel.ask(to, [to], None, 0)

            assert (heard, offset) == ([], 10**12 + 1)

    async def test_updates_about_the_longest_messages_are_read_whole(self, server, channel):
        async with server:
            to = self.config(server)
            for number in range(10):
                update = pressed("resolve:7") | {"update_id": number}
                longest = {
                    "text": "🔥" * 2048,
                    "entities": [{"type": "code", "offset": 1, "length": 1}] * 100,
                }
                update["callback_query"]["message"] |= longest | {"reply_to_message": longest}
                await server.send_update(update)

            heard, offset = await channel.ask(to, [to], None, 0)

            assert (len(heard), offset) == (10, 10)

    async def test_telegram_is_told_where_to_post_and_what_to_show(self, server, channel):
        async with server:
            to = self.config(server)

            await channel.listen(to, "https://tocsin.example.org/webhooks/telegram")

            assert server.webhook == {
                "url": "https://tocsin.example.org/webhooks/telegram",
                "secret_token": SECRET,
                "allowed_updates": ["callback_query"],
            }
            await channel.listen(to, None)
            assert server.webhook is None

    async def test_another_who_asks_at_the_same_time_is_a_failure_with_advice(self, server, channel):
        async with server:
            to = self.config(server)
            server.refuses("getUpdates", 409, "Conflict: terminated by other getUpdates request; make sure …")

            with pytest.raises(PermanentFailure, match="give it a bot of its own"):
                await channel.ask(to, [to], None, 0)


MEANT = {
    "Bad Request: message is not modified": NotModified,
    "Bad Request: message to edit not found": NotEditable,
    "Bad Request: message can't be edited": NotEditable,
    "Bad Request: message thread not found": NoThread,
    "Bad Request: query is too old": TooLate,
    "Bad Request: group chat was upgraded": Migrated,
    "Bad Request: can't parse entities": MarkupRefused,
    "Bad Request: message is too long": MarkupRefused,
    "Bad Request: message text is empty": MarkupRefused,
    "Bad Request: BUTTON_DATA_INVALID": MarkupRefused,
    "Bad Request: chat not found": PermanentFailure,
    "Unauthorized": PermanentFailure,
    "Not Found": PermanentFailure,
    "Forbidden": PermanentFailure,
    "Too Many Requests": TemporaryFailure,
    "Bad Gateway": TemporaryFailure,
}


@pytest.mark.parametrize(
    "sample",
    [one for one in SAMPLES["responses"] if one["status"] != 200],
    ids=lambda one: one["body"]["description"],
)
def test_every_answer_that_telegram_gives_is_understood(sample):
    description = sample["body"]["description"]
    wanted = next(meaning for words, meaning in MEANT.items() if description.startswith(words))

    with pytest.raises(ChannelError) as failure:
        result_of(
            Answer(sample["status"], {}, json.dumps(sample["body"])),
            url="https://api.telegram.org",
            now=START,
        )

    assert type(failure.value) is wanted
    assert description[:150] in failure.value.reason


@pytest.mark.parametrize("sample", [one for one in SAMPLES["responses"] if one["status"] == 200])
def test_a_success_has_a_result(sample):
    answer = Answer(200, {}, json.dumps(sample["body"]))

    assert result_of(answer, url="https://api.telegram.org", now=START) == sample["body"]["result"]


def test_the_fake_knows_who_presses():
    assert pressed()["callback_query"]["from"] == ANA
