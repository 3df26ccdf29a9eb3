"""How tests and benchmarks run a real Alertmanager and a real Prometheus."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.processes import free_port, running, wait_until

NAMES = {  # what a distribution may call it, the first is also Debian's package
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "prometheus": ("prometheus",),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
}
READY_WITHIN = 30  # seconds; usually a quarter of one, with peers a few


class MissingError(RuntimeError):
    """A program that only some machines have is not on this one."""


def find(name: str) -> str:
    """Return the path of a program that only some machines have."""
    for candidate in NAMES[name]:
        if path := shutil.which(candidate):
            return path
    raise MissingError(f"{name} is not on this machine (apt-get install {NAMES[name][0]})")


def requires(*names: str) -> pytest.MarkDecorator:
    """Skip a test, saying why in one line, where a program is missing; in CI let it fail instead."""
    reason = ""
    for name in names:
        try:
            find(name)
        except MissingError as missing:
            reason = str(missing)
    return pytest.mark.skipif(bool(reason) and os.environ.get("CI") != "true", reason=reason or "all found")


@dataclass(frozen=True)
class Running:
    """A program that answers HTTP on this machine."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Return the address of its root."""
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the status and the answer, parsed where it is JSON."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            is_json = "json" in (answer.getheader("Content-Type") or "")
            return answer.status, json.loads(text) if is_json else text

    def wait_until_ready(self, path: str) -> None:
        """Return when the program answers 200 at that path."""
        wait_until(lambda: self._is_ready(path), within=READY_WITHIN, otherwise=self.log.read_text)

    def _is_ready(self, path: str) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"it ended at once:\n{self.log.read_text()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", path)[0] == 200
        return False


class Alertmanager(Running):
    """A running Alertmanager."""

    def post_alerts(self, alerts: Sequence[dict[str, Any]]) -> None:
        """Do what Prometheus does: tell it of alerts, each `{labels, annotations?, startsAt?, endsAt?}`."""
        status, answer = self.request("POST", "/api/v2/alerts", list(alerts))
        if status != 200:
            raise RuntimeError(f"Alertmanager answered {status}: {answer}")

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts it holds."""
        answer: list[dict[str, Any]] = self.request("GET", "/api/v2/alerts")[1]
        return answer

    def peers(self) -> list[str]:
        """Return the names of its cluster, itself among them, once the cluster has settled."""
        cluster = self.request("GET", "/api/v2/status")[1]["cluster"]
        return [peer["name"] for peer in cluster.get("peers", [])] if cluster["status"] == "ready" else []


class Prometheus(Running):
    """A running Prometheus."""


@contextlib.contextmanager
def run_alertmanager(config: str, *options: str) -> Iterator[Alertmanager]:
    """Run an Alertmanager on its own, with the text of its configuration file."""
    with _alertmanager(config, "--cluster.listen-address=", *options) as alertmanager:
        yield alertmanager


@contextlib.contextmanager
def run_alertmanager_pair(config: str) -> Iterator[tuple[Alertmanager, Alertmanager]]:
    """Run two Alertmanagers that know of each other; both have to be told of every alert.

    The second waits a second, instead of fifteen, for the first to send a notification.
    """
    first, second = free_port(), free_port()
    quick = ("--cluster.peer-timeout=1s", "--cluster.gossip-interval=50ms", "--cluster.settle-timeout=2s")
    with contextlib.ExitStack() as stack:
        pair = (
            stack.enter_context(_alertmanager(config, f"--cluster.listen-address=127.0.0.1:{first}", *quick)),
            stack.enter_context(
                _alertmanager(
                    config,
                    f"--cluster.listen-address=127.0.0.1:{second}",
                    f"--cluster.peer=127.0.0.1:{first}",
                    *quick,
                )
            ),
        )
        wait_until(
            lambda: all(len(one.peers()) == len(pair) for one in pair),
            within=READY_WITHIN,
            otherwise=pair[1].log.read_text,
        )
        yield pair


@contextlib.contextmanager
def _alertmanager(config: str, *options: str) -> Iterator[Alertmanager]:
    with tempfile.TemporaryDirectory(prefix="tocsin-alertmanager-") as name:
        home, port = Path(name), free_port()
        (home / "alertmanager.yml").write_text(config)
        command = [
            find("alertmanager"),
            f"--config.file={home}/alertmanager.yml",
            f"--storage.path={home}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            *options,
        ]
        with running(command, log=home / "log", directory=home) as process:
            alertmanager = Alertmanager(port, process, home / "log")
            alertmanager.wait_until_ready("/-/ready")
            yield alertmanager


@contextlib.contextmanager
def run_prometheus(
    rules: str, *, alertmanagers: Sequence[int] = (), targets: Sequence[int] = ()
) -> Iterator[Prometheus]:
    """Run a Prometheus with the text of a rules file; Alertmanagers and scraped targets are ports here.

    It scrapes and evaluates every second, and says at once what it found.
    """
    with tempfile.TemporaryDirectory(prefix="tocsin-prometheus-") as name:
        home, port = Path(name), free_port()
        (home / "rules.yml").write_text(rules)
        (home / "prometheus.yml").write_text(_prometheus_config(alertmanagers, targets))
        command = [
            find("prometheus"),
            f"--config.file={home}/prometheus.yml",
            f"--storage.tsdb.path={home}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--rules.alert.resend-delay=1s",
            "--web.enable-lifecycle",
        ]
        with running(command, log=home / "log", directory=home) as process:
            prometheus = Prometheus(port, process, home / "log")
            prometheus.wait_until_ready("/-/ready")
            yield prometheus


def _prometheus_config(alertmanagers: Sequence[int], targets: Sequence[int]) -> str:
    """Return a configuration file; JSON is YAML."""
    return json.dumps(
        {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": _addresses(alertmanagers)}]}]},
            "scrape_configs": [
                {"job_name": "tests", "static_configs": [{"targets": _addresses(targets)}]},
            ],
        }
    )


def _addresses(ports: Sequence[int]) -> list[str]:
    return [f"127.0.0.1:{port}" for port in ports]
