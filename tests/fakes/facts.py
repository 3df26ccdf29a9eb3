"""An incident as the plain data that templates and channels are handed."""

from typing import Any

LABELS = {"alertname": "DiskFull", "severity": "critical", "team": "dba"}
SUMMARY = "Disk on db-1 is 91% full & <growing>"


def an_incident(**changes: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "key": "prod/alertname=DiskFull",
        "state": "triggered",
        "severity": "critical",
        "title": "DiskFull db-1",
        "labels": dict(LABELS),
        "annotations": {"summary": SUMMARY, "description": 'It is "full" in two hours.\nMake room now.'},
        "source": "prod",
        "started_at": "2026-11-20T03:07:00Z",
        "acknowledged_at": None,
        "acknowledged_by": None,
        "acknowledged_how": "",
        "snoozed_until": None,
        "since": "2026-11-20T03:07:00Z",
        "where": "",
        "resolved_at": None,
        "alerts": {"firing": 2, "total": 2},
        "routes": ["critical"],
        "drill": False,
        "url": "https://tocsin.example.org/incidents/7",
        **changes,
    }


def an_alert(**changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": LABELS | {"instance": "db-1"},
        "annotations": {"summary": SUMMARY},
        "starts_at": "2026-11-20T03:07:00Z",
        "ends_at": None,
        "fingerprint": "6cb60f1bdc7dbb1a",
        "generator_url": "http://prometheus.example.org:9090/graph?g0.expr=disk",
        **changes,
    }


def some_facts(**changes: Any) -> dict[str, Any]:
    return {
        "event": "triggered",
        "reason": "new_alerts",
        "reason_text": "1 new alert",
        "receiver": "ops",
        "route": "critical",
        "public_url": "https://tocsin.example.org",
        "incident": an_incident(),
        "alerts": [
            an_alert(),
            an_alert(labels=LABELS | {"instance": "db-2"}, annotations={}, fingerprint="6cb60f1bdc7dbb1b"),
        ],
        "alerts_omitted": 0,
        "group_labels": {"alertname": "DiskFull"},
        "group_key": '{}/{severity="critical"}:{alertname="DiskFull"}',
        "common_labels": dict(LABELS),
        "common_annotations": {},
        "external_url": "http://alertmanager.example.org:9093",
        "runbook_url": "https://runbooks.example.org/DiskFull?step=1&of=3",
        "dashboard_url": "https://grafana.example.org/d/disks",
        "source_url": "http://prometheus.example.org:9090/graph?g0.expr=disk",
        "offers": ["acknowledge", "snooze", "resolve"],
        "answer_links": {
            verb: f"https://tocsin.example.org/answer/{verb}-signed"
            for verb in ("acknowledge", "unacknowledge", "snooze", "resolve")
        },
        "truncated_alerts": 0,
        "fallback_for": None,
        **changes,
    }


def a_digest(count: int = 25, **changes: Any) -> dict[str, Any]:
    """Return what one message about many incidents may say."""
    incidents = [an_incident(id=n, title=f"DiskFull db-{n}", severity="warning") for n in range(1, 21)]
    return {
        **some_facts(event="digest", reason="first", reason_text=f"{count} incidents at once"),
        "incident": incidents[0],
        "incidents": incidents,
        "incidents_omitted": count - 20,
        "count": count,
        "list_url": "https://tocsin.example.org/",
        "alerts": [],
        "offers": [],
        "answer_links": {},
        **changes,
    }
