"""What is told of an incident, as plain data: to templates, to webhooks and to the API."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver.policy.grouping import in_common
from receiver.policy.incident import OFFERED, MessageEvent, Reason, State

Row = dict[str, Any]

RUNBOOK = ("runbook_url", "runbook")  # annotations that hold a link, the first that does counts
DASHBOARD = ("dashboard_url", "dashboard")
WHERE = (
    "instance",
    "node",
    "host",
    "service",
    "namespace",
    "cluster",
)  # labels that say where, narrow to wide
MOST_PLACES = 2  # of them; a lock screen shows one line
NO_LINKS: Mapping[str, str] = {}
MOST_IN_A_DIGEST = 20  # more than anybody reads on a phone; the list has them all
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
    Reason.LAPSED: "it was acknowledged long ago, and still fires",
    Reason.NOTE: "a note was added",
    Reason.ESCALATED: "nobody acknowledged it in time",
    Reason.ASSIGNED: "it was given to you",
    Reason.SNOOZED: "snoozed for a while",
    Reason.SNOOZE_OVER: "the snooze is over, and it still fires",
    Reason.REPEAT_DUE: "still firing, and nobody is on it",
    Reason.OUTDATED: "a digest told more than its message shows",
    Reason.FALLBACK: "another destination could not be reached",
    Reason.HEALED: "it came and went while you were away",
    Reason.HANDED_OVER: "it is open as you come on call",
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
        "acknowledged_how": row["acknowledged_how"] or "",
        "snoozed_until": instant(row["snoozed_until"]),
        "resolved_at": instant(row["resolved_at"]),
        "last_seen_at": instant(row["last_seen_at"]),
        "alerts": {"firing": row["firing"], "total": row["total"]},
        "truncated_alerts": row["truncated"],
        "flapping": row["flapping_at"] is not None,
        "routes": row["routes"],
        "drill": row["drill"],
        "url": f"{base_url}/incidents/{row['id']}",
    }


def told_facts(row: Row, base_url: str, alerts: Sequence[Row] = ()) -> dict[str, Any]:
    """Return an incident as messages show it: with what only matters at the moment.

    It began when its first alert did, which may be long before we heard of it.
    """
    return {
        **incident_facts(row, base_url),
        "since": instant(min([row["started_at"], *(alert["starts_at"] for alert in alerts)])),
        "where": where(row),
    }


def where(incident: Row) -> str:
    """Return where it happens, in a few words: what its title and its summary leave open."""
    said = f"{incident['title']} {incident['annotations'].get('summary', '')}"
    found = [incident["labels"][name] for name in WHERE if incident["labels"].get(name)]
    return ", ".join([value for value in dict.fromkeys(found) if value not in said][:MOST_PLACES])


def reason_text(reason: Reason, incident: Row) -> str:
    """Return why people are told, in a few words."""
    if reason in {Reason.ACKNOWLEDGED, Reason.ESCALATED} and incident["acknowledged_by"]:
        how = f", {incident['acknowledged_how']}" if incident["acknowledged_how"] else ""
        return f"acknowledged by {incident['acknowledged_by']}{how}"
    if reason is Reason.ALL_RESOLVED and incident["firing"]:
        return "resolved by hand"
    if reason is Reason.SNOOZED and incident["snoozed_until"]:
        return f"snoozed until {incident['snoozed_until']:%Y-%m-%d %H:%M} UTC"
    return REASON_TEXTS[reason]


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
    incident: Row, alerts: Sequence[Row], notification: Row, *, event: str, base_url: str,
    answer_links: Mapping[str, str] = NO_LINKS,
) -> dict[str, Any]:  # fmt: skip
    """Return all that a message about an incident may say.

    `answer_links` lead to pages that ask before they do something, one for each verb; whoever has them
    may answer in the name of the destination.
    """
    reason = Reason(notification["reason"])
    shown = sorted(alerts, key=lambda alert: (alert["state"] != "firing", alert["starts_at"]))
    upstream = incident["upstream"]
    annotations = _annotations(incident["annotations"], alerts)
    return {
        "event": event,
        "reason": str(reason),
        "reason_text": reason_text(reason, incident),
        "receiver": notification["receiver"],
        "route": notification["route"],
        "public_url": base_url,
        "incident": told_facts(incident, base_url, alerts),
        "alerts": [alert_facts(alert) for alert in shown[:MOST_ALERTS]],
        "alerts_omitted": max(0, len(shown) - MOST_ALERTS),
        "group_labels": incident["group_labels"],
        "group_key": upstream.get("group_key", ""),
        "common_labels": in_common([alert["labels"] for alert in alerts]),
        "common_annotations": in_common([alert["annotations"] for alert in alerts]),
        "external_url": upstream.get("url", ""),
        "runbook_url": _web_address(annotations, RUNBOOK),
        "dashboard_url": _web_address(annotations, DASHBOARD),
        "source_url": next((url for url in (one["generator_url"] for one in shown) if _is_web(url)), None),
        "offers": [str(verb) for verb in OFFERED[State(incident["state"])]],
        "answer_links": dict(answer_links),
        "truncated_alerts": incident["truncated"],
        "fallback_for": notification["fallback_for"],
    }


def digest_facts(
    members: Sequence[Row], notification: Row, *, base_url: str, count: int | None = None
) -> dict[str, Any]:
    """Return all that one message about many incidents may say.

    `members` are the incidents, the most severe first; `notification` is owed about the first of them.
    """
    count = count or len(members)
    is_over = notification["reason"] == Reason.HEALED
    shown = [told_facts(row, base_url) for row in members[:MOST_IN_A_DIGEST]]
    return {
        "event": MessageEvent.DIGEST,
        "reason": notification["reason"],
        "reason_text": _digest_text(Reason(notification["reason"]), count),
        "receiver": notification["receiver"],
        "route": notification["route"],
        "public_url": base_url,
        "incident": shown[0],
        "incidents": shown,
        "incidents_omitted": count - len(shown),
        "count": count,
        "list_url": f"{base_url}/?state=resolved" if is_over else f"{base_url}/",
        "alerts": [],
        "alerts_omitted": 0,
        "group_labels": {},
        "group_key": "",
        "common_labels": in_common([row["labels"] for row in members]),
        "common_annotations": {},
        "external_url": "",
        "runbook_url": None,
        "dashboard_url": None,
        "source_url": None,
        "offers": [],
        "answer_links": {},
        "truncated_alerts": 0,
        "fallback_for": None,
    }


def _digest_text(reason: Reason, count: int) -> str:
    incidents = f"{count} incidents" if count > 1 else "1 incident"
    if reason is Reason.HEALED:
        return f"{incidents} came and went while you were away"
    if reason is Reason.HANDED_OVER:
        return f"{incidents} open as you come on call"
    return f"{incidents} at once"


def runbook_url(annotations: Mapping[str, str], alerts: Sequence[Row]) -> str | None:
    """Return the first web address that an annotation names as the runbook."""
    return _web_address(_annotations(annotations, alerts), RUNBOOK)


def _annotations(first: Mapping[str, str], alerts: Sequence[Row]) -> list[Mapping[str, str]]:
    return [first, *(alert["annotations"] for alert in alerts)]


def _web_address(annotations: Iterable[Mapping[str, str]], names: Sequence[str]) -> str | None:
    found = (one.get(name, "") for one in annotations for name in names)
    return next((url for url in found if _is_web(url)), None)


def _is_web(url: str) -> bool:
    return url.startswith(("http://", "https://"))
