"""What does Tocsin say about itself? A self-alarm is an alert like any other, from the source `tocsin`."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from receiver.policy.fingerprint import fingerprint
from receiver.policy.payload import Condition, Said

SOURCE = "tocsin"
BELIEVED = timedelta(minutes=15)  # a fault that is not seen again for so long is over


def self_alarm(
    alertname: str,
    labels: Mapping[str, str],
    summary: str,
    *,
    now: datetime,
    severity: str = "critical",
    lasts: timedelta | None = BELIEVED,
) -> Said:
    """Return a body that says that something is wrong with Tocsin itself.

    What lasts until somebody says that it is over (`lasts=None`) needs an `end_of_alarm`.
    """
    ends_at = None if lasts is None else now + lasts
    return _said(alertname, labels, {"summary": summary}, severity, now, firing=True, ends_at=ends_at)


def end_of_alarm(
    alertname: str, labels: Mapping[str, str], *, now: datetime, severity: str = "critical"
) -> Said:
    """Return a body that says that it is over."""
    return _said(alertname, labels, {}, severity, now, firing=False, ends_at=now)


def _said(
    alertname: str, labels: Mapping[str, str], annotations: Mapping[str, str], severity: str, now: datetime,
    *, firing: bool, ends_at: datetime | None,
) -> Said:  # fmt: skip
    named = {"alertname": alertname, "severity": severity, **labels}
    condition = Condition(
        fingerprint=fingerprint(named),
        labels=named,
        annotations=annotations,
        firing=firing,
        starts_at=now,
        ends_at=ends_at,
        generator_url="",
    )
    return Said(
        source=SOURCE,
        received_at=now,
        digest=int(now.timestamp() * 1_000_000) ^ int(condition.fingerprint[1:], 16),  # it is news each time
        group_id=None,
        group_key=alertname,
        receiver="",
        group_labels=named,
        external_url="",
        truncated=0,
        conditions=(condition,),
    )
