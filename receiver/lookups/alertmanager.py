"""What does an Alertmanager hold at this moment, asked by its API v2?

It is asked under a deadline and with a bound on the answer. Whatever cannot be understood is no answer, and
from no answer nothing follows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError

from receiver.channels.base import ChannelError
from receiver.channels.client import Client, origin_of

Answer = TypeVar("Answer")

TIMEOUT = 10.0  # seconds for one question
MOST = 32 * 1024 * 1024  # bytes of an answer; some 50,000 alerts
SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")  # what Go quotes in a regular expression


class NoAnswer(Exception):
    """Alertmanager said nothing that can be used; the text says why."""


@dataclass(frozen=True, slots=True)  # half the time of a model, and there may be thousands
class Status:
    """Whether an alert is told there, and what keeps it quiet."""

    state: str  # active, suppressed or unprocessed
    silenced_by: Annotated[list[str], Field(alias="silencedBy")]  # ids of silences
    inhibited_by: Annotated[list[str], Field(alias="inhibitedBy")]  # fingerprints of alerts


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that Alertmanager holds; what is over it does not name."""

    fingerprint: str
    labels: dict[str, str]
    status: Status


@dataclass(frozen=True, slots=True)
class FullAlert(Alert):
    """The same, with all that a page says of it."""

    annotations: dict[str, str]
    starts_at: Annotated[str, Field(alias="startsAt")]
    generator_url: Annotated[str, Field(alias="generatorURL")] = ""


class Named(BaseModel):
    """Something with a name."""

    name: str


class Group(BaseModel):
    """Alerts that Alertmanager tells together."""

    labels: dict[str, str]
    receiver: Named
    alerts: list[FullAlert]


class Silence(BaseModel):
    """Who wants quiet there, until when and why."""

    created_by: str = Field(alias="createdBy", default="")
    comment: str = ""
    ends_at: AwareDatetime = Field(alias="endsAt")


class Uptime(BaseModel):
    """When Alertmanager was started."""

    uptime: AwareDatetime


ALERTS = TypeAdapter(list[Alert])
GROUPS = TypeAdapter(list[Group])
SILENCE = TypeAdapter(Silence)
UPTIME = TypeAdapter(Uptime)


@dataclass(frozen=True, slots=True)
class View:
    """What one Alertmanager holds, by fingerprint, and since when it runs."""

    started_at: datetime
    alerts: dict[str, Alert]


class Alertmanager:
    """Asks one Alertmanager."""

    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        self._url = url

    async def view(self) -> View:
        """Return all that it holds. Errors: NoAnswer."""
        uptime = await self._ask("/status", UPTIME)
        alerts = await self._ask("/alerts", ALERTS)
        return View(uptime.uptime.astimezone(UTC), {alert.fingerprint: alert for alert in alerts})

    async def silence(self, id_: str) -> Silence:
        """Return one silence. Errors: NoAnswer."""
        return await self._ask(f"/silence/{quote(id_, safe='')}", SILENCE)

    async def groups(self, receiver: str) -> list[Group]:
        """Return the groups that it tells one of its receivers. Errors: NoAnswer."""
        return await self._ask(f"/alerts/groups?receiver={quote(quoted(receiver), safe='')}", GROUPS)

    async def _ask(self, path: str, shape: TypeAdapter[Answer]) -> Answer:
        url = f"{self._url}/api/v2{path}"
        try:
            answer = await self._client.get(url, timeout=TIMEOUT, most=MOST)
        except ChannelError as failure:
            raise NoAnswer(failure.reason) from None
        if answer.status != 200:
            raise NoAnswer(f"{origin_of(url)} answered {answer.status}")
        if len(answer.text) >= MOST:
            raise NoAnswer(f"{origin_of(url)} answered with more than {MOST // 2**20} MiB")
        try:
            return shape.validate_json(answer.text)
        except ValidationError:
            raise NoAnswer(f"{origin_of(url)} answered with something else; is it an Alertmanager?") from None


def quoted(receiver: str) -> str:
    """Return the name of a receiver as Alertmanager writes it in a webhook: a regular expression."""
    return SPECIAL.sub(r"\\\1", receiver)


def as_body(group: Group, active: Sequence[FullAlert], group_key: str, url: str) -> dict[str, Any]:
    """Return what Alertmanager would post of a group, were there no `max_alerts`."""
    return {
        "groupKey": group_key,
        "receiver": quoted(group.receiver.name),
        "groupLabels": group.labels,
        "externalURL": url,
        "truncatedAlerts": 0,
        "alerts": [
            {
                "status": "firing",
                "labels": alert.labels,
                "annotations": alert.annotations,
                "startsAt": alert.starts_at,
                "generatorURL": alert.generator_url,
                "fingerprint": alert.fingerprint,
            }
            for alert in active
        ],
    }
