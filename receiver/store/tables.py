"""Which rows are there, and which constraint carries the meaning of each?

Enumerations are stored by their value, as text, so that a row can be read without this program.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, LargeBinary, MetaData, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

metadata: MetaData = SQLModel.metadata
metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

JSON_TYPE = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
ID_TYPE = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by itself only for INTEGER


def json_column() -> Any:
    """Return a field that holds plain data and is never null."""
    return Field(sa_column=Column(JSON_TYPE, nullable=False))


def id_column() -> Any:
    """Return the numbered primary key of a table whose rows nobody else names."""
    return Field(default=None, sa_column=Column(ID_TYPE, primary_key=True, autoincrement=True))


def incident_column(*, primary_key: bool = False) -> Any:
    """Return the column that says which incident a row belongs to."""
    return Field(sa_type=ID_TYPE, foreign_key="incident.id", ondelete="CASCADE", primary_key=primary_key)


class Incident(SQLModel, table=True):
    """Our unit of human attention."""

    __table_args__ = (
        Index("uq_incident_key_open", "key", unique=True, sqlite_where=text("state <> 'resolved'"),
              postgresql_where=text("state <> 'resolved'")),  # at most one open incident has a key
        Index("ix_incident_resolved_in_key", "resolved_in", "key",
              sqlite_where=text("resolved_in IS NOT NULL"),
              postgresql_where=text("resolved_in IS NOT NULL")),  # may it reopen?
        Index("ix_incident_open", "id", sqlite_where=text("state <> 'resolved'"),
              postgresql_where=text("state <> 'resolved'")),
        Index("ix_incident_review_at", "review_at", sqlite_where=text("review_at IS NOT NULL"),
              postgresql_where=text("review_at IS NOT NULL")),
        {"sqlite_autoincrement": True},  # an id in a chat never comes to mean another incident
    )  # fmt: skip

    id: int | None = id_column()
    key: str  # which open incident an alert belongs to
    source: str  # the Alertmanager it came from, `drill` or `tocsin`
    state: str  # policy.incident.State
    severity: str  # the most severe of its firing alerts
    title: str  # what a person calls it
    labels: dict[str, str] = json_column()  # what its firing alerts have in common
    annotations: dict[str, str] = json_column()  # the same
    group_labels: dict[str, str] = json_column()  # what its key was made from
    upstream: dict[str, Any] = json_column()  # receiver, group key and address of Alertmanager, as last heard
    routes: list[str] = json_column()  # names of the routes that matched, in order
    drill: bool  # an exercise: marked in every message, left out of statistics
    firing: int  # alerts that fire now
    total: int  # alerts it ever held
    truncated: int  # alerts Alertmanager left out of its last body
    revision: int  # counts what people should hear of
    reopenings: int  # that followed each other closely; many make it flapping
    started_at: datetime
    last_seen_at: datetime  # when Alertmanager last spoke of it
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_how: str | None = None  # from where, and how long after the page
    acknowledged_until: datetime | None = None  # when it is triggered again, unless it is over by then
    snoozed_until: datetime | None = None  # a person wants quiet until then
    resolved_at: datetime | None = None
    resolved_in: int | None = None  # the hour of resolved_at, counted; keeps the index above where it is hot
    reopened_at: datetime | None = None
    flapping_at: datetime | None = None  # when it last came or went, while it does so too often
    review_at: datetime | None = None  # when time itself may change it


class Alert(SQLModel, table=True):
    """One labelled condition, as last heard of."""

    __table_args__ = (
        Index("ix_alert_group_id_firing", "group_id", sqlite_where=text("state = 'firing'"),
              postgresql_where=text("state = 'firing'")),  # who of the group is missing?
        {"sqlite_with_rowid": False},
    )  # fmt: skip

    incident_id: int = incident_column(primary_key=True)
    fingerprint: str = Field(primary_key=True)
    state: str  # firing or resolved
    labels: dict[str, str] = json_column()
    annotations: dict[str, str] = json_column()
    generator_url: str
    group_id: int = Field(sa_type=BigInteger)  # the group of Alertmanager that last named it
    starts_at: datetime
    ends_at: datetime | None = None  # when it resolved
    vanished_at: datetime | None = None  # since when its group is sent without it
    expires_at: datetime | None = None  # when it counts as resolved unless heard of again


class Payload(SQLModel, table=True):
    """One body of Alertmanager, as it came; pruned first."""

    __table_args__ = (
        Index("ix_payload_heard_in_digest", "heard_in", "digest"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = id_column()
    digest: int = Field(sa_type=BigInteger)  # equal bodies have equal digests; addresses do not count
    heard_in: int  # five minutes, counted; an index that begins with time does not grow colder with history
    source: str
    received_at: datetime
    alerts: int
    body: bytes | None = Field(sa_column=Column(LargeBinary))  # None: equal to the earlier one of its digest


class Timeline(SQLModel, table=True):
    """What happened to an incident; rows are only ever added."""

    __table_args__ = (Index("ix_timeline_incident_id", "incident_id"), {"sqlite_autoincrement": True})

    id: int | None = id_column()
    incident_id: int = incident_column()
    at: datetime
    kind: str  # policy.incident.Happening
    actor: str | None = None  # who did it, where a person did
    text: str  # what and why, for a person


class Conversation(SQLModel, table=True):
    """What one destination was told about one incident."""

    __table_args__ = ({"sqlite_with_rowid": False},)

    incident_id: int = incident_column(primary_key=True)
    destination: str = Field(primary_key=True)
    ids: dict[str, str] = json_column()  # the service's ids of the first message
    sent_at: datetime  # when it was last told something
    sent_revision: int  # which revision of the incident it was told


class Notification(SQLModel, table=True):
    """One thing owed to one destination: the outbox."""

    __table_args__ = (
        Index("ix_notification_due_at", "due_at", sqlite_where=text("state = 'owed'"),
              postgresql_where=text("state = 'owed'")),
        Index("ix_notification_urgent", "due_at", sqlite_where=text("state = 'owed' AND urgent"),
              postgresql_where=text("state = 'owed' AND urgent")),  # what goes first
        Index("ix_notification_fallback_at", "fallback_at",
              sqlite_where=text("state = 'owed' AND fallback_at IS NOT NULL"),
              postgresql_where=text("state = 'owed' AND fallback_at IS NOT NULL")),
        Index("ix_notification_incident_id_destination", "incident_id", "destination"),
        Index("ix_notification_failed", "id", sqlite_where=text("state = 'failed'"),
              postgresql_where=text("state = 'failed'")),  # the dead letters
        {"sqlite_autoincrement": True},
    )  # fmt: skip

    id: int | None = id_column()
    key: str = Field(unique=True)  # a page is never queued twice
    incident_id: int = incident_column()
    destination: str
    receiver: str  # the receiver of routing.yaml it was found through
    route: str  # the route that named the receiver
    reason: str  # policy.incident.Reason
    state: str  # policy.outbox.NotificationState
    why: str  # why it waits, was withdrawn or failed
    urgent: bool  # as severe as `critical`, or more: goes first
    revision: int  # the incident's, when this became owed
    attempts: int  # tries so far
    created_at: datetime
    due_at: datetime  # when to try (again); a claim moves it past the lease
    claimed_until: datetime | None = None  # a worker holds it until then
    fallback_at: datetime | None = None  # when the fallback is told as well, unless it was sent by then
    finished_at: datetime | None = None  # when it was sent, withdrawn or given up
    fallback_for: str | None = None  # the destination that could not be reached


class Attempt(SQLModel, table=True):
    """One try to deliver a notification."""

    __table_args__ = ({"sqlite_with_rowid": False},)

    notification_id: int = Field(
        sa_type=ID_TYPE, foreign_key="notification.id", ondelete="CASCADE", primary_key=True
    )
    n: int = Field(primary_key=True)
    at: datetime
    took: float  # seconds
    outcome: str  # policy.outbox.Outcome
    answer: str  # the service's, first 2 kB, or what went wrong


class Throttle(SQLModel, table=True):
    """How much of a destination or a service may be used now."""

    __table_args__ = ({"sqlite_with_rowid": False},)

    name: str = Field(primary_key=True)  # `destination slack #ops`, `service slack`
    free_at: datetime  # when all that was taken has been earned back
    failures: int  # temporary ones, since the last success
    probe_at: datetime | None = None  # the breaker is open: one attempt is made then
    under: str = Field(
        sa_column_kwargs={"server_default": text("''")}
    )  # the limit that free_at was counted under


class Escalation(SQLModel, table=True):
    """One escalation policy at work on one incident, frozen when it began."""

    __table_args__ = (
        Index("ix_escalation_next_step_at", "next_step_at", sqlite_where=text("next_step_at IS NOT NULL"),
              postgresql_where=text("next_step_at IS NOT NULL")),
        Index("ix_escalation_policy_turn", "policy", "turn"),  # whose turn is it next?
        {"sqlite_with_rowid": False},
    )  # fmt: skip

    incident_id: int = incident_column(primary_key=True)
    policy: str = Field(primary_key=True)  # its name in routing.yaml
    route: str  # the route that named it; its hours count
    frozen: dict[str, Any] = json_column()  # the policy as it was
    channels: list[str] = json_column()  # of a drill: tell only these kinds; none: all
    turn: int  # counts the incidents of this policy; who is first in a round robin
    begun: int  # how often it began: when the incident opened, and whenever it was triggered again
    reason: str  # policy.incident.Reason of its beginning, which whoever is told first hears
    taken: int  # steps so far since it began, over all rounds
    reached: bool  # some step since it began had somebody to tell
    pending: list[dict[str, Any]] = json_column()  # later contacts of people who were told, with their times
    step_at: datetime | None = None  # when the next step is due; None: there is none
    next_step_at: datetime | None = None  # the first of step_at and what is pending; None: `why` says why
    why: str  # why there is no next step, or why it waits


class Silence(SQLModel, table=True):
    """A person wants quiet about what matches, until a time; never deleted."""

    __table_args__ = (Index("ix_silence_ends_at", "ends_at"), {"sqlite_autoincrement": True})

    id: int | None = id_column()
    matchers: list[str] = json_column()  # all must hold for an alert to be silenced
    starts_at: datetime
    ends_at: datetime  # moved by whoever extends or ends it
    made_at: datetime
    made_by: str
    text: str  # why


class Heartbeat(SQLModel, table=True):
    """When something that should always be heard was heard last.

    The row without a source waits for the first beat; the one without a name is Tocsin's own.
    """

    __table_args__ = ({"sqlite_with_rowid": False},)

    name: str = Field(primary_key=True)  # its name in routing.yaml
    source: str = Field(primary_key=True)  # the Alertmanager it came from
    first_at: datetime
    last_at: datetime
    gaps: list[float] = json_column()  # seconds between the last few, to learn how often it is heard
    missed_at: datetime | None = None  # since when it is missed


class Calendar(SQLModel, table=True):
    """An iCalendar feed as it was when it last could be read."""

    url: str = Field(primary_key=True)  # a digest of it: the address may hold a secret
    read_at: datetime  # when this text came
    asked_at: datetime  # when it was last asked for
    text: str
    problem: str  # why the last question failed; empty: it did not


class Heard(SQLModel, table=True):
    """What people answered through a channel; said twice it counts once."""

    __table_args__ = (Index("ix_heard_at", "at"), {"sqlite_with_rowid": False})

    key: str = Field(primary_key=True)  # of the service's event
    at: datetime


class Secret(SQLModel, table=True):
    """What Tocsin made up for itself, where nobody gave it one."""

    name: str = Field(primary_key=True)
    value: str


class Handover(SQLModel, table=True):
    """Who was on call by a schedule when it was last looked at."""

    __table_args__ = ({"sqlite_with_rowid": False},)

    schedule: str = Field(primary_key=True)
    person: str | None = None  # nobody in a gap
    at: datetime  # when this began, as far as anybody looked


class Lease(SQLModel, table=True):
    """What one process does for all that share the database."""

    name: str = Field(primary_key=True)
    holder: str
    until: datetime


class Override(SQLModel, table=True):
    """Somebody takes a schedule over for a while."""

    __table_args__ = (Index("ix_override_ends_at", "ends_at"), {"sqlite_autoincrement": True})

    id: int | None = id_column()
    schedule: str  # its name in routing.yaml
    person: str
    starts_at: datetime
    ends_at: datetime
    made_at: datetime
    made_by: str
    text: str  # why


class Quarantine(SQLModel, table=True):
    """A body, or one alert of a body, that could not be understood."""

    __table_args__ = (Index("ix_quarantine_received_at", "received_at"), {"sqlite_autoincrement": True})

    id: int | None = id_column()
    received_at: datetime
    source: str
    why: str
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # first 64 kB


class Drill(SQLModel, table=True):
    """One exercise, and the incident it made."""

    id: str = Field(primary_key=True)
    incident_id: int = incident_column()
    posted_at: datetime
