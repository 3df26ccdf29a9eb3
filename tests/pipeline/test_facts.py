"""What is told of an incident, as plain data?"""

import pytest

from receiver.pipeline.facts import reason_text, told_facts, where
from receiver.policy.incident import Reason
from tests.channels.events import BASE, EVENTS, at


def incident(**changes):
    return EVENTS["triggered"].incident | changes


@pytest.mark.parametrize(
    ("heard_at", "since"),
    [
        pytest.param(at(3, 40), "2026-11-20T02:47:00Z", id="long before we heard of it"),
        pytest.param(at(2, 46), "2026-11-20T02:46:00Z", id="a clock that is ahead of ours"),
    ],
)
def test_a_message_says_since_when_it_fires(heard_at, since):
    """After an outage of ours the two differ, and a person asks for the first."""
    told = told_facts(incident(started_at=heard_at), BASE, EVENTS["triggered"].alerts)

    assert told["since"] == since


def test_without_alerts_it_is_since_when_we_heard_of_it():
    assert told_facts(incident(started_at=at(3, 40)), BASE)["since"] == "2026-11-20T03:40:00Z"


@pytest.mark.parametrize(
    ("labels", "summary", "place"),
    [
        pytest.param({"namespace": "payments", "cluster": "eu"}, "", "payments, eu", id="narrow, then wide"),
        pytest.param(
            {"cluster": "eu", "instance": "db-1", "namespace": "n"}, "", "db-1, n", id="two of them"
        ),
        pytest.param({"instance": "db-1", "cluster": "eu"}, "db-1 is full", "eu", id="what the summary says"),
        pytest.param({"service": "a", "namespace": "a"}, "", "a", id="the same twice"),
        pytest.param({"instance": ""}, "", "", id="an empty label"),
        pytest.param({"team": "dba"}, "", "", id="no place"),
    ],
)
def test_where_is_what_title_and_summary_leave_open(labels, summary, place):
    assert where(incident(title="DiskFull", labels=labels, annotations={"summary": summary})) == place


@pytest.mark.parametrize(
    ("firing", "text"), [(0, "all alerts resolved"), (2, "resolved by hand")], ids=["by itself", "by hand"]
)
def test_who_ended_it_is_told(firing, text):
    assert reason_text(Reason.ALL_RESOLVED, incident(firing=firing)) == text
