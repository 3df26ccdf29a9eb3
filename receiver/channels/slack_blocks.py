"""What does a message look like in Slack?

    header                       the title; lock screens show the same words, from the top-level text
    ┃ section, section, context  the text, one block for each part
    ┃ actions                    what a person can do

The bar on the left exists beside attachments only, so everything but the header is one attachment.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from receiver.channels.base import MarkupRefused, Message, button_value, is_web_address
from receiver.policy.incident import MessageEvent, Reason, Verb

Block = dict[str, Any]

MAX_HEADER = 150  # header.text
MAX_SECTION = 3000  # section.text: "must be less than 3001 characters"
MAX_CONTEXT = 2000  # a context element holds less than a section
MAX_BLOCKS = 45  # of 50: header, what changed and actions come on top of these
MAX_TEXT = 4000  # longer top-level texts are shown badly, and cut at 40,000
MAX_BUTTON_URL = 3000
URL_CHARACTERS = ":/?#[]@!$&'()*+,;=-._~%"  # all that RFC 3986 lets stand, beside letters and digits
MAX_FALLBACK = 150  # notifications show it behind the title

# In a template `{{ "\f" }}` begins a new block, and `{{ "\v" }}` one in small print. No value can hold
# either: control characters are taken out of all of them.
SMALL_PRINT = "\v"
BREAKS = re.compile(r"(?=[\f\v])")

# A link that is one already, or an address that is to become one: up to a space or an escaped bracket, and
# without the full stop of its sentence.
URLS = re.compile(r"<[^>]*>|\b(https?://(?:(?!&[lg]t;)[^\s<>|`\"'])+(?<![.,:!?)\]]))")

SNOOZE = timedelta(hours=1)
LABELS = {
    Verb.ACKNOWLEDGE: "Acknowledge",
    Verb.UNACKNOWLEDGE: "Unacknowledge",
    Verb.SNOOZE: "Snooze 1 h",
    Verb.RESOLVE: "Resolve",
}
COLORS = {
    "critical": "#c62828",
    "page": "#c62828",
    "error": "#c62828",
    "warning": "#f9a825",
    "info": "#1565c0",
}
ACKNOWLEDGED, RESOLVED, UNKNOWN = "#6a1b9a", "#2e7d32", "#c62828"


def looks(message: Message, *, is_alone: bool, is_interactive: bool) -> dict[str, Any]:
    """Return text, blocks and attachments of a message.

    One that `is_alone`, because it can be no reply, says itself what changed. Buttons answer in place where
    Slack knows how to reach us (`is_interactive`), and else open a page that asks before it does something.
    A plain message has no blocks at all: nothing is left in it that could be refused.
    """
    if message.is_plain:
        text = fitted(f"{message.title}\n{message.text}", MAX_TEXT)
        return {"text": text, "attachments": []}  # an empty list removes what an update replaces
    reply = message.reply or ""
    blocks = [_context(reply)] if is_alone and _is_small(reply) and reply not in message.text else []
    blocks += _parts(message.text)
    buttons = [*_answers(message, is_interactive=is_interactive), *_links(message)]
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    fallback = fitted(str(message.facts.get("reason_text") or message.title), MAX_FALLBACK)
    attachment = {"color": color(message), "fallback": fallback, "blocks": blocks}
    return {
        "text": fitted(message.title, MAX_TEXT),
        "blocks": [{"type": "header", "text": _plain(fitted(message.title, MAX_HEADER))}],
        "attachments": [attachment] if blocks else [],
    }


def color(message: Message) -> str:
    """Return the colour of the bar: what is asked of a person, then how bad it is."""
    if message.event is MessageEvent.RESOLVED or message.reason is Reason.HEALED:
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


def _parts(text: str) -> list[Block]:
    """Return a block for each part of a text; more parts than a message may have go into the last one."""
    parts = BREAKS.split(text)
    parts = [*parts[: MAX_BLOCKS - 1], "\n".join(part.strip() for part in parts[MAX_BLOCKS - 1 :])]
    blocks = []
    for part in parts:
        words = part.strip()
        if len(words) > MAX_SECTION:
            raise MarkupRefused(f"a part has {len(words)} characters, a section takes {MAX_SECTION}")
        if words:
            is_small = part.startswith(SMALL_PRINT) and _is_small(words)
            blocks.append(_context(words) if is_small else _section(words))
    return blocks


def _answers(message: Message, *, is_interactive: bool) -> Iterator[Block]:
    """Yield a button for each verb that is worth one now."""
    links: Mapping[str, str] = message.facts.get("answer_links") or {}
    for verb in map(Verb, message.facts.get("offers") or ()):
        button: Block = {"type": "button", "action_id": verb.value, "text": _plain(LABELS[verb])}
        if verb is Verb.ACKNOWLEDGE:
            button["style"] = "primary"
        if is_interactive:
            lasts = SNOOZE if verb is Verb.SNOOZE else None
            button["value"] = button_value(verb, message.facts["incident"]["id"], lasts)
            if verb is Verb.RESOLVE:
                button["confirm"] = _question()
            yield button
        elif url := _button_url(links.get(verb)):
            yield button | {"url": url}


def _links(message: Message) -> Iterator[Block]:
    """Yield a button for each page that a person wants to open first."""
    facts = message.facts
    if message.event is MessageEvent.DIGEST:
        pages = {"open": ("Open in Tocsin", facts["list_url"])}
    else:
        ours = facts["incident"]["url"]
        pages = {"runbook": ("Runbook", facts.get("runbook_url")), "open": ("Open in Tocsin", ours)}
    for name, (label, link) in pages.items():
        if url := _button_url(link):
            yield {"type": "button", "action_id": name, "text": _plain(label), "url": url}


def _button_url(url: str | None) -> str:
    """Return a URL as Slack takes it, nothing where it is none; one that is cut would lead nowhere."""
    if url is None or not is_web_address(url) or any(c.isspace() or not c.isprintable() for c in url):
        return ""
    sound = quote(url, safe=URL_CHARACTERS)
    return sound if len(sound) <= MAX_BUTTON_URL else ""


def _question() -> Block:
    """Return what is asked before an incident is resolved: a phone in a pocket presses, too."""
    return {
        "title": _plain("Resolve the incident?"),
        "text": _plain("Everybody who was told will hear that it is over."),
        "confirm": _plain("Resolve"),
        "deny": _plain("Cancel"),
    }


def _is_small(words: str) -> bool:
    return 0 < len(words) <= MAX_CONTEXT


def _section(words: str) -> Block:
    return {"type": "section", "expand": True, "text": _markup(words)}


def _context(words: str) -> Block:
    return {"type": "context", "elements": [_markup(words)]}


def _markup(words: str) -> Block:
    """Return a text in which nothing but its markup means something: `@here` and `#ops` are words.

    Web addresses, which Slack would find otherwise, are made links here.
    """
    linked = URLS.sub(lambda found: f"<{found[1]}>" if found[1] else found[0], words)
    return {"type": "mrkdwn", "text": linked if len(linked) <= MAX_SECTION else words, "verbatim": True}


def _plain(words: str) -> Block:
    return {"type": "plain_text", "text": words}
