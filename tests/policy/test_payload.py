"""What does a body say, whoever wrote it?"""

import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.policy.fingerprint import fingerprint
from receiver.policy.payload import NotJson, NotUsable, understand

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
ZERO = "0001-01-01T00:00:00Z"
LABELS = {"alertname": "DiskFull"}


def said(document, source="prod", now=NOW):
    return understand(json.dumps(document).encode(), source=source, now=now)


def one(**fields):
    """Return what is understood of one alert with these fields."""
    (condition,) = said({"alerts": [{"labels": LABELS, **fields}]}).conditions
    return condition


@pytest.mark.parametrize(
    ("status", "ends_at", "firing"),
    [
        pytest.param("firing", ZERO, True, id="it fires"),
        pytest.param("firing", "2026-11-20T03:00:00Z", True, id="the status counts more than the time"),
        pytest.param("resolved", ZERO, False, id="it is resolved, and nobody says when"),
        pytest.param("resolved", "2027-01-01T00:00:00Z", False, id="it is resolved, whatever the time"),
        pytest.param("odd", ZERO, True, id="an unknown status without an end fires"),
        pytest.param("odd", "2026-11-20T03:12:01Z", True, id="an unknown status that ends later fires"),
        pytest.param("odd", "2026-11-20T03:12:00Z", False, id="an unknown status that has ended does not"),
        pytest.param(None, None, True, id="in doubt, it fires"),
        pytest.param(["firing"], "garbage", True, id="a status of a wrong type is no status"),
    ],
)
def test_whether_an_alert_fires(status, ends_at, firing):
    assert one(status=status, endsAt=ends_at).firing is firing


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        pytest.param("2026-11-20T03:10:00Z", "2026-11-20T03:10:00+00:00", id="UTC"),
        pytest.param("2026-11-20T05:10:00+02:00", "2026-11-20T03:10:00+00:00", id="an offset"),
        pytest.param("2026-11-20T03:10:00.123456789Z", "2026-11-20T03:10:00.123456+00:00", id="nanoseconds"),
        pytest.param("2026-11-20T03:10:00", "2026-11-20T03:10:00+00:00", id="no offset is UTC"),
        pytest.param(ZERO, NOW.isoformat(), id="Go's zero time is none"),
        pytest.param("0001-01-01T00:00:00+14:00", NOW.isoformat(), id="before the calendar"),
        pytest.param("9999-12-31T23:59:59-14:00", NOW.isoformat(), id="after the calendar"),
        pytest.param("soon", NOW.isoformat(), id="no time at all"),
        pytest.param(7, NOW.isoformat(), id="a number"),
    ],
)
def test_when_an_alert_began(written, meant):
    assert one(startsAt=written).starts_at == datetime.fromisoformat(meant)


def test_an_end_counts_only_for_what_is_resolved():
    ended = "2026-11-20T03:11:00Z"

    assert one(status="firing", endsAt=ended).ends_at is None
    assert one(status="resolved", endsAt=ended).ends_at == NOW - timedelta(minutes=1)
    assert one(status="resolved").ends_at == NOW


@pytest.mark.parametrize("named", [None, "", 7, "f" * 65])
def test_a_fingerprint_that_is_missing_or_odd_is_computed_as_prometheus_does(named):
    assert one(fingerprint=named).fingerprint == fingerprint(LABELS)


def test_a_fingerprint_is_believed():
    assert one(fingerprint="e1749c6acab64267").fingerprint == "e1749c6acab64267"


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        pytest.param("text", "text", id="text"),
        pytest.param(7, "7", id="a number"),
        pytest.param(1.5, "1.5", id="a fraction"),
        pytest.param(True, "true", id="a truth"),
        pytest.param({"a": [1]}, '{"a":[1]}', id="an object"),
        pytest.param("a\0b", "a\N{REPLACEMENT CHARACTER}b", id="NUL, which PostgreSQL cannot hold"),
        pytest.param("", None, id="an empty value is no label"),
        pytest.param(None, None, id="null is no label"),
    ],
)
def test_values_become_text(written, understood):
    assert one(labels={"a": "b", "x": written}).labels.get("x") == understood


@pytest.mark.parametrize(
    ("written", "count"),
    [(4, 4), ("4", 4), (0, 0), (-3, 0), (None, 0), ("many", 0), ([], 0), ({"a": 1}, 0), (10**30, 2**31 - 1), (2.9, 2)],
)  # fmt: skip
def test_how_many_alerts_were_left_out(written, count):
    assert said({"alerts": [], "truncatedAlerts": written}).truncated == count


def test_the_same_alert_firing_and_resolved_in_one_body_fires():
    for statuses in (("firing", "resolved"), ("resolved", "firing")):
        understood = said({"alerts": [{"labels": LABELS, "status": status} for status in statuses]})

        assert [condition.firing for condition in understood.conditions] == [True]


def test_of_the_same_alert_twice_the_later_counts():
    alerts = [{"labels": LABELS, "annotations": {"n": n}} for n in "12"]

    (condition,) = said({"alerts": alerts}).conditions

    assert condition.annotations == {"n": "2"}


def test_the_receiver_is_read_without_the_quotes_of_regular_expressions():
    assert said({"alerts": [], "receiver": r"web\.hook\\x"}).receiver == r"web.hook\x"


BODY = {
    "alerts": [{"labels": LABELS, "status": "firing", "startsAt": "2026-11-20T03:10:00Z", "annotations": {"a": "b"}}],
    "groupKey": "{}:{}",
    "receiver": "tocsin",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "alert_changes", "same"),
    [
        pytest.param({}, {}, True, id="a retry"),
        pytest.param({"externalURL": "http://peer"}, {"generatorURL": "http://peer"}, True, id="addresses"),
        pytest.param({"notification_reason": "x", "status": "resolved"}, {}, True, id="what is not read"),
        pytest.param({}, {"startsAt": "2026-11-20T03:11:00Z"}, False, id="it began anew"),
        pytest.param({}, {"status": "resolved", "endsAt": "2026-11-20T03:11:00Z"}, False, id="it ended"),
        pytest.param({}, {"annotations": {"a": "c"}}, False, id="an annotation"),
        pytest.param({"groupKey": "{}:{x}"}, {}, False, id="another group"),
        pytest.param({"receiver": "other"}, {}, False, id="another receiver"),
        pytest.param({"truncatedAlerts": 1}, {}, False, id="a partial view"),
    ],
)
def test_equal_bodies_have_equal_digests(changes, alert_changes, same):
    other = {**BODY, **changes, "alerts": [{**BODY["alerts"][0], **alert_changes}]}

    assert (said(BODY).digest == said(other, now=NOW + timedelta(hours=1)).digest) is same


def test_the_group_is_named_by_its_key_else_by_its_labels_else_not_at_all():
    by_key, by_labels = said({"alerts": [], "groupKey": "k"}), said({"alerts": [], "groupLabels": LABELS})

    assert said({"alerts": []}).group_id is None
    assert (
        len({by_key.group_id, by_labels.group_id, said({"alerts": [], "groupKey": "k"}, source="x").group_id})
        == 3
    )


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 1000, "{}".encode("utf-16")])
def test_what_is_not_json_is_said_to_be_so(body):
    with pytest.raises(NotJson, match=r"is not JSON.*send Alertmanager's webhook format"):
        understand(body, source="prod", now=NOW)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[]", "not an object"),
        (b"{}", "`alerts` is not a list"),
        (b'{"alerts":[7]}', "an alert is not an object"),
        (b'{"alerts":[{}]}', "an alert has no labels"),
        (b'{"alerts":[{"labels":{"a":""}}]}', "an alert has no labels"),
    ],
)
def test_json_that_names_no_alert_is_said_to_be_unusable(body, why):
    with pytest.raises(NotUsable, match=why):
        understand(body, source="prod", now=NOW)


def test_an_empty_list_of_alerts_is_a_body():
    assert said({"alerts": []}).conditions == ()


def test_an_unusable_alert_is_kept_as_it_came():
    understood = said({"alerts": [{"labels": LABELS}, {"labels": {}, "x": 1}]})

    assert [json.loads(one.body) for one in understood.unusable] == [{"labels": {}, "x": 1}]


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused_in_words_or_understood(body):
    with contextlib.suppress(NotJson, NotUsable):
        understand(body, source="prod", now=NOW)


@pytest.mark.parametrize(
    ("unsound", "kept"),
    [
        pytest.param(b'"half a \\ud83d character"', "half a ? character", id="a lone surrogate"),
        pytest.param(b'"Z\xfcrich"', "Z\N{REPLACEMENT CHARACTER}rich", id="a byte of Latin-1"),
        pytest.param(b"9" * 5000, '"' + "9" * 5000 + '"', id="a number of 5,000 digits"),
        pytest.param(
            b"[" * 400 + b"]" * 400, "(nested too deeply)", id="nested more deeply than anybody reads"
        ),
    ],
)
def test_a_good_alert_beside_an_unsound_one_is_heard(unsound, kept):
    """What the fast parser refuses whole is read once more, with patience."""
    body = b'{"alerts": [{"labels": {"alertname": "Odd", "a": %b}}, {"labels": {"alertname": "Good"}}]}'

    said = understand(body % unsound, source="prod", now=NOW)

    assert [one.labels["alertname"] for one in said.conditions] == ["Odd", "Good"]
    assert said.conditions[0].labels["a"].strip('"') == kept.strip('"')
