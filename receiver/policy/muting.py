"""What keeps an alert quiet on purpose: a silence, a mute window, or another alert that fires?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated

from pydantic import Field

from receiver.policy.matching import LabelPatterns, Labels, LabelValues, Matcher, Matchers, combined, matches
from receiver.policy.outbox import Wait
from receiver.policy.record import Record

UNLIKELY = ("0", "Zq~ 4711 ✳")  # values that no person had in mind; who matches both, matches any


@dataclass(frozen=True, slots=True)
class Silence:
    """A person wants quiet about what matches, until a time."""

    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime  # the first instant at which it no longer counts
    made_by: str
    text: str

    def is_in_force(self, at: datetime) -> bool:
        """Return whether it counts at the instant."""
        return self.starts_at <= at < self.ends_at


class MuteWindow(Record):
    """Recurring quiet time for what matches."""

    name: Annotated[str, Field(min_length=1)]
    matchers: Matchers = ()
    time_intervals: Annotated[tuple[str, ...], Field(min_length=1)]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Cover:
    """A silence or a mute window that counts now."""

    matchers: tuple[Matcher, ...]
    until: datetime
    why: str


def covered(covers: Sequence[Cover], label_sets: Sequence[Labels]) -> Wait | None:
    """Return until when all of these alerts stay covered, and by what; None where one of them is not.

    The first of them that nothing covers any more speaks for all.
    """
    first: Cover | None = None
    for labels in label_sets:
        lasting = max((one for one in covers if matches(one.matchers, labels)), key=_until, default=None)
        if lasting is None:
            return None
        first = lasting if first is None else min(first, lasting, key=_until)
    return None if first is None else Wait(first.until, first.why)


def _until(cover: Cover) -> datetime:
    return cover.until


def narrows(matchers: Sequence[Matcher]) -> bool:
    """Return whether the matchers choose among alerts, and do not take whatever comes or nearly so.

    `a!="b"` takes nearly all there is, and `a=""` whatever does not know the label.
    """
    is_any = all(matches(matchers, {one.name: value for one in matchers}) for value in UNLIKELY)
    return not is_any and not matches(matchers, {})


class InhibitRule(Record):
    """While a source alert fires, target alerts with the same `equal` labels stay quiet."""

    name: str | None = None
    source_matchers: Matchers = ()
    source_match: LabelValues = Field(default_factory=dict)
    source_match_re: LabelPatterns = Field(default_factory=dict)
    target_matchers: Matchers = ()
    target_match: LabelValues = Field(default_factory=dict)
    target_match_re: LabelPatterns = Field(default_factory=dict)
    equal: tuple[str, ...] = ()

    @cached_property
    def source(self) -> tuple[Matcher, ...]:
        """Return what a source alert must satisfy."""
        return combined(self.source_matchers, self.source_match, self.source_match_re)

    @cached_property
    def target(self) -> tuple[Matcher, ...]:
        """Return what a target alert must satisfy."""
        return combined(self.target_matchers, self.target_match, self.target_match_re)


def inhibited_by(
    rules: Iterable[InhibitRule], labels: Labels, firing: Iterable[Labels]
) -> tuple[InhibitRule, Labels] | None:
    """Return the first rule that keeps the alert quiet, and the labels of the alert that fires.

    `firing` holds the labels of every alert that fires now; the alert itself may be among them.
    """
    sources = list(firing)
    for rule in rules:
        if matches(rule.target, labels):
            source = _source(rule, labels, sources)
            if source is not None:
                return rule, source
    return None


def _source(rule: InhibitRule, labels: Labels, firing: list[Labels]) -> Labels | None:
    two_sided = matches(rule.source, labels)  # such an alert must not be hidden by its own kind, or by itself
    for source in firing:
        if (
            matches(rule.source, source)
            and all(source.get(name, "") == labels.get(name, "") for name in rule.equal)
            and not (two_sided and matches(rule.target, source))
        ):
            return source
    return None
