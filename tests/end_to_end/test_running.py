"""What a running service does with signals, with another routing.yaml, and what keeps it from starting."""

import os
import signal

import pytest

from tests.command import tocsin
from tests.end_to_end.service import PATIENCE, beside, owed, tells_webhook, tocsin_serves
from tests.end_to_end.test_storm import a_group
from tests.fakes.http import Reply
from tests.fakes.webhook import FakeWebhook
from tests.processes import free_port, wait_until

BROKEN = "route:\n  reciever: ops\n"
RELOADED = "tocsin_config_last_reload_successful"


@pytest.fixture
def hook():
    with beside(FakeWebhook()) as fake:
        yield fake


@pytest.fixture
def serves(tmp_path, hook):
    """A running service that tells one webhook everything."""
    with tocsin_serves(tmp_path, f"sqlite:///{tmp_path}/tocsin.db", tells_webhook(hook)) as service:
        yield service


def replace(folder, text):
    """Swap routing.yaml whole, as an editor does."""
    new = folder / "routing.yaml.new"
    new.write_text(text, encoding="utf-8")
    new.replace(folder / "routing.yaml")


def test_what_is_under_way_is_finished_before_the_end(tmp_path, serves, hook):
    """SIGTERM: the page arrives once, is written down as sent, and the exit status is 0."""
    hook.fails(Reply(delay=1.5, body=b"thank you"))
    serves.post(a_group(["LastWords"]))
    wait_until(lambda: bool(hook.requests), within=PATIENCE, otherwise=serves.log.read_text)

    status = serves.ends(signal.SIGTERM)

    assert status == 0
    assert len(hook.requests) == 1
    assert owed(f"sqlite:///{tmp_path}/tocsin.db") == []
    assert '"serve.stopped"' in serves.log.read_text()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_service_ends_when_it_is_told_to(serves, how):
    assert serves.ends(how) == 0
    assert "Traceback" not in serves.log.read_text()


def by_signal(service):
    service.process.send_signal(signal.SIGHUP)


def by_request(service):
    assert service.request("POST", "/-/reload")[0] in {200, 422}


def by_itself(_service):
    """The file is watched."""


@pytest.mark.parametrize("reload", [by_signal, by_request, by_itself])
def test_a_new_routing_yaml_takes_effect_in_the_running_service(tmp_path, serves, hook, reload):
    """The next incident goes to the new receiver."""
    replace(tmp_path, tells_webhook(hook, name="other"))

    reload(serves)

    wait_until(
        lambda: "config.loaded" in serves.log.read_text(), within=PATIENCE, otherwise=serves.log.read_text
    )
    serves.post(a_group(["Rerouted"]))
    wait_until(lambda: bool(hook.requests), within=PATIENCE, otherwise=serves.log.read_text)
    assert [request.path for request in hook.requests] == ["/other"]
    assert serves.metric(RELOADED) == 1


@pytest.mark.parametrize("reload", [by_signal, by_request, by_itself])
def test_a_broken_routing_yaml_changes_nothing_and_shows(tmp_path, serves, hook, reload):
    """The one in force stays; metrics, health and log say that the new one was refused."""
    before = serves.metric(RELOADED)
    replace(tmp_path, BROKEN)

    reload(serves)

    wait_until(lambda: serves.metric(RELOADED) == 0, within=PATIENCE, otherwise=serves.log.read_text)
    serves.post(a_group(["AsBefore"]))
    wait_until(lambda: bool(hook.requests), within=PATIENCE, otherwise=serves.log.read_text)
    assert before == 1
    assert [request.path for request in hook.requests] == ["/hook"]
    status, health = serves.request("GET", "/health")
    assert (status, health["config"]) == (200, "the last routing.yaml was refused")
    assert "routing.yaml:2:3: route.reciever" in serves.log.read_text()
    replace(tmp_path, tells_webhook(hook))
    wait_until(lambda: serves.metric(RELOADED) == 1, within=PATIENCE, otherwise=serves.log.read_text)


def test_a_broken_routing_yaml_never_starts(tmp_path):
    """Every error is one line with its place in the file."""
    (tmp_path / "routing.yaml").write_text(BROKEN)

    ran = tocsin("serve", "--port", free_port(), within=tmp_path)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "routing.yaml:2:3: route.reciever: " in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "tocsin.db").exists()


def test_other_hosts_are_not_served_without_a_login(tmp_path, hook):
    (tmp_path / "routing.yaml").write_text(tells_webhook(hook))

    ran = tocsin("serve", "--host", "0.0.0.0", "--port", free_port(), within=tmp_path)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "0.0.0.0 can be reached from outside, and there is no login yet;"
        " bind to 127.0.0.1 behind a proxy that asks for one, or add --insecure\n"
    )


def test_other_hosts_are_served_by_who_insists(tmp_path, hook):
    url = f"sqlite:///{tmp_path}/tocsin.db"
    with tocsin_serves(tmp_path, url, tells_webhook(hook), "--host", "0.0.0.0", "--insecure") as service:
        assert service.post(a_group(["Reached"])) == 200


def test_an_older_schema_is_refused_where_nothing_may_be_migrated(tmp_path, database_url, hook):
    """`--no-migrate` names the command that helps; after it, it starts."""
    (tmp_path / "routing.yaml").write_text(tells_webhook(hook))
    arguments = ("--database", database_url)

    refused = tocsin("serve", "--no-migrate", "--port", free_port(), *arguments, within=tmp_path)
    migrated = tocsin("migrate", *arguments, within=tmp_path)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "the database has an older schema; run `tocsin migrate` first\n"
    assert (migrated.returncode, migrated.stderr) == (0, "")
    with tocsin_serves(tmp_path, database_url, None, "--no-migrate") as service:
        assert service.post(a_group(["Migrated"])) == 200


def test_a_port_in_use_ends_the_service(tmp_path, serves):
    """It fails loudly instead of waiting for alerts that go to somebody else."""
    folder = tmp_path / "other"
    folder.mkdir()
    os.link(tmp_path / "routing.yaml", folder / "routing.yaml")

    ran = tocsin("serve", "--port", serves.port, within=folder)

    assert ran.returncode not in {0, None}
    assert "address already in use" in ran.stderr
    assert "Traceback" not in ran.stderr
