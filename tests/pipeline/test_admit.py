"""Which of what is due may go out now, and at what price?"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, select, text

from receiver.config import parse
from receiver.pipeline.admit import DIGEST_FROM, MOST_IN_DIGEST, Claim
from receiver.pipeline.deliver import claim
from receiver.policy.throttle import Throttle, breaker
from receiver.store import outbox, throttles
from receiver.store.database import connect
from receiver.store.incidents import INCIDENT
from receiver.store.outbox import CONVERSATION, NOTIFICATION
from receiver.worker import SLOTS
from tests.fakes.clock import START
from tests.store.test_database import INCIDENT_ROW, NOTIFICATION_ROW

SECOND = timedelta(seconds=1)
CONFIG = parse(
    """
receivers:
  - name: ops
    slack_configs: [{channel: "#ops", app_token: xoxb-1}, {channel: "#dev", app_token: xoxb-1}]
    webhook_configs: [{url: "https://example.org/hook"}]
route: {receiver: ops}
""",
    {},
)
OPS, DEV = "slack #ops", "slack #dev"


@pytest.fixture
def db(migrated_url: str) -> Iterator[Connection]:
    engine = connect(migrated_url, writing=True, size=1)
    with engine.begin() as db:
        yield db
        db.rollback()
    engine.dispose()


def owe(db: Connection, count: int, **changes: Any) -> None:
    """Let so many incidents be owed to somebody, one after the other."""
    first = db.exec_driver_sql("SELECT COALESCE(MAX(id), 0) + 1 FROM notification").scalar_one()
    for n in range(first, first + count):
        db.execute(INCIDENT.insert().values(INCIDENT_ROW | {"id": n, "key": f"k{n}", "severity": "warning"}))
        row = {"id": n, "key": f"n{n}", "incident_id": n, "due_at": START, "destination": OPS, **changes}
        db.execute(NOTIFICATION.insert().values(NOTIFICATION_ROW | row))


def claimed(db: Connection, now: Any = START, limit: int = 64, **under_way: int) -> Any:
    [found] = claim(db, CONFIG, [Claim(now, limit, SLOTS, under_way)])
    return found


def ids(found: Any) -> list[int]:
    return [one.notification["id"] for one in found.deliveries]


def statements(db: Connection) -> list[tuple[str, Any]]:
    """Return what is asked of the database from now on, as a list that grows."""
    heard: list[tuple[str, Any]] = []
    db.execute(text("SELECT 1"))  # what waits to be sent is of before
    driver: Any = db.connection.driver_connection  # some of it goes past SQLAlchemy
    if db.dialect.name == "sqlite":
        driver.set_trace_callback(lambda said: heard.append((said, ())))
        return heard

    class Heard(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            heard.append((query, params))
            return super().execute(query, params, **options)

        def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
            heard.append((query, None))
            super().executemany(query, params_seq, **options)

    driver.cursor_factory = Heard
    return heard


@pytest.mark.parametrize("waiting", [1, 19, 200])
def test_the_number_of_statements_does_not_depend_on_how_much_waits(db, waiting):
    owe(db, waiting)
    owe(db, waiting, destination=DEV)
    owe(db, waiting, urgent=True, destination=DEV)
    heard = statements(db)

    claimed(db)

    assert len(heard) <= 25


def test_what_waits_for_a_bucket_is_not_written(db):
    owe(db, 10)
    claimed(db)
    heard = statements(db)

    found = claimed(db)

    assert found.deliveries == []
    assert OPS in found.closed
    assert found.next_at == START + SECOND
    assert not [said for said, _ in heard if not said.startswith("SELECT")]


def test_what_is_urgent_is_taken_first_then_what_is_due_the_longest(db):
    owe(db, 3, destination="console stdout", due_at=START - SECOND)
    owe(db, 2, destination="console stdout", due_at=START - 2 * SECOND)
    owe(db, 2, destination="console stdout", urgent=True)

    assert sorted(ids(claimed(db, limit=3))) == [4, 6, 7]


def test_a_storm_is_one_delivery_with_its_members(db):
    owe(db, 3 + DIGEST_FROM)

    found = claimed(db)

    assert [len(one.members) for one in found.deliveries] == [0, 0, DIGEST_FROM + 1]
    assert found.deliveries[-1].event == "digest"


def test_less_than_a_storm_is_not(db):
    owe(db, 2 + DIGEST_FROM)

    assert [one.members for one in claimed(db).deliveries] == [(), (), ()]


def test_a_digest_has_its_limit_and_the_next_comes_later(db):
    owe(db, MOST_IN_DIGEST + 50)

    first = claimed(db)
    between = claimed(db, START + 29 * SECOND)
    second = claimed(db, START + 31 * SECOND)

    assert len(first.deliveries[-1].members) == MOST_IN_DIGEST + 1
    assert between.deliveries == []
    assert len(second.deliveries) == 3
    assert sum(max(1, len(one.members)) for one in second.deliveries) == 47


CHANNELS = [f"#c{n}" for n in range(12)]
MANY = parse(
    f"""
receivers:
  - name: ops
    slack_configs: [{", ".join(f'{{channel: "{name}", app_token: xoxb-1}}' for name in CHANNELS)}]
route: {{receiver: ops}}
""",
    {},
)


def in_a_minute(db: Connection) -> list[Any]:
    """Return what is handed out in the busiest minute, asked ten times a second."""
    found: list[Any] = []
    for tenths in range(600):
        [claimed] = claim(db, MANY, [Claim(START + tenths * SECOND / 10, 64, SLOTS, {})])
        found += claimed.deliveries
    return found


def test_what_was_sent_is_edited_no_more_often_than_slack_takes(db):
    """chat.update is Tier 3: fifty a minute for all channels together, whatever each of them takes."""
    for name in CHANNELS:
        owe(db, DIGEST_FROM - 1, destination=f"slack {name}", reason="new_alerts")
    ids = {"channel": "C1", "ts": "1503435956.000247"}
    for id_, name in db.execute(select(NOTIFICATION.c.incident_id, NOTIFICATION.c.destination)).all():
        told = {"incident_id": id_, "destination": name, "ids": ids, "sent_at": START, "sent_revision": 0}
        db.execute(CONVERSATION.insert().values(told))

    found = in_a_minute(db)

    assert all(one.is_edit for one in found)
    assert 40 <= len(found) <= 50


def test_new_messages_are_posted_as_often_as_slack_takes(db):
    """They do not wait for what edits may."""
    for name in CHANNELS:
        owe(db, DIGEST_FROM - 1, destination=f"slack {name}")

    found = in_a_minute(db)

    assert not any(one.is_edit for one in found)
    assert len(found) == 12 * (DIGEST_FROM - 1)
    assert max(Counter(one.notification["destination"] for one in found).values()) <= 60


def test_what_is_not_worth_saying_gives_its_place_back(db):
    owe(db, 3)
    db.execute(INCIDENT.update().values(state="resolved"))

    found = claimed(db)

    assert (found.deliveries, OPS in found.closed) == ([], False)
    assert throttles.holding(db, START) == {}


def test_a_probe_that_is_not_worth_saying_is_none(db):
    throttles.save(db, {breaker("slack"): Throttle(failures=7, probe_at=START)})
    owe(db, 1)
    db.execute(INCIDENT.update().values(state="resolved"))

    assert claimed(db).deliveries == []
    assert throttles.holding(db, START)[breaker("slack")].probe_at == START
    owe(db, 2)
    [probe] = claimed(db).deliveries
    assert probe.probes == "slack"


def test_a_service_has_one_probe_and_it_is_what_was_tried_least(db):
    throttles.save(db, {breaker("slack"): Throttle(failures=7, probe_at=START)})
    owe(db, 2, attempts=3)
    owe(db, 2, destination=DEV)

    first, second = claimed(db), claimed(db)

    assert (ids(first), ids(second)) == ([3], [])
    assert first.deliveries[0].is_awaited


@pytest.mark.parametrize(
    ("urgent", "index"), [(True, "ix_notification_urgent"), (False, "ix_notification_due_at")]
)
def test_a_claim_looks_at_what_is_due_only(db, urgent, index):
    """Reminders that are due in hours are not looked at, however many there are."""
    heard = statements(db)
    outbox.due(db, START, urgent=urgent, limit=64, closed=[OPS])
    [(said, parameters)] = heard
    if db.dialect.name == "postgresql":
        db.exec_driver_sql(
            "SET LOCAL enable_seqscan = off"
        )  # the table is empty, so a scan would be cheapest
        db.exec_driver_sql("SET LOCAL enable_bitmapscan = off")

    prefix = "EXPLAIN QUERY PLAN " if db.dialect.name == "sqlite" else "EXPLAIN "
    plan = "\n".join(str(row) for row in db.exec_driver_sql(prefix + said, parameters))

    assert index in plan, plan
    assert "due_at<?" in plan or "due_at <=" in plan
