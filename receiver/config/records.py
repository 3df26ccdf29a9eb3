"""What is in routing.yaml?"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, ValidationError, create_model, model_validator

from receiver.channels import KINDS
from receiver.channels.base import ChannelConfig, SecretUrl, exactly_one, is_web_address
from receiver.config.shared import Global, filled
from receiver.policy import routing
from receiver.policy.durations import Duration
from receiver.policy.escalation import EscalationPolicy
from receiver.policy.heartbeat import MISSING, SHORTEST_GAP, Heartbeat
from receiver.policy.hours import Location, TimeInterval
from receiver.policy.matching import EQUAL, Labels, Matcher
from receiver.policy.muting import InhibitRule, MuteWindow
from receiver.policy.oncall import Schedule
from receiver.policy.record import Record
from receiver.policy.routing import Route
from receiver.policy.throttle import Way

ROTATION = 2  # an old and a new secret are valid while one takes the place of the other
CRITICAL = "critical"  # what is as severe goes before all else, and never into a digest
UNKNOWN = "none"  # the severity of an alert without one


def _check_web_address(value: str) -> str:
    if not is_web_address(value):
        raise ValueError("must be a web address that begins with http:// or https://")
    return value.rstrip("/")


Name = Annotated[str, Field(min_length=1)]
WebAddress = Annotated[str, AfterValidator(_check_web_address)]
Secrets = Annotated[tuple[SecretStr, ...], Field(max_length=ROTATION)]
SecretFiles = Annotated[tuple[Name, ...], Field(max_length=ROTATION)]


class Login(Record):
    """A user name and the one or two passwords that are valid with it."""

    username: Name
    password: SecretStr | None = None
    password_file: Name | None = None
    passwords: Secrets = ()
    password_files: SecretFiles = ()

    @model_validator(mode="after")
    def _has_one_or_two(self) -> "Login":
        count = len(secrets_of(self, "password"))
        if count not in {1, ROTATION}:
            raise ValueError(f"has {count} passwords; write one, or two while you rotate them")
        return self


class Source(Record):
    """An Alertmanager that posts to us, what it must show, and where it can be asked."""

    name: Annotated[Name, Field(pattern=r"^[A-Za-z0-9_.-]+$")]  # it is part of a URL
    token: SecretStr | None = None
    token_file: Name | None = None
    tokens: Secrets = ()
    token_files: SecretFiles = ()
    basic_auth: Login | None = None
    alertmanager_url: WebAddress | None = None
    prometheus_url: WebAddress | None = None

    @model_validator(mode="after")
    def _has_at_most_two(self) -> "Source":
        count = len(secrets_of(self, "token"))
        if count > ROTATION:
            raise ValueError(f"has {count} tokens; write one, or two while you rotate them")
        return self


def secrets_of(record: Source | Login, word: str) -> list[SecretStr | str]:
    """Return what `word`, `word`_file and their plurals name: secrets, and paths of files that hold one."""
    single, file = getattr(record, word), getattr(record, f"{word}_file")
    several, files = getattr(record, f"{word}s"), getattr(record, f"{word}_files")
    return [*([single] if single else []), *several, *([file] if file else []), *files]


class Contact(Record):
    """One way to reach a person, and to know who answered: exactly one key but `after`."""

    after: Duration = timedelta()  # since a step told the person; whoever acts in time hears no more
    slack: Name | None = None  # the member's id, e.g. U024BE7LH
    telegram: int | None = None  # the user's number
    email: Name | None = None
    pagerduty: Name | None = None  # the user's id, e.g. PT23IWX

    @model_validator(mode="after")
    def _is_one(self) -> "Contact":
        exactly_one(slack=self.slack, telegram=self.telegram, email=self.email, pagerduty=self.pagerduty)
        return self

    @property
    def address(self) -> tuple[str, str]:
        """The channel kind and the address, as a channel says who answered."""
        return next((kind, str(getattr(self, kind)).lower()) for kind in REACHED if getattr(self, kind))

    def config(self, shared: Global) -> ChannelConfig | None:
        """Return where and how it is told, with the accounts of `global`; None where it cannot be."""
        kind, key = self.address[0], REACHED[self.address[0]]
        if key is None:
            return None
        said = {name: value for name, value in shared if value is not None}
        try:
            return KINDS[kind].Config.model_validate(filled(kind, {key: getattr(self, kind)}, said))
        except ValidationError:
            return None


REACHED = {  # the key of `<kind>_configs` that a contact gives; None: it can answer, and not be told
    "slack": "channel",
    "telegram": "chat_id",
    "email": "to",
    "pagerduty": None,
}


class Person(Record):
    """Somebody who answers."""

    name: Name
    time_zone: Location = "UTC"
    contacts: tuple[Contact, ...] = ()


def _check_beat(every: timedelta) -> timedelta:
    if not SHORTEST_GAP <= every <= timedelta(days=1):
        raise ValueError("must be between 10s and 1d; whoever listens expects it to be regular")
    return every


class OutgoingHeartbeat(Record):
    """Where Tocsin says that it is well."""

    url: SecretUrl | None = None
    url_file: Name | None = None  # read at every beat
    every: Annotated[Duration, AfterValidator(_check_beat)] = timedelta(minutes=1)

    @model_validator(mode="after")
    def _has_one_address(self) -> "OutgoingHeartbeat":
        exactly_one(url=self.url, url_file=self.url_file)
        return self


class BaseReceiver(Record):
    """A named set of destinations; it has a list of `<kind>_configs` for every channel."""

    name: Name

    def channel_configs(self) -> Iterator[tuple[str, ChannelConfig]]:
        """Yield the kind and the config of each destination, in the order of the kinds."""
        for kind in KINDS:
            for config in getattr(self, f"{kind}_configs"):
                yield kind, config


if TYPE_CHECKING:
    Receiver = BaseReceiver
else:
    Receiver = create_model(
        "Receiver",
        __base__=BaseReceiver,
        __doc__="A named set of destinations.",
        **{f"{kind}_configs": (tuple[channel.Config, ...], ()) for kind, channel in KINDS.items()},
    )


@dataclass(frozen=True, slots=True)
class Destination:
    """One place that can be told, and how."""

    name: str  # e.g. `slack #ops`; unique, and the same in two receivers that mean the same place
    kind: str
    config: ChannelConfig
    receiver: str  # the first receiver that names it


class Config(Record):
    """Everything about policy."""

    global_: Global = Field(default_factory=Global, alias="global")
    sources: tuple[Source, ...] = ()
    time_intervals: tuple[TimeInterval, ...] = ()
    receivers: Annotated[tuple[Receiver, ...], Field(min_length=1)]
    route: Route
    inhibit_rules: tuple[InhibitRule, ...] = ()
    mute_windows: tuple[MuteWindow, ...] = ()
    people: tuple[Person, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    escalation_policies: tuple[EscalationPolicy, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()
    outgoing_heartbeat: OutgoingHeartbeat | None = None
    fallback: Name | None = None
    severity_order: Annotated[tuple[Name, ...], Field(min_length=1)] = (
        "critical",
        "error",
        "warning",
        "info",
        UNKNOWN,
    )
    vanish_after: Duration = timedelta(minutes=15)  # a silence upstream is no proof that all is well
    reopen_within: Duration = timedelta(minutes=10)  # firing again this soon is the same incident
    fallback_after: Duration = timedelta(minutes=15)  # who waits longer for a page thinks that all is well
    give_up_after: Duration = timedelta(hours=24)  # after a day the news is no news; the fallback is told

    @cached_property
    def tree(self) -> routing.Node:
        """The route tree, everything inherited; a heartbeat that names who hears has a route of its own."""
        root = routing.tree(self.route)
        alarms = [
            _alarm_node(root, one, position)
            for position, one in enumerate(self.heartbeats)
            if one.receiver is not None or one.escalation_policy is not None
        ]
        return replace(root, children=(*alarms, *root.children))

    @cached_property
    def node_named(self) -> dict[str, routing.Node]:
        """The routes by name; what is owed remembers its route by this."""
        return {node.name: node for node in routing.walk(self.tree)}

    @cached_property
    def receiver_named(self) -> dict[str, BaseReceiver]:
        """The receivers by name."""
        return {receiver.name: receiver for receiver in self.receivers}

    @cached_property
    def interval_named(self) -> dict[str, TimeInterval]:
        """The time intervals by name."""
        return {interval.name: interval for interval in self.time_intervals}

    @cached_property
    def schedule_named(self) -> dict[str, Schedule]:
        """The schedules by name."""
        return {schedule.name: schedule for schedule in self.schedules}

    @cached_property
    def policy_named(self) -> dict[str, EscalationPolicy]:
        """The escalation policies by name."""
        return {policy.name: policy for policy in self.escalation_policies}

    @cached_property
    def source_named(self) -> dict[str, Source]:
        """The sources by name."""
        return {source.name: source for source in self.sources}

    @cached_property
    def _people_at(self) -> dict[tuple[str, str], str]:
        return {contact.address: person.name for person in self.people for contact in person.contacts}

    @cached_property
    def person_by_mail(self) -> dict[str, str]:
        """The people by their mail addresses, in lower case."""
        return {address: name for (kind, address), name in self._people_at.items() if kind == "email"}

    def person_at(self, kind: str, address: str) -> str | None:
        """Return who is known to answer from there, None where nobody is."""
        return self._people_at.get((kind, address.lower()))

    @cached_property
    def destinations(self) -> dict[str, Destination]:
        """Every destination by name."""
        below = [*self._destinations.values(), *([to for _, to in ways] for ways in self._contacts.values())]
        return {found.name: found for group in below for found in reversed(group)}

    def destinations_of(self, receiver: str) -> list[Destination]:
        """Return the destinations of a receiver; none if there is no such receiver."""
        return self._destinations.get(receiver, [])

    def contacts_of(self, person: str) -> list[tuple[timedelta, Destination]] | None:
        """Return where a person is told, and how long after a step; None if there is no such person."""
        return self._contacts.get(person)

    @cached_property
    def _contacts(self) -> dict[str, list[tuple[timedelta, Destination]]]:
        known = {one.name: one for below in self._destinations.values() for one in below}
        return {
            person.name: [
                (contact.after, _destination(contact.address[0], part, person.name, known))
                for contact in person.contacts
                if (config := contact.config(self.global_)) is not None
                for part in config.parts()
            ]
            for person in self.people
        }

    @cached_property
    def _destinations(self) -> dict[str, list[Destination]]:
        known: dict[str, Destination] = {}
        return {
            receiver.name: [
                _destination(kind, part, receiver.name, known)
                for kind, config in receiver.channel_configs()
                for part in config.parts()
            ]
            for receiver in self.receivers
        }

    @cached_property
    def ways(self) -> dict[str, Way]:
        """What each destination shares a limit and a breaker with, by name."""
        return {name: _way(one) for name, one in self.destinations.items()}

    @cached_property
    def services(self) -> dict[str, list[str]]:
        """The names of the destinations of each service."""
        found: dict[str, list[str]] = {}
        for way in self.ways.values():
            found.setdefault(way.service, []).append(way.destination)
        return found

    @cached_property
    def fallback_receiver(self) -> str:
        """The receiver that is told when others cannot be: named, or called "fallback", or the root's."""
        if self.fallback:
            return self.fallback
        return "fallback" if "fallback" in self.receiver_named else str(self.route.receiver)

    @cached_property
    def _ranks(self) -> dict[str, int]:
        *others, least = self.severity_order
        ranks = {severity: rank for rank, severity in enumerate(others)}
        return {**ranks, least: len(self.severity_order)}

    def rank(self, severity: str) -> int:
        """Return 0 for the most severe; an unknown severity ranks just above the least."""
        return self._ranks.get(severity, len(self.severity_order) - 1)

    def is_urgent(self, severity: str) -> bool:
        """Return whether it is as severe as `critical`; where no severity is called so, the first."""
        return self.rank(severity) <= self._ranks.get(CRITICAL, 0)

    def severity_of(self, labels: Labels) -> str:
        """Return the severity that an alert's labels say, "none" if they say nothing."""
        return labels.get("severity") or UNKNOWN

    def most_severe(self, severities: "list[str]") -> str:
        """Return the most severe of these, "none" if there are none."""
        return min(severities, key=self.rank, default=UNKNOWN)


def _alarm_node(root: routing.Node, heartbeat: Heartbeat, position: int) -> routing.Node:
    """Return the route that the alarm of a heartbeat takes, before it goes on through the others."""
    matchers = (Matcher("alertname", EQUAL, MISSING), Matcher("heartbeat", EQUAL, heartbeat.name))
    return replace(
        root,
        path=f"heartbeats[{position}]",
        name=f"heartbeat {heartbeat.name}",
        receiver=heartbeat.receiver,
        escalation_policy=heartbeat.escalation_policy,
        group_by=None,
        group_by_all=True,  # each is an incident of its own
        matchers=matchers,
        continue_=True,
        children=(),
        key=f"{root.key}/{{{','.join(map(str, matchers))}}}",
    )


def _way(destination: Destination) -> Way:
    channel, config = KINDS[destination.kind], destination.config
    return Way(
        destination.name,
        config.service,
        config.rate_limit.limit if config.rate_limit else channel.destination_limit,
        channel.service_limit,
        channel.takes_digests,
        config.edit_costs or 1,
    )


def _destination(kind: str, config: Any, receiver: str, known: dict[str, Destination]) -> Destination:
    """Return the destination of a channel config, and remember it in `known`.

    The same address with other settings (another workspace, another template) is another
    destination, so its name says which receiver it belongs to.
    """
    name, count = config.destination, 1
    while name in known and known[name].config != config:
        count += 1
        name = (
            f"{config.destination} ({receiver})"
            if count == 2
            else f"{config.destination} ({receiver} {count})"
        )
    return known.setdefault(name, Destination(name, kind, config, receiver))
