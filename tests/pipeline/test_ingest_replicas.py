"""Do two replicas on one PostgreSQL agree, whatever they hear at once?"""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from receiver.pipeline.ingest import Received
from receiver.policy.payload import understand
from tests.fakes.clock import FakeClock
from tests.web.bodies import alert, as_posted, body
from tests.web.service import ROUTING, service

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
GROUPS = 20


@pytest.fixture
def migrated_postgresql(postgres_server, migrated_template):
    url = postgres_server.create_database(template=migrated_template)
    yield url
    postgres_server.drop_database(url)


def together(url, routing, *replicas):
    """Run what each replica does in a thread and a loop of its own, beginning at the same moment."""
    barrier = threading.Barrier(len(replicas))
    failures = []

    async def serve(work):
        async with service(url, routing, FakeClock()) as box:
            await asyncio.to_thread(barrier.wait)
            await work(box)

    def run(work):
        try:
            asyncio.run(serve(work))
        except Exception as error:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(error)

    threads = [threading.Thread(target=run, args=[work]) for work in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


@pytest.fixture
def routing(tmp_path):
    file = tmp_path / "routing.yaml"
    file.write_text(ROUTING)
    return file


async def rows(url, routing, table):
    async with service(url, routing, FakeClock()) as box:
        return await box.rows(table)


def group(number, *instances):
    name = f"Alert{number}"
    return body(
        *(alert(one, alertname=name) for one in instances), groupKey=name, groupLabels={"alertname": name}
    )


def test_one_group_heard_by_two_replicas_at_once_is_one_incident(migrated_postgresql, routing):
    async def peer(box):
        answers = await asyncio.gather(*(box.post(group(number, "db-1")) for number in range(GROUPS)))
        assert {answer.status_code for answer in answers} == {200}

    together(migrated_postgresql, routing, peer, peer)

    found = asyncio.run(rows(migrated_postgresql, routing, "incident"))
    owed = asyncio.run(rows(migrated_postgresql, routing, "notification"))
    assert sorted(row["title"] for row in found) == sorted(f"Alert{n}" for n in range(GROUPS))
    assert [row["revision"] for row in found] == [1] * GROUPS
    assert len(owed) == GROUPS


def test_groups_heard_in_opposite_order_lose_no_alert(migrated_postgresql, routing):
    def peer(instance, order):
        async def post(box):
            said = [understand(as_posted(group(n, instance)), source="default", now=NOW) for n in order]
            await asyncio.gather(*(box.services.ingest(Received(one, b"")) for one in said))

        return post

    numbers = range(GROUPS)
    together(migrated_postgresql, routing, peer("db-1", numbers), peer("db-2", reversed(numbers)))

    found = asyncio.run(rows(migrated_postgresql, routing, "incident"))
    assert len(found) == GROUPS
    assert {row["total"] for row in found} == {2}
    assert {row["last_seen_at"] for row in found} == {NOW + timedelta()}


def test_misfits_heard_by_two_replicas_are_one_self_alarm(migrated_postgresql, routing):
    async def peer(box):
        answers = await asyncio.gather(*(box.post(b"junk") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {400}

    together(migrated_postgresql, routing, peer, peer)

    found = asyncio.run(rows(migrated_postgresql, routing, "incident"))
    assert [row["title"] for row in found] == ["TocsinQuarantine"]
