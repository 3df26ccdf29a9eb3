"""Who answers, and from where."""

import pytest

from receiver.config import ConfigError, parse

REST = "receivers: [{name: ops, console_configs: [{}]}]\nroute: {receiver: ops}\n"


def test_an_answer_is_known_by_its_contact():
    config = parse(
        "people:\n"
        "  - {name: ana, contacts: [{telegram: 4711}, {email: Ana@example.org}]}\n"
        "  - {name: bo, contacts: [{slack: U024BE7LH}]}\n" + REST,
        {},
    )

    assert config.person_at("telegram", "4711") == "ana"
    assert config.person_at("email", "ana@EXAMPLE.org") == "ana"
    assert config.person_at("slack", "U024BE7LH") == "bo"
    assert config.person_at("slack", "4711") is None


@pytest.mark.parametrize(
    ("people", "error"),
    [
        ("[{name: ana, contacts: [{telegram: 1, email: a@example.org}]}]", "exactly one of"),
        ("[{name: ana, contacts: [{}]}]", "exactly one of"),
        ("[{name: ana, contacts: [{phone: 1}]}]", "phone"),
        ("[{name: ana}, {name: ana}]", "defined twice"),
        (
            "[{name: ana, contacts: [{telegram: 1}]}, {name: bo, contacts: [{telegram: 1}]}]",
            "people[1].contacts[0].telegram: telegram 1 is ana's contact already; give it to one of them",
        ),
        ("[{contacts: []}]", "name"),
    ],
)
def test_people_who_cannot_be_told_apart_are_an_error(people, error):
    with pytest.raises(ConfigError) as raised:
        parse(f"people: {people}\n{REST}", {})

    assert error in "\n".join(raised.value.errors)
