"""Alerts are inhibited as Alertmanager inhibits them."""

import pytest
from pydantic import ValidationError

from receiver.policy.muting import InhibitRule, inhibited_by
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
