"""How many may serve one database? On SQLite one; on PostgreSQL any number, as if they were one."""

import signal

import psycopg
import pytest

from tests.command import tocsin
from tests.end_to_end.service import (
    PATIENCE,
    beside,
    let_leases_end,
    owed,
    rows,
    tells_webhook,
    tocsin_serves,
)
from tests.end_to_end.test_storm import a_group
from tests.fakes.http import Reply
from tests.fakes.webhook import FakeWebhook
from tests.processes import free_port, wait_until


@pytest.fixture
def postgres_url(postgres_server):
    """The address of an empty database on PostgreSQL."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def folders(tmp_path):
    """A folder for each of two replicas."""
    both = [tmp_path / "one", tmp_path / "two"]
    for folder in both:
        folder.mkdir()
    return both


def test_a_second_process_on_one_sqlite_file_is_refused(tmp_path):
    """It says so in one line, and the first goes on."""
    with (
        beside(FakeWebhook()) as hook,
        tocsin_serves(tmp_path, f"sqlite:///{tmp_path}/tocsin.db", tells_webhook(hook)) as first,
    ):
        second = tocsin("serve", "--port", free_port(), "--database", "sqlite:///tocsin.db", within=tmp_path)
        status = first.post(a_group(["StillHere"]))
        wait_until(lambda: bool(hook.bodies), within=PATIENCE, otherwise=first.log.read_text)

    assert second.returncode == 1
    assert second.stderr == (
        "another tocsin already serves tocsin.db; stop it, or use PostgreSQL for several replicas\n"
    )
    assert status == 200


def test_two_replicas_page_once(folders, postgres_url):
    """What one has accepted is told once, whoever does it, and both have heard of it."""
    names = [f"Alert{number}" for number in range(40)]
    with (
        beside(FakeWebhook()) as hook,
        tocsin_serves(folders[0], postgres_url, tells_webhook(hook)) as one,
        tocsin_serves(folders[1], postgres_url, tells_webhook(hook)) as two,
    ):
        for number, name in enumerate(names):
            assert (one, two)[number % 2].post(a_group([name])) == 200
            assert (two, one)[number % 2].post(a_group([name])) == 200  # the repeat of a peer
        wait_until(lambda: not owed(postgres_url), within=PATIENCE, otherwise=one.log.read_text)
        listeners = _listeners(postgres_url)
        seen = [{incident["title"] for incident in each.incidents("?limit=200")} for each in (one, two)]

    assert sorted(body["alerts"][0]["labels"]["alertname"] for body in hook.bodies) == sorted(names)
    assert seen == [set(names), set(names)]
    assert listeners == 2


def test_a_replica_finishes_what_a_killed_one_has_begun(folders, postgres_url):
    """The page that was under way comes due again when its lease has ended."""
    with (
        beside(FakeWebhook()) as hook,
        tocsin_serves(folders[0], postgres_url, tells_webhook(hook)) as one,
    ):
        hook.fails(Reply(is_never=True))
        assert one.post(a_group(["HalfTold"])) == 200
        wait_until(lambda: bool(hook.requests), within=PATIENCE, otherwise=one.log.read_text)
        with tocsin_serves(folders[1], postgres_url, tells_webhook(hook)) as two:
            assert one.ends(signal.SIGKILL) == -signal.SIGKILL
            held = owed(postgres_url)
            let_leases_end(postgres_url)
            wait_until(lambda: not owed(postgres_url), within=PATIENCE, otherwise=two.log.read_text)

    assert [row["claimed_until"] is not None for row in held] == [True]
    assert [body["alerts"][0]["labels"]["alertname"] for body in hook.bodies] == ["HalfTold"]
    assert len(rows(postgres_url, "incident")) == 1


def _listeners(url):
    """Return how many replicas hear at once that something is owed."""
    with psycopg.connect(url) as database:
        found = database.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query = 'LISTEN tocsin_outbox'"
        ).fetchone()
    return found[0]
