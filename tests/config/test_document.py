"""YAML is read as version 1.2, with places, and without surprises."""

import pytest

from receiver.config.document import MAX_DEPTH, UnreadableError, expand, read, value_of


def value(text, **environ):
    return value_of(read(f"value: {text}\n", environ).root)["value"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("yes", "yes", id="yes is a word"),
        pytest.param("NO", "NO", id="Norway is a word"),
        pytest.param("on", "on", id="on is a word"),
        pytest.param("12:30", "12:30", id="a time of day is text"),
        pytest.param("12:30:00", "12:30:00", id="a time with seconds is text"),
        pytest.param("2026-01-01", "2026-01-01", id="a date is text"),
        pytest.param("012", 12, id="a leading zero is not octal"),
        pytest.param("0o10", 8, id="0o is octal"),
        pytest.param("0x1F", 31, id="0x is hexadecimal"),
        pytest.param("-5", -5, id="a negative number"),
        pytest.param("1_000", "1_000", id="underscores make text"),
        pytest.param("1.5", 1.5, id="a fraction"),
        pytest.param("1e3", 1000.0, id="an exponent"),
        pytest.param("-.inf", float("-inf"), id="minus infinity"),
        pytest.param("TRUE", True, id="true in capitals"),
        pytest.param("False", False, id="false with a capital"),
        pytest.param("", None, id="nothing is null"),
        pytest.param("~", None, id="a tilde is null"),
        pytest.param("'null'", "null", id="null in quotes is text"),
        pytest.param('"5"', "5", id="a number in quotes is text"),
        pytest.param("!!str 5", "5", id="the tag for text makes text"),
        pytest.param("! 5", "5", id="the tag for nothing special makes text"),
        pytest.param("9" * 5000, "9" * 5000, id="a number of absurd length stays text"),
        pytest.param("[a, {b: 1}]", ["a", {"b": 1}], id="lists and mappings"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, expected):
    assert value(text) == expected


def test_not_a_number_is_a_number():
    found = value(".nan")

    assert found != found  # noqa: PLR0124 - only nan differs from itself


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("${NAME}", "tocsin", id="a variable"),
        pytest.param("a-${NAME}-${EMPTY}-b", "a-tocsin--b", id="several, one of them empty"),
        pytest.param("${UNSET:-x y}", "x y", id="the default of one that is not set"),
        pytest.param("${EMPTY:-x}", "x", id="the default of an empty one"),
        pytest.param("${NAME:-x}", "tocsin", id="a default that is not needed"),
        pytest.param("${UNSET:-}", "", id="an empty default"),
        pytest.param("$$", "$", id="two dollar signs are one"),
        pytest.param("$${NAME}", "${NAME}", id="a dollar sign before a brace"),
        pytest.param("^a|b$", "^a|b$", id="the end of a regular expression"),
        pytest.param("$NAME", "$NAME", id="without braces it is no variable"),
        pytest.param("${NESTED}", "${NAME}", id="what a variable holds is not expanded again"),
    ],
)
def test_variables_are_expanded_once(text, expected):
    environ = {"NAME": "tocsin", "EMPTY": "", "NESTED": "${NAME}"}

    assert expand(text, environ) == (expected, None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "${UNSET}",
            "the variable UNSET is not set; set it, or write ${UNSET:-default}",
            id="a variable that is not set",
        ),
        pytest.param(
            "${not a name}",
            '"${" does not begin a variable; write ${NAME}, ${NAME:-default}, or $$ for a dollar sign',
            id="something that is no name",
        ),
        pytest.param(
            "${BYTES}", "the variable BYTES is not UTF-8 text; correct it", id="a variable that is no text"
        ),
        pytest.param(
            "${A}${B:-}${C}",
            "the variable A is not set; set it, or write ${A:-default}; "
            "the variable C is not set; set it, or write ${C:-default}",
            id="two variables that are not set",
        ),
    ],
)
def test_variables_that_cannot_be_expanded_are_named(text, problem):
    assert expand(text, {"BYTES": "\udcff"})[1] == problem


def test_a_variable_cannot_change_the_structure():
    found = value('"${X}"', X="a\nother: 1")

    assert found == "a\nother: 1"


def test_an_empty_variable_is_empty_text_and_not_null():
    assert value("${X}", X="") == ""


def test_a_number_in_a_variable_is_a_number():
    assert value("${X}", X="5") == 5


def test_keys_are_text_and_are_not_expanded():
    document = read("5: a\n${X}: b\ntrue: c\n", {"X": "y"})

    assert value_of(document.root) == {"5": "a", "${X}": "b", "true": "c"}


def test_an_alias_stands_for_what_its_anchor_marks():
    document = read("a: &times [1, 2]\nb: *times\n", {})

    assert value_of(document.root) == {"a": [1, 2], "b": [1, 2]}


TOWER = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} {'[' * 40}*a{n - 1}{']' * 40}\n" for n in range(1, 100))
BILLION_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        pytest.param("", (1, 1), "is empty; it needs at least `route` and `receivers`", id="an empty file"),
        pytest.param("# only this\n", (1, 1), "is empty; it needs at least `route` and `receivers`", id="a comment alone"),
        pytest.param("a: [1\nb: 2\n", (2, 2), "did not find expected ',' or ']' while parsing a flow sequence that begins in line 1; correct the YAML around this place", id="a bracket that is not closed"),
        pytest.param("a: {b: ${X}}\n", (1, 9), "did not find expected ',' or '}' while parsing a flow mapping that begins in line 1; put quotes around \"${…}\"", id="a variable without quotes inside braces"),
        pytest.param("a: b: c\n", (1, 5), "mapping values are not allowed in this context; correct the YAML around this place", id="two keys in a line"),
        pytest.param("\ta: 1\n", (1, 1), "found character that cannot start any token; correct the YAML around this place", id="a tabulator"),
        pytest.param("a: é\x01\n", (1, 5), "a control character cannot stand here; remove it", id="a control character"),
        pytest.param("a: *x\n", (1, 4), 'no anchor "&x" stands before this alias; write the value here', id="an alias without an anchor"),
        pytest.param("a: &a [*a]\n", (1, 8), 'no anchor "&a" stands before this alias; write the value here', id="an alias inside its own anchor"),
        pytest.param("--- a\n--- b\n", (2, 1), 'holds a second document; remove the line "---" and what follows', id="a second document"),
        pytest.param("? [a]\n: b\n", (1, 3), "has a key that is not a plain word; write a word", id="a list as a key"),
        pytest.param("[" * 1000, (1, MAX_DEPTH + 2), "is nested more than 64 levels deep; make it flatter", id="a nest without end"),
        pytest.param(TOWER, (3, 49), "is nested more than 64 levels deep; make it flatter", id="a nest of aliases without end"),
        pytest.param(BILLION_LAUGHS, (6, 25), "holds more than 500000 values; use fewer aliases", id="a billion laughs"),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_read_says_where_and_why(text, place, problem):
    with pytest.raises(UnreadableError) as error:
        read(text, {})

    assert (tuple(error.value.problem.position), error.value.problem.text) == (place, problem)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("a: 1\na: 2\n", "f:2:1: a: is written twice (first in line 1); keep one", id="a key twice"),
        pytest.param("x: {a: 1, a: 2}\n", "f:1:11: x.a: is written twice (first in line 1); keep one", id="a key twice inside braces"),
        pytest.param("x:\n  <<: {}\n", "f:2:3: x.<<: merge keys are not supported; write the keys out in both places", id="a merge key"),
        pytest.param("x: !!binary aGk=\n", 'f:1:4: x: has the tag "tag:yaml.org,2002:binary", which means nothing here; remove it', id="a tag"),
        pytest.param("x: !!python/object/apply:os.system [ls]\n", 'f:1:4: x: has the tag "tag:yaml.org,2002:python/object/apply:os.system", which means nothing here; remove it', id="an attack on careless readers"),
        pytest.param("x: [a, '${UNSET}']\n", "f:1:8: x[1]: the variable UNSET is not set; set it, or write ${UNSET:-default}", id="a variable that is not set"),
    ],
)  # fmt: skip
def test_a_text_with_a_flaw_is_read_on(text, line):
    document = read(text, {})

    assert [problem.line_of("f") for problem in document.problems] == [line]


def test_a_merge_key_in_quotes_is_a_key():
    document = read("'<<': 1\n", {})

    assert (value_of(document.root), document.problems) == ({"<<": 1}, [])
