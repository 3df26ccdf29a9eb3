"""PagerDuty: Events API v2 with its limits, errors and silences, and webhooks v3 about what people do there."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.http import FakeHttp, Reply, Request, as_json

KEY = "0123456789abcdef0123456789secret"  # 32 characters, as PagerDuty demands
WEBHOOK_SECRET = "lDQHScfUeXUKaQRNF+8XIiDKZ7XXsecret"
MAX_EVENT = 512_000
MAX_SUMMARY = 1024
MAX_DEDUP_KEY = 255
SEVERITIES = {"critical", "error", "warning", "info"}
ACTIONS = {"trigger": "triggered", "acknowledge": "acknowledged", "resolve": "resolved"}
ANA = {"id": "PT23IWX", "summary": "Ana", "type": "user_reference"}
INTEGRATION = {"id": "PEVENTS", "summary": "Events API V2", "type": "inbound_integration_reference"}


@dataclass
class Paged:
    """One incident as a person sees it in PagerDuty."""

    number: int
    routing_key: str
    dedup_key: str
    status: str = "triggered"
    payload: dict[str, Any] = field(default_factory=dict)  # of the first trigger: later ones are only logged
    links: list[dict[str, str]] = field(default_factory=list)
    images: list[dict[str, str]] = field(default_factory=list)
    client_url: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        return str(self.payload["summary"])


class FakePagerDuty(FakeHttp):
    """Keeps what PagerDuty would show; what it drops is dropped as silently as there."""

    def __init__(self, *keys: str, says: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self.keys = set(keys or (KEY,))  # of integrations; others are taken as well, and lead nowhere
        self.incidents: list[Paged] = []
        self.pages: list[str] = []  # what made a phone ring
        self.dropped: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.says = says or (lambda _line: None)
        self._webhooks = 0

    @property
    def enqueue_url(self) -> str:
        return self.url("/v2/enqueue")

    def open_incidents(self) -> list[Paged]:
        return [one for one in self.incidents if one.status != "resolved"]

    def answer(self, request: Request) -> Reply:
        if (request.method, request.path) != ("POST", "/v2/enqueue"):
            return Reply(status=404, body=b"Not Found")
        if len(request.body) > MAX_EVENT:
            return Reply(status=413, body=b"Request Entity Too Large")
        try:
            sent = json.loads(request.body.decode())
        except ValueError:
            return as_json(
                {"status": "unknown", "message": "Request body could not be parsed.", "errors": []}, 400
            )
        errors = errors_in(sent)
        if errors:
            return as_json(
                {"status": "invalid event", "message": "Event object is invalid", "errors": errors}, 400
            )
        self.events.append(sent)
        self._take(sent)
        accepted = {"status": "success", "message": "Event processed", "dedup_key": sent["dedup_key"]}
        return as_json(accepted, 202)

    def _take(self, sent: dict[str, Any]) -> None:
        found = [
            one
            for one in self.open_incidents()
            if (one.routing_key, one.dedup_key) == (sent["routing_key"], sent["dedup_key"])
        ]
        action = sent["event_action"]
        if sent["routing_key"] not in self.keys or (not found and action != "trigger"):
            self.dropped.append(sent)
            self.says(f"dropped: {action} {sent['dedup_key'][:12]}")
            return
        if not found:
            found = [self._opened(sent)]
        incident = found[0]
        incident.log.append(f"{action}: {sent['payload']['summary']}" if action == "trigger" else action)
        if action != "trigger":
            incident.status = ACTIONS[action]
        self.says(
            f"#{incident.number} {incident.status:12} {incident.payload['severity']:8} {incident.log[-1]}"
        )

    def _opened(self, sent: dict[str, Any]) -> Paged:
        incident = Paged(
            number=len(self.incidents) + 1,
            routing_key=sent["routing_key"],
            dedup_key=sent["dedup_key"],
            payload=sent["payload"],
            links=sent.get("links", []),
            images=sent.get("images", []),
            client_url=sent.get("client_url", ""),
        )
        self.incidents.append(incident)
        self.pages.append(incident.title)
        return incident

    def press(self, incident: Paged, verb: str, **changes: Any) -> tuple[dict[str, str], bytes]:
        """Do what a person does in the app; return the webhook's headers and body that tell of it."""
        incident.status = {**ACTIONS, "unacknowledge": "triggered"}[verb]
        incident.log.append(f"{verb} by a person")
        self.says(f"#{incident.number} {incident.status:12} by a person in the app")
        done = {
            "acknowledge": "incident.acknowledged",
            "unacknowledge": "incident.unacknowledged",
            "resolve": "incident.resolved",
        }
        return self.webhook(done[verb], about(incident), **changes)

    def webhook(
        self,
        event_type: str,
        data: Mapping[str, Any],
        *,
        agent: Mapping[str, str] | None = ANA,
        at: datetime = datetime(2026, 11, 20, 3, 13, tzinfo=UTC),
        secrets: tuple[str, ...] = (WEBHOOK_SECRET,),
    ) -> tuple[dict[str, str], bytes]:
        """Return headers and body of a webhook v3; while a secret is rotated, it is signed with both."""
        self._webhooks += 1
        event = {
            "id": f"01BWDWL3NYY7LUFPZCC{self._webhooks:07d}",
            "event_type": event_type,
            "resource_type": event_type.split(".", maxsplit=1)[0],
            "occurred_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "agent": agent,
            "client": None,
            "data": data,
        }
        body = json.dumps({"event": event}, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Webhook-Id": f"webhook-{self._webhooks}",
            "X-Webhook-Subscription": "PSUBSCR",
            "X-PagerDuty-Signature": ",".join(f"v1={signature(secret, body)}" for secret in secrets),
        }
        return headers, body


def signature(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def about(incident: Paged) -> dict[str, Any]:
    """Return an incident as webhooks show it."""
    return {
        "id": f"PGR{incident.number:04d}",
        "type": "incident",
        "html_url": f"https://example.pagerduty.com/incidents/PGR{incident.number:04d}",
        "number": incident.number,
        "status": incident.status,
        "incident_key": incident.dedup_key,
        "created_at": "2026-11-20T03:12:00Z",
        "title": incident.title,
        "service": {"id": "PF9KMXH", "summary": "databases", "type": "service_reference"},
        "assignees": [ANA],
        "teams": [],
        "priority": None,
        "urgency": "high",
        "conference_bridge": None,
        "resolve_reason": None,
    }


def errors_in(sent: Any) -> list[str]:
    """Return what PagerDuty finds wrong with an event."""
    if not isinstance(sent, dict):
        return ["Event object is not an object"]
    errors = []
    if len(str(sent.get("routing_key", ""))) != 32:
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    action = sent.get("event_action")
    if action not in ACTIONS:
        errors.append("'event_action' is missing or not one of trigger, acknowledge, resolve")
    key = sent.get("dedup_key")
    if not key and action != "trigger":
        errors.append("'dedup_key' is missing or blank")
    if key and len(key) > MAX_DEDUP_KEY:
        errors.append("'dedup_key' is too long (maximum is 255 characters)")
    return errors + (_errors_in_payload(sent) if action == "trigger" else [])


def _errors_in_payload(sent: dict[str, Any]) -> list[str]:
    payload = sent.get("payload")
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    errors = [
        f"'payload.{name}' is missing or blank"
        for name in ("summary", "source", "severity")
        if not payload.get(name)
    ]
    if len(payload.get("summary", "")) > MAX_SUMMARY:
        errors.append("'payload.summary' is too long (maximum is 1024 characters)")
    if payload.get("severity") not in SEVERITIES:
        errors.append("'payload.severity' is invalid (must be one of critical, warning, error, info)")
    try:
        datetime.fromisoformat(payload.get("timestamp", "2026-11-20T03:12:00Z"))
    except ValueError:
        errors.append("'payload.timestamp' is invalid (must be ISO 8601)")
    errors += [
        f"'links[{n}].href' is blank" for n, link in enumerate(sent.get("links", [])) if not link.get("href")
    ]
    errors += [
        f"'images[{n}].src' is not https"
        for n, image in enumerate(sent.get("images", []))
        if not str(image.get("src")).startswith("https://")
    ]
    return errors
