"""Every open incident has a next step or a reason not to; where a fault of ours took it, it is given back."""

from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, update

from receiver.store import audit
from receiver.store.tables import Escalation, Notification
from tests.fakes.http import Reply
from tests.world import DOWN, World

NOTIFICATION = Notification.__table__
ESCALATION = Escalation.__table__
SILENT = """
route: {receiver: ops, routes: [{name: nobody, receiver: nobody, matchers: ['severity="info"']}]}
"""


async def strand(world: World, incident: int) -> None:
    """Do what a bug would: take away whatever is owed about an incident."""

    def lose(db: Connection, ids: Any) -> Any:
        db.execute(delete(NOTIFICATION).where(NOTIFICATION.c.incident_id.in_(ids)))
        return ids

    await world.services.writer.submit(lose, incident)


async def stranded(world: World) -> list[int]:
    return [id_ for id_, _ in await world.services.read(audit.stranded, world.clock.now())]


async def test_an_incident_that_nobody_hears_of_is_found(world: World) -> None:
    """Its routes are asked again, people are told, and a self-alarm names it."""
    incident = await world.alertmanager.fires("DiskFull", settle=False)
    await strand(world, incident)
    await world.settle()
    world.slack.expect_nothing()

    await world.look_around()

    world.slack.expect_each("#ops", f"1 open incidents: {incident}. They are told now", "DiskFull")
    assert "audited: it was open and nobody was to be told" in await world.timeline(incident)
    assert await world.metric("tocsin_audit_repairs_total") >= 1
    assert await stranded(world) == []


async def test_what_was_mended_is_not_mended_again(world: World) -> None:
    """The next look finds nothing, and the self-alarm ends by itself."""
    incident = await world.alertmanager.fires("DiskFull", settle=False)
    await strand(world, incident)
    await world.look_around()
    world.slack.unseen.clear()

    await world.look_around()
    await world.fast_forward(minutes=16)

    assert [one["state"] for one in await world.alarms()] == ["resolved"]
    assert (await world.timeline(incident)).count("audited:") == 1


@pytest.mark.parametrize("verb", ["acknowledge", "resolve", "snooze"])
async def test_what_people_did_is_a_reason(world: World, verb: str) -> None:
    """What is acknowledged, over or snoozed is left alone."""
    incident = await world.alertmanager.fires("DiskFull")
    await world.act(incident, verb, actor="ana")
    await strand(world, incident)

    await world.look_around()

    assert await world.alarms() == []


async def test_a_reminder_is_a_next_step(world: World) -> None:
    """Who was told and will be reminded is left alone, for as long as it takes."""
    await world.alertmanager.fires("DiskFull")
    await world.fast_forward(hours=3)

    await world.look_around()

    assert await world.alarms() == []


async def test_a_lost_reminder_is_found(world: World) -> None:
    """Who was told once, and will not be reminded, is told again after an hour."""
    incident = await world.alertmanager.fires("DiskFull")
    [first, *_] = await world.notifications(incident)

    def lose(db: Connection, ids: Any) -> Any:
        db.execute(delete(NOTIFICATION).where(NOTIFICATION.c.id > first["id"]))
        return ids

    await world.services.writer.submit(lose, 0)
    await world.look_around()
    assert await world.alarms() == []
    world.slack.unseen.clear()
    world.clock.advance(minutes=61)

    await world.look_around()

    world.slack.expect_each("#ops", "TocsinAudit", "DiskFull")
    assert len(await world.alarms()) == 1


async def test_a_step_of_an_escalation_is_a_next_step(world: World) -> None:
    """What a policy will still do is enough."""
    incident = await world.alertmanager.fires("DiskFull", settle=False)
    await strand(world, incident)

    def escalate(db: Connection, ids: Any) -> Any:
        step = {"incident_id": incident, "policy": "page", "route": "route", "frozen": {}, "channels": [], "pending": [], "turn": 0, "begun": 1,
                "reason": "first", "taken": 1, "reached": True, "next_step_at": world.clock.now(), "why": ""}  # fmt: skip
        db.execute(insert(ESCALATION).values(**step))
        return ids

    await world.services.writer.submit(escalate, 0)
    assert await stranded(world) == []

    def end(db: Connection, ids: Any) -> Any:
        db.execute(update(ESCALATION).values(next_step_at=None, why="over"))
        return ids

    await world.services.writer.submit(end, 0)
    assert await stranded(world) == [incident]


async def test_routes_that_lead_to_nobody_are_a_reason(world: World) -> None:
    """That is said in the timeline and counted, and raises no alarm."""
    await world.reload(world._file.read_text().split("route:")[0] + "  - name: nobody\n" + SILENT)
    incident = await world.alertmanager.fires("DiskFull", severity="info")

    await world.look_around()
    await world.look_around()

    assert await world.alarms() == []
    assert "first: nobody; the receivers of its routes (nobody)" in await world.timeline(incident)
    assert await world.metric("tocsin_unheard_incidents") == 1


async def test_routes_that_lead_to_somebody_again_are_no_reason(world: World) -> None:
    """What opened while nobody was named is told when routing.yaml names somebody."""
    await world.reload(world._file.read_text().split("route:")[0] + "  - name: nobody\n" + SILENT)
    await world.alertmanager.fires("DiskFull", severity="info")
    await world.routes(
        "route: {receiver: ops, routes: [{name: nobody, receiver: dev, matchers: ['severity=\"info\"']}]}"
    )

    await world.look_around()

    world.slack.expect("#dev", "DiskFull")


async def test_a_route_that_is_gone_is_no_reason(world: World) -> None:
    """The routes are asked anew, and say nobody once more: that is found only once."""
    nobody = world._file.read_text().split("route:")[0] + "  - name: nobody\n"
    await world.reload(nobody + SILENT)
    incident = await world.alertmanager.fires("DiskFull", severity="info")
    await world.reload(nobody + SILENT.replace("{name: nobody", "{name: other"))

    await world.look_around()
    await world.look_around()

    assert await world.alarms() == []
    assert (await world.timeline(incident)).count("first: nobody") == 2


async def test_what_could_not_be_told_is_tried_again_after_an_hour(world: World) -> None:
    """Where even the fallback was refused, that was told of; an hour later everybody is asked again."""
    world.slack.fails_with(Reply(status=404, body=b"no_team"))
    incident = await world.alertmanager.fires("DiskFull")
    await world.look_around()
    assert not [one for one in await world.alarms() if "TocsinAudit" in one["title"]]
    world.slack.recovers()

    await world.fast_forward(minutes=61)
    await world.look_around()

    world.slack.expect_each("#ops", "TocsinAudit", "DiskFull")
    assert "audited" in await world.timeline(incident)


async def test_one_replica_looks_for_all(world: World) -> None:
    """Who holds the lease looks; another does when it has run out."""
    incident = await world.alertmanager.fires("DiskFull", settle=False)
    async with world.another() as other:
        await world.look_around()
        await strand(world, incident)
        await other.watching.look_around()
        assert await stranded(world) == [incident]

        world.clock.advance(minutes=3)
        await other.watching.look_around()
        assert await stranded(world) == []


async def test_what_is_due_and_not_sent_is_an_alarm(world: World) -> None:
    """A destination that has failed for ten minutes is named, with how much waits for it."""
    await world.routes(
        "route: {receiver: ops, routes: [{receiver: page, matchers: ['alertname=~\"Tocsin.*\"']}]}"
    )
    world.slack.fails_with(DOWN, "#ops")
    await world.alertmanager.fires("DiskFull", severity="warning")
    await world.fast_forward(minutes=9)
    await world.look_around()
    assert await world.alarms() == []

    await world.fast_forward(minutes=2)
    await world.look_around()

    world.slack.expect("#page", "TocsinOverdue", "slack #ops: 1, the oldest since 11 min")
    assert await world.metric("tocsin_oldest_owed_seconds") > 600


async def test_what_waits_for_its_limit_is_no_alarm(world: World) -> None:
    """A bucket that is empty is a reason to wait."""
    text = world._file.read_text()
    await world.reload(text.replace('channel: "#ops",', 'channel: "#ops", rate_limit: {count: 1, per: 1h},'))
    await world.alertmanager.storm(["DiskFull", "Other"], severity="warning")
    await world.fast_forward(minutes=20)

    await world.look_around()

    assert await world.alarms() == []


async def test_what_waits_for_hours_is_no_alarm(world: World) -> None:
    """A route that is closed owes later, and nothing is overdue."""
    await world.routes("""
time_intervals: [{name: noon, time_intervals: [{times: [{start_time: "12:00", end_time: "13:00"}]}]}]
route: {receiver: ops, routes: [{receiver: dev, matchers: ['severity="info"'], active_time_intervals: [noon]}]}
""")
    await world.alertmanager.fires("DiskFull", severity="info")
    await world.fast_forward(hours=2)

    await world.look_around()

    assert await world.alarms() == []


async def test_what_failed_and_is_inhibited_since_is_no_alarm(world: World) -> None:
    """A page that was tried in vain and then had to keep quiet is not overdue."""
    await world.routes("""
inhibit_rules: [{source_matchers: [alertname=Cause], target_matchers: [severity=info]}]
route: {receiver: ops}
""")
    world.slack.fails(DOWN)
    await world.alertmanager.fires("DiskFull", severity="info", settle=False)
    await world.worker.deliver_due()
    await world.worker.settle()
    await world.alertmanager.fires("Cause")
    await world.fast_forward(minutes=20)

    await world.look_around()

    assert await world.alarms() == []
