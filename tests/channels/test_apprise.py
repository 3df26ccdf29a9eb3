"""How is an incident told through apprise?"""

import asyncio
import json
import logging
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from receiver.channels.apprise import Apprise, AppriseConfig
from receiver.channels.apprise_guard import Guard, guarded, judge, shown
from receiver.channels.base import PermanentFailure, TemporaryFailure
from receiver.policy.incident import MessageEvent
from tests.channels.contract import TEMPORARY, ChannelContract, a_message
from tests.fakes.facts import an_incident, some_facts
from tests.fakes.http import FakeHttp, Reply, as_json

ROOT = Path(__file__).parent.parent.parent
PASSWORD, PATH, HEADER = "secretpassword", "secretpath", "secretheader"
TOPIC, TOKEN = "secrettopic", "tk_secrettoken12345678901234567"


class AppriseContract(ChannelContract):
    """Retry-After is lost in apprise, connections are not kept, and the rest holds as everywhere."""

    kind = "apprise"

    def channel(self, client, clock):
        return Apprise(client, clock)

    @pytest.mark.parametrize(("reply", "retry_after"), TEMPORARY)
    async def test_what_may_pass_is_tried_again(self, server, client, clock, reply, retry_after):  # noqa: ARG002 - the cases are everybody's
        """When it asks to be left alone for a while, apprise does not tell; the outbox waits as it always does."""
        async with server:
            server.fails(reply)

            with pytest.raises(TemporaryFailure) as failure:
                await self.channel(client, clock).send(self.config(server), self.message(), None)

            assert failure.value.retry_after is None

    async def test_it_uses_connections_again_and_closes_them(self, server, client, clock):
        """It opens one for each message, and leaves none open."""
        async with server:
            channel, config = self.channel(client, clock), self.config(server)

            for _ in range(3):
                await channel.send(config, self.message(), None)

            await server.all_closed()

    def check_harmless(self, arrived: str, text: str) -> None:
        assert not any(ord(c) < 32 and c != "\n" for c in arrived)
        assert "\u202e" not in arrived
        assert "49" not in arrived.replace(text, "")  # {{ 7 * 7 }} was not calculated
        if text.isprintable() and len(text) < 100:
            assert text in arrived  # as words, whatever they would be elsewhere


class TestJson(AppriseContract):
    """json:// posts an object to a server of one's own."""

    @pytest.fixture
    def server(self):
        return FakeHttp()

    def config(self, server, **changes: Any):
        scheme, _, place = server.url(f"/{PATH}?+X-Key={HEADER}").partition("://")
        url = f"{'jsons' if scheme == 'https' else 'json'}://tocsin:{PASSWORD}@{place}"
        return AppriseConfig(**{"url": url, "allow_private_addresses": True, **changes})

    def secrets(self):
        return [PASSWORD, PATH, HEADER]

    def arrived(self, server):
        posted = [request.json() for request in server.requests]
        return "\n".join(f"{one['title']}\n{one['message']}" for one in posted)

    async def test_the_login_and_the_headers_of_the_url_are_used(self, server, client, clock):
        async with server:
            await self.channel(client, clock).send(self.config(server), self.message(), None)

            request = server.requests[0]
            assert request.path == f"/{PATH}"
            assert request.headers["x-key"] == HEADER
            assert request.headers["authorization"].startswith("Basic ")

    async def test_each_message_stands_alone_and_says_first_what_changed(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            first = await channel.send(config, self.message(), None)

            await channel.send(config, self.message(reply="1 new alert"), first)

            assert first.ids == {}
            assert [request.json()["message"].startswith("1 new alert\n") for request in server.requests] == [
                False,
                True,
            ]

    @pytest.mark.parametrize(
        ("event", "severity", "kind"),
        [
            (MessageEvent.TRIGGERED, "critical", "failure"),
            (MessageEvent.TRIGGERED, "warning", "warning"),
            (MessageEvent.TRIGGERED, "", "info"),
            (MessageEvent.ACKNOWLEDGED, "critical", "info"),
            (MessageEvent.RESOLVED, "critical", "success"),
        ],
    )
    async def test_the_colour_says_what_is_asked_of_a_person(
        self, server, client, clock, event, severity, kind
    ):
        facts = some_facts(incident=an_incident(severity=severity))
        async with server:
            await self.channel(client, clock).send(
                self.config(server), self.message(event=event, facts=facts), None
            )

            assert server.requests[0].json()["type"] == kind

    async def test_what_a_service_says_of_a_wait_in_its_answer_is_kept(self, server, client, clock):
        async with server:
            server.fails(as_json({"message": "rate limited", "retry_after": 12.5}, 429))

            with pytest.raises(TemporaryFailure) as failure:
                await self.channel(client, clock).send(self.config(server), self.message(), None)

            assert failure.value.retry_after == 12.5

    async def test_the_answer_of_the_service_is_shown(self, server, client, clock):
        async with server:
            server.fails(Reply(status=403, body=b"this topic is reserved"))

            with pytest.raises(PermanentFailure, match="answered 403") as failure:
                await self.channel(client, clock).send(self.config(server), self.message(), None)

            assert "this topic is reserved" in failure.value.answer

    async def test_what_an_alert_says_is_not_taken_for_what_the_service_said(self, server, client, clock):
        """Else whoever can fire an alert could have its page given up."""
        said = {"summary": "error=404. Socket Exception: Connection refused"}
        facts = some_facts(incident=an_incident(annotations=said))
        async with server:
            server.fails(Reply(status=503))

            with pytest.raises(TemporaryFailure, match="answered 503"):
                await self.channel(client, clock).send(self.config(server), self.message(facts=facts), None)

    @pytest.mark.parametrize(
        ("reply", "is_ambiguous"),
        [
            pytest.param(Reply(is_never=True), True, id="no answer"),
            pytest.param(Reply(is_closed=True), True, id="closed after the request"),
            pytest.param(Reply(delay=1.0), True, id="an answer after the timeout"),
            pytest.param(Reply(status=503), False, id="an answer"),
        ],
    )
    async def test_it_says_when_a_message_may_have_arrived(self, server, client, clock, reply, is_ambiguous):
        async with server:
            server.fails(reply)

            with pytest.raises(TemporaryFailure) as failure:
                await self.channel(client, clock).send(
                    self.config(server, timeout="300ms"), self.message(), None
                )

            assert failure.value.is_ambiguous is is_ambiguous

    async def test_a_closed_port_is_surely_not_told(self, server, client, clock):
        with socket.create_server(("127.0.0.1", 0)) as free:
            server.port = free.getsockname()[1]

        with pytest.raises(TemporaryFailure) as failure:
            await self.channel(client, clock).send(self.config(server), self.message(), None)

        assert not failure.value.is_ambiguous

    async def test_a_name_is_judged_by_the_address_that_is_connected_to(self, server, client, clock):
        async with server:
            config = AppriseConfig(url=f"json://localhost:{server.port}/")

            with pytest.raises(PermanentFailure, match="allow_private_addresses: true"):
                await self.channel(client, clock).send(config, self.message(), None)

            assert server.connections_made == 0

    async def test_one_that_may_connect_does_not_open_the_way_for_one_that_may_not(
        self, server, client, clock
    ):
        """Each message carries its own rule into the thread that sends it."""
        async with server:
            channel = self.channel(client, clock)
            configs = [self.config(server, allow_private_addresses=n % 2 == 0) for n in range(10)]

            ends = await asyncio.gather(
                *(channel.send(config, self.message(), None) for config in configs), return_exceptions=True
            )

            assert [isinstance(end, PermanentFailure) for end in ends] == [False, True] * 5
            assert len(server.requests) == 5

    async def test_the_url_is_read_from_its_file_at_each_send(self, server, client, clock, tmp_path):
        file = tmp_path / "url"
        async with server:
            config = AppriseConfig(url_file=str(file), allow_private_addresses=True)

            for path in ("before", "after"):
                file.write_text(f"json://127.0.0.1:{server.port}/{path}\n")
                await self.channel(client, clock).send(config, self.message(), None)

            assert [request.path for request in server.requests] == ["/before", "/after"]

    async def test_a_file_that_holds_no_usable_url_is_a_permanent_failure(self, client, clock, tmp_path):
        file = tmp_path / "url"
        file.write_text("secretnonsense")

        with pytest.raises(PermanentFailure, match="not an apprise URL") as failure:
            await self.channel(client, clock).send(AppriseConfig(url_file=str(file)), self.message(), None)

        assert "secretnonsense" not in failure.value.reason


class TestNtfy(AppriseContract):
    """ntfy:// pushes to phones; its topic is as good as a password."""

    @pytest.fixture
    def server(self):
        return FakeNtfy()

    def config(self, server, **changes: Any):
        scheme, _, place = server.url(f"/{TOPIC}?auth=token").partition("://")
        url = f"{'ntfys' if scheme == 'https' else 'ntfy'}://{TOKEN}@{place}"
        return AppriseConfig(**{"url": url, "allow_private_addresses": True, **changes})

    def secrets(self):
        return [TOKEN, TOPIC]

    def arrived(self, server):
        return "\n".join(server.shown)


class FakeNtfy(FakeHttp):
    """What a phone that follows the topic shows."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    def answer(self, request):
        said = json.loads(request.body)
        self.shown.append(f"{said.get('title', '')}\n{said['message']}")
        return as_json({"id": "xE73Iyuabi", "event": "message", "topic": said["topic"]})


@pytest.mark.parametrize("does", ["answers no", "raises"])
async def test_a_service_that_fails_without_a_word_is_tried_again(client, clock, does):
    """apprise lets anybody add services; what goes wrong in one is no bug of ours, and no reason to give up."""

    AppriseConfig(url="json://localhost")  # now apprise is loaded
    from apprise.decorators import notify  # noqa: PLC0415 - not before we have loaded it

    @notify(on="silent")
    def silent(*_: Any, **__: Any) -> bool:
        if does == "raises":
            raise RuntimeError("secretsecret")
        return False

    with pytest.raises(TemporaryFailure, match="silent: apprise could not deliver it") as failure:
        await Apprise(client, clock).send(
            AppriseConfig(url="silent://secretsecret"), a_message(kind="apprise"), None
        )

    assert "secretsecret" not in failure.value.answer


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        pytest.param({}, "exactly one of url, url_file", id="no URL"),
        pytest.param({"url": "json://a", "url_file": "b"}, "exactly one of", id="two URLs"),
        pytest.param({"url": "hooks.example.org/secret"}, "not an apprise URL", id="no service"),
        pytest.param(
            {"url": "nonsense://secret"}, "cannot use this nonsense URL", id="a service that is none"
        ),
        pytest.param({"url": "slack://secret"}, "cannot use this slack URL", id="half a URL"),
        pytest.param({"url": "json://a", "timeout": "5m"}, "at most 30s", id="longer than a lease"),
        pytest.param({"url": "json://a", "name": "two words"}, "name", id="a name of two words"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_the_file_is_read(keys, complaint):
    with pytest.raises(ValidationError, match=complaint) as error:
        AppriseConfig(**keys)

    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("ntfy://ntfy.example.org/topic", "ntfy://ntfy.example.org"),
        ("jsons://user:pass@hooks.example.org:8443/a?b=c", "jsons://hooks.example.org:8443"),
        ("json://user:p@ss@127.0.0.1:9/x", "json://127.0.0.1:9"),
        ("json://[::1]:9/x", "json://[::1]:9"),
        ("ntfy://topic", "ntfy"),
        ("tgram://123456789:AAExampleExampleExample/4711", "tgram"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "slack"),
        ("discord://4711/Abc.Def.Ghi", "discord"),
        ("x://eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.SflKxwRJSMeKKF2QT4/", "x"),
    ],
)
def test_only_a_host_is_shown_of_a_url_never_a_token_in_its_place(url, seen):
    assert shown(url) == seen


def test_destinations_differ_by_url_and_hide_it():
    one, two = (AppriseConfig(url=f"ntfy://ntfy.example.org/secret{n}") for n in (1, 2))

    assert one.destination != two.destination
    assert one.destination.startswith("apprise ntfy://ntfy.example.org#")
    assert "secret" not in one.destination
    assert one.service == two.service == "apprise ntfy://ntfy.example.org"


@pytest.mark.parametrize(
    ("keys", "destination"),
    [
        ({"url": "ntfy://topic", "name": "phones"}, "apprise phones#d151230b"),
        ({"url_file": "/run/secrets/push"}, "apprise /run/secrets/push"),
        ({"url_file": "/run/secrets/push", "name": "phones"}, "apprise phones /run/secrets/push"),
    ],
)
def test_a_destination_may_have_a_name(keys, destination):
    assert AppriseConfig(**keys).destination == destination


def test_apprise_says_no_url_in_its_log(caplog):
    """At its debug level it writes all of them."""
    caplog.set_level(logging.DEBUG)

    AppriseConfig(url="json://user:secretpassword@127.0.0.1/secretpath?+key=secretheader")

    assert "secret" not in caplog.text.replace("[secret]", "")


@pytest.mark.parametrize(
    ("address", "private_allowed", "is_allowed"),
    [
        pytest.param(("93.184.216.34", 443), False, True, id="public"),
        pytest.param(("127.0.0.1", 80), False, False, id="loopback"),
        pytest.param(("127.0.0.1", 80), True, True, id="loopback, meant"),
        pytest.param(("localhost", 80), False, False, id="a name"),
        pytest.param(("nowhere.invalid", 80), False, True, id="a name that leads nowhere"),
        pytest.param(("::1", 80, 0, 0), False, False, id="IPv6"),
        pytest.param(("169.254.169.254", 80), True, False, id="metadata"),
        pytest.param(("::ffff:169.254.169.254", 80, 0, 0), True, False, id="metadata in IPv6"),
        pytest.param("/run/dbus/system_bus_socket", False, False, id="a Unix socket"),
        pytest.param("/run/dbus/system_bus_socket", True, True, id="a Unix socket, meant"),
    ],
)
def test_a_connection_is_judged_by_where_it_leads(address, private_allowed, is_allowed):
    """Python asks before each; nobody else's connections are looked at."""
    judge("socket.connect", (None, address))
    refused = nullcontext() if is_allowed else pytest.raises(ConnectionRefusedError)

    with guarded(Guard("json://a", private_allowed=private_allowed)), refused:
        judge("socket.connect", (None, address))


WITHOUT = """
import sys
from receiver.channels import KINDS
print("apprise" in sys.modules)
sys.modules["apprise"] = None  # as if it were not installed
try:
    KINDS["apprise"].Config(url="json://127.0.0.1/x")
except ValueError as error:
    print(error)
"""


def test_where_apprise_is_missing_only_who_uses_it_hears_how_to_install_it():
    """It is an extra, and takes two seconds to import: nobody else waits for it."""
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert ran.stdout.startswith("False\n")
    assert "pip install 'tocsin[apprise]'" in ran.stdout
