"""Whatever is wrong is said in one line: where it is, what it is, and what to do."""

import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.config import ConfigError, load, parse
from receiver.config.shared import Global

ROUTE = "route: {receiver: ops}"
RECEIVERS = "receivers: [{name: ops, console_configs: [{}]}]"


def errors(text, **environ):
    with pytest.raises(ConfigError) as error:
        parse(text, environ)
    return error.value.errors


def in_route(line):
    """A sound file with one more line in a route below the root; the line is line 6, column 7."""
    return f"{RECEIVERS}\nroute:\n  receiver: ops\n  routes:\n    - name: x\n      {line}\n"


def in_window(line):
    """A sound file with one line in a time interval; the line is line 6, column 9."""
    return f"{RECEIVERS}\n{ROUTE}\ntime_intervals:\n  - name: x\n    time_intervals:\n      - {line}\n"


def at_the_top(line):
    """A sound file with one more line at its end; the line is line 3."""
    return f"{RECEIVERS}\n{ROUTE}\n{line}\n"


def in_slack(line):
    """A sound file with a Slack destination of one line; the line is line 5, column 9."""
    return f"{ROUTE}\nreceivers:\n  - name: ops\n    slack_configs:\n      - {line}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # limits
        pytest.param(in_slack("rate_limit: {count: 1, per: 2d}"), "5:37: receivers[0].slack_configs[0].rate_limit.per: must be between 1ms and 1d; say how many messages that is with `count`", id="a limit for longer than a day"),
        # keys
        pytest.param(at_the_top("reciever: x"), '3:1: reciever: is not a known key; did you mean "receivers"?', id="a key with a slip in it"),
        pytest.param(at_the_top("global: {resolve_timeout: 5m}"), "3:10: global.resolve_timeout: is not a known key; the keys here are " + ", ".join(sorted(Global.model_fields)), id="a part of alertmanager.yml that has no meaning here"),
        pytest.param(at_the_top("mute_time_intervals: []"), "3:1: mute_time_intervals: is not a known key; write it under time_intervals", id="a part of alertmanager.yml that is called otherwise here"),
        pytest.param(in_route("foo: 1"), "6:7: route.routes[0].foo: is not a known key; the keys here are active_time_intervals, break_through, continue, escalation_policy, group_by, group_interval, group_wait, labels, match, match_re, matchers, mute_time_intervals, name, outside, receiver, repeat_interval, routes", id="a key that is near to nothing"),
        pytest.param(in_route("recevier: ops"), '6:7: route.routes[0].recevier: is not a known key; did you mean "receiver"?', id="a key with a slip in a route"),
        pytest.param(in_window("week_days: [monday]"), '6:9: time_intervals[0].time_intervals[0].week_days: is not a known key; did you mean "weekdays"?', id="a key with a slip in a window"),
        pytest.param(in_slack("chanel: x"), '5:9: receivers[0].slack_configs[0].chanel: is not a known key; did you mean "channel"?', id="a key with a slip in a channel"),
        pytest.param(f"{ROUTE}\nreceivers: [{{name: ops, discord_configs: []}}]", "2:25: receivers[0].discord_configs: is not a known key; there is no such channel yet; use slack_configs or webhook_configs", id="a channel that does not exist yet"),
        pytest.param(RECEIVERS, "1:1: route: is missing; add it", id="no route"),
        pytest.param(ROUTE + "\nreceivers: [{name: ops}, {console_configs: []}]", "2:26: receivers[1].name: is missing; add it", id="a receiver without a name"),
        # types
        pytest.param(at_the_top("fallback: [ops]"), "3:11: fallback: must be text", id="a list where text is wanted"),
        pytest.param(at_the_top("inhibit_rules: none"), '3:16: inhibit_rules: must be a list; begin each entry with "- "', id="text where a list is wanted"),
        pytest.param(in_route("match: [severity]"), '6:14: route.routes[0].match: must be a mapping; write "key: value" lines below it', id="a list where a mapping is wanted"),
        pytest.param(RECEIVERS + "\nroute: ops", '2:8: route: must be a mapping; write "key: value" lines below it', id="text where a record is wanted"),
        pytest.param(in_route("continue: maybe"), "6:17: route.routes[0].continue: must be true or false", id="neither true nor false"),
        pytest.param(RECEIVERS + "\nroute:", "2:7: route: is empty; write a value, or remove the key", id="an empty record"),
        pytest.param(in_route("match: {a: }"), "6:18: route.routes[0].match.a: is empty; write a value, or remove the key", id="an empty label value"),
        pytest.param(in_route("outside: defr"), '6:16: route.routes[0].outside: must be "defer" or "drop"; did you mean "defer"?', id="a slip in a choice"),
        pytest.param(in_route("outside: 5"), '6:16: route.routes[0].outside: must be "defer" or "drop"', id="a number as a choice"),
        pytest.param(at_the_top("sources: [{name: a/b}]"), "3:18: sources[0].name: has characters that cannot stand here; write what matches ^[A-Za-z0-9_.-]+$", id="a source whose name cannot be in a URL"),
        pytest.param(at_the_top("sources: [{name: a, tokens: [x, y, z]}]"), "3:29: sources[0].tokens: has 3 entries; keep at most 2", id="three tokens"),
        pytest.param(at_the_top("sources: [{name: a, token: x, tokens: [y, z]}]"), "3:11: sources[0]: has 3 tokens; write one, or two while you rotate them", id="three tokens in two keys"),
        pytest.param(at_the_top("sources: [{name: a, basic_auth: {username: u}}]"), "3:33: sources[0].basic_auth: has 0 passwords; write one, or two while you rotate them", id="a login without a password"),
        pytest.param(at_the_top("sources: [{name: a, prometheus_url: 'prom:9090'}]"), "3:37: sources[0].prometheus_url: must be a web address that begins with http:// or https://", id="an address that is not one"),
        # durations, matchers, times
        pytest.param(at_the_top("vanish_after: 15"), "3:15: vanish_after: 15 is not a duration; write a number with its unit, such as 30s or 5m", id="a duration without a unit"),
        pytest.param(in_route("group_interval: 0s"), "6:23: route.routes[0].group_interval: this interval cannot be zero; leave it out for the default", id="an interval of zero"),
        pytest.param(in_route("matchers: [severity]"), "6:18: route.routes[0].matchers[0]: 'severity' is not a matcher; write a label, an operator and a value, such as severity=\"critical\"", id="a matcher without an operator"),
        pytest.param(in_route("matchers: severity=x"), "6:17: route.routes[0].matchers: matchers are a list; write ['severity=\"critical\"']", id="matchers that are not a list"),
        pytest.param(in_route("group_by: [a, b, a]"), '6:17: route.routes[0].group_by: group_by names "a" twice; remove one', id="a label to group by twice"),
        pytest.param(in_window("weekdays: [mondy]"), '6:20: time_intervals[0].time_intervals[0].weekdays[0]: "mondy" is not a weekday; write its English name, such as monday', id="a weekday with a slip in it"),
        pytest.param(in_window("times: [{start_time: 9:00, end_time: 17:00}]"), '6:30: time_intervals[0].time_intervals[0].times[0].start_time: "9:00" is not a time of day; write hours and minutes as 09:00, up to 24:00', id="a time without its zero"),
        pytest.param(in_window("times: [{start_time: 22:00, end_time: 22:00}]"), "6:17: time_intervals[0].time_intervals[0].times[0]: 22:00 to 22:00 is no time at all; a whole day is 00:00 to 24:00, and a night such as 22:00 to 06:00", id="a time that ends as it starts"),
        pytest.param(in_window("location: Lisbon"), '6:19: time_intervals[0].time_intervals[0].location: "Lisbon" is not a time zone; write a name such as Europe/Lisbon or UTC', id="a time zone that does not exist"),
        # names
        pytest.param(in_route("receiver: opps"), '6:17: route.routes[0].receiver: the receiver "opps" is not defined; did you mean "ops"?', id="a receiver with a slip in it"),
        pytest.param(in_route("receiver: database"), '6:17: route.routes[0].receiver: the receiver "database" is not defined; define it under receivers', id="a receiver that is not there"),
        pytest.param(in_route("mute_time_intervals: [nights]"), '6:29: route.routes[0].mute_time_intervals[0]: the time interval "nights" is not defined; define it under time_intervals', id="a time interval that is not there"),
        pytest.param(in_route("escalation_policy: page"), '6:26: route.routes[0].escalation_policy: the escalation policy "page" is not defined; define it under escalation_policies', id="an escalation policy"),
        pytest.param(at_the_top("fallback: opps"), '3:11: fallback: the receiver "opps" is not defined; did you mean "ops"?', id="a fallback that is not there"),
        pytest.param(in_route("break_through: kritical"), '6:22: route.routes[0].break_through: the severity "kritical" is not in severity_order; did you mean "critical"?', id="a severity with a slip in it"),
        pytest.param(in_route("break_through: {severity: kritical}"), '6:33: route.routes[0].break_through.severity: the severity "kritical" is not in severity_order; did you mean "critical"?', id="the same beside a count"),
        pytest.param(in_route("break_through: {count: 0}"), "6:30: route.routes[0].break_through.count: must be greater than or equal to 1", id="no alerts at all"),
        pytest.param(in_route("break_through: {after: 0s}"), "6:30: route.routes[0].break_through.after: what breaks through at once waits for no hours; leave the hours out", id="no time at all"),
        pytest.param(in_route("break_through: {afer: 2h}"), '6:23: route.routes[0].break_through.afer: is not a known key; did you mean "after"?', id="a key of break_through with a slip in it"),
        pytest.param(at_the_top("severity_order: [a, b, a]\n").replace("receiver: ops", "receiver: ops, break_through: a"), '3:24: severity_order[2]: "a" is listed twice; keep one', id="a severity twice"),
        pytest.param(ROUTE + "\nreceivers:\n  - name: ops\n  - name: ops\n", '4:11: receivers[1].name: the receiver "ops" is defined twice (first in line 3); rename one', id="two receivers of one name"),
        pytest.param("route:\n  receiver: ops\n  routes: [{name: a, match: {x: y}}, {name: a}]\n" + RECEIVERS, '3:45: route.routes[1].name: the route "a" is defined twice (first in line 3); rename one', id="two routes of one name"),
        pytest.param(at_the_top("sources: [{name: a}, {name: a}]"), '3:29: sources[1].name: the source "a" is defined twice (first in line 3); rename one', id="two sources of one name"),
        pytest.param(at_the_top("time_intervals: [{name: a}, {name: a}]"), '3:36: time_intervals[1].name: the time interval "a" is defined twice (first in line 3); rename one', id="two time intervals of one name"),
        # the root
        pytest.param(RECEIVERS + "\nroute: {group_by: [a]}", "2:8: route: the root route needs a receiver, for alerts that no other route takes", id="a root without a receiver"),
        pytest.param(RECEIVERS + "\nroute: {receiver: ops, matchers: [a=b]}", "2:24: route.matchers: the root route takes every alert and cannot have matchers; move them to a route below", id="a root with matchers"),
        pytest.param(RECEIVERS + "\nroute: {receiver: ops, match: {a: b}}", "2:24: route.match: the root route takes every alert and cannot have matchers; move them to a route below", id="a root with matchers in the older spelling"),
        pytest.param(RECEIVERS + "\nroute: {receiver: ops, continue: true}", "2:24: route.continue: the root route has no siblings to continue with; remove continue", id="a root that continues"),
        # channels
        pytest.param(in_slack("channel: '#ops'"), "5:9: receivers[0].slack_configs[0]: exactly one of api_url, api_url_file, app_token, app_token_file is needed, found none", id="Slack without URL and token"),
        pytest.param(in_slack("app_token: x"), "5:9: receivers[0].slack_configs[0]: an app needs the channel to post to; a webhook has one of its own", id="a Slack app without a channel"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_line(text, line):
    assert errors(text) == [f"routing.yaml:{line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("", "1:1: file: is empty; it needs at least `route` and `receivers`", id="an empty file"),
        pytest.param("- a", "1:1: file: must be a mapping with `route` and `receivers`; write keys at the left margin", id="a list at the top"),
        pytest.param("text", "1:1: file: must be a mapping with `route` and `receivers`; write keys at the left margin", id="text at the top"),
        pytest.param("null", "1:1: file: must be a mapping with `route` and `receivers`; write keys at the left margin", id="null at the top"),
        pytest.param("a: b: c", "1:5: yaml: mapping values are not allowed in this context; correct the YAML around this place", id="no YAML"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_configuration_is_one_line(text, line):
    assert errors(text) == [f"routing.yaml:{line}"]


def test_a_list_without_entries_is_not_enough():
    found = errors(f"{ROUTE}\nreceivers: []")

    assert found == [
        'routing.yaml:1:19: route.receiver: the receiver "ops" is not defined; define it under receivers',
        "routing.yaml:2:12: receivers: is empty; write a value, or remove the key",
    ]


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file():
    text = textwrap.dedent("""\
        reciever: x
        receivers:
          - name: ops
          - name: ops
        route:
          receiver: opps
          routes:
            - matchers: [bad]
              group_wait: soon
            - receiver: ${UNSET}
              receiver: ops
        """)

    found = errors(text)

    assert [line.split(": ")[0:2] for line in found] == [
        ["routing.yaml:1:1", "reciever"],
        ["routing.yaml:4:11", "receivers[1].name"],
        ["routing.yaml:6:13", "route.receiver"],
        ["routing.yaml:8:18", "route.routes[0].matchers[0]"],
        ["routing.yaml:9:19", "route.routes[0].group_wait"],
        ["routing.yaml:10:17", "route.routes[1].receiver"],
        ["routing.yaml:11:7", "route.routes[1].receiver"],
    ]


def test_a_variable_that_is_not_set_is_one_line_and_not_also_an_undefined_name():
    found = errors(in_route("receiver: ${UNSET}"))

    assert found == [
        "routing.yaml:6:17: route.routes[0].receiver: the variable UNSET is not set; set it, or write ${UNSET:-default}"
    ]


SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(in_route('group_wait: "${SECRET}"'), id="as a duration"),
        pytest.param(in_route('outside: "${SECRET}"'), id="as a choice"),
        pytest.param(in_route('matchers: ["${SECRET}"]'), id="as a matcher"),
        pytest.param(in_route('match_re: {a: "(${SECRET}"}'), id="in a regular expression"),
        pytest.param(in_route('receiver: "${SECRET}"'), id="as the name of a receiver"),
        pytest.param(in_route('group_by: ["${SECRET}", "${SECRET}"]'), id="as a label to group by"),
        pytest.param(in_route('continue: "${SECRET}"'), id="as a truth value"),
        pytest.param(in_window('location: "${SECRET}"'), id="as a time zone"),
        pytest.param(in_slack('api_url: "${SECRET}"'), id="as a URL"),
        pytest.param(in_slack('api_url: "https://${SECRET}:x/"'), id="in a URL that is none"),
        pytest.param(in_slack(f"api_url: {SECRET}"), id="written down as a URL"),
        pytest.param(in_slack(f"app_token: {SECRET}"), id="written down as a token"),
        pytest.param(in_slack(f"app_token: [{SECRET}]"), id="written down as a list"),
        pytest.param(at_the_top(f"sources: [{{name: a, token: {SECRET}, tokens: [{SECRET}, {SECRET}]}}]"), id="written down three times"),
        pytest.param(at_the_top('sources: [{name: a, prometheus_url: "${SECRET}"}]'), id="as an address"),
        pytest.param(at_the_top('sources: [{name: "${SECRET}/"}]'), id="as a name"),
        pytest.param(at_the_top('severity_order: ["${SECRET}", "${SECRET}"]'), id="as a severity"),
    ],
)  # fmt: skip
def test_a_secret_is_in_no_error(text):
    found = errors(text, SECRET=SECRET)

    assert found
    assert not [line for line in found if "hunter2" in line]


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    file = tmp_path / "routing.yaml"

    with pytest.raises(ConfigError) as error:
        load(file, {})

    assert error.value.errors == [
        f"{file}:1:1: file: cannot be read: no such file or directory; correct the path"
    ]


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, {})

    assert error.value.errors == [f"{tmp_path}:1:1: file: cannot be read: is a directory; correct the path"]


def test_a_file_in_another_encoding_is_one_line_with_the_place(tmp_path):
    file = tmp_path / "routing.yaml"
    file.write_bytes("route:\n  # zwölf\n".encode("latin-1"))

    with pytest.raises(ConfigError) as error:
        load(file, {})

    assert error.value.errors == [f"{file}:2:7: file: is not UTF-8 text; save it as UTF-8"]


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path):
    file = tmp_path / "routing.yaml"
    file.write_bytes(f"{RECEIVERS}\n{ROUTE}\n".encode("utf-8-sig"))

    config = load(file, {})

    assert config.route.receiver == "ops"


KEYS = ["route", "receivers", "receiver", "routes", "name", "matchers", "match", "time_intervals", "times", "sources",
        "token", "basic_auth", "fallback", "severity_order", "slack_configs", "api_url", "group_by", "weekdays", "x"]  # fmt: skip
VALUES = ["", "a", "5", "-1", "1e9", "yes", "null", "~", "'", '"', "${X}", "${UNSET}", "$$", "&a", "*a", "!!int", "<<", "a=b", "5m",
          "monday:friday", "09:00", "{", "[", "]", "}", "|", "- a", "\n", "\t", "é", "#"]  # fmt: skip
structured = st.recursive(
    st.sampled_from(["a", "5", "true", "~", "''", "5m", "a=b", "${X}", "'${UNSET}'", "monday"]),
    lambda below: st.one_of(
        st.lists(below, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(KEYS), below, max_size=4).map(
            lambda table: "{" + ", ".join(f"{key}: {value}" for key, value in table.items()) + "}"
        ),
    ),
    max_leaves=20,
)
lines = st.lists(
    st.tuples(st.sampled_from(["", "  ", "- ", "    "]), st.sampled_from(KEYS), st.sampled_from(VALUES)),
    max_size=15,
).map(lambda rows: "\n".join(f"{indent}{key}: {value}" for indent, key, value in rows))


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(),
        st.text().map(lambda text: text.encode("utf-8", "replace")),
        structured.map(str.encode),
        lines.map(str.encode),
    )
)
def test_no_bytes_cause_anything_but_a_configuration_or_its_errors(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "routing.yaml"
    file.write_bytes(content)

    try:
        load(file, {"X": "x"})
        found = None
    except ConfigError as error:
        found = error.errors

    assert found is None or found
    assert not [line for line in found or () if not line.startswith(f"{file}:") or "\n" in line]
