"""Who pressed which button in Telegram, and is it to be believed?"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog

from receiver.channels.base import Heard, PermanentFailure, read_button
from receiver.channels.telegram_config import TelegramConfig, bot_id
from receiver.policy.lengths import cut

log = structlog.get_logger()

LONGEST_NAME = 64


def mark(token: str, chat_id: int | str, value: str) -> str:
    """Return what shows that a button was made by this bot for this chat, whatever the chat is called now."""
    digest = hmac.new(token.encode(), f"{chat_id}/{value}".encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest[:9]).decode()


def knows_secret(to: TelegramConfig, shown: str) -> bool:
    """Return whether this is the secret that Telegram was told to show for this bot."""
    try:
        return _is_same(to.secret(), shown)
    except PermanentFailure:
        return False


def heard_in(updates: Iterable[Any], configs: Sequence[TelegramConfig]) -> list[Heard]:
    """Return what people said with buttons, from chats that routing.yaml names.

    Anybody may write to a bot, and send it whatever a button could say. So a press counts if it comes from a
    chat that is a destination, or from a supergroup, with a button that was made for the group it was before.
    """
    return [heard for update in updates if (heard := _understood(update, configs)) is not None]


def _understood(update: Any, configs: Sequence[TelegramConfig]) -> Heard | None:
    try:
        return _heard(update, configs)
    except Exception:
        log.exception("telegram.not_understood")  # a bug; what comes behind this update must not wait for it
        return None


def _heard(update: Any, configs: Sequence[TelegramConfig]) -> Heard | None:
    query = update.get("callback_query") if is_update(update) else None
    if not isinstance(query, dict) or not isinstance(query.get("data"), str):
        return None
    value, _, shown = query["data"].partition("/")
    pressed = read_button(value)
    person = query.get("from")
    if pressed is None or not isinstance(person, dict) or not isinstance(person.get("id"), int):
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
        is_marked = _is_same(mark(token, to.chat_id, value), shown)
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


def is_update(update: Any) -> bool:
    """Return whether this has the number that confirms it."""
    return isinstance(update, dict) and isinstance(update.get("update_id"), int)


def _is_same(secret: str, shown: str) -> bool:
    return hmac.compare_digest(secret.encode(), shown.encode("utf-8", "surrogatepass"))


def _name(person: Mapping[str, Any]) -> str:
    """Return what Telegram calls a person; everybody chooses that for themselves, so it is tidied."""
    full = f"{person.get('first_name') or ''} {person.get('last_name') or ''}"
    return _tidy(full) or _tidy(str(person.get("username") or "")) or str(person["id"])


def _tidy(name: str) -> str:
    return cut(" ".join("".join(c if c.isprintable() else " " for c in name).split()), LONGEST_NAME)
