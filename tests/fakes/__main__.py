"""`make fakes`: run all fakes by hand, see what each service would receive, and press its buttons."""

import argparse
import asyncio
import contextlib
import sys
import threading
from pathlib import Path

from tests.fakes.stand import FIRST_PORT, Screen, Stand

ROUTING = Path(__file__).with_name("routing.yaml")
HELP = """\
Now run, in another terminal:   tocsin serve --config {routing}
and in a third:                 tocsin test-alert severity=critical

Each button has a number: type it here and press Enter. `down slack` lets a service be out, `up slack` ends
that. Ctrl-C ends the fakes.
"""


async def main(tocsin: str, first_port: int) -> None:
    """Serve until Ctrl-C."""
    screen = Screen(write=lambda text: print(text, flush=True))
    typed: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(typed.put_nowait, line)

    async with Stand(screen, tocsin=tocsin, first_port=first_port) as stand:
        for name, fake in stand.fakes.items():
            print(f"{name:20} 127.0.0.1:{fake.port}")
        print(HELP.format(routing=_near(ROUTING)), flush=True)
        threading.Thread(target=read, daemon=True).start()  # reading cannot be cancelled; it ends with us
        while True:
            await stand.obey(await typed.get())


def _near(path: Path) -> Path:
    with contextlib.suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.fakes", description=__doc__)
    parser.add_argument("--tocsin", default="http://127.0.0.1:5001", help="where Tocsin runs")
    parser.add_argument("--first-port", type=int, default=FIRST_PORT, help="the others follow it")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(options.tocsin, options.first_port))
