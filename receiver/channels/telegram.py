"""How is an incident told in Telegram, kept up to date there, and answered from there?"""

import html
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import anyio.to_thread
import structlog

from receiver.channels.base import (
    ChannelConfig,
    ChannelError,
    Forged,
    Heard,
    Inbound,
    MarkupRefused,
    Message,
    PermanentFailure,
    Sent,
    button_value,
    is_web_address,
)
from receiver.channels.client import Client
from receiver.channels.telegram_answers import Migrated, NotEditable, NoThread, NotModified, TooLate
from receiver.channels.telegram_config import TelegramConfig, bot_id
from receiver.channels.telegram_presses import heard_in, is_update, knows_secret, mark
from receiver.clock import Clock
from receiver.policy.incident import Reason, Verb
from receiver.policy.lengths import cut, seen
from receiver.policy.throttle import Limit

if TYPE_CHECKING:
    from receiver.channels.telegram_bot import Speaker

log = structlog.get_logger()

MAX_TEXT = 4096  # UTF-16 code units of a message, after the markup was read
MAX_TOAST = 200  # of the text that answers a pressed button
SNOOZE = timedelta(hours=1)
SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105 - the header's name
QUIET = {  # nobody needs to look up for these; whatever else there is makes a sound
    *(Reason.ACKNOWLEDGED, Reason.SNOOZED, Reason.NOTE),
    *(Reason.SOME_RESOLVED, Reason.ALL_RESOLVED, Reason.FLAPPING),
}
LABELS = {
    Verb.ACKNOWLEDGE: "👀 Acknowledge",
    Verb.SNOOZE: "💤 Snooze 1 h",
    Verb.RESOLVE: "✅ Resolve",
    Verb.UNACKNOWLEDGE: "↩️ Unacknowledge",
}

Button = dict[str, str]


class Telegram:
    """Sends messages, edits them, writes beneath them, and hears the buttons that people press."""

    Config: ClassVar[type[ChannelConfig]] = TelegramConfig
    needs_templates: ClassVar[bool] = True
    takes_digests: ClassVar[bool] = True
    destination_limit: ClassVar[Limit | None] = Limit(20, timedelta(minutes=1), 4)  # what a group takes
    service_limit: ClassVar[Limit | None] = Limit(30, timedelta(seconds=1), 30)  # what a bot may send

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._kind_of_speaker: type[Speaker] | None = None

    async def send(self, to: TelegramConfig, message: Message, earlier: Sent | None) -> Sent:
        """Send the message, or bring the earlier one up to date and say beneath it what changed."""
        token = to.token()
        speaker = await self._speaker(to, token)
        try:
            if earlier is not None and {"chat_id", "message_id"} <= earlier.ids.keys():
                try:
                    return await _continue(speaker, to, token, message, earlier)
                except (NotEditable, Migrated):
                    if message.reason is Reason.OUTDATED:  # it was told; nobody needs to hear of it once more
                        raise
                    # Deleted, too old, or left behind in the group that moved: a new message tells it.
            return await _begin(speaker, to, token, message, earlier)
        except MarkupRefused as failure:
            if message.is_plain:  # nothing simpler is left to try
                raise PermanentFailure(failure.reason, answer=failure.answer) from None
            raise

    async def aclose(self) -> None:
        """Leave the client open: other channels share it."""

    def hear(self, inbound: Inbound, configs: Sequence[TelegramConfig]) -> list[Heard]:
        """Return the button that was pressed; only who knows a bot's secret speaks for its chats."""
        shown = inbound.headers.get(SECRET_HEADER, "")
        known = [to for to in configs if to.updates == "webhook" and knows_secret(to, shown)]
        if not known:
            raise Forged("it shows a secret that is no webhook_secret" if shown else "it shows no secret")
        try:
            update = json.loads(inbound.body)
        except (ValueError, RecursionError):
            return []
        return heard_in([update], known)

    async def confirm(self, heard: Heard, said: str, configs: Sequence[TelegramConfig]) -> None:
        """Show the person who pressed the button what came of it."""
        try:
            to, token = _bot_of(configs, heard.reply_to["bot"])
            speaker = await self._speaker(to, token)
            await speaker.confirm(heard.reply_to["query"], cut(said, MAX_TOAST))
        except TooLate:
            pass  # the person sees it in the message
        except (ChannelError, LookupError) as failure:
            log.warning("telegram.not_confirmed", reason=str(failure))

    async def ask(
        self, to: TelegramConfig, configs: Sequence[TelegramConfig], offset: int | None, wait: int
    ) -> tuple[list[Heard], int | None]:
        """Wait for what people answer through a bot; return it, and the offset that confirms it."""
        speaker = await self._speaker(to, to.token(), seconds=wait + to.timeout.total_seconds())
        updates = await speaker.updates(offset, wait)
        ids = [update["update_id"] for update in updates if is_update(update)]
        return heard_in(updates, configs), max(ids) + 1 if ids else offset

    async def listen(self, to: TelegramConfig, url: str | None) -> None:
        """Have updates posted to the URL; without one have them kept until we ask."""
        speaker = await self._speaker(to, to.token())
        if url is None:
            await speaker.delete_webhook()
        else:
            await speaker.set_webhook(url, to.secret())

    async def _speaker(self, to: TelegramConfig, token: str, *, seconds: float = 0) -> "Speaker":
        if self._kind_of_speaker is None:  # a second of imports must hold up nobody
            self._kind_of_speaker = await anyio.to_thread.run_sync(_kind_of_speaker)
        return self._kind_of_speaker(
            self._client,
            self._clock,
            api_url=to.api_url.rstrip("/"),
            token=token,
            seconds=seconds or to.timeout.total_seconds(),
            private=to.allow_private_addresses,
        )


def _kind_of_speaker() -> "type[Speaker]":
    from receiver.channels.telegram_bot import Speaker  # noqa: PLC0415 - the library takes a second and 20 MB

    return Speaker


async def _begin(
    speaker: "Speaker", to: TelegramConfig, token: str, message: Message, earlier: Sent | None
) -> Sent:
    """Send a message of its own; it follows a group that moved, and leaves a topic that is gone."""
    chat_id: int | str = earlier.ids.get("chat_id", to.chat_id) if earlier else to.chat_id
    thread, has_moved, notes = to.message_thread_id or None, False, []
    text = body(message, is_alone=True)
    rows = buttons(to, token, message)
    while True:
        try:
            sent_to, message_id = await speaker.send(
                chat_id, text, is_plain=message.is_plain, is_silent=_is_silent(to, message),
                buttons=rows, thread=thread,
            )  # fmt: skip
        except Migrated as moved:
            if has_moved:
                raise  # a supergroup moves no further; whoever says so would have us run for ever
            has_moved = True
            log.warning("telegram.group_moved", destination=to.destination, chat_id=moved.chat_id)
            chat_id = moved.chat_id
            notes.append(f"the group became a supergroup: set chat_id: {moved.chat_id} in routing.yaml")
        except NoThread:
            if thread is None:
                raise
            notes.append(f"topic {thread} is gone, so it was posted without one")
            thread = None
        else:
            break
    answer = "; ".join([f"ok, message {message_id} in {sent_to}", *notes])
    ids = {"chat_id": sent_to, "message_id": message_id}
    return Sent(ids={} if "0" in ids.values() else ids, answer=answer)


async def _continue(
    speaker: "Speaker", to: TelegramConfig, token: str, message: Message, earlier: Sent
) -> Sent:
    chat_id, message_id = earlier.ids["chat_id"], earlier.ids["message_id"]
    rows = buttons(to, token, message)
    with suppress(NotModified):  # it says so already
        await speaker.edit(chat_id, message_id, body(message), is_plain=message.is_plain, buttons=rows)
    if message.reply is None:
        return Sent(ids=earlier.ids, answer=f"ok, message {message_id} updated")
    text = cut(message.reply, MAX_TEXT) if message.is_plain else message.reply
    reply: dict[str, Any] = {
        "is_plain": message.is_plain,
        "is_silent": _is_silent(to, message),
        "beneath": int(message_id),
    }
    try:
        _, written = await speaker.send(chat_id, text, thread=to.message_thread_id or None, **reply)
    except NoThread:
        _, written = await speaker.send(chat_id, text, **reply)
    return Sent(ids=earlier.ids, answer=f"ok, message {message_id} updated, reply {written}")


def body(message: Message, *, is_alone: bool = False) -> str:
    """Return the text; the title comes first, for that is what a lock screen shows.

    A message that stands alone, because it could not be written beneath another, says itself what changed.
    """
    changed = [message.reply] if is_alone and message.reply else []
    if message.is_plain:
        return cut("\n".join([message.title, *changed, message.text]), MAX_TEXT)
    title = f"<b>{html.escape(message.title, quote=False)}</b>"
    text = "\n".join([title, *changed, message.text])
    if seen(text) > MAX_TEXT:  # the text alone fits: templating saw to that
        text = f"{title}\n{message.text}"
    if seen(text) > MAX_TEXT:
        raise MarkupRefused(f"the text has {seen(text)} characters, a message takes {MAX_TEXT}")
    return text


def buttons(to: TelegramConfig, token: str, message: Message) -> list[list[Button]]:
    """Return the rows of buttons: what may be done, and what may be opened.

    Where nobody listens, what may be done is opened as well: the page asks, and does it. A plain message has
    nothing that leads out: it is the last try, and Telegram refuses a whole message for a link it dislikes.
    """
    facts = message.facts
    verbs = [Verb(verb) for verb in facts.get("offers") or ()]
    links = facts.get("answer_links") or {}
    if to.updates == "off":
        doing = [_link(LABELS[verb], links.get(verb)) for verb in verbs if not message.is_plain]
    else:
        doing = [_press(verb, to, token, facts["incident"]["id"]) for verb in verbs]
    opened = (
        ("📖 Runbook", facts.get("runbook_url")),
        ("🔎 Open", facts.get("list_url") or facts["incident"]["url"]),
    )
    opening = [] if message.is_plain else [_link(label, url) for label, url in opened]
    rows = [[button for button in row if button] for row in (doing[:1], doing[1:], opening)]
    return [row for row in rows if row]


def _press(verb: Verb, to: TelegramConfig, token: str, incident_id: int) -> Button:
    value = button_value(verb, incident_id, SNOOZE if verb is Verb.SNOOZE else None)
    return {"text": LABELS[verb], "callback_data": f"{value}/{mark(token, to.chat_id, value)}"}


def _link(label: str, url: str | None) -> Button:
    """Return a button that opens a page; none for a host without a dot, which Telegram refuses."""
    if url and url.isprintable() and is_web_address(url) and "." in str(urlsplit(url).hostname):
        return {"text": label, "url": url}
    return {}


def _is_silent(to: TelegramConfig, message: Message) -> bool:
    return to.disable_notifications or message.reason in QUIET


def _bot_of(configs: Sequence[TelegramConfig], bot: str) -> tuple[TelegramConfig, str]:
    for to in configs:
        with suppress(PermanentFailure):  # another bot's file may be away
            token = to.token()
            if bot_id(token) == bot:
                return to, token
    raise LookupError("routing.yaml no longer has this bot")
