"""What of an alertmanager.yml can be said in routing.yaml: the translation, what is lost, the command."""

import json
import re
from pathlib import Path

import pytest

from receiver.__main__ import main
from receiver.config import ConfigError, parse
from receiver.policy.routing import match
from receiver.resources import ROOT
from receiver.translate import told, translate
from tests.policy.tables import NEARBY, NOT_NEARBY, SHIPPED, table, texts
from tests.policy.test_routing import assert_agrees, assert_agrees_in_time

FILE = ROOT / "tests" / "fixtures" / "alertmanager.yml"
PAGE = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")
CONFIGS = SHIPPED / "configs"
REAL = table("routes/real_configs_oracle.json")["configs"]
TIMED = table("routes/time_routing_oracle.json")["configs"]
UNSOUND = {  # of Alertmanager's own tests, which ask whether it notices
    "cli_testdata__conf.bad.yml",
    "config_testdata__conf.nil-source_match_re-inhibition.yml",
    "bad_undefined_time_interval.yml",
}
REST = "route: {receiver: ops}\n"


def lost(receiver, rest=REST):
    """What is said of a receiver that is not translated as a whole."""
    found = translate(f"{rest}receivers: [{{name: ops, {receiver}}}]\n", "am.yml")
    said = [f"{one.path}: {one.text}" for one in found.lost]
    for line in told(found.lost, "am.yml"):
        assert f"# {line}" in found.text  # at its place, too
    parse(found.text, {})
    return said


@pytest.mark.parametrize("file", sorted(CONFIGS.rglob("*.y*ml")), ids=lambda file: file.name)
def test_what_is_translated_loads(file: Path):
    if file.name not in UNSOUND:
        parse(translate(file.read_text(), file.name).text, {})


@pytest.mark.skipif(not NEARBY.exists(), reason=NOT_NEARBY)
def test_what_may_not_be_copied_loads_as_well():
    for file in (NEARBY / "alertmanager-configs").rglob("*.y*ml"):
        if file.name not in UNSOUND:
            parse(translate(file.read_text(), file.name).text, {})


@pytest.mark.parametrize("row", REAL, ids=[row["config"] for row in REAL])
def test_alerts_take_the_same_routes(row):
    agrees((CONFIGS / row["config"]).read_text(), row["cases"])


@pytest.mark.skipif(not NEARBY.exists(), reason=NOT_NEARBY)
def test_alerts_take_the_same_routes_where_configurations_may_not_be_copied():
    shipped = {row["config"] for row in REAL}
    for row in table_nearby("routes/real_configs_oracle.json"):
        if row["config"] not in shipped:
            agrees((NEARBY / "alertmanager-configs" / row["config"]).read_text(), row["cases"])


@pytest.mark.parametrize("row", TIMED, ids=[row["config"] for row in TIMED])
def test_routes_have_the_same_hours(row):
    found = translate((CONFIGS / row["config"]).read_text(), row["config"]).text

    assert_agrees_in_time(texts(found), row["cases"])


def table_nearby(path):
    """All answers, those about configurations that do not ship included."""
    return json.loads((NEARBY / path).read_text())["configs"]


def agrees(text, cases):
    """Every alert takes the routes that Alertmanager gave it: by what is written, and by what is loaded."""
    found = translate(text, "am.yml").text

    assert_agrees(texts(found)["route"], cases)
    root = parse(found, {}).tree
    for case in cases:
        receivers = [node.receiver for node in match(root, case["labels"])]
        assert receivers == [one["receiver"] for one in case["matches"]]


@pytest.mark.parametrize(
    ("receiver", "said"),
    [
        ("discord_configs: [{webhook_url: x}]", "apprise_configs reaches it"),
        ("victorops_configs: [{api_key: x}]", "webhook_configs can tell a program"),
        ("slack_configs: [{api_url: 'https://x.example.org', channel: '#a', title: x}]", "own templates"),
        ("slack_configs: [{api_url: 'https://x.example.org', channel: '{{ .x }}'}]", "Go templates are not read"),
        ("slack_configs: [{api_url: 'https://x.example.org', channel: '#a', http_config: {}}]", "use the system's"),
        ("slack_configs: [{api_url: 'https://x.example.org', channel: '#a', shade: 1}]", "no such key here"),
        ("slack_configs: [{channel: '#a'}]", "left out as a whole"),
        ("pagerduty_configs: [{service_key: x}]", "make an Events API v2 integration"),
        ("pagerduty_configs: [{service_key: x}]", "nobody is told by this receiver"),
        ("webhook_configs: [{url: 'https://x.example.org', http_config: {proxy_url: x}}]", "http_config.proxy_url"),
        ("webhook_configs: {url: x}", "webhook_configs: not translated: it is not a list"),
        ("webhook_configs: [x]", "webhook_configs[0]: not translated: it is not a mapping"),
        ("webhook_config: [{}]", "webhook_config: not translated: there is no such key here"),
        ("webhook_configs: [{url: 'https://x.example.org'}], name: b", "written twice"),
        (
            "opsgenie_configs: [{api_key: x, details: {a: '{{ .x }}', b: c}, tags: 'x'}]",
            "opsgenie_configs[0].details.a: not translated",
        ),
    ],
)  # fmt: skip
def test_what_a_receiver_loses_is_said_at_its_place(receiver, said):
    assert [one for one in lost(receiver) if said in one]


def test_what_stands_at_the_top_is_said_as_well():
    rest = REST + "templates: [x]\ntracing: {}\nglobal: {resolve_timeout: 5m, wechat_api_url: x}\n"

    said = lost("webhook_configs: [{url: 'https://x.example.org'}]", rest)

    assert [one.split(":")[0] for one in said] == [
        "templates", "tracing", "global.resolve_timeout", "global.wechat_api_url",
    ]  # fmt: skip


def test_a_receiver_that_tells_nobody_is_kept_and_one_that_never_did_is_not_marked():
    found = translate(REST + "receivers: [{name: ops, sns_configs: [{}]}, {name: 'null'}]\n", "am.yml")

    assert [one.name for one in parse(found.text, {}).receivers] == ["ops", "null"]
    assert sum("nobody is told" in one.text for one in found.lost) == 1


def test_what_has_a_wrong_shape_is_not_dropped_silently():
    found = translate("global: x\nroute: {receiver: ops}\nreceivers: [ops]\ntime_intervals: {}\n", "am.yml")
    said = [one.path for one in found.lost]

    assert said == ["global", "receivers[0]"]


def test_values_mean_what_they_meant():
    config = parse(translate(FILE.read_text(), FILE.name).text, {"HOOK": "https://hook.example.org"})

    assert config.route.routes[0].continue_ is True
    assert config.route.routes[1].matchers[1].value == "dev|$$"
    assert [one.name for one in config.time_intervals] == ["nights", "weekends"]
    assert config.global_.slack_api_url_file == "/run/secrets/slack"
    assert [len(config.destinations_of(one.name)) for one in config.receivers] == [2, 2, 0, 0]


def test_no_secret_is_told():
    found = translate(FILE.read_text(), FILE.name)
    said = "\n".join(told(found.lost, FILE.name)) + "\n".join(re.findall("#.*", found.text))

    assert not re.search("hush|fedcba|012345", said)


def test_the_command_writes_a_file_and_never_over_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOOK", "https://hook.example.org")
    output = tmp_path / "routing.yaml"
    command = ["import", str(FILE), "-o", str(output)]

    assert main(command) == 0
    first = capsys.readouterr()
    assert main(command) == 1
    assert "is there already; name another file, or add --force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert first.out == ""
    assert f"{FILE}:6:1: templates: not translated" in first.err
    assert "still to be corrected" not in first.err
    assert output.read_text() == translate(FILE.read_text(), str(FILE)).text


def test_without_a_file_to_write_it_is_printed_and_what_is_to_be_corrected_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("HOOK", raising=False)

    assert main(["import", str(FILE)]) == 0

    answer = capsys.readouterr()
    assert answer.out == translate(FILE.read_text(), str(FILE)).text
    assert "the variable HOOK is not set" in answer.err


@pytest.mark.parametrize("text", ["", "- a", "route: {}", "a: [", "route: {a: *b}", "\tx"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text):
    (tmp_path / "am.yml").write_text(text)

    assert main(["import", str(tmp_path / "am.yml")]) == 1
    assert f"{tmp_path}/am.yml:" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        translate(text, "am.yml")


def test_the_example_of_the_page_is_true():
    before, after = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    [said] = re.findall(r"^```console\n\$ tocsin import .*?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    found = translate(before, "alertmanager.yml")

    assert found.text.partition("\n\n")[2].strip() == after.strip()
    assert told(found.lost, "alertmanager.yml") == said.splitlines()
