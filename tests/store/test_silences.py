"""Which silences count when, and what is asked anew where they begin and end?"""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from receiver.store import outbox, silences
from receiver.store.database import connect
from receiver.store.incidents import INCIDENT
from receiver.store.outbox import ATTEMPT, NOTIFICATION
from tests.store.test_database import INCIDENT_ROW, NOTIFICATION_ROW

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SILENCED = "silenced by ana until 2026-11-20T05:12:00Z"


@pytest.fixture
def db(migrated_url):
    engine = connect(migrated_url, writing=True, size=1)
    with engine.begin() as db:
        for id_ in (1, 2):
            db.execute(INCIDENT.insert().values(INCIDENT_ROW | {"id": id_, "key": str(id_)}))
        yield db
        db.rollback()
    engine.dispose()


def silence(db, begins=timedelta(), lasts=HOUR, *matchers):
    made = {
        "matchers": list(matchers) or ['a="b"'], "starts_at": NOW + begins, "ends_at": NOW + begins + lasts,
        "made_at": NOW, "made_by": "ana", "text": "",
    }  # fmt: skip
    return silences.add(db, made)


@pytest.mark.parametrize(
    ("begins", "lasts", "in_force", "not_over"),
    [
        pytest.param(timedelta(), HOUR, True, True, id="it begins at this instant"),
        pytest.param(-HOUR, HOUR, False, False, id="it ends at this instant"),
        pytest.param(-HOUR, HOUR + timedelta(microseconds=1), True, True, id="just before its end"),
        pytest.param(timedelta(microseconds=1), HOUR, False, True, id="just before its beginning"),
        pytest.param(HOUR, -MINUTE, False, False, id="it was ended before it began"),
    ],
)
def test_a_silence_counts_from_its_beginning_until_its_end(db, begins, lasts, in_force, not_over):
    row = silence(db, begins, lasts, 'a="b"', '"c d"=~"x|y"')

    assert len(silences.in_force(db, NOW)) == silences.count_in_force(db, NOW) == in_force
    assert len(silences.not_over(db, NOW)) == len(silences.still_to_end(db, NOW)) == not_over
    for found in silences.not_over(db, NOW):
        assert [str(one) for one in found.matchers] == row["matchers"]
        assert (found.starts_at, found.ends_at, found.made_by) == (row["starts_at"], row["ends_at"], "ana")


def test_the_end_of_what_is_over_is_moved_no_more(db):
    over, running = silence(db, -2 * HOUR), silence(db)

    assert silences.move_end(db, over["id"], NOW + HOUR, NOW) == over
    assert silences.move_end(db, running["id"], NOW + 2 * HOUR, NOW) == running | {"ends_at": NOW + 2 * HOUR}
    assert silences.move_end(db, 4711, NOW, NOW) is None
    assert silences.find(db, 2**70) is None


def test_what_counts_is_found_by_its_index(db):
    """History costs nothing at the claim."""
    explain = "EXPLAIN QUERY PLAN"
    if db.dialect.name == "postgresql":  # the table is empty, so a scan would be cheapest
        explain = "EXPLAIN"
        db.execute(text("SET LOCAL enable_seqscan = off"))
        db.execute(text("SET LOCAL enable_bitmapscan = off"))
    question = "SELECT * FROM silence WHERE ends_at > '2026-11-20 03:12:00' AND ends_at > starts_at"

    plan = db.execute(text(f"{explain} {question}"))

    assert "ix_silence_ends_at" in str(plan.all())


ROWS = {  # what it is: how it differs from a page that waits for a silence
    "waits for a silence": {},
    "waits for a silence of another incident": {"incident_id": 2},
    "waits for hours": {"why": "outside active_time_intervals day"},
    "a reminder": {"why": "", "reason": "repeat_due"},
    "waits for its group_wait": {"why": ""},
    "is held by a worker": {"claimed_until": NOW + MINUTE},
    "is sent": {"state": "sent", "finished_at": NOW},
    "backs off": {"why": "503 Service Unavailable", "attempts": 2},
    "was tried, and waits for a silence": {"attempts": 2},
}


@pytest.fixture
def owed(db):
    """Notifications of every kind, due in an hour."""
    usual = {"why": SILENCED, "due_at": NOW + HOUR, "fallback_at": NOW + 2 * HOUR}
    for id_, (key, changes) in enumerate(ROWS.items(), 1):
        db.execute(NOTIFICATION.insert().values(NOTIFICATION_ROW | usual | {"id": id_, "key": key} | changes))
        if changes.get("attempts"):
            tried = {"at": NOW, "took": 0.1, "outcome": "temporary", "answer": "503 Service Unavailable"}
            db.execute(ATTEMPT.insert().values({"notification_id": id_, "n": 1} | tried))


def due(db):
    found = db.execute(NOTIFICATION.select().where(NOTIFICATION.c.due_at == NOW)).mappings().all()
    assert all(row["fallback_at"] == NOW + 15 * MINUTE for row in found)
    return {row["key"] for row in found}


@pytest.mark.usefixtures("owed")
def test_where_a_silence_begins_what_waits_and_reminders_are_asked_about(db):
    count = outbox.ask_about(db, [1], NOW, NOW + 15 * MINUTE)

    expected = {"waits for a silence", "waits for hours", "a reminder", "was tried, and waits for a silence"}
    assert due(db) == expected
    assert count == len(expected)


@pytest.mark.usefixtures("owed")
def test_where_a_silence_ends_what_waits_for_silences_is_asked_about(db):
    outbox.ask_whoever_says(db, "silenced by ", NOW, NOW + 15 * MINUTE)

    assert due(db) == {
        "waits for a silence",
        "waits for a silence of another incident",
        "was tried, and waits for a silence",
    }


def test_any_number_of_incidents_can_be_asked_about(db):
    assert outbox.ask_about(db, range(1, 100_000), NOW, NOW) == 0


def test_who_is_told_by_no_fallback_is_told_by_none_later(db):
    """Where the fallback has heard already, it does not hear again."""
    row = {"id": 1, "why": SILENCED, "due_at": NOW + HOUR, "fallback_at": None}
    db.execute(NOTIFICATION.insert().values(NOTIFICATION_ROW | row))

    outbox.ask_whoever_says(db, "silenced by ", NOW, NOW + 15 * MINUTE)

    assert db.execute(NOTIFICATION.select()).mappings().one()["fallback_at"] is None
