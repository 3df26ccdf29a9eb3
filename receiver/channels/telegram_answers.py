"""What does an answer of Telegram's Bot API mean?

Telegram says `ok`, an error code, a description in English, and sometimes parameters. The code alone does not
tell a deleted message from markup it dislikes, so the description is looked at, as everybody does.
"""

import json
from datetime import datetime
from typing import Any

from receiver.channels.base import ChannelError, MarkupRefused, PermanentFailure, TemporaryFailure
from receiver.channels.client import MAX_RETRY_AFTER, Answer, check, origin_of

LONGEST_DESCRIPTION = 200  # it may quote what it complains about


class NotModified(PermanentFailure):
    """The message looks as it should already."""


class NotEditable(PermanentFailure):
    """There is no message to edit, or it may not be edited any more."""


class NoThread(PermanentFailure):
    """The topic is gone."""


class TooLate(PermanentFailure):
    """Nobody waits any more for what a pressed button does."""


class Migrated(PermanentFailure):
    """The group became a supergroup, which has another id."""

    def __init__(self, reason: str, *, answer: str, chat_id: int) -> None:
        super().__init__(reason, answer=answer)
        self.chat_id = chat_id


# The first whose words occur in the description, in lower case, is meant.
MEANINGS: tuple[tuple[str, type[PermanentFailure]], ...] = (
    ("message is not modified", NotModified),
    ("message to edit not found", NotEditable),
    ("message can't be edited", NotEditable),
    ("message_id_invalid", NotEditable),
    ("message thread not found", NoThread),
    ("topic_deleted", NoThread),
    ("topic_closed", NoThread),
    ("query is too old", TooLate),
    ("can't parse entities", MarkupRefused),
    ("message is too long", MarkupRefused),
    ("message_too_long", MarkupRefused),
    ("text is empty", MarkupRefused),
    ("text must be non-empty", MarkupRefused),
    ("reply markup is too long", MarkupRefused),
    ("button", MarkupRefused),  # BUTTON_URL_INVALID, "inline keyboard button URL … is invalid"
    ("entities_too_long", MarkupRefused),
    ("entity", MarkupRefused),
)
ADVICE = {
    "bot was blocked": "the person must unblock the bot",
    "bot was kicked": "add the bot to the chat again",
    "bot is not a member": "add the bot to the chat",
    "user is deactivated": "the account is gone; set another chat_id",
    "bot can't initiate conversation": "the person must write /start to the bot first",
    "bot can't send messages to bots": "chat_id is the id of a bot; set that of a person or a group",
    "chat not found": "check chat_id, and that the bot is in the chat or was sent /start",
    "peer_id_invalid": "check chat_id",
    "not enough rights": "let the bot post in the chat",
    "need administrator rights": "make the bot an administrator of the channel",
    "have no rights to send": "let the bot post in the chat",
    "chat_write_forbidden": "let the bot post in the chat",
    "unauthorized": "check bot_token; BotFather shows the one that is valid",
    "not found": "check bot_token and api_url",
    "terminated by other getupdates": "another program asks for this bot's updates; give it a bot of its own",
    "webhook is active": "another program set a webhook for this bot; give it a bot of its own",
}


def result_of(answer: Answer, *, url: str, now: datetime) -> Any:
    """Return what a method returned; raise the failure that anything else means."""
    said = _said(answer)
    if said is not None and said.get("ok") is True and 200 <= answer.status < 300 and "result" in said:
        return said["result"]
    if said is None or said.get("ok") is not False:
        check(answer, url=url, now=now)
        raise TemporaryFailure(f"{origin_of(url)} did not answer as Telegram does", answer=answer.text)
    raise _failure(said, answer, url, now)


def _failure(said: dict[str, Any], answer: Answer, url: str, now: datetime) -> ChannelError:
    code = _number(said.get("error_code")) or answer.status
    method = url.rpartition("/")[2]  # the client hides it, as it hides the end of every URL
    description = str(said.get("description") or "").replace("[secret]", method)[:LONGEST_DESCRIPTION]
    parameters = said.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    words = description.lower()
    reason = f"Telegram answered {code}: {description}" if description else f"Telegram answered {code}"
    moved_to = _number(parameters.get("migrate_to_chat_id"))
    if moved_to:
        return Migrated(f"{reason}; its new chat_id is {moved_to}", answer=answer.text, chat_id=moved_to)
    if code == 429 or code >= 500:
        return TemporaryFailure(reason, answer=answer.text, retry_after=_wait(parameters, answer, url, now))
    if code == 400:
        for part, meaning in MEANINGS:
            if part in words:
                return meaning(reason, answer=answer.text)
    advice = next((advice for part, advice in ADVICE.items() if part in words), "")
    return PermanentFailure(f"{reason}; {advice}" if advice else reason, answer=answer.text)


def _wait(parameters: dict[str, Any], answer: Answer, url: str, now: datetime) -> float | None:
    """Return the seconds asked for: by Telegram in the body, by a proxy before it in a header."""
    wait = _number(parameters.get("retry_after"))
    if wait is not None:
        return min(max(float(wait), 0.0), MAX_RETRY_AFTER)
    try:
        check(answer, url=url, now=now)
    except TemporaryFailure as failure:
        return failure.retry_after
    except PermanentFailure:
        pass  # a body that says 429 with a status that does not
    return None


def _said(answer: Answer) -> dict[str, Any] | None:
    try:
        said = json.loads(answer.text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
