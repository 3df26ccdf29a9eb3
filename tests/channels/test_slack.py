"""How is an incident told in Slack, and kept up to date there?"""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from receiver.channels.base import MarkupRefused, PermanentFailure, Sent, TemporaryFailure
from receiver.channels.slack import ADVICE, Slack, SlackConfig
from receiver.policy.incident import MessageEvent, Reason
from receiver.templating import plain
from tests.channels.contract import ChannelContract, a_message
from tests.fakes.facts import an_incident, some_facts
from tests.fakes.http import Reply, as_json
from tests.fakes.slack import OPS, SIGNING_SECRET, TOKEN, WEBHOOK, FakeSlack, words_of


class SlackContract(ChannelContract):
    @pytest.fixture
    def server(self):
        return FakeSlack()

    def channel(self, client, clock):
        return Slack(client, clock)

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(Reply(is_never=True), id="silent"),
            pytest.param(Reply(delay=5, body=b"ok"), id="an answer after the timeout"),
            pytest.param(Reply(is_closed=True), id="closed without an answer"),
            pytest.param(Reply(is_reset=True), id="reset"),
            pytest.param(Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), id="half an answer"),
        ],
    )
    async def test_a_message_that_may_have_arrived_says_so(self, server, client, clock, reply):
        async with server:
            server.fails(reply)

            with pytest.raises(TemporaryFailure) as failure:
                await self.channel(client, clock).send(
                    self.config(server, timeout="200ms"), a_message(), None
                )

            assert failure.value.is_ambiguous

    async def test_a_message_that_was_never_written_has_not_arrived(self, server, client, clock):
        with pytest.raises(TemporaryFailure, match="connection refused") as failure:
            await self.channel(client, clock).send(self.config(server), a_message(), None)

        assert not failure.value.is_ambiguous

    async def test_a_refusal_is_an_answer_and_leaves_no_doubt(self, server, client, clock):
        async with server:
            server.fails(Reply(status=503))

            with pytest.raises(TemporaryFailure) as failure:
                await self.channel(client, clock).send(self.config(server), a_message(), None)

            assert not failure.value.is_ambiguous

    @pytest.mark.parametrize(
        "text",
        [
            "*bold* _it_ ~no~ `code` ```",
            "](https://evil.example) [x](y)",
            "a\r\nb\rc",
            "<script>alert(1)</script>",
        ],
    )
    async def test_markup_of_others_makes_no_link_and_no_mention(self, server, client, clock, text):
        labels = {"alertname": "DiskFull", "severity": "critical", text: text}
        facts = some_facts(incident=an_incident(labels=labels, annotations={"summary": text}))

        async with server:
            await self.channel(client, clock).send(self.config(server), a_message(facts=facts), None)

            arrived = self.arrived(server)
            self.check_harmless(arrived, text)
            assert "|" not in arrived.replace("|Runbook>", "").replace("|Dashboard>", "").replace(
                "|Source>", ""
            ).replace("|Incident>", "").replace("|Alertmanager>", "")

    def check_harmless(self, arrived: str, text: str) -> None:
        """Nothing of the text is markup any more: no mention, no link, no control character."""
        assert "<!" not in arrived
        assert "|click>" not in arrived
        assert not any(ord(c) < 32 and c != "\n" for c in arrived)
        assert "\u202e" not in arrived
        assert "49" not in arrived.replace(text, "")  # {{ 7 * 7 }} was not calculated


class TestIncomingWebhook(SlackContract):
    def config(self, server, **changes: Any):
        return SlackConfig(**{"api_url": server.webhook_url, "allow_private_addresses": True, **changes})

    def secrets(self):
        return [WEBHOOK, WEBHOOK.rpartition("/")[2]]

    def arrived(self, server):
        return "\n".join(words_of(content) for content in server.posted)

    async def test_a_later_message_is_posted_anew_and_says_what_changed(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server, channel="#ops")
            sent = await channel.send(config, a_message(), None)

            await channel.send(config, a_message(reply="1 new alert", reason=Reason.NEW_ALERTS), sent)

            assert sent.ids == {}
            assert [content["channel"] for content in server.posted] == ["#ops", "#ops"]
            assert "1 new alert" in words_of(server.posted[1])

    @pytest.mark.parametrize("code", ["invalid_payload", "no_text", "too_many_attachments"])
    async def test_a_refused_message_may_be_tried_plain(self, server, client, clock, code):
        async with server:
            server.fails(Reply(status=400, body=code.encode()))

            with pytest.raises(MarkupRefused, match=code):
                await self.channel(client, clock).send(self.config(server), a_message(), None)

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            *(
                (403, "invalid_token"),
                (403, "action_prohibited"),
                (404, "no_service"),
                (404, "channel_not_found"),
            ),
            (410, "channel_is_archived"),
        ],
    )
    async def test_the_reason_names_slacks_own_word(self, server, client, clock, status, code):
        async with server:
            server.fails(Reply(status=status, body=code.encode()))

            with pytest.raises(PermanentFailure, match=code):
                await self.channel(client, clock).send(self.config(server), a_message(), None)

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(Reply(body=b"<html>Log in to the guest network</html>"), id="a captive portal"),
            pytest.param(Reply(status=500, body=b"rollup_error"), id="rollup_error"),
            pytest.param(Reply(status=429, body=b"rate_limited"), id="rate limited"),
            pytest.param(as_json({"ok": False, "error": "service_unavailable"}), id="ok: false"),
        ],
    )
    async def test_what_is_not_ok_has_not_arrived(self, server, client, clock, reply):
        async with server:
            server.fails(reply)

            with pytest.raises(TemporaryFailure):
                await self.channel(client, clock).send(self.config(server), a_message(), None)

    async def test_a_file_that_holds_no_url_is_named(self, server, client, clock, tmp_path):
        file = tmp_path / "url"
        file.write_text("hooks.slack.com/services/x")

        with pytest.raises(PermanentFailure, match="url does not hold a URL"):
            await self.channel(client, clock).send(
                self.config(server, api_url=None, api_url_file=str(file)), a_message(), None
            )

    async def test_the_url_is_read_from_its_file(self, server, client, clock, tmp_path):
        file = tmp_path / "url"
        async with server:
            file.write_text(server.webhook_url + "\n")

            await self.channel(client, clock).send(
                self.config(server, api_url=None, api_url_file=str(file)), a_message(), None
            )

            assert len(server.posted) == 1


class TestApp(SlackContract):
    def config(self, server, **changes: Any):
        keys = {
            "app_token": TOKEN,
            "app_url": server.app_url,
            "channel": "#ops",
            "allow_private_addresses": True,
        }
        return SlackConfig(**keys | changes)

    def secrets(self):
        return [TOKEN]

    def arrived(self, server):
        return "\n".join(words_of(content) for content in server.messages.values())

    async def test_the_ids_of_the_first_message_are_kept_as_text(self, server, client, clock):
        async with server:
            sent = await self.channel(client, clock).send(self.config(server), a_message(), None)

            assert sent.ids == {"channel": OPS, "ts": "1503435956.000100"}

    async def test_a_change_edits_the_first_message_and_answers_in_its_thread(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            first = await channel.send(config, a_message(), None)
            facts = some_facts(incident=an_incident(state="acknowledged", acknowledged_by="ana"))
            later = a_message(event=MessageEvent.ACKNOWLEDGED, reply="ana is on it", facts=facts)

            sent = await channel.send(config, later, first)

            assert sent.ids == first.ids
            assert [words_of(m).startswith("👀 Acknowledged") for m in server.main_messages()] == [True]
            assert [(m["text"], m["thread_ts"]) for m in server.replies()] == [
                ("ana is on it", first.ids["ts"])
            ]

    async def test_an_edit_that_says_enough_adds_no_reply(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            first = await channel.send(config, a_message(), None)

            await channel.send(config, a_message(reply=None), first)

            assert server.calls == ["chat.postMessage", "chat.update"]

    @pytest.mark.parametrize(
        ("reason", "is_broadcast"),
        [
            *((Reason.REPEAT_DUE, True), (Reason.MORE_SEVERE, True), (Reason.REOPENED, True)),
            *((Reason.ACKNOWLEDGED, False), (Reason.ALL_RESOLVED, False)),
        ],
    )
    async def test_a_reply_that_asks_someone_to_act_is_shown_to_the_channel(
        self, server, client, clock, reason, is_broadcast
    ):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            first = await channel.send(config, a_message(), None)

            await channel.send(config, a_message(reply="look", reason=reason), first)

            assert server.replies()[0]["reply_broadcast"] is is_broadcast

    async def test_a_deleted_message_is_posted_anew(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            first = await channel.send(config, a_message(), None)
            server.delete(OPS, first.ids["ts"])

            sent = await channel.send(config, a_message(reply="1 new alert"), first)

            assert len(server.main_messages()) == 1
            assert sent.ids["channel"] == OPS

    async def test_an_edit_that_tells_no_news_never_becomes_a_message(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            first = await channel.send(config, a_message(), None)
            server.delete(OPS, first.ids["ts"])

            with pytest.raises(PermanentFailure, match="message_not_found"):
                await channel.send(config, a_message(reason=Reason.OUTDATED), first)

            assert server.main_messages() == []

    @pytest.mark.parametrize(
        "code", ["cant_update_message", "edit_window_closed", "is_inactive", "unheard_of"]
    )
    async def test_a_message_that_cannot_be_edited_is_posted_anew(self, server, client, clock, code):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            first = await channel.send(config, a_message(), None)
            server.errors.append(code)

            sent = await channel.send(config, a_message(), first)

            assert sent.ids["ts"] != first.ids["ts"]

    async def test_a_locked_thread_leads_to_a_new_message(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            first = await channel.send(config, a_message(), None)
            server.fails(
                as_json({"ok": True, "channel": OPS, "ts": first.ids["ts"]}),
                as_json({"ok": False, "error": "restricted_action_thread_locked"}),
            )

            await channel.send(config, a_message(reply="1 new alert"), first)

            assert len(server.main_messages()) == 2

    @pytest.mark.parametrize(
        "code",
        ["ratelimited", "request_timeout", "service_unavailable", "internal_error", "fatal_error"],
    )
    async def test_a_passing_error_is_tried_again(self, server, client, clock, code):
        async with server:
            server.errors.append(code)

            with pytest.raises(TemporaryFailure, match=code):
                await self.channel(client, clock).send(self.config(server), a_message(), None)

    async def test_how_long_to_wait_may_stand_beside_an_error_of_the_method(self, server, client, clock):
        async with server:
            server.fails(as_json({"ok": False, "error": "ratelimited"}, Retry_After="30"))

            with pytest.raises(TemporaryFailure) as failure:
                await self.channel(client, clock).send(self.config(server), a_message(), None)

            assert failure.value.retry_after == 30

    async def test_an_edit_whose_markup_is_refused_is_no_reason_for_a_new_message(
        self, server, client, clock
    ):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            first = await channel.send(config, a_message(), None)
            server.errors.append("invalid_blocks")

            with pytest.raises(MarkupRefused):
                await channel.send(config, a_message(), first)

            assert len(server.main_messages()) == 1

    async def test_a_full_workspace_is_left_alone_for_a_while(self, server, client, clock):
        async with server:
            server.errors.append("message_limit_exceeded")

            with pytest.raises(TemporaryFailure) as failure:
                await self.channel(client, clock).send(self.config(server), a_message(), None)

            assert failure.value.retry_after == 600

    @pytest.mark.parametrize(
        "code",
        sorted(ADVICE),
    )
    async def test_what_a_person_must_change_is_named_with_advice(self, server, client, clock, code):
        async with server:
            server.errors.append(code)

            with pytest.raises(PermanentFailure, match=f"{code}: ") as failure:
                await self.channel(client, clock).send(self.config(server), a_message(), None)

            assert not isinstance(failure.value, MarkupRefused)

    @pytest.mark.parametrize(
        "code", ["invalid_blocks", "msg_too_long", "msg_blocks_too_long", "invalid_arguments"]
    )
    async def test_refused_markup_may_be_tried_plain(self, server, client, clock, code):
        async with server:
            server.errors.append(code)

            with pytest.raises(MarkupRefused, match=code):
                await self.channel(client, clock).send(self.config(server), a_message(), None)

    async def test_a_plain_message_has_nothing_simpler_left(self, server, client, clock):
        async with server:
            server.errors.append("msg_too_long")

            with pytest.raises(PermanentFailure) as failure:
                await self.channel(client, clock).send(self.config(server), a_message(is_plain=True), None)

            assert not isinstance(failure.value, MarkupRefused)

    async def test_a_plain_message_is_escaped_here_and_replaces_the_blocks(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            first = await channel.send(config, a_message(), None)
            words = plain(some_facts())

            await channel.send(
                config,
                a_message(text=words.text, title=words.title, reply="<!here> & now", is_plain=True),
                first,
            )

            message = server.main_messages()[0]
            assert "91% full &amp; &lt;growing&gt;" in message["text"]
            assert message["attachments"] == []
            assert server.replies()[0]["text"] == "&lt;!here&gt; &amp; now"

    @pytest.mark.parametrize(
        "reply", [Reply(body=b"<html>"), Reply(body=b'{"ok": tr'), Reply(body=b"[" * 60_000)]
    )
    async def test_an_answer_that_is_not_json_is_no_receipt(self, server, client, clock, reply):
        async with server:
            server.fails(reply)

            with pytest.raises(TemporaryFailure, match="not JSON"):
                await self.channel(client, clock).send(self.config(server), a_message(), None)

    async def test_an_edit_and_a_reply_share_one_timeout(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server, timeout="10s")
            first = await channel.send(config, a_message(), None)

            async def slowly() -> Reply:
                clock.advance(seconds=9.9)
                return as_json({"ok": True})

            server.fails(Reply(later=slowly), Reply(is_never=True))

            with pytest.raises(TemporaryFailure, match=r"within 0\.1 s"):
                await channel.send(config, a_message(reply="more"), first)

    async def test_a_reply_for_which_no_time_is_left_is_not_begun(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server, timeout="10s")
            first = await channel.send(config, a_message(), None)

            async def slowly() -> Reply:
                clock.advance(seconds=11)
                return as_json({"ok": True})

            server.fails(Reply(later=slowly))

            with pytest.raises(TemporaryFailure, match="longer than 10 s") as failure:
                await channel.send(config, a_message(reply="more"), first)

            assert not failure.value.is_ambiguous
            assert len(server.requests) == 2

    async def test_an_edit_that_may_have_arrived_is_simply_made_again(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server, timeout="200ms")
            first = await channel.send(config, a_message(), None)
            server.fails(Reply(is_never=True))

            with pytest.raises(TemporaryFailure) as failure:
                await channel.send(config, a_message(), first)

            assert not failure.value.is_ambiguous

    async def test_a_reply_that_may_have_arrived_says_so(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server, timeout="500ms")
            first = await channel.send(config, a_message(), None)
            server.fails(as_json({"ok": True}), Reply(is_never=True))

            with pytest.raises(TemporaryFailure) as failure:
                await channel.send(config, a_message(reply="more"), first)

            assert failure.value.is_ambiguous

    async def test_ids_of_another_kind_of_setup_are_no_parent(self, server, client, clock):
        async with server:
            await self.channel(client, clock).send(self.config(server), a_message(), Sent(ids={}))

            assert server.calls == ["chat.postMessage"]

    async def test_a_token_with_a_line_break_never_becomes_a_header(self, server, client, clock):
        with pytest.raises(PermanentFailure, match="characters that no token has"):
            await self.channel(client, clock).send(
                self.config(server, app_token="xoxb-1\r\nX-Evil: yes"), a_message(), None
            )


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        pytest.param({}, "exactly one of api_url", id="no way in"),
        pytest.param(
            {"api_url": "https://hooks.slack.com/x", "app_token": "y"}, "exactly one of", id="two ways"
        ),
        pytest.param({"app_token": "xoxb-whispered"}, "needs the channel", id="an app without a channel"),
        pytest.param({"api_url": "hooks.slack.com/whispered"}, "not a URL", id="no scheme"),
        pytest.param({"app_token": "x", "channel": "#a", "app_url": "slack"}, "app_url is not", id="app_url"),
        pytest.param(
            {"app_token": "x", "channel": "#a", "signing_secret": " "},
            "signing_secret is empty",
            id="an empty signing secret",
        ),
        pytest.param(
            {
                "app_token": "x",
                "channel": "#a",
                "signing_secret": "whispered",
                "signing_secret_file": "/run/x",
            },
            "exclude each other",
            id="two signing secrets",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(keys, complaint):
    with pytest.raises(ValidationError, match=complaint) as error:
        SlackConfig(**keys)

    assert "whispered" not in str(error.value)


@pytest.mark.parametrize(
    ("keys", "destination"),
    [
        pytest.param({"app_token": "x", "channel": "#ops"}, "slack #ops", id="an app"),
        pytest.param(
            {"api_url_file": "/run/slack", "channel": "#ops"}, "slack #ops via /run/slack", id="a file"
        ),
        pytest.param({"api_url_file": "/run/slack"}, "slack /run/slack", id="a file without a channel"),
        pytest.param(
            {"api_url": "https://hooks.slack.com/a"}, "slack hooks.slack.com#9c52f658", id="a webhook"
        ),
    ],
)
def test_the_destination_tells_conversations_apart_without_a_secret(keys, destination):
    assert SlackConfig(**keys).destination == destination


@pytest.mark.parametrize(
    ("keys", "service"),
    [
        pytest.param({"app_token": "x", "channel": "#ops"}, "slack", id="an app"),
        pytest.param({"api_url": "https://hooks.slack.com/services/secret"}, "slack", id="a webhook"),
        pytest.param({"api_url_file": "/run/slack"}, "slack /run/slack", id="a webhook in a file"),
        pytest.param(
            {"app_token": "x", "channel": "#a", "app_url": "https://chat.example.org/api/chat.postMessage"},
            "slack chat.example.org",
            id="a server of one's own",
        ),
    ],
)
def test_what_fails_together_has_one_name_without_a_secret(keys, service):
    assert SlackConfig(**keys).service == service


def test_the_limits_are_the_published_ones():
    """One message a second to a channel with short bursts, several hundred a minute to a workspace."""
    assert Slack.destination_limit is not None
    assert Slack.service_limit is not None
    assert (Slack.destination_limit.count, Slack.destination_limit.per) == (1, timedelta(seconds=1))
    assert (Slack.service_limit.count, Slack.service_limit.per) == (300, timedelta(minutes=1))


def test_no_config_shows_its_secrets():
    config = SlackConfig(app_token=TOKEN, channel="#ops", signing_secret=SIGNING_SECRET)

    assert TOKEN not in repr(config)
    assert SIGNING_SECRET not in repr(config)
