"""Alerts are inhibited as Alertmanager inhibits them, and silenced while all of an incident's are."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from receiver.policy.matching import parse_matchers
from receiver.policy.muting import Cover, InhibitRule, Silence, covered, inhibited_by, narrows
from receiver.policy.outbox import Wait
from tests.policy.tables import table

TABLE = table("routes/inhibit.json")


def rules(rows):
    return [InhibitRule.model_validate(row) for row in rows]


def firing(alerts):
    """Return the labels of the alerts that fire after all updates are applied in order."""
    last = {tuple(sorted(alert["labels"].items())): alert for alert in alerts}
    return [alert["labels"] for alert in last.values() if not alert["resolved"]]


@pytest.mark.parametrize(
    "row", TABLE["has_equal"]["cases"], ids=[row["name"] for row in TABLE["has_equal"]["cases"]]
)
def test_equal_labels_agree_with_alertmanagers_own_test(row):
    # A source side that holds for nothing else keeps the self-inhibition guard out of this table.
    sources = [labels | {"side": "source"} for labels in firing(row["source_alerts"])]
    rule = InhibitRule.model_validate(
        {"source_matchers": ["side=source"], "equal": row["equal"], "target_matchers": ["side!=source"]}
    )

    assert (inhibited_by([rule], row["input"], sources) is not None) is row["result"]


@pytest.mark.parametrize(
    ("name", "row"),
    [(name, row) for name in ("rule_matches", "rule_matchers") for row in TABLE[name]["cases"]],
)
def test_inhibition_agrees_with_alertmanagers_own_test(name, row):
    found = inhibited_by(rules(TABLE[name]["rules"]), row["target"], firing(TABLE[name]["source_alerts"]))

    assert (found is not None) is row["muted"]


@pytest.mark.parametrize(
    "row", TABLE["inhibit"]["cases"], ids=["one alert", "a source and a target", "a resolved source"]
)
def test_inhibition_agrees_on_sequences_of_alerts(row):
    fires = firing(row["alerts"])

    for each in row["expected"]:
        found = inhibited_by(rules(TABLE["inhibit"]["rules"]), each["labels"], fires)
        assert (found is not None) is each["muted"]


def test_alerts_with_the_same_equal_labels_inhibit_each_other_and_no_others():
    names = TABLE["fingerprint_equals"]["equal"]
    rule = InhibitRule.model_validate(
        {"source_matchers": ["x=1"], "target_matchers": ["x!=1"], "equal": names}
    )

    for kind, wanted in (("same", True), ("different", False)):
        source, target = TABLE["fingerprint_equals"][kind]
        assert (inhibited_by([rule], target, [source | {"x": "1"}]) is not None) is wanted


def test_the_answer_names_the_rule_and_the_alert_that_fires():
    rule = InhibitRule.model_validate(
        {
            "name": "node down",
            "source_match": {"alertname": "NodeDown"},
            "target_match_re": {"severity": "warn.*"},
            "equal": ["node"],
        }
    )
    source = {"alertname": "NodeDown", "node": "a"}

    found = inhibited_by(
        [rule], {"severity": "warning", "node": "a"}, [{"alertname": "NodeDown", "node": "b"}, source]
    )

    assert found == (rule, source)
    assert found[0].name == "node down"


def test_the_older_and_the_newer_spelling_mean_the_same():
    older = InhibitRule.model_validate({"source_match": {"a": "b"}, "target_match": {"c": "d"}})
    newer = InhibitRule.model_validate({"source_matchers": ["a=b"], "target_matchers": ["c=d"]})

    assert (older.source, older.target) == (newer.source, newer.target)


def test_labels_that_both_miss_are_equal():
    rule = InhibitRule.model_validate(
        {"source_matchers": ["a=b"], "target_matchers": ["c=d"], "equal": ["cluster"]}
    )

    assert inhibited_by([rule], {"c": "d"}, [{"a": "b", "cluster": ""}]) is not None


def test_an_alert_never_inhibits_itself():
    rule = InhibitRule.model_validate(
        {"source_matchers": ["severity=~critical|warning"], "target_matchers": ["severity=~critical|warning"]}
    )
    labels = {"severity": "critical"}

    assert inhibited_by([rule], labels, [labels, {"severity": "warning"}]) is None


def test_an_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        InhibitRule.model_validate({"sources": []})


NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def cover(matchers, hours=1, why="because"):
    return Cover(tuple(parse_matchers(matchers)), NOW + hours * HOUR, why)


@pytest.mark.parametrize(
    ("covers", "alerts", "expected"),
    [
        pytest.param([cover("a=x")], [{"a": "x"}], (1, "because"), id="the one alert is covered"),
        pytest.param([cover("a=x")], [{"a": "y"}], None, id="it is not"),
        pytest.param([cover("a=x")], [{"a": "x"}, {"a": "y"}], None, id="one of two is not"),
        pytest.param([cover("a=x")], [], None, id="nothing fires"),
        pytest.param([], [{"a": "x"}], None, id="nothing covers"),
        pytest.param([cover("a=x,b=y")], [{"a": "x"}], None, id="one of two matchers holds"),
        pytest.param([cover('b=""')], [{"a": "x"}], (1, "because"), id="a missing label is the empty string"),
        pytest.param([cover("a=x"), cover("a=~x|y", 3, "other")], [{"a": "x"}], (3, "other"), id="of two that cover an alert, the longer counts"),
        pytest.param([cover("a=x", 2, "first"), cover("a=y", 1, "second")], [{"a": "x"}, {"a": "y"}], (1, "second"), id="of two alerts, the first that is free speaks"),
        pytest.param([cover('"the service"="ü"')], [{"the service": "ü"}], (1, "because"), id="label names in any script"),
    ],
)  # fmt: skip
def test_an_incident_is_quiet_while_each_of_its_alerts_is(covers, alerts, expected):
    found = covered(covers, alerts)

    assert found == (expected and Wait(NOW + expected[0] * HOUR, expected[1]))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param(NOW - timedelta(microseconds=1), False, id="just before it begins"),
        pytest.param(NOW, True, id="exactly at its beginning"),
        pytest.param(NOW + HOUR - timedelta(microseconds=1), True, id="just before its end"),
        pytest.param(NOW + HOUR, False, id="exactly at its end"),
    ],
)
def test_a_silence_counts_from_its_beginning_until_its_end(at, expected):
    assert Silence((), NOW, NOW + HOUR, "ana", "").is_in_force(at) is expected


@pytest.mark.parametrize(
    ("matchers", "expected"),
    [
        ("severity=warning", True),
        ('severity=~"warning|info"', True),
        ('instance=~"db-.*"', True),
        ('instance=~"[0-9.:]+"', True),
        ('alertname=~".+",severity="info"', True),
        ('severity!="critical",team="db"', True),
        ('alertname=~".*"', False),
        ('alertname=~".+"', False),
        ('alertname!=""', False),
        ('alertname=~"(.|\\\\n)*"', False),
        ('severity!="critical"', False),
        ('severity!~"critical|page",team!="db"', False),
        ('team=""', False),
        ("{}", False),
    ],
)
def test_matchers_that_choose_nothing_are_noticed(matchers, expected):
    assert narrows(parse_matchers(matchers)) is expected
