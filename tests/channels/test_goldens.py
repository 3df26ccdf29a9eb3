"""What does each channel say on each occasion? The files in goldens/ show it; a change there is a change for people."""

import json

import pytest

from docs.message_pictures import pictures
from receiver.channels import KINDS
from receiver.channels.console import Console, ConsoleConfig
from receiver.channels.webhook import body
from tests.channels.events import DIGESTS, EVENTS, GOLDENS, as_message, check_golden, facts_of
from tests.fakes.facts import a_digest, some_facts

ONE_BY_ONE = [name for name in EVENTS if name not in DIGESTS]


def occasions(kind: str) -> list[str]:
    return list(EVENTS) if KINDS[kind].takes_digests else ONE_BY_ONE


@pytest.mark.parametrize("name", ONE_BY_ONE)
async def test_the_console_looks_as_it_did(name, client, clock, capsys):
    await Console(client, clock).send(ConsoleConfig(), as_message("console", name), None)

    check_golden("console", name, "txt", capsys.readouterr().out)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_the_webhook_posts_what_it_did(name):
    """Keys are sorted here: their order is nobody's business."""
    posted = json.loads(body(as_message("webhook", name)))

    content = json.dumps(posted, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    check_golden("webhook", name, "json", content)


@pytest.mark.parametrize("name", EVENTS)
def test_a_push_looks_as_it_did(name):
    message = as_message("apprise", name)
    said = [message.title, *([message.reply] if message.reply else []), message.text]

    check_golden("apprise", name, "txt", "\n".join(said) + "\n")


@pytest.mark.parametrize("kind", KINDS)
def test_every_channel_has_a_file_for_each_occasion(kind):
    """Who looks after a channel can see at a glance what it says."""
    found = {path.name.split(".")[0] for path in (GOLDENS / kind).iterdir()}

    assert found == set(occasions(kind))


def test_the_facts_of_channel_tests_have_the_shape_of_real_ones():
    """A template that reads a fact which only tests have would fail in service."""
    for invented, real in ((some_facts(), facts_of("triggered")), (a_digest(), facts_of("digest"))):
        assert invented.keys() == real.keys()
        assert invented["incident"].keys() <= real["incident"].keys()


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in KINDS if KINDS[kind].needs_templates for name in occasions(kind)],
)
def test_the_first_line_says_how_bad_and_what_and_where(kind, name):
    """It is all that a lock screen shows."""
    title = as_message(kind, name).title

    assert len(title) <= 120
    assert "\n" not in title
    mark, what = {
        "drill": ("[DRILL]", "Drill"),
        "digest": ("🔥 23 incidents", "PostgresReplicationLag"),
        "handed_over": ("📟 2 incidents open as you come on call", "KubePodCrashLooping"),
        "healed": ("✅ 3 incidents came and went while you were away", "DiskWillFill"),
        "acknowledged": ("👀 Acknowledged by ana", "KubePodCrashLooping"),
        "resolved": ("✅ Resolved", "KubePodCrashLooping"),
    }.get(name, ("🔥 CRITICAL", "KubePodCrashLooping"))
    assert title.startswith(mark)
    assert what in title
    assert name in {"drill", *DIGESTS} or "payments, prod-eu" in title


def test_the_pictures_of_the_documents_can_be_made():
    """Whoever adds a kind of block sees here that docs/message_pictures.py does not know it yet."""
    for page, width in pictures().values():
        assert "KubePodCrashLooping" in page or "PostgresReplicationLag" in page
        assert width >= 390


def test_the_hand_over_in_the_documents_is_a_real_one():
    said = (GOLDENS / "telegram" / "handed_over.txt").read_text().split("\n\nAll incidents")[0]

    assert f"```text\n{said}\n```" in (GOLDENS.parents[2] / "docs" / "on-call.md").read_text()
