"""Which incident does an alert belong to, and why should people hear of a change?"""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from receiver.policy import grouping
from receiver.policy.grouping import Change, incident_key, reason_of, stronger
from receiver.policy.incident import Reason
from receiver.policy.routing import Route, tree

LABELS = {"alertname": "DiskFull", "instance": "db-1", "team": "dba"}


@pytest.mark.parametrize(
    ("group_by", "said", "is_named", "expected"),
    [
        pytest.param(None, {"team": "dba"}, True, {"team": "dba"}, id="the group labels of the body"),
        pytest.param(None, {}, True, {}, id="a named group without labels holds everything"),
        pytest.param(None, {}, False, {"alertname": "DiskFull"}, id="a body without a group is grouped by alertname"),
        pytest.param(["team"], {"x": "y"}, True, {"team": "dba"}, id="group_by of the route"),
        pytest.param(["team", "absent"], {}, True, {"team": "dba"}, id="a label that is not there is left out"),
        pytest.param([], {"x": "y"}, True, {}, id="an empty group_by holds everything"),
        pytest.param(["..."], {"x": "y"}, True, LABELS, id="three dots are all labels"),
    ],
)  # fmt: skip
def test_the_labels_that_group(group_by, said, is_named, expected):
    written = {} if group_by is None else {"group_by": group_by}
    node = tree(Route.model_validate({"receiver": "ops", **written}))

    assert grouping.group_labels(node, LABELS, said, is_named=is_named) == expected


def test_an_alert_without_a_name_is_grouped_by_all_its_labels():
    node = tree(Route.model_validate({"receiver": "ops"}))

    assert grouping.group_labels(node, {"a": "b"}, {}, is_named=False) == {"a": "b"}


def test_the_key_is_made_from_source_labels_and_drill_in_any_order():
    key = incident_key("prod", {"a": "1", "b": "2"}, None)

    assert incident_key("prod", {"b": "2", "a": "1"}, None) == key
    others = [
        incident_key("staging", {"a": "1", "b": "2"}, None),
        incident_key("prod", {"a": "1", "b": "2"}, "drill"),
        incident_key("prod", {"a": "1b", "": "2"}, None),
        incident_key("prod", {}, None),
    ]
    assert len({key, *others}) == 5


def test_what_all_have_in_common():
    assert grouping.in_common([]) == {}
    assert grouping.in_common([{"a": "1", "b": "2"}]) == {"a": "1", "b": "2"}
    assert grouping.in_common([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1"}]) == {"a": "1"}


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (["A"], "A"),
        (["A", "A", "B"], "A, B"),
        (["A", "B", "C", "D", "E"], "A, B, C and 2 more"),
        (["A\nB\tC"], "A B C"),
        ([None], "(no alertname)"),
        (["x" * 300], "x" * 199 + "…"),
    ],
)
def test_the_title_is_one_line(names, title):
    assert grouping.title({} if name is None else {"alertname": name} for name in names) == title


def test_the_most_severe_has_the_lowest_rank():
    ranks = {"critical": 0, "warning": 1}

    assert grouping.most_severe(["warning", "critical"], lambda severity: ranks[severity]) == "critical"


NOTHING = Change(opened=False, reopened=False, fired=0, resolved=0, all_resolved=False, more_severe=False)


def changed(**changes):
    return NOTHING._replace(**changes)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(NOTHING, None, id="nothing"),
        pytest.param(changed(opened=True, fired=2, more_severe=True), Reason.FIRST, id="it opened"),
        pytest.param(changed(reopened=True, fired=1), Reason.REOPENED, id="it fires again"),
        pytest.param(changed(resolved=2, all_resolved=True), Reason.ALL_RESOLVED, id="it is over"),
        pytest.param(changed(fired=1, more_severe=True), Reason.MORE_SEVERE, id="it got worse"),
        pytest.param(changed(fired=1, resolved=1), Reason.NEW_ALERTS, id="more fires than before"),
        pytest.param(changed(resolved=1), Reason.SOME_RESOLVED, id="a part is over"),
    ],
)
def test_why_people_should_hear_of_a_change(change, reason):
    assert reason_of(change) is reason


@pytest.mark.parametrize("one", [None, *Reason])
@pytest.mark.parametrize("other", [None, *Reason])
def test_two_reasons_always_have_a_stronger_one_which_is_one_of_them(one, other):
    assert stronger(one, other) in {one, other}


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_is_as_strong_as_itself(reason):
    assert stronger(reason, reason) is reason
    assert stronger(reason, None) is reason
    assert stronger(None, reason) is reason


def test_of_two_reasons_that_are_no_end_the_order_does_not_matter():
    undone = {Reason.ACKNOWLEDGED, Reason.UNACKNOWLEDGED, Reason.ALL_RESOLVED, Reason.FALLBACK}
    plain = [reason for reason in Reason if reason not in undone]

    for one, other in itertools.combinations(plain, 2):
        assert stronger(one, other) is stronger(other, one)


def test_the_end_overtakes_what_came_before_and_is_overtaken():
    assert stronger(Reason.NEW_ALERTS, Reason.ALL_RESOLVED) is Reason.ALL_RESOLVED
    assert stronger(Reason.ALL_RESOLVED, Reason.REOPENED) is Reason.REOPENED


@pytest.mark.parametrize(
    ("minutes", "count"),
    [
        pytest.param(None, 1, id="the first"),
        pytest.param(1, 4, id="soon after the one before"),
        pytest.param(24 * 60, 1, id="long after it"),
    ],
)
def test_reopenings_count_while_they_follow_each_other_closely(minutes, count):
    now = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
    last_at = None if minutes is None else now - timedelta(minutes=minutes)

    assert grouping.reopenings(3, last_at, now) == count
