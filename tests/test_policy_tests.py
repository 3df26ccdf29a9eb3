"""Policy tests say whether routing.yaml keeps its promises, and agree with Alertmanager."""

import json

import pytest
import yaml

from receiver.config import ConfigError, parse
from receiver.policy_tests import differences, in_words, read, run
from tests.command import tocsin
from tests.policy.tables import NEARBY, NOT_NEARBY, configuration, nearby, table

REAL = table("routes/real_configs_oracle.json")["configs"]
TIMED = table("routes/time_routing_oracle.json")["configs"]
SOME_TIME = "2026-03-02T10:00:00Z"  # for cases in which time does not matter

POLICY = parse(
    """
    time_intervals:
      - name: business_hours
        time_intervals:
          - weekdays: ["monday:friday"]
            times: [{start_time: "09:00", end_time: "17:00"}]
    receivers:
      - name: ops
        slack_configs: [{api_url: "https://hooks.slack.com/services/x", channel: "#ops"}]
      - name: everyone
        slack_configs: [{api_url: "https://hooks.slack.com/services/x", channel: "#ops"}]
        console_configs: [{}]
      - name: nobody
    route:
      receiver: ops
      routes:
        - {name: warnings, matchers: ['severity="warning"'], group_wait: 15m, active_time_intervals: [business_hours]}
        - {name: twice, matchers: [team="db"], receiver: everyone, group_wait: 5m, continue: true}
        - {matchers: [team="db"]}
        - {name: by day, matchers: [team="web"], active_time_intervals: [business_hours], continue: true}
        - {name: always, matchers: [team="web"], group_wait: 1m}
        - {name: black hole, matchers: [team="none"], receiver: nobody}
    mute_windows:
      - {name: upgrade, matchers: [job="upgraded"], time_intervals: [business_hours]}
    inhibit_rules:
      - name: a cluster explains the rest
        source_matchers: [alertname="ClusterDown"]
        target_matchers: [severity="warning"]
        equal: [cluster]
    """,
    {},
)
OPEN = "at: 2026-03-02T10:00:00Z"
CLOSED = "at: 2026-03-07T10:00:00Z"


def results_of(tmp_path, *tests):
    """Return what tests find, each written as a flow mapping without its name."""
    file = tmp_path / "tests.yaml"
    file.write_text("tests:\n" + "".join(f"  - {{name: it, {test}}}\n" for test in tests), encoding="utf-8")
    return run(POLICY, read(str(file)))


@pytest.mark.parametrize(
    "test",
    [
        pytest.param(f"{OPEN}, labels: {{severity: warning}}, expect: {{routes: [warnings], receivers: [ops], notify: true}}", id="a route is called by its name"),
        pytest.param(f"{OPEN}, labels: {{}}, expect: {{routes: [route], plan: [{{after: 0s, to: ops}}]}}", id="an alert without labels stays at the root"),
        pytest.param(f"{OPEN}, labels: {{severity: warning}}, expect: {{plan: [{{after: 900s}}]}}", id="durations are compared, not how they are written"),
        pytest.param(f"{OPEN}, labels: {{severity: warning}}, expect: {{plan: [{{to: ops}}]}}", id="of a plan only the given keys count"),
        pytest.param(f"{CLOSED}, labels: {{severity: warning}}, expect: {{notify: false, plan: [{{at: '2026-03-09T10:00:00+01:00'}}]}}", id="what is deferred is told when the interval opens"),
        pytest.param(f"{CLOSED}, labels: {{severity: critical}}, expect: {{notify: true}}", id="a route without hours is always open"),
        pytest.param(f"{OPEN}, labels: {{team: db}}, expect: {{routes: [twice, 'route.routes[2]'], receivers: [everyone, ops]}}", id="a route without a name is its path"),
        pytest.param(f"{OPEN}, labels: {{team: db}}, expect: {{plan: [{{after: 0s, to: ops}}, {{after: 5m, to: everyone}}]}}", id="a plan is in the order of time"),
        pytest.param(f"{CLOSED}, labels: {{team: web}}, expect: {{receivers: [ops, ops], notify: true, plan: [{{after: 1m}}]}}", id="a receiver that two routes name is planned once, through the one that tells it first"),
        pytest.param(f"{OPEN}, labels: {{team: none}}, expect: {{receivers: [nobody], plan: []}}", id="a receiver without destinations hears nothing"),
        pytest.param(f"{OPEN}, labels: {{severity: warning, cluster: a}}, firing: [{{alertname: ClusterDown, cluster: a}}], expect: {{receivers: [ops], notify: false, plan: []}}", id="an inhibited alert takes its route and tells nobody"),
        pytest.param(f"{OPEN}, labels: {{severity: warning, cluster: a}}, firing: [{{alertname: ClusterDown, cluster: b}}], expect: {{notify: true}}", id="a firing alert that is not equal inhibits nothing"),
        pytest.param(f"{OPEN}, labels: {{job: upgraded}}, expect: {{notify: false, plan: [{{at: '2026-03-02T17:00:00Z'}}]}}", id="what a mute window keeps quiet is told when it closes"),
        pytest.param(f"{CLOSED}, labels: {{job: upgraded}}, expect: {{notify: true}}", id="outside of its hours a mute window keeps nothing quiet"),
        pytest.param(f"{OPEN}, time_interval: business_hours, expect: {{active: true}}", id="an interval is active"),
        pytest.param(f"{CLOSED}, time_interval: business_hours, expect: {{active: false}}", id="an interval is not active"),
        pytest.param("at: 2026-03-02T10:00:00-07:00, time_interval: business_hours, expect: {active: false}", id="the offset of the instant counts"),
        pytest.param(f"{OPEN}, labels: {{severity: warning}}", id="a test that expects nothing passes"),
    ],
)  # fmt: skip
def test_a_true_expectation_is_met(tmp_path, test):
    (result,) = results_of(tmp_path, test)

    assert differences(result) == []
    assert result["passed"] is True


@pytest.mark.parametrize(
    ("test", "said"),
    [
        pytest.param(f"{OPEN}, labels: {{}}, expect: {{routes: [warnings]}}", "routes: expected [warnings], actual [route]", id="another route"),
        pytest.param(f"{OPEN}, labels: {{}}, expect: {{receivers: []}}", "receivers: expected [], actual [ops]", id="an empty list is an expectation"),
        pytest.param(f"{CLOSED}, labels: {{severity: warning}}, expect: {{notify: true}}", "notify: expected true, actual false (warnings: outside active_time_intervals business_hours)", id="hours, with the reason"),
        pytest.param(f"{OPEN}, labels: {{severity: warning}}, firing: [{{alertname: ClusterDown}}], expect: {{notify: true}}", "notify: expected true, actual false (warnings: inhibited by ClusterDown (rule a cluster explains the rest))", id="an inhibition, with the reason"),
        pytest.param(f"{OPEN}, labels: {{job: upgraded}}, expect: {{notify: true}}", "notify: expected true, actual false (route: mute window upgrade until 2026-03-02T17:00:00Z)", id="a mute window, with the reason"),
        pytest.param(f"{OPEN}, labels: {{}}, expect: {{plan: [{{after: 5m, to: ops}}]}}", "plan: expected [{after: 5m, to: ops}], actual [{after: 0s, to: ops}]", id="another time"),
        pytest.param(f"{OPEN}, labels: {{}}, expect: {{plan: []}}", "plan: expected [], actual [{after: 0s, to: ops}]", id="somebody instead of nobody"),
        pytest.param(f"{OPEN}, labels: {{team: none}}, expect: {{plan: [{{to: nobody}}]}}", "plan: expected [{to: nobody}], actual [] (black hole: open)", id="nobody instead of somebody"),
        pytest.param(f"{CLOSED}, time_interval: business_hours, expect: {{active: true}}", "active: expected true, actual false", id="an interval"),
    ],
)  # fmt: skip
def test_a_false_expectation_says_what_is_true(tmp_path, test, said):
    (result,) = results_of(tmp_path, test)

    assert differences(result) == [said]
    assert result["passed"] is False


def test_what_was_not_asked_about_is_null(tmp_path):
    about_an_alert, about_an_interval = results_of(
        tmp_path, f"{OPEN}, labels: {{}}", f"{OPEN}, time_interval: business_hours"
    )

    assert about_an_alert["actual"]["active"] is None
    assert about_an_interval["actual"] == {
        "routes": None,
        "receivers": None,
        "notify": None,
        "active": True,
        "plan": None,
    }


def test_the_words_count_and_show_both_sides(tmp_path):
    results = results_of(tmp_path, f"{OPEN}, labels: {{}}", f"{OPEN}, labels: {{}}, expect: {{routes: [x]}}")

    assert in_words(results) == (
        "✔ it\n✘ it\n    routes\n      expected  [x]\n      actual    [route]\n\n1 passed, 1 failed"
    )


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        pytest.param("", ["1:1: file: is empty; write a list under `tests:`"], id="an empty file"),
        pytest.param("- name: x", ["1:1: file: must be a mapping with `tests`; write keys at the left margin"], id="a list at the top"),
        pytest.param("tests: []", ["1:8: tests: is empty; write a value, or remove the key"], id="no test"),
        pytest.param("test:\n  - {}", ['1:1: test: is not a known key; did you mean "tests"?', "1:1: tests: is missing; add it"], id="a misspelt top"),
        pytest.param("tests:\n  - name: x\n    labels: {}", ["2:5: tests[0].at: is missing; add it"], id="no instant"),
        pytest.param("tests:\n  - {name: x, at: 2026-03-02T10:00:00, labels: {}}", ['2:19: tests[0].at: "2026-03-02T10:00:00" is not an instant; write it as 2026-03-02T10:00:00Z'], id="an instant without an offset"),
        pytest.param("tests:\n  - {name: x, at: tomorrow, labels: {}}", ['2:19: tests[0].at: "tomorrow" is not an instant; write it as 2026-03-02T10:00:00Z'], id="no instant at all"),
        pytest.param(f"tests:\n  - {{name: x, {OPEN}, lables: {{}}, labels: {{}}}}", ['2:41: tests[0].lables: is not a known key; did you mean "labels"?'], id="a misspelt key of a test"),
        pytest.param(f"tests:\n  - name: x\n    {OPEN}\n    labels: {{}}\n    expect:\n      reciever: [ops]", ['6:7: tests[0].expect.reciever: is not a known key; did you mean "receivers"?'], id="a misspelt key of expect"),
        pytest.param(f"tests:\n  - name: x\n    {OPEN}\n    labels: {{}}\n    expect:\n      plan: [{{afer: 5m}}]", ['6:15: tests[0].expect.plan[0].afer: is not a known key; did you mean "after"?'], id="a misspelt key of a plan"),
        pytest.param(f"tests:\n  - {{name: x, {OPEN}}}", ["2:5: tests[0]: asks nothing; write the labels of an alert, or the name of a time_interval"], id="a test that asks nothing"),
        pytest.param(f"tests:\n  - {{name: x, {OPEN}, labels: {{}}, expect: {{active: true}}}}", ["2:5: tests[0]: expects active without an interval; write the name of a time_interval"], id="active without an interval"),
        pytest.param(f"tests:\n  - {{name: x, {OPEN}, time_interval: business_hours, expect: {{notify: true}}}}", ["2:5: tests[0]: expects notify without an alert; write its labels"], id="notify without an alert"),
        pytest.param(f"tests:\n  - {{name: x, {OPEN}, time_interval: busines_hours}}", ['2:56: tests[0].time_interval: "busines_hours" is not defined; did you mean "business_hours"?'], id="a misspelt interval"),
        pytest.param(f'tests:\n  - {{name: x, {OPEN}, labels: {{a: "${{UNSET}}"}}}}', ["2:53: tests[0].labels.a: the variable UNSET is not set; set it, or write ${UNSET:-default}"], id="a variable that is not set"),
        pytest.param("tests: [", ["2:1: yaml: "], id="no YAML"),
    ],
)  # fmt: skip
def test_a_mistaken_file_is_an_error_with_its_place(tmp_path, text, errors):
    file = tmp_path / "tests.yaml"
    file.write_text(text + "\n", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        run(POLICY, read(str(file)))

    said = [line.removeprefix(f"{file}:") for line in caught.value.errors]
    assert len(said) == len(errors)
    assert all(line.startswith(error) for line, error in zip(said, errors, strict=True)), said


def test_labels_are_text_however_they_look_and_variables_are_expanded(tmp_path):
    file = tmp_path / "tests.yaml"
    file.write_text(f"tests: [{{name: 1, {OPEN}, labels: {{code: 0500, up: true, team: '${{TEAM}}'}}}}]\n", encoding="utf-8")  # fmt: skip

    (written,) = read(str(file), {"TEAM": "db"})

    assert written.test.name == "1"
    assert written.test.labels == {"code": "0500", "up": "true", "team": "db"}


def as_routing(alertmanagers):
    """Return Alertmanager's configuration as a routing.yaml of ours that behaves like it."""
    names = {receiver["name"] for receiver in alertmanagers["receivers"]}
    return {
        "time_intervals": alertmanagers.get("time_intervals", []) + alertmanagers.get("mute_time_intervals", []),
        "receivers": [{"name": name, "console_configs": [{}]} for name in sorted(names)],
        "route": {**alertmanagers["route"], "outside": "drop"},
    }  # fmt: skip


def alertmanagers_answer(case):
    """Return receivers and notify; without a time, notify is known only of a route without intervals."""
    nodes = case.get("matches") or case["result"]
    receivers = [node["receiver"] for node in nodes]
    if "result" in case:
        return {"receivers": receivers, "notify": any(node["notify"] for node in nodes)}
    if all("active_time_intervals" in node or "mute_time_intervals" in node for node in nodes):
        return {"receivers": receivers}
    return {"receivers": receivers, "notify": True}


def assert_the_command_agrees(tmp_path, alertmanagers, cases):
    """Compare Alertmanager's answer to every case with what `tocsin test --json` prints."""
    wanted = [alertmanagers_answer(case) for case in cases]
    tests = [
        {"name": f"case {n}", "at": case.get("time", SOME_TIME), "labels": case["labels"], "expect": want}
        for n, (case, want) in enumerate(zip(cases, wanted, strict=True))
    ]
    for file, content in {"routing.yaml": as_routing(alertmanagers), "tests.yaml": {"tests": tests}}.items():
        (tmp_path / file).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    ran = tocsin("test", "tests.yaml", "--json", within=tmp_path)

    assert ran.stderr == ""
    answers = json.loads(ran.stdout)
    found = [{name: one["actual"][name] for name in want} for one, want in zip(answers, wanted, strict=True)]
    assert found == wanted
    assert all(one["passed"] for one in answers)
    assert ran.returncode == 0


@pytest.mark.parametrize("row", REAL, ids=[row["config"] for row in REAL])
def test_the_command_agrees_with_alertmanager_on_real_configurations(tmp_path, row):
    assert_the_command_agrees(tmp_path, configuration(row["config"]), row["cases"])


@pytest.mark.parametrize("row", TIMED, ids=[row["config"] for row in TIMED])
def test_the_command_agrees_with_alertmanager_on_hours(tmp_path, row):
    assert_the_command_agrees(tmp_path, configuration(row["config"]), row["cases"])


@pytest.mark.skipif(not NEARBY.exists(), reason=NOT_NEARBY)
@pytest.mark.parametrize("path", ["routes/real_configs_oracle.json", "routes/time_routing_oracle.json"])
def test_the_command_agrees_on_configurations_that_may_not_be_copied(tmp_path, path):
    for number, (row, config) in enumerate(nearby(path)):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert_the_command_agrees(folder, config, row["cases"])
