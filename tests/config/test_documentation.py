"""The shipped file, the page about it and the schema say what the code does."""

import json
import re
from datetime import UTC, datetime

import pytest
import yaml

from receiver.channels import KINDS
from receiver.config import Config, Settings, check, load, parse, schema, schema_text
from receiver.resources import EXAMPLE_CONFIG, ROOT

AT = datetime(2026, 11, 20, tzinfo=UTC)
PAGE = (ROOT / "docs" / "routing.md").read_text(encoding="utf-8")
ON_CALL = (ROOT / "docs" / "on-call.md").read_text(encoding="utf-8")
ESCALATION = (ROOT / "docs" / "escalation.md").read_text(encoding="utf-8")
PAGES = {
    **dict.fromkeys(("Schedule", "Rotation", "Calendar"), ON_CALL),
    **dict.fromkeys(("EscalationPolicy", "Step", "Whom"), ESCALATION),
}
WATCHING = (ROOT / "docs" / "watching.md").read_text(encoding="utf-8")
WATCHED = [  # what of the page is routing.yaml, and not Prometheus's or Alertmanager's
    one for one in re.findall(r"^```yaml\n(.*?)^```", WATCHING, re.MULTILINE | re.DOTALL) if one[0] != "#"
]
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ENVIRON = {"OLD_TOKEN": "x", "NEW_TOKEN": "y", "SLACK_URL": "https://hooks.slack.com/services/x", "TELEGRAM_TOKEN": "4711:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "TICKETS_URL": "https://tickets.example.org"}  # fmt: skip
REST = {
    "receivers": [{"name": name, "console_configs": [{}]} for name in ("ops", "night", "database")],
    "route": {"receiver": "ops"},
}
RECORDS = {"Config": schema(), **schema()["$defs"]}
OF_CHANNELS = {  # what the entries of channels are made of; the pages of the channels have it
    *("Authorization", "BasicAuth", "HttpConfig", "Image", "Link", "Responder", "TlsConfig"),
}


def completed(example):
    """An example of the page, with the top-level keys that it does not show."""
    shown = yaml.safe_load(example)
    rest = {key: value for key, value in REST.items() if key not in shown}
    return example + yaml.safe_dump(rest) if rest else example


def problems(value, record, path="file"):
    """Yield where a value is not what the schema says; only what this schema uses is understood."""
    if "$ref" in record:
        record = RECORDS[record["$ref"].rpartition("/")[2]] | {"description": ""}
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
    allowed = record["type"] if isinstance(record["type"], list) else [record["type"]]
    if not isinstance(value, tuple(kinds[kind] for kind in allowed)):
        yield f"{path} is {value!r} and not {allowed}"
    elif isinstance(value, dict):
        known = record.get("properties", {})
        below = record.get("additionalProperties", True)
        yield from (f"{path} has no {key}" for key in record.get("required", ()) if key not in value)
        for key, item in value.items():
            if key in known or below:
                yield from problems(item, known.get(key) or below, f"{path}.{key}")
            else:
                yield f"{path}.{key} is not known"
    elif isinstance(value, list):
        yield from (
            p for n, item in enumerate(value) for p in problems(item, record["items"], f"{path}[{n}]")
        )
    elif "enum" in record and value not in record["enum"]:
        yield f"{path} is none of {record['enum']}"
    elif isinstance(value, str) and not re.search(record.get("pattern", ""), value):
        yield f"{path} does not match {record['pattern']}"


def test_the_shipped_file_loads_without_an_account_and_without_a_warning():
    assert check(EXAMPLE_CONFIG, {}, AT) == ([], [])
    assert {d.kind for d in load(EXAMPLE_CONFIG, {}).destinations.values()} == {"console"}


def test_the_shipped_file_loads_with_everything_that_is_commented_out():
    text = re.sub(
        r"^# ?(?=( *- |  |sources:))", "", EXAMPLE_CONFIG.read_text(encoding="utf-8"), flags=re.MULTILINE
    )

    config = parse(text, ENVIRON)

    assert {destination.kind for destination in config.destinations.values()} == set(KINDS)
    assert [source.name for source in config.sources] == ["prod"]


def test_the_shipped_file_has_an_example_of_every_channel():
    text = EXAMPLE_CONFIG.read_text(encoding="utf-8")

    assert not [kind for kind in KINDS if f"{kind}_configs:" not in text]


def test_the_shipped_file_names_its_schema_in_the_first_line():
    first = EXAMPLE_CONFIG.read_text(encoding="utf-8").splitlines()[0]

    assert first == "# yaml-language-server: $schema=./routing.schema.json"


@pytest.mark.parametrize("example", [*EXAMPLES, *WATCHED], ids=lambda example: example.split(":")[0])
def test_every_example_of_the_page_loads(example):
    parse(completed(example), ENVIRON)


@pytest.mark.parametrize(
    "example",
    [EXAMPLE_CONFIG.read_text(encoding="utf-8"), *EXAMPLES, *WATCHED],
    ids=lambda example: example[:12],
)
def test_every_example_is_what_the_schema_says(example):
    assert list(problems(yaml.safe_load(completed(example)), RECORDS["Config"])) == []


def test_the_schema_notices_mistakes():
    mistaken = {"receivers": [{"nam": "x"}], "route": {"continue": "x", "outside": "x", "group_wait": "x"}}

    assert list(problems(mistaken, RECORDS["Config"])) == [
        "file.receivers[0] has no name",
        "file.receivers[0].nam is not known",
        "file.route.continue is 'x' and not ['boolean']",
        "file.route.outside is none of ['defer', 'drop']",
        "file.route.group_wait does not match " + RECORDS["Route"]["properties"]["group_wait"]["pattern"],
    ]


def test_the_schema_in_the_repository_is_true():
    written = (ROOT / "routing.schema.json").read_text(encoding="utf-8")

    assert written == schema_text(), "run `make fix`"
    assert json.loads(written)["title"] == "Tocsin routing.yaml"


def test_the_schema_has_nothing_that_older_editors_do_not_know():
    assert "prefixItems" not in schema_text()


@pytest.mark.parametrize(
    "key", [f"{name}.{key}" for name, record in RECORDS.items() for key in record["properties"]]
)
def test_every_key_is_described_in_the_schema(key):
    name, _, key = key.partition(".")
    description = RECORDS[name]["properties"][key]["description"]

    assert description.endswith(".")
    assert key.endswith("_configs") or not description.startswith("Destinations of the kind")


@pytest.mark.parametrize(
    "key",
    [
        f"{name}.{key}"
        for name, record in RECORDS.items()
        if name not in {*(channel.Config.__name__ for channel in KINDS.values()), *OF_CHANNELS}
        for key in record["properties"]
    ],
)  # fmt: skip
def test_every_key_is_on_the_page(key):
    record, _, name = key.partition(".")

    assert f"`{name}`" in PAGES.get(record, PAGE)


@pytest.mark.parametrize("key", [field.alias or name for name, field in Config.model_fields.items()])
def test_every_key_at_the_top_has_its_default_on_the_page(key):
    assert re.search(rf"^\| `{key}` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("field", list(Settings.model_fields))
def test_every_variable_of_the_environment_is_on_the_page(field):
    assert f"`TOCSIN_{field.upper()}`" in PAGE
