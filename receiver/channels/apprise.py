"""How is an incident told through apprise, which knows a hundred and more services by URL?

apprise knows whether it delivered something, and says only in its log why it did not. So its log is read
here; it goes no further, because apprise writes URLs into it, which are secrets.
"""

import asyncio
import hashlib
import logging
import re
import sys
import warnings
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from receiver.channels.apprise_guard import Guard, clean, guarded, judge, shown
from receiver.channels.base import (
    DEFAULT_TIMEOUT,
    ChannelConfig,
    ChannelError,
    Message,
    PermanentFailure,
    Sent,
    TemporaryFailure,
    Timeout,
    exactly_one,
    read_secret,
)
from receiver.channels.client import MAX_RETRY_AFTER, TRANSIENT, Client
from receiver.clock import Clock
from receiver.policy.incident import MessageEvent
from receiver.policy.throttle import Limit

if TYPE_CHECKING:
    from apprise import NotifyBase

INSTALL = "apprise is not installed; install it with: pip install 'tocsin[apprise]'"
URLS = "https://appriseit.com/services/"

STATUS = re.compile(r"error=(\d{3})\b")  # how apprise's services log an HTTP status that is not 2xx
BROKEN = re.compile(r"Socket Exception|SMTP Exception|[Cc]onnection error")
ANSWERED = "Response Details"  # what follows is the service's
RETRY_AFTER = re.compile(r'"retry_after":\s*(\d+(?:\.\d+)?)')  # headers are lost in apprise, bodies are not
UNREACHED = {  # what requests and urllib3 say when nothing was written, and what we say
    "Connection refused": "connection refused",
    "Name or service not known": "its name cannot be resolved",
    "Temporary failure in name resolution": "its name cannot be resolved",
    "Failed to resolve": "its name cannot be resolved",
    "nodename nor servname": "its name cannot be resolved",
    "CERTIFICATE_VERIFY_FAILED": "its TLS certificate is not valid",
    "SSLError": "TLS failed",
    "SSL:": "TLS failed",
    "ConnectTimeout": "no connection in time",
    "Connect timeout": "no connection in time",
    "connect timeout": "no connection in time",
    "Failed to establish a new connection": "no connection",
}
TYPES = {"critical": "failure", "page": "failure", "error": "failure", "warning": "warning"}


class AppriseConfig(ChannelConfig):
    """An entry of `apprise_configs`: one URL, one destination."""

    url: SecretStr | None = None
    url_file: str | None = None  # read at every send
    name: str | None = Field(default=None, pattern=r"^[^\s#]+$")  # shown instead of the service
    timeout: Timeout = DEFAULT_TIMEOUT
    allow_private_addresses: bool = False  # alerts hold what others wrote; they must not reach inside

    @model_validator(mode="after")
    def _usable(self) -> Self:
        exactly_one(url=self.url, url_file=self.url_file)
        try:
            _apprise()
            if self.url is not None:
                url = self.url.get_secret_value()
                with guarded(Guard(url, private_allowed=self.allow_private_addresses)):
                    _service(url, self.timeout.total_seconds())
        except PermanentFailure as failure:
            raise ValueError(failure.reason) from None
        return self

    @property
    def destination(self) -> str:
        """The service or its name, and a digest: two URLs of one service are two destinations."""
        if self.url is None:
            return f"apprise {self.name} {self.url_file}" if self.name else f"apprise {self.url_file}"
        url = self.url.get_secret_value()
        return f"apprise {self.name or shown(url)}#{hashlib.sha256(url.encode()).hexdigest()[:8]}"

    @property
    def service(self) -> str:
        """The service and its host: what refuses one topic for being too much refuses the others, too."""
        return f"apprise {shown(self.url.get_secret_value())}" if self.url else self.destination


class Apprise:
    """Hands messages to apprise, as plain text; none can be edited, so each stands alone."""

    Config: ClassVar[type[ChannelConfig]] = AppriseConfig
    needs_templates: ClassVar[bool] = True
    takes_digests: ClassVar[bool] = True
    destination_limit: ClassVar[Limit | None] = Limit(12, timedelta(minutes=1), 10)  # ntfy.sh: one each 5 s
    service_limit: ClassVar[Limit | None] = Limit(60, timedelta(minutes=1), 30)

    def __init__(self, client: Client, clock: Clock) -> None:
        """Take what every channel is given; apprise has its own clients."""

    async def send(self, to: AppriseConfig, message: Message, earlier: Sent | None) -> Sent:  # noqa: ARG002 - it cannot edit
        """Send the message; what changed comes first, for a push shows little more."""
        url = read_secret(to.url, to.url_file)
        seconds = to.timeout.total_seconds()
        guard = Guard(url, private_allowed=to.allow_private_addresses)
        try:
            with guarded(guard):
                async with asyncio.timeout(seconds):
                    service = await asyncio.to_thread(_service, url, seconds)
                    heard = await _send(service, message)
        except TimeoutError:
            reason = f"no answer through {shown(url)} within {seconds:g} s"
            raise TemporaryFailure(reason, is_ambiguous=guard.has_connected) from None
        if heard.has_failed:
            raise _failure(heard, guard)
        return Sent(answer=heard.said[:2048])

    async def aclose(self) -> None:
        """Leave nothing open: apprise opens a connection for each message."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What apprise said about one message."""

    has_failed: bool
    said: str  # its own words for people
    faults: str  # what the network said
    answer: str  # what the service said


async def _send(service: "NotifyBase", message: Message) -> Heard:
    apprise = _apprise()
    sender = apprise.Apprise(asset=service.asset)
    sender.add(service)
    body = "\n".join(part for part in (message.reply, message.text) if part)
    result = await sender.async_notify(
        title=message.title,
        body=body or message.title,
        notify_type=_type(message),
        body_format=apprise.NotifyFormat.TEXT,  # apprise escapes it for services that speak HTML or Markdown
        log_level=logging.DEBUG,
    )
    entries = [entry for one in result.results for entry in one.logs()]
    hints = [
        entry.message for entry in entries if entry.level == "DEBUG"
    ]  # payloads among them: others' words
    for one in result.results:
        one.close()
    return Heard(
        has_failed=result.status != apprise.AppriseResultStatus.SUCCESS,
        said="\n".join(entry.message for entry in entries if entry.level not in {"DEBUG", "TRACE"}),
        faults="\n".join(hint for hint in hints if BROKEN.match(hint)),
        answer="\n".join(hint for hint in hints if hint.startswith(ANSWERED)),
    )


def _type(message: Message) -> str:
    if message.event is MessageEvent.RESOLVED:
        return "success"
    if message.event is MessageEvent.ACKNOWLEDGED:
        return "info"
    return TYPES.get(message.facts["incident"]["severity"], "info")


def _failure(heard: Heard, guard: Guard) -> ChannelError:
    """Return what apprise's log means; its result knows only that it failed."""
    name, answer = shown(guard.url), f"{heard.said}\n{heard.answer}".strip()
    if guard.refusal and not guard.has_connected:
        return PermanentFailure(f"{name}: {guard.refusal}")
    statuses = STATUS.findall(heard.said)
    if statuses:
        status = int(statuses[-1])
        if status >= 500 or status in TRANSIENT:
            asked = RETRY_AFTER.search(heard.answer)
            wait = min(float(asked.group(1)), MAX_RETRY_AFTER) if asked else None
            return TemporaryFailure(f"{name} answered {status}", answer=answer, retry_after=wait)
        advice = ", a redirect; redirects are not followed" if 300 <= status < 400 else ""
        return PermanentFailure(f"{name} answered {status}{advice}", answer=answer)
    for sign, reason in UNREACHED.items():
        if sign in heard.faults:
            return TemporaryFailure(f"{name}: {reason}", answer=answer)
    if heard.faults or BROKEN.search(heard.said):
        reason = f"{name}: the connection broke, or no answer came in time"
        return TemporaryFailure(reason, answer=answer, is_ambiguous=guard.has_connected)
    return TemporaryFailure(f"{name}: apprise could not deliver it", answer=answer)


@cache
def _apprise() -> ModuleType:
    """Return apprise, imported when the first destination needs it: it takes two seconds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what apprise imports is deprecated is not ours to mend
            import apprise  # noqa: PLC0415 - an extra, and slow

            apprise.Apprise.instantiate("json://localhost")  # the services are imported with the first URL
    except ImportError:
        raise PermanentFailure(INSTALL) from None
    log = logging.getLogger("apprise")
    log.setLevel(logging.DEBUG)  # the reason of a failure is in its debug lines
    log.propagate = False  # so are URLs and payloads; they are read here, and go no further
    log.addFilter(clean)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its debug lines hold paths, which are secrets
    sys.addaudithook(judge)
    return apprise


def _service(url: str, seconds: float) -> "NotifyBase":
    """Return apprise's object for a URL, with our rules in place of its defaults."""
    apprise = _apprise()
    scheme = url.partition("://")[0] if re.match(r"[A-Za-z0-9]+://", url) else ""
    if not scheme:
        raise PermanentFailure(
            "it is not an apprise URL; write it whole, beginning with the service: ntfy://…"
        )
    asset = apprise.AppriseAsset(
        app_id="Tocsin",
        app_desc="Tocsin",
        image_url_mask="",  # phones would fetch it from apprise's home
        image_url_logo="",
        http_redirects=False,
        secure_logging=True,
        storage_mode="memory",
        allow_templates=False,  # labels hold braces
        service_timeout=0,  # the timeout is ours
        pgp_autogen=False,  # it would write keys
        pem_autogen=False,
    )
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        reason = f"apprise cannot use this {scheme} URL; see {URLS} for how it is written"
        raise PermanentFailure(reason)
    service.socket_connect_timeout = seconds / 3  # before the whole ends: then nothing was written, surely
    service.socket_read_timeout = seconds
    service.request_rate_per_sec = 0.0  # it would sleep; the outbox keeps to the limits
    service.retry = 0  # two loops multiply; the long one is the outbox's
    if "overflow=" not in url:
        service.overflow_mode = apprise.OverflowMode.TRUNCATE  # refused, or many pushes, otherwise
    checked: NotifyBase = service
    return checked
