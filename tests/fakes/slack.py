"""A Slack workspace: messages, edits and threads, buttons that can be pressed, Slack's limits and errors."""

import asyncio
import hashlib
import hmac
import json
import re
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.attachments import BlockAttachment
from slack_sdk.models.basic_objects import JsonObject
from slack_sdk.models.blocks import Block, BlockElement

from tests.fakes.http import FakeHttp, Reply, Request, as_json

WEBHOOK = "/services/T00000001/B00000001/webhooksecretwebhook"
TOKEN = "xoxb-1234567890-secretsecret"
SIGNING_SECRET = "5a9f1c0e7b3d2846signingsecret"
OPS = "C00000001"
ANA = ("U00000001", "ana")

MAX_TEXT = 40_000
MAX_SECTION = 3000
MAX_BLOCKS = 50
MAX_BLOCKS_SIZE = 13_000
MAX_ATTACHMENTS = 20
LIMITS = {  # where a text stands, and how many characters it may have there
    "header": 150,
    "section": MAX_SECTION,
    "context": MAX_SECTION,
    "button": 75,
    "title": 100,
    "text": 300,
    "confirm": 30,
    "deny": 30,
}
MOST_ELEMENTS = {"context": 10, "actions": 25}
MOST_ANSWERS = 5  # to one response_url


class FakeSlack(FakeHttp):
    """Keeps what each channel shows; `errors` are the codes the next Web API calls answer."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = {"#ops": OPS}  # names to ids; others do not exist
        self.messages: dict[tuple[str, str], dict[str, Any]] = {}  # (channel id, ts) to the message
        self.posted: list[dict[str, Any]] = []  # by the webhook
        self.whispers: list[dict[str, Any]] = []  # what was said to one person alone, by a response_url
        self.whispered = asyncio.Event()
        self.errors: deque[str] = deque()
        self.calls: list[str] = []
        self._answers_left: dict[str, int] = {}

    @property
    def webhook_url(self) -> str:
        return self.url(WEBHOOK)

    @property
    def app_url(self) -> str:
        return self.url("/api/chat.postMessage")

    def main_messages(self, channel: str = "#ops") -> list[dict[str, Any]]:
        """The messages that are no replies, oldest first, as they look now."""
        return [
            m for (where, _), m in self.messages.items() if self._is(where, channel) and "thread_ts" not in m
        ]

    def replies(self, channel: str = "#ops") -> list[dict[str, Any]]:
        return [m for (where, _), m in self.messages.items() if self._is(where, channel) and "thread_ts" in m]

    def delete(self, channel: str, ts: str) -> None:
        """Remove a message, as a person may."""
        del self.messages[channel, ts]

    def press(
        self,
        label: str,
        *,
        at: datetime,
        by: tuple[str, str] = ANA,
        message: dict[str, Any] | None = None,
        secret: str = SIGNING_SECRET,
    ) -> Request:
        """Press the button with this label, and return what Slack posts to the app; default: the last message.

        A button with a URL opens it, and Slack posts that as well.
        """
        message = message or self.main_messages()[-1]
        button = next(one for one in buttons_of(message) if one["text"]["text"] == label)
        payload = self._interaction(message, button, by, at)
        body = urlencode({"payload": json.dumps(payload)}).encode()
        return Request("POST", "/webhooks/slack", signed(body, at, secret), body)

    def _interaction(
        self, message: dict[str, Any], button: dict[str, Any], by: tuple[str, str], at: datetime
    ) -> dict[str, Any]:
        number = len(self._answers_left) + 1
        path = f"/actions/T00000001/{number:012d}/responsesecretresponse{number}"
        self._answers_left[path] = MOST_ANSWERS
        channel = next((where for (where, _), m in self.messages.items() if m is message), OPS)
        ts = message.get("ts", "1503435956.000001")
        pressed = {
            key: button[key] for key in ("type", "action_id", "text", "value", "style") if key in button
        }
        return {
            "type": "block_actions",
            "team": {"id": "T00000001", "domain": "example"},
            "user": {"id": by[0], "username": by[1], "name": by[1], "team_id": "T00000001"},
            "api_app_id": "A00000001",
            "token": "deprecated-token",
            "container": {"type": "message_attachment", "message_ts": ts, "attachment_id": 1, "channel_id": channel},
            "trigger_id": f"{number}.00000000000.0000000000000000000000000000000{number}",
            "channel": {"id": channel, "name": "ops"},
            "message": {"type": "message", "text": message["text"], "ts": ts},
            "response_url": self.url(path),
            "actions": [pressed | {"block_id": "VlQco", "action_ts": f"{at.timestamp():.6f}"}],
        }  # fmt: skip

    def answer(self, request: Request) -> Reply:
        if request.path == WEBHOOK:
            return self._take_webhook(request)
        if request.path in self._answers_left:
            return self._take_whisper(request)
        method = request.path.removeprefix("/api/")
        self.calls.append(method)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _failed("invalid_auth")
        if self.errors:
            return _failed(self.errors.popleft())
        content = request.json()
        complaint = complaint_about(content)
        if complaint:
            return _failed(complaint[0], complaint[1])
        if method == "chat.postMessage":
            return self._post(content)
        if method == "chat.update":
            return self._update(content)
        return _failed("unknown_method")

    def describe(self, request: Request) -> str:
        """Return one request as a person would see what came of it, for a terminal."""
        if request.path == WEBHOOK or request.path.startswith("/actions/"):
            what = "Slack webhook" if request.path == WEBHOOK else "Slack, to one person alone"
        else:
            what = f"Slack {request.path.removeprefix('/api/')}"
        try:
            content = request.json()
            complaint = complaint_about(content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return f"{what}: not a message ({error})"
        where = " ".join(
            f"{name} {content[key]}"
            for key, name in (("channel", "in"), ("ts", "edits"), ("thread_ts", "in the thread of"))
            if key in content
        )
        refused = [f"REFUSED {complaint[0]} {complaint[1]}"] if complaint else []
        lines = [
            f"{what} {where}".rstrip(),
            *refused,
            *(line for part in looks_like(content) for line in part.splitlines()),
        ]
        return "\n  ".join(lines)

    def _take_webhook(self, request: Request) -> Reply:
        content = request.json()
        complaint = complaint_about(content)
        if complaint:
            return Reply(status=400, body=complaint[0].encode(), headers={"Content-Type": "text/html"})
        self.posted.append(content)
        return Reply(body=b"ok", headers={"Content-Type": "text/html"})

    def _take_whisper(self, request: Request) -> Reply:
        if not self._answers_left[request.path]:
            return Reply(status=404, body=b"used_url", headers={"Content-Type": "text/plain"})
        self._answers_left[request.path] -= 1
        content = request.json()
        if content.get("replace_original") or content.get("response_type") != "ephemeral":
            return Reply(status=400, body=b"everybody would see that")  # not Slack's rule, but ours
        self.whispers.append(content)
        self.whispered.set()
        return Reply(body=b"ok", headers={"Content-Type": "text/html"})

    def _post(self, content: dict[str, Any]) -> Reply:
        channel = self.channels.get(content["channel"], content["channel"])
        if channel not in self.channels.values():
            return _failed("channel_not_found")
        parent = content.get("thread_ts")
        if parent is not None and "thread_ts" in self.messages.get((channel, parent), {"thread_ts": ""}):
            return _failed("thread_not_found")
        ts = f"1503435956.{len(self.messages) + 100:06d}"
        self.messages[channel, ts] = content | {"ts": ts}
        return as_json({"ok": True, "channel": channel, "ts": ts, "message": content})

    def _update(self, content: dict[str, Any]) -> Reply:
        key = (content["channel"], content["ts"])
        if not re.fullmatch(r"[CD][0-9]+", content["channel"]):
            return _failed("channel_not_found")  # chat.update takes ids, not names
        if key not in self.messages:
            return _failed("message_not_found")
        kept = {name: value for name, value in self.messages[key].items() if name != "blocks"}
        self.messages[key] = kept | content  # a text without blocks takes the old ones away
        return as_json({"ok": True, "channel": key[0], "ts": key[1], "text": content["text"]})

    def _is(self, channel: str, name: str) -> bool:
        return channel in {name, self.channels.get(name)}


def signed(body: bytes, at: datetime, secret: str = SIGNING_SECRET) -> dict[str, str]:
    """Return the headers with which Slack posts a body."""
    stamp = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "content-type": "application/x-www-form-urlencoded",
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": f"v0={digest}",
    }


def blocks_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of a message and of its attachments, from top to bottom."""
    inner = [block for part in content.get("attachments", []) for block in part.get("blocks", [])]
    return [*content.get("blocks", []), *inner]


def buttons_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for block in blocks_of(content) if block["type"] == "actions" for one in block["elements"]]


def looks_like(content: dict[str, Any]) -> Iterator[str]:
    """Yield what a person sees: the line on the lock screen first, a URL behind the button that opens it."""
    yield content.get("text", "")
    for block in blocks_of(content):
        if block["type"] == "actions":
            labels = [(one["text"]["text"], one.get("url")) for one in block["elements"]]
            yield " ".join(f"[{label}: {url}]" if url else f"[{label}]" for label, url in labels)
        elif block["type"] == "context":
            yield " ".join(one["text"] for one in block["elements"])
        elif (words := block["text"]["text"]) != content.get("text"):
            yield words


def words_of(content: dict[str, Any]) -> str:
    """Return everything that a message says."""
    return "\n".join(looks_like(content))


def complaint_about(content: dict[str, Any]) -> tuple[str, list[str]] | None:
    """Return the error code and messages that a message earns, by Slack's documented limits."""
    attachments = content.get("attachments", [])
    blocks = blocks_of(content)
    if not content.get("text") and not blocks:
        return ("no_text", [])
    if len(content.get("text", "")) > MAX_TEXT:
        return ("msg_too_long", [])
    if len(attachments) > MAX_ATTACHMENTS:
        return ("too_many_attachments", [])
    if len(blocks) > MAX_BLOCKS or len(json.dumps(blocks, ensure_ascii=False)) > MAX_BLOCKS_SIZE:
        return ("msg_blocks_too_long", [])
    problems = [problem for part in attachments for problem in _problems_of_attachment(part)]
    problems += [
        f"[ERROR] {problem} [json-pointer:/blocks/{index}]"
        for index, block in enumerate(blocks)
        for problem in _problems(block)
    ]
    return ("invalid_blocks", problems) if problems else None


def _problems_of_attachment(attachment: dict[str, Any]) -> Iterator[str]:
    try:
        BlockAttachment(**{**attachment, "blocks": Block.parse_all(attachment["blocks"])}).validate_json()
    except (SlackObjectFormationError, TypeError, KeyError) as error:
        yield f"[ERROR] {error} [json-pointer:/attachments/0]"
    if not re.fullmatch(r"#[0-9a-f]{6}", attachment.get("color", "")):
        yield "[ERROR] no colour [json-pointer:/attachments/0/color]"
    if not attachment.get("fallback"):
        yield "[ERROR] notifications would say [no preview available] [json-pointer:/attachments/0/fallback]"


def _problems(block: dict[str, Any]) -> Iterator[str]:
    yield from _formation(Block.parse(block), block)
    kind = block["type"]
    if kind in MOST_ELEMENTS:
        elements = block["elements"]
        if not 0 < len(elements) <= MOST_ELEMENTS[kind]:
            yield "wrong number of elements"
        if kind == "context":
            yield from (problem for one in elements for problem in _problems_of_text(kind, one))
            return
        if len({one["action_id"] for one in elements}) < len(elements):
            yield "`action_id` is used twice"
        for one in elements:
            yield from _problems_of_button(one)
    else:
        yield from _problems_of_text(kind, block["text"])


def _problems_of_button(button: dict[str, Any]) -> Iterator[str]:
    yield from _formation(BlockElement.parse(button), button)
    yield from _problems_of_text("button", button["text"])
    if not 0 < len(button["action_id"]) <= 255:
        yield "wrong length of `action_id`"
    if ("url" in button) == ("value" in button):
        yield "a button opens a page or says something"  # ours: Slack allows both
    if "url" in button and (
        urlsplit(button["url"]).scheme not in {"http", "https"} or not button["url"].isascii()
    ):
        yield "`url` is no URL"
    for name, text in button.get("confirm", {}).items():
        yield from _problems_of_text(name, text)


def _problems_of_text(place: str, text: dict[str, Any]) -> Iterator[str]:
    if not text["text"].strip():
        yield "must be more than 0 characters"
    if len(text["text"]) > LIMITS[place]:
        yield f"must be less than {LIMITS[place] + 1} characters"
    if (text["type"] == "mrkdwn") != (place in {"section", "context"}):
        yield f"wrong type of text for {place}"
    if re.search(r"&(?!amp;|lt;|gt;)", text["text"]):
        yield "an & that is not escaped"  # ours: Slack shows something, but who knows what


def _formation(parsed: JsonObject | None, given: dict[str, Any]) -> Iterator[str]:
    """Yield what slack-sdk's model of it finds wrong."""
    if parsed is None or parsed.to_dict().get("type") != given["type"]:
        yield f"unsupported type {given['type']}"
        return
    if extra := given.keys() - set(parsed.attributes) - {"type"}:
        yield f"invalid additional property: {', '.join(sorted(extra))}"
    try:
        parsed.validate_json()
    except (SlackObjectFormationError, TypeError, KeyError) as error:
        yield str(error)


def _failed(code: str, problems: list[str] | None = None) -> Reply:
    if problems:
        messages = {"messages": problems}
        return as_json({"ok": False, "error": code, "errors": problems, "response_metadata": messages})
    return as_json({"ok": False, "error": code})
