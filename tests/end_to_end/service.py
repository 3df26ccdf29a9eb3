"""How do tests run Tocsin as its users do: as a process, with fakes that live beside the test?"""

from __future__ import annotations

import contextlib
import http.client
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal
from sqlalchemy import select, update

from receiver.pipeline.admit import LEASE
from receiver.policy.incident import Reason
from receiver.store.database import connect
from receiver.store.incidents import ALERT, INCIDENT
from receiver.store.outbox import IS_OWED, NOTIFICATION
from tests.alertmanager import Running
from tests.command import START_UP, environment
from tests.fakes.http import FakeHttp
from tests.fakes.slack import TOKEN, FakeSlack
from tests.fakes.webhook import FakeWebhook
from tests.processes import free_port, running, wait_until

Fake = TypeVar("Fake", bound=FakeHttp)

PATIENCE = 60.0  # seconds; the machine may be busy with other tests
TABLES = {"incident": INCIDENT, "alert": ALERT, "notification": NOTIFICATION}


class Service(Running):
    """A running `tocsin serve`."""

    def metric(self, name: str) -> float:
        """Return the value of a metric, 0 when there is none yet."""
        return metric(self, name)

    def incidents(self, query: str = "") -> list[dict[str, Any]]:
        """Return the newest incidents, as the API tells them."""
        items: list[dict[str, Any]] = self.request("GET", f"/api/v1/incidents{query}")[1]["items"]
        return items

    def incident(self, incident_id: int) -> dict[str, Any]:
        """Return one in full."""
        full: dict[str, Any] = self.request("GET", f"/api/v1/incidents/{incident_id}")[1]
        return full

    def post(self, body: dict[str, Any]) -> int:
        """Post as Alertmanager does; return the status."""
        return self.request("POST", "/webhooks/alertmanager", body)[0]

    def ends(self, how: signal.Signals) -> int:
        """Send it a signal that ends it; return how it ended."""
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)


def metric(program: Running, name: str, *labels: str) -> float:
    """Return the sum of the samples that hold these labels, 0 when there is none yet."""
    text = program.request("GET", "/metrics")[1]
    samples = [
        line.rpartition(" ") for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))
    ]
    return sum(float(value) for key, _, value in samples if all(label in key for label in labels))


@contextlib.contextmanager
def tocsin_serves(
    folder: Path, url: str, routing: str | None = None, *options: str, port: int = 0
) -> Iterator[Service]:
    """Run Tocsin on a database, in a folder with this routing.yaml; without one the folder has its own."""
    if routing is not None:
        (folder / "routing.yaml").write_text(routing, encoding="utf-8")
    port = port or free_port()
    command = [sys.executable, "-m", "receiver", "serve", "--database", url, "--port", port, *options]
    log = folder / f"serve-{port}.log"
    with running(list(map(str, command)), log=log, cwd=folder, env=environment()) as process:
        service = Service(port, process, log)
        wait_until(lambda: answers(service), within=START_UP, otherwise=log.read_text)
        yield service


def answers(service: Service) -> bool:
    """Return whether it takes requests; fail when it has ended."""
    assert service.process.poll() is None, service.log.read_text()
    with contextlib.suppress(OSError, http.client.HTTPException):
        return service.request("GET", "/health/live")[0] == 200
    return False


@contextlib.contextmanager
def beside(fake: Fake) -> Iterator[Fake]:
    """Run a fake server in a thread of its own, so that the test may wait."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(fake):
        yield fake


def tells_slack(slack: FakeSlack, more: str = "") -> str:
    """Return a routing.yaml that tells one channel everything, at once."""
    return f"""
receivers:
  - name: ops
    slack_configs:
      - {{channel: "#ops", app_token: "{TOKEN}", app_url: "{slack.app_url}", allow_private_addresses: true}}
route:
  receiver: ops
  group_by: [alertname]
  group_interval: 1s
{more}
"""


def tells_webhook(hook: FakeWebhook, name: str = "hook") -> str:
    """Return a routing.yaml that tells one webhook everything, at once."""
    return f"""
receivers:
  - name: {name}
    webhook_configs: [{{url: "{hook.url("/" + name)}", allow_private_addresses: true}}]
route:
  receiver: {name}
  group_by: [alertname]
  group_interval: 1s
"""


def rows(url: str, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table, whether a service runs or not."""
    engine = connect(url, writing=False)
    try:
        with engine.connect() as db:
            return [dict(row) for row in db.execute(select(TABLES[table])).mappings()]
    finally:
        engine.dispose()


def let_leases_end(url: str) -> None:
    """Let what killed workers hold come due, as it does by itself when the time of the lease has passed."""
    engine = connect(url, writing=True)
    held = NOTIFICATION.c.claimed_until.is_not(None)
    try:
        with engine.begin() as db:
            for row in db.execute(select(NOTIFICATION).where(IS_OWED, held)).mappings().all():
                earlier = {name: row[name] - LEASE for name in ("due_at", "claimed_until")}
                db.execute(update(NOTIFICATION).where(NOTIFICATION.c.id == row["id"]).values(earlier))
    finally:
        engine.dispose()


def owed(url: str) -> list[dict[str, Any]]:
    """Return what still has to be told, but for reminders: those are of later."""
    found = rows(url, "notification")
    return [row for row in found if row["state"] == "owed" and row["reason"] != Reason.REPEAT_DUE]
