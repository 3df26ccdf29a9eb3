"""Is something silent that should always be heard?"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from receiver.policy.durations import Duration
from receiver.policy.matching import EQUAL, REGEX, Labels, Matcher, Matchers, matches
from receiver.policy.record import Record

MISSING = "TocsinHeartbeatMissing"  # the alertname of the self-alarm
UNKNOWN = timedelta(hours=1)  # between two beats, until it is learned
ENOUGH_GAPS = 3  # between beats, to believe them; the first may be short by chance
MOST_GAPS = 5  # that are remembered; the longest of them counts
SHORTEST_GAP = timedelta(seconds=10)  # a retry, or a highly available peer, is no second beat
LEAST_TOLERANCE = timedelta(minutes=1)  # Alertmanager waits for its peers, and tries again
MOST_TOLERANCE = timedelta(minutes=15)


def _check_matchers(given: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
    if not any(one.op in {EQUAL, REGEX} and not one.matches({}) for one in given):
        raise ValueError('takes alerts that then open no incident; say which, such as alertname="Watchdog"')
    return given


def _check_every(every: timedelta | None) -> timedelta | None:
    if every is not None and every < SHORTEST_GAP:
        raise ValueError("must be 10s or longer; leave it out to have it learned")
    return every


class Heartbeat(Record):
    """An alert that always fires; that it is not heard is the alarm."""

    name: Annotated[str, Field(min_length=1)]
    matchers: Annotated[Matchers, AfterValidator(_check_matchers)]
    every: Annotated[Duration | None, AfterValidator(_check_every)] = None  # None: learned
    receiver: str | None = None
    escalation_policy: str | None = None


def beating(heartbeats: Iterable[Heartbeat], labels: Labels) -> list[str]:
    """Return the names of the heartbeats that an alert with these labels is a beat of."""
    return [one.name for one in heartbeats if matches(one.matchers, labels)]


def with_gap(gaps: Sequence[float], gap: timedelta) -> list[float]:
    """Return the last few gaps between beats, with the one that just ended."""
    if gap < SHORTEST_GAP:
        return list(gaps)
    return [*gaps, gap.total_seconds()][-MOST_GAPS:]


def interval(every: timedelta | None, gaps: Sequence[float]) -> timedelta:
    """Return how often it is heard: as stated, else the longest of the last gaps between beats."""
    if every is not None:
        return every
    longest = timedelta(seconds=max(gaps, default=0))
    return longest if len(gaps) >= ENOUGH_GAPS else max(UNKNOWN, longest)


def missing_at(last_at: datetime, listening_since: datetime, every: timedelta) -> datetime:
    """Return when it counts as missing; while we were not listening, it was not missing."""
    tolerance = min(max(every / 2, LEAST_TOLERANCE), MOST_TOLERANCE)
    return max(last_at, listening_since) + every + tolerance
