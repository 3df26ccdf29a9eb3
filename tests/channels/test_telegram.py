"""How is an incident told in Telegram, and kept up to date there?"""

import asyncio
import logging
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from receiver.channels.base import MarkupRefused, PermanentFailure, Sent, TemporaryFailure
from receiver.channels.telegram import Telegram, body, buttons
from receiver.channels.telegram_config import TelegramConfig
from receiver.policy.incident import MessageEvent, Reason
from receiver.policy.lengths import seen, units
from receiver.resources import ROOT
from receiver.templating import plain
from tests.channels.contract import TEMPLATES, ChannelContract, a_message
from tests.channels.events import EVENTS, as_message, check_golden
from tests.fakes.clock import FakeClock
from tests.fakes.facts import an_alert, an_incident, some_facts
from tests.fakes.http import Reply, as_json
from tests.fakes.telegram import (
    CHANNEL,
    GROUP,
    MAX_TEXT,
    PRIVATE,
    SUPERGROUP,
    TOKEN,
    FakeTelegram,
    Refused,
    read_html,
)

TAKEN = an_incident(state="acknowledged", acknowledged_by="ana", acknowledged_at="2026-11-20T03:12:00Z")


def telegram_message(**changes: Any):
    return a_message(kind="telegram", **changes)


@pytest.fixture
def server() -> FakeTelegram:
    return FakeTelegram()


@pytest.fixture
def channel(client, clock) -> Telegram:
    return Telegram(client, clock)


def config_of(server: FakeTelegram, **changes: Any) -> TelegramConfig:
    keys = {"bot_token": TOKEN, "chat_id": SUPERGROUP, "api_url": server.api_url}
    return TelegramConfig(**keys | {"allow_private_addresses": True} | changes)


class TestContract(ChannelContract):
    kind = "telegram"

    @pytest.fixture
    def server(self):
        return FakeTelegram()

    def channel(self, client, clock):
        return Telegram(client, clock)

    def config(self, server, **changes: Any):
        return config_of(server, **changes)

    def secrets(self):
        return [TOKEN]

    def arrived(self, server):
        return "\n".join(message.text for message in server.shown())

    def check_harmless(self, arrived: str, text: str) -> None:
        """Everything arrived as words: what looks like markup is seen as such, and nothing was calculated."""
        assert not any(ord(c) < 32 and c != "\n" for c in arrived)
        assert "\u202e" not in arrived
        assert "49" not in arrived.replace(text, "")
        if text.isprintable() and len(text) < 100:
            assert text in arrived

    @pytest.mark.parametrize("event", [MessageEvent.TRIGGERED, MessageEvent.RESOLVED])
    @pytest.mark.parametrize(
        "text",
        [
            "🔥" * 5000,
            "👩‍👩‍👧‍👦" * 900,
            "<b>" * 3000,
            "&amp;" * 3000,
            "磁" * 9000,
            "\\_*[]()~`>#+-=|{}.!" * 400,
        ],
        ids=["emoji", "joined emoji", "tags", "escapes", "CJK", "what MarkdownV2 reserves"],
    )
    async def test_the_longest_texts_fit_with_their_markup(self, server, client, clock, text, event):
        labels = {f"label_{n}": text for n in range(12)} | {"alertname": text, "severity": "critical"}
        incident = an_incident(
            title=text, labels=labels, annotations={"summary": text, "description": text}, resolved_at=""
        )
        alerts = [an_alert(labels=labels | {"n": str(n)}, annotations={"summary": text}) for n in range(12)]
        facts = some_facts(incident=incident, alerts=alerts, fallback_for=text, reason_text=text)
        rendered = TEMPLATES.render("telegram", event, facts)
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            message = telegram_message(event=event, facts=facts, reply=rendered.reply)

            first = await channel.send(
                config, message, Sent(ids={"chat_id": str(SUPERGROUP), "message_id": "9"})
            )
            await channel.send(config, message, first)

            assert [m.markup for m in server.shown()] == ["HTML", "HTML"]
            assert units(server.shown()[0].text) <= MAX_TEXT
            assert server.shown()[1].reply_to == server.shown()[0].id


async def test_the_first_message_begins_with_what_a_lock_screen_shows(server, channel):
    async with server:
        sent = await channel.send(config_of(server), telegram_message(), None)

        message = server.shown()[0]
        assert message.text.split("\n")[0] == telegram_message().title
        assert not message.is_silent
        assert sent.ids == {"chat_id": str(SUPERGROUP), "message_id": str(message.id)}
        assert sent.answer == f"ok, message {message.id} in {SUPERGROUP}"


async def test_the_links_of_the_text_lead_where_they_say(server, channel):
    async with server:
        await channel.send(config_of(server), telegram_message(), None)

        assert server.shown()[0].links == [
            "https://runbooks.example.org/DiskFull?step=1&of=3",
            "https://tocsin.example.org/incidents/7",
            "https://grafana.example.org/d/disks",
            "http://prometheus.example.org:9090/graph?g0.expr=disk",
            "http://alertmanager.example.org:9093",
        ]


async def test_however_many_labels_there_are_the_links_are_links(server, channel):
    """Telegram reads a hundred pieces of markup, and shows the rest as words."""
    labels = {f"label_{n}": "x" for n in range(40)}
    alerts = [an_alert(labels={f"{n}": "y" for n in range(9)} | labels, annotations={}) for _ in range(20)]
    async with server:
        facts = some_facts(incident=an_incident(labels=labels), alerts=alerts)

        await channel.send(config_of(server), telegram_message(facts=facts), None)

        assert server.shown()[0].source.count("<code>") > 100
        assert len(server.shown()[0].links) == 5


async def test_a_change_edits_the_first_message_and_writes_beneath_it(server, channel):
    async with server:
        config = config_of(server)
        first = await channel.send(config, telegram_message(), None)
        facts = some_facts(incident=TAKEN, offers=["unacknowledge", "resolve"])
        later = telegram_message(
            event=MessageEvent.ACKNOWLEDGED, reason=Reason.ACKNOWLEDGED, reply="ana is on it", facts=facts
        )

        sent = await channel.send(config, later, first)

        message, reply = server.shown()
        assert sent.ids == first.ids
        assert message.text.startswith("👀 Acknowledged")
        assert message.labels == ["↩️ Unacknowledge", "✅ Resolve", "📖 Runbook", "🔎 Open"]
        assert (reply.text, reply.reply_to, reply.buttons) == ("ana is on it", message.id, [])


async def test_an_edit_that_says_enough_writes_nothing_beneath(server, channel):
    async with server:
        config = config_of(server)
        first = await channel.send(config, telegram_message(), None)

        await channel.send(config, telegram_message(event=MessageEvent.RESOLVED, reply=None), first)

        assert server.calls == ["sendMessage", "editMessageText"]


@pytest.mark.parametrize(
    ("reason", "is_silent"),
    [
        *((Reason.NEW_ALERTS, False), (Reason.MORE_SEVERE, False), (Reason.REOPENED, False)),
        *((Reason.ESCALATED, False), (Reason.REPEAT_DUE, False), (Reason.UNACKNOWLEDGED, False)),
        *((Reason.FALLBACK, False), (Reason.SNOOZE_OVER, False)),
        *((Reason.ACKNOWLEDGED, True), (Reason.ALL_RESOLVED, True), (Reason.SOME_RESOLVED, True)),
        *((Reason.NOTE, True), (Reason.SNOOZED, True), (Reason.FLAPPING, True)),
    ],
)
async def test_only_what_asks_somebody_to_act_makes_a_sound(server, channel, reason, is_silent):
    async with server:
        first = await channel.send(config_of(server), telegram_message(), None)

        await channel.send(config_of(server), telegram_message(reply="look", reason=reason), first)

        assert server.shown()[1].is_silent is is_silent


async def test_whoever_wants_no_sounds_hears_none(server, channel):
    async with server:
        config = config_of(server, disable_notifications=True)

        first = await channel.send(config, telegram_message(), None)
        await channel.send(config, telegram_message(reply="look", reason=Reason.MORE_SEVERE), first)

        assert [message.is_silent for message in server.shown()] == [True, True]


async def test_an_edit_that_changes_nothing_has_arrived(server, channel):
    async with server:
        config = config_of(server)
        first = await channel.send(config, telegram_message(), None)

        sent = await channel.send(config, telegram_message(reply="still firing"), first)

        assert server.shown()[0].edits == 0
        assert sent.answer.startswith(f"ok, message {first.ids['message_id']} updated, reply ")


@pytest.mark.parametrize(
    "description",
    [
        *("Bad Request: message to edit not found", "Bad Request: message can't be edited"),
        "Bad Request: MESSAGE_ID_INVALID",
    ],
)
async def test_a_message_that_cannot_be_edited_is_sent_anew_and_says_what_changed(
    server, channel, description
):
    async with server:
        config = config_of(server)
        first = await channel.send(config, telegram_message(), None)
        server.refuses("editMessageText", 400, description)

        sent = await channel.send(config, telegram_message(reply="<b>1 more alert</b>"), first)

        assert sent.ids["message_id"] != first.ids["message_id"]
        assert server.shown()[1].text.split("\n")[1] == "1 more alert"
        assert server.shown()[1].labels[0] == "👀 Acknowledge"


async def test_a_deleted_message_is_sent_anew(server, channel):
    async with server:
        config = config_of(server)
        first = await channel.send(config, telegram_message(), None)
        del server.chats[SUPERGROUP].messages[int(first.ids["message_id"])]

        await channel.send(config, telegram_message(reply="1 more alert"), first)

        assert len(server.shown()) == 1


async def test_an_edit_that_tells_no_news_never_becomes_a_message(server, channel):
    async with server:
        config = config_of(server)
        first = await channel.send(config, telegram_message(), None)
        del server.chats[SUPERGROUP].messages[int(first.ids["message_id"])]

        with pytest.raises(PermanentFailure, match="message to edit not found"):
            await channel.send(config, telegram_message(reason=Reason.OUTDATED), first)

        assert server.shown() == []


async def test_a_reply_to_a_message_deleted_meanwhile_is_sent_without_it(server, channel):
    async with server:
        config = config_of(server)
        first = await channel.send(config, telegram_message(), None)
        del server.chats[SUPERGROUP].messages[int(first.ids["message_id"])]
        server.fails(
            as_json({"ok": True, "result": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "group"}}})
        )

        await channel.send(config, telegram_message(reply="1 more alert"), first)

        assert [(m.text, m.reply_to) for m in server.shown()] == [("1 more alert", None)]


async def test_a_topic_is_written_to_from_the_first_message_to_the_last(server, channel):
    async with server:
        config = config_of(server, message_thread_id=7)

        first = await channel.send(config, telegram_message(), None)
        await channel.send(config, telegram_message(reply="look"), first)

        assert [message.thread for message in server.shown()] == [7, 7]


async def test_a_topic_that_is_gone_keeps_nobody_from_hearing_it(server, channel):
    async with server:
        config = config_of(server, message_thread_id=8)

        first = await channel.send(config, telegram_message(), None)
        await channel.send(config, telegram_message(reply="look"), first)

        assert [message.thread for message in server.shown()] == [None, None]
        assert first.answer.endswith("topic 8 is gone, so it was posted without one")


@pytest.mark.parametrize("chat_id", ["@status_of_example", CHANNEL, PRIVATE, str(PRIVATE)])
async def test_channels_people_and_names_are_chats_too(server, channel, chat_id):
    async with server:
        config = config_of(server, chat_id=chat_id)

        first = await channel.send(config, telegram_message(), None)
        await channel.send(config, telegram_message(reply="look"), first)

        assert (
            len(server.shown(PRIVATE if "1000" in str(chat_id) and "-" not in str(chat_id) else CHANNEL)) == 2
        )


async def test_a_group_that_became_a_supergroup_is_followed_and_the_operator_told(server, channel):
    async with server:
        config = config_of(server, chat_id=GROUP)
        new = server.migrate(GROUP)

        first = await channel.send(config, telegram_message(), None)
        await channel.send(config, telegram_message(reply="look"), first)

        assert first.ids["chat_id"] == str(new.id)
        assert f"set chat_id: {new.id} in routing.yaml" in first.answer
        assert len(server.shown(new.id)) == 2


async def test_a_group_that_is_said_to_move_for_ever_is_not_followed(server, channel):
    async with server:
        for chat_id in (-1001, -1002, -1003):
            description = "Bad Request: group chat was upgraded to a supergroup chat"
            server.refuses("sendMessage", 400, description, migrate_to_chat_id=chat_id)

        with pytest.raises(PermanentFailure, match="its new chat_id is -1002"):
            await channel.send(config_of(server, chat_id=GROUP), telegram_message(), None)


async def test_a_conversation_goes_on_in_the_supergroup(server, channel):
    async with server:
        config = config_of(server, chat_id=GROUP)
        first = await channel.send(config, telegram_message(), None)
        new = server.migrate(GROUP)

        moved = await channel.send(config, telegram_message(reply="1 more alert"), first)
        said = server.shown(new.id)[0].text.split("\n")[1]
        await channel.send(config, telegram_message(reply="still firing"), moved)

        assert moved.ids == {"chat_id": str(new.id), "message_id": moved.ids["message_id"]}
        assert said == "1 more alert"
        assert server.shown(new.id)[1].reply_to == int(moved.ids["message_id"])


@pytest.mark.parametrize(
    ("code", "description", "advice"),
    [
        (401, "Unauthorized", "check bot_token"),
        (404, "Not Found", "check bot_token and api_url"),
        (403, "Forbidden: bot was blocked by the user", "must unblock"),
        (403, "Forbidden: bot was kicked from the group chat", "add the bot"),
        (403, "Forbidden: bot was kicked from the supergroup chat", "add the bot"),
        (403, "Forbidden: bot is not a member of the channel chat", "add the bot"),
        (403, "Forbidden: user is deactivated", "set another chat_id"),
        (403, "Forbidden: bot can't initiate conversation with a user", "/start"),
        (400, "Bad Request: chat not found", "check chat_id"),
        (400, "Bad Request: not enough rights to send text messages to the chat", "let the bot post"),
        (400, "Bad Request: need administrator rights in the channel chat", "administrator"),
    ],
)
async def test_what_a_person_must_change_is_named_with_advice(server, channel, code, description, advice):
    async with server:
        server.refuses("sendMessage", code, description)

        with pytest.raises(PermanentFailure) as failure:
            await channel.send(config_of(server), telegram_message(), None)

        assert failure.value.reason.startswith(f"Telegram answered {code}: {description}; ")
        assert advice in failure.value.reason
        assert not isinstance(failure.value, MarkupRefused)


async def test_a_blocked_bot_is_known_from_an_edit_as_well(server, channel):
    async with server:
        first = await channel.send(config_of(server), telegram_message(), None)
        server.chats[SUPERGROUP].refusal = (403, "Forbidden: bot was kicked from the supergroup chat")

        with pytest.raises(PermanentFailure, match="add the bot to the chat again"):
            await channel.send(config_of(server), telegram_message(reply="look"), first)


@pytest.mark.parametrize(
    "description",
    [
        'Bad Request: can\'t parse entities: Unsupported start tag "div" at byte offset 0',
        "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\"",
        "Bad Request: message is too long",
        "Bad Request: message text is empty",
        "Bad Request: BUTTON_DATA_INVALID",
        "Bad Request: inline keyboard button URL 'http://wiki/' is invalid: Wrong HTTP URL",
    ],
)
@pytest.mark.parametrize("is_edit", [False, True])
async def test_refused_markup_may_be_tried_plain(server, channel, description, is_edit):
    async with server:
        first = await channel.send(config_of(server), telegram_message(), None) if is_edit else None
        server.refuses("editMessageText" if is_edit else "sendMessage", 400, description)

        with pytest.raises(MarkupRefused):
            await channel.send(config_of(server), telegram_message(), first)


async def test_a_template_with_a_tag_that_telegram_does_not_know_is_refused(server, channel):
    async with server:
        with pytest.raises(MarkupRefused, match="Unsupported start tag"):
            await channel.send(config_of(server), telegram_message(text="<h1>fire</h1>"), None)


async def test_a_template_that_makes_too_much_is_refused_before_it_is_sent(server, channel):
    async with server:
        with pytest.raises(MarkupRefused, match="a message takes 4096"):
            await channel.send(config_of(server), telegram_message(text="🔥" * 2100), None)

        assert server.calls == []


async def test_a_plain_message_has_no_markup_left_to_refuse_and_still_its_buttons(server, channel):
    async with server:
        config = config_of(server)
        words = plain(some_facts())
        first = await channel.send(config, telegram_message(), None)

        await channel.send(
            config,
            telegram_message(text=words.text, title=words.title, reply="<b> & now" * 900, is_plain=True),
            first,
        )

        message, reply = server.shown()
        assert (message.markup, reply.markup) == ("", "")
        assert "91% full & <growing>" in message.text
        assert message.labels == ["👀 Acknowledge", "💤 Snooze 1 h", "✅ Resolve"]
        assert reply.text.startswith("<b> & now")


async def test_a_plain_message_has_nothing_simpler_left(server, channel):
    async with server:
        server.refuses("sendMessage", 400, "Bad Request: message is too long")

        with pytest.raises(PermanentFailure) as failure:
            await channel.send(config_of(server), telegram_message(is_plain=True), None)

        assert not isinstance(failure.value, MarkupRefused)


async def test_a_long_plain_message_is_cut_to_what_telegram_takes(server, channel):
    async with server:
        await channel.send(config_of(server), telegram_message(text="🔥" * 9000, is_plain=True), None)

        assert units(server.shown()[0].text) == MAX_TEXT - 1  # no emoji is cut in half
        assert server.shown()[0].text.endswith("…")


@pytest.mark.parametrize(
    ("reply", "retry_after"),
    [
        pytest.param(
            Refused(429, "Too Many Requests: retry after 5", retry_after=5).reply(), 5, id="in the body"
        ),
        pytest.param(Refused(429, "Too Many Requests").reply(), None, id="nowhere"),
        pytest.param(
            as_json({"ok": False, "error_code": 429, "description": "x"}, 429, Retry_After="9"),
            9,
            id="in a header",
        ),
        pytest.param(
            as_json({"ok": False, "error_code": 429, "parameters": {"retry_after": 3}}, 200),
            3,
            id="with a 200",
        ),
        pytest.param(
            Refused(429, "Too Many Requests: retry after 99999", retry_after=99_999).reply(),
            3600,
            id="too long",
        ),
        pytest.param(Refused(500, "Internal Server Error: restart").reply(), None, id="500"),
        pytest.param(Refused(502, "Bad Gateway").reply(), None, id="502"),
        pytest.param(Reply(body=b"<html>Log in to the guest network</html>"), None, id="a captive portal"),
        pytest.param(Reply(body=b'{"ok":true,"result":{"message_i'), None, id="truncated JSON"),
        pytest.param(Reply(body=b"[" * 60_000), None, id="deep JSON"),
        pytest.param(Reply(body=b"true"), None, id="JSON that is no object"),
        pytest.param(as_json({"ok": True}), None, id="no result"),
    ],
)
async def test_what_may_pass_is_tried_again_when_telegram_says(server, channel, reply, retry_after):
    async with server:
        server.fails(reply)

        with pytest.raises(TemporaryFailure) as failure:
            await channel.send(config_of(server), telegram_message(), None)

        assert failure.value.retry_after == retry_after


@pytest.mark.parametrize(
    ("code", "failure"), [(500, TemporaryFailure), (400, PermanentFailure), (403, PermanentFailure)]
)
async def test_an_error_in_a_200_is_an_error(server, channel, code, failure):
    async with server:
        server.fails(as_json({"ok": False, "error_code": code, "description": "no"}))

        with pytest.raises(failure, match=f"Telegram answered {code}: no"):
            await channel.send(config_of(server), telegram_message(), None)


@pytest.mark.parametrize(
    "result", [True, [], {}, {"message_id": 7}, {"message_id": "x", "chat": {"id": 1}}, "ok"]
)
async def test_a_message_was_sent_when_telegram_says_so_whatever_it_says_of_it(server, channel, result):
    """Otherwise it would be sent again and again."""
    async with server:
        server.fails(as_json({"ok": True, "result": result}))

        sent = await channel.send(config_of(server), telegram_message(), None)
        await channel.send(config_of(server), telegram_message(reply="look"), sent)

        assert sent.ids == {}
        assert len(server.shown()) == 1


async def test_a_new_message_that_was_not_answered_may_have_arrived(server, channel):
    async with server:
        server.fails(Reply(is_never=True))

        with pytest.raises(TemporaryFailure) as failure:
            await channel.send(config_of(server, timeout="200ms"), telegram_message(), None)

        assert failure.value.is_ambiguous


async def test_an_answer_that_comes_too_late_leaves_it_open_whether_it_arrived(server, channel):
    async with server:
        server.fails(Reply(delay=0.6, body=b"{}"))

        with pytest.raises(TemporaryFailure) as failure:
            await channel.send(config_of(server, timeout="200ms"), telegram_message(), None)

        assert failure.value.is_ambiguous


def edited_in(clock: FakeClock, seconds: float) -> Reply:
    """The answer to an edit, which takes so long."""

    async def late() -> Reply:
        clock.advance(seconds=seconds)
        return as_json({"ok": True, "result": True})

    return Reply(later=late)


@pytest.mark.parametrize("took", [9.7, 60])
async def test_what_could_only_be_cut_off_is_not_begun(server, channel, clock, took):
    """Where an edit used up the time, its reply was surely not told, and is told at the next attempt."""
    async with server:
        config = config_of(server, timeout="10s")
        first = await channel.send(config, telegram_message(), None)
        server.fails(edited_in(clock, took))

        with pytest.raises(TemporaryFailure, match="took nearly all of 10 s") as failure:
            await channel.send(config, telegram_message(reply="1 new alert"), first)

        assert not failure.value.is_ambiguous
        assert [request.path.rpartition("/")[2] for request in server.requests] == [
            "sendMessage",
            "editMessageText",
        ]


async def test_a_slow_edit_leaves_its_reply_the_rest_of_the_time(server, channel, clock):
    async with server:
        config = config_of(server, timeout="10s")
        first = await channel.send(config, telegram_message(), None)
        server.fails(edited_in(clock, 8))

        await channel.send(config, telegram_message(reply="1 new alert"), first)

        assert [message.text for message in server.shown()][1:] == ["1 new alert"]


async def test_an_edit_that_was_not_answered_can_be_repeated(server, channel):
    async with server:
        first = await channel.send(config_of(server), telegram_message(), None)
        server.fails(Reply(is_never=True))

        with pytest.raises(TemporaryFailure) as failure:
            await channel.send(config_of(server, timeout="200ms"), telegram_message(reply="look"), first)

        assert not failure.value.is_ambiguous


async def test_a_port_that_speaks_no_tls_was_told_nothing(server, channel):
    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as plain_server:
        port = plain_server.sockets[0].getsockname()[1]

        with pytest.raises(TemporaryFailure, match="TLS failed") as failure:
            await channel.send(
                config_of(server, api_url=f"https://127.0.0.1:{port}"), telegram_message(), None
            )

        assert not failure.value.is_ambiguous


async def test_the_token_is_read_from_its_file_at_every_send(server, channel, tmp_path):
    file = tmp_path / "token"
    async with server:
        config = config_of(server, bot_token=None, bot_token_file=str(file))
        with pytest.raises(PermanentFailure, match="cannot be read"):
            await channel.send(config, telegram_message(), None)
        file.write_text("what is this")
        with pytest.raises(PermanentFailure, match="holds no bot token"):
            await channel.send(config, telegram_message(), None)
        file.write_text(TOKEN + "\n")

        await channel.send(config, telegram_message(), None)

        assert len(server.shown()) == 1


async def test_nothing_of_a_whole_conversation_with_failures_reaches_the_logs(server, channel, caplog):
    caplog.set_level(logging.DEBUG)
    async with server:
        config = config_of(server, updates="webhook", webhook_secret="sesame-sesame")
        first = await channel.send(config, telegram_message(), None)
        server.fails(Reply(body=b"not JSON " + TOKEN.encode()))
        with pytest.raises(TemporaryFailure):
            await channel.send(config, telegram_message(reply="x"), first)
        await channel.listen(config, "https://tocsin.example.org/webhooks/telegram")
        server.refuses("setWebhook", 400, "Bad Request: bad webhook: sesame-sesame")

        with pytest.raises(PermanentFailure) as failure:
            await channel.listen(config, "https://tocsin.example.org/webhooks/telegram")

        for secret in (TOKEN, TOKEN.partition(":")[2], "sesame-sesame"):
            assert secret not in caplog.text + failure.value.reason + failure.value.answer + repr(config)


def test_the_library_is_loaded_when_it_is_needed_and_never_its_framework():
    """Loading it takes a second and memory; `telegram.ext` would take as much again."""
    program = (
        "import sys, receiver.app, receiver.channels.telegram\n"
        "before = 'telegram' in sys.modules\n"
        "import receiver.channels.telegram_bot\n"
        "print(before, 'telegram' in sys.modules, any(m.startswith('telegram.ext') for m in sys.modules))"
    )

    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert said.stdout.split() == ["False", "True", "False"]


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(max_size=300) | st.text(alphabet="<>&\"'/= ab🔥\u202e\ud83d\n;#", max_size=2000),
    event=st.sampled_from([MessageEvent.TRIGGERED, MessageEvent.ACKNOWLEDGED, MessageEvent.RESOLVED]),
)
def test_whatever_others_write_telegram_can_read_the_message(text, event):
    incident = an_incident(title=text, labels={text: text, "a": text}, annotations={"summary": text})
    facts = some_facts(incident=incident, alerts=[an_alert(labels={text: text})] * 2, reason_text=text)
    words = TEMPLATES.render("telegram", event, facts)

    seen_by_people, _ = read_html(
        body(telegram_message(event=event, facts=facts, reply=words.reply), is_alone=True)
    )
    read_html(words.reply or "")

    assert 0 < units(seen_by_people) <= MAX_TEXT


class TestButtons:
    def rows(self, **changes: Any):
        keys = {"bot_token": TOKEN, "chat_id": GROUP} | changes.pop("keys", {})
        rows = buttons(TelegramConfig(**keys), TOKEN, telegram_message(**changes))
        return [
            [(one["text"], one.get("url") or one["callback_data"].split("/")[0]) for one in row]
            for row in rows
        ]

    def test_an_incident_that_nobody_is_on_can_be_taken_put_off_and_ended(self):
        assert self.rows() == [
            [("👀 Acknowledge", "acknowledge:7")],
            [("💤 Snooze 1 h", "snooze:7:3600"), ("✅ Resolve", "resolve:7")],
            [
                ("📖 Runbook", "https://runbooks.example.org/DiskFull?step=1&of=3"),
                ("🔎 Open", "https://tocsin.example.org/incidents/7"),
            ],
        ]

    def test_a_resolved_incident_can_only_be_looked_at(self):
        facts = some_facts(offers=[])

        assert [label for row in self.rows(facts=facts) for label, _ in row] == ["📖 Runbook", "🔎 Open"]

    def test_a_digest_leads_to_the_list(self):
        facts = some_facts(offers=[], runbook_url=None, list_url="https://tocsin.example.org/")

        assert self.rows(facts=facts) == [[("🔎 Open", "https://tocsin.example.org/")]]

    @pytest.mark.parametrize(
        "url",
        [
            *("http://localhost:5001/x", "http://wiki/DiskFull", "ftp://example.org/", "https://", None),
            "https://example.org/\u202ex",
        ],
    )
    def test_a_link_that_telegram_would_refuse_is_no_button(self, url):
        incident = an_incident(url=url or "")

        assert len(self.rows(facts=some_facts(runbook_url=url, incident=incident))) == 2

    def test_where_nobody_listens_the_buttons_open_pages_that_ask(self):
        rows = self.rows(keys={"updates": "off"})

        assert rows[0] == [("👀 Acknowledge", "https://tocsin.example.org/answer/acknowledge-signed")]
        assert rows[1][0] == ("💤 Snooze 1 h", "https://tocsin.example.org/answer/snooze-signed")

    def test_the_longest_data_fits(self):
        incident = an_incident(id=10**15 - 1)
        config = TelegramConfig(bot_token=TOKEN, chat_id=-(10**18))

        rows = buttons(config, TOKEN, telegram_message(facts=some_facts(incident=incident)))

        assert max(len(one.get("callback_data", "")) for row in rows for one in row) <= 64


@pytest.mark.parametrize("name", EVENTS)
def test_messages_look_as_they_did(name):
    """Run with TOCSIN_GOLDEN=write after a wanted change, and read the difference."""
    message = as_message("telegram", name)
    config = TelegramConfig(bot_token=TOKEN, chat_id=SUPERGROUP)
    text = body(message)
    keyboard = buttons(config, TOKEN, message)

    content = {"text": text, "reply": message.reply, "inline_keyboard": keyboard}
    check_golden("telegram", name, "json", content)
    check_golden("telegram", name, "txt", "\n".join([
        read_html(text)[0], *("  ".join(f"[{one['text']}]" for one in row) for row in keyboard),
        *([f"↳ {read_html(message.reply)[0]}"] if message.reply else []),
    ]) + "\n")  # fmt: skip
    assert seen(text) <= MAX_TEXT


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        pytest.param({"chat_id": 1}, "exactly one of bot_token", id="no token"),
        pytest.param({"bot_token": TOKEN}, "chat_id", id="no chat"),
        pytest.param({"bot_token": TOKEN, "chat_id": 0}, "negative for groups", id="chat 0"),
        pytest.param({"bot_token": TOKEN, "chat_id": "ops"}, "negative for groups", id="a name without @"),
        pytest.param({"bot_token": "123 456", "chat_id": 1}, "not a bot token", id="no token at all"),
        pytest.param({"bot_token": f"{TOKEN}\r\nX: y", "chat_id": 1}, "not a bot token", id="a line break"),
        pytest.param(
            {"bot_token": TOKEN, "chat_id": 1, "api_url": "telegram"}, "api_url is not", id="api_url"
        ),
        pytest.param({"bot_token": TOKEN, "chat_id": 1, "parse_mode": "Markdown"}, "HTML", id="Markdown"),
        pytest.param(
            {"bot_token": TOKEN, "chat_id": 1, "updates": "webhook"},
            "exactly one of webhook_secret",
            id="no secret",
        ),
        pytest.param(
            {"bot_token": TOKEN, "chat_id": 1, "updates": "webhook", "webhook_secret": "has space"},
            "1 to 256",
            id="a secret that Telegram would refuse",
        ),
        pytest.param(
            {"bot_token": TOKEN, "chat_id": 1, "updates": "webhook", "webhook_secret": ""},
            "1 to 256",
            id="empty",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(keys, complaint):
    with pytest.raises(ValidationError, match=complaint) as error:
        TelegramConfig(**keys)

    assert TOKEN.partition(":")[2] not in str(error.value)


@pytest.mark.parametrize(
    ("keys", "destination", "service"),
    [
        pytest.param({"chat_id": 4711}, "telegram 4711", "telegram bot 4711000001", id="a person"),
        pytest.param({"chat_id": "-1001"}, "telegram -1001", "telegram bot 4711000001", id="a group, quoted"),
        pytest.param({"chat_id": "@ops_room"}, "telegram @ops_room", "telegram bot 4711000001", id="a name"),
        pytest.param(
            {"chat_id": -1001, "message_thread_id": 7},
            "telegram -1001 topic 7",
            "telegram bot 4711000001",
            id="a topic",
        ),
        pytest.param(
            {"chat_id": 4711, "message_thread_id": 0},
            "telegram 4711",
            "telegram bot 4711000001",
            id="topic 0 is none",
        ),
        pytest.param(
            {"chat_id": 4711, "bot_token": None, "bot_token_file": "/run/bot"},
            "telegram 4711",
            "telegram bot of /run/bot",
            id="a file",
        ),
    ],
)
def test_the_destination_is_the_chat_and_the_service_is_the_bot(keys, destination, service):
    config = TelegramConfig(**{"bot_token": TOKEN} | keys)

    assert (config.destination, config.service) == (destination, service)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b><i>x</b></i>", 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'),
        ("é<div>x</div>", 'Unsupported start tag "div" at byte offset 2'),
        ("a < b", "Unclosed start tag at byte offset 2"),
    ],
)
def test_the_fake_is_as_strict_as_telegram(source, complaint):
    with pytest.raises(Refused) as refused:
        read_html(source)

    assert refused.value.description == f"Bad Request: can't parse entities: {complaint}"
