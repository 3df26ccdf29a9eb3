"""How are the programs of a benchmark started, and what machine do they run on?"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.alertmanager import Running, find
from tests.processes import free_port, running

ROOT = Path(__file__).parent.parent
SERVE: tuple[str, ...] = (sys.executable, "-m", "receiver", "serve")


class Sink(Running):
    """The server that everything is sent to."""

    def control(self, word: str) -> Any:
        """Return its answer to hold, release, reset, report or arrivals."""
        return self.request("POST", f"/control/{word}")[1]


class Tocsin(Running):
    """A running Tocsin."""

    def metric(self, name: str) -> float:
        """Return a counter, summed over its labels."""
        lines = self.request("GET", "/metrics")[1].splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))
        )


def memory(program: Running) -> float:
    """Return its resident memory in MB, its children included."""
    process = psutil.Process(program.process.pid)
    return sum(part.memory_info().rss for part in (process, *process.children(recursive=True))) / 1e6


@contextlib.contextmanager
def run_sink() -> Iterator[Sink]:
    """Run the sink."""
    with tempfile.TemporaryDirectory(prefix="tocsin-sink-") as name:
        port, log = free_port(), Path(name) / "log"
        with running([sys.executable, "-m", "benchmarks.sink", str(port)], log=log, cwd=ROOT) as process:
            sink = Sink(port, process, log)
            sink.wait_until_ready("/control/report")
            yield sink


@contextlib.contextmanager
def run_tocsin(
    database_url: str,
    sink: Sink,
    *,
    group_wait: str = "0s",
    keep_log: bool = False,
    steps: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Tocsin]:
    """Run Tocsin with one route, whose receiver is the sink; a kept log is the caller's to remove.

    With `steps` the route has an escalation policy instead.
    """
    with tempfile.TemporaryDirectory(prefix="tocsin-service-") as name:
        home, port = Path(name), free_port()
        config: dict[str, Any] = {
            "route": {"receiver": "sink", "group_by": ["bench_group"], "group_wait": group_wait},
            "receivers": [
                {
                    "name": "sink",
                    "webhook_configs": [{"url": f"{sink.url}/", "allow_private_addresses": True}],
                }
            ],
        }
        if steps:
            del config["route"]["receiver"]
            config["route"]["escalation_policy"] = "page"
            config |= {"escalation_policies": [{"name": "page", "steps": list(steps)}], "fallback": "sink"}
        log = Path(tempfile.mkstemp(prefix="tocsin-log-")[1]) if keep_log else home / "log"
        (home / "routing.yaml").write_text(json.dumps(config))
        command: list[str | Path] = [
            *SERVE,
            f"--config={home}/routing.yaml",
            f"--database={database_url}",
            "--host=127.0.0.1",
            f"--port={port}",
        ]
        with running(command, log=log, cwd=ROOT, env=os.environ | {"TOCSIN_LOG_LEVEL": "warning"}) as process:
            tocsin = Tocsin(port, process, log)
            tocsin.wait_until_ready("/health/ready")
            yield tocsin


def load(target: Running, kind: str, prefix: str, **options: float) -> dict[str, Any]:
    """Run the load generator against a program and return what it printed."""
    chosen = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "benchmarks.load", str(target.port), kind, f"--prefix={prefix}", *chosen]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def all_answered(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a load if every request was answered well; only then its time means anything."""
    if any(not status.startswith("2") for status in result["statuses"]):
        raise RuntimeError(f"not every request was accepted, by status: {result['statuses']}")
    return result


def machine(postgresql: str = "") -> str:
    """Return one line about the machine and the versions."""
    facts = [
        f"{os.cpu_count()} cores",
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        platform.system(),
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}",
    ]
    if postgresql:
        facts.append(f"PostgreSQL {postgresql}")
    with contextlib.suppress(RuntimeError):
        facts.append(f"Alertmanager {_version([find('alertmanager'), '--version'])}")
    return ", ".join(facts)


def _version(command: Sequence[str]) -> str:
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    return (said.stdout or said.stderr).split("version ", 1)[1].split(" ", 1)[0]
