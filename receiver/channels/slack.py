"""How is an incident told in Slack, and kept up to date there?"""

import asyncio
import hashlib
import json
import re
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import SecretStr, model_validator

from receiver.channels.base import (
    DEFAULT_TIMEOUT,
    ChannelConfig,
    ChannelError,
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
from receiver.channels.client import Answer, Client, check, origin_of
from receiver.clock import Clock
from receiver.policy.incident import MessageEvent, Reason
from receiver.policy.throttle import Limit

MAX_SECTION = 3000  # section.text: "must be less than 3001 characters"
MAX_TEXT = 4000  # longer top-level texts are shown badly, and cut at 40,000
MAX_CONTEXT = 2000  # a context element holds less than a section

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
    *("msg_too_long", "msg_blocks_too_long", "too_many_attachments"),
}
ADVICE = {
    "channel_not_found": "check the channel's name, or invite the app to it",
    "not_in_channel": "invite the app to the channel",
    "is_archived": "choose another channel",
    "channel_is_archived": "choose another channel",
    "invalid_auth": "check the token",
    "token_revoked": "install the app again and renew the token",
    "missing_scope": "give the app the scope chat:write",
    "no_service": "the webhook was removed; create a new one",
}
BROADCAST = {  # a thread notifies only those who follow it; these ask someone to act
    *(Reason.NEW_ALERTS, Reason.MORE_SEVERE, Reason.REOPENED),
    *(Reason.UNACKNOWLEDGED, Reason.REPEAT_DUE, Reason.FALLBACK),
}
COLORS = {
    "critical": "#c62828",
    "page": "#c62828",
    "error": "#c62828",
    "warning": "#f9a825",
    "info": "#1565c0",
}
ACKNOWLEDGED, RESOLVED, UNKNOWN = "#6a1b9a", "#2e7d32", "#c62828"


class SlackConfig(ChannelConfig):
    """An entry of `slack_configs`: an incoming webhook (api_url), or an app (app_token) that edits."""

    api_url: SecretUrl | None = None
    api_url_file: str | None = None  # read at every send
    app_token: SecretStr | None = None
    app_token_file: str | None = None  # read at every send
    app_url: str = "https://slack.com/api/chat.postMessage"  # chat.update lies beside it
    channel: str | None = None  # a webhook has one of its own
    username: str | None = None
    icon_emoji: str | None = None
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
        return self

    @property
    def is_app(self) -> bool:
        """Whether messages are posted by an app, which can edit them."""
        return self.app_token is not None or self.app_token_file is not None

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


class Slack:
    """Posts messages, and edits and answers those of an app."""

    Config: ClassVar[type[ChannelConfig]] = SlackConfig
    needs_templates: ClassVar[bool] = True
    takes_digests: ClassVar[bool] = True
    destination_limit: ClassVar[Limit | None] = None
    service_limit: ClassVar[Limit | None] = None

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def send(self, to: SlackConfig, message: Message, earlier: Sent | None) -> Sent:
        """Post the message, or bring the earlier one up to date and say in its thread what changed."""
        seconds = to.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):  # all calls together: a lease waits for no one
                if not to.is_app:
                    return await self._post_webhook(to, message)
                token = read_secret(to.app_token, to.app_token_file)
                return await self._converse(to, token, message, earlier)
        except TimeoutError:
            raise TemporaryFailure(f"Slack took longer than {seconds:g} s") from None
        except MarkupRefused as failure:
            if message.is_plain:  # nothing simpler is left to try
                raise PermanentFailure(failure.reason, answer=failure.answer) from None
            raise

    async def aclose(self) -> None:
        """Leave the client open: other channels share it."""

    async def _converse(self, to: SlackConfig, token: str, message: Message, earlier: Sent | None) -> Sent:
        if earlier is not None and {"channel", "ts"} <= earlier.ids.keys():
            try:
                return await self._continue(to, token, message, earlier)
            except MarkupRefused:
                raise
            except PermanentFailure:
                pass  # deleted, too old to edit, thread locked: a new message tells it, or fails the same way
        said = await self._call(to, token, to.app_url, payload(to, message))
        ids = {"channel": str(said.get("channel", "")), "ts": str(said.get("ts", ""))}
        return Sent(
            ids=ids if all(ids.values()) else {}, answer=f"ok, message {ids['ts']} in {ids['channel']}"
        )

    async def _continue(self, to: SlackConfig, token: str, message: Message, earlier: Sent) -> Sent:
        channel, ts = earlier.ids["channel"], earlier.ids["ts"]
        update = payload(to, message) | {"channel": channel, "ts": ts}
        await self._call(to, token, to.app_url.rpartition("/")[0] + "/chat.update", update)
        if message.reply is None:
            return Sent(ids=earlier.ids, answer=f"ok, message {ts} updated")
        reply = {
            **_sender(to),
            "channel": channel,
            "thread_ts": ts,
            "text": _said(message, message.reply, MAX_TEXT),
            "reply_broadcast": message.reason in BROADCAST,
        }
        said = await self._call(to, token, to.app_url, reply)
        return Sent(ids=earlier.ids, answer=f"ok, message {ts} updated, reply {said.get('ts', '')}")

    async def _call(self, to: SlackConfig, token: str, url: str, content: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of a Web API method, which says `ok: false` with HTTP 200 when it failed."""
        if not (token.isascii() and token.isprintable()):
            raise PermanentFailure("the app token holds characters that no token has")
        answer = await self._post(to, url, content, {"Authorization": f"Bearer {token}"}, [token])
        said = _json(answer)
        code = said.get("error") if said is not None and said.get("ok") is not True else None
        if answer.status == 429 or answer.status >= 500 or not isinstance(code, str):
            self._check(answer, url)
        if said is None:
            raise TemporaryFailure(
                f"{origin_of(url)} answered something that is not JSON", answer=answer.text
            )
        if said.get("ok") is not True:
            raise _failure(str(code), answer.text)
        return said

    async def _post_webhook(self, to: SlackConfig, message: Message) -> Sent:
        url = read_secret(to.api_url, to.api_url_file)
        if not is_web_address(url):
            raise PermanentFailure(f"{to.api_url_file} does not hold a URL")
        answer = await self._post(to, url, payload(to, message, is_alone=True), {}, [])
        if 400 <= answer.status < 500 and _is_code(answer.text) and answer.status != 429:
            raise _failure(answer.text.strip(), answer.text)
        self._check(answer, url)
        said = _json(answer)
        if said is not None and said.get("ok") is False:
            raise _failure(str(said.get("error")), answer.text)
        if said is None and answer.text.strip() != "ok":
            raise TemporaryFailure(f"{origin_of(url)} did not answer as Slack does", answer=answer.text)
        return Sent(answer=answer.text[:2048])

    async def _post(
        self, to: SlackConfig, url: str, content: dict[str, Any], headers: dict[str, str], secrets: list[str]
    ) -> Answer:
        return await self._client.post(
            url,
            content=json.dumps(content).encode(),
            headers={"Content-Type": "application/json; charset=utf-8", **headers},
            timeout=to.timeout.total_seconds(),
            private_allowed=to.allow_private_addresses,
            secrets=secrets,
        )

    def _check(self, answer: Answer, url: str) -> None:
        check(answer, url=url, now=self._clock.now())


def payload(to: SlackConfig, message: Message, *, is_alone: bool = False) -> dict[str, Any]:
    """Return a message; one that stands alone, because it cannot be a reply, says itself what changed.

    The title is the top-level text, which notifications show; the colour bar exists in attachments only.
    A plain message has no blocks at all: nothing is left in it that could be refused.
    """
    if message.is_plain:
        text = _said(message, f"{message.title}\n{message.text}", MAX_TEXT)
        return {
            **_sender(to),
            "text": text,
            "attachments": [],
        }  # an empty list removes what an update replaces
    if len(message.text) > MAX_SECTION:
        raise MarkupRefused(f"the text has {len(message.text)} characters, a section takes {MAX_SECTION}")
    blocks: list[dict[str, Any]] = []
    if is_alone and message.reply and len(message.reply) <= MAX_CONTEXT:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": message.reply}]})
    if message.text.strip():
        text_object = {"type": "mrkdwn", "text": message.text}
        blocks.append({"type": "section", "expand": True, "text": text_object})
    title = fitted(message.title, MAX_TEXT)
    attachment = {"color": color(message), "fallback": title, "blocks": blocks}
    return {**_sender(to), "text": title, "attachments": [attachment] if blocks else []}


def color(message: Message) -> str:
    """Return the colour of the bar: what is asked of a person, then how bad it is."""
    if message.event is MessageEvent.RESOLVED:
        return RESOLVED
    if message.event is MessageEvent.ACKNOWLEDGED:
        return ACKNOWLEDGED
    return COLORS.get(str(message.facts["incident"]["severity"]), UNKNOWN)


def escaped(text: str) -> str:
    """Return the text with the three characters escaped that mean something to Slack."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fitted(text: str, limit: int) -> str:
    """Return the text escaped, shortened before that: half an escape would be shown as rubbish."""
    kept = text[:limit]
    while len(escaped(kept)) > limit:
        kept = kept[: len(kept) - max(1, (len(escaped(kept)) - limit) // 5)]
    return escaped(kept) if kept == text else escaped(kept[:-1]) + "…"


def _said(message: Message, text: str, limit: int) -> str:
    return fitted(text, limit) if message.is_plain else text


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


def _failure(code: str, answer: str) -> ChannelError:
    shown = code if _is_code(code) else "an unknown error"
    reason = f"Slack answered {shown}" + (f": {ADVICE[code]}" if code in ADVICE else "")
    if code in RETRIED:
        return TemporaryFailure(reason, answer=answer, retry_after=RETRIED[code])
    if code in REFUSED:
        return MarkupRefused(reason, answer=answer)
    return PermanentFailure(reason, answer=answer)
