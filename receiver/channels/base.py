"""What is a channel told, what does it answer, and how may it fail?"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from receiver.policy.durations import Duration
from receiver.policy.incident import MessageEvent, Reason, Verb
from receiver.policy.record import Record
from receiver.policy.throttle import Limit

DEFAULT_TIMEOUT = timedelta(seconds=10)  # a healthy service answers within one
MAX_SNOOZE = timedelta(days=7)  # our buttons say less; what they say can be made up
MAX_TIMEOUT = timedelta(seconds=30)  # sent twice, as markup and plainly, it still ends within a lease


SUCCEEDED = "succeeded"  # in `Sent.ids["state"]`: the service has an earlier incident of this key, now over


def _bounded(timeout: timedelta) -> timedelta:
    if timeout > MAX_TIMEOUT:
        raise ValueError("a timeout may be at most 30s; a longer wait is the outbox's")
    return timeout or DEFAULT_TIMEOUT  # Alertmanager's 0s means its own default


Timeout = Annotated[Duration, AfterValidator(_bounded)]


def _web_address(url: SecretStr) -> SecretStr:
    if not is_web_address(url.get_secret_value()):
        raise ValueError("it is not a URL; write it whole, beginning with https:// or http://")
    return url


SecretUrl = Annotated[SecretStr, AfterValidator(_web_address)]  # whoever knows a webhook's URL can post to it


def is_web_address(url: str) -> bool:
    """Return whether something can be posted there."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def exactly_one(**given: object) -> None:
    """Refuse a configuration that names none or several of the keys that exclude each other."""
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        found = " and ".join(named) or "none"
        raise ValueError(f"exactly one of {', '.join(given)} is needed, found {found}")


def _within_a_day(per: timedelta) -> timedelta:
    if not timedelta(milliseconds=1) <= per <= timedelta(days=1):
        raise ValueError("must be between 1ms and 1d; say how many messages that is with `count`")
    return per


class RateLimit(Record):
    """How often one destination may be told; takes the place of what its service publishes."""

    count: Annotated[int, Field(ge=1, le=1_000_000)]  # messages
    per: Annotated[Duration, AfterValidator(_within_a_day)] = timedelta(seconds=1)
    burst: Annotated[int, Field(ge=1, le=10_000)] = 1  # messages at once, before the rate counts

    @property
    def limit(self) -> Limit:
        """The limit, as buckets know it."""
        return Limit(self.count, self.per, self.burst)


class ChannelConfig(Record):
    """What every `*_configs` entry of a receiver has."""

    keeps_state: ClassVar[bool] = False  # the service has one incident for a key, and ignores unknown ends
    edit_costs: ClassVar[int] = 0  # new messages that an edit counts as; 0: nothing here can be edited
    send_resolved: bool = True  # tell this destination when the incident resolves
    rate_limit: RateLimit | None = None  # None: what the service publishes

    @property
    @abstractmethod
    def destination(self) -> str:
        """The channel kind and address, e.g. `slack #ops`; the same address is told once. Never a secret."""

    @property
    def service(self) -> str:
        """What shares a rate limit and fails together, e.g. `slack`. Never a secret."""
        return self.destination.split(" ", 1)[0]

    def parts(self) -> "tuple[ChannelConfig, ...]":
        """Return one config for each destination that this entry stands for."""
        return (self,)


@dataclass(frozen=True, slots=True)
class Message:
    """One finished message: a channel renders nothing and looks nothing up."""

    event: MessageEvent
    reason: Reason
    dedup_key: str  # the same for every message of one conversation
    notification_id: int  # the same for every attempt of one notification
    title: str  # one line, fits a lock screen; not escaped
    text: str  # the whole current state, in the channel's own markup (or plain, see `is_plain`)
    reply: str | None  # what changed, one line in the channel's markup; None when an edit says enough
    facts: Mapping[str, Any]  # the incident as plain data, for channels that send data
    is_plain: bool = False  # `text` and `reply` hold no markup and must be escaped by the channel
    alternative: str | None = None  # the text once more without markup, where templates make it


@dataclass(frozen=True, slots=True)
class Sent:
    """What the service told us about a message it took."""

    ids: Mapping[str, str] = field(default_factory=dict)  # the service's ids: edit or reply to them later
    answer: str = ""  # what the service said, first 2 kB, without secrets


class ChannelError(Exception):
    """The message did not arrive; `reason` is for people, `answer` is what the service said."""

    def __init__(self, reason: str, *, answer: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer[:2048]


class TemporaryFailure(ChannelError):
    """Trying again later may work."""

    def __init__(
        self,
        reason: str,
        *,
        answer: str = "",
        retry_after: float | None = None,
        is_ambiguous: bool = False,
        is_ours: bool = False,
    ) -> None:
        super().__init__(reason, answer=answer)
        self.retry_after = retry_after  # seconds the service asked us to wait
        self.is_ambiguous = is_ambiguous  # it may have arrived, and sent again it would be told twice
        self.is_ours = is_ours  # the service was not even asked, so it says nothing about the service


class PermanentFailure(ChannelError):
    """Trying again cannot work: a person must change something."""


class MarkupRefused(PermanentFailure):
    """The service refuses this message's markup; the same text, plain, may pass."""


def read_secret(secret: SecretStr | None, file: str | None) -> str:
    """Return a secret from the configuration, or from its file as it is now: files are rotated."""
    if secret is not None:
        return secret.get_secret_value()
    if file is None:
        return ""
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise PermanentFailure(f"the secret file {file} cannot be read: {why}") from None
    if not text:
        raise PermanentFailure(f"the secret file {file} is empty")
    return text


class Channel(Protocol):
    """A way of speaking. It does not render, route, retry, sleep, log secrets or touch the database."""

    Config: ClassVar[type[ChannelConfig]]  # one entry of this kind's `*_configs`
    needs_templates: ClassVar[bool]  # whether it sends words; else it sends the facts as data
    takes_digests: ClassVar[bool]  # whether in a storm many incidents may become one message
    destination_limit: ClassVar[Limit | None]  # what one address takes; the published limit, if there is one
    service_limit: ClassVar[Limit | None]  # what the service takes from us altogether

    async def send(self, to: Any, message: Message, earlier: Sent | None) -> Sent:
        """Send `message` to `to` (this channel's config record), editing or replying to `earlier`.

        Errors: TemporaryFailure, PermanentFailure, MarkupRefused; anything else is a bug.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Inbound:
    """What a service says to us, as it came."""

    headers: Mapping[str, str]  # names in lower case
    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Heard:
    """What a person answered through a channel: a button, or something done in the service itself."""

    verb: Verb
    incident_id: int | None  # None: `dedup_key` says which
    dedup_key: str | None
    contact: tuple[str, str]  # the channel kind and the person's id there, e.g. ("telegram", "4711")
    person: str  # what the service calls the person
    key: str  # of the service's event; said twice it counts once
    text: str = ""  # a note, or why
    lasts: timedelta | None = None  # of a snooze
    said_at: datetime | None = None  # where the service says so: news that come late may be overtaken
    reply_to: Mapping[str, str] = field(default_factory=dict)  # what the channel needs to confirm it


class Forged(Exception):
    """What came does not show that it is from the service; the text says why, for the log."""


@runtime_checkable
class Hears(Protocol):
    """A channel through which people answer."""

    def hear(self, inbound: Inbound, configs: Sequence[Any]) -> list[Heard]:
        """Return what people said; nothing for events that say nothing to us.

        The signature is checked on the raw body, against each of this kind's `configs`. Errors: Forged.
        """
        ...

    async def confirm(self, heard: Heard, said: str, configs: Sequence[Any]) -> None:
        """Show the person what came of it; a failure is logged, for what was said is done already."""
        ...


def button_value(verb: Verb, incident_id: int, lasts: timedelta | None = None) -> str:
    """Return what a button says when it is pressed, e.g. `acknowledge:41`, `snooze:41:3600`."""
    return f"{verb}:{incident_id}" + (f":{lasts // timedelta(seconds=1)}" if lasts else "")


def read_button(value: str) -> tuple[Verb, int, timedelta | None] | None:
    """Return what a pressed button means, None where it is not one of ours."""
    verb, _, rest = value.partition(":")
    incident_id, _, seconds = rest.partition(":")
    if verb not in set(Verb) or not _is_number(incident_id) or (seconds and not _is_number(seconds)):
        return None
    if seconds and int(seconds) > MAX_SNOOZE.total_seconds():
        return None
    return Verb(verb), int(incident_id), timedelta(seconds=int(seconds)) if seconds else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15
