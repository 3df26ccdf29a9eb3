"""How do tests run the command, and a service for it to speak to?"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from receiver.resources import ROOT
from tests.processes import free_port, running, wait_until

START_UP = 60  # seconds; a busy machine imports slowly


def environment(**variables: str) -> dict[str, str]:
    """Return an environment in which nothing of this machine's Tocsin is set."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    return {**own, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **variables}


def tocsin(*arguments: object, within: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Return how the command ended, and what it said, when it ran in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "receiver", *map(str, arguments)],
        cwd=within,
        env=environment(**variables),
        capture_output=True,
        encoding="utf-8",
        timeout=START_UP,
        check=False,
    )


@contextlib.contextmanager
def serving(directory: Path, routing: str) -> Iterator[str]:
    """Run a service with this routing.yaml in a folder; yield its address."""
    (directory / "routing.yaml").write_text(routing, encoding="utf-8")
    port, log = free_port(), directory / "serve.log"
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "receiver", "serve", "--port", str(port)]
    with running(command, log=log, cwd=directory, env=environment()) as process:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{url}/health/live", timeout=5) as live,  # noqa: S310 - our own
            ):
                return live.status == 200
            return False

        wait_until(answers, within=START_UP, otherwise=log.read_text)
        yield url
