"""How is an incident told by e-mail, and kept together as one thread?"""

import asyncio
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses
from typing import Annotated, ClassVar, NamedTuple, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from receiver.channels.base import (
    DEFAULT_TIMEOUT,
    ChannelConfig,
    MarkupRefused,
    Message,
    PermanentFailure,
    Sent,
    Timeout,
    read_secret,
)
from receiver.channels.client import Client
from receiver.channels.smtp import Login, Mail, Security, Server, TlsConfig, hand_over
from receiver.clock import Clock
from receiver.policy.throttle import Limit

MAX_CONNECTIONS = 3  # to one server at once; hosted mail allows as few for one account
TLS_PORT = 465  # TLS from the first byte there (RFC 8314); elsewhere STARTTLS
MAX_ID_DOMAIN = 45  # a longer Message-ID would be folded, and a folded one joins no thread

# A mailbox without quotes and address literals: nobody is paged at those.
MAILBOX = re.compile(r"[^\s<>()\[\]@,;:\\\"]{1,64}@[^\s<>()\[\]@,;:\\\"]{1,255}")
HEADER_NAME = re.compile(r"[!-9;-~]{1,60}")
OURS = {  # headers that make the mail what it is; the rest may be set
    *("from", "to", "cc", "bcc", "subject", "date", "message-id", "in-reply-to", "references"),
    *("mime-version", "content-type", "content-transfer-encoding", "content-disposition", "return-path"),
}
UNSENT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, half characters
UNSEEN = {"Cc", "Cs", "Zl", "Zp"}  # control characters, lone surrogates, foreign line ends


class Mailbox(NamedTuple):
    """An address, and whose it is."""

    name: str
    address: str

    def __str__(self) -> str:
        quoted = self.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{self.address}>' if self.name else self.address

    @property
    def header(self) -> Address:
        """As a header holds it, which encodes what is not ASCII."""
        local, _, domain = self.address.rpartition("@")
        return Address(one_line(self.name), local, domain)


def mailboxes(text: str) -> list[Mailbox]:
    """Return the addresses of a list such as `Ana <ana@example.org>, bo@example.org`, each once."""
    if any(unicodedata.category(c) in UNSEEN for c in text):
        raise ValueError("it is no list of addresses: it has a line break or control character in it")
    found: dict[str, Mailbox] = {}
    for name, address in getaddresses([text]):
        if not MAILBOX.fullmatch(address):
            shown = f'"{address}"' if address else "an entry"
            raise ValueError(f"{shown} is no address; write ana@example.org or Ana <ana@example.org>")
        local, _, domain = address.rpartition("@")
        found.setdefault(f"{local}@{domain.lower()}", Mailbox(name, f"{local}@{domain.lower()}"))
    if not found:
        raise ValueError("there is no address in it; write ana@example.org")
    return list(found.values())


def _some(text: str) -> str:
    mailboxes(text)
    return text


def _one(text: str) -> str:
    if len(mailboxes(text)) > 1:
        raise ValueError("it holds several addresses; mail comes from one")
    return text


def _host_and_port(text: str) -> str:
    found = re.fullmatch(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})", text)
    if not found or not 0 < int(found[1]) < 65536:
        raise ValueError("must be a host and a port, such as mail.example.org:587")
    return text


def _extra_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f'"{name}" cannot be the name of a header')
        if name.lower() in OURS:
            raise ValueError(
                f"{name} is made from the incident and keeps the thread together; remove it here"
            )
        if "{{" in value:
            raise ValueError(f"{name}: values are sent as they are, Go templates are not run; write the text")
        if any(unicodedata.category(c) in UNSEEN for c in value):
            raise ValueError(f"{name} has a line break or control character in it; write it on one line")
    return headers


Headers = Annotated[dict[str, str], AfterValidator(_extra_headers)]


class EmailConfig(ChannelConfig):
    """An entry of `email_configs`."""

    to: Annotated[str, AfterValidator(_some)]  # several are several destinations
    sender: Annotated[str, AfterValidator(_one)] = Field(alias="from")
    smarthost: Annotated[str, AfterValidator(_host_and_port)]
    hello: str = Field(default="localhost", pattern=r"^[A-Za-z0-9.:\[\]_-]+$")  # Alertmanager's default
    auth_username: str | None = None
    auth_password: SecretStr | None = None
    auth_password_file: str | None = None  # read at every send
    auth_secret: SecretStr | None = None  # for CRAM-MD5
    auth_secret_file: str | None = None  # read at every send
    auth_identity: str = ""
    require_tls: bool = True
    force_implicit_tls: bool | None = None  # None: on port 465
    tls_config: TlsConfig = TlsConfig()
    headers: Headers = Field(default_factory=dict)
    timeout: Timeout = DEFAULT_TIMEOUT

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for word in ("auth_password", "auth_secret"):
            if getattr(self, word) is not None and getattr(self, f"{word}_file") is not None:
                raise ValueError(f"{word} and {word}_file exclude each other; keep one")
        secrets = (self.auth_password, self.auth_password_file, self.auth_secret, self.auth_secret_file)
        if bool(self.auth_username) != any(secret is not None for secret in secrets):
            raise ValueError(
                "a login is auth_username and auth_password(_file) or auth_secret(_file); keep both or none"
            )
        return self

    @property
    def destination(self) -> str:
        """The address."""
        return f"email {', '.join(mailbox.address for mailbox in mailboxes(self.to))}"

    @property
    def service(self) -> str:
        """The server."""
        return f"email {self.smarthost}"

    def parts(self) -> "tuple[EmailConfig, ...]":
        """Return one config for each address, so that one refused address costs the others nothing."""
        return tuple(self.model_copy(update={"to": str(mailbox)}) for mailbox in mailboxes(self.to))

    @property
    def security(self) -> Security:
        """How the connection is kept private."""
        port = int(self.smarthost.rpartition(":")[2])
        is_tls_port = port == TLS_PORT if self.force_implicit_tls is None else self.force_implicit_tls
        if is_tls_port:
            return Security.TLS
        return Security.STARTTLS if self.require_tls else Security.NONE

    def server(self) -> Server:
        """Return where to hand mails over, with the secrets as their files hold them now."""
        host, _, port = self.smarthost.rpartition(":")
        login = None
        if self.auth_username:
            password = read_secret(self.auth_password, self.auth_password_file)
            secret = read_secret(self.auth_secret, self.auth_secret_file)
            login = Login(self.auth_username, password, secret, self.auth_identity)
        return Server(host.strip("[]"), int(port), self.hello, self.security, self.tls_config, login)


class Email:
    """Hands mails to a server, one connection for each."""

    Config: ClassVar[type[ChannelConfig]] = EmailConfig
    needs_templates: ClassVar[bool] = True
    takes_digests: ClassVar[bool] = True
    # Nothing is published for SMTP as such. A person reads no more than a mail every two seconds, and a relay
    # that sees a flood delays or blocks its sender for hours; hosted mail stops an account at 30 a minute.
    destination_limit: ClassVar[Limit | None] = Limit(30, timedelta(minutes=1), burst=20)
    service_limit: ClassVar[Limit | None] = Limit(120, timedelta(minutes=1), burst=60)

    def __init__(self, client: Client, clock: Clock) -> None:  # noqa: ARG002 - mail does not go over HTTP
        self._clock = clock
        self._slots: dict[str, asyncio.Semaphore] = {}

    async def send(self, to: EmailConfig, message: Message, earlier: Sent | None) -> Sent:
        """Send the message, as an answer to the first one of its thread if there is one."""
        [recipient] = mailboxes(to.to)
        [sender] = mailboxes(to.sender)
        mail = composed(to, message, earlier, self._clock.now())
        wire = policy.SMTP if sender.address.isascii() and recipient.address.isascii() else policy.SMTPUTF8
        slots = self._slots.setdefault(to.smarthost, asyncio.Semaphore(MAX_CONNECTIONS))
        try:
            answer = await hand_over(
                to.server(),
                Mail(sender.address, recipient.address, mail.as_bytes(policy=wire)),
                seconds=to.timeout.total_seconds(),
                slots=slots,
            )
        except MarkupRefused as failure:
            if message.is_plain:  # nothing simpler is left to try
                raise PermanentFailure(failure.reason, answer=failure.answer) from None
            raise
        ids = {"message_id": str(mail["Message-ID"]), "subject": str(mail["Subject"])}
        return Sent(ids=earlier.ids if earlier is not None and earlier.ids else ids, answer=answer)

    async def aclose(self) -> None:
        """Nothing is kept open."""


def composed(to: EmailConfig, message: Message, earlier: Sent | None, now: datetime) -> EmailMessage:
    """Return the mail; programs keep a thread together by References, people and Gmail by the subject."""
    [recipient], [sender] = mailboxes(to.to), mailboxes(to.sender)
    first = earlier.ids if earlier is not None else {}
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = sender.header
    mail["To"] = recipient.header
    mail["Subject"] = one_line(f"Re: {first['subject']}" if "subject" in first else message.title)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = message_id(sender, recipient, message)
    if "message_id" in first:
        mail["In-Reply-To"] = mail["References"] = one_line(first["message_id"])
    for name, value in {**_automatic(message), **to.headers}.items():
        del mail[name]  # a name in other letters is the same header
        mail[name] = one_line(value)
    text = message.text if message.is_plain else message.alternative or ""
    mail.set_content(_body(f"{message.title}\n\n{text}"), cte="quoted-printable")
    if not message.is_plain:
        mail.add_alternative(_body(message.text), subtype="html", cte="quoted-printable")
    return mail


def message_id(sender: Mailbox, recipient: Mailbox, message: Message) -> str:
    """Return the same id for every attempt, so that a mail that arrives twice is shown once.

    Ids of notifications begin anew with a new database, so the incident's beginning goes in as well.
    """
    about = (message.dedup_key, message.notification_id, message.facts["incident"]["started_at"])
    digest = hashlib.sha256("\n".join(map(str, (*about, recipient.address))).encode()).hexdigest()
    domain = sender.address.rpartition("@")[2]
    usable = domain.isascii() and len(domain) <= MAX_ID_DOMAIN
    return f"<{digest[:24]}@{domain if usable else 'tocsin.invalid'}>"


def one_line(text: str) -> str:
    """Return the text as a header may hold it, whatever it was.

    `=?` begins an encoded word, and the standard library decodes the ones in a header before it writes
    the header: `=?utf-8?q?=0D=0ABcc:…?=` would become a line of its own.
    """
    visible = "".join(" " if unicodedata.category(c) in UNSEEN else c for c in text)
    return " ".join(visible.split()).replace("=?", "= ?")


def _automatic(message: Message) -> Mapping[str, str]:
    """Return the headers for programs: no answer from an absence note, and something to sort by."""
    incident = message.facts["incident"]
    return {
        "Auto-Submitted": "auto-generated",  # RFC 3834
        "X-Auto-Response-Suppress": "OOF, AutoReply",  # Exchange's word; `All` would stop bounces too
        "X-Tocsin-Incident": str(incident["id"]),
        "X-Tocsin-Event": message.event.value,
        "X-Tocsin-Severity": str(incident["severity"])[:100],
    }


def _body(text: str) -> str:
    """Return the text without what a mail cannot hold; a NUL ends it for some programs."""
    return UNSENT.sub("", text)
