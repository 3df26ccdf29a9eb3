"""Real Prometheus, real Alertmanager, real Tocsin: what a person sees in Slack."""

import http.server
import threading
from contextlib import contextmanager

import pytest

from tests.alertmanager import requires, run_alertmanager, run_alertmanager_pair, run_prometheus
from tests.end_to_end.service import PATIENCE, beside, metric, owed, rows, tells_slack, tocsin_serves
from tests.fakes.slack import FakeSlack, words_of
from tests.processes import wait_until

pytestmark = pytest.mark.real

RULES = """
groups:
  - name: disks
    rules:
      - alert: DiskFull
        expr: disk_used_ratio > 0.9
        labels: {severity: critical}
        annotations:
          summary: "Disk {{ $labels.device }} is {{ $value | humanizePercentage }} full"
"""
DISK = {"labels": {"alertname": "DiskFull", "severity": "critical", "instance": "db-1"}}


def posts_to(port, *, repeat_interval="4h", http_config=""):
    """Return the README's block, in the configuration of an Alertmanager that does not wait."""
    return f"""
route: {{receiver: tocsin, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: {repeat_interval}}}
receivers:
  - name: tocsin
    webhook_configs:
      - url: http://127.0.0.1:{port}/webhooks/alertmanager
        {http_config}
"""


class Disk:
    """A program with one metric, as Prometheus scrapes it."""

    def __init__(self, ratio):
        self.ratio = ratio
        self.port = 0

    @contextmanager
    def scraped(self):
        """Answer scrapes inside the block."""
        disk = self

        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                text = f'disk_used_ratio{{device="sda1"}} {disk.ratio}\n'.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                """Keep the output of tests free of scrapes."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


@requires("prometheus", "alertmanager")
def test_a_rule_that_fires_and_recovers_is_told_in_slack(tmp_path, database_url):
    """One incident, one message; when the metric recovers it is edited, and its thread says so."""
    with (
        beside(FakeSlack()) as slack,
        Disk(0.97).scraped() as disk,
        tocsin_serves(tmp_path, database_url, tells_slack(slack)) as tocsin,
        run_alertmanager(posts_to(tocsin.port)) as alertmanager,
        run_prometheus(RULES, alertmanagers=[alertmanager.port], targets=[disk.port]),
    ):
        wait_until(slack.main_messages, within=PATIENCE, otherwise=tocsin.log.read_text)
        fired = words_of(slack.main_messages()[0])
        disk.ratio = 0.5
        wait_until(slack.replies, within=PATIENCE, otherwise=tocsin.log.read_text)
        wait_until(lambda: not owed(database_url), within=PATIENCE, otherwise=tocsin.log.read_text)
        incident = tocsin.incident(tocsin.incidents()[0]["id"])

    assert "Disk sda1 is 97% full" in fired
    assert slack.calls[0] == "chat.postMessage"
    assert set(slack.calls[1:]) == {"chat.update", "chat.postMessage"}  # the message, and its thread
    assert [m["thread_ts"] for m in slack.replies()] == [slack.main_messages()[0]["ts"]]
    assert "esolved" in words_of(slack.main_messages()[0])
    assert [one["state"] for one in rows(database_url, "incident")] == ["resolved"]
    assert (incident["title"], incident["severity"]) == ("DiskFull", "critical")
    assert [(one["reason"], one["state"]) for one in incident["notifications"] if one["state"] == "sent"] == [
        ("first", "sent"),
        ("all_resolved", "sent"),
    ]


@requires("alertmanager")
def test_two_alertmanagers_of_one_cluster_page_once(tmp_path, database_url):
    """Peers repeat what the other has said; nobody hears of that."""
    with (
        beside(FakeSlack()) as slack,
        tocsin_serves(tmp_path, database_url, tells_slack(slack)) as tocsin,
        run_alertmanager_pair(posts_to(tocsin.port, repeat_interval="1s")) as pair,
    ):
        for alertmanager in pair:
            alertmanager.post_alerts([DISK])
        _wait_for_bodies(tocsin, 4)
        seen = len(slack.calls)

    assert seen == 1
    assert len(slack.main_messages()) == 1
    assert [one["state"] for one in rows(database_url, "incident")] == ["triggered"]
    assert [one["state"] for one in rows(database_url, "alert")] == ["firing"]


@requires("alertmanager")
def test_two_alertmanagers_that_do_not_know_each_other_page_once(tmp_path, database_url):
    """The same group from another address is the same incident, and its end is told once, too."""
    ended = {**DISK, "startsAt": "2026-11-20T03:00:00Z", "endsAt": "2026-11-20T03:10:00Z"}
    started = {**DISK, "startsAt": "2026-11-20T03:00:00Z"}
    with (
        beside(FakeSlack()) as slack,
        tocsin_serves(tmp_path, database_url, tells_slack(slack)) as tocsin,
        run_alertmanager(posts_to(tocsin.port), "--web.external-url=http://one.example.org") as one,
        run_alertmanager(posts_to(tocsin.port), "--web.external-url=http://two.example.org") as two,
    ):
        for alertmanager in (one, two):
            alertmanager.post_alerts([started])
        for alertmanager in (one, two):
            _wait_until_told(alertmanager, 1)
        wait_until(slack.main_messages, within=PATIENCE, otherwise=tocsin.log.read_text)
        calls_when_fired = list(slack.calls)
        for alertmanager in (one, two):
            alertmanager.post_alerts([ended])
        for alertmanager in (one, two):
            _wait_until_told(alertmanager, 2)
        wait_until(slack.replies, within=PATIENCE, otherwise=tocsin.log.read_text)

    assert calls_when_fired == ["chat.postMessage"]
    assert len(slack.main_messages()) == 1
    assert len(slack.replies()) == 1
    assert [(i["state"], i["reopenings"]) for i in rows(database_url, "incident")] == [("resolved", 0)]


@requires("alertmanager")
def test_an_alertmanager_must_show_the_credential_of_its_source(tmp_path):
    """Bearer and basic are taken, the old secret beside the new; a wrong one shows in its own metrics."""
    sources = """
sources:
  - {name: bearer, tokens: [new-secret, old-secret]}
  - {name: basic, basic_auth: {username: prod, password: right}}
"""
    url = f"sqlite:///{tmp_path}/tocsin.db"
    with (
        beside(FakeSlack()) as slack,
        tocsin_serves(tmp_path, url, tells_slack(slack, sources)) as tocsin,
        run_alertmanager(
            posts_to(tocsin.port, http_config="http_config: {authorization: {credentials: wrong}}")
        ) as wrong,
        run_alertmanager(
            posts_to(tocsin.port, http_config="http_config: {authorization: {credentials: old-secret}}")
        ) as bearer,
        run_alertmanager(
            posts_to(tocsin.port, http_config="http_config: {basic_auth: {username: prod, password: right}}")
        ) as basic,
    ):
        for alertmanager in (wrong, bearer, basic):
            alertmanager.post_alerts([DISK])
        wait_until(lambda: _failures(wrong) > 0, within=PATIENCE, otherwise=wrong.log.read_text)
        for alertmanager in (bearer, basic):
            _wait_until_told(alertmanager, 1)
        wait_until(lambda: len(tocsin.incidents()) == 2, within=PATIENCE, otherwise=tocsin.log.read_text)
        refused = metric(tocsin, "tocsin_payloads_total", 'outcome="unauthorized"')
        log = wrong.log.read_text()

    assert refused > 0
    assert "401" in log
    assert {one["source"] for one in rows(url, "incident")} == {"bearer", "basic"}
    assert "wrong" not in tocsin.log.read_text()


def _wait_for_bodies(tocsin, count):
    def have_come():
        return metric(tocsin, "tocsin_payloads_total", 'outcome="accepted"') >= count

    wait_until(have_come, within=PATIENCE, otherwise=tocsin.log.read_text)


def _wait_until_told(alertmanager, count):
    """Wait until it has sent so many notifications that were taken."""

    def has_sent():
        sent = metric(alertmanager, "alertmanager_notifications_total", 'integration="webhook"')
        return sent - _failures(alertmanager) >= count

    wait_until(has_sent, within=PATIENCE, otherwise=alertmanager.log.read_text)


def _failures(alertmanager):
    return metric(alertmanager, "alertmanager_notifications_failed_total", 'integration="webhook"')
