"""What is told of an incident, as plain data: to templates, to webhooks and to the API."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver.policy.grouping import in_common
from receiver.policy.incident import Reason

Row = dict[str, Any]

MOST_ALERTS = 50  # of one message; the page of the incident has them all
REASON_TEXTS = {
    Reason.FIRST: "it fires",
    Reason.NEW_ALERTS: "more alerts fire",
    Reason.MORE_SEVERE: "the severity rose",
    Reason.SOME_RESOLVED: "some alerts resolved",
    Reason.ALL_RESOLVED: "all alerts resolved",
    Reason.REOPENED: "it fires again",
    Reason.FLAPPING: "it comes and goes; quiet until it is stable",
    Reason.ACKNOWLEDGED: "somebody is on it",
    Reason.UNACKNOWLEDGED: "nobody is on it any more",
    Reason.NOTE: "a note was added",
    Reason.REPEAT_DUE: "still firing, and nobody is on it",
    Reason.FALLBACK: "another destination could not be reached",
}


def instant(value: datetime | None) -> str | None:
    """Return a time as RFC 3339 in UTC."""
    return value.isoformat().replace("+00:00", "Z") if value is not None else None


def incident_facts(row: Row, base_url: str) -> dict[str, Any]:
    """Return an incident as the public contract shows it (design.md, 4.3)."""
    return {
        "id": row["id"],
        "key": row["key"],
        "state": str(row["state"]),
        "severity": row["severity"],
        "title": row["title"],
        "labels": row["labels"],
        "annotations": row["annotations"],
        "source": row["source"],
        "started_at": instant(row["started_at"]),
        "acknowledged_at": instant(row["acknowledged_at"]),
        "acknowledged_by": row["acknowledged_by"],
        "resolved_at": instant(row["resolved_at"]),
        "last_seen_at": instant(row["last_seen_at"]),
        "alerts": {"firing": row["firing"], "total": row["total"]},
        "truncated_alerts": row["truncated"],
        "flapping": row["flapping_at"] is not None,
        "routes": row["routes"],
        "drill": row["drill"],
        "url": f"{base_url}/incidents/{row['id']}",
    }


def alert_facts(row: Row) -> dict[str, Any]:
    """Return one alert."""
    return {
        "status": row["state"],
        "labels": row["labels"],
        "annotations": row["annotations"],
        "starts_at": instant(row["starts_at"]),
        "ends_at": instant(row["ends_at"]),
        "vanished_at": instant(row["vanished_at"]),
        "fingerprint": row["fingerprint"],
        "generator_url": row["generator_url"],
    }


def message_facts(
    incident: Row, alerts: Sequence[Row], notification: Row, *, event: str, base_url: str
) -> dict[str, Any]:
    """Return all that a message about an incident may say."""
    reason = Reason(notification["reason"])
    shown = sorted(alerts, key=lambda alert: (alert["state"] != "firing", alert["starts_at"]))
    upstream = incident["upstream"]
    return {
        "event": event,
        "reason": str(reason),
        "reason_text": REASON_TEXTS[reason],
        "receiver": notification["receiver"],
        "route": notification["route"],
        "public_url": base_url,
        "incident": incident_facts(incident, base_url),
        "alerts": [alert_facts(alert) for alert in shown[:MOST_ALERTS]],
        "alerts_omitted": max(0, len(shown) - MOST_ALERTS),
        "group_labels": incident["group_labels"],
        "group_key": upstream.get("group_key", ""),
        "common_labels": in_common([alert["labels"] for alert in alerts]),
        "common_annotations": in_common([alert["annotations"] for alert in alerts]),
        "external_url": upstream.get("url", ""),
        "runbook_url": runbook_url(incident["annotations"], alerts),
        "truncated_alerts": incident["truncated"],
        "fallback_for": notification["fallback_for"],
    }


def runbook_url(annotations: Mapping[str, str], alerts: Sequence[Row]) -> str | None:
    """Return the first web address that an annotation names as the runbook."""
    for one in (annotations, *(alert["annotations"] for alert in alerts)):
        for name in ("runbook_url", "runbook"):
            url: str = one.get(name, "")
            if url.startswith(("http://", "https://")):
                return url
    return None
