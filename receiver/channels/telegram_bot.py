"""How is a method of Telegram's Bot API called?

python-telegram-bot knows the methods and their parameters. Its HTTP client is left out: it would log URLs,
token and all, follow no rule about private addresses, and tell a 413 from a broken line by words only.
"""

import json
import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from telegram import (
    Bot,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    Message,
    ReplyParameters,
)
from telegram.constants import ParseMode
from telegram.error import TelegramError
from telegram.request import BaseRequest, RequestData

from receiver.channels.base import ChannelError, TemporaryFailure
from receiver.channels.client import MAX_ANSWER, Client
from receiver.channels.telegram_answers import result_of
from receiver.clock import Clock

Result = TypeVar("Result")
Buttons = Sequence[Sequence[Mapping[str, str]]]  # rows of {text, and url or callback_data}

SHORTEST = 1.0  # seconds that a healthy service may need; what begins with less may be cut off
TOLD_TWICE = {"sendMessage"}  # every other method we use may be repeated
HEARD = ["callback_query"]  # the kind of updates that says something to us
MOST_UPDATES = 10  # of one answer, which holds the messages whole, two of them for each update at worst
MOST_OF_UPDATES = 2_000_000  # bytes that are read of it

logging.getLogger("telegram").setLevel(logging.CRITICAL)  # it logs parameters; what matters is logged by us


class FailedError(TelegramError):
    """Takes a failure of ours through the library, which would make a NetworkError of it."""

    def __init__(self, failure: ChannelError) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Line(BaseRequest):
    """Carries the library's requests over our client, within the time that is left."""

    def __init__(self, client: Client, clock: Clock, *, hidden: str, seconds: float, private: bool) -> None:
        self._client = client
        self._clock = clock
        self._hidden = hidden
        self._private = private
        self._seconds = seconds
        self._until = clock.elapsed() + seconds

    @property
    def read_timeout(self) -> float:
        """What is left of the time."""
        return self._until - self._clock.elapsed()

    async def initialize(self) -> None:
        """Open nothing: the client is there."""

    async def shutdown(self) -> None:
        """Leave the client open: other channels share it."""

    async def do_request(
        self,
        url: str,
        method: str,  # noqa: ARG002 - the library only posts
        request_data: RequestData | None = None,
        *_timeouts: Any,
        **_named_timeouts: Any,
    ) -> tuple[int, bytes]:
        """Return a successful answer; raise FailedError with what any other means."""
        try:
            result = await self.ask(url, request_data.json_parameters if request_data else {})
        except ChannelError as failure:
            raise FailedError(failure) from None
        return 200, json.dumps({"result": _needed(result)}).encode()

    async def ask(self, url: str, parameters: Mapping[str, str], *, most: int = MAX_ANSWER) -> Any:
        """Return the result of a method; one is not begun that could only be cut off."""
        left = self.read_timeout
        if left < min(SHORTEST, self._seconds / 2):
            raise TemporaryFailure(f"Telegram took nearly all of {self._seconds:g} s for what came before")
        answer = await self._client.post(
            url,
            content=urlencode(parameters, errors="replace").encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            timeout=max(round(left, 1), 0.1),  # it is named in the failure
            private_allowed=self._private,
            secrets=[self._hidden, parameters.get("secret_token", "")],
            is_repeatable=url.rpartition("/")[2] not in TOLD_TWICE,
            most=most,
        )
        return result_of(answer, url=url, now=self._clock.now())


class Speaker:
    """One bot for as long as one exchange may take; it holds no connection of its own."""

    def __init__(
        self, client: Client, clock: Clock, *, api_url: str, token: str, seconds: float, private: bool
    ) -> None:
        self._line = Line(client, clock, hidden=token, seconds=seconds, private=private)
        self._url = f"{api_url}/bot{token}"
        self._bot = Bot(token, base_url=f"{api_url}/bot", request=self._line, get_updates_request=self._line)

    async def send(
        self,
        chat_id: int | str,
        text: str,
        *,
        is_plain: bool,
        is_silent: bool,
        buttons: Buttons = (),
        thread: int | None = None,
        beneath: int | None = None,
    ) -> tuple[str, str]:
        """Send a message; return the chat's id and the message's, both "0" if Telegram did not say them."""
        message: Message = await _unwrapped(
            self._bot.send_message(
                chat_id,
                text,
                parse_mode=None if is_plain else ParseMode.HTML,
                message_thread_id=thread,
                disable_notification=is_silent,
                reply_markup=_keyboard(buttons),
                link_preview_options=LinkPreviewOptions(is_disabled=True),
                reply_parameters=ReplyParameters(beneath, allow_sending_without_reply=True)
                if beneath
                else None,
            )
        )
        return str(message.chat.id), str(message.message_id)

    async def edit(
        self, chat_id: str, message_id: str, text: str, *, is_plain: bool, buttons: Buttons = ()
    ) -> None:
        """Bring a message up to date; nobody is woken by that."""
        await _unwrapped(
            self._bot.edit_message_text(
                text,
                chat_id,
                int(message_id),
                parse_mode=None if is_plain else ParseMode.HTML,
                reply_markup=_keyboard(buttons),
                link_preview_options=LinkPreviewOptions(is_disabled=True),
            )
        )

    async def confirm(self, query: str, text: str) -> None:
        """Show the person who pressed a button what came of it."""
        await _unwrapped(self._bot.answer_callback_query(query, text))

    async def set_webhook(self, url: str, secret: str) -> None:
        """Have updates posted to us."""
        await _unwrapped(self._bot.set_webhook(url, allowed_updates=HEARD, secret_token=secret))

    async def delete_webhook(self) -> None:
        """Have updates kept until we ask."""
        await _unwrapped(self._bot.delete_webhook())

    async def updates(self, offset: int | None, seconds: int) -> list[Any]:
        """Return the updates from `offset` on, as they come: the library would stumble over a strange one.

        To ask from an offset on confirms all before it. Where there are none, wait for one.
        """
        given = {"timeout": str(seconds), "limit": str(MOST_UPDATES), "allowed_updates": json.dumps(HEARD)}
        if offset is not None:
            given["offset"] = str(offset)
        found = await self._line.ask(f"{self._url}/getUpdates", given, most=MOST_OF_UPDATES)
        return found if isinstance(found, list) else []


def _needed(result: Any) -> Any:
    """Return what we use of a result.

    A message has been sent when Telegram says so, whatever else it says of it: nothing of that may confuse
    the library, for it would be sent again and again.
    """
    try:
        chat_id, message_id = int(result["chat"]["id"]), int(result["message_id"])
    except (KeyError, TypeError, ValueError):
        chat_id, message_id = 0, 0
    return {"message_id": message_id, "date": 0, "chat": {"id": chat_id, "type": "private"}}


async def _unwrapped(call: Awaitable[Result]) -> Result:
    try:
        return await call
    except FailedError as failed:
        raise failed.failure from None


def _keyboard(buttons: Buttons) -> InlineKeyboardMarkup | None:
    rows = [
        [InlineKeyboardButton(one["text"], one.get("url"), one.get("callback_data")) for one in row]
        for row in buttons
    ]
    return InlineKeyboardMarkup(rows) if rows else None
