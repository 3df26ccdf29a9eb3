"""A mail server: it speaks real SMTP over a socket, keeps what it takes, and fails where it is told to."""

import asyncio
import hmac
import socket
import ssl
import struct
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from enum import StrEnum
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

NOT_STARTED = 9  # the discard port: an address, where nobody listens
CHALLENGE = b"<1896.697170952@mail.example.org>"
Logins = Mapping[str, str]
NOBODY: Logins = {}


class Step(StrEnum):
    """Where a server may fail."""

    GREETING = "greeting"
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "END"  # after the dot that ends the mail
    QUIT = "QUIT"


@dataclass(frozen=True)
class Fault:
    """What the server does instead of its duty; the first of these that is set wins."""

    answer: str = ""  # say this, e.g. `450 4.2.0 Greylisted`
    is_lost: bool = False  # at the end: take the mail, and break the connection before saying so
    is_reset: bool = False  # break the connection (RST)
    is_closed: bool = False  # close the connection without a word
    is_never: bool = False  # stay silent until the client gives up
    raw: bytes | None = None  # write these bytes, whatever they are, and nothing else
    delay: float = 0  # seconds before all that; alone: do the duty, but late


@dataclass(frozen=True)
class Taken:
    """One mail that the server took."""

    sender: str
    recipients: list[str]
    options: list[str]  # of MAIL
    content: bytes
    is_private: bool  # it came over TLS
    login: str | None
    hello: str

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def part(self, kind: str) -> str:
        """The text of the part of a kind (`plain`, `html`), as a reader decodes it."""
        body = self.message.get_body((kind,))
        return "" if body is None else body.get_content().replace("\r\n", "\n")

    def shown(self) -> str:
        """What a person sees in a mail program that shows plain text."""
        message = self.message
        head = "\n".join(f"{name}: {message[name]}" for name in ("From", "To", "Subject", "Date"))
        return f"{head}\n\n{self.part('plain')}"


class FakeSmtp:
    """Runs while it is entered."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        is_tls_at_once: bool = False,
        logins: Logins = NOBODY,
        mechanisms: tuple[str, ...] = ("CRAM-MD5", "LOGIN", "PLAIN"),
        has_utf8: bool = True,
        size: int = 10_000_000,
        tell: Callable[[str], object] | None = None,
        port: int = 0,
    ) -> None:
        self.tls, self.is_tls_at_once = tls, is_tls_at_once
        self.logins, self.mechanisms = logins, mechanisms  # with logins, nobody else may send
        self.has_utf8, self.size = has_utf8, size
        self.port = port
        self.refused: dict[str, str] = {}  # what the server says to RCPT for an address
        self.taken: list[Taken] = []
        self.said: list[str] = []  # the commands it was told
        self.connections_made = 0
        self.most_at_once = 0
        self._faults: defaultdict[Step, deque[Fault]] = defaultdict(deque)
        self._reached: defaultdict[Step, asyncio.Event] = defaultdict(asyncio.Event)
        self._tell = tell
        self._open: set[Talk] = set()
        self._all_closed = asyncio.Event()

    @property
    def smarthost(self) -> str:
        return f"127.0.0.1:{self.port or NOT_STARTED}"

    def fails(self, step: Step, *faults: Fault) -> None:
        """Do these at the next times that a conversation comes to this step."""
        self._faults[step].extend(faults)

    def mails_to(self, address: str) -> list[Taken]:
        return [mail for mail in self.taken if address in mail.recipients]

    def threads(self, address: str) -> list[list[Taken]]:
        """The mails of a person as a mail program groups them: by References, and by the subject."""
        threads: dict[tuple[str, str], list[Taken]] = {}
        for mail in self.mails_to(address):
            root = str(mail.message["References"] or mail.message["Message-ID"]).split()[0]
            subject = str(mail.message["Subject"]).removeprefix("Re: ")
            threads.setdefault((root, subject), []).append(mail)
        return list(threads.values())

    @property
    def connections(self) -> int:
        return len(self._open)

    async def all_closed(self) -> None:
        """Return when no client is connected any more."""
        async with asyncio.timeout(5):
            while self._open:
                self._all_closed.clear()
                await self._all_closed.wait()

    async def reached(self, step: Step) -> None:
        """Return when a client has come to this step."""
        async with asyncio.timeout(5):
            await self._reached[step].wait()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        at_once = self.tls if self.is_tls_at_once else None
        self._server = await loop.create_server(lambda: Talk(self), "127.0.0.1", self.port, ssl=at_once)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for talk in list(self._open):
            talk.hang_up()
        await self.all_closed()

    def opened(self, talk: "Talk") -> None:
        """Note a conversation; STARTTLS begins the same one again."""
        self.connections_made += talk not in self._open
        self._open.add(talk)
        self.most_at_once = max(self.most_at_once, len(self._open))

    def closed(self, talk: "Talk") -> None:
        self._open.discard(talk)
        self._all_closed.set()

    def fault(self, step: Step) -> Fault | None:
        self._reached[step].set()
        return self._faults[step].popleft() if self._faults[step] else None

    def take(self, mail: Taken) -> str:
        self.taken.append(mail)
        if self._tell is not None:
            self._tell(mail.shown())
        return f"250 2.0.0 Ok: queued as {len(self.taken):06X}"

    def knows(self, mechanism: str, given: Any) -> bool:
        """Whether the name and password, or CRAM-MD5's name and digest, are those of somebody."""
        assert isinstance(given, LoginPassword)
        password = self.logins.get(given.login.decode(), "").encode()
        if mechanism == "CRAM-MD5":
            expected = hmac.new(password, CHALLENGE, "md5").hexdigest().encode()
            return bool(password) and hmac.compare_digest(given.password, expected)
        return bool(password) and hmac.compare_digest(given.password, password)


class Handler:
    """What aiosmtpd asks about mails; it lives as long as one conversation."""

    def __init__(self, fake: FakeSmtp) -> None:
        self._fake = fake

    async def handle_EHLO(  # noqa: N802 - aiosmtpd finds it by this name
        self, talk: "Talk", session: Session, _envelope: Envelope, hostname: str, answers: list[str]
    ) -> list[str]:
        session.host_name = hostname
        lines = [line for line in answers if not line.startswith("250-AUTH")]
        if self._fake.logins and (talk.is_private or not self._fake.tls):
            lines.insert(1, f"250-AUTH {' '.join(self._fake.mechanisms)}")
        return lines

    async def handle_MAIL(  # noqa: N802 - the same
        self, _talk: "Talk", session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._fake.logins and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802 - the same
        self, _talk: "Talk", _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self._fake.refused:
            return self._fake.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, talk: "Talk", session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        fault = self._fake.fault(Step.END)
        if fault is not None and not fault.is_lost:
            if not await talk.does(fault):
                await asyncio.Event().wait()  # until the connection ends, which cancels this
            if fault.answer:
                return fault.answer
        assert isinstance(envelope.original_content, bytes)
        login = session.auth_data.login.decode() if session.authenticated else None
        answer = self._fake.take(
            Taken(
                sender=str(envelope.mail_from),
                recipients=[str(address) for address in envelope.rcpt_tos],
                options=[str(option) for option in envelope.mail_options],
                content=envelope.original_content,
                is_private=talk.is_private,
                login=login,
                hello=str(session.host_name),
            )
        )
        if fault is not None and fault.is_lost:
            await talk.does(Fault(is_reset=True))
            await asyncio.Event().wait()
        return answer


class Talk(SMTP):
    """One conversation with a client."""

    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def __init__(self, fake: FakeSmtp) -> None:
        self._fake = fake
        self._is_greeted = False
        super().__init__(
            Handler(fake),
            hostname="mail.example.org",
            ident="ESMTP",
            tls_context=None if fake.is_tls_at_once else fake.tls,
            enable_SMTPUTF8=fake.has_utf8,
            data_size_limit=fake.size,
            auth_require_tls=False,
            auth_exclude_mechanism={"CRAM-MD5", "LOGIN", "PLAIN"} - set(fake.mechanisms),
            authenticator=self._authenticated,
            loop=asyncio.get_running_loop(),
        )
        for step in (
            Step.EHLO,
            Step.HELO,
            Step.STARTTLS,
            Step.AUTH,
            Step.MAIL,
            Step.RCPT,
            Step.DATA,
            Step.QUIT,
        ):
            self._smtp_methods[step] = self._scripted(step, self._smtp_methods[step])

    @property
    def is_private(self) -> bool:
        return self.transport is not None and self.transport.get_extra_info("sslcontext") is not None

    def connection_made(self, transport: Any) -> None:
        self._socket = transport.get_extra_info("socket")
        super().connection_made(transport)
        self._fake.opened(self)

    def eof_received(self) -> bool:
        super().eof_received()
        return False  # nothing more is to be said to a client that hung up

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._fake.closed(self)

    def hang_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    async def push(self, status: Any) -> None:
        if not self._is_greeted:
            self._is_greeted = True
            fault = self._fake.fault(Step.GREETING)
            if fault is not None and not await self.does(fault):
                await asyncio.Event().wait()
            if fault is not None and fault.answer:
                status = fault.answer
        await super().push(status)

    async def does(self, fault: Fault) -> bool:
        """Fail; return whether something is still to be said."""
        if fault.delay:
            with suppress(TimeoutError):
                async with asyncio.timeout(fault.delay):
                    await asyncio.Event().wait()
        assert self.transport is not None
        if fault.answer:
            return True
        if fault.is_reset:
            linger = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
            return False
        if fault.is_closed:
            self.transport.close()
            return False
        if fault.raw is not None:
            self.transport.write(fault.raw)
            return False
        return not fault.is_never

    def _scripted(self, step: Step, duty: Callable[[str | None], Any]) -> Callable[[str | None], Any]:
        async def method(argument: str | None) -> None:
            self._fake.said.append(f"{step} {argument or ''}".strip())
            fault = self._fake.fault(step)
            if fault is None:
                await duty(argument)
            elif not await self.does(fault):
                if fault.raw is None:
                    await asyncio.Event().wait()
            elif fault.answer:
                await self.push(fault.answer)
                if fault.answer.startswith("421"):
                    self.transport.close()
            else:
                await duty(argument)

        return method

    def _authenticated(
        self, _talk: SMTP, _session: Session, _envelope: Envelope, mechanism: str, given: Any
    ) -> AuthResult:
        is_known = self._fake.knows(mechanism, given)
        return AuthResult(success=is_known, handled=False, auth_data=given)

    async def auth_CRAM__MD5(self, _: Any, _arguments: list[str]) -> AuthResult:  # noqa: N802 - the same
        answer = await self.challenge_auth(CHALLENGE)
        assert isinstance(answer, bytes)
        login, _, digest = answer.partition(b" ")
        return self._authenticate("CRAM-MD5", LoginPassword(login, digest))
