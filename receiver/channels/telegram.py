"""How is an incident told in Telegram, kept up to date there, and answered from there?"""

import hashlib
import hmac
import html
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import anyio.to_thread
import structlog
from pydantic import Field, SecretStr, field_validator, model_validator

from receiver.channels.base import (
    DEFAULT_TIMEOUT,
    ChannelConfig,
    ChannelError,
    Forged,
    Heard,
    Inbound,
    MarkupRefused,
    Message,
    PermanentFailure,
    Sent,
    Timeout,
    button_value,
    exactly_one,
    is_web_address,
    read_button,
    read_secret,
)
from receiver.channels.client import Client
from receiver.channels.telegram_answers import Migrated, NotEditable, NoThread, NotModified, TooLate
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
TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{3,200}")
NAME = re.compile(r"@[A-Za-z][A-Za-z0-9_]{3,}")
WEBHOOK_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")  # what setWebhook takes

Button = dict[str, str]


class TelegramConfig(ChannelConfig):
    """An entry of `telegram_configs`: a bot, and the chat it writes to."""

    bot_token: SecretStr | None = None
    bot_token_file: str | None = None  # read at every send
    chat_id: int | str
    message_thread_id: int | None = Field(default=None, ge=0)  # a topic; Alertmanager's 0 is none
    api_url: str = "https://api.telegram.org"
    disable_notifications: bool = False
    parse_mode: Literal["HTML"] = "HTML"  # the templates are HTML
    updates: Literal["polling", "webhook", "off"] = "polling"  # how pressed buttons reach us
    webhook_secret: SecretStr | None = None  # what Telegram shows us with every update
    webhook_secret_file: str | None = None
    timeout: Timeout = DEFAULT_TIMEOUT
    allow_private_addresses: bool = False  # for a Bot API server of your own

    @field_validator("bot_token")
    @classmethod
    def _is_a_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not TOKEN.fullmatch(value.get_secret_value()):
            raise ValueError("it is not a bot token; BotFather's look like 123456:ABC-DEF…")
        return value

    @field_validator("chat_id")
    @classmethod
    def _is_a_chat(cls, value: int | str) -> int | str:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
            value = int(value)
        if value == 0 or (isinstance(value, str) and not NAME.fullmatch(value)):
            raise ValueError("a chat is a number, negative for groups, or the @name of a public one")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _is_a_webhook_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not WEBHOOK_SECRET.fullmatch(value.get_secret_value()):
            raise ValueError("it may have 1 to 256 of A-Z, a-z, 0-9, _ and -")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        exactly_one(bot_token=self.bot_token, bot_token_file=self.bot_token_file)
        if not is_web_address(self.api_url):
            raise ValueError("api_url is not a URL")
        if self.updates == "webhook" or self.webhook_secret or self.webhook_secret_file:
            secrets = {
                "webhook_secret": self.webhook_secret,
                "webhook_secret_file": self.webhook_secret_file,
            }
            exactly_one(**secrets)
        return self

    @property
    def destination(self) -> str:
        """The chat, and the topic where there is one."""
        topic = f" topic {self.message_thread_id}" if self.message_thread_id else ""
        return f"telegram {self.chat_id}{topic}"

    @property
    def service(self) -> str:
        """The bot: its number, which everybody in its chats can see, or the file with its token."""
        if self.bot_token is None:
            return f"telegram bot of {self.bot_token_file}"
        return f"telegram bot {bot_id(self.bot_token.get_secret_value())}"

    def token(self) -> str:
        """Return the token as it is now."""
        token = read_secret(self.bot_token, self.bot_token_file)
        if not TOKEN.fullmatch(token):
            raise PermanentFailure(f"{self.bot_token_file} holds no bot token")
        return token

    def secret(self) -> str:
        """Return what Telegram shows us with every update, as it is now."""
        secret = read_secret(self.webhook_secret, self.webhook_secret_file)
        if not WEBHOOK_SECRET.fullmatch(secret):
            raise PermanentFailure(f"{self.webhook_secret_file} holds no secret that Telegram would take")
        return secret


def bot_id(token: str) -> str:
    """Return the part of a token that is no secret."""
    return token.partition(":")[0]


class Telegram:
    """Sends messages, edits them, writes beneath them, and hears the buttons that people press."""

    Config: ClassVar[type[ChannelConfig]] = TelegramConfig
    needs_templates: ClassVar[bool] = True
    takes_digests: ClassVar[bool] = True
    destination_limit: ClassVar[Limit | None] = Limit(20, timedelta(minutes=1), 3)  # what a group takes
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
                    pass  # deleted, too old, or left behind in the group that moved: a new message tells it
            return await _begin(speaker, to, token, message, earlier)
        except MarkupRefused as failure:
            if message.is_plain:  # nothing simpler is left to try
                raise PermanentFailure(failure.reason, answer=failure.answer) from None
            raise

    async def aclose(self) -> None:
        """Leave the client open: other channels share it."""

    def hear(self, inbound: Inbound, configs: Sequence[TelegramConfig]) -> list[Heard]:
        """Return the button that was pressed; only who knows a bot's secret speaks for its chats."""
        shown = inbound.headers.get(SECRET_HEADER, "").encode()
        known = [to for to in configs if to.updates == "webhook" and _is_shown(to, shown)]
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
        ids = [update["update_id"] for update in updates if _is_update(update)]
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
    return Sent(ids={"chat_id": sent_to, "message_id": message_id}, answer=answer)


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
    if (
        not url
        or not is_web_address(url)
        or "." not in (urlsplit(url).hostname or "")
        or not url.isprintable()
    ):
        return {}
    return {"text": label, "url": url}


def mark(token: str, chat_id: int | str, value: str) -> str:
    """Return what shows that a button was made by this bot for this chat, whatever the chat is called now."""
    digest = hmac.new(token.encode(), f"{chat_id}/{value}".encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest[:9]).decode()


def heard_in(updates: Iterable[Any], configs: Sequence[TelegramConfig]) -> list[Heard]:
    """Return what people said with buttons, from chats that routing.yaml names.

    Anybody may write to a bot, and send it whatever a button could say. So a press counts if it comes from a
    chat that is a destination, or from a supergroup, with a button that was made for the group it was before.
    """
    return [heard for update in updates if (heard := _heard(update, configs)) is not None]


def _heard(update: Any, configs: Sequence[TelegramConfig]) -> Heard | None:
    query = update.get("callback_query") if _is_update(update) else None
    if not isinstance(query, dict) or not isinstance(query.get("data"), str):
        return None
    value, _, shown = query["data"].partition("/")
    pressed = read_button(value)
    person = query.get("from")
    if pressed is None or not isinstance(person, dict) or "id" not in person:
        return None
    message = query.get("message")  # of an old message only chat and id are told, of a foreign one nothing
    chat = message.get("chat") if isinstance(message, dict) else None
    bot = _believed(configs, chat if isinstance(chat, dict) else {}, value, shown)
    if bot is None:
        log.warning("telegram.press_ignored", chat_id=chat.get("id") if isinstance(chat, dict) else None)
        return None
    verb, incident_id, lasts = pressed
    return Heard(
        verb=verb,
        incident_id=incident_id,
        dedup_key=None,
        contact=("telegram", str(person["id"])),
        person=_name(person),
        key=f"telegram:{bot}:{update['update_id']}",
        lasts=lasts,
        reply_to={"bot": bot, "query": str(query.get("id", ""))},
    )


def _believed(
    configs: Sequence[TelegramConfig], chat: Mapping[str, Any], value: str, shown: str
) -> str | None:
    """Return the bot whose button was pressed, None where no destination is behind it."""
    here = None
    for to in configs:
        try:
            token = to.token()
        except PermanentFailure:
            continue  # a file that is away; sending says so loudly
        is_marked = hmac.compare_digest(mark(token, to.chat_id, value).encode(), shown.encode())
        if _is_chat(to.chat_id, chat):
            if is_marked:
                return bot_id(token)
            here = here or bot_id(token)  # a button from before the token was renewed
        elif is_marked and chat.get("type") == "supergroup" and _is_group(to.chat_id):
            return bot_id(token)
    return here


def _is_chat(chat_id: int | str, chat: Mapping[str, Any]) -> bool:
    if isinstance(chat_id, int):
        return bool(chat.get("id") == chat_id)
    return f"@{chat.get('username', '')}".lower() == chat_id.lower()


def _is_group(chat_id: int | str) -> bool:
    """Return whether it is the id of a basic group, the only kind of chat that moves."""
    return isinstance(chat_id, int) and -(10**12) < chat_id < 0


def _is_update(update: Any) -> bool:
    return isinstance(update, dict) and isinstance(update.get("update_id"), int)


def _is_shown(to: TelegramConfig, shown: bytes) -> bool:
    try:
        return hmac.compare_digest(to.secret().encode(), shown)
    except PermanentFailure:
        return False


def _is_silent(to: TelegramConfig, message: Message) -> bool:
    return to.disable_notifications or message.reason in QUIET


def _bot_of(configs: Sequence[TelegramConfig], bot: str) -> tuple[TelegramConfig, str]:
    for to in configs:
        with suppress(PermanentFailure):  # another bot's file may be away
            token = to.token()
            if bot_id(token) == bot:
                return to, token
    raise LookupError("routing.yaml no longer has this bot")


def _name(person: Mapping[str, Any]) -> str:
    """Return what Telegram calls a person; everybody chooses that for themselves, so it is tidied."""
    full = f"{person.get('first_name') or ''} {person.get('last_name') or ''}"
    name = "".join(c if c.isprintable() else " " for c in full)
    return cut(" ".join(name.split()), 64) or str(person.get("username") or person["id"])[:64]
