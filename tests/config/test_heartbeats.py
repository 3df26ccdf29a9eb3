"""What routing.yaml may say of heartbeats."""

import pytest

from receiver.config import ConfigError, parse

TEXT = """
receivers: [{name: ops, console_configs: [{}]}, {name: night, console_configs: [{}]}]
route: {receiver: ops, routes: [{name: own, matchers: ['alertname=~"Tocsin.*"'], receiver: ops}]}
heartbeats:
"""


def errors(entry):
    with pytest.raises(ConfigError) as caught:
        parse(f"{TEXT}  - {entry}\n", {})
    return "\n".join(caught.value.errors)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('{name: x, matchers: [a="b"], receiver: nigth}', 'heartbeats[0].receiver: the receiver "nigth" is not defined; did you mean "night"?'),
        ('{name: x, matchers: [a="b"], escalation_policy: page}', 'heartbeats[0].escalation_policy: the escalation policy "page" is not defined'),
        ('{name: x, matchers: [a="b"]}\n  - {name: x, matchers: [a="c"]}', 'the heartbeat "x" is defined twice'),
        ("{name: x}", "heartbeats[0]"),
        ("{name: x, matchers: []}", 'say which, such as alertname="Watchdog"'),
        ("{name: x, matchers: [a=b], every: 1s}", "must be 10s or longer"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(entry, said):
    assert said in errors(entry)


def test_a_heartbeat_that_says_who_hears_has_a_route_of_its_own():
    config = parse(
        f"{TEXT}  - {{name: x, matchers: [a=b], receiver: night}}\n  - {{name: y, matchers: [a=c]}}\n", {}
    )

    assert [(node.name, node.receiver, node.continue_) for node in config.tree.children] == [
        ("heartbeat x", "night", True),
        ("own", "ops", False),
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{every: 1m}", "exactly one of url, url_file is needed"),
        ("{url: 'ftp://example.org/secret'}", "http"),
        ("{url: 'https://example.org', every: 1s}", "must be between 10s and 1d"),
    ],
)
def test_a_mistake_in_the_outgoing_heartbeat_is_named(written, said):
    text = TEXT.removesuffix("heartbeats:\n")
    with pytest.raises(ConfigError) as caught:
        parse(f"{text}outgoing_heartbeat: {written}\n", {})

    assert said in "\n".join(caught.value.errors)
    assert "secret" not in "\n".join(caught.value.errors)
