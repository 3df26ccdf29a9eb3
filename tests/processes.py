"""How tests and benchmarks start another program, and make sure that it ends."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

PATIENCE = 10  # seconds a program may take to end by itself before it is killed

# The end of the pipe says that we are gone without a word; then the program must go, and its directory with it.
WATCHER = """
read word && exit
kill -s "$2" "$1"
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" || break; sleep 0.2; done
kill -s KILL "$1"
rm -rf -- "$3"
"""


def free_port() -> int:
    """Return a TCP port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(is_true: Callable[[], bool], *, within: float, otherwise: Callable[[], str]) -> None:
    """Return as soon as something outside this process is true, or fail with a text."""
    give_up_at = time.monotonic() + within  # noqa: TID251 - other programs live by the real clock
    while not is_true():
        if time.monotonic() > give_up_at:  # noqa: TID251 - the same
            raise TimeoutError(f"not true within {within} s: {otherwise()}")
        time.sleep(0.02)  # noqa: TID251 - the same


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    *,
    log: Path,
    stop: signal.Signals = signal.SIGTERM,
    directory: Path | None = None,
    **options: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that ends with the block, and also when this process is killed.

    `directory` is removed only in the second case; in the first its owner does that.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is ours to pass on
            **{"stdin": subprocess.DEVNULL, **options},
        )
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", WATCHER, "watcher", str(process.pid), stop.name[3:], str(directory or "")],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end(process, stop)
        watcher.communicate(b"done\n")


def _end(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(stop)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
