"""What does the outbox say is late?"""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.store.database import connect
from receiver.store.incidents import INCIDENT
from receiver.store.outbox import ATTEMPT, NOTIFICATION, overdue
from tests.store.test_database import INCIDENT_ROW, NOTIFICATION_ROW

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def db(migrated_url):
    engine = connect(migrated_url, writing=True, size=1)
    with engine.begin() as db:
        db.execute(INCIDENT.insert().values(INCIDENT_ROW | {"id": 1}))
        yield db
        db.rollback()
    engine.dispose()


@pytest.mark.parametrize(
    ("due_in", "tried_ago", "expected"),
    [
        pytest.param(-MINUTE, None, (1, NOW - MINUTE), id="nobody has tried it yet"),
        pytest.param(4 * MINUTE, 10 * MINUTE, (1, NOW - 10 * MINUTE), id="it backs off"),
        pytest.param(4 * HOUR, None, (0, None), id="a reminder is not late"),
        pytest.param(6 * HOUR, 10 * MINUTE, (0, None), id="what was tried waits for opening hours"),
    ],
)
def test_what_is_late_and_since_when(db, due_in, tried_ago, expected):
    """A reminder is made hours before it is due, so the age of the row says nothing."""
    made = {
        "id": 1,
        "created_at": NOW - 4 * HOUR,
        "due_at": NOW + due_in,
        "attempts": 0 if tried_ago is None else 2,
    }
    db.execute(NOTIFICATION.insert().values(NOTIFICATION_ROW | made))
    for n, ago in enumerate([tried_ago, MINUTE] if tried_ago else [], start=1):
        attempt = {
            "notification_id": 1,
            "n": n,
            "at": NOW - ago,
            "took": 0.1,
            "outcome": "temporary",
            "answer": "",
        }
        db.execute(ATTEMPT.insert().values(attempt))

    found = overdue(db, NOW)

    assert found == expected


def test_an_edit_that_tells_no_news_is_never_late(db):
    """A digest told it, so nobody waits for it."""
    made = {"id": 1, "reason": "outdated", "due_at": NOW - HOUR}
    db.execute(NOTIFICATION.insert().values(NOTIFICATION_ROW | made))

    assert overdue(db, NOW) == (0, None)
