"""What was given up can be tried again, and what may have arrived is not told for ever."""

from tests.fakes.http import Reply, as_json
from tests.world import DOWN, World

REFUSED = as_json({"ok": False, "error": "is_archived"})
UNANSWERED = Reply(is_closed=True)


async def replayed(world: World, id_: int, status: int = 200) -> dict:
    response = await world.client.post(f"/api/v1/notifications/{id_}/replay", json={"actor": "ana"})
    assert response.status_code == status, response.text
    await world.settle()
    return dict(response.json())


async def test_a_dead_letter_is_tried_again(world: World) -> None:
    """Somebody mends the destination and has the page tried again; attempts are counted on."""
    world.slack.fails_with(REFUSED, "#ops")
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.recovers("#ops")
    [failed, *_] = await world.notifications(incident, "slack #ops")

    again = await replayed(world, failed["id"])

    assert (again["state"], again["why"]) == ("owed", "tried again for ana")
    world.slack.expect("#ops", "DiskFull")
    [sent, *_] = await world.notifications(incident, "slack #ops")
    assert (sent["state"], sent["attempts"], [one["n"] for one in sent["tries"]]) == ("sent", 2, [1, 2])
    assert "owed: slack #ops: tried again for ana, after 1 attempts" in await world.timeline(incident)


async def test_it_is_given_a_full_day_again(world: World) -> None:
    """The time for trying begins with the wish, not with the first attempt of all."""
    await world.routes("route: {receiver: ops}\ngive_up_after: 1h\nfallback_after: 3d\n")
    world.slack.fails_with(Reply(status=503), "#ops")
    incident = await world.alertmanager.fires("DiskFull")
    await world.fast_forward(hours=2)
    [failed] = await world.notifications(incident, "slack #ops")
    assert failed["state"] == "failed"

    await replayed(world, failed["id"])
    await world.fast_forward(minutes=50)
    assert (await world.notifications(incident, "slack #ops"))[0]["state"] == "owed"
    await world.fast_forward(minutes=30)

    assert (await world.notifications(incident, "slack #ops"))[0]["state"] == "failed"


async def test_a_wish_that_is_fulfilled_already_changes_nothing(world: World) -> None:
    """Asked twice it is owed once; what was sent cannot be tried again, and what is not there neither."""
    world.slack.fails_with(REFUSED, "#ops")
    incident = await world.alertmanager.fires("DiskFull")
    [failed, *_] = await world.notifications(incident, "slack #ops")
    world.slack.fails_with(Reply(status=503), "#ops")
    await replayed(world, failed["id"])
    await replayed(world, failed["id"])
    assert (await world.timeline(incident)).count("tried again for ana") == 1
    world.slack.recovers("#ops")
    await world.fast_forward(minutes=10)

    await replayed(world, failed["id"], status=409)
    await replayed(world, 987654321, status=404)


async def test_a_dead_letter_that_is_no_news_any_more(world: World) -> None:
    """What is over by now is withdrawn, with the reason."""
    world.slack.fails_with(REFUSED, "#ops")
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.recovers("#ops")
    await world.alertmanager.resolves("DiskFull")
    [failed, *_] = await world.notifications(incident, "slack #ops")

    await replayed(world, failed["id"])

    [page, *_] = await world.notifications(incident, "slack #ops")
    assert (page["state"], page["why"]) == ("withdrawn", "resolved before it went out")


async def test_what_may_have_arrived_is_tried_once_more(world: World) -> None:
    """No answer to a message that Slack would show twice: the timeline says so, and it is tried again."""
    world.slack.script.append(UNANSWERED)
    incident = await world.alertmanager.fires("DiskFull")
    await world.fast_forward(seconds=5)

    world.slack.expect("#ops", "DiskFull")
    [page, *_] = await world.notifications(incident)
    assert [one["outcome"] for one in page["tries"]] == ["ambiguous", "sent"]
    assert "it may have arrived; once more at" in await world.timeline(incident)


async def test_what_may_have_arrived_twice_is_not_tried_a_third_time(world: World) -> None:
    """The fallback is told then, and the alarm says that a destination could not be told."""
    world.slack.script.extend([UNANSWERED, UNANSWERED])
    incident = await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=10)

    [page, *_] = await world.notifications(incident, "slack #ops")
    assert (page["state"], page["attempts"]) == ("failed", 2)
    assert page["why"].startswith("it may have arrived: ")
    world.slack.expect("#fallback", "DiskFull")
    assert len(await world.alarms()) == 1


async def test_what_may_have_arrived_is_tried_on_where_nobody_else_can_be_told(world: World) -> None:
    """With a single destination, twice in doubt is better than never."""
    await world.routes("fallback: ops\nroute: {receiver: ops}\n")
    world.slack.script.extend([UNANSWERED] * 4)
    incident = await world.alertmanager.fires("DiskFull")

    await world.fast_forward(minutes=10)

    world.slack.expect("#ops", "DiskFull")
    [page, *_] = await world.notifications(incident, "slack #ops")
    assert [one["outcome"] for one in page["tries"]] == ["ambiguous"] * 4 + ["sent"]


async def test_a_replay_may_be_ambiguous_once_more(world: World) -> None:
    """What was tried twice before a replay counts no more."""
    world.slack.script.extend([UNANSWERED, UNANSWERED])
    incident = await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=1)
    [failed, *_] = await world.notifications(incident, "slack #ops")
    world.slack.script.append(UNANSWERED)

    await replayed(world, failed["id"])
    await world.fast_forward(minutes=1)

    [page, *_] = await world.notifications(incident, "slack #ops")
    assert [one["outcome"] for one in page["tries"]] == ["ambiguous", "ambiguous", "ambiguous", "sent"]


async def test_whoever_may_have_seen_it_begin_sees_it_end(world: World) -> None:
    """The answer to the page was lost and it is over before the next attempt; a stray "Resolved" harms nobody."""
    world.slack.script.append(UNANSWERED)
    await world.alertmanager.fires("DiskFull")
    await world.alertmanager.resolves("DiskFull")

    await world.fast_forward(minutes=5)

    world.slack.expect("#ops", "Resolved")


async def test_a_page_that_was_given_back_is_late_anew(world: World) -> None:
    """Acknowledged while its service was out, then given back: the fallback hears of it all the same."""
    await world.routes("route: {receiver: ops}\nfallback_after: 5m\n")
    world.slack.fails_with(DOWN, "#ops")
    incident = await world.alertmanager.fires("DiskFull")
    await world.acknowledge(incident)
    await world.fast_forward(minutes=6)
    world.slack.expect_nothing("#fallback")

    await world.act(incident, "unacknowledge", actor="ana")
    await world.fast_forward(minutes=6)

    world.slack.expect("#fallback", "DiskFull")
