"""What does an attempt say about its service?"""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from receiver.config import parse
from receiver.pipeline.deliver import Delivery, Result
from receiver.pipeline.record import weigh
from receiver.policy.incident import MessageEvent
from receiver.policy.outbox import Outcome
from receiver.policy.throttle import OPENS_AFTER, Throttle, breaker
from receiver.store import throttles
from receiver.store.database import connect
from tests.fakes.clock import START

SERVICE = "email mail.example.org:25"
CONFIG = parse(
    """
receivers:
  - name: ops
    email_configs: [{to: ana@example.org, from: tocsin@example.org, smarthost: "mail.example.org:25"}]
route: {receiver: ops}
""",
    {},
)
ANA = "email ana@example.org"


@pytest.fixture
def db(migrated_url: str) -> Iterator[Connection]:
    engine = connect(migrated_url, writing=True, size=1)
    with engine.begin() as db:
        yield db
        db.rollback()
    engine.dispose()


def failed(*, is_ours: bool, probes: str | None = None) -> Result:
    row = {"id": 1, "destination": ANA}
    delivery = Delivery(row, {}, [], None, CONFIG.destinations[ANA], MessageEvent.TRIGGERED, probes=probes)
    return Result(delivery, START, 1.0, Outcome.TEMPORARY, "it failed", is_ours=is_ours)


@pytest.mark.parametrize(("is_ours", "is_open"), [(False, True), (True, False)])
def test_a_service_that_was_not_asked_has_not_failed(db, is_ours, is_open):
    """However often we found no room to ask it, its breaker stays closed."""
    weigh(db, CONFIG, [failed(is_ours=is_ours)] * OPENS_AFTER)

    known = throttles.of(db, {breaker(SERVICE)})
    assert any(one.is_open for one in known.values()) is is_open


def test_a_probe_that_did_not_ask_is_followed_by_another_at_once(db):
    opened = Throttle(failures=OPENS_AFTER, probe_at=START + timedelta(minutes=2))
    throttles.save(db, {breaker(SERVICE): opened})

    weigh(db, CONFIG, [failed(is_ours=True, probes=SERVICE)])

    after = throttles.of(db, {breaker(SERVICE)})[breaker(SERVICE)]
    assert after.failures == OPENS_AFTER
    assert after.probe_at == START + timedelta(seconds=1)
