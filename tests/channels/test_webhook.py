"""How is an incident posted to a program?"""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from receiver.channels.base import PermanentFailure
from receiver.channels.webhook import Webhook, WebhookConfig, body, signature
from receiver.policy.incident import MessageEvent
from tests.channels.contract import ChannelContract, a_message
from tests.fakes.clock import START
from tests.fakes.facts import an_alert, an_incident, some_facts
from tests.fakes.webhook import FakeWebhook

SECRET_PATH = "/hooks/secretpath?key=secretkey"
SIGNING_SECRET = "secretsigning"
PASSWORD = "secretpassword"

ALERTMANAGER_KEYS = {
    *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels"),
    *("commonAnnotations", "externalURL", "alerts"),
}
ALERT_KEYS = {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}


class TestWebhook(ChannelContract):
    @pytest.fixture
    def server(self):
        return FakeWebhook(SIGNING_SECRET)

    def channel(self, client, clock):
        return Webhook(client, clock)

    def config(self, server, **changes: Any):
        keys = {
            "url": server.url(SECRET_PATH),
            "secret": SIGNING_SECRET,
            "allow_private_addresses": True,
            "http_config": {"basic_auth": {"username": "tocsin", "password": PASSWORD}},
        }
        return WebhookConfig(**keys | changes)

    def secrets(self):
        return [
            SECRET_PATH,
            "secretkey",
            SIGNING_SECRET,
            PASSWORD,
            b64encode(b"tocsin:" + PASSWORD.encode()).decode(),
        ]

    def arrived(self, server):
        return json.dumps(server.bodies, ensure_ascii=False)

    def check_harmless(self, arrived: str, text: str) -> None:
        """Data is not shortened and not escaped: what was handed in is what arrives."""
        posted = json.loads(arrived)[0]["incident"]["title"]
        assert posted == text.encode("utf-8", "replace").decode()

    async def test_login_and_idempotency_key_are_headers(self, server, client, clock):
        async with server:
            await self.channel(client, clock).send(self.config(server), a_message(), None)

            headers = server.requests[0].headers
            assert headers["authorization"] == "Basic " + b64encode(f"tocsin:{PASSWORD}".encode()).decode()
            assert headers["idempotency-key"] == "41"
            assert headers["content-type"] == "application/json"
            assert headers["user-agent"].startswith("tocsin")

    async def test_a_bearer_token_is_read_from_its_file_at_each_send(self, server, client, clock, tmp_path):
        token = tmp_path / "token"
        login = {"authorization": {"credentials_file": str(token)}}
        async with server:
            config = self.config(server, http_config=login)

            for text in ("before\n", "after\n"):
                token.write_text(text)
                await self.channel(client, clock).send(config, a_message(), None)

            seen = [request.headers["authorization"] for request in server.requests]
            assert seen == ["Bearer before", "Bearer after"]

    async def test_an_unreadable_secret_file_is_named(self, server, client, clock, tmp_path):
        missing = str(tmp_path / "missing")

        with pytest.raises(PermanentFailure, match=missing):
            await self.channel(client, clock).send(
                self.config(server, secret=None, secret_file=missing), a_message(), None
            )

    async def test_a_url_file_without_a_url_is_named(self, server, client, clock, tmp_path):
        file = tmp_path / "url"
        file.write_text("not a url: secretsecret")

        with pytest.raises(PermanentFailure, match="does not hold a URL") as failure:
            await self.channel(client, clock).send(
                self.config(server, url=None, url_file=str(file)), a_message(), None
            )

        assert "secretsecret" not in failure.value.reason

    async def test_credentials_cannot_smuggle_a_header(self, server, client, clock, tmp_path):
        file = tmp_path / "token"
        file.write_text("token\r\nX-Evil: yes")
        login = {"authorization": {"credentials_file": str(file)}}

        async with server:
            with pytest.raises(PermanentFailure, match="no header may have"):
                await self.channel(client, clock).send(
                    self.config(server, http_config=login), a_message(), None
                )


def test_the_body_is_one_that_alertmanager_would_send():
    posted = json.loads(body(a_message()))

    assert posted.keys() >= ALERTMANAGER_KEYS
    assert posted["version"] == "4"
    assert posted["status"] == "firing"
    assert posted["alerts"][0].keys() == ALERT_KEYS
    assert posted["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"


def test_the_body_says_what_alertmanager_does_not_know():
    message = a_message(facts=some_facts(incident=an_incident(drill=True)))

    posted = json.loads(body(message))

    assert posted["incident"]["id"] == 7
    assert (posted["event"], posted["reason"], posted["notification_id"]) == ("triggered", "first", 41)
    assert posted["drill"] is True


def test_a_resolved_incident_has_the_status_resolved():
    ended = an_alert(status="resolved", ends_at="2026-11-20T03:30:00Z")

    posted = json.loads(body(a_message(event=MessageEvent.RESOLVED, facts=some_facts(alerts=[ended]))))

    assert posted["status"] == "resolved"
    assert posted["alerts"][0]["endsAt"] == "2026-11-20T03:30:00Z"


@pytest.mark.parametrize(("most", "kept", "truncated"), [(0, 5, 3), (2, 2, 6), (9, 5, 3)])
def test_alerts_left_out_are_counted(most, kept, truncated):
    facts = some_facts(alerts=[an_alert()] * 5, alerts_omitted=1, truncated_alerts=2)

    posted = json.loads(body(a_message(facts=facts), most))

    assert (len(posted["alerts"]), posted["truncatedAlerts"]) == (kept, truncated)


def test_the_signature_covers_time_and_body():
    header = signature("key", b"{}", START)

    assert header.startswith("t=1795144320,v1=")
    assert len({header, signature("other", b"{}", START), signature("key", b"[]", START)}) == 3


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        pytest.param({}, "exactly one of url, url_file", id="no URL"),
        pytest.param({"url": "https://a.example", "url_file": "b"}, "found url and url_file", id="two URLs"),
        pytest.param({"url": "hooks.example.org/secret"}, "it is not a URL", id="no scheme"),
        pytest.param({"url": "file:///etc/passwd"}, "it is not a URL", id="not the web"),
        pytest.param(
            {"url": "https://a.example", "secret": "x", "secret_file": "y"}, "keep one", id="two secrets"
        ),
        pytest.param({"url": "https://a.example", "timeout": "5m"}, "at most 30s", id="longer than a lease"),
        pytest.param({"url": "https://a.example", "max_alerts": -1}, "greater than or equal", id="negative"),
        pytest.param(
            {"url": "https://a.example", "http_config": {"authorization": {}}}, "exactly one of", id="empty"
        ),
        pytest.param(
            {"url": "https://a.example", "http_config": {"basic_auth": {"username": "a"}}},
            "exactly one",
            id="no password",
        ),
        pytest.param(
            {
                "url": "https://a.example",
                "http_config": {
                    "authorization": {"credentials": "x"},
                    "basic_auth": {"username": "a", "password": "b"},
                },
            },
            "the same header",
            id="two logins",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(keys, complaint):
    with pytest.raises(ValidationError, match=complaint) as error:
        WebhookConfig(**keys)

    assert "secret" not in str(error.value).replace("secret_file", "").replace("secret and", "")


def test_destinations_differ_by_url_and_hide_it():
    one = WebhookConfig(url="https://user:pass@hooks.example.org:8443/a?key=1").destination
    two = WebhookConfig(url="https://user:pass@hooks.example.org:8443/a?key=2").destination

    assert one != two
    assert one.startswith("webhook https://hooks.example.org:8443/…#")
    assert "pass" not in one


def test_a_url_file_is_its_own_destination():
    assert WebhookConfig(url_file=str(Path("/run/secrets/hook"))).destination == "webhook /run/secrets/hook"
