"""All fakes at once, for a person who watches: what each service would show, and buttons to press."""

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from receiver.channels.console import visible
from receiver.clock import SystemClock
from tests.fakes.http import FakeHttp, Reply, Request
from tests.fakes.opsgenie import FakeOpsgenie
from tests.fakes.pagerduty import FakePagerDuty, Paged
from tests.fakes.slack import FakeSlack, buttons_of
from tests.fakes.smtp import FakeSmtp
from tests.fakes.telegram import FakeTelegram, Shown
from tests.fakes.webhook import FakeWebhook

FIRST_PORT = 5101  # as in routing.yaml beside this file
WIDTH = 78

Press = Callable[[], Awaitable[str]]


@dataclass
class Screen:
    """Shows what arrives, and gives each button a number."""

    write: Callable[[str], object]
    clock: SystemClock = field(default_factory=SystemClock)
    presses: dict[int, tuple[str, Press]] = field(default_factory=dict)

    def tell(self, where: str, text: str, buttons: Sequence[tuple[str, Press]] = ()) -> None:
        """Show a message as it looks now, with its buttons."""
        head = f"── {where} "
        shown = [f"{head:─<{WIDTH - 9}} {self.clock.now():%H:%M:%S}", visible(text.strip())]
        numbered = []
        for label, press in buttons:
            number = len(self.presses) + 1
            self.presses[number] = (f"{label}, {where}", press)
            numbered.append(f"[{number} {label}]")
        self.write("\n".join([*shown, *([" ".join(numbered)] if numbered else []), ""]))

    async def press(self, word: str) -> None:
        """Press the button with the number that was typed."""
        label, press = self.presses.get(int(word) if word.isascii() and word.isdigit() else 0, ("", None))
        if press is None:
            self.write(f"There is no button {word}; type the number that stands before its name.\n")
            return
        try:
            self.write(f">> {label}: {await press()}\n")
        except OSError as error:
            self.write(f">> {label}: Tocsin does not answer ({error.strerror or error})\n")


class Stand:
    """Runs while it is entered: seven services on seven ports in a row."""

    def __init__(self, screen: Screen, *, tocsin: str, first_port: int = FIRST_PORT) -> None:
        self.screen = screen
        self.tocsin = tocsin
        self.down: set[str] = set()
        self.mail = FakeSmtp(tell=lambda text: screen.tell("E-mail", text))
        self.fakes: dict[str, FakeHttp | FakeSmtp] = {
            "Slack": WatchedSlack(self),
            "Telegram": WatchedTelegram(self),
            "E-mail": self.mail,
            "PagerDuty": WatchedPagerDuty(self),
            "Opsgenie": FakeOpsgenie(says=lambda line: screen.tell("Opsgenie", line)),
            "Webhook": WatchedWebhook(self),
            "Phone": WatchedPhone(self),
        }
        for number, fake in enumerate(self.fakes.values()):
            fake.port = first_port + number

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as started:
            for fake in self.fakes.values():
                await started.enter_async_context(fake)
            started.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        for name, fake in self.fakes.items():
            if name not in self.down:
                await fake.__aexit__()

    async def obey(self, typed: str) -> None:
        """Do what was typed: the number of a button, or which service is to be down or up again."""
        match typed.split():
            case []:
                pass
            case ["down" | "up" as wish, name]:
                await self._change(name, is_up=wish == "up")
            case _:
                await self.screen.press(typed.strip())

    async def _change(self, name: str, *, is_up: bool) -> None:
        found = [one for one in self.fakes if one.lower().replace("-", "") == name.lower().replace("-", "")]
        if not found:
            self.screen.write(f"There is no {name}; there are {', '.join(self.fakes)}.\n")
            return
        fake = self.fakes[found[0]]
        if is_up and found[0] in self.down:
            if isinstance(fake, FakeHttp):
                fake._stopping.clear()  # it begins anew
            await fake.__aenter__()
            self.down.remove(found[0])
        elif not is_up and found[0] not in self.down:
            await fake.__aexit__()
            self.down.add(found[0])
        self.screen.write(f">> {found[0]} is {'up' if is_up else 'down: connections are refused'}\n")

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """Post to Tocsin as a service does; return what it answered."""

        def posted() -> str:
            url = urlsplit(self.tocsin)
            connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
            try:
                connection.request("POST", path, body, dict(headers))
                return f"Tocsin answered {connection.getresponse().status}"
            finally:
                connection.close()

        return await asyncio.to_thread(posted)


class WatchedSlack(FakeSlack):
    """Its buttons are posted to Tocsin, signed."""

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        self._stand = stand

    def answer(self, request: Request) -> Reply:
        reply = super().answer(request)
        known = list(self.messages.values())
        content = json.loads(request.body)
        message = next((one for one in reversed(known) if one.get("text") == content.get("text")), None)
        offered = [one for one in buttons_of(content) if "url" not in one] if message else []
        self._stand.screen.tell(
            "Slack",
            self.describe(request),
            [(one["text"]["text"], self._press(one, message)) for one in offered],
        )
        return reply

    def _press(self, button: dict[str, object], message: object) -> Press:
        async def press() -> str:
            assert isinstance(message, dict)
            label = button["text"]["text"]  # type: ignore[index]
            if label not in {one["text"]["text"] for one in buttons_of(message)}:
                return "the message has changed, and no longer has this button"
            request = self.press(label, at=self._stand.screen.clock.now(), message=message)
            return await self._stand.post(request.path, request.headers, request.body)

        return press


class WatchedTelegram(FakeTelegram):
    """Its buttons wait until Tocsin asks."""

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        self._stand = stand

    def answer(self, request: Request) -> Reply:
        reply = super().answer(request)
        method = request.path.rpartition("/")[2].lower()
        said = json.loads(reply.body) if reply.body else {}
        if not said.get("ok"):
            if reply.body:
                self._stand.screen.tell("Telegram", f"{method} was refused: {said.get('description')}")
        elif method in {"sendmessage", "editmessagetext"}:
            chat, id_ = said["result"]["chat"]["id"], said["result"]["message_id"]
            self._show(chat, self.chats[chat].messages[id_])
        elif method == "answercallbackquery" and self.toasts:
            self._stand.screen.tell("Telegram, to who pressed", list(self.toasts.values())[-1] or "(done)")
        return reply

    def _show(self, chat: int, message: Shown) -> None:
        how = f", edited {message.edits}x" if message.edits else ""
        how += f", beneath #{message.reply_to}" if message.reply_to else ""
        buttons = [one for row in message.buttons for one in row]
        links = [f"{one['text']}: {one['url']}" for one in buttons if "url" in one]
        self._stand.screen.tell(
            f"Telegram {self.chats[chat].title} #{message.id}{how}",
            "\n".join([message.text, *links]),
            [
                (one["text"], self._press(chat, message, one["callback_data"]))
                for one in buttons
                if "callback_data" in one
            ],
        )

    def _press(self, chat: int, message: Shown, data: str) -> Press:
        async def press() -> str:
            await self.send_update(self.callback(data, chat, message))
            return "waits until Tocsin asks for it"

        return press


class WatchedPagerDuty(FakePagerDuty):
    """What a person does in its app is posted to Tocsin, signed."""

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        self._stand = stand

    def answer(self, request: Request) -> Reply:
        taken, dropped = len(self.events), len(self.dropped)
        reply = super().answer(request)
        if len(self.events) == taken:
            self._stand.screen.tell("PagerDuty", f"refused: {reply.body.decode(errors='replace')}")
            return reply
        sent = self.events[-1]
        if len(self.dropped) > dropped:
            self._stand.screen.tell("PagerDuty", f"dropped without a word: {sent['event_action']}")
            return reply
        incident = [one for one in self.incidents if one.dedup_key == sent["dedup_key"]][-1]
        links = [f"{link.get('text', 'Link')}: {link['href']}" for link in incident.links]
        lines = [f"{incident.title}", f"severity {incident.payload['severity']}, {incident.log[-1]}", *links]
        verbs = {"triggered": ("acknowledge", "resolve"), "acknowledged": ("resolve",)}
        self._stand.screen.tell(
            f"PagerDuty #{incident.number}, {incident.status}",
            "\n".join(lines),
            [(verb.capitalize(), self._press(incident, verb)) for verb in verbs.get(incident.status, ())],
        )
        return reply

    def _press(self, incident: Paged, verb: str) -> Press:
        async def press() -> str:
            headers, body = self.press(incident, verb, at=self._stand.screen.clock.now())
            return await self._stand.post("/webhooks/pagerduty", headers, body)

        return press


class WatchedWebhook(FakeWebhook):
    """A program has nothing to press; what it is told is shown in short."""

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        self._stand = stand

    def answer(self, request: Request) -> Reply:
        reply = super().answer(request)
        body = self.bodies[-1]
        states = ", ".join(f"{alert['status']} {alert['labels']}" for alert in body["alerts"][:3])
        said = f"{body['event']} ({body['reason']}): {body['incident']['title']}\n{states}"
        self._stand.screen.tell("Webhook", said)
        return reply


class WatchedPhone(FakeHttp):
    """What apprise pushes."""

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        self._stand = stand

    def answer(self, request: Request) -> Reply:
        said = request.json()
        self._stand.screen.tell(f"Phone, {said['type']}", f"{said['title']}\n{said['message']}")
        return super().answer(request)
