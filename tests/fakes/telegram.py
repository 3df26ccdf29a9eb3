"""Telegram's Bot API and the people in its chats: messages, buttons, updates by poll or by webhook."""

import asyncio
import html
import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.http import FakeHttp, Reply, Request, as_json

TOKEN = "4711000001:AAFakeFakeFakeFakeFakeFakeFakeFakeFake"
BOT = {"id": 4711000001, "is_bot": True, "first_name": "Tocsin", "username": "tocsin_bot"}
ANA = {"id": 100000001, "is_bot": False, "first_name": "Ana", "last_name": "Lima", "username": "ana"}
PRIVATE, GROUP, SUPERGROUP, CHANNEL = 100000001, -163056465, -1001234567890, -1009876543210
MAX_TEXT = 4096  # UTF-16 code units, after the markup was read
MAX_ENTITIES = 100  # pieces of markup that are shown; the rest is words
MAX_BUTTON = 64  # bytes of callback_data
MAX_TOAST = 200
TAGS = {
    "b",
    "strong",
    "i",
    "em",
    "u",
    "ins",
    "s",
    "strike",
    "del",
    "code",
    "pre",
    "a",
    "blockquote",
    "tg-spoiler",
}
NOT_MODIFIED = (
    "Bad Request: message is not modified: specified new message content and reply markup are exactly the same"
    " as a current content and reply markup of the message"
)


class Refused(Exception):
    """The Bot API answers `ok: false`."""

    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code, self.description, self.parameters = code, description, parameters

    def reply(self) -> Reply:
        said: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        return as_json(said | ({"parameters": self.parameters} if self.parameters else {}), self.code)


@dataclass
class Shown:
    """A message as the people in a chat see it now."""

    id: int
    text: str  # without markup
    source: str  # as it was sent
    markup: str  # parse_mode, or ""
    buttons: list[list[dict[str, Any]]]
    links: list[str]
    reply_to: int | None
    thread: int | None
    is_silent: bool
    edits: int = 0

    @property
    def labels(self) -> list[str]:
        return [button["text"] for row in self.buttons for button in row]


@dataclass
class Chat:
    """A private chat, group, supergroup or channel that the bot may write to."""

    id: int
    type: str
    title: str
    username: str = ""
    topics: set[int] = field(default_factory=set)
    messages: dict[int, Shown] = field(default_factory=dict)
    refusal: tuple[int, str] | None = None  # e.g. the bot was blocked
    moved_to: int | None = None

    def described(self) -> dict[str, Any]:
        name = {"first_name": self.title} if self.type == "private" else {"title": self.title}
        return {
            "id": self.id,
            "type": self.type,
            **name,
            **({"username": self.username} if self.username else {}),
        }


class FakeTelegram(FakeHttp):
    """`errors` are what the next calls of a method are refused with; `calls` are the methods called."""

    def __init__(self) -> None:
        super().__init__()
        self.chats = {
            chat.id: chat
            for chat in (
                Chat(PRIVATE, "private", "Ana"),
                Chat(GROUP, "group", "Operators"),
                Chat(SUPERGROUP, "supergroup", "Alerts", topics={7}),
                Chat(CHANNEL, "channel", "Status", username="status_of_example"),
            )
        }
        self.calls: list[str] = []
        self.errors: dict[str, deque[Refused]] = {}
        self.toasts: dict[str, str] = {}  # callback query id to what the person read
        self.webhook: dict[str, Any] | None = None
        self.updates: deque[dict[str, Any]] = deque()
        self.conflicts = 0  # two asked for updates at the same time
        self._changed = asyncio.Event()
        self._poll: Any = None  # a future that ends a question
        self._message_ids = count(100)
        self._update_id = 913527394
        self._query_id = 688111769854308995

    @property
    def api_url(self) -> str:
        return self.url("").rstrip("/")

    def refuses(self, method: str, code: int, description: str, **parameters: Any) -> None:
        """Refuse the next call of a method."""
        self.errors.setdefault(method, deque()).append(Refused(code, description, **parameters))

    def migrate(self, chat_id: int) -> Chat:
        """Make a supergroup of a group, as its members do by giving it a history or a link."""
        old = self.chats[chat_id]
        new = Chat(-1001163056465, "supergroup", old.title)
        old.moved_to = new.id
        self.chats[new.id] = new
        return new

    def shown(self, chat_id: int = SUPERGROUP) -> list[Shown]:
        return list(self.chats[chat_id].messages.values())

    async def __aenter__(self) -> Self:
        self.loop = asyncio.get_running_loop()  # for tests that live in another thread
        return await super().__aenter__()

    async def until(self, is_so: Callable[[], object]) -> None:
        """Return when something is so, which a call to us makes so."""
        async with asyncio.timeout(30):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    @property
    def is_asked(self) -> bool:
        """Whether somebody waits for updates."""
        return self._poll is not None and not self._poll.done()

    async def press(
        self,
        label: str,
        chat_id: int = SUPERGROUP,
        *,
        message_id: int | None = None,
        by: dict[str, Any] = ANA,
        is_old: bool = False,
    ) -> dict[str, Any]:
        """Press the button with this label on a chat's first message, or on another; return the update."""
        messages = self.chats[chat_id].messages
        message = messages[message_id] if message_id else next(iter(messages.values()))
        button = next(b for row in message.buttons for b in row if label in b["text"])
        return await self.send_update(
            self.callback(button["callback_data"], chat_id, message, by=by, is_old=is_old)
        )

    def callback(
        self,
        data: str,
        chat_id: int = SUPERGROUP,
        message: Shown | None = None,
        *,
        by: dict[str, Any] = ANA,
        is_old: bool = False,
    ) -> dict[str, Any]:
        """Return the update of a pressed button; of an old message Telegram tells only where it is."""
        self._update_id += 1
        self._query_id += 1
        about: dict[str, Any] = {
            "message_id": message.id if message else 1,
            "chat": self.chats[chat_id].described(),
        }
        about |= (
            {"date": 0}
            if is_old or message is None
            else {"date": 1790000000, "from": BOT, "text": message.text}
        )
        query = {
            "id": str(self._query_id),
            "from": by,
            "message": about,
            "chat_instance": "-4280",
            "data": data,
        }
        return {"update_id": self._update_id, "callback_query": query}

    async def send_update(self, update: dict[str, Any]) -> dict[str, Any]:
        """Hand an update over: to the webhook if there is one, else to whoever asks."""
        if self.webhook:
            await self._post(update)
        else:
            self.updates.append(update)
            if self.is_asked:
                self._poll.set_result(None)
        return update

    def answer(self, request: Request) -> Reply:
        found = re.fullmatch(r"/bot([^/]+)/(\w+)", request.path)
        if found is None:
            return Refused(404, "Not Found").reply()
        self.calls.append(found[2])
        asyncio.get_running_loop().call_soon(self._changed.set)  # after the answer is made
        if found[1] != TOKEN:
            return Refused(401, "Unauthorized").reply()
        method: Callable[[dict[str, Any]], Any] | None = getattr(self, f"_{found[2].lower()}", None)
        if method is None:
            return Refused(404, "Not Found").reply()
        try:
            if self.errors.get(found[2]):
                raise self.errors[found[2]].popleft()
            result = method(_parameters(request))
        except Refused as refused:
            return refused.reply()
        return result if isinstance(result, Reply) else as_json({"ok": True, "result": result})

    # The methods, by their names in lower case: the Bot API does not mind the case.

    def _getme(self, _given: dict[str, Any]) -> dict[str, Any]:
        return BOT

    def _sendmessage(self, given: dict[str, Any]) -> dict[str, Any]:
        chat = self._chat(given)
        thread = given.get("message_thread_id")
        if thread is not None and thread not in chat.topics:
            raise Refused(400, "Bad Request: message thread not found")
        reply = given.get("reply_parameters", {})
        parent = reply.get("message_id")
        if parent is not None and parent not in chat.messages:
            if not reply.get("allow_sending_without_reply"):
                raise Refused(400, "Bad Request: message to be replied not found")
            parent = None
        text, links = _read_text(given)
        message = Shown(
            id=next(self._message_ids),
            text=text,
            source=given["text"],
            markup=given.get("parse_mode", ""),
            buttons=_read_buttons(given),
            links=links,
            reply_to=parent,
            thread=thread,
            is_silent=bool(given.get("disable_notification")),
        )
        if not given.get("link_preview_options", {}).get("is_disabled"):
            raise AssertionError("a preview of a link would be fetched and shown")
        chat.messages[message.id] = message
        return self._described(chat, message)

    def _editmessagetext(self, given: dict[str, Any]) -> dict[str, Any]:
        chat = self._chat(given)
        message = chat.messages.get(given["message_id"])
        if message is None:
            raise Refused(400, "Bad Request: message to edit not found")
        text, links = _read_text(given)
        buttons = _read_buttons(given)
        if (text, links, buttons) == (message.text, message.links, message.buttons):
            raise Refused(400, NOT_MODIFIED)
        message.text, message.links, message.buttons = text, links, buttons
        message.source, message.markup = given["text"], given.get("parse_mode", "")
        message.edits += 1
        return self._described(chat, message)

    def _answercallbackquery(self, given: dict[str, Any]) -> bool:
        if len(given.get("text", "")) > MAX_TOAST:
            raise Refused(400, "Bad Request: MESSAGE_TOO_LONG")
        if given["callback_query_id"] in self.toasts:
            raise Refused(
                400, "Bad Request: query is too old and response timeout expired or query ID is invalid"
            )
        self.toasts[given["callback_query_id"]] = given.get("text", "")
        return True

    def _setwebhook(self, given: dict[str, Any]) -> bool:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", given.get("secret_token", "")):
            raise Refused(400, "Bad Request: secret token contains unallowed characters")
        self.webhook = given if given.get("url") else None
        return True

    def _deletewebhook(self, _given: dict[str, Any]) -> bool:
        self.webhook = None
        return True

    def _getupdates(self, given: dict[str, Any]) -> Reply:
        if self.webhook:
            raise Refused(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
            )
        while self.updates and self.updates[0]["update_id"] < given.get("offset", 0):
            self.updates.popleft()
        if self.is_asked:
            self.conflicts += 1
            self._poll.set_exception(
                Refused(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                )
            )
        waiting = self._poll = asyncio.get_running_loop().create_future()

        async def later() -> Reply:
            try:
                async with asyncio.timeout(given.get("timeout", 0)):
                    if not self.updates:
                        await waiting
            except TimeoutError:
                pass
            except Refused as refused:
                return refused.reply()
            finally:
                waiting.cancel()
            return as_json({"ok": True, "result": list(self.updates)[: given.get("limit", 100)]})

        return Reply(later=later)

    def _chat(self, given: dict[str, Any]) -> Chat:
        wanted = given["chat_id"]
        named = [one for one in self.chats.values() if str(wanted) == f"@{one.username}"]
        chat = (
            named[0] if named else self.chats.get(int(wanted) if re.fullmatch(r"-?\d+", str(wanted)) else 0)
        )
        if chat is None:
            raise Refused(400, "Bad Request: chat not found")
        if chat.refusal:
            raise Refused(*chat.refusal)
        if chat.moved_to:
            description = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Refused(400, description, migrate_to_chat_id=chat.moved_to)
        return chat

    def _described(self, chat: Chat, message: Shown) -> dict[str, Any]:
        return {
            "message_id": message.id,
            "from": BOT,
            "chat": chat.described(),
            "date": 1790000000,
            "text": message.text,
        }

    async def _post(self, update: dict[str, Any]) -> None:
        assert self.webhook
        url = urlsplit(self.webhook["url"])
        body = json.dumps(update).encode()
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        head = (
            f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"X-Telegram-Bot-Api-Secret-Token: {self.webhook['secret_token']}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        status = (await reader.readline()).split()[1]
        await reader.read()
        writer.close()
        await writer.wait_closed()
        assert status == b"200", f"the webhook answered {status!r}"


def _parameters(request: Request) -> dict[str, Any]:
    """Return what a method is given: by form or JSON, where anything but a text may be JSON in a text."""
    if request.headers.get("content-type", "").startswith("application/json"):
        given = request.json()
    else:
        given = dict(
            parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=bool(request.body))
        )
    for name in ("reply_parameters", "reply_markup", "link_preview_options", "allowed_updates"):
        if isinstance(given.get(name), str):
            given[name] = json.loads(given[name])
    for name in ("message_id", "message_thread_id", "timeout", "offset", "limit"):
        if name in given:
            given[name] = int(given[name])
    if "disable_notification" in given:
        given["disable_notification"] = given["disable_notification"] in {True, "true"}
    return given


def _read_text(given: dict[str, Any]) -> tuple[str, list[str]]:
    mode = given.get("parse_mode", "")
    assert mode in {"", "HTML"}, mode
    text, links = read_html(given["text"]) if mode else (given["text"], [])
    if not text.strip():
        raise Refused(400, "Bad Request: message text is empty")
    if len(text.encode("utf-16-le")) // 2 > MAX_TEXT:
        raise Refused(400, "Bad Request: message is too long")
    return text, links


def _read_buttons(given: dict[str, Any]) -> list[list[dict[str, Any]]]:
    rows: list[list[dict[str, Any]]] = given.get("reply_markup", {}).get("inline_keyboard", [])
    for button in [button for row in rows for button in row]:
        if not button["text"].strip():
            raise Refused(400, "Bad Request: text buttons are unallowed in the inline keyboard")
        if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= MAX_BUTTON:
            raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
        if "url" in button and not _is_link(button["url"]):
            complaint = f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL"
            raise Refused(400, f"Bad Request: {complaint}")
    return rows


def _is_link(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and "." in (parts.hostname or "")


def read_html(source: str) -> tuple[str, list[str]]:
    """Return the text that people see and where its links lead; refuse what Telegram refuses."""
    reading = Reading()
    at = 0
    for found in re.finditer(r"<([^>]*)(>|$)", source):
        reading.text(source[at : found.start()])
        offset = len(source[: found.start()].encode("utf-8", "replace"))
        if not found[2]:
            raise _cannot_parse(f"Unclosed start tag at byte offset {offset}")
        reading.tag(found[1], offset)
        at = found.end()
    reading.text(source[at:])
    if reading.opened:
        raise _cannot_parse(f'Can\'t find end tag corresponding to start tag "{reading.opened[-1]}"')
    return "".join(reading.seen).strip(), reading.links


class Reading:
    """HTML while it is being read."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.links: list[str] = []
        self.opened: list[str] = []
        self.entities = 0

    def text(self, source: str) -> None:
        known = r"&(?:lt|gt|amp|quot|#\d+|#[xX][0-9a-fA-F]+);"
        self.seen.append(re.sub(known, lambda found: html.unescape(found[0]), source))

    def tag(self, inside: str, offset: int) -> None:
        name = inside.lstrip("/").split(" ")[0].lower()
        if inside.startswith("/"):
            self._end(name, offset)
            return
        if name not in TAGS:
            raise _cannot_parse(f'Unsupported start tag "{name}" at byte offset {offset}')
        self.opened.append(name)
        href = html.unescape(dict(re.findall(r'([\w-]+)="([^"]*)"', inside)).get("href", ""))
        self.entities += 1
        if name == "a" and _is_link(href) and self.entities <= MAX_ENTITIES:  # others are shown as words
            self.links.append(href)

    def _end(self, name: str, offset: int) -> None:
        if not self.opened:
            raise _cannot_parse(f"Unexpected end tag at byte offset {offset}")
        expected = self.opened.pop()
        if name not in {expected, ""}:
            complaint = (
                f'Unmatched end tag at byte offset {offset}, expected "</{expected}>", found "</{name}>"'
            )
            raise _cannot_parse(complaint)


def _cannot_parse(why: str) -> Refused:
    return Refused(400, f"Bad Request: can't parse entities: {why}")
