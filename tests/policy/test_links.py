"""What may a link in a message do, and is it one of ours?"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.policy.incident import Verb
from receiver.policy.links import LASTS, BadLink, Feed, Link, read, read_feed, sign, sign_feed

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
KEY = b"a key that nobody else has"
LINK = Link(41, Verb.ACKNOWLEDGE, "email ana@example.org", NOW + LASTS)
TOKEN = sign(LINK, KEY)


def test_a_link_says_what_was_signed():
    assert read(TOKEN, KEY, NOW) == LINK


def test_a_link_is_part_of_an_address_as_it_stands():
    assert TOKEN.isascii()
    assert set("/?#%& +=") & set(TOKEN) == set()


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_a_link_that_was_changed_anywhere_is_not_ours(position, character):
    changed = TOKEN[:position] + character + TOKEN[position + 1 :]
    if changed == TOKEN:
        return

    with pytest.raises(BadLink):
        read(changed, KEY, NOW)


@given(st.text(max_size=300))
def test_whatever_comes_as_a_link_is_refused_with_words(text):
    with pytest.raises(BadLink, match="link"):
        read(text, KEY, NOW)


def test_another_key_signs_other_links():
    with pytest.raises(BadLink, match="not made here"):
        read(TOKEN, b"another key", NOW)


def test_without_a_key_no_link_is_ours():
    with pytest.raises(BadLink):
        read(sign(LINK, b""), b"", NOW)


def test_a_link_ends():
    assert read(TOKEN, KEY, LINK.until - timedelta(seconds=1)) == LINK
    with pytest.raises(BadLink, match="too old"):
        read(TOKEN, KEY, LINK.until)


@pytest.mark.parametrize("said", ['["x", "acknowledge", "d", 1]', '[1, "destroy", "d", 1]', "[]", "{", "[1]"])
def test_what_is_signed_and_makes_no_sense_is_refused(said):
    """Another version may sign what this one does not know."""
    from receiver.policy import links  # noqa: PLC0415 - its own way of writing

    text = links._encoded(said.encode())

    with pytest.raises(BadLink, match="understands"):
        read(f"{text}.{links._signature(text, KEY)}", KEY, NOW)


FEED = sign_feed(Feed("schedule", "primary"), KEY)


def test_a_feed_says_what_was_signed():
    assert read_feed(FEED, KEY) == Feed("schedule", "primary")


@pytest.mark.parametrize(
    ("token", "key"),
    [
        pytest.param(FEED, b"another key", id="another key"),
        pytest.param(FEED, b"", id="no key"),
        pytest.param(FEED[:-1], KEY, id="cut off"),
        pytest.param(FEED + "é", KEY, id="what is in no address"),
        pytest.param(FEED + "A" * 10_000, KEY, id="far too long"),
        pytest.param(TOKEN, KEY, id="a link of a message"),
    ],
)
def test_a_feed_that_is_not_ours_shows_nothing(token, key):
    with pytest.raises(BadLink, match="ask for a new one"):
        read_feed(token, key)
