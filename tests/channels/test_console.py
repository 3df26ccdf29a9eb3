"""How does a message appear on standard output?"""

import contextlib
import os
import sys

import pytest

from receiver.channels import KINDS, open_channels
from receiver.channels.base import TemporaryFailure
from receiver.channels.console import Console, ConsoleConfig, visible
from tests.channels.contract import HOSTILE, a_message
from tests.fakes.facts import an_incident, some_facts


async def test_a_message_is_printed_whole(client, clock, capsys):
    await Console(client, clock).send(ConsoleConfig(), a_message(kind="console", reply="1 new alert"), None)

    printed = capsys.readouterr().out
    assert printed.startswith(
        "🔥 CRITICAL · DiskFull db-1 (2 firing) · Disk on db-1 is 91% full & <growing>\n1 new alert\n"
    )
    assert "Runbook: https://runbooks.example.org/DiskFull?step=1&of=3\n" in printed


async def test_a_terminal_that_is_stopped_stops_nothing_else(client, clock, monkeypatch):
    """A pipe that nobody reads, or a terminal after Ctrl-S, would hold up the whole service."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 65536)
    os.set_blocking(writing, True)

    with open(writing, "w") as stdout, open(reading, "rb", buffering=0) as reader:  # noqa: ASYNC230, PTH123 - a pipe
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(TemporaryFailure, match="nobody reads"):
            await Console(client, clock).send(ConsoleConfig(), a_message(kind="console"), None)

        reader.read(1_000_000)
        await Console(client, clock).send(ConsoleConfig(), a_message(kind="console"), None)
        assert b"DiskFull" in reader.read(1_000_000)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_text_cannot_drive_the_terminal(client, clock, capsys, text):
    incident = an_incident(title=text, annotations={"summary": text})
    message = a_message(kind="console", facts=some_facts(incident=incident), title=text, reply=text)

    await Console(client, clock).send(ConsoleConfig(), message, None)

    assert not any(ord(c) in {*range(10), *range(11, 32), *range(127, 160)} for c in capsys.readouterr().out)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb", r"a\x0db"),
        ("\u202eabc", r"\x202eabc"),
        ("two\nlines 磁盘 👩‍👧", "two\nlines 磁盘 👩‍👧"),
    ],
)
def test_what_does_not_print_is_made_visible(text, shown):
    assert visible(text) == shown


async def test_a_closed_standard_output_is_tried_again(client, clock, tmp_path, monkeypatch):
    with (tmp_path / "out").open("w") as closed:
        pass
    monkeypatch.setattr(sys, "stdout", closed)

    with pytest.raises(TemporaryFailure, match="standard output"):
        await Console(client, clock).send(ConsoleConfig(), a_message(kind="console"), None)


async def test_a_terminal_that_knows_only_ascii_still_shows_the_page(client, clock, tmp_path, monkeypatch):
    file = tmp_path / "out"
    with file.open("w", encoding="ascii") as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        await Console(client, clock).send(ConsoleConfig(), a_message(kind="console"), None)

    assert "CRITICAL" in file.read_text(encoding="ascii")


async def test_every_kind_opens_and_closes(client, clock):
    channels = open_channels(client, clock)

    assert channels.keys() == KINDS.keys()
    for channel in channels.values():
        await channel.aclose()


def test_there_is_one_standard_output():
    assert ConsoleConfig().destination == "console stdout"
