"""How does PagerDuty page people about an incident, and how do we hear what they do there?"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import structlog
from pydantic import AfterValidator, Field, SecretStr, model_validator

from receiver.channels.base import (
    DEFAULT_TIMEOUT,
    SUCCEEDED,
    ChannelConfig,
    Heard,
    Inbound,
    Message,
    PermanentFailure,
    Sent,
    TemporaryFailure,
    Timeout,
    exactly_one,
    is_web_address,
    read_secret,
)
from receiver.channels.client import Answer, Client, check, origin_of
from receiver.channels.pagerduty_answers import heard, verify
from receiver.channels.words import (
    Plain,
    Size,
    alert_text,
    as_json,
    as_mapping,
    dedup_key,
    digest,
    fitting,
    is_link,
    links,
    one_line,
    pairs,
    short,
    summary,
    where,
)
from receiver.clock import Clock
from receiver.policy.incident import MessageEvent, Reason
from receiver.policy.record import Record
from receiver.policy.throttle import Limit

log = structlog.get_logger()

ENQUEUE = "https://events.pagerduty.com/v2/enqueue"
MAX_EVENT = 512_000  # bytes; "512 KB", and Alertmanager's reading of it
MAX_SUMMARY = 1024
MAX_FIELD = 255  # source, component, group, class: no limit is published; this is a readable one
KEY_LENGTH = 32

Severity = Literal["critical", "error", "warning", "info"]
SEVERITIES: dict[str, Severity] = {
    "critical": "critical",
    "page": "critical",
    "error": "error",
    "warning": "warning",
    "info": "info",
    "none": "info",
}
USUAL: Severity = "error"  # Alertmanager's default

PAGED, TAKEN, OVER, UNTOLD = "triggered", "acknowledged", "resolved", "untold"  # what PagerDuty was told last
MAYBE = "maybe"  # acknowledged, if PagerDuty has it at all
NEWS = {Reason.NEW_ALERTS, Reason.MORE_SEVERE}  # what whoever is on it should read in the log
QUIET = {Reason.SOME_RESOLVED, Reason.NOTE, Reason.SNOOZED}  # asks nobody to act; it would only fill the log


def _not_empty(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("is empty, and an empty secret proves nothing; copy it from PagerDuty")
    return secret


def _endpoint(url: str) -> str:
    if not is_web_address(url):
        raise ValueError("it is not a URL; write it whole, beginning with https://")
    return url


class Link(Record):
    """A link that every event shows."""

    href: Plain
    text: Plain = ""


class Image(Record):
    """A picture that every event shows."""

    src: Plain  # PagerDuty shows only https
    href: Plain = ""
    alt: Plain = ""


class PagerDutyConfig(ChannelConfig):
    """An entry of `pagerduty_configs`."""

    keeps_state: ClassVar[bool] = True
    routing_key: SecretStr | None = None
    routing_key_file: str | None = None  # read at every send
    url: Annotated[str, AfterValidator(_endpoint)] = ENQUEUE
    client: Plain = "Tocsin"
    client_url: Plain | None = None  # None: the page of the incident
    severity: Severity | None = None  # None: by `severities`
    severities: dict[str, Severity] = Field(default_factory=dict)  # ours to theirs, before the usual
    class_: Plain | None = Field(default=None, alias="class")
    component: Plain | None = None
    group: Plain | None = None
    source: Plain | None = None
    details: dict[str, Plain] = Field(default_factory=dict)
    links: tuple[Link, ...] = ()
    images: tuple[Image, ...] = ()
    webhook_secret: Annotated[SecretStr, AfterValidator(_not_empty)] | None = None
    webhook_secret_file: str | None = None  # read for every webhook
    webhook_secrets: tuple[Annotated[SecretStr, AfterValidator(_not_empty)], ...] = ()  # of several webhooks
    webhook_secret_files: tuple[str, ...] = ()
    timeout: Timeout = DEFAULT_TIMEOUT
    allow_private_addresses: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        exactly_one(routing_key=self.routing_key, routing_key_file=self.routing_key_file)
        return self

    @property
    def destination(self) -> str:
        """The file that holds the routing key, or a digest of it; with the host where it is not the usual."""
        key = self.routing_key_file or f"#{digest(read_secret(self.routing_key, None))}"
        return f"{self.service} {key}"

    @property
    def service(self) -> str:
        """PagerDuty's regions fail apart."""
        host = urlsplit(self.url).netloc.rpartition("@")[2]
        return "pagerduty" if self.url == ENQUEUE else f"pagerduty {host}"


class PagerDuty:
    """Sends events (v2) and hears webhooks (v3)."""

    Config: ClassVar[type[ChannelConfig]] = PagerDutyConfig
    needs_templates: ClassVar[bool] = False
    takes_digests: ClassVar[bool] = False
    # PagerDuty adjusts its limit and publishes no number; its staff named 120 a minute for each key
    # (community.pagerduty.com). The burst and the rate together stay below it in every minute.
    destination_limit: ClassVar[Limit | None] = Limit(100, timedelta(minutes=1), burst=20)
    service_limit: ClassVar[Limit | None] = None

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def send(self, to: PagerDutyConfig, message: Message, earlier: Sent | None) -> Sent:
        """Send the events that bring PagerDuty up to date; often one, sometimes none."""
        key = read_secret(to.routing_key, to.routing_key_file)
        if len(key) != KEY_LENGTH or not (key.isascii() and key.isalnum()):
            raise PermanentFailure(
                f"the routing key is not {KEY_LENGTH} letters and digits; copy the integration key of an"
                " Events API v2 integration (a service_key of Events v1 has the same length)"
            )
        name = dedup_key(message, earlier)
        actions, state = events_for(message, earlier.ids.get("state", PAGED) if earlier else UNTOLD)
        said = [await self._enqueue(to, event(to, message, key, name, action), key) for action in actions]
        answer = "; ".join(said) or "nothing was sent: it asks nobody in PagerDuty to act"
        return Sent(ids={"dedup_key": name, "state": state}, answer=answer[:2048])

    async def aclose(self) -> None:
        """Leave the client open: other channels share it."""

    async def _enqueue(self, to: PagerDutyConfig, content: bytes, key: str) -> str:
        answer = await self._client.post(
            to.url,
            content=content,
            headers={"Content-Type": "application/json"},
            timeout=to.timeout.total_seconds(),
            private_allowed=to.allow_private_addresses,
            secrets=[key],
        )
        said = as_mapping(answer.text)
        if answer.status == 400:
            raise PermanentFailure(f"PagerDuty answered 400: {_complaint(said)}", answer=answer.text)
        check(answer, url=to.url, now=self._clock.now())
        _check_taken(answer, said, origin_of(to.url))
        return answer.text

    def hear(self, inbound: Inbound, configs: Sequence[PagerDutyConfig]) -> list[Heard]:
        """Return what a person did in PagerDuty; nothing for what we or PagerDuty itself did."""
        verify(inbound, _secrets(configs))
        return heard(inbound)

    async def confirm(self, heard: Heard, said: str, configs: Sequence[PagerDutyConfig]) -> None:
        """Say nothing: in PagerDuty it has happened already, and nobody waits for an answer."""


def events_for(message: Message, known: str) -> tuple[tuple[str, ...], str]:
    """Return which events to send, and what PagerDuty knows then; `known` is what it knows now.

    Events v2 cannot take back an acknowledgement, and an acknowledged incident pages nobody however
    often it is triggered. So an incident that was given back is resolved there and triggered anew.
    What somebody is on is not opened there only to be acknowledged: that would wake the next person. It is
    acknowledged in case that an earlier attempt arrived; if none did, PagerDuty drops it.
    """
    if message.event is MessageEvent.RESOLVED:
        return ("resolve",), OVER
    if message.event is MessageEvent.ACKNOWLEDGED:
        if known == SUCCEEDED:
            return ("resolve",), OVER
        if known in {UNTOLD, OVER, MAYBE}:
            return () if known == MAYBE else ("acknowledge",), MAYBE
        news = ("trigger",) if message.reason in NEWS else ()
        return (*news, *(() if known == TAKEN else ("acknowledge",))), TAKEN
    if known in {TAKEN, MAYBE, SUCCEEDED}:
        return ("resolve", "trigger"), PAGED
    if known == PAGED and message.reason in QUIET:
        return (), PAGED
    return ("trigger",), PAGED


def event(to: PagerDutyConfig, message: Message, key: str, name: str, action: str) -> bytes:
    """Return one event; only a trigger says what it is about."""
    head = {"routing_key": key, "event_action": action, "dedup_key": name}
    if action != "trigger":
        return as_json(head)
    return fitting(lambda size: head | _trigger(to, message, size), message.facts, MAX_EVENT)


def _trigger(to: PagerDutyConfig, message: Message, size: Size) -> dict[str, Any]:
    facts = message.facts
    incident, labels = facts["incident"], facts["incident"]["labels"]
    payload = {
        "summary": summary(facts, MAX_SUMMARY) or "an incident without a name",
        "source": _field(to.source or where(labels)) or to.client or "Tocsin",
        "severity": to.severity or _severity(to, incident["severity"]),
        "timestamp": incident["started_at"],
        "class": _field(to.class_ or labels.get("alertname", "")),
        "component": _field(to.component or labels.get("service") or labels.get("job", "")),
        "group": _field(to.group or labels.get("cluster") or labels.get("namespace", "")),
        "custom_details": _details(message, size) | to.details,
    }
    images = [{"src": image.src, "href": image.href, "alt": image.alt} for image in to.images]
    picture = incident["annotations"].get("image_url")
    if is_link(picture) and picture.startswith("https://"):
        images.append({"src": picture, "href": "", "alt": "image_url"})
    shown = [*links(facts).items(), *((link.text or link.href, link.href) for link in to.links)]
    return {
        "payload": {name: value for name, value in payload.items() if value},
        "client": to.client,
        "client_url": to.client_url or incident["url"],
        "links": [{"href": href, "text": text} for text, href in shown],
        "images": [{name: value for name, value in image.items() if value} for image in images],
    }


def _details(message: Message, size: Size) -> dict[str, Any]:
    """Return Alertmanager's own details, by its names, and what it does not know."""
    facts = message.facts
    incident, alerts = facts["incident"], facts["alerts"]
    firing = [alert for alert in alerts if alert["status"] == "firing"]
    ended = [alert for alert in alerts if alert["status"] != "firing"]
    counts = incident["alerts"]
    details = {
        "firing": alert_text(firing, size),
        "resolved": alert_text(ended, size),
        "num_firing": str(counts["firing"]),
        "num_resolved": str(counts["total"] - counts["firing"]),
        "severity": one_line(incident["severity"]),
        "why": facts["reason_text"],
        "labels": pairs(incident["labels"], size),
        "annotations": pairs(incident["annotations"], size),
        "route": facts["route"],
        "incident": incident["url"],
    }
    left_out = facts["alerts_omitted"] + facts["truncated_alerts"]
    if left_out:
        details["left_out"] = f"{left_out} more alerts; the page of the incident has what we know of them"
    if facts["fallback_for"]:
        details["fallback_for"] = f"{one_line(facts['fallback_for'])} could not be reached"
    if incident["drill"]:
        details["drill"] = "an exercise: nothing is wrong"
    return details


def _severity(to: PagerDutyConfig, ours: str) -> Severity:
    return to.severities.get(ours) or SEVERITIES.get(ours, USUAL)


def _field(text: str) -> str:
    return short(text, MAX_FIELD)


def _check_taken(answer: Answer, said: dict[str, Any] | None, service: str) -> None:
    if said is None:
        raise TemporaryFailure(f"{service} did not answer as PagerDuty does", answer=answer.text)
    if said.get("status") != "success":
        failure = PermanentFailure if "invalid" in str(said.get("status")) else TemporaryFailure
        raise failure(f"{service} answered {answer.status}, but {_complaint(said)}", answer=answer.text)


def _complaint(said: dict[str, Any] | None) -> str:
    """Return what PagerDuty finds wrong with an event, in its own words."""
    if said is None:
        return "it does not say why"
    errors = said.get("errors")
    listed = [str(error) for error in errors] if isinstance(errors, list) else []
    return short(": ".join([str(said.get("message") or said.get("status")), "; ".join(listed)]), 500)


def _secrets(configs: Sequence[PagerDutyConfig]) -> Iterator[str]:
    """Yield every secret that may have signed; a file that cannot be read is told in the log."""
    for config in configs:
        inline = [config.webhook_secret] if config.webhook_secret else []
        yield from (secret.get_secret_value().strip() for secret in [*inline, *config.webhook_secrets])
        files = [config.webhook_secret_file] if config.webhook_secret_file else []
        for file in [*files, *config.webhook_secret_files]:
            try:
                yield read_secret(None, file)
            except PermanentFailure as failure:
                log.warning("pagerduty.secret", reason=failure.reason)
