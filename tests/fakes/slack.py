"""A Slack workspace: incoming webhook, chat.postMessage and chat.update, with Slack's limits and errors."""

import re
from collections import deque
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from tests.fakes.http import FakeHttp, Reply, Request, as_json

WEBHOOK = "/services/T00000001/B00000001/webhooksecretwebhook"
TOKEN = "xoxb-1234567890-secretsecret"
OPS = "C00000001"
MAX_TEXT = 40_000
MAX_SECTION = 3000
MAX_CONTEXT_ELEMENTS = 10
MAX_BLOCKS = 50
MAX_BLOCKS_SIZE = 13_000


class FakeSlack(FakeHttp):
    """Keeps what each channel shows; `errors` are the codes the next Web API calls answer."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = {"#ops": OPS}  # names to ids; others do not exist
        self.messages: dict[tuple[str, str], dict[str, Any]] = {}  # (channel id, ts) to the message
        self.posted: list[dict[str, Any]] = []  # by the webhook
        self.errors: deque[str] = deque()
        self.calls: list[str] = []

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

    def answer(self, request: Request) -> Reply:
        if request.path == WEBHOOK:
            return self._take_webhook(request)
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

    def _take_webhook(self, request: Request) -> Reply:
        content = request.json()
        complaint = complaint_about(content)
        if complaint:
            return Reply(status=400, body=complaint[0].encode(), headers={"Content-Type": "text/html"})
        self.posted.append(content)
        return Reply(body=b"ok", headers={"Content-Type": "text/html"})

    def _post(self, content: dict[str, Any]) -> Reply:
        channel = self.channels.get(content["channel"], content["channel"])
        if channel not in self.channels.values():
            return _failed("channel_not_found")
        parent = content.get("thread_ts")
        if parent is not None and (channel, parent) not in self.messages:
            return _failed("thread_not_found")
        ts = f"1503435956.{len(self.messages) + 100:06d}"
        self.messages[channel, ts] = content | {"ts": ts}
        return as_json({"ok": True, "channel": channel, "ts": ts, "message": content})

    def _update(self, content: dict[str, Any]) -> Reply:
        key = (content["channel"], content["ts"])
        if not re.fullmatch(r"C[0-9]+", content["channel"]):
            return _failed("channel_not_found")  # chat.update takes ids, not names
        if key not in self.messages:
            return _failed("message_not_found")
        self.messages[key] = self.messages[key] | content
        return as_json({"ok": True, "channel": key[0], "ts": key[1], "text": content["text"]})

    def _is(self, channel: str, name: str) -> bool:
        return channel in {name, self.channels.get(name)}


def complaint_about(content: dict[str, Any]) -> tuple[str, list[str]] | None:
    """Return the error code and messages that a message earns, by Slack's documented limits."""
    attachments = content.get("attachments", [])
    blocks = [block for attachment in attachments for block in attachment.get("blocks", [])]
    blocks += content.get("blocks", [])
    if not content.get("text") and not blocks:
        return ("no_text", [])
    if len(content.get("text", "")) > MAX_TEXT:
        return ("msg_too_long", [])
    if len(blocks) > MAX_BLOCKS or len(str(blocks)) > MAX_BLOCKS_SIZE:
        return ("msg_blocks_too_long", [])
    problems = [problem for index, block in enumerate(blocks) for problem in _problems(index, block)]
    return ("invalid_blocks", problems) if problems else None


def _problems(index: int, block: dict[str, Any]) -> list[str]:
    try:
        parsed = Block.parse(block)
        if parsed is None or parsed.type != block["type"]:
            return [f"[ERROR] unsupported type [json-pointer:/blocks/{index}/type]"]
        parsed.validate_json()
    except (SlackObjectFormationError, TypeError, KeyError) as error:
        return [f"[ERROR] {error} [json-pointer:/blocks/{index}]"]
    texts = [block.get("text"), *block.get("elements", [])]
    if any(len(text["text"]) > MAX_SECTION for text in texts if text):
        return [f"[ERROR] must be less than 3001 characters [json-pointer:/blocks/{index}/text/text]"]
    if (
        any(not text["text"] for text in texts if text)
        or len(block.get("elements", [])) > MAX_CONTEXT_ELEMENTS
    ):
        return [f"[ERROR] wrong number of characters or elements [json-pointer:/blocks/{index}]"]
    return []


def _failed(code: str, problems: list[str] | None = None) -> Reply:
    if problems:
        messages = {"messages": problems}
        return as_json({"ok": False, "error": code, "errors": problems, "response_metadata": messages})
    return as_json({"ok": False, "error": code})
