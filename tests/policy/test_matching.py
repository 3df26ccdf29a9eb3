"""Matchers are read, written and answered as Alertmanager does it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from receiver.policy.matching import (
    OPERATORS,
    LabelPatterns,
    LabelValues,
    Matcher,
    Matchers,
    combined,
    from_api,
    in_order,
    is_classic_label_name,
    is_label_name,
    matches,
    parse_classic_matcher,
    parse_classic_matchers,
    parse_matcher,
    parse_matchers,
    parse_utf8_matcher,
    parse_utf8_matchers,
    to_api,
)
from receiver.policy.syntax import MatcherError
from tests.policy.tables import table

MODES = {
    "classic_matchers": parse_classic_matchers,
    "utf8_matchers": parse_utf8_matchers,
    "fallback_matchers": parse_matchers,
    "classic_matcher": lambda text: [parse_classic_matcher(text)],
    "utf8_matcher": lambda text: [parse_utf8_matcher(text)],
    "fallback_matcher": lambda text: [parse_matcher(text)],
}
UPSTREAM = table("matchers/matcher_upstream.json")
PATTERNS = table("matchers/regex_semantics.json")["cases"]
FIELD = TypeAdapter(Matchers)


def answer(parse, text):
    try:
        return [(each.name, each.op, each.value) for each in parse(text)]
    except MatcherError:
        return "refused"


def expected(row):
    return [(each["name"], each["op"], each["value"]) for each in row["matchers"]] if row["ok"] else "refused"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["parse_upstream", "parse_extra"])
def test_every_text_of_the_tables_is_read_or_refused_as_alertmanager_does(name, mode):
    cases = [case for case in table(f"matchers/{name}.json")["cases"] if mode in case]

    different = {case["input"]: answer(MODES[mode], case["input"]) for case in cases}
    wanted = {case["input"]: expected(case[mode]) for case in cases}

    assert cases
    assert different == wanted


@pytest.mark.parametrize("row", PATTERNS, ids=[f"{row['op']}{row['pattern'][:20]}" for row in PATTERNS])
def test_regular_expressions_mean_what_they_mean_in_go(row):
    if not row["valid"]:
        with pytest.raises(MatcherError, match="not a regular expression in RE2 syntax"):
            Matcher("foo", row["op"], row["pattern"])
        return

    matcher = Matcher("foo", row["op"], row["pattern"])

    assert str(matcher) == row["string"]
    assert [matcher.matches({"foo": each["value"]}) for each in row["cases"]] == [
        each["match"] for each in row["cases"]
    ]


@pytest.mark.parametrize(
    "row",
    UPSTREAM["match"],
    ids=[f"{row['value']!r}{row['op']}{row['pattern']!r}" for row in UPSTREAM["match"]],
)
def test_matching_agrees_with_alertmanagers_own_table(row):
    assert Matcher("foo", row["op"], row["pattern"]).matches({"foo": row["value"]}) is row["match"]


@pytest.mark.parametrize("row", UPSTREAM["string"], ids=[row["string"] for row in UPSTREAM["string"]])
def test_a_matcher_is_written_as_alertmanager_writes_it(row):
    assert str(Matcher(row["name"], row["op"], row["value"])) == row["string"]


def test_a_matcher_goes_to_and_comes_from_the_api_as_alertmanager_does_it():
    for row in UPSTREAM["json_marshal"]:
        assert to_api(Matcher(row["name"], row["op"], row["value"])) == row["json"]
    for row in UPSTREAM["json_unmarshal"]:
        assert from_api(row["json"]) == Matcher(row["name"], row["op"], row["value"])


def test_label_names_are_valid_where_alertmanager_says_so():
    for row in UPSTREAM["label_name_validity"]:
        assert (is_classic_label_name(row["name"]), is_label_name(row["name"])) == (
            row["classic"],
            row["utf8"],
        )


@pytest.mark.parametrize(
    ("text", "labels", "wanted"),
    [
        pytest.param('a="b"', {"a": "b"}, True, id="an equal value matches"),
        pytest.param('a=""', {}, True, id="a missing label equals the empty string"),
        pytest.param('a!="b"', {}, True, id="a missing label differs from a value"),
        pytest.param('a=~".+"', {}, False, id="a missing label has no characters"),
        pytest.param('a=~"db"', {"a": "dbx"}, False, id="regular expressions are anchored"),
        pytest.param('a=~"x|db"', {"a": "db"}, True, id="alternatives need no regular expression"),
        pytest.param('a!~"x|db"', {"a": "db"}, False, id="alternatives can be negated"),
        pytest.param('a=~"x|"', {}, True, id="an empty alternative is the missing label"),
        pytest.param(
            'a=~"a.c"',
            {"a": "a\ud800c"},
            True,
            id="half of a surrogate pair is one broken character, as in Go",
        ),
        pytest.param('a="b",c="d"', {"a": "b"}, False, id="every matcher must hold"),
        pytest.param("{}", {"a": "b"}, True, id="no matchers match everything"),
    ],
)
def test_labels_satisfy_matchers(text, labels, wanted):
    assert matches(parse_matchers(text), labels) is wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "severity", "is not a matcher; write a label, an operator and a value", id="no operator"
        ),
        pytest.param('a="b', "has no closing double quote; add it", id="a quote left open"),
        pytest.param('a=b"', r'has a double quote in the value; write \\"', id="a stray quote"),
        pytest.param('a=~"("', r"missing \).*look-around", id="a broken regular expression"),
        pytest.param('a=~"\\C"', "which Go does not know", id="single bytes"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_write(text, said):
    with pytest.raises(MatcherError, match=said):
        parse_matchers(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(r'a="\x"', "means nothing", id="an escape without digits"),
        pytest.param(r'a="\777"', "octal escape above", id="an octal escape beyond a byte"),
        pytest.param(r'a="\xff"', "not valid UTF-8", id="a byte that is not UTF-8"),
        pytest.param(r'a="\ud800"', "does not exist", id="half of a surrogate pair"),
        pytest.param(r'a="\U00110000"', "does not exist", id="a number beyond Unicode"),
        pytest.param(r'a="\Uffffffff"', "does not exist", id="a number far beyond Unicode"),
        pytest.param(r'""="b"', "needs the name of a label", id="a name without characters"),
        pytest.param('{a="b"', "must end with }", id="a brace left open"),
    ],
)
def test_the_utf8_syntax_refuses_what_go_refuses(text, said):
    with pytest.raises(MatcherError, match=said):
        parse_utf8_matchers(text)


def test_the_utf8_syntax_knows_gos_escapes():
    (matcher,) = parse_utf8_matchers(r'a="\a\b\f\n\r\t\v\\\"\101\x41A\U00000041"')

    assert matcher.value == '\a\b\f\n\r\t\v\\"AAAA'


def test_an_operator_must_be_one_of_four():
    with pytest.raises(MatcherError, match='"==" is not an operator; use one of = != =~ !~'):
        Matcher("a", "==", "b")


@settings(deadline=None)  # busy machines take longer
@given(st.text(min_size=1), st.sampled_from(OPERATORS[:2]), st.text())
def test_what_is_written_is_read_back(name, op, value):
    matcher = Matcher(name, op, value)
    unreadable = any("\ud800" <= character <= "\udfff" for character in name)  # UTF-8 has no such names

    assert unreadable or parse_matchers(str(matcher)) == [matcher]


@settings(deadline=None)  # busy machines take longer
@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_and_never_breaks(text):
    for parse in MODES.values():
        assert answer(parse, text) is not None


def test_a_list_entry_may_hold_several_matchers():
    taken = FIELD.validate_python(['a="b", c!="d"', '{e=~"f"}', Matcher("g", "=", "h")])

    assert [str(matcher) for matcher in taken] == ['a="b"', 'c!="d"', 'e=~"f"', 'g="h"']
    assert FIELD.dump_python(taken) == ['a="b"', 'c!="d"', 'e=~"f"', 'g="h"']
    assert FIELD.validate_python(FIELD.dump_python(taken)) == taken


def test_the_schema_of_a_list_of_matchers_is_a_list_of_texts():
    schema = FIELD.json_schema()

    assert (schema["type"], schema["items"]["type"]) == ("array", "string")


@pytest.mark.parametrize(
    ("value", "at", "said"),
    [
        pytest.param('a="b"', (), "matchers are a list; write", id="a text instead of a list"),
        pytest.param(
            ["a=b", {"a": "b"}], (1,), "a matcher is text; write it in quotes", id="a mapping in the list"
        ),
        pytest.param(["a=b", "c"], (1,), "is not a matcher", id="an entry that is no matcher"),
    ],
)
def test_a_refused_entry_is_named_by_its_place(value, at, said):
    with pytest.raises(ValidationError, match=said) as refusal:
        FIELD.validate_python(value)

    assert refusal.value.errors()[0]["loc"] == at


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        pytest.param(LabelValues, {"": "b"}, "a label has a name", id="a value without a label"),
        pytest.param(LabelPatterns, {"": "b"}, "a label has a name", id="a pattern without a label"),
        pytest.param(LabelPatterns, {"a": "("}, "not a regular expression", id="a broken pattern"),
    ],
)
def test_the_older_spellings_are_checked_too(kind, value, said):
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(kind).validate_python(value)


def test_the_three_spellings_are_one_list_in_alertmanagers_order():
    found = combined(parse_matchers('b!="1",a=~"2"'), {"b": "1"}, {"c": "x.*"})

    assert [str(matcher) for matcher in found] == ['a=~"2"', 'b="1"', 'b!="1"', 'c=~"^(?:x.*)$"']
    assert in_order(reversed(found)) == found
