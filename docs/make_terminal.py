"""How is the terminal of the README made? `python docs/make_terminal.py`, from the root of the repository.

A real Tocsin with the shipped routing.yaml runs in a terminal, a real Alertmanager with the README's
block tells it of an alert that fires and ends, and what both terminals showed is drawn as it was.
"""  # noqa: INP001 - a script beside the picture it draws

import contextlib
import fcntl
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import timedelta
from html import escape
from pathlib import Path

from receiver.clock import SystemClock
from tests.alertmanager import run_alertmanager
from tests.command import environment
from tests.processes import wait_until

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "terminal.svg"
COLUMNS = 104
WITHIN = 90  # seconds; the end is told group_interval after the beginning, half a minute
FIRES_FOR = timedelta(seconds=3)
ALERTMANAGER = """
route: {receiver: tocsin, group_by: [alertname], group_wait: 0s, group_interval: 1s}
receivers:
  - name: tocsin
    webhook_configs:
      - url: http://127.0.0.1:5001/webhooks/alertmanager
"""

SIZE, ADVANCE, LINE = 14, 8.43, 20  # of a letter, in pixels: height, width, and from line to line
MARGIN, BAR = 18, 34
COLOURS = {
    "31": "#ff7b72",
    "32": "#7ee787",
    "33": "#e3b341",
    "34": "#79c0ff",
    "35": "#d2a8ff",
    "36": "#76e3ea",
    "2": "#8b949e",
}
TEXT, STRONG = "#d7dee6", "#ffffff"
SGR = re.compile(r"\x1b\[([0-9;]*)m")
OTHER = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]")
STYLE = (
    "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}"
)


class Terminal:
    """Runs commands as a person would, and keeps what the screen showed."""

    def __init__(self, title: str, folder: Path, environ: dict[str, str]) -> None:
        self.title = title
        self._folder, self._environ = folder, environ
        self._shown = ""

    def text(self) -> str:
        """Return what it shows, with its colours."""
        return self._shown.replace("\r\n", "\n").rstrip()

    def run(self, *command: str) -> None:
        """Run a command to its end."""
        with self.running(*command) as process:
            if process.wait(WITHIN) != 0:
                raise RuntimeError(f"{command} failed:\n{self.text()}")

    @contextlib.contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command while the block runs; it may be several lines, as a person breaks them."""
        if self._shown:
            self._shown += "\r\n"
        self._shown += "".join(f"\x1b[1m{line}\x1b[0m\r\n" for line in f"$ {' '.join(command)}".split("\n"))
        words = shlex.split(" ".join(command).replace("\\\n", " "))
        words[0] = shutil.which(words[0], path=self._environ["PATH"]) or words[0]
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        process = subprocess.Popen(  # noqa: S603 - commands of our own
            words, cwd=self._folder, env=self._environ, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        reader = threading.Thread(target=self._read, args=(ours,))
        reader.start()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(WITHIN)
            reader.join()
            os.close(ours)

    def _read(self, terminal: int) -> None:
        pending = b""
        with contextlib.suppress(OSError):  # how Linux says that the other side is closed
            while chunk := os.read(terminal, 65536):
                pending += chunk
                whole, line_end, pending = pending.rpartition(b"\n")
                self._shown += (whole + line_end).decode(errors="replace")
        self._shown += pending.decode(errors="replace")


def record() -> list[tuple[str, str]]:
    """Let an alert fire and end, and hold a drill; return title and text of each terminal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "routing.yaml", folder)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environ = environment(TERM="xterm-256color", PATH=path, HOME=name, COLUMNS=str(COLUMNS))
        service, other = Terminal("tocsin", folder, environ), Terminal("another terminal", folder, environ)
        with (
            service.running("tocsin serve"),
            run_alertmanager(
                ALERTMANAGER,
                "--web.listen-address=127.0.0.1:9093",  # where amtool looks
                "--web.external-url=http://127.0.0.1:9093",
            ),
        ):
            _wait_for(service, "serve.started")
            other.run(
                "amtool alert add DiskFull severity=critical instance=db-1",
                f"--end={(SystemClock().now() + FIRES_FOR).strftime('%Y-%m-%dT%H:%M:%SZ')} \\\n ",
                "--annotation=summary='The disk of db-1 is 97 % full' \\\n ",
                "--annotation=runbook_url=https://runbooks.example.org/DiskFull",
            )
            _wait_for(service, "Resolved ")
            _wait_for(service, "/incidents/1", times=2)
            other.run("tocsin test-alert severity=critical")
            _wait_for(service, "/incidents/2")
            shown = service.text()  # without its last words
        return [(service.title, shown), (other.title, other.text())]


def _wait_for(terminal: Terminal, words: str, *, times: int = 1) -> None:
    wait_until(lambda: terminal.text().count(words) >= times, within=WITHIN, otherwise=terminal.text)


def draw(terminals: Sequence[tuple[str, str]]) -> str:
    """Return the picture of the terminals, one below the other."""
    width = round(2 * MARGIN + COLUMNS * ADVANCE)
    parts, top = [], 0
    for title, text in terminals:
        lines = [row for line in OTHER.sub("", text).split("\n") for row in wrapped(spans(line))]
        height = BAR + MARGIN + len(lines) * LINE + MARGIN // 2
        parts.append(_window(title, lines, top, width, height))
        top += height + MARGIN
    height = top - MARGIN
    plain = escape("\n".join(SGR.sub("", text) for _, text in terminals))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" role="img" aria-labelledby="title said">\n'
        '<title id="title">An alert from Alertmanager becomes an incident and a message</title>\n'
        f'<desc id="said">{plain}</desc>\n<style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _window(title: str, lines: list[list[tuple[str, str]]], top: int, width: int, height: int) -> str:
    parts = [
        f'<rect y="{top}" width="{width}" height="{height}" rx="9" fill="#10151c"/>',
        f'<path d="M0 {top + BAR}v{9 - BAR}a9 9 0 0 1 9-9h{width - 18}a9 9 0 0 1 9 9v{BAR - 9}z"',
        '  fill="#1d2530"/>',
        *(
            f'<circle cx="{20 + 20 * place}" cy="{top + BAR // 2}" r="6" fill="{colour}"/>'
            for place, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        ),
        f'<text x="{width // 2}" y="{top + 22}" fill="#8b949e" text-anchor="middle">{escape(title)}</text>',
    ]
    for number, line in enumerate(lines):
        y = top + BAR + MARGIN + number * LINE + SIZE // 2
        parts += _line(line, y)
    return "\n".join(parts)


def _line(line: list[tuple[str, str]], y: int) -> list[str]:
    """Return a text for every span, each where its column is, whatever font the reader has."""
    parts, column = [], 0
    for style, text in line:
        if text.strip():
            x = MARGIN + column * ADVANCE
            parts.append(f'<text x="{x:.1f}" y="{y}" {_look(style)}>{escape(text)}</text>')
        column += columns(text)
    return parts


def _look(style: str) -> str:
    codes = style.split(";")
    colour = next((COLOURS[code] for code in codes if code in COLOURS), STRONG if "1" in codes else TEXT)
    return f'fill="{colour}"' + (' font-weight="bold"' if "1" in codes else "")


def spans(line: str) -> list[tuple[str, str]]:
    """Return the pieces of a line, each with the codes that are in force."""
    style, found = "", []
    for number, piece in enumerate(SGR.split(line)):
        if number % 2:
            style = "" if piece in {"", "0"} else f"{style};{piece}"
        elif piece:
            found.append((style, piece))
    return found


def wrapped(line: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Return the rows that a terminal makes of a line."""
    rows: list[list[tuple[str, str]]] = [[]]
    used = 0
    for style, text in line:
        for letter in text:
            if used + columns(letter) > COLUMNS:
                rows.append([])
                used = 0
            if rows[-1] and rows[-1][-1][0] == style and columns(letter) == columns(rows[-1][-1][1][0]):
                rows[-1][-1] = (style, rows[-1][-1][1] + letter)
            else:
                rows[-1].append((style, letter))
            used += columns(letter)
    return rows


def columns(text: str) -> int:
    """Return how many columns a terminal gives a text; pictures take two."""
    wide = sum(unicodedata.east_asian_width(letter) in {"W", "F"} for letter in text)
    hidden = sum(unicodedata.combining(letter) != 0 or letter == "\ufe0f" for letter in text)
    return len(text) + wide - hidden


if __name__ == "__main__":
    PICTURE.write_text(draw(record()), encoding="utf-8")
