"""What Tocsin has accepted survives kill -9."""

import http.client
import itertools
import json
import signal
import threading

import pytest

from receiver.policy.fingerprint import fingerprint
from tests.end_to_end.service import (
    PATIENCE,
    beside,
    let_leases_end,
    owed,
    rows,
    tells_webhook,
    tocsin_serves,
)
from tests.fakes.webhook import FakeWebhook
from tests.postgres import start_postgres
from tests.processes import free_port, wait_until

CONNECTIONS = 16
KILLS = 4
BETWEEN = 120  # bodies that are accepted between two kills
ALERTS = 3  # of one body, each an incident of its own


class Storm:
    """Alertmanagers that post on many connections, and send a body again until it is taken."""

    def __init__(self, port):
        self.port = port
        self.accepted = []  # names of alerts; appended when 200 is read, never before
        self.others = []  # answers that were not 200
        self._names = itertools.count()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._post) for _ in range(CONNECTIONS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.end()

    def end(self):
        """Begin no new body, and return when the last one is taken or refused."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _post(self):
        connection = None
        while not self._over.is_set():
            names = [f"Alert{number}" for number in itertools.islice(self._names, ALERTS)]
            body = json.dumps(a_group(names))
            while True:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                try:
                    connection.request("POST", "/webhooks/alertmanager", body)
                    answer = connection.getresponse()
                    answer.read()
                except (OSError, http.client.HTTPException):
                    connection.close()
                    connection = None
                    if self._over.wait(0.05):
                        return
                    continue
                if answer.status == 200:
                    self.accepted += names
                    break
                self.others.append(answer.status)
                if self._over.wait(0.05):
                    return


def a_group(names):
    """Return a body with one firing alert for each name."""
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": name, "severity": "critical"},
            "annotations": {"summary": f"{name} fires"},
            "startsAt": "2026-11-20T03:10:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": fingerprint({"alertname": name, "severity": "critical"}),
        }
        for name in names
    ]
    return {
        "version": "4",
        "groupKey": f'{{}}:{{first="{names[0]}"}}',
        "status": "firing",
        "receiver": "tocsin",
        "groupLabels": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": alerts,
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def durable_url(request, tmp_path):
    """The address of an empty database that waits for the disk."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tocsin.db"
        return
    with start_postgres(durable=True) as server:
        yield server.create_database()


def test_nothing_accepted_is_lost_when_the_service_is_killed_in_a_storm(tmp_path, durable_url):
    """Every alert that got a 200 is on disk and was told, at least once; nothing is stuck."""
    port = free_port()
    with beside(FakeWebhook()) as hook, Storm(port) as storm:
        routing = tells_webhook(hook)
        for _ in range(KILLS):
            with tocsin_serves(tmp_path, durable_url, routing, port=port) as tocsin:
                enough = len(storm.accepted) + BETWEEN * ALERTS
                wait_until(
                    lambda enough=enough: len(storm.accepted) >= enough,
                    within=PATIENCE, otherwise=tocsin.log.read_text,
                )  # fmt: skip
                ended = tocsin.ends(signal.SIGKILL)
                assert ended == -signal.SIGKILL
        storm.end()
        let_leases_end(durable_url)
        with tocsin_serves(tmp_path, durable_url, routing, port=port) as tocsin:
            wait_until(lambda: not owed(durable_url), within=PATIENCE, otherwise=tocsin.log.read_text)
            on_time = tocsin.metric("tocsin_notifications_owed")
            assert tocsin.ends(signal.SIGTERM) == 0

    accepted = set(storm.accepted)
    known = {row["labels"]["alertname"] for row in rows(durable_url, "alert")}
    open_ = {row["labels"]["alertname"] for row in rows(durable_url, "incident")}
    told = {alert["labels"]["alertname"] for body in hook.bodies for alert in body["alerts"]}
    assert len(accepted) == len(storm.accepted) >= KILLS * BETWEEN * ALERTS
    assert accepted - known == set()
    assert known == open_
    assert open_ - told == set()
    assert {row["state"] for row in rows(durable_url, "incident")} == {"triggered"}
    assert on_time == 0
    assert set(storm.others) <= {503}
    print(f"{len(accepted)} accepted, {len(hook.bodies) - len(told)} told more than once")
