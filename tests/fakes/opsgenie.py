"""Opsgenie's Alert API, and Jira Service Management's part of it: limits, errors, and answers before the deed."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.fakes.http import FakeHttp, Reply, Request, as_json

KEY = "eb243592-faa2-4ba2-a551-secretsecret"
JSM = "/jsm/ops/integration"
LIMITS = {
    "message": 130,
    "description": 15_000,
    "alias": 512,
    "entity": 512,
    "source": 100,
    "user": 100,
    "note": 25_000,
}
LISTS = {"tags": (20, 50), "actions": (10, 50)}
MAX_DETAILS = 8000
PRIORITIES = {"P1", "P2", "P3", "P4", "P5"}
VERBS = {"acknowledge", "unacknowledge", "close", "notes"}
FIELDS = {"message", "priority", "description"}


@dataclass
class Raised:
    """One alert as a person sees it."""

    alias: str
    message: str
    priority: str = "P3"
    description: str = ""
    status: str = "open"
    is_acknowledged: bool = False
    count: int = 1
    notes: list[str] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)


class FakeOpsgenie(FakeHttp):
    """Keeps the alerts; with `is_jsm` it speaks only as much as Jira Service Management does."""

    def __init__(self, *, is_jsm: bool = False, says: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self.is_jsm = is_jsm
        self.alerts: list[Raised] = []
        self.pages: list[str] = []  # what made a phone ring
        self.results: list[tuple[str, bool]] = []  # what became of each request, known only afterwards
        self.says = says or (lambda _line: None)

    @property
    def api_url(self) -> str:
        return self.url(JSM if self.is_jsm else "/")

    def open_alerts(self) -> list[Raised]:
        return [one for one in self.alerts if one.status == "open"]

    def answer(self, request: Request) -> Reply:
        parts = urlsplit(request.path)
        path = parts.path.removeprefix(JSM) if self.is_jsm else parts.path
        steps = [unquote(step) for step in path.strip("/").split("/")]
        if steps[:2] != ["v2", "alerts"] or (self.is_jsm and not parts.path.startswith(JSM)):
            return Reply(status=404, body=b"<html><body>404</body></html>")
        if request.headers.get("authorization") != f"GenieKey {KEY}":
            said = {"message": "Key format is not valid!", "took": 0.001, "requestId": "r"}
            return as_json(said, 401)
        content = json.loads(request.body.decode())
        if steps == ["v2", "alerts"] and request.method == "POST":
            return self._taken(errors_in_alert(content), lambda: self._create(content))
        if (
            len(steps) != 4
            or parts.query != "identifierType=alias"
            or not self._has(request.method, steps[3])
        ):
            return Reply(status=404, body=b"<html><body>404</body></html>")
        return self._taken(errors_in(content), lambda: self._change(steps[2], steps[3], content))

    def _has(self, method: str, action: str) -> bool:
        if method == "PUT":
            return action in FIELDS and not self.is_jsm
        return action in (VERBS - {"unacknowledge"} if self.is_jsm else VERBS)

    def _taken(self, errors: dict[str, str], do: Callable[[], tuple[str, bool]]) -> Reply:
        request_id = f"43a29c5c-3dbf-4fa4-9c26-{len(self.results):012d}"
        if errors:
            said = {
                "message": "Request body is not processable. Please check the errors.",
                "errors": errors,
                "took": 0.0,
                "requestId": request_id,
            }
            return as_json(said, 422)
        self.results.append(do())
        return as_json({"result": "Request will be processed", "took": 0.302, "requestId": request_id}, 202)

    def _create(self, content: dict[str, Any]) -> tuple[str, bool]:
        for one in self.open_alerts():
            if one.alias == content["alias"]:
                one.count += 1
                self.says(f"{one.alias[:12]} again, {one.count} times")
                return "count", True
        made = Raised(
            alias=content["alias"],
            message=content["message"],
            priority=content.get("priority", "P3"),
            description=content.get("description", ""),
            made=content,
        )
        self.alerts.append(made)
        self.pages.append(made.message)
        self.says(f"{made.alias[:12]} {made.priority} {made.message}")
        return "create", True

    def _change(self, alias: str, action: str, content: dict[str, Any]) -> tuple[str, bool]:
        found = [one for one in self.open_alerts() if one.alias == alias]
        if not found:
            return action, False  # "Alert does not exist", and nobody is told
        one = found[0]
        if action in FIELDS:
            setattr(one, action, content[action])
        elif action == "close":
            one.status = "closed"
        elif action == "acknowledge":
            one.is_acknowledged = True
        elif action == "unacknowledge":
            if one.is_acknowledged:
                self.pages.append(one.message)  # the flow of notifications begins anew
            one.is_acknowledged = False
        if content.get("note"):
            one.notes.append(f"{content.get('user', '')}: {content['note']}")
        self.says(f"{alias[:12]} {action} {one.notes[-1:] or ''}")
        return action, True


def errors_in_alert(content: dict[str, Any]) -> dict[str, str]:
    """Return what Opsgenie finds wrong with a new alert."""
    errors = errors_in(content)
    if not str(content.get("message", "")).strip():
        errors["message"] = "Message can not be empty."
    for name, (most, longest) in LISTS.items():
        listed = content.get(name, [])
        if len(listed) > most or any(len(one) > longest for one in listed):
            errors[name] = f"{name} exceeds {most} x {longest} characters."
    details = content.get("details", {})
    if sum(len(name) + len(value) for name, value in details.items()) > MAX_DETAILS:
        errors["details"] = f"Details can not exceed {MAX_DETAILS} characters."
    if not all(isinstance(value, str) for value in details.values()):
        errors["details"] = "Details must be a map of strings."
    for responder in content.get("responders", []):
        if responder.get("type") not in {"team", "user", "escalation", "schedule"}:
            errors["responders"] = "Responder type is not valid."
        if len({"id", "name", "username"} & responder.keys()) != 1:
            errors["responders"] = "Responder has no id, name or username."
    return errors


def errors_in(content: dict[str, Any]) -> dict[str, str]:
    errors = {
        name: f"{name.capitalize()} can not be longer than {longest} characters."
        for name, longest in LIMITS.items()
        if len(content.get(name, "")) > longest
    }
    if content.get("priority", "P3") not in PRIORITIES:
        errors["priority"] = "Priority should be one of [P1, P2, P3, P4, P5]."
    return errors
