"""`make fakes` lets a person watch what each service would receive, and press its buttons."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from receiver.channels import KINDS
from receiver.config import load
from receiver.resources import ROOT
from tests.command import START_UP, environment
from tests.end_to_end.service import PATIENCE, Service, tocsin_serves
from tests.fakes import opsgenie, pagerduty, slack, telegram
from tests.fakes.stand import FIRST_PORT, Screen, Stand
from tests.processes import free_port, running, wait_until

ROUTING = ROOT / "tests/fakes/routing.yaml"


def ports_in_a_row(count: int) -> int:
    """Return the first of so many ports that nothing listens on at this moment."""
    mine = 20_000 + os.getpid() % 4_000 * count  # another test looks elsewhere
    for first in range(mine, mine + 10_000, count):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    pytest.fail("no ports are free")


def routing(first_port: int) -> str:
    """Return the shipped file, for other ports."""
    moved = re.sub(
        r"127\.0\.0\.1:51(\d\d)", lambda m: f"127.0.0.1:{first_port + int(m[1]) - 1}", ROUTING.read_text()
    )
    assert str(first_port) in moved
    return moved


@dataclass
class Watched:
    """What a person saw, and where they type."""

    log: Path
    process: subprocess.Popen[bytes]
    seen: list[str] = field(default_factory=list)

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def sees(self, words: str) -> re.Match[str]:
        """Wait until these words (a regular expression) have appeared."""
        wait_until(
            lambda: re.search(words, self.text(), re.DOTALL) is not None, within=PATIENCE, otherwise=self.text
        )
        found = re.search(words, self.text(), re.DOTALL)
        assert found
        return found

    def types(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()


@contextlib.contextmanager
def watched(folder: Path, service_port: int, first_port: int) -> Iterator[Watched]:
    log = folder / "fakes.log"
    command = [sys.executable, "-m", "tests.fakes", "--first-port", str(first_port)]
    command += ["--tocsin", f"http://127.0.0.1:{service_port}"]
    with running(command, log=log, cwd=ROOT, env=environment(), stdin=subprocess.PIPE) as process:
        person = Watched(log, process)
        wait_until(lambda: "Ctrl-C" in person.text(), within=START_UP, otherwise=person.text)
        yield person
        assert process.stdin
        process.stdin.close()


def test_the_shipped_routing_file_leads_to_the_fakes():
    """Each channel has an entry, with the port and the secrets that its fake knows."""
    config = load(ROUTING, {})
    text = ROUTING.read_text()

    [everybody] = config.receivers
    assert {kind for kind in KINDS if getattr(everybody, f"{kind}_configs")} == set(KINDS)
    stand = Stand(Screen(write=str), tocsin="http://127.0.0.1:5001")
    assert {fake.port for fake in stand.fakes.values()} == {
        int(port) for port in re.findall(r":(51\d\d)", text)
    }
    assert min(fake.port for fake in stand.fakes.values()) == FIRST_PORT
    for secret in (
        *(
            slack.TOKEN,
            slack.SIGNING_SECRET,
            telegram.TOKEN,
            pagerduty.KEY,
            pagerduty.WEBHOOK_SECRET,
            opsgenie.KEY,
        ),
        *(slack.ANA[0], str(telegram.ANA["id"]), pagerduty.ANA["id"]),
    ):
        assert secret in text


def drill(service: Service) -> int:
    status, held = service.request("POST", "/test-alert", {"labels": {"severity": "critical"}})
    assert status == 202
    return int(held["incident_id"])


def test_a_drill_is_seen_in_every_service_and_a_button_answers_it(tmp_path):
    """One person watches all of them, acknowledges in one, and sees it in the others."""
    port, first_port = free_port(), ports_in_a_row(7)
    url = f"sqlite:///{tmp_path}/tocsin.db"
    with (
        watched(tmp_path, port, first_port) as person,
        tocsin_serves(tmp_path, url, routing(first_port), port=port) as service,
    ):
        incident = drill(service)

        for place in ("Telegram Alerts", "E-mail", "PagerDuty #1", "Opsgenie", "Webhook", "Phone, failure"):
            person.sees(rf"── {place}.*?Drill")
        number = person.sees(r"── Slack.*?Drill.*?\[(\d+) Acknowledge\]")[1]
        person.types(number)

        person.sees(r">> Acknowledge, Slack: Tocsin answered 200")
        wait_until(
            lambda: service.incident(incident)["state"] == "acknowledged",
            within=PATIENCE,
            otherwise=person.text,
        )
        person.sees(r"── Telegram.*?Acknowledged by ana")
        person.sees(r"── PagerDuty #1, acknowledged")


def test_a_service_can_be_out_and_come_back(tmp_path):
    """A person who wants to see an outage types it."""
    first_port = ports_in_a_row(7)

    def refuses() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", first_port)):
            return False
        return True

    with watched(tmp_path, free_port(), first_port) as person:
        assert not refuses()
        person.types("down slack")
        person.sees("Slack is down")
        assert refuses()
        person.types("up slack")
        person.sees("Slack is up")
        assert not refuses()


def test_what_makes_no_sense_is_answered_kindly(tmp_path):
    with watched(tmp_path, free_port(), ports_in_a_row(7)) as person:
        person.types("7")
        person.types("down fax")

        person.sees("There is no button 7.*There is no fax; there are Slack, Telegram")
