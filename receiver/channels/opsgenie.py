"""How is an incident told to Opsgenie, or to Jira Service Management, which takes its place?"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from receiver.channels.base import (
    DEFAULT_TIMEOUT,
    SUCCEEDED,
    ChannelConfig,
    Message,
    PermanentFailure,
    Sent,
    TemporaryFailure,
    Timeout,
    exactly_one,
    is_web_address,
    read_secret,
)
from receiver.channels.client import TRANSIENT, Answer, Client, check, origin_of, retry_after
from receiver.channels.words import (
    SIZES,
    Plain,
    Size,
    as_json,
    as_mapping,
    cut,
    dedup_key,
    digest,
    links,
    one_line,
    pairs,
    short,
    sizes,
    summary,
    where,
)
from receiver.clock import Clock
from receiver.policy.incident import MessageEvent, Reason
from receiver.policy.record import Record
from receiver.policy.throttle import Limit

BASE = "https://api.opsgenie.com/"
MAX_MESSAGE = 130  # characters, like all of these
MAX_DESCRIPTION = 15_000
MAX_DETAILS = 8000  # names and values together
MAX_ENTITY = 512
MAX_SOURCE = 100
MAX_USER = 100
MAX_NOTE = 25_000
MAX_ALIAS = 512
MOST_TAGS, LONGEST_TAG = 20, 50
MOST_ACTIONS, LONGEST_ACTION = 10, 50

Priority = Literal["P1", "P2", "P3", "P4", "P5"]
PRIORITIES: dict[str, Priority] = {
    "critical": "P1",
    "page": "P1",
    "error": "P2",
    "warning": "P3",
    "info": "P4",
    "none": "P5",
}
USUAL: Priority = "P3"  # Opsgenie's own default

OPEN, TAKEN, OVER, UNTOLD = "triggered", "acknowledged", "resolved", "untold"  # what Opsgenie was told last
MAYBE = "maybe"  # acknowledged, if Opsgenie has it at all
NOTED = {  # what is worth a line in the alert's history; a repeated alert is only counted
    *(Reason.NEW_ALERTS, Reason.MORE_SEVERE, Reason.SOME_RESOLVED, Reason.NOTE, Reason.ESCALATED),
    *(Reason.SNOOZED, Reason.SNOOZE_OVER, Reason.FLAPPING, Reason.FALLBACK),
}
QUIET = {Reason.SOME_RESOLVED, Reason.NOTE, Reason.SNOOZED}  # asks nobody to act
ABSENT = {404, 405}
OPTIONAL = {"unacknowledge", "message", "priority", "description"}  # Jira Service Management has none of them
ADVICE = {
    401: "; check api_key",
    403: "; is the integration switched on, and may it create alerts?",
    422: "; check responders, tags and details in routing.yaml",
}


def _base(url: str) -> str:
    if not is_web_address(url) or urlsplit(url).query:
        raise ValueError("it is not the URL of an API; write it whole, such as https://api.opsgenie.com/")
    return url


class Responder(Record):
    """Who is to be told by Opsgenie."""

    type: Literal["team", "teams", "user", "escalation", "schedule"]  # teams: several names, with commas
    id: Plain | None = None
    name: Plain | None = None
    username: Plain | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        exactly_one(id=self.id, name=self.name, username=self.username)
        return self


class OpsgenieConfig(ChannelConfig):
    """An entry of `opsgenie_configs`."""

    keeps_state: ClassVar[bool] = True
    api_key: SecretStr | None = None
    api_key_file: str | None = None  # read at every send
    api_url: Annotated[str, AfterValidator(_base)] = BASE
    responders: tuple[Responder, ...] = ()
    tags: Plain = ""  # with commas, as in Alertmanager
    priority: Priority | None = None  # None: by `priorities`
    priorities: dict[str, Priority] = Field(default_factory=dict)  # by severity, before the usual
    entity: Plain | None = None
    source: Plain | None = None
    note: Plain = ""
    actions: Plain = ""  # with commas
    details: dict[str, Plain] = Field(default_factory=dict)
    update_alerts: bool = True  # Alertmanager's default is false
    timeout: Timeout = DEFAULT_TIMEOUT
    allow_private_addresses: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        exactly_one(api_key=self.api_key, api_key_file=self.api_key_file)
        if sum(len(name) + len(value) for name, value in self.details.items()) > MAX_DETAILS // 2:
            raise ValueError(f"details may hold {MAX_DETAILS // 2} characters, for labels go with them")
        return self

    @property
    def destination(self) -> str:
        """The file that holds the key, or a digest of it; with the host where it is not the usual."""
        return f"{self.service} {self.api_key_file or f'#{digest(read_secret(self.api_key, None))}'}"

    @property
    def service(self) -> str:
        """Opsgenie's regions, and Jira Service Management, fail apart."""
        host = urlsplit(self.api_url).netloc.rpartition("@")[2]
        return "opsgenie" if self.api_url == BASE else f"opsgenie {host}"

    @property
    def alerts_url(self) -> str:
        """Where alerts are made; people write the base with and without its version."""
        return self.api_url.rstrip("/").removesuffix("/v2") + "/v2/alerts"


class Opsgenie:
    """Makes one alert of an incident, and keeps it up to date."""

    Config: ClassVar[type[ChannelConfig]] = OpsgenieConfig
    needs_templates: ClassVar[bool] = False
    takes_digests: ClassVar[bool] = False
    # The published limits grow with the plan and the number of users (docs.opsgenie.com, api-rate-limiting),
    # so no number holds for everybody: this is a cautious one of ours.
    destination_limit: ClassVar[Limit | None] = Limit(60, timedelta(minutes=1), burst=20)
    service_limit: ClassVar[Limit | None] = None

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def send(self, to: OpsgenieConfig, message: Message, earlier: Sent | None) -> Sent:
        """Bring the alert up to date; an answer says only that Opsgenie has taken the request."""
        key = read_secret(to.api_key, to.api_key_file)
        if not (key.isascii() and key.isprintable()):
            raise PermanentFailure("the API key holds characters that no key has")
        telling = Telling(self._client, self._clock, to, key, message, earlier)
        seconds = to.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):  # all requests together
                await telling.tell()
        except TimeoutError:
            raise TemporaryFailure(f"{origin_of(to.api_url)} needs more than {seconds:g} s") from None
        answer = "; ".join(telling.answers) or "nothing was sent: it asks nobody there to act"
        return Sent(ids=telling.ids, answer=answer[:2048])

    async def aclose(self) -> None:
        """Leave the client open: other channels share it."""


class Telling:
    """One message on its way: the requests it takes, and what Opsgenie knows after them.

    Every request may be repeated without harm, so an attempt that fails in the middle begins anew.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        to: OpsgenieConfig,
        key: str,
        message: Message,
        earlier: Sent | None,
    ) -> None:
        self._client, self._clock, self._to, self._key, self._message = client, clock, to, key, message
        name = dedup_key(message, earlier)
        usual = {"state": UNTOLD} if earlier is None else {"state": OPEN}
        self.ids: dict[str, str] = usual | {"alias": name} | dict(earlier.ids if earlier else {})
        self.ids["dedup_key"] = name
        self.answers: list[str] = []
        self._fields = _fields(to, message)

    async def tell(self) -> None:
        """Send what brings the alert up to date.

        What somebody is on is not opened there only to be acknowledged: that would wake the next person. It
        is acknowledged in case that an earlier attempt arrived; if none did, Opsgenie drops it.
        """
        state, event = self.ids["state"], self._message.event
        if event is MessageEvent.RESOLVED or (event is MessageEvent.ACKNOWLEDGED and state == SUCCEEDED):
            await self._act("close")
            self.ids["state"] = OVER
        elif state == SUCCEEDED:
            await self._begin_anew()
        elif event is MessageEvent.ACKNOWLEDGED:
            if state in {OPEN, TAKEN}:
                await self._update()
            if state not in {TAKEN, MAYBE}:
                await self._act("acknowledge")
            self.ids["state"] = TAKEN if state in {OPEN, TAKEN} else MAYBE
        elif state in {UNTOLD, OVER}:
            await self._create()
        elif state in {TAKEN, MAYBE}:
            await self._give_back()
        else:
            if self._message.reason not in QUIET:
                await self._create()  # counted as a repetition; opened anew where a person closed it
            await self._update()

    async def _give_back(self) -> None:
        """Let Opsgenie begin to notify anew, whether it still has the alert or not."""
        if await self._act("unacknowledge"):
            await self._update()
            await self._create()  # counted, or opened where there is none any more
        else:
            await self._begin_anew()  # Jira Service Management cannot unacknowledge

    async def _begin_anew(self) -> None:
        """Close the alert and make another one.

        Its alias differs: the service works asynchronously, so the end could overtake the new beginning.
        """
        await self._act("close")
        base, _, count = self.ids["alias"].partition(".")
        self.ids["alias"] = f"{base}.{int(count or 1) + 1}"
        await self._create()

    async def _create(self) -> None:
        await self._request("POST", "", _alert(self._to, self._message, self.ids["alias"], self._fields))
        if self.ids["state"] != OPEN:
            self.ids |= {"state": OPEN, **{name: digest(text) for name, text in self._fields.items()}}

    async def _update(self) -> None:
        """Change what the alert shows, where it changed, and note why."""
        for name, text in self._fields.items() if self._to.update_alerts else ():
            if self.ids.get(name) != digest(text):
                await self._request("PUT", name, as_json({name: text}))
                self.ids[name] = digest(text)
        if self._message.reason in NOTED:
            await self._act("notes")

    async def _act(self, verb: str) -> bool:
        """Do something to the alert; return whether the service can."""
        said = {
            "source": _source(self._to),
            "user": _actor(self._message),
            "note": cut(_reason(self._message), MAX_NOTE),
        }
        return await self._request("POST", verb, as_json(said))

    async def _request(self, method: Literal["POST", "PUT"], action: str, content: bytes) -> bool:
        """Return whether there is such a thing: an alert that is gone needs no end, nor a new text."""
        url = self._to.alerts_url
        if action:
            url += f"/{quote(self.ids['alias'], safe='')}/{action}?identifierType=alias"
        answer = await self._client.post(
            url,
            method=method,
            content=content,
            headers={"Content-Type": "application/json", "Authorization": f"GenieKey {self._key}"},
            timeout=self._to.timeout.total_seconds(),
            private_allowed=self._to.allow_private_addresses,
            secrets=[self._key],
        )
        said = as_mapping(answer.text)
        if action and answer.status in ABSENT and (said is not None or action in OPTIONAL):
            self.answers.append(f"{action}: {answer.status}")
            return False
        _check(answer, said, url, self._clock.now())
        self.answers.append(answer.text.strip())
        return True


def alert(to: OpsgenieConfig, message: Message, alias: str) -> bytes:
    """Return the alert that is created; whatever is too long is shortened before it is refused."""
    return _alert(to, message, alias, _fields(to, message))


def _alert(to: OpsgenieConfig, message: Message, alias: str, fields: Mapping[str, str]) -> bytes:
    facts = message.facts
    labels = facts["incident"]["labels"]
    made: dict[str, Any] = {
        **fields,
        "alias": cut(alias, MAX_ALIAS),
        "responders": _responders(to),
        "tags": _listed(to.tags, MOST_TAGS, LONGEST_TAG),
        "actions": _listed(to.actions, MOST_ACTIONS, LONGEST_ACTION),
        "details": _details(to, message),
        "entity": short(to.entity or where(labels), MAX_ENTITY),
        "source": _source(to),
        "note": cut(to.note, MAX_NOTE),
    }
    return as_json({name: value for name, value in made.items() if value})


def _fields(to: OpsgenieConfig, message: Message) -> dict[str, str]:
    """Return what of an alert changes with the incident."""
    facts = message.facts
    return {
        "message": summary(facts, MAX_MESSAGE) or "an incident without a name",
        "priority": to.priority or _priority(to, facts["incident"]["severity"]),
        "description": description(facts),
    }


def description(facts: Mapping[str, Any]) -> str:
    """Return what is wrong, since when, where, which alerts, and where to look further."""
    incident = facts["incident"]
    for size in sizes(facts["alerts"], 4 * MAX_DESCRIPTION, ("labels",)):
        said = [pairs(incident["annotations"], size).get(name, "") for name in ("summary", "description")]
        parts = [
            "This is an exercise: nothing is wrong." if incident["drill"] else "",
            f"{one_line(facts['fallback_for'])} could not be reached." if facts["fallback_for"] else "",
            *said,
            f"Since {incident['started_at']}, severity {short(incident['severity'], MAX_SOURCE)}",
            "\n".join(f"{name}: {url}" for name, url in links(facts).items()),
            _alerts(facts, size),
        ]
        text = "\n\n".join(part for part in parts if part)
        if len(text) <= MAX_DESCRIPTION:
            break
    return cut(text, MAX_DESCRIPTION)


def _alerts(facts: Mapping[str, Any], size: Size) -> str:
    firing = [alert for alert in facts["alerts"] if alert["status"] == "firing"]
    counts = facts["incident"]["alerts"]
    common = facts["incident"]["labels"]
    shown = [f"- {_told(one, common, size)}" for one in firing[: size.alerts]]
    more = counts["firing"] - len(shown)
    left = [f"- and {more} more"] if more > 0 and shown else []
    return "\n".join([f"Firing: {counts['firing']} of {counts['total']}", *shown, *left])


def _told(one: Mapping[str, Any], common: Mapping[str, str], size: Size) -> str:
    """Return what tells one alert from the others, and what it says itself."""
    own = {name: value for name, value in one["labels"].items() if common.get(name) != value}
    labels = ", ".join(
        f"{name}={one_line(value)}" for name, value in pairs(own or one["labels"], size).items()
    )
    said = one["annotations"].get("description") or one["annotations"].get("summary", "")
    return f"{labels}: {short(said, size.longest)}" if said and own else labels


def _details(to: OpsgenieConfig, message: Message) -> dict[str, str]:
    """Return names and values, 8,000 characters together; what the operator wrote comes first."""
    facts = message.facts
    incident = facts["incident"]
    ours = {
        "incident": incident["url"],
        "severity": short(incident["severity"], MAX_SOURCE),
        "route": short(facts["route"], MAX_SOURCE),
        **to.details,
    }
    left = MAX_DETAILS - sum(len(name) + len(value) for name, value in ours.items())
    for size in SIZES:
        theirs = pairs(incident["labels"], size)
        if sum(len(name) + len(value) for name, value in theirs.items()) <= left:
            return {**theirs, **ours}
    return ours


def _responders(to: OpsgenieConfig) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for one in to.responders:
        if one.type == "teams":
            found += [{"type": "team", "name": name} for name in _listed(one.name or "", 50, 100)]
        else:
            named = {"id": one.id, "name": one.name, "username": one.username}
            found.append({"type": one.type, **{key: value for key, value in named.items() if value}})
    return found


def _listed(text: str, most: int, longest: int) -> list[str]:
    parts = (part.strip() for part in text.split(","))
    return [cut(part, longest) for part in parts if part][:most]


def _priority(to: OpsgenieConfig, severity: str) -> Priority:
    return to.priorities.get(severity) or PRIORITIES.get(severity, USUAL)


def _source(to: OpsgenieConfig) -> str:
    return short(to.source or "Tocsin", MAX_SOURCE)


def _actor(message: Message) -> str:
    who = message.facts["incident"]["acknowledged_by"] if message.event is MessageEvent.ACKNOWLEDGED else None
    return short(who or "Tocsin", MAX_USER)


def _reason(message: Message) -> str:
    return f"{one_line(message.facts['reason_text'])}\n{message.facts['incident']['url']}"


def _check(answer: Answer, said: dict[str, Any] | None, url: str, now: datetime) -> None:
    """Raise the failure that an answer means."""
    service = origin_of(url)
    if answer.status == 429:
        wait = answer.headers.get("retry-after") or answer.headers.get("x-ratelimit-period-in-sec", "")
        text = "Opsgenie answered 429: " + one_line(
            answer.headers.get("x-ratelimit-reason", "too many requests")
        )
        raise TemporaryFailure(text, answer=answer.text, retry_after=retry_after(wait, now))
    if 400 <= answer.status < 500 and said is not None and answer.status not in TRANSIENT:
        text = f"{service} answered {answer.status}: {_complaint(said)}"
        raise PermanentFailure(text + ADVICE.get(answer.status, ""), answer=answer.text)
    check(answer, url=url, now=now)
    if said is None or "requestId" not in said:
        raise TemporaryFailure(f"{service} did not answer as Opsgenie does", answer=answer.text)


def _complaint(said: dict[str, Any]) -> str:
    errors = said.get("errors")
    listed = [f"{name}: {error}" for name, error in errors.items()] if isinstance(errors, dict) else []
    return short(" ".join([str(said.get("message", "it does not say why")), *listed]), 500)
