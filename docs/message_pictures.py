"""How would Slack, Telegram and a mail program show the golden files? Good enough to judge a message by.

Not the services' own style sheets, only their order of things, sizes and widths.
"""  # noqa: INP001 - a script beside the pages it serves

import html
import json
import re
from pathlib import Path
from typing import Any

GOLDENS = Path(__file__).parent.parent / "tests" / "channels" / "goldens"
EMOJI = {
    "rotating_light": "🚨",
    "red_circle": "🔴",
    "large_orange_circle": "🟠",
    "white_check_mark": "✅",
    "eyes": "👀",
    "warning": "⚠️",
    "arrow_double_up": "⏫",
    "zzz": "💤",
    "bell": "🔔",
    "fire": "🔥",
}
PAGE = """<!doctype html><meta charset="utf-8"><style>
* {{ box-sizing: border-box; margin: 0 }}
body {{ font: 15px/1.45 system-ui, "Noto Color Emoji", sans-serif; color: #1d1c1d; background: #fff }}
a {{ color: #1264a3; text-decoration: none }}
{style}</style>{body}"""

SLACK = """
body { padding: 16px }
.message { display: flex; gap: 8px; margin-bottom: 18px }
.face { width: 36px; height: 36px; border-radius: 4px; background: #4a154b; color: #fff; flex: none;
        display: grid; place-items: center; font-weight: 700 }
.words { flex: 1; min-width: 0 }
.sender { font-weight: 900 }
.sender span { font-weight: 400; font-size: 12px; color: #616061; margin-left: 6px }
h1 { font-size: 18px; line-height: 1.35; margin: 4px 0; overflow-wrap: anywhere }
.attachment { border-left: 4px solid; border-radius: 4px; padding: 2px 0 4px 12px; margin-top: 6px }
.section { margin: 6px 0; overflow-wrap: anywhere; white-space: pre-wrap }
.context { font-size: 13px; color: #616061; margin: 6px 0; overflow-wrap: anywhere }
code { font: 12px/1.5 monospace; color: #c01343; background: #f6f6f6; border: 1px solid #ddd;
       border-radius: 3px; padding: 1px 3px }
.actions { display: flex; flex-wrap: wrap; gap: 8px; margin: 8px 0 }
.button { border: 1px solid #bbb; border-radius: 4px; padding: 5px 12px; font-weight: 700; font-size: 14px }
.button.primary { background: #007a5a; border-color: #007a5a; color: #fff }
.button.danger { background: #e01e5a; border-color: #e01e5a; color: #fff }
.thread { border-left: 2px solid #ddd; margin: -8px 0 18px 44px; padding-left: 12px; font-size: 14px }
"""
TELEGRAM = """
body { padding: 16px; background: #b8cfa3; width: 100% }
.bubble { background: #fff; border-radius: 12px; padding: 8px 12px }
.bubble, .reply { white-space: pre-wrap; overflow-wrap: anywhere }
.reply { border-left: 3px solid #3390ec; padding-left: 8px; color: #555; font-size: 13px; margin-bottom: 4px }
code { font: 13px monospace; color: #3390ec }
.row { display: flex; gap: 4px; margin-top: 4px }
.row span { flex: 1; text-align: center; background: #8aa972; color: #fff; border-radius: 8px;
            padding: 7px 4px; font-weight: 600 }
.message { margin-bottom: 14px; max-width: 480px }
"""
LOCK = """
body { padding: 20px 10px; background: linear-gradient(#24364f, #6b5b73); min-height: 300px }
.card { background: #ffffffe6; border-radius: 16px; padding: 9px 12px; margin-bottom: 8px; font-size: 15px;
        line-height: 1.3 }
.app { font-size: 12px; color: #555; display: flex; justify-content: space-between; margin-bottom: 2px }
.card b { display: block; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
.card p { display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden;
          white-space: pre-line; overflow-wrap: anywhere }
"""


def golden(kind: str, name: str) -> Any:
    """Return what a golden file holds, as text or as JSON."""
    file = next(
        path for path in sorted((GOLDENS / kind).glob(f"{name}.*")) if path.suffix in {".html", ".json"}
    )
    text = file.read_text(encoding="utf-8")
    return json.loads(text) if file.suffix == ".json" else text


def slack_page(*messages: tuple[dict[str, Any], str | None]) -> str:
    """Return a page with messages, each with what was said in its thread."""
    return PAGE.format(style=SLACK, body="".join(_slack(content, reply) for content, reply in messages))


def _slack(content: dict[str, Any], reply: str | None) -> str:
    blocks = "".join(_block(block) for block in content.get("blocks", []))
    for part in content.get("attachments", []):
        inner = "".join(_block(block) for block in part["blocks"])
        blocks += f'<div class="attachment" style="border-color: {part["color"]}">{inner}</div>'
    words = blocks or _mrkdwn(content["text"])
    sender = '<p class="sender">Tocsin<span>APP  3:48</span></p>'
    thread = f'<p class="thread">{_mrkdwn(reply)}</p>' if reply else ""
    message = f'<div class="face">T</div><div class="words">{sender}{words}</div>'
    return f'<div class="message">{message}</div>{thread}'


def _block(block: dict[str, Any]) -> str:
    match block["type"]:
        case "header":
            return f"<h1>{html.escape(block['text']['text'])}</h1>"
        case "section":
            return f'<div class="section">{_mrkdwn(block["text"]["text"])}</div>'
        case "context":
            return f'<div class="context">{"".join(_mrkdwn(one["text"]) for one in block["elements"])}</div>'
        case "actions":
            return f'<div class="actions">{"".join(_button(one) for one in block["elements"])}</div>'
        case other:
            raise ValueError(f"no picture is made of a block {other}")


def _button(one: dict[str, Any]) -> str:
    return f'<span class="button {one.get("style", "")}">{html.escape(one["text"]["text"])}</span>'


def _mrkdwn(text: str) -> str:
    """Return Slack's markup, whose three escapes are those of HTML, as HTML."""
    text = re.sub(r"<(https?://[^|>]+)\|([^>]+)>", r'<a href="\1">\2</a>', text)
    text = re.sub(r"(?<!\w)\*(.+?)\*(?!\w)", r"<b>\1</b>", text)
    text = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", text)
    return re.sub(r":([a-z_]+):", lambda found: EMOJI.get(found[1], found[0]), text)


def telegram_page(*messages: dict[str, Any]) -> str:
    """Return a page with messages; a reply stands beneath the one it answers."""
    return PAGE.format(style=TELEGRAM, body="".join(map(_telegram, messages)))


def _telegram(message: dict[str, Any]) -> str:
    rows = "".join(
        f'<div class="row">{"".join(map(_key, row))}</div>' for row in message.get("inline_keyboard", [])
    )
    shown = f'<div class="message"><div class="bubble">{message["text"]}</div>{rows}</div>'
    if not message.get("reply"):
        return shown
    above = re.sub(r"<[^>]+>", "", message["text"])[:60]
    reply = f'<div class="reply">{above}…</div>{message["reply"]}'
    return f'{shown}<div class="message"><div class="bubble">{reply}</div></div>'


def lock_page() -> str:
    """Return a lock screen on which every channel that reaches a phone has spoken."""
    mail = (GOLDENS / "email" / "triggered.txt").read_text(encoding="utf-8")
    subject = re.search(r"^Subject: (.*)$", mail, re.MULTILINE)
    push = (GOLDENS / "apprise" / "updated.txt").read_text(encoding="utf-8").partition("\n")
    paged = golden("pagerduty", "triggered")[0]["payload"]
    telegram = html.unescape(re.sub(r"<[^>]+>", "", golden("telegram", "triggered")["text"]))
    return PAGE.format(
        style=LOCK,
        body="".join(
            f'<div class="card"><div class="app"><span>{app}</span><span>now</span></div>'
            f"<b>{html.escape(title)}</b><p>{html.escape(words)}</p></div>"
            for app, title, words in (
                ("Slack", "Tocsin in #ops", golden("slack", "triggered")["text"]),
                ("Telegram", "Alerts", telegram),
                ("Mail", "Tocsin", f"{subject[1] if subject else ''}\n{_preview(mail)}"),
                ("ntfy", push[0], push[2].strip()),
                ("PagerDuty", "New incident on payments", paged["summary"]),
                ("Telegram", "Alerts", re.sub(r"<[^>]+>", "", golden("telegram", "acknowledged")["reply"])),
                ("Slack", "Tocsin in #ops", golden("slack", "digest")["text"]),
            )
        ),
    )


def _preview(mail: str) -> str:
    return " ".join(mail.partition("\n\n")[2].partition("\n")[2].split())[:120]


def _key(one: dict[str, Any]) -> str:
    return f"<span>{html.escape(one['text'])}</span>"


def pictures() -> dict[str, tuple[str, int]]:
    """Return the pages to take pictures of, by file name, each with its width."""
    events = ("triggered", "acknowledged", "resolved")
    slack = slack_page(*((golden("slack", name), None) for name in events))
    return {
        "lock-screen": (lock_page(), 390),
        "slack": (slack, 760),
        "slack-digest": (slack_page((golden("slack", "digest"), None)), 760),
        "telegram": (telegram_page(*(golden("telegram", name) for name in ("updated", "acknowledged"))), 420),
        "email": (golden("email", "triggered"), 800),
        "email-phone": (golden("email", "triggered"), 390),
    }
