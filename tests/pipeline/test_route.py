"""What becomes owed when something happens, given what is owed already and what was told?"""

from datetime import timedelta
from typing import Any

import pytest

from receiver.config import parse
from receiver.pipeline.route import Target, fallback_targets, targets, tell
from receiver.policy.incident import Reason, State
from tests.fakes.clock import START

SECOND = timedelta(seconds=1)
CONFIG = parse(
    """
receivers:
  - {name: screen, console_configs: [{}]}
  - {name: program, webhook_configs: [{url: "https://example.org/hook"}]}
  - {name: both, console_configs: [{}], webhook_configs: [{url: "https://example.org/hook"}]}
fallback: program
route:
  receiver: screen
  group_wait: 10s
  group_interval: 60s
  routes:
    - {name: one, matchers: [team="one"], receiver: program, continue: true}
    - {name: two, matchers: [team="one"], receiver: both}
""",
    {},
)
ROOT = CONFIG.tree
SCREEN = Target("console stdout", "screen", ROOT)
INCIDENT = {"id": 7, "state": State.TRIGGERED, "severity": "warning", "revision": 3}


def a_row(**changes: Any) -> dict[str, Any]:
    """Return something that is owed to the screen."""
    row = {"id": 1, "destination": SCREEN.destination, "reason": Reason.FIRST, "revision": 2, "attempts": 0}
    row |= {"due_at": START + 5 * SECOND, "claimed_until": None, "fallback_at": None, "urgent": False}
    return {**row, **changes}


def told(reason: Reason, owed: list[dict[str, Any]], sent_at: Any = None) -> tuple[list[Any], list[Any]]:
    """Return what is added to and changed in the outbox, as (reason, seconds from now) each."""
    conversations = {SCREEN.destination: {"sent_at": sent_at}} if sent_at else {}
    to = {SCREEN.destination: SCREEN}
    telling = tell(CONFIG, INCIDENT, reason, to, owed=owed, conversations=conversations, now=START)
    seconds = lambda row: (row["reason"], (row["due_at"] - START).total_seconds())  # noqa: E731
    return [seconds(row) for row in telling.added], [seconds(row) for row in telling.changed]


@pytest.mark.parametrize(
    ("reason", "sent_at", "seconds"),
    [
        pytest.param(Reason.FIRST, None, 10, id="the first message waits for group_wait"),
        pytest.param(Reason.MORE_SEVERE, None, 0, id="a rise in severity waits for nothing"),
        pytest.param(Reason.NEW_ALERTS, START - 20 * SECOND, 40, id="an update keeps group_interval"),
        pytest.param(Reason.NEW_ALERTS, START - 60 * SECOND, 0, id="after group_interval there is no wait"),
        pytest.param(Reason.NEW_ALERTS, START - 999 * SECOND, 0, id="nor long after it"),
        pytest.param(Reason.ALL_RESOLVED, START - 20 * SECOND, 40, id="the end keeps group_interval, too"),
        pytest.param(Reason.ACKNOWLEDGED, START - 20 * SECOND, 0, id="what a person did is told at once"),
        pytest.param(Reason.UNACKNOWLEDGED, START - 20 * SECOND, 0, id="so is what a person gave back"),
        pytest.param(Reason.MORE_SEVERE, START - 20 * SECOND, 0, id="and a rise in severity"),
        pytest.param(Reason.NOTE, START - 20 * SECOND, 40, id="a note has time"),
    ],
)
def test_where_nothing_is_owed_a_row_is_added(reason: Reason, sent_at: Any, seconds: float) -> None:
    added, changed = told(reason, [], sent_at)

    assert added == [(reason, seconds)]
    assert changed == []


@pytest.mark.parametrize(
    ("row", "reason", "expected"),
    [
        pytest.param(a_row(), Reason.NEW_ALERTS, (Reason.FIRST, 5), id="the first message says it all"),
        pytest.param(a_row(), Reason.MORE_SEVERE, (Reason.FIRST, 0), id="worse makes it come at once"),
        pytest.param(a_row(), Reason.ALL_RESOLVED, (Reason.ALL_RESOLVED, 5), id="the end takes its place"),
        pytest.param(a_row(reason=Reason.ALL_RESOLVED), Reason.REOPENED, (Reason.REOPENED, 5), id="back before the end was told"),
        pytest.param(a_row(reason=Reason.NOTE), Reason.NEW_ALERTS, (Reason.NEW_ALERTS, 5), id="alerts count more than a note"),
        pytest.param(a_row(reason=Reason.REPEAT_DUE, due_at=START + 3600 * SECOND), Reason.NEW_ALERTS, (Reason.NEW_ALERTS, 10), id="news takes the reminder's place"),
        pytest.param(a_row(reason=Reason.REPEAT_DUE, due_at=START + 3600 * SECOND), Reason.ACKNOWLEDGED, (Reason.ACKNOWLEDGED, 0), id="so does a person"),
        pytest.param(a_row(reason=Reason.ACKNOWLEDGED), Reason.UNACKNOWLEDGED, (Reason.UNACKNOWLEDGED, 0), id="given back is the last word"),
        pytest.param(a_row(reason=Reason.UNACKNOWLEDGED), Reason.ACKNOWLEDGED, (Reason.ACKNOWLEDGED, 0), id="taken again is the last word"),
        pytest.param(a_row(reason=Reason.FALLBACK, due_at=START), Reason.NEW_ALERTS, (Reason.FALLBACK, 0), id="a fallback stays one"),
        pytest.param(a_row(reason=Reason.FALLBACK, due_at=START), Reason.ALL_RESOLVED, (Reason.FALLBACK, 0), id="even at the end"),
        pytest.param(a_row(attempts=3, due_at=START + 99 * SECOND), Reason.NEW_ALERTS, (Reason.FIRST, 99), id="a back-off is kept"),
        pytest.param(a_row(attempts=3, due_at=START + 99 * SECOND), Reason.MORE_SEVERE, (Reason.FIRST, 0), id="but not when it is worse"),
        pytest.param(a_row(claimed_until=START), Reason.NEW_ALERTS, (Reason.FIRST, 5), id="a lease that ran out holds nothing"),
    ],
)  # fmt: skip
def test_what_was_not_sent_yet_collapses(row: dict[str, Any], reason: Reason, expected: Any) -> None:
    added, changed = told(reason, [row])

    assert added == []
    assert changed == [expected]


def test_what_a_worker_holds_is_followed_by_another() -> None:
    """A row that may just be going out with the old text is left alone."""
    added, changed = told(Reason.NEW_ALERTS, [a_row(claimed_until=START + SECOND)], START - 60 * SECOND)

    assert added == [(Reason.NEW_ALERTS, 0)]
    assert changed == []


def test_whatever_goes_before_an_urgent_row_is_urgent() -> None:
    """Also what a worker holds, for it may fail; nothing else of it changes."""
    held = a_row(claimed_until=START + SECOND)
    incident = {**INCIDENT, "severity": "critical"}
    telling = tell(
        CONFIG, incident, Reason.MORE_SEVERE, {SCREEN.destination: SCREEN}, owed=[held], conversations={},
        now=START,
    )  # fmt: skip

    assert [row["urgent"] for row in telling.added] == [True]
    assert telling.changed == [{**held, "urgent": True}]


def test_one_row_is_changed_where_two_are_owed() -> None:
    """Of two rows that nobody holds, the older one takes the news."""
    owed = [a_row(id=1), a_row(id=2, reason=Reason.FALLBACK)]
    telling = tell(
        CONFIG, INCIDENT, Reason.NOTE, {SCREEN.destination: SCREEN}, owed=owed, conversations={}, now=START
    )

    assert [row["id"] for row in telling.changed] == [1]
    assert telling.changed[0]["revision"] == INCIDENT["revision"]


def test_a_page_is_never_queued_twice() -> None:
    """The key of a row is the incident, the destination and the revision that it is about."""
    telling = tell(
        CONFIG, INCIDENT, Reason.NOTE, {SCREEN.destination: SCREEN}, owed=[], conversations={}, now=START
    )

    assert telling.added[0]["key"] == "7:console stdout:3"


def test_every_destination_once_through_the_first_route_that_names_it() -> None:
    """Two routes that name one destination tell it once."""
    found = targets(CONFIG, ROOT.children)

    assert [(one.receiver, one.node.name) for one in found.values()] == [("program", "one"), ("both", "two")]
    assert list(found) == [one.destination for one in found.values()]


def test_the_fallback_is_told_as_by_the_root() -> None:
    """The fallback has no hours: the root route cannot have any."""
    [target] = fallback_targets(CONFIG)

    assert (target.receiver, target.node) == ("program", ROOT)
