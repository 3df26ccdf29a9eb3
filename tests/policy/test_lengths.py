"""How long do others find a text, where they do not count characters as Python does?"""

import pytest

from receiver.policy.lengths import cut, encoded, seen, units


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param("", 0, id="nothing"),
        pytest.param("abc", 3, id="letters"),
        pytest.param("磁盘", 2, id="one unit each"),
        pytest.param("🔥", 2, id="an emoji has two"),
        pytest.param("👩‍👩‍👧", 8, id="a family is many, joined"),
        pytest.param("a\ud800b", 3, id="half a pair is one"),
    ],
)
def test_utf_16_units_are_counted(text, count):
    assert units(text) == count


@pytest.mark.parametrize(
    ("markup", "count"),
    [
        pytest.param("<b>fire</b>", 4, id="tags are not seen"),
        pytest.param('<a href="https://example.org/?a=1&amp;b=2">here</a>', 4, id="nor where a link leads"),
        pytest.param("a &lt; b &amp;&#39;", 8, id="an escape is one character"),
        pytest.param("<b>🔥</b>", 2, id="an emoji has two"),
    ],
)
def test_of_markup_only_what_is_seen_counts(markup, count):
    assert seen(markup) == count


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        pytest.param("short", 5, "short", id="fits"),
        pytest.param("abcdef", 4, "abc…", id="cut"),
        pytest.param("🔥🔥🔥", 6, "🔥🔥🔥", id="emoji that fit"),
        pytest.param("🔥🔥🔥", 5, "🔥🔥…", id="an emoji more would not"),
        pytest.param("🔥🔥🔥", 4, "🔥…", id="no emoji is cut in half"),
        pytest.param("ab  cdef", 5, "ab…", id="no space before the mark"),
    ],
)
def test_a_text_is_cut_between_characters(text, most, kept):
    assert cut(text, most) == kept
    assert units(kept) <= most


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param("abc", 3, id="letters"),
        pytest.param("磁盘", 6, id="three bytes each"),
        pytest.param("🔥", 4, id="an emoji has four"),
        pytest.param("a\ud800b", 5, id="half a pair counts as it would be sent"),
    ],
)
def test_bytes_are_counted(text, count):
    assert encoded(text) == count
