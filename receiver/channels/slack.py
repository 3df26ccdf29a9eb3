"""How is an incident told in Slack, and kept up to date there?"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr, model_validator

from receiver.channels.base import (
    DEFAULT_TIMEOUT,
    ChannelConfig,
    ChannelError,
    Heard,
    Inbound,
    MarkupRefused,
    Message,
    PermanentFailure,
    SecretUrl,
    Sent,
    TemporaryFailure,
    Timeout,
    exactly_one,
    is_web_address,
    read_secret,
)
from receiver.channels.client import Answer, Client, check, origin_of, retry_after
from receiver.channels.slack_answers import check_signature, is_slacks, presses
from receiver.channels.slack_blocks import MAX_TEXT, fitted, looks
from receiver.clock import Clock
from receiver.policy.incident import Reason
from receiver.policy.throttle import Limit

log = structlog.get_logger()

CONFIRMS_WITHIN = 5.0  # seconds; nobody waits for it, and the press has counted already

RETRIED = {  # error codes about the moment, with the seconds to wait where it is long
    "ratelimited": None,
    "rate_limited": None,
    "message_limit_exceeded": 600.0,  # the workspace's own limit; it does not pass in seconds
    "request_timeout": None,
    "service_unavailable": None,
    "internal_error": None,
    "fatal_error": None,
    "update_failed": None,
    "rollup_error": None,
}
REFUSED = {  # the message itself is wrong; said plainly it may pass
    *("invalid_blocks", "invalid_blocks_format", "invalid_attachments", "invalid_payload", "no_text"),
    *("invalid_arguments", "markdown_text_conflict"),
    *("msg_too_long", "msg_blocks_too_long", "too_many_attachments"),
}
ADVICE = {
    "account_inactive": "install the app again and renew the token",
    "action_prohibited": "an administrator forbids it; ask for an exception or choose another channel",
    "channel_is_archived": "choose another channel",
    "channel_not_found": "check the channel's name, or invite the app to it",
    "invalid_auth": "check the token",
    "invalid_token": "the webhook's URL is not right; copy it again",
    "is_archived": "choose another channel",
    "missing_scope": "give the app the scope chat:write",
    "no_active_hooks": "the webhook was switched off; create a new one",
    "no_permission": "install the app again, with the scope chat:write",
    "no_service": "the webhook was removed; create a new one",
    "no_team": "the workspace is gone; create a webhook in another",
    "not_authed": "the token is empty",
    "not_in_channel": "invite the app to the channel",
    "restricted_action": "an administrator restricts who may post there; choose another channel",
    "team_access_not_granted": "let an administrator approve the app for the workspace",
    "token_expired": "renew the token",
    "token_revoked": "install the app again and renew the token",
    "user_not_found": "the person is gone; choose another channel",
}
BROADCAST = {  # a thread notifies only those who follow it; these ask someone to act
    *(Reason.NEW_ALERTS, Reason.MORE_SEVERE, Reason.REOPENED),
    *(Reason.UNACKNOWLEDGED, Reason.LAPSED, Reason.REPEAT_DUE, Reason.FALLBACK),
    *(Reason.ESCALATED, Reason.ASSIGNED, Reason.SNOOZE_OVER),
}


class SlackConfig(ChannelConfig):
    """An entry of `slack_configs`: an incoming webhook (api_url), or an app (app_token) that edits."""

    edit_costs: ClassVar[int] = 7  # chat.update is Tier 3: 50 a minute, what goes at once included

    api_url: SecretUrl | None = None
    api_url_file: str | None = None  # read at every send
    app_token: SecretStr | None = None
    app_token_file: str | None = None  # read at every send
    app_url: str = "https://slack.com/api/chat.postMessage"  # chat.update lies beside it
    channel: str | None = None  # a webhook has one of its own
    username: str | None = None
    icon_emoji: str | None = None
    signing_secret: SecretStr | None = None  # of the app: shows that a press comes from Slack
    signing_secret_file: str | None = None  # read at every press
    timeout: Timeout = DEFAULT_TIMEOUT
    allow_private_addresses: bool = False  # for a server that speaks Slack's language at home

    @model_validator(mode="after")
    def _complete(self) -> Self:
        exactly_one(
            api_url=self.api_url,
            api_url_file=self.api_url_file,
            app_token=self.app_token,
            app_token_file=self.app_token_file,
        )
        if self.is_app and not self.channel:
            raise ValueError("an app needs the channel to post to; a webhook has one of its own")
        if not is_web_address(self.app_url):
            raise ValueError("app_url is not a URL")
        if self.signing_secret is not None and self.signing_secret_file is not None:
            raise ValueError("signing_secret and signing_secret_file exclude each other; keep one")
        if self.signing_secret is not None and not self.signing_secret.get_secret_value().strip():
            raise ValueError("signing_secret is empty; leave the key out, or copy it from the app's page")
        return self

    @property
    def is_app(self) -> bool:
        """Whether messages are posted by an app, which can edit them."""
        return self.app_token is not None or self.app_token_file is not None

    @property
    def is_interactive(self) -> bool:
        """Whether Slack tells us which buttons are pressed."""
        return self.signing_secret is not None or self.signing_secret_file is not None

    @property
    def service(self) -> str:
        """The server; a webhook whose URL lies in a file stands for itself."""
        if self.api_url_file is not None:
            return f"slack {self.api_url_file}"
        url = self.api_url.get_secret_value() if self.api_url is not None else self.app_url
        host = urlsplit(url).hostname
        return "slack" if host in {"slack.com", "hooks.slack.com"} else f"slack {host}"

    @property
    def destination(self) -> str:
        """The channel, and for a webhook which one: two webhooks may lead to channels of one name."""
        if self.is_app:
            return f"slack {self.channel}"
        if self.api_url is None:
            way = str(self.api_url_file)
        else:
            url = self.api_url.get_secret_value()
            way = f"{urlsplit(url).hostname}#{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        return f"slack {self.channel} via {way}" if self.channel else f"slack {way}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """All calls that say one message: to whom, with which token, and until when."""

    to: SlackConfig
    token: str
    ends: float  # of the clock's elapsed seconds


class Slack:
    """Posts messages, edits and answers those of an app, and hears which buttons are pressed."""

    Config: ClassVar[type[ChannelConfig]] = SlackConfig
    needs_templates: ClassVar[bool] = True
    takes_digests: ClassVar[bool] = True
    destination_limit: ClassVar[Limit | None] = Limit(1, timedelta(seconds=1), burst=3)  # each channel
    service_limit: ClassVar[Limit | None] = Limit(300, timedelta(minutes=1), burst=30)  # "several hundred"

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def send(self, to: SlackConfig, message: Message, earlier: Sent | None) -> Sent:
        """Post the message, or bring the earlier one up to date and say in its thread what changed."""
        token = read_secret(to.app_token, to.app_token_file)
        if not (token.isascii() and token.isprintable()):
            raise PermanentFailure("the app token holds characters that no token has")
        exchange = Exchange(to, token, self._clock.elapsed() + to.timeout.total_seconds())
        try:
            if to.is_app:
                return await self._converse(exchange, message, earlier)
            return await self._post_webhook(exchange, message)
        except MarkupRefused as failure:
            if message.is_plain:  # nothing simpler is left to try
                raise PermanentFailure(failure.reason, answer=failure.answer) from None
            raise

    def hear(self, inbound: Inbound, configs: Sequence[SlackConfig]) -> list[Heard]:
        """Return which buttons were pressed; other interactions say nothing to us."""
        secrets = []
        for config in configs:
            try:
                secrets.append(read_secret(config.signing_secret, config.signing_secret_file))
            except PermanentFailure as failure:  # the secret of another app may still match
                log.warning("slack.signing_secret.unreadable", reason=failure.reason)
        check_signature(inbound, secrets)
        return presses(inbound.body)

    async def confirm(self, heard: Heard, said: str, configs: Sequence[SlackConfig]) -> None:
        """Say to the person alone what came of it, at the address that came with the press."""
        url = heard.reply_to.get("response_url", "")
        config = next((one for one in configs if is_slacks(url, one.app_url)), None)
        if config is None or not said:
            log.warning("slack.confirm.refused", reason="the response_url does not lead to Slack")
            return
        content = {
            "response_type": "ephemeral",
            "replace_original": False,
            "text": fitted(said, MAX_TEXT),
        }
        try:
            answer = await self._post(config, url, content, seconds=CONFIRMS_WITHIN)
            check(answer, url=url, now=self._clock.now())
        except ChannelError as failure:
            log.warning("slack.confirm.failed", reason=failure.reason)

    async def aclose(self) -> None:
        """Leave the client open: other channels share it."""

    async def _converse(self, exchange: Exchange, message: Message, earlier: Sent | None) -> Sent:
        if earlier is not None and {"channel", "ts"} <= earlier.ids.keys():
            try:
                return await self._continue(exchange, message, earlier)
            except MarkupRefused:
                raise
            except PermanentFailure:
                if message.reason is Reason.OUTDATED:  # it was told; nobody needs to hear of it once more
                    raise
                # Deleted, too old to edit, thread locked: a new message tells it, or fails the same way.
        said = await self._call(exchange, exchange.to.app_url, payload(exchange.to, message))
        ids = {"channel": str(said.get("channel", "")), "ts": str(said.get("ts", ""))}
        return Sent(
            ids=ids if all(ids.values()) else {}, answer=f"ok, message {ids['ts']} in {ids['channel']}"
        )

    async def _continue(self, exchange: Exchange, message: Message, earlier: Sent) -> Sent:
        channel, ts = earlier.ids["channel"], earlier.ids["ts"]
        update = payload(exchange.to, message) | {"channel": channel, "ts": ts}
        posting = exchange.to.app_url
        await self._call(exchange, posting.rpartition("/")[0] + "/chat.update", update, is_repeatable=True)
        if message.reply is None:
            return Sent(ids=earlier.ids, answer=f"ok, message {ts} updated")
        reply = {
            **_sender(exchange.to),
            "channel": channel,
            "thread_ts": ts,
            "text": fitted(message.reply, MAX_TEXT) if message.is_plain else message.reply,
            "reply_broadcast": message.reason in BROADCAST,
        }
        said = await self._call(exchange, posting, reply)
        return Sent(ids=earlier.ids, answer=f"ok, message {ts} updated, reply {said.get('ts', '')}")

    async def _call(
        self, exchange: Exchange, url: str, content: dict[str, Any], *, is_repeatable: bool = False
    ) -> dict[str, Any]:
        """Return the answer of a Web API method, which says `ok: false` with HTTP 200 when it failed."""
        answer = await self._post_in(exchange, url, content, is_repeatable=is_repeatable)
        said = _json(answer)
        code = said.get("error") if said is not None and said.get("ok") is not True else None
        if answer.status == 429 or answer.status >= 500 or not isinstance(code, str):
            check(answer, url=url, now=self._clock.now())
        if said is None:
            raise TemporaryFailure(
                f"{origin_of(url)} answered something that is not JSON", answer=answer.text
            )
        if said.get("ok") is not True:
            raise self._failure(str(code), answer)
        return said

    async def _post_webhook(self, exchange: Exchange, message: Message) -> Sent:
        to = exchange.to
        url = read_secret(to.api_url, to.api_url_file)
        if not is_web_address(url):
            raise PermanentFailure(f"{to.api_url_file} does not hold a URL")
        answer = await self._post_in(exchange, url, payload(to, message, is_alone=True))
        if 400 <= answer.status < 500 and _is_code(answer.text) and answer.status != 429:
            raise self._failure(answer.text.strip(), answer)
        check(answer, url=url, now=self._clock.now())
        said = _json(answer)
        if said is not None and said.get("ok") is False:
            raise self._failure(str(said.get("error")), answer)
        if said is None and answer.text.strip() != "ok":
            raise TemporaryFailure(f"{origin_of(url)} did not answer as Slack does", answer=answer.text)
        return Sent(answer=answer.text[:2048])

    async def _post_in(
        self, exchange: Exchange, url: str, content: dict[str, Any], *, is_repeatable: bool = False
    ) -> Answer:
        """Return the answer, within what the calls before have left of the time."""
        seconds = exchange.ends - self._clock.elapsed()
        if seconds <= 0:  # all calls together: a lease waits for no one
            raise TemporaryFailure(f"Slack took longer than {exchange.to.timeout.total_seconds():g} s")
        return await self._post(
            exchange.to, url, content, seconds=seconds, token=exchange.token, is_repeatable=is_repeatable
        )

    async def _post(
        self,
        to: SlackConfig,
        url: str,
        content: dict[str, Any],
        *,
        seconds: float,
        token: str = "",
        is_repeatable: bool = False,
    ) -> Answer:
        login = {"Authorization": f"Bearer {token}"} if token else {}
        return await self._client.post(
            url,
            content=json.dumps(content).encode(),
            headers={"Content-Type": "application/json; charset=utf-8", **login},
            timeout=seconds,
            private_allowed=to.allow_private_addresses,
            secrets=[token],
            is_repeatable=is_repeatable,
        )

    def _failure(self, code: str, answer: Answer) -> ChannelError:
        """Return what an error code means."""
        shown = code if _is_code(code) else "an unknown error"
        reason = f"Slack answered {shown}" + (f": {ADVICE[code]}" if code in ADVICE else "")
        if code in RETRIED:
            asked = retry_after(answer.headers.get("retry-after", ""), self._clock.now())
            return TemporaryFailure(reason, answer=answer.text, retry_after=asked or RETRIED[code])
        if code in REFUSED:
            return MarkupRefused(reason, answer=answer.text)
        return PermanentFailure(reason, answer=answer.text)


def payload(to: SlackConfig, message: Message, *, is_alone: bool = False) -> dict[str, Any]:
    """Return a message to this destination; one that stands alone says itself what changed."""
    return _sender(to) | looks(message, is_alone=is_alone, is_interactive=to.is_interactive)


def _sender(to: SlackConfig) -> dict[str, Any]:
    named = {"channel": to.channel, "username": to.username, "icon_emoji": to.icon_emoji}
    return {name: value for name, value in named.items() if value} | {
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _json(answer: Answer) -> dict[str, Any] | None:
    try:
        said = json.loads(answer.text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _is_code(text: str) -> bool:
    return re.fullmatch(r"[a-z_]{2,80}", text.strip()) is not None
