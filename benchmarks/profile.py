"""Where does the service spend its time? Samples of every thread, while a load runs.

    python -m benchmarks.profile                     on SQLite, nobody notified
    python -m benchmarks.profile --notifying         and with notifications going out

Of each thread it prints the functions that were on the stack most often, as a share of the thread's
samples, and how often the thread merely waited. A sample costs a little, so shares are what counts.
"""

import argparse
import collections
import runpy
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from benchmarks import programs, tocsin

EVERY = 0.005  # seconds
SHOWN = 45  # functions of each thread
WAITING = {"wait", "select", "_worker", "_run_once", "get", "acquire", "poll"}
SAMPLED = "--sampled"


def sample(stacks: dict[str, collections.Counter[str]], totals: collections.Counter[str]) -> None:
    """Look at every thread for ever."""
    own = threading.get_ident()
    while True:
        time.sleep(EVERY)
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():  # noqa: SLF001 - there is no other way to see them
            if ident != own:
                name = names.get(ident, "?").split("-")[0]
                totals[name] += 1
                stacks.setdefault(name, collections.Counter()).update(_functions(frame))


def _functions(frame: FrameType | None) -> set[str]:
    """Return the functions on a stack, each once; a thread that waits is only waiting."""
    found = set()
    innermost = True
    while frame is not None:
        code = frame.f_code
        if innermost:
            if code.co_name in WAITING:
                return {"(waits)"}
            found.add(f"  itself in {_place(frame)}")
            innermost = False
        found.add(_place(frame))
        frame = frame.f_back
    return found


def _place(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    return f"{'/'.join(path.parts[-3:])}:{frame.f_code.co_name}"


def run_sampled() -> None:
    """Run the service in this process and print what was seen when it ends."""
    stacks: dict[str, collections.Counter[str]] = {}
    totals: collections.Counter[str] = collections.Counter()
    threading.Thread(target=sample, args=(stacks, totals), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the server raises it again when it is done
    sys.argv = ["tocsin", *sys.argv[sys.argv.index(SAMPLED) + 1 :]]
    try:
        runpy.run_module("receiver", run_name="__main__")
    finally:
        for name, total in totals.most_common():
            print(f"\n{name}: {total} samples")
            for place, count in stacks[name].most_common(SHOWN):
                print(f"{count / total:6.1%} {place}")


def main() -> None:
    """Load the service and show its samples."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--notifying", action="store_true")
    parser.add_argument("--requests", type=int, default=4000)
    given = parser.parse_args()
    programs.SERVE = (sys.executable, "-m", "benchmarks.profile", SAMPLED, "serve")
    with programs.run_sink() as sink, tocsin.fresh_file() as url:
        wait = "0s" if given.notifying else "1h"
        with programs.run_tocsin(url, sink, group_wait=wait, keep_log=True) as service:
            rate = tocsin.measured_ingest(service, given.requests)
        print(f"{rate:,.0f} new alerts a second")
        print(service.log.read_text())
        service.log.unlink()


if __name__ == "__main__":
    if SAMPLED in sys.argv:
        run_sampled()
    else:
        main()
