"""A configuration that loaded answers what the rest of the program asks."""

from datetime import timedelta

import pytest

from receiver.channels import KINDS
from receiver.config import credentials, load, parse
from receiver.policy.throttle import Limit

TWO_RECEIVERS = """
receivers:
  - name: ops
    console_configs: [{}]
    slack_configs:
      - {app_token: one, channel: "#ops"}
      - {app_token: one, channel: "#dev"}
  - name: night
    slack_configs:
      - {app_token: one, channel: "#ops"}
      - {app_token: two, channel: "#ops"}
      - {app_token: three, channel: "#ops"}
route:
  receiver: ops
"""
ONE = "receivers: [{name: ops, console_configs: [{}]}]\nroute: {receiver: ops}\n"


def test_a_receiver_has_its_destinations_with_kind_and_config():
    config = parse(TWO_RECEIVERS, {})

    found = config.destinations_of("ops")

    assert [(d.name, d.kind, d.receiver) for d in found] == [
        ("console stdout", "console", "ops"),
        ("slack #ops", "slack", "ops"),
        ("slack #dev", "slack", "ops"),
    ]
    assert found[2].config.channel == "#dev"


def test_the_same_place_in_two_receivers_is_one_destination():
    config = parse(TWO_RECEIVERS, {})

    assert config.destinations_of("night")[0] is config.destinations_of("ops")[1]


def test_the_same_channel_with_another_token_is_another_destination():
    config = parse(TWO_RECEIVERS, {})

    names = [destination.name for destination in config.destinations_of("night")]

    assert names == ["slack #ops", "slack #ops (night)", "slack #ops (night 3)"]
    assert config.destinations["slack #ops (night)"].config.app_token.get_secret_value() == "two"


def test_every_destination_is_found_by_its_name():
    config = parse(TWO_RECEIVERS, {})

    assert sorted(config.destinations) == [
        "console stdout",
        "slack #dev",
        "slack #ops",
        "slack #ops (night 3)",
        "slack #ops (night)",
    ]
    assert all(name == destination.name for name, destination in config.destinations.items())


def test_a_receiver_that_was_removed_has_no_destinations():
    assert parse(ONE, {}).destinations_of("gone") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "ops", id="the receiver of the root route"),
        pytest.param("fallback: night", "night", id="the one that is named"),
        pytest.param("x", "fallback", id="one that is called fallback"),
    ],
)
def test_the_fallback_is(text, expected):
    name = "fallback" if text == "x" else "night"

    config = parse(
        f"receivers: [{{name: ops}}, {{name: {name}}}]\nroute: {{receiver: ops}}\n{text.removeprefix('x')}\n",
        {},
    )

    assert config.fallback_receiver == expected


def test_an_unknown_severity_ranks_just_above_the_least():
    config = parse(ONE, {})

    ranked = sorted(["none", "page", "critical", "info", "warning", "error"], key=config.rank)

    assert ranked == ["critical", "error", "warning", "info", "page", "none"]
    assert config.rank("critical") == 0


def test_an_order_of_our_own_counts():
    config = parse(ONE + "severity_order: [page, ticket]\n", {})

    assert sorted(["ticket", "critical", "page"], key=config.rank) == ["page", "critical", "ticket"]


@pytest.mark.parametrize(
    ("labels", "severity"),
    [
        pytest.param({"severity": "page"}, "page", id="what the label says"),
        pytest.param({}, "none", id="no label"),
        pytest.param({"severity": ""}, "none", id="an empty label, which is the same"),
    ],
)
def test_the_severity_of_an_alert_is(labels, severity):
    assert parse(ONE, {}).severity_of(labels) == severity


def test_the_most_severe_of_several_is_found():
    config = parse(ONE, {})

    assert config.most_severe(["info", "error", "warning"]) == "error"
    assert config.most_severe([]) == "none"


def test_the_numbers_of_the_design_are_the_defaults():
    config = parse(ONE, {})

    assert (config.vanish_after, config.reopen_within, config.fallback_after, config.give_up_after) == (
        timedelta(minutes=15),
        timedelta(minutes=10),
        timedelta(minutes=15),
        timedelta(hours=24),
    )


def test_intervals_sources_and_receivers_are_found_by_name():
    config = parse(ONE + "time_intervals: [{name: t}]\nsources: [{name: prod}]\n", {})

    assert config.interval_named["t"].name == "t"
    assert config.source_named["prod"].name == "prod"
    assert config.receiver_named["ops"].name == "ops"
    assert config.tree.receiver == "ops"


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        pytest.param("match: {code: 0500}", {"code": "0500"}, id="a number with a leading zero"),
        pytest.param("match: {code: 1e3}", {"code": "1e3"}, id="a number with an exponent"),
        pytest.param("match: {on: true}", {"on": "true"}, id="a truth value"),
        pytest.param("match: {at: 12:30}", {"at": "12:30"}, id="a time"),
        pytest.param("match: {code: '${CODE}'}", {"code": "0500"}, id="a number from the environment"),
    ],
)
def test_a_label_value_is_what_was_written(line, labels):
    config = parse(
        f"receivers: [{{name: ops}}]\nroute: {{receiver: ops, routes: [{{{line}}}]}}\n", {"CODE": "0500"}
    )

    assert config.route.routes[0].match == labels


def test_names_may_be_numbers():
    config = parse("receivers: [{name: 007}]\nroute: {receiver: 007, group_by: [1]}\n", {})

    assert (config.route.receiver, config.route.group_by) == ("007", ("1",))


def test_lists_whose_entries_are_all_commented_out_are_empty():
    config = parse(
        ONE.replace("{receiver: ops}", "{receiver: ops, routes: , match: }") + "inhibit_rules:\nsources:\n",
        {},
    )

    assert (config.route.routes, config.inhibit_rules, config.sources) == ((), (), ())


def test_truth_values_may_be_written_as_in_alertmanager():
    config = parse("receivers: [{name: ops}]\nroute: {receiver: ops, routes: [{continue: yes}]}\n", {})

    assert config.route.routes[0].continue_ is True


def test_files_are_looked_for_beside_the_configuration(tmp_path):
    file = tmp_path / "routing.yaml"
    file.write_text(
        "receivers: [{name: ops, slack_configs: [{api_url_file: url}, {api_url_file: /etc/url}]}]\n"
        "route: {receiver: ops, routes: [{match: {a_file: x}}]}\n"
        "sources: [{name: a, token_file: token, token_files: [other], basic_auth: {username: u, password_file: p}}]\n"
    )

    config = load(file, {})

    slack = [destination.config.api_url_file for destination in config.destinations_of("ops")]
    assert slack == [str(tmp_path / "url"), "/etc/url"]
    assert config.sources[0].token_file == str(tmp_path / "token")
    assert config.sources[0].token_files == (str(tmp_path / "other"),)
    assert config.sources[0].basic_auth.password_file == str(tmp_path / "p")
    assert config.route.routes[0].match == {"a_file": "x"}


def test_a_source_accepts_its_tokens_and_logins(tmp_path):
    (tmp_path / "token").write_text("from-file\n")
    file = tmp_path / "routing.yaml"
    file.write_text(
        ONE + "sources: [{name: a, token: '${T}', token_file: token, "
        "basic_auth: {username: u, passwords: [one, 2]}}]\n"
    )

    found = credentials(load(file, {"T": "from-variable"}).sources[0])

    assert found.is_required
    assert found.tokens == ("from-variable", "from-file")
    assert found.logins == (("u", "one"), ("u", "2"))


def test_a_source_without_secrets_asks_for_none():
    found = credentials(parse(ONE + "sources: [{name: a}]\n", {}).sources[0])

    assert (found.is_required, found.tokens, found.logins) == (False, (), ())


def test_a_source_whose_file_is_gone_accepts_nobody():
    found = credentials(parse(ONE + "sources: [{name: a, token_file: /none/there}]\n", {}).sources[0])

    assert (found.is_required, found.tokens) == (True, ())


def test_an_empty_token_is_accepted_from_nobody(tmp_path):
    (tmp_path / "token").write_text("\n")

    found = credentials(parse(ONE + f"sources: [{{name: a, token_file: {tmp_path}/token}}]\n", {}).sources[0])

    assert (found.is_required, found.tokens) == (True, ())


def test_no_secret_is_in_the_text_of_a_configuration_or_of_credentials():
    config = parse(
        ONE + "sources: [{name: a, token: hunter2, basic_auth: {username: u, password: hunter2}}]\n", {}
    )

    assert "hunter2" not in repr(config) + str(config) + repr(credentials(config.sources[0]))


@pytest.mark.parametrize(
    ("order", "urgent"),
    [
        pytest.param("[critical, error, warning]", ["critical"], id="critical"),
        pytest.param("[page, critical, warning, info]", ["page", "critical"], id="and what is worse"),
        pytest.param("[page, ticket, info]", ["page"], id="where nothing is called so, the first"),
    ],
)
def test_what_is_urgent(order, urgent):
    config = parse(ONE + f"severity_order: {order}\n", {})

    assert [one for one in order.strip("[]").split(", ") if config.is_urgent(one)] == urgent
    assert not config.is_urgent("whatever")


def test_who_shares_a_limit_and_a_breaker():
    text = """
receivers:
  - name: ops
    slack_configs:
      - {channel: "#ops", app_token: xoxb-1}
      - {channel: "#dev", app_token: xoxb-1, rate_limit: {count: 6, per: 1m, burst: 2}}
    webhook_configs: [{url: "https://ana:secret@Example.org:8443/a"}, {url: "https://example.org:8443/b"}]
route: {receiver: ops}
"""
    config = parse(text, {})

    assert sorted(config.services) == ["slack", "webhook example.org:8443"]
    assert len(config.services["webhook example.org:8443"]) == 2
    assert config.ways["slack #dev"].limit == Limit(6, timedelta(minutes=1), 2)
    assert config.ways["slack #ops"].limit == KINDS["slack"].destination_limit
