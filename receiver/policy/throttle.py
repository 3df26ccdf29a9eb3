"""How often may a destination or a service be used, and by whom first?

A bucket is one instant, `free_at`: when all that was taken has been earned back (the generic cell rate
algorithm). A breaker is a count of failures and the instant of the next probe. Both are rows, so that
replicas share them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

OPENS_AFTER = 5  # temporary failures in a row; fewer happen on any bad day
FIRST_PROBE = timedelta(seconds=1)
LAST_PROBE = timedelta(seconds=30)  # a page is never more than this late once its service is back
KEPT_OF_BURST = 4  # one part in four of what may be used at once is kept for what is urgent
DIGEST_FROM = 20  # as many as fill a phone's screen twice; more at once nobody reads one by one
BETWEEN_DIGESTS = timedelta(seconds=30)  # as long as an update keeps its distance, `group_interval`
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate, and how much may be used at once before it counts."""

    count: int
    per: timedelta
    burst: int

    @property
    def pace(self) -> timedelta:
        """How long one use takes to be earned back."""
        return self.per / self.count

    def __str__(self) -> str:
        """Return what tells it from every other limit."""
        return f"{self.count} in {self.per.total_seconds():g} s, {self.burst} at once"


@dataclass(frozen=True, slots=True)
class Throttle:
    """What is known of a destination or a service; nothing known keeps nobody waiting."""

    free_at: datetime = LONG_AGO
    failures: int = 0  # temporary ones in a row
    probe_at: datetime | None = None  # the breaker is open, and one attempt may be made then
    under: str = ""  # the limit that `free_at` was counted under; under another it says nothing

    @property
    def is_open(self) -> bool:
        """Whether only probes are tried."""
        return self.probe_at is not None


UNKNOWN = Throttle()


def free_at(throttle: Throttle, limit: Limit | None) -> datetime:
    """Return when all that was taken under this limit has been earned back."""
    return throttle.free_at if throttle.under == _name(limit) else LONG_AGO


def _name(limit: Limit | None) -> str:
    return "" if limit is None else str(limit)


def usable_at(throttle: Throttle, limit: Limit | None, *, urgent: bool) -> datetime:
    """Return from when on the bucket has one more; without a limit, until when it asked to be left alone."""
    if limit is None:
        return free_at(throttle, limit)
    kept = 0 if urgent else limit.burst // KEPT_OF_BURST
    return free_at(throttle, limit) - (limit.burst - kept - 1) * limit.pace


def used(throttle: Throttle, limit: Limit | None, now: datetime, times: int = 1) -> Throttle:
    """Return the bucket with one taken out of it, or more; it may owe some then."""
    if limit is None:
        return throttle
    earned_back = max(free_at(throttle, limit), now) + times * limit.pace
    return replace(throttle, free_at=earned_back, under=_name(limit))


def left_alone(throttle: Throttle, limit: Limit | None, until: datetime) -> Throttle:
    """Return the bucket of a service that asked to wait: nothing is in it until then."""
    earned_back = until if limit is None else until + (limit.burst - 1) * limit.pace
    return replace(throttle, free_at=max(free_at(throttle, limit), earned_back), under=_name(limit))


def failed(throttle: Throttle, now: datetime, *, is_probe: bool, luck: float) -> Throttle:
    """Return the breaker after a temporary failure; `luck` is between a half and one.

    While it is open only probes count: what was under way as it opened says nothing new.
    """
    if throttle.is_open and not is_probe:
        return throttle
    failures = throttle.failures + 1
    if failures < OPENS_AFTER:
        return replace(throttle, failures=failures)
    wait = min(LAST_PROBE, FIRST_PROBE * 2 ** min(failures - OPENS_AFTER, 10))
    return replace(throttle, failures=failures, probe_at=now + wait * luck)


def answered(throttle: Throttle) -> Throttle:
    """Return the breaker after a success: closed."""
    return replace(throttle, failures=0, probe_at=None)


def share(mine: int, left: int, most: int) -> int:
    """Return how many more slots may be taken by somebody who has `mine`, when `left` are free.

    Nobody takes more than half of what the others leave, so that however many hang, one more still finds
    room; and nobody takes more than `most`.
    """
    return max(0, min(most, max(1, (left + mine) // 2)) - mine)


@dataclass(frozen=True, slots=True)
class Way:
    """What a destination shares, and with whom."""

    destination: str
    service: str
    limit: Limit | None = None
    service_limit: Limit | None = None
    takes_digests: bool = False
    edit_costs: int = 1  # of what the service takes, where a new message costs one

    @property
    def edit_pace(self) -> timedelta:
        """How long an edit takes to be earned back."""
        paces = (
            self.limit.pace if self.limit else None,
            self.service_limit.pace * self.edit_costs if self.service_limit else None,
        )
        return max((pace for pace in paces if pace is not None), default=timedelta())


@dataclass(frozen=True, slots=True)
class Slots:
    """How many attempts may be under way at a time."""

    most: int
    kept_for_urgent: int
    most_of_service: int
    most_of_destination: int


def bucket(destination: str) -> str:
    """Return the name of a destination's throttle."""
    return f"destination {destination}"


def breaker(service: str) -> str:
    """Return the name of a service's throttle."""
    return f"service {service}"


def digests(destination: str) -> str:
    """Return the name of what keeps digests to a destination apart."""
    return f"digest {destination}"


@dataclass(slots=True)
class Gate:
    """Lets through what may be handed out now, and remembers what it let through."""

    now: datetime
    ways: Mapping[str, Way]  # by destination
    services: Mapping[str, Sequence[str]]  # the destinations of each
    throttles: dict[str, Throttle]  # by name, as far as they keep anybody waiting
    slots: Slots
    under_way: dict[str, int]  # attempts, by destination
    probing: set[str] = field(default_factory=set)  # services whose probe was let through
    by_service: dict[str, int] = field(init=False)
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = sum(self.under_way.values())
        self.by_service = {}
        for destination, count in self.under_way.items():
            service = self.way(destination).service
            self.by_service[service] = self.by_service.get(service, 0) + count

    def way(self, destination: str) -> Way:
        """Return what is known of a destination; one that routing.yaml lost shares nothing."""
        return self.ways.get(destination) or Way(destination, f"lost {destination}")

    def known(self, name: str) -> Throttle:
        """Return the throttle of this name."""
        return self.throttles.get(name, UNKNOWN)

    def left(self, *, urgent: bool) -> int:
        """Return how many slots are free; the last ones are kept for what is urgent."""
        kept = 0 if urgent else self.slots.kept_for_urgent
        return max(0, self.slots.most - kept - self.total)

    def is_open_to(self, destination: str, *, urgent: bool) -> bool:
        """Return whether one more may go to this destination."""
        way = self.way(destination)
        return self._has_service_room(way, urgent=urgent) and self.has_room(destination, urgent=urgent)

    def has_room(self, destination: str, *, urgent: bool) -> bool:
        """Return whether the destination itself may be used once more."""
        way = self.way(destination)
        mine, left = self.under_way.get(way.destination, 0), self.left(urgent=urgent)
        return (
            usable_at(self.known(bucket(way.destination)), way.limit, urgent=urgent) <= self.now
            and (urgent or self.known(digests(way.destination)).free_at <= self.now)
            and left > 0
            and share(mine, left, self.slots.most_of_destination) > 0
        )

    def _has_service_room(self, way: Way, *, urgent: bool) -> bool:
        """Return whether the service may be used once more; an open breaker lets probes through elsewhere."""
        throttle, left = self.known(breaker(way.service)), self.left(urgent=urgent)
        return (
            not throttle.is_open
            and usable_at(throttle, way.service_limit, urgent=urgent) <= self.now
            and share(self.by_service.get(way.service, 0), left, self.slots.most_of_service) > 0
        )

    def closed(self, *, urgent: bool) -> set[str]:
        """Return the destinations that nothing may go to now."""
        names = {kind: set[str]() for kind in ("service", "destination", "digest")}
        for name in self.throttles:
            kind, _, rest = name.partition(" ")
            names[kind].add(rest)
        found: set[str] = set()
        for service in names["service"] | set(self.by_service):
            among = self.services.get(service, ())
            if among and not self._has_service_room(self.way(among[0]), urgent=urgent):
                found.update(among)
        alone = (names["destination"] | names["digest"] | set(self.under_way)) - found
        found.update(name for name in alone if not self.has_room(name, urgent=urgent))
        return found

    def is_crowded(self) -> bool:
        """Return whether somebody waits for a slot, rather than for a throttle."""
        left = self.left(urgent=False)
        return (
            left <= 0
            or any(share(one, left, self.slots.most_of_destination) <= 0 for one in self.under_way.values())
            or any(share(one, left, self.slots.most_of_service) <= 0 for one in self.by_service.values())
        )

    def let_through(self, destination: str) -> None:
        """Note that one goes to this destination."""
        way = self.way(destination)
        self.total += 1
        self.under_way[destination] = self.under_way.get(destination, 0) + 1
        self.by_service[way.service] = self.by_service.get(way.service, 0) + 1
        for name, limit in ((bucket(destination), way.limit), (breaker(way.service), way.service_limit)):
            if limit is not None:
                self.throttles[name] = used(self.known(name), limit, self.now)

    def edit(self, destination: str, count: int) -> None:
        """Note that so many of what was let through are edits: the service counts them apart."""
        way = self.way(destination)
        name, more = breaker(way.service), count * (way.edit_costs - 1)
        if way.service_limit is not None and more > 0:
            self.throttles[name] = used(self.known(name), way.service_limit, self.now, more)

    def may_probe(self) -> list[str]:
        """Return the services whose breaker is open and whose probe is due."""
        return [
            name.removeprefix("service ")
            for name, one in self.throttles.items()
            if name.startswith("service ") and one.probe_at is not None and one.probe_at <= self.now
        ]

    def probe(self, service: str, until: datetime) -> None:
        """Note that the probe of a service goes; there is no other until it ended, or until then."""
        self.probing.add(service)
        name = breaker(service)
        self.throttles[name] = replace(self.known(name), probe_at=until)

    def hold_back(self, destination: str) -> None:
        """Note that a digest goes to this destination: the next keeps its distance."""
        self.throttles[digests(destination)] = Throttle(free_at=self.now + BETWEEN_DIGESTS)

    def next_at(self) -> datetime | None:
        """Return when the first of the throttles lets somebody through again."""
        moments: list[datetime] = []
        for name, one in self.throttles.items():
            kind, _, rest = name.partition(" ")
            among = self.services.get(rest, ()) if kind == "service" else (rest,)
            way = self.way(among[0] if among else rest)
            limit = {"service": way.service_limit, "destination": way.limit}.get(kind)
            moments += [usable_at(one, limit, urgent=urgent) for urgent in (True, False)]
            moments += [one.probe_at] if one.probe_at is not None else []
        return min((moment for moment in moments if moment > self.now), default=None)
