"""What every channel that speaks HTTP promises: each answer is the right failure, and no secret gets out."""

import asyncio
import logging
import socket
from abc import abstractmethod
from typing import Any

import pytest

from receiver.channels.base import Channel, ChannelConfig, Message, PermanentFailure, Sent, TemporaryFailure
from receiver.channels.client import Client
from receiver.policy.incident import MessageEvent, Reason
from receiver.templating import Templates
from tests.fakes.certificates import Authority
from tests.fakes.clock import FakeClock
from tests.fakes.facts import an_alert, an_incident, some_facts
from tests.fakes.http import FakeHttp, Reply

TEMPLATES = Templates()
HOSTILE = {
    "html and slack markup": "<b>&amp;</b> <!channel> <https://evil.example|click> *x* _y_ `z`",
    "a script": "<script>alert(1)</script>",
    "struck out": "~strike~",
    "half a link": "](http://evil.example)",
    "a fence": "```\nalert\n```",
    "line breaks": "one\r\ntwo\nAcknowledged by nobody\r",
    "control characters": "\x00\x07\x1b[2J\x9b31m\x7f",
    "40 kB": "x<&>" * 10_000,
    "CJK": "磁盘已满" * 500,
    "right to left": "\u202eevil\u202c القرص ممتلئ",
    "emoji": "🔥👩‍👩‍👧‍👦" * 300,
    "lone surrogate": "a\ud800b",
    "templates": "{{ 7 * 7 }} {% raw %} ${HOME} %s {0}",
}
DATE_IN_90_SECONDS = "Fri, 20 Nov 2026 03:13:30 GMT"  # the fake clock says 03:12

TEMPORARY = [
    pytest.param(Reply(status=500), None, id="500"),
    pytest.param(Reply(status=502, body=b"<html><body>Bad Gateway</body></html>"), None, id="502 with HTML"),
    pytest.param(Reply(status=503, headers={"Retry-After": "7"}), 7, id="503 with Retry-After"),
    pytest.param(Reply(status=503, body=b"\x00\xff\xfe garbage"), None, id="503 with garbage"),
    pytest.param(Reply(status=408), None, id="408"),
    pytest.param(Reply(status=429), None, id="429"),
    pytest.param(Reply(status=429, headers={"Retry-After": "30"}), 30, id="429 with seconds"),
    pytest.param(Reply(status=429, headers={"Retry-After": "0.5"}), 0.5, id="429 with a fraction"),
    pytest.param(Reply(status=429, headers={"Retry-After": DATE_IN_90_SECONDS}), 90, id="429 with a date"),
    pytest.param(Reply(status=429, headers={"Retry-After": "soon"}), None, id="429 with nonsense"),
    pytest.param(Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), None, id="not HTTP"),
    pytest.param(Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), None, id="half an answer"),
    pytest.param(Reply(is_closed=True), None, id="closed without an answer"),
    pytest.param(Reply(is_reset=True), None, id="reset"),
]
PERMANENT = [
    pytest.param(Reply(status=301, headers={"Location": "/elsewhere"}), id="301"),
    pytest.param(Reply(status=307, headers={"Location": "http://127.0.0.1:1/"}), id="307"),
    *(pytest.param(Reply(status=status), id=str(status)) for status in (400, 401, 403, 404, 405, 410, 413)),
    pytest.param(Reply(status=404, body=b"<html>" * 1000), id="404 with HTML"),
]


def a_message(**changes: Any) -> Message:
    """A message as `deliver` makes it."""
    facts = changes.pop("facts", None) or some_facts()
    event = changes.get("event", MessageEvent.TRIGGERED)
    rendered = TEMPLATES.render(changes.pop("kind", "slack"), event, facts)
    values: dict[str, Any] = {
        "event": event,
        "reason": Reason.FIRST,
        "dedup_key": "c0ffee",
        "notification_id": 41,
        "title": rendered.title,
        "text": rendered.text,
        "reply": None,
        "facts": facts,
    }
    return Message(**values | changes)


class ChannelContract:
    """Subclasses say how their channel is set up, and what has arrived."""

    kind = "slack"  # whose templates the messages are made with

    @pytest.fixture
    @abstractmethod
    def server(self) -> FakeHttp:
        """The fake service, not yet started."""

    @abstractmethod
    def channel(self, client: Client, clock: FakeClock) -> Channel: ...

    @abstractmethod
    def config(self, server: FakeHttp, **changes: Any) -> ChannelConfig: ...

    @abstractmethod
    def secrets(self) -> list[str]:
        """What must never be seen."""

    @abstractmethod
    def arrived(self, server: FakeHttp) -> str:
        """All that the service was told, as a person or program there reads it."""

    def message(self, **changes: Any) -> Message:
        return a_message(kind=self.kind, **changes)

    async def test_it_delivers(self, server, client, clock):
        async with server:
            sent = await self.channel(client, clock).send(self.config(server), self.message(), None)

            assert isinstance(sent, Sent)
            assert "DiskFull" in self.arrived(server)

    @pytest.mark.parametrize(("reply", "retry_after"), TEMPORARY)
    async def test_what_may_pass_is_tried_again(self, server, client, clock, reply, retry_after):
        async with server:
            server.fails(reply)

            with pytest.raises(TemporaryFailure) as failure:
                await self.channel(client, clock).send(self.config(server), self.message(), None)

            assert failure.value.retry_after == retry_after

    @pytest.mark.parametrize("reply", PERMANENT)
    async def test_what_cannot_pass_is_not_tried_again(self, server, client, clock, reply):
        async with server:
            server.fails(reply)

            with pytest.raises(PermanentFailure) as failure:
                await self.channel(client, clock).send(self.config(server), self.message(), None)

            assert str(reply.status) in failure.value.reason
            assert len(server.requests) == 1  # a redirect is not followed

    async def test_silence_ends_with_the_timeout(self, server, client, clock):
        async with server:
            server.fails(Reply(is_never=True))

            with pytest.raises(TemporaryFailure, match=r"0\.2 s"):
                await self.channel(client, clock).send(
                    self.config(server, timeout="200ms"), self.message(), None
                )

            await server.all_closed()

    async def test_an_answer_after_the_timeout_is_nobodys(self, server, client, clock):
        """It came too late for its own message, and the next one does not take it for its own."""
        async with server:
            channel = self.channel(client, clock)
            server.fails(Reply(delay=0.5, status=403))

            with pytest.raises(TemporaryFailure, match=r"0\.2 s"):
                await channel.send(self.config(server, timeout="200ms"), self.message(), None)
            await channel.send(self.config(server), self.message(), None)

            assert "DiskFull" in self.arrived(server)
            assert server.connections_made == 2

    async def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(
        self, server, client, clock, tmp_path
    ):
        server.tls = Authority(tmp_path).server()
        async with server:
            with pytest.raises(TemporaryFailure, match="TLS certificate is not valid") as failure:
                await self.channel(client, clock).send(self.config(server), self.message(), None)

            assert not failure.value.is_ambiguous
            assert server.requests == []

    async def test_a_name_that_leads_nowhere_is_tried_again(self, server, client, clock):
        server.host = "nowhere.invalid"

        with pytest.raises(TemporaryFailure, match="its name cannot be resolved") as failure:
            await self.channel(client, clock).send(self.config(server), self.message(), None)

        assert not failure.value.is_ambiguous

    async def test_a_closed_port_is_tried_again(self, server, client, clock):
        with socket.create_server(("127.0.0.1", 0)) as free:
            server.port = free.getsockname()[1]

        with pytest.raises(TemporaryFailure, match="connection refused"):
            await self.channel(client, clock).send(self.config(server), self.message(), None)

    async def test_a_private_address_is_refused_unless_allowed(self, server, client, clock):
        async with server:
            with pytest.raises(PermanentFailure, match="allow_private_addresses: true"):
                await self.channel(client, clock).send(
                    self.config(server, allow_private_addresses=False), self.message(), None
                )

            assert server.connections_made == 0

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    async def test_hostile_text_arrives_harmless_and_within_the_limits(self, server, client, clock, text):
        labels = {"alertname": text, "severity": "critical", "instance": text}
        incident = an_incident(title=text, labels=labels, annotations={"summary": text, "description": text})
        alerts = [an_alert(labels=labels, annotations={"summary": text}) for _ in range(30)]
        facts = some_facts(incident=incident, alerts=alerts, fallback_for=text)

        async with server:
            await self.channel(client, clock).send(self.config(server), self.message(facts=facts), None)

            self.check_harmless(self.arrived(server), text)

    def check_harmless(self, arrived: str, text: str) -> None:
        """What a hostile text must have become; channels that send data have nothing to add."""

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(status=500),
            Reply(status=403),
            Reply(status=302),
            Reply(is_closed=True),
            Reply(is_never=True),
            Reply(raw=b"?"),
        ],
        ids=["500", "403", "302", "closed", "silent", "not HTTP"],
    )
    async def test_no_secret_gets_out(self, server, client, clock, caplog, reply):
        caplog.set_level(logging.DEBUG)
        async with server:
            config = self.config(server, timeout="100ms")
            echo = " ".join(self.secrets()).encode()
            server.fails(Reply(**{**vars(reply), "body": echo}))

            with pytest.raises((TemporaryFailure, PermanentFailure)) as failure:
                await self.channel(client, clock).send(config, self.message(), None)

            seen = " ".join(
                [
                    *(failure.value.reason, failure.value.answer, repr(failure.value), caplog.text),
                    *(repr(config), config.destination, str(failure.value.__cause__)),
                ]
            )
            for secret in self.secrets():
                assert secret not in seen

    async def test_it_uses_connections_again_and_closes_them(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)

            for _ in range(5):
                await channel.send(config, self.message(), None)

            assert server.connections_made == 1
            await channel.aclose()
            await client.aclose()
            await server.all_closed()

    async def test_many_at_once_all_arrive(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)

            await asyncio.gather(*(channel.send(config, self.message(), None) for _ in range(50)))

            assert len(server.requests) == 50
