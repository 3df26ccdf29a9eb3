"""What do the answers of the API look like? Only /openapi.json and the tests ask.

An endpoint returns plain data, and `responses=described(shape, …)` says what it looks like. Nothing here
runs when a request is answered; `tests/web/test_shapes.py` holds the two together.
"""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from receiver.policy.incident import Reason, State
from receiver.policy.outbox import NotificationState, Outcome
from receiver.web.problems import refusals

Documented = dict[int | str, dict[str, Any]]


def described(shape: type["Shape"], *refused: int, status: int = 200) -> Documented:
    """Return what an endpoint answers, and with which statuses it may refuse."""
    return {status: {"model": shape, "description": shape.__doc__ or ""}, **refusals(*refused)}


class Shape(BaseModel):
    """A shape names all that an answer holds; a later version may hold more."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra=lambda schema: schema.pop("additionalProperties", None)
    )


class Page(Shape):
    """One page of a list."""

    next: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


class Counts(Shape):
    """How many alerts an incident has."""

    firing: int
    total: int = Field(description="All that it ever held.")


class Incident(Shape):
    """An incident, in short."""

    id: int
    key: str
    state: State
    severity: str
    title: str
    labels: dict[str, str] = Field(description="What its firing alerts have in common.")
    annotations: dict[str, str] = Field(description="The same.")
    source: str
    started_at: AwareDatetime
    acknowledged_at: AwareDatetime | None
    acknowledged_by: str | None
    acknowledged_how: str = Field(description="From where, and how long after the page; else empty.")
    snoozed_until: AwareDatetime | None = Field(description="Quiet until then; null: it is not snoozed.")
    resolved_at: AwareDatetime | None
    last_seen_at: AwareDatetime = Field(description="When Alertmanager last spoke of it.")
    alerts: Counts
    truncated_alerts: int = Field(description="Alerts that Alertmanager left out of its last body.")
    flapping: bool
    routes: list[str] = Field(description="The routes that matched, in order.")
    drill: bool
    url: str = Field(description="Its page.")


class Incidents(Page):
    """One page of incidents."""

    items: list[Incident]


class Alert(Shape):
    """One alert, as last heard of."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: AwareDatetime
    ends_at: AwareDatetime | None
    vanished_at: AwareDatetime | None = Field(description="Since when Alertmanager no longer names it.")
    fingerprint: str
    generator_url: str


class Line(Shape):
    """One thing that happened to an incident."""

    at: AwareDatetime
    kind: str
    actor: str | None = Field(description="Who did it, where a person did.")
    text: str


class Try(Shape):
    """One try to deliver."""

    n: int
    at: AwareDatetime
    took_seconds: float
    outcome: Outcome
    answer: str = Field(description="What the service said, or what went wrong.")


class Notification(Shape):
    """One thing owed to one destination."""

    id: int
    incident_id: int
    destination: str
    receiver: str
    route: str
    reason: Reason
    state: NotificationState
    why: str = Field(description="Why it waits, was withdrawn or failed.")
    attempts: int
    created_at: AwareDatetime
    due_at: AwareDatetime
    finished_at: AwareDatetime | None
    fallback_for: str | None = Field(description="The destination that could not be reached.")
    tries: list[Try] = Field(description="Only in an incident in full; in the list it is empty.")


class Notifications(Page):
    """One page of notifications."""

    items: list[Notification]


class Owed(Shape):
    """What will be said next, and to whom, if nobody acts."""

    at: AwareDatetime
    to: str = Field(description="The destination.")
    reason: Reason
    why: str


class KeptQuiet(Shape):
    """What keeps alerts of an incident quiet now, on purpose."""

    why: str = Field(description="The silence and who made it, the mute window, or the other alert.")
    until: AwareDatetime | None = Field(description="Null: as long as the other alert fires.")
    alerts: int = Field(description="Alerts that fire and are kept quiet; the others speak for all.")


class IncidentInFull(Incident):
    """An incident with its alerts, timeline, notifications, and what is still owed."""

    alerts: list[Alert]  # type: ignore[assignment]  # the counts of the short form have another name here
    alert_counts: Counts
    upstream_quiet: list[str] = Field(description="Who keeps its alerts quiet in Alertmanager, and how long.")
    runbook_url: str | None
    quiet: list[KeptQuiet] = Field(description="Asked at this moment; hours and a snooze are elsewhere.")
    timeline: list[Line]
    notifications: list[Notification]
    plan: list[Owed]


class Misfit(Shape):
    """A body, or one alert of a body, that was not understood."""

    id: int
    received_at: AwareDatetime
    source: str
    why: str
    body: str


class Quarantine(Page):
    """One page of what was not understood."""

    items: list[Misfit]


class Planned(Shape):
    """Who would hear when, if nobody acts."""

    after: str
    at: AwareDatetime
    to: str = Field(description="The receiver or the person.")
    destinations: list[str]
    route: str
    why: str


class Telling(Shape):
    """What one matching route would do."""

    route: str
    receiver: str | None
    escalation_policy: str | None
    notify: bool
    why: str
    at: AwareDatetime | None = Field(description="When it may speak; null: never.")
    repeats: str


class Node(Shape):
    """One route of routing.yaml, and why it was or was not taken."""

    path: str
    name: str
    matched: bool
    taken: bool
    why: str


class Explanation(Shape):
    """Who would hear of an alert, when, and why not the others."""

    at: AwareDatetime
    labels: dict[str, str]
    severity: str
    routes: list[str] = Field(description="The routes that match, in order.")
    receivers: list[str]
    notify: bool
    grouped_by: dict[str, str] | str
    tellings: list[Telling]
    plan: list[Planned]
    tree: list[Node]


class Silence(Shape):
    """A person wants quiet about what matches, until a time."""

    id: int
    matchers: list[str] = Field(description="An alert is silenced where all of them hold.")
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    made_at: AwareDatetime
    made_by: str
    text: str = Field(description="Why.")


class Silences(Page):
    """One page of silences."""

    items: list[Silence]


class Hidden(Shape):
    """An incident of which a silence hides alerts."""

    id: int
    title: str
    severity: str
    alerts: int = Field(description="Alerts that it hides.")
    firing: int = Field(description="Alerts that fire.")
    url: str


class SilencePreview(Shape):
    """What a silence would hide now, if it were made."""

    incidents: int = Field(description="Open incidents that say nothing more.")
    alerts: int = Field(description="Alerts that fire and match.")
    hides: list[Hidden] = Field(description="The first hundred of these incidents.")
    in_part: list[Hidden] = Field(description="Incidents that still speak, for other alerts of theirs fire.")
    everything: bool = Field(description='So much that it is made only with `"everything": true`.')


class DrillBegun(Shape):
    """A drill is on its way; ids are null when only the plan was asked for."""

    drill_id: str | None
    incident_id: int | None
    plan: list[Planned]
    links: dict[str, str]


class Delivered(Shape):
    """What became of a drill at one destination."""

    destination: str
    receiver: str
    route: str
    delivered: bool
    state: NotificationState
    why: str
    attempts: int
    answer: str | None
    latency_seconds: float | None = Field(description="From the request to the receipt.")


class Receipt(Shape):
    """What became of a drill."""

    drill_id: str
    incident_id: int
    posted_at: AwareDatetime
    finished: bool
    destinations: list[Delivered]


class Taken(Shape):
    """The body is on disk."""

    status: Literal["accepted", "repeat"]
    incidents: list[int]
    quarantined: int = Field(description="Alerts of the body that were not understood.")


class Reloaded(Shape):
    """The new routing.yaml is in force."""

    status: Literal["reloaded"]


class Alive(Shape):
    """The process answers."""

    status: Literal["ok"]


class Health(Shape):
    """Whether alerts can be taken."""

    status: Literal["ok", "unavailable"]
    database: str
    config: str
    waiting_to_be_written: int
