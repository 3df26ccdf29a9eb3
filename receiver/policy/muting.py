"""Which firing alert keeps another one quiet?"""

from collections.abc import Iterable
from functools import cached_property

from pydantic import Field

from receiver.policy.matching import LabelPatterns, Labels, LabelValues, Matcher, Matchers, combined, matches
from receiver.policy.record import Record


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
