"""An Alertmanager as it is asked: API v2, as recorded from a real one."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from receiver.policy.fingerprint import fingerprint
from tests.fakes.http import FakeHttp, Reply, Request, as_json

NOT_FOUND = Reply(status=404)


@dataclass
class Held:
    """One alert that it holds."""

    labels: dict[str, str]
    silenced_by: list[str] = field(default_factory=list)
    inhibited_by: list[str] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.labels)

    def said(self) -> dict[str, Any]:
        is_quiet = bool(self.silenced_by or self.inhibited_by)
        return {
            "annotations": {"summary": "x"},
            "endsAt": "2026-11-20T18:19:09.319Z",
            "fingerprint": self.fingerprint,
            "receivers": [{"name": "tocsin"}],
            "startsAt": "2026-11-20T03:00:00.000Z",
            "status": {
                "inhibitedBy": self.inhibited_by,
                "silencedBy": self.silenced_by,
                "state": "suppressed" if is_quiet else "active",
            },
            "updatedAt": "2026-11-20T18:14:09.319Z",
            "generatorURL": "http://prometheus.example.org:9090/graph",
            "labels": self.labels,
        }


class FakeAlertmanager(FakeHttp):
    """Holds what a test puts into it, and groups by alertname."""

    def __init__(self, started_at: datetime) -> None:
        super().__init__()
        self.started_at = started_at
        self.alerts: list[Held] = []
        self.silences: dict[str, dict[str, Any]] = {}
        self.receiver = "tocsin"
        self.broken: Reply | None = None

    def holds(self, alertname: str, **labels: str) -> Held:
        """Hold one more alert."""
        held = Held({"alertname": alertname, **labels})
        self.alerts.append(held)
        return held

    def loses(self, alertname: str, **labels: str) -> None:
        """Hold alerts no longer: all of the name that have these labels."""
        wanted = {"alertname": alertname, **labels}.items()
        self.alerts = [held for held in self.alerts if not wanted <= held.labels.items()]

    def asked(self, path: str) -> int:
        """Return how often it was asked for what is below this path."""
        return sum(request.path.startswith(f"/api/v2{path}") for request in self.requests)

    def answer(self, request: Request) -> Reply:
        url = urlsplit(request.path)
        if self.broken is not None:
            return self.broken
        if request.method != "GET":
            return Reply(status=405)
        match url.path.removeprefix("/api/v2").split("/")[1:]:
            case ["status"]:
                uptime = self.started_at.isoformat().replace("+00:00", "Z")
                return as_json({"cluster": {"peers": [], "status": "disabled"}, "config": {"original": "…"},
                                "uptime": uptime, "versionInfo": {}})  # fmt: skip
            case ["alerts"]:
                return as_json([held.said() for held in self.alerts])
            case ["alerts", "groups"]:
                return as_json(self._groups(parse_qs(url.query).get("receiver", [".*"])[0]))
            case ["silence", id_]:
                silence = self.silences.get(unquote(id_))
                return (
                    as_json({"id": id_, "status": {"state": "active"}, **silence}) if silence else NOT_FOUND
                )
            case _:
                return NOT_FOUND

    def _groups(self, receiver: str) -> list[dict[str, Any]]:
        if not re.fullmatch(receiver, self.receiver):
            return []
        names = dict.fromkeys(held.labels["alertname"] for held in self.alerts)
        return [
            {
                "labels": {"alertname": name},
                "receiver": {"name": self.receiver},
                "alerts": [held.said() for held in self.alerts if held.labels["alertname"] == name],
            }
            for name in names
        ]


BROKEN = {  # what may come back instead of an answer
    "closed": Reply(is_closed=True),
    "reset": Reply(is_reset=True),
    "unwell": Reply(status=503),
    "forbidden": Reply(status=401),
    "a page": Reply(body=b"<html>nginx</html>", headers={"Content-Type": "text/html"}),
    "another shape": as_json({"alerts": "none"}),
    "half": Reply(body=json.dumps([{"fingerprint": "x"}])[:9].encode()),
    "a list of nonsense": as_json([1, None, "x"]),
}
