"""How is a mail handed to a server, and what does the server's answer mean?

Each step is asked for by itself, because where a conversation breaks decides what follows: before the
mail was written nothing has happened, after it nobody knows.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self, cast

import aiosmtplib
from pydantic import model_validator

from receiver.channels.base import ChannelError, MarkupRefused, PermanentFailure, TemporaryFailure
from receiver.channels.client import refusal
from receiver.policy.record import Record

CONNECT_SECONDS = 3.0  # one address that swallows packets must leave time for the next
QUIT_SECONDS = 1.0  # the mail is delivered or refused by then; this is only manners
QUEUE_SECONDS = 20.0  # waited and sent twice, as markup and plainly, it still ends within a lease
SHORTEST_SECRET = 6  # shorter strings occur by chance

TOO_LARGE = "the mail is too large for it"
ADVICE = {  # by enhanced status code (RFC 3463, RFC 5248)
    "5.1.1": "there is no such mailbox; check `to`",
    "5.1.2": "nobody takes mail for that domain; check `to`",
    "5.1.7": "check `from`",
    "5.1.8": "check `from`: its domain must exist",
    "5.1.10": "there is no such mailbox; check `to`",
    "5.2.1": "the mailbox is switched off; choose another in `to`",
    "5.2.2": "the mailbox is full; empty it, or choose another in `to`",
    "5.2.252": "this login may not send as `from`; use its own address, or have it allowed",
    "5.3.4": TOO_LARGE,
    "5.4.5": "what it takes from one account in a day is used up",
    "5.7.0": "it wants a login; set auth_username and auth_password",
    "5.7.8": "check auth_username and auth_password",
    "5.7.9": "it wants another way to log in, often an app password",
    "5.7.57": "it wants a login; set auth_username and auth_password",
    "5.7.60": "this login may not send as `from`; use its own address, or have it allowed",
    "5.7.139": "logging in by SMTP is switched off for this account; ask who runs it",
    "5.7.26": "it wants the domain of `from` authenticated; publish SPF and DKIM for the relay",
}
STEP_ADVICE = {  # where the code says nothing more
    "the connection": "it does not want mail from this address; ask who runs it",
    "EHLO": "set `hello` to a name it accepts, usually this machine's full name",
    "STARTTLS": "ask who runs it, or use its TLS port with force_implicit_tls",
    "AUTH": "check auth_username and auth_password",
    "MAIL": "check `from`: this login or address may not send in its name",
    "RCPT": "check `to`; or it does not relay for us: log in, or have our address allowed",
    "DATA": "ask who runs it",
    "the mail": "it is too large for it, or taken for spam; its own words may say which",
}


class Security(StrEnum):
    """How the connection is kept private."""

    NONE = "none"  # whoever is on the way can read
    STARTTLS = "starttls"  # begins in the clear and turns to TLS before anything is said
    TLS = "tls"  # TLS from the first byte, usually on port 465


class TlsConfig(Record):
    """How the server's certificate is checked, and which one we show."""

    ca_file: str | None = None  # instead of the authorities that the system trusts
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None  # the name in the certificate, where it is not the host's
    insecure_skip_verify: bool = False
    min_version: Literal["TLS12", "TLS13"] = "TLS12"  # older ones are broken, and Python offers none

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together; write both, or neither")
        return self


SYSTEM_TLS = TlsConfig()


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the server."""

    username: str
    password: str = field(default="", repr=False)  # for PLAIN and LOGIN
    secret: str = field(default="", repr=False)  # for CRAM-MD5, which does not show it
    identity: str = ""  # whom we act for, where that is not the user

    @property
    def plain(self) -> bytes:
        """What PLAIN says (RFC 4616)."""
        return b64encode(f"{self.identity}\0{self.username}\0{self.password}".encode())

    def secrets(self) -> list[str]:
        """Return what must not be repeated, as it is and as it goes over the wire."""
        known = [word for word in (self.password, self.secret) if word]
        return [*known, *(b64encode(word.encode()).decode() for word in known), self.plain.decode()]


@dataclass(frozen=True, slots=True)
class Server:
    """Where mails are handed over, and how."""

    host: str
    port: int
    hello: str = "localhost"
    security: Security = Security.STARTTLS
    tls: TlsConfig = SYSTEM_TLS
    login: Login | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail for one recipient, as it goes over the wire."""

    sender: str
    recipient: str
    content: bytes

    @property
    def is_ascii(self) -> bool:
        """Whether every server can take its addresses."""
        return self.sender.isascii() and self.recipient.isascii()


async def hand_over(server: Server, mail: Mail, *, seconds: float, slots: asyncio.Semaphore) -> str:
    """Return what the server said when it took the mail.

    The seconds begin when there is a slot: a mail that waited for others has as much time as they had.

    Errors: TemporaryFailure, ambiguous where the mail was written and no answer came, and ours where there
    was no slot; PermanentFailure; MarkupRefused where it was the mail itself that the server did not want.
    """
    talk = Talk(server)
    try:
        async with asyncio.timeout(QUEUE_SECONDS):
            await slots.acquire()
    except TimeoutError:
        reason = f"{server} was not asked: the mails before this one took {QUEUE_SECONDS:g} s"
        raise TemporaryFailure(reason, is_ours=True) from None
    try:
        async with asyncio.timeout(seconds):
            return await talk.deliver(mail)
    except aiosmtplib.SMTPResponseException as answer:
        raise talk.refused(answer.code, answer.message) from None
    except (OSError, aiosmtplib.SMTPException) as error:  # TimeoutError is an OSError
        raise talk.lost(error, seconds) from None
    finally:
        await talk.leave()
        slots.release()


class Talk:
    """One conversation with a server, from the connection to the mail."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._smtp: aiosmtplib.SMTP | None = None
        self._socket: socket.socket | None = None
        self._step = "the connection"
        self._is_written = False
        self._is_orderly = False  # nothing but our QUIT is to come

    async def deliver(self, mail: Mail) -> str:
        """Take all steps, and return the server's last word."""
        server = self._server
        context = None if server.security is Security.NONE else tls_context(server.tls)
        self._socket = await _connected(server)
        smtp = self._smtp = aiosmtplib.SMTP(
            sock=self._socket,
            hostname=server.tls.server_name or server.host,
            local_hostname=server.hello,
            use_tls=server.security is Security.TLS,
            start_tls=False,
            tls_context=context,
            timeout=None,  # ours is around the whole; theirs uses asyncio.wait_for
        )
        await smtp.connect()
        await self._greet(smtp)
        if server.security is Security.STARTTLS:
            await self._start_tls(smtp)
        if server.login is not None:
            self._step = "AUTH"
            await self._log_in(smtp, server.login)
        await self._address(smtp, mail)
        return await self._write(smtp, mail.content)

    async def _greet(self, smtp: aiosmtplib.SMTP) -> None:
        self._step = "EHLO"
        try:
            await smtp.ehlo()
        except aiosmtplib.SMTPHeloError as refused:
            if refused.code < 500:
                raise
            await smtp.helo()  # a server older than its extensions

    async def _start_tls(self, smtp: aiosmtplib.SMTP) -> None:
        self._step = "STARTTLS"
        if not smtp.supports_extension("starttls"):
            self._is_orderly = True
            raise PermanentFailure(
                f"{self._server} does not offer STARTTLS, and require_tls is true; use its TLS port with "
                "force_implicit_tls: true, or, on a network you trust, set require_tls: false"
            )
        await smtp.starttls()
        await self._greet(smtp)

    async def _log_in(self, smtp: aiosmtplib.SMTP, login: Login) -> None:
        offered = smtp.server_auth_methods
        if login.secret and "cram-md5" in offered:
            await smtp.auth_crammd5(login.username, login.secret)
        elif login.password and not may_show_a_password(
            str(smtp.get_transport_info("peername")[0]),
            is_encrypted=smtp.get_transport_info("sslcontext") is not None,
        ):
            self._refuse(
                "is not asked for TLS, and the password would be seen on the way; set require_tls: true"
            )
        elif login.password and "plain" in offered:
            answer = await smtp.execute_command(b"AUTH", b"PLAIN", login.plain)
            if answer.code != 235:
                raise aiosmtplib.SMTPAuthenticationError(answer.code, answer.message)
        elif login.password and "login" in offered:
            await smtp.auth_login(login.username, login.password)
        elif not offered:
            self._refuse("offers no login; leave auth_username out, or use its submission port (587 or 465)")
        else:
            ways = ", ".join(offered).upper()
            self._refuse(
                f"offers {ways} to log in; auth_password is for PLAIN and LOGIN, auth_secret for CRAM-MD5"
            )

    def _refuse(self, why: str) -> None:
        self._is_orderly = True
        raise PermanentFailure(f"{self._server} {why}")

    async def _address(self, smtp: aiosmtplib.SMTP, mail: Mail) -> None:
        self._step, encoding, options = "MAIL", "ascii", []
        if smtp.supports_extension("size"):
            options.append(f"SIZE={len(mail.content)}")
        if not mail.is_ascii:
            if not smtp.supports_extension("smtputf8"):
                self._refuse(
                    "takes ASCII addresses only (it does not offer SMTPUTF8); use an address of ASCII "
                    "letters, with the domain in its form that begins with xn--"
                )
            encoding = "utf-8"
            options += ["BODY=8BITMIME", "SMTPUTF8"]  # RFC 6531 asks for both
        await smtp.mail(mail.sender, options=options, encoding=encoding)
        self._step = "RCPT"
        await smtp.rcpt(mail.recipient, encoding=encoding)

    async def _write(self, smtp: aiosmtplib.SMTP, content: bytes) -> str:
        """Write the mail; the library's own way does not say how far it came when the connection is lost."""
        self._step = "DATA"
        answer = await smtp.execute_command(b"DATA")
        if answer.code != 354:
            raise aiosmtplib.SMTPDataError(answer.code, answer.message)
        self._step = "the mail"
        if smtp.protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        smtp.protocol.write(_dotted(content))
        self._is_written = True
        answer = await smtp.protocol.read_response()
        if not 200 <= answer.code < 300:
            raise aiosmtplib.SMTPDataError(answer.code, answer.message)
        self._is_orderly = True
        return self._shown(answer.code, answer.message)

    async def leave(self) -> None:
        """Say goodbye where that makes sense, and let go of the connection in any case."""
        smtp = self._smtp
        if smtp is None:
            return
        if self._is_orderly and smtp.is_connected:
            with suppress(OSError, aiosmtplib.SMTPException):
                async with asyncio.timeout(QUIT_SECONDS):
                    await smtp.quit()
        if smtp.transport is not None:  # abort: TLS would wait for the other side's goodbye
            cast("asyncio.WriteTransport", smtp.transport).abort()
        smtp.close()
        if self._socket is not None:  # a handshake that failed is nobody's transport, and uvloop waits for it
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def refused(self, code: int, message: str) -> ChannelError:
        """Return what an answer means that is not the wanted one."""
        answer = self._shown(code, message)
        if code < 0:
            reason = f"{self._server} answered something that is not SMTP"
            return TemporaryFailure(reason, answer=answer, is_ambiguous=self._is_written)
        self._is_orderly = True
        status = _status(code, message)
        reason = f"{self._server} answered {status} to {self._step}"
        if not 500 <= code < 600:
            return TemporaryFailure(reason, answer=answer)
        advice = _advice(self._step, code, status)
        is_looks = advice in {TOO_LARGE, STEP_ADVICE["the mail"]}  # a few plain lines may pass
        return (MarkupRefused if is_looks else PermanentFailure)(f"{reason}: {advice}", answer=answer)

    def lost(self, error: Exception, seconds: float) -> ChannelError:
        """Return what it means that there was no answer."""
        cause = error if isinstance(error, TimeoutError) else error.__cause__ or error
        match cause:
            case ssl.SSLCertVerificationError():
                return PermanentFailure(
                    f"{self._server}: its TLS certificate is not valid: {cause.verify_message}; have it "
                    "renewed, or set tls_config: ca_file for an authority of your own, server_name for "
                    "another name"
                )
            case ssl.SSLError() if self._step == "the connection" and cause.reason == "WRONG_VERSION_NUMBER":
                return PermanentFailure(
                    f"{self._server} does not speak TLS there; leave force_implicit_tls out for STARTTLS"
                )
        why = _why(cause, f"no answer to {self._step} within {seconds:g} s")
        return TemporaryFailure(f"{self._server}: {why}", is_ambiguous=self._is_written)

    def _shown(self, code: int, message: str) -> str:
        """Return an answer as people may see it: as text, and without our secrets."""
        text = " ".join((f"{code} {message}" if code > 0 else message).split())
        text = text.encode("utf-8", "replace").decode()
        for secret in self._server.login.secrets() if self._server.login else ():
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "[secret]")
        return text[:2048]


def may_show_a_password(address: str, *, is_encrypted: bool) -> bool:
    """Return whether nobody on the way to this address can read what is said."""
    return is_encrypted or ipaddress.ip_address(address.partition("%")[0]).is_loopback


async def _connected(server: Server) -> socket.socket:
    """Return a connection to the first address of the server that answers.

    The host is from routing.yaml, so private addresses are meant; where clouds hand out credentials is
    not allowed all the same. The address that was judged is the one connected to.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is empty or longer than 63 characters
        raise PermanentFailure(f"{server} is no name that can be resolved; check `smarthost`") from None
    allowed = [entry for entry in found if refusal(str(entry[4][0]), private_allowed=True) is None]
    if not allowed:
        address = str(found[0][4][0])
        raise PermanentFailure(f"{server} is {address}, {refusal(address, private_allowed=True)}")
    for entry in allowed[:-1]:
        with suppress(OSError):  # TimeoutError is one; the last address speaks for all
            async with asyncio.timeout(CONNECT_SECONDS):
                return await _connected_to(entry)
    return await _connected_to(allowed[-1])


async def _connected_to(entry: Any) -> socket.socket:
    family, kind, protocol, _, address = entry
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)  # noqa: FBT003 - its only parameter
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


def tls_context(tls: TlsConfig) -> ssl.SSLContext:
    """Return how to speak TLS; files are read again once they have changed."""
    files = [file for file in (tls.ca_file, tls.cert_file, tls.key_file) if file]
    try:
        return _context(tls, tuple(Path(file).stat().st_mtime_ns for file in files))
    except ssl.SSLError as error:
        named = " and ".join(files)
        raise PermanentFailure(f"tls_config: {named} cannot be used: {error.reason or 'not PEM'}") from None
    except OSError as error:
        raise PermanentFailure(f"tls_config: {error.filename} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=32)  # the system's authorities take 10 ms to read
def _context(tls: TlsConfig, _changed_at: tuple[int, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.min_version == "TLS13" else ssl.TLSVersion.TLSv1_2
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def _dotted(content: bytes) -> bytes:
    """Return the mail as DATA wants it: CRLF, a second dot before a leading one, and the end."""
    lines: Iterable[bytes] = re.split(rb"\r\n|\r|\n", content.removesuffix(b"\r\n"))
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"


def _status(code: int, message: str) -> str:
    found = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", message)
    return f"{code} {found.group()}" if found else str(code)


def _advice(step: str, code: int, status: str) -> str:
    enhanced = status.partition(" ")[2]
    if code == 552 and not enhanced:  # RFC 5321: exceeded storage allocation, the mailbox's or the mail's
        enhanced = "5.2.2" if step == "RCPT" else "5.3.4"
    if code == 530 and enhanced not in ADVICE:
        enhanced = "5.7.0"
    return ADVICE.get(enhanced) or STEP_ADVICE[step]


def _why(cause: BaseException, silence: str) -> str:
    """Return what went wrong with a connection, in words that hold no secret."""
    match cause:
        case TimeoutError():
            return silence
        case ssl.SSLError():
            return f"TLS failed: {cause.reason or 'no common ground'}"
        case socket.gaierror():
            return "its name cannot be resolved"
        case ConnectionRefusedError():
            return "connection refused"
        case aiosmtplib.SMTPServerDisconnected():
            return "it closed the connection"
        case ConnectionResetError() | BrokenPipeError():
            return "connection reset"
        case OSError():
            return cause.strerror or "connection failed"
        case _:
            return "the exchange failed"
