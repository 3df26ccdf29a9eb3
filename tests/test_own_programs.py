"""The servers that tests start are real, apart from each other, and gone afterwards."""

from __future__ import annotations

import contextlib
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.alertmanager import requires, run_alertmanager, run_alertmanager_pair, run_prometheus
from tests.postgres import Server
from tests.processes import wait_until

CONFIG = "{route: {receiver: nobody}, receivers: [{name: nobody}]}"
RULES = """
groups:
  - name: always
    rules: [{alert: AlwaysFiring, expr: vector(1), labels: {severity: page}}]
"""


def is_alive(program: psutil.Process) -> bool:
    """Return whether it runs; a dead one that nobody has collected yet does not."""
    return program.is_running() and program.status() != psutil.STATUS_ZOMBIE


def test_an_empty_database_has_no_tables(database_url: str):
    kind, _, path = database_url.partition("://")

    if kind == "sqlite":
        with contextlib.closing(sqlite3.connect(path[1:])) as database:
            rows = database.execute("SELECT name FROM sqlite_master").fetchall()
    else:
        with psycopg.connect(database_url) as database:
            rows = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()

    assert rows == []


def test_a_copy_of_a_template_has_its_rows_and_is_apart_from_it(postgres_server: Server):
    template = postgres_server.create_database()
    with psycopg.connect(template) as database:
        database.execute("CREATE TABLE bell AS SELECT 1 AS tone")

    copy = postgres_server.create_database(template=template)

    with psycopg.connect(copy) as database:
        database.execute("INSERT INTO bell VALUES (2)")
    with psycopg.connect(template) as database:
        assert database.execute("SELECT tone FROM bell").fetchall() == [(1,)]


def test_a_server_ends_when_the_tests_are_killed():
    code = "import os, time; from tests.postgres import start_postgres\nwith start_postgres() as server: print(server.pid, flush=True); time.sleep(60)"
    tests = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent
    )
    server = psutil.Process(int(tests.stdout.readline()))

    tests.send_signal(signal.SIGKILL)
    tests.communicate()

    wait_until(lambda: not is_alive(server), within=10, otherwise=lambda: f"{server} still runs")


def test_a_connection_to_another_machine_is_refused_and_remembered(loopback_only: list[object]):
    with (
        socket.socket() as connection,
        pytest.raises(ConnectionRefusedError, match="only connect to this machine"),
    ):
        connection.connect(("192.0.2.1", 80))

    assert loopback_only == [("192.0.2.1", 80)]
    loopback_only.clear()


@pytest.mark.real
@requires("alertmanager")
def test_an_alertmanager_holds_the_alerts_it_was_told():
    with run_alertmanager(CONFIG) as alertmanager:
        alertmanager.post_alerts([{"labels": {"alertname": "DiskFull"}}])

        assert [alert["labels"] for alert in alertmanager.alerts()] == [{"alertname": "DiskFull"}]


@pytest.mark.real
@requires("alertmanager")
def test_two_alertmanagers_know_of_each_other():
    with run_alertmanager_pair(CONFIG) as (first, second):
        assert sorted(first.peers()) == sorted(second.peers())


@pytest.mark.real
@requires("prometheus", "alertmanager")
def test_a_rule_that_fires_reaches_alertmanager():
    with run_alertmanager(CONFIG) as alertmanager, run_prometheus(RULES, alertmanagers=[alertmanager.port]):
        wait_until(lambda: bool(alertmanager.alerts()), within=20, otherwise=lambda: "no alert came")

        assert alertmanager.alerts()[0]["labels"]["severity"] == "page"


def test_a_missing_program_skips_a_test_but_fails_it_in_ci(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CI", raising=False)
    assert requires("prometheus").args == (True,)
    assert (
        requires("prometheus").kwargs["reason"]
        == "prometheus is not on this machine (apt-get install prometheus)"
    )

    monkeypatch.setenv("CI", "true")

    assert requires("prometheus").args == (False,)
