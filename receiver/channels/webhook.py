"""How is an incident posted to a program, in the shape Alertmanager would use?"""

import hashlib
import hmac
import json
from base64 import b64encode
from datetime import datetime
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_core import to_json

from receiver.channels.base import (
    DEFAULT_TIMEOUT,
    ChannelConfig,
    Message,
    PermanentFailure,
    SecretUrl,
    Sent,
    Timeout,
    exactly_one,
    is_web_address,
    read_secret,
)
from receiver.channels.client import Client, check
from receiver.clock import Clock
from receiver.policy.incident import MessageEvent
from receiver.policy.record import Record
from receiver.policy.throttle import Limit

STILL_FIRING = "0001-01-01T00:00:00Z"  # Alertmanager's endsAt of an alert that has not ended


class Authorization(Record):
    """The Authorization header."""

    type: str = Field(default="Bearer", pattern=r"^[A-Za-z0-9._-]+$")  # the word before the credentials
    credentials: SecretStr | None = None
    credentials_file: str | None = None

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        exactly_one(credentials=self.credentials, credentials_file=self.credentials_file)
        return self


class BasicAuth(Record):
    """User name and password."""

    username: str
    password: SecretStr | None = None
    password_file: str | None = None

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        exactly_one(password=self.password, password_file=self.password_file)
        return self


class HttpConfig(Record):
    """How to log in where the webhook leads."""

    authorization: Authorization | None = None
    basic_auth: BasicAuth | None = None

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if self.authorization and self.basic_auth:
            raise ValueError("authorization and basic_auth are the same header; keep one")
        return self


class WebhookConfig(ChannelConfig):
    """An entry of `webhook_configs`."""

    url: SecretUrl | None = None
    url_file: str | None = None  # read at every send
    max_alerts: int = Field(default=0, ge=0)  # 0 sends all
    timeout: Timeout = DEFAULT_TIMEOUT
    http_config: HttpConfig = HttpConfig()
    secret: SecretStr | None = None  # signs each body, so that its reader can trust it
    secret_file: str | None = None  # read at every send
    allow_private_addresses: bool = False  # alerts hold what others wrote; they must not reach inside

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        exactly_one(url=self.url, url_file=self.url_file)
        if self.secret is not None and self.secret_file is not None:
            raise ValueError("secret and secret_file exclude each other; keep one")
        return self

    @property
    def destination(self) -> str:
        """The host and a digest of the URL, or the file that holds it."""
        if self.url is None:
            return f"webhook {self.url_file}"
        url = self.url.get_secret_value()
        return f"webhook {_without_login(url)}/…#{hashlib.sha256(url.encode()).hexdigest()[:8]}"

    @property
    def service(self) -> str:
        """The host and port: programs there fail together. A URL in a file is known by its file."""
        if self.url is None:
            return self.destination
        parts = urlsplit(self.url.get_secret_value())
        return f"webhook {parts.netloc.rpartition('@')[2].lower()}"


class Webhook:
    """Posts incidents as data; its words are the facts, so there are no templates."""

    Config: ClassVar[type[ChannelConfig]] = WebhookConfig
    needs_templates: ClassVar[bool] = False
    takes_digests: ClassVar[bool] = False
    destination_limit: ClassVar[Limit | None] = None
    service_limit: ClassVar[Limit | None] = None

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def send(self, to: WebhookConfig, message: Message, earlier: Sent | None) -> Sent:  # noqa: ARG002 - it cannot edit
        """Post the message; a receiver tells a repeated attempt by its Idempotency-Key."""
        url = read_secret(to.url, to.url_file)
        if not is_web_address(url):
            raise PermanentFailure(f"{to.url_file} does not hold a URL")
        content = body(message, to.max_alerts)
        now = self._clock.now()
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(message.notification_id)}
        login, credentials = _login(to.http_config)
        if login:
            headers["Authorization"] = login
        key = read_secret(to.secret, to.secret_file)
        if key:
            headers["X-Tocsin-Signature"] = signature(key, content, now)
        answer = await self._client.post(
            url,
            content=content,
            headers=headers,
            timeout=to.timeout.total_seconds(),
            private_allowed=to.allow_private_addresses,
            secrets=[key, credentials, login.rpartition(" ")[2]],
        )
        check(answer, url=url, now=now)
        return Sent(answer=answer.text[:2048])

    async def aclose(self) -> None:
        """Leave the client open: other channels share it."""


def body(message: Message, max_alerts: int = 0) -> bytes:
    """Return what Alertmanager 4 would post, and what it does not know: our incident and its reason."""
    facts = message.facts
    alerts = facts["alerts"]
    kept = alerts[:max_alerts] if max_alerts else alerts
    left_out = facts["truncated_alerts"] + facts["alerts_omitted"] + len(alerts) - len(kept)
    posted: dict[str, Any] = {
        "version": "4",
        "groupKey": facts["group_key"],
        "truncatedAlerts": left_out,
        "status": "resolved" if message.event is MessageEvent.RESOLVED else "firing",
        "receiver": facts["receiver"],
        "groupLabels": facts["group_labels"],
        "commonLabels": facts["common_labels"],
        "commonAnnotations": facts["common_annotations"],
        "externalURL": facts["external_url"],
        "alerts": [_alert(alert) for alert in kept],
        "incident": facts["incident"],
        "event": message.event.value,
        "reason": message.reason.value,
        "drill": facts["incident"]["drill"],
        "notification_id": message.notification_id,
    }
    try:
        return to_json(posted)
    except ValueError:  # half a character somewhere; it says as much as can be said
        return json.dumps(posted, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def signature(secret: str, content: bytes, now: datetime) -> str:
    """Return the X-Tocsin-Signature header: when it was signed, and by whom."""
    at = str(int(now.timestamp()))
    digest = hmac.new(secret.encode(), at.encode() + b"." + content, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _alert(alert: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": alert["status"],
        "labels": alert["labels"],
        "annotations": alert["annotations"],
        "startsAt": alert["starts_at"],
        "endsAt": alert["ends_at"] or STILL_FIRING,
        "generatorURL": alert["generator_url"],
        "fingerprint": alert["fingerprint"],
    }


def _login(http: HttpConfig) -> tuple[str, str]:
    """Return the Authorization header, and the secret in it."""
    if http.authorization:
        given = http.authorization
        credentials = read_secret(given.credentials, given.credentials_file)
        return _header(f"{given.type} {credentials}"), credentials
    if http.basic_auth:
        basic = http.basic_auth
        password = read_secret(basic.password, basic.password_file)
        return f"Basic {b64encode(f'{basic.username}:{password}'.encode()).decode()}", password
    return "", ""


def _header(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise PermanentFailure("http_config: the credentials hold characters that no header may have")
    return value


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
