"""What does Tocsin say about itself?"""

from datetime import UTC, datetime, timedelta

from receiver.policy.fingerprint import fingerprint
from receiver.policy.watching import BELIEVED, SOURCE, end_of_alarm, self_alarm

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)


def test_a_self_alarm_is_an_alert_like_any_other():
    said = self_alarm("TocsinQuarantine", {"from": "prod"}, "why", now=NOW)

    (condition,) = said.conditions
    assert said.source == SOURCE == "tocsin"
    assert condition.labels == {"alertname": "TocsinQuarantine", "severity": "critical", "from": "prod"}
    assert condition.annotations == {"summary": "why"}
    assert condition.fingerprint == fingerprint(condition.labels)
    assert said.group_labels == condition.labels


def test_a_self_alarm_ends_by_itself_when_it_is_not_raised_again():
    (condition,) = self_alarm("A", {}, "", now=NOW).conditions

    assert condition.firing
    assert condition.ends_at == NOW + BELIEVED


def test_a_self_alarm_is_news_each_time_and_no_part_of_a_group():
    first, second = (self_alarm("A", {}, "", now=NOW + n * timedelta(seconds=1)) for n in range(2))

    assert first.digest != second.digest
    assert first.group_id is None


def test_an_end_ends_the_alarm_with_the_same_labels():
    (raised,) = self_alarm("TocsinCalendar", {"schedule": "primary"}, "why", now=NOW, lasts=None).conditions
    (ended,) = end_of_alarm("TocsinCalendar", {"schedule": "primary"}, now=NOW).conditions

    assert (raised.firing, raised.ends_at) == (True, None)
    assert (ended.firing, ended.ends_at) == (False, NOW)
    assert ended.fingerprint == raised.fingerprint
