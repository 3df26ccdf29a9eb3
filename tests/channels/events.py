"""One night, told to every channel: what does each say when it triggers, escalates, grows, is taken, ends?

A channel's test names its kind and compares what the service would be sent with a golden file:

    @pytest.mark.parametrize("name", EVENTS)
    def test_messages_look_as_they_did(name):
        content = payload(CONFIG, as_message("slack", name))
        check_golden("slack", name, "json", content)

Run with TOCSIN_GOLDEN=write after a wanted change, and read the difference.

The rows below go through `message_facts`, so a message here has exactly the facts that a real one has.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from receiver.channels import KINDS
from receiver.channels.base import Message
from receiver.pipeline.facts import digest_facts, message_facts
from receiver.policy import grouping
from receiver.policy.fingerprint import fingerprint
from receiver.policy.incident import MessageEvent, Reason
from receiver.templating import Rendered, Templates

GOLDENS = Path(__file__).parent / "goldens"
TEMPLATES = Templates()
BASE = "https://tocsin.example.org"
ALERTMANAGER = "https://alertmanager.example.org"

Row = dict[str, Any]


def at(hour: int, minute: int, second: int = 0) -> datetime:
    """A moment of the night in question."""
    return datetime(2026, 11, 20, hour, minute, second, tzinfo=UTC)


def _alert(labels: Mapping[str, str], annotations: Mapping[str, str], began: datetime, **changes: Any) -> Row:
    source = "https://prometheus.example.org/graph?g0.expr=rate%28x%5B5m%5D%29+%3E+0&g0.tab=1"
    return {
        "state": "firing",
        "labels": dict(labels),
        "annotations": dict(annotations),
        "starts_at": began,
        "ends_at": None,
        "vanished_at": None,
        "fingerprint": fingerprint(labels),
        "generator_url": source,
        **changes,
    }


def _crash(pod: str, began: datetime, **changes: Any) -> Row:
    """One alert of kube-prometheus's rule KubePodCrashLooping (Apache-2.0), with the texts of that rule."""
    labels = {
        "alertname": "KubePodCrashLooping",
        "cluster": "prod-eu",
        "container": "checkout",
        "job": "kube-state-metrics",
        "namespace": "payments",
        "pod": pod,
        "reason": "CrashLoopBackOff",
        "severity": "critical",
        "team": "payments",
    }
    waiting = 'is in waiting state (reason: "CrashLoopBackOff") on cluster prod-eu.'
    annotations = {
        "summary": "Pod is crash looping.",
        "description": f"Pod payments/{pod} (checkout) {waiting}",
        "runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping",
        "dashboard_url": "https://grafana.example.org/d/pods?var-namespace=payments&from=now-1h&to=now",
    }
    return _alert(labels, annotations, began, **changes)


def _lag(**changes: Any) -> Row:
    labels = {
        "alertname": "PostgresReplicationLag",
        "cluster": "prod-eu",
        "instance": "pg-2.prod.example.org:9187",
        "severity": "critical",
        "team": "dba",
    }
    annotations = {
        "summary": "pg-2 is 4 min 12 s behind its primary",
        "description": "Reads from pg-2 are stale, and a failover now would lose what is not replicated.\n"
        "It began when the nightly export started.",
        "runbook_url": "https://runbooks.example.org/postgres/replication-lag",
    }
    return _alert(labels, annotations, at(2, 58), **changes)


def _drilled() -> Row:
    labels = {"alertname": "Drill", "severity": "info", "service": "checkout"}
    said = {"summary": "A drill: nothing is wrong, and nothing needs to be done."}
    return _alert(labels, said, at(10, 0), generator_url="")


def _incident(id_: int, alerts: list[Row], **changes: Any) -> Row:
    """A row as the pipeline writes it: what its alerts say together is computed as there."""
    firing = [alert for alert in alerts if alert["state"] == "firing"]
    shown = firing or alerts
    labels = grouping.in_common([alert["labels"] for alert in shown])
    grouped_by = {name: labels[name] for name in ("alertname", "cluster", "namespace") if name in labels}
    said = ", ".join(f'{name}="{value}"' for name, value in grouped_by.items())
    return {
        "id": id_,
        "key": grouping.incident_key("prod", grouped_by, None),
        "state": "triggered",
        "severity": labels["severity"],
        "title": grouping.title(alert["labels"] for alert in shown),
        "labels": labels,
        "annotations": grouping.in_common([alert["annotations"] for alert in shown]),
        "source": "prod",
        "started_at": min(alert["starts_at"] for alert in alerts),
        "acknowledged_at": None,
        "acknowledged_by": None,
        "acknowledged_how": None,
        "snoozed_until": None,
        "resolved_at": None,
        "last_seen_at": at(2, 49),
        "firing": len(firing),
        "total": len(alerts),
        "truncated": 0,
        "flapping_at": None,
        "routes": ["critical"],
        "drill": False,
        "group_labels": grouped_by,
        "upstream": {"group_key": f'{{}}/{{severity="critical"}}:{{{said}}}', "url": ALERTMANAGER},
        **changes,
    }


@dataclass(frozen=True)
class Told:
    """One moment of the night, and what is owed about it."""

    event: MessageEvent
    reason: Reason
    incident: Row
    alerts: list[Row]
    notification_id: int
    is_first: bool = False  # nothing was told before


PODS = ["checkout-7d9f8c6b5-k2x4m", "checkout-7d9f8c6b5-p8wqz", "checkout-7d9f8c6b5-tn6vd"]
TWO = [_crash(PODS[0], at(2, 47)), _crash(PODS[1], at(2, 48))]
THREE = [*TWO, _crash(PODS[2], at(2, 55))]
MIXED = [THREE[0], THREE[2], _crash(PODS[1], at(2, 48), state="resolved", ends_at=at(2, 54))]
ENDED = [_crash(pod, at(2, 47), state="resolved", ends_at=at(3, 21)) for pod in PODS]
TAKEN = {
    "state": "acknowledged",
    "acknowledged_at": at(2, 53, 10),
    "acknowledged_by": "ana",
    "acknowledged_how": "from Telegram, 40 s after the page",
}


def _storm() -> list[Row]:
    """Return the incidents of a storm, the most severe first."""
    nodes = [f"node-{number}.prod.example.org" for number in range(1, 5)]
    down = {"alertname": "KubeNodeNotReady", "cluster": "prod-eu", "severity": "warning"}
    said = {"summary": "Node is not ready."}
    disk = {"alertname": "NodeFilesystemAlmostOutOfSpace", "instance": "node-7", "severity": "info"}
    full = _alert(disk, {"summary": "Filesystem has less than 5% space left."}, at(3, 2))
    return [
        _incident(1050, [_lag()], routes=["dba"]),
        *(
            _incident(1051 + number, [_alert(down | {"node": node}, said, at(3, 1))])
            for number, node in enumerate(nodes)
        ),
        _incident(1060, [full], **TAKEN),
    ]


def _night() -> list[Row]:
    """Return what came and went in a night."""
    over = {"state": "resolved", "firing": 0}
    disk = {"alertname": "DiskWillFill", "instance": "node-7", "severity": "warning"}
    slow = {"alertname": "HighLatency", "service": "search", "severity": "warning"}
    cert = {"alertname": "CertificateExpires", "service": "shop", "severity": "info"}
    return [
        _incident(1061, [_alert(disk, {}, at(1, 5))], **over, resolved_at=at(1, 50)),
        _incident(1063, [_alert(slow, {}, at(3, 20))], **over, resolved_at=at(3, 31)),
        _incident(1066, [_alert(cert, {}, at(4, 2))], **over, resolved_at=at(5, 2)),
    ]


def _open() -> list[Row]:
    """Return what is open as somebody comes on call."""
    disk = {"alertname": "DiskWillFill", "instance": "node-7", "severity": "warning"}
    return [_incident(1042, TWO, **TAKEN), _incident(1061, [_alert(disk, {}, at(1, 5))])]


DIGESTS = {"digest", "healed", "handed_over"}  # programs, and the console, hear of one at a time
EVENTS: dict[str, Told] = {
    "triggered": Told(MessageEvent.TRIGGERED, Reason.FIRST, _incident(1042, TWO), TWO, 5001, is_first=True),
    "escalated": Told(MessageEvent.TRIGGERED, Reason.ESCALATED, _incident(1042, TWO), TWO, 5002),
    "updated": Told(MessageEvent.TRIGGERED, Reason.NEW_ALERTS, _incident(1042, MIXED), MIXED, 5003),
    "acknowledged": Told(
        MessageEvent.ACKNOWLEDGED, Reason.ACKNOWLEDGED, _incident(1042, TWO, **TAKEN), TWO, 5004
    ),
    "resolved": Told(
        MessageEvent.RESOLVED,
        Reason.ALL_RESOLVED,
        _incident(1042, ENDED, **TAKEN | {"state": "resolved", "resolved_at": at(3, 21)}),
        ENDED,
        5005,
    ),
    "drill": Told(
        MessageEvent.TRIGGERED,
        Reason.FIRST,
        _incident(1070, [_drilled()], drill=True, source="drill", routes=["default"], upstream={}),
        [_drilled()],
        5006,
        is_first=True,
    ),
    "digest": Told(MessageEvent.DIGEST, Reason.FIRST, _storm()[0], [], 5007, is_first=True),
    "healed": Told(MessageEvent.DIGEST, Reason.HEALED, _night()[0], [], 5008, is_first=True),
    "handed_over": Told(MessageEvent.DIGEST, Reason.HANDED_OVER, _open()[0], [], 5009, is_first=True),
}


_MEMBERS: dict[str, tuple[list[Row], int | None]] = {
    "healed": (_night(), None),
    "handed_over": (_open(), None),
}


def facts_of(name: str, **changes: Any) -> dict[str, Any]:
    """Return the facts of one of EVENTS, as the pipeline makes them."""
    told = EVENTS[name]
    owed: Row = {"reason": told.reason, "receiver": "payments", "route": "critical", "fallback_for": None}
    if told.event is MessageEvent.DIGEST:
        members, count = _MEMBERS.get(name, (_storm(), 23))
        return digest_facts(members, owed, base_url=BASE, count=count) | changes
    links = {
        verb: f"{BASE}/answer/{verb}-{told.incident['id']}-c2lnbmVk"
        for verb in ("acknowledge", "unacknowledge", "resolve", "snooze")
    }
    facts = message_facts(
        told.incident, told.alerts, owed, event=told.event, base_url=BASE, answer_links=links
    )
    return facts | changes


def as_message(kind: str, name: str, *, templates: Templates = TEMPLATES, **changes: Any) -> Message:
    """Return the message of one of EVENTS, in the words of a channel kind, as `deliver` makes it."""
    told, facts = EVENTS[name], facts_of(name)
    rendered = Rendered(text="", reply=None, title=told.incident["title"])
    if KINDS[kind].needs_templates:
        rendered = templates.render(kind, told.event, facts)
    values: dict[str, Any] = {
        "event": told.event,
        "reason": told.reason,
        "dedup_key": f"tocsin-{told.incident['id']}",
        "notification_id": told.notification_id,
        "title": rendered.title,
        "text": rendered.text,
        "reply": None if told.is_first else rendered.reply,
        "facts": facts,
        "alternative": getattr(rendered, "alternative", None),
    }
    return Message(**values | changes)


def check_golden(kind: str, name: str, suffix: str, content: object) -> None:
    """Compare with goldens/<kind>/<name>.<suffix>; what is no text is written as JSON."""
    written = (
        content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    )
    file = GOLDENS / kind / f"{name}.{suffix}"

    if os.environ.get("TOCSIN_GOLDEN") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(written, encoding="utf-8", newline="")

    assert file.exists(), f"{file} is missing: run with TOCSIN_GOLDEN=write, and read it"
    assert written == file.read_bytes().decode(), f"{file.name} differs; is that wanted?"
