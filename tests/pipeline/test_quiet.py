"""Is this a time to speak, or to take the next step?"""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from receiver.config import parse
from receiver.pipeline.quiet import Quiet
from receiver.pipeline.silence import move_end
from receiver.policy.incident import Reason
from receiver.store import silences, throttles
from receiver.store.database import connect
from receiver.store.incidents import INCIDENT
from receiver.store.outbox import NOTIFICATION
from tests.pipeline.test_admit import statements
from tests.postgres import Server
from tests.store.test_database import INCIDENT_ROW, NOTIFICATION_ROW

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
CONFIG = parse(
    """
    time_intervals:
      - {name: small_hours, time_intervals: [{times: [{start_time: "02:00", end_time: "04:00"}]}]}
    receivers: [{name: ops, console_configs: [{}]}]
    route: {receiver: ops}
    mute_windows:
      - {name: backup, matchers: [job="db"], time_intervals: [small_hours]}
    """,
    {},
)
ABOUT = {
    "firing": 1, "truncated": 0, "started_at": NOW, "reopened_at": None, "resolved_at": NOW,
    "id": 1, "state": "triggered", "snoozed_until": None, "severity": "critical", "routes": ["route"],
}  # fmt: skip
PAGE = {"reason": "first", "route": "route", "destination": "console stdout"}
SILENCED = "silenced by ana until 2026-11-20T04:12:00Z: because"
MUTED = "mute window backup until 2026-11-20T04:00:00Z"


def alerts(*label_sets, state="firing"):
    return [{"incident_id": 1, "state": state, "labels": labels} for labels in label_sets]


@pytest.fixture
def db(migrated_url):
    """A database with one silence, about what is called `a`."""
    engine = connect(migrated_url, writing=True, size=1)
    with engine.begin() as db:
        made = {"starts_at": NOW, "ends_at": NOW + HOUR, "made_at": NOW, "made_by": "ana", "text": "because"}
        silences.add(db, made | {"matchers": ['alertname="a"']})
        yield db
        db.rollback()
    engine.dispose()


@pytest.mark.parametrize(
    ("firing", "expected"),
    [
        pytest.param(alerts({"alertname": "a"}), SILENCED, id="a silence"),
        pytest.param(alerts({"alertname": "b", "job": "db"}), MUTED, id="a mute window"),
        pytest.param(alerts({"alertname": "a"}, {"job": "db"}), MUTED, id="each alert by something else"),
        pytest.param(alerts({"alertname": "a", "job": "db"}), SILENCED, id="both, and the silence lasts longer"),
        pytest.param(alerts({"alertname": "a"}, {"alertname": "b"}), None, id="one alert is not"),
        pytest.param([*alerts({"alertname": "a"}), *alerts({"alertname": "b"}, state="resolved")], SILENCED, id="what has resolved says nothing"),
        pytest.param([], None, id="nothing fires that we know of"),
    ],
)  # fmt: skip
def test_pages_and_steps_wait_while_all_that_fires_is_kept_quiet(db, firing, expected):
    quiet = Quiet(db, CONFIG, NOW)

    asked, held = quiet.asks(PAGE, ABOUT, firing, None), quiet.holds(CONFIG.tree, ABOUT, firing)

    assert (asked and asked.why) == (held and held.why) == expected
    assert expected is None or asked.until == NOW.replace(minute=0, hour=4) + timedelta(
        minutes=12 if expected is SILENCED else 0
    )


@pytest.mark.parametrize("reason", list(Reason))
def test_what_people_say_is_no_page_nor_is_a_hand_over(db, reason):
    found = Quiet(db, CONFIG, NOW).asks(PAGE | {"reason": reason}, ABOUT, alerts({"alertname": "a"}), None)

    by_people = {Reason.ACKNOWLEDGED, Reason.UNACKNOWLEDGED, Reason.SNOOZED, Reason.NOTE}
    assert (found is None) is (reason in by_people | {Reason.HANDED_OVER})


def test_what_a_person_resolved_is_over_although_alerts_still_fire(db):
    found = Quiet(db, CONFIG, NOW).asks(PAGE, ABOUT | {"state": "resolved"}, alerts({"alertname": "a"}), None)

    assert found is None


def test_silences_are_read_once_however_often_is_asked(db):
    asked = statements(db)
    quiet = Quiet(db, CONFIG, NOW)

    for name in ("a", "b", "a"):
        quiet.asks(PAGE, ABOUT, alerts({"alertname": name}), None)

    assert len(asked) == 1


def test_what_another_replica_is_just_putting_off_is_not_forgotten(
    postgres_server: Server, migrated_template: str
) -> None:
    """A silence that ends while a claim still believes in it ends for what that claim puts off, too."""
    url = postgres_server.create_database(template=migrated_template)
    one, other = (connect(url, writing=True, size=2) for _ in range(2))
    made = {"starts_at": NOW, "ends_at": NOW + HOUR, "made_at": NOW, "made_by": "ana", "text": ""}
    with one.begin() as db:
        id_ = silences.add(db, made | {"matchers": ["a=b"]})["id"]
        db.execute(INCIDENT.insert().values(INCIDENT_ROW | {"id": 1}))
        db.execute(NOTIFICATION.insert().values(NOTIFICATION_ROW | {"id": 1}))

    def end() -> None:
        with other.begin() as db:
            move_end(db, CONFIG, [(id_, None, NOW)])

    ending = threading.Thread(target=end)
    with one.begin() as db:
        throttles.take_turns(db)  # as a claim does
        ending.start()
        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while ending.is_alive() and not db.execute(waits).scalar_one():
            pass
        db.execute(NOTIFICATION.update().values(why=SILENCED, due_at=NOW + HOUR))
    ending.join()

    with one.begin() as db:
        assert db.execute(NOTIFICATION.select()).mappings().one()["due_at"] == NOW
    for engine in (one, other):
        engine.dispose()
    postgres_server.drop_database(url)
