"""Recordings that belong together, posted in the order in which Alertmanager posted them."""

from datetime import datetime

import pytest

from tests.web.bodies import shipped


async def post_all(tocsin, *names):
    """Post recordings a minute apart; return what each was answered."""
    answers = []
    for name in names:
        answer = await tocsin.post(shipped(name))
        assert answer.status_code == 200
        answers.append(answer.json()["status"])
        tocsin.clock.advance(minutes=1)
    return answers


async def firing(tocsin):
    """Return how many alerts of each state there are, by the beginning of the fingerprint."""
    return {row["fingerprint"][:6]: row["state"] for row in await tocsin.rows("alert")}


async def story(tocsin, incident_id=1):
    lines = await tocsin.rows("timeline", incident_id=incident_id)
    return [line["kind"] for line in lines if line["kind"] != "owed"]


async def states(tocsin):
    return [(row["title"], row["severity"], row["state"]) for row in await tocsin.rows("incident")]


async def test_one_group_grows_shrinks_ends_and_fires_again(tocsin):
    first = ["am025_seq_1_firing_one.json", "am025_seq_2_firing_two_more.json"]
    await post_all(tocsin, *first)
    assert await firing(tocsin) == {"47dc22": "firing", "0c1c22": "firing", "96dbfa": "firing"}

    await post_all(tocsin, "am025_seq_3_one_resolved.json")
    assert await firing(tocsin) == {"47dc22": "firing", "0c1c22": "resolved", "96dbfa": "firing"}

    await post_all(tocsin, "am025_seq_5_all_resolved.json")
    assert await states(tocsin) == [("HighLatency", "critical", "resolved")]

    await post_all(tocsin, "am025_seq_6_refire_same_fingerprint.json")
    assert await states(tocsin) == [("HighLatency", "critical", "triggered")]
    (row,) = await tocsin.rows("incident")
    assert (row["firing"], row["total"], row["reopenings"]) == (1, 3, 1)
    assert await story(tocsin) == [
        "opened", "alerts_fired", "alerts_resolved", "alerts_resolved", "resolved", "reopened",
    ]  # fmt: skip


async def test_a_group_that_fires_again_long_after_is_a_new_incident(tocsin):
    await post_all(tocsin, "am025_seq_1_firing_one.json", "am025_seq_5_all_resolved.json")
    tocsin.clock.advance(minutes=10)

    await post_all(tocsin, "am025_seq_6_refire_same_fingerprint.json")

    assert [state for *_, state in await states(tocsin)] == ["resolved", "triggered"]


async def test_three_groups_fire_and_resolve(tocsin):
    names = [f"recordings/main-00{n}-{'firing' if n < 4 else 'resolved'}.json" for n in range(1, 7)]

    await post_all(tocsin, *names[:3])
    assert [state for *_, state in await states(tocsin)] == ["triggered"] * 3

    await post_all(tocsin, *names[3:])
    assert await states(tocsin) == [
        ("HighErrorRatio", "critical", "resolved"),
        ("HighErrorRatio", "critical", "resolved"),
        ("SingleAlert", "warning", "resolved"),
    ]
    assert {row["state"] for row in await tocsin.rows("alert")} == {"resolved"}


async def test_a_resolved_alert_is_named_once_and_then_dropped(tocsin):
    mixed = [
        "recordings/am-mixed-1-all-firing.json",
        "recordings/am-mixed-2-one-resolved-status-still-firing.json",
        "recordings/am-mixed-3-resolved-dropped-new-added.json",
        "recordings/am-mixed-4-repeat.json",
    ]

    answers = await post_all(tocsin, *mixed)

    assert answers == ["accepted", "accepted", "accepted", "repeat"]
    assert await story(tocsin) == ["opened", "alerts_resolved", "alerts_fired"]
    (row,) = await tocsin.rows("incident")
    assert (row["state"], row["firing"], row["total"]) == ("triggered", 3, 4)
    assert [one["vanished_at"] for one in await tocsin.rows("alert")] == [None] * 4


@pytest.mark.parametrize("version", ["0.28.1", "0.33.1"])
async def test_other_versions_say_the_same(tocsin, version):
    await post_all(tocsin, f"recordings/am-{version}-mixed-one-resolved.json")

    (row,) = await tocsin.rows("incident")
    assert (row["state"], row["firing"], row["total"]) == ("triggered", 2, 2)


async def test_a_group_that_comes_in_parts_is_one_incident(tocsin):
    await post_all(
        tocsin,
        "recordings/am-0.33.1-first-notification-partial-group.json",
        "recordings/am-0.33.1-mixed-one-resolved.json",
    )

    (row,) = await tocsin.rows("incident")
    assert (row["state"], row["firing"], row["total"]) == ("triggered", 2, 3)
    assert await story(tocsin) == ["opened", "alerts_fired", "alerts_resolved"]


async def test_a_partial_view_that_says_resolved_resolves_nothing_but_its_alerts(tocsin):
    await post_all(tocsin, "recordings/trunc-001-firing.json", "recordings/trunc-002-resolved.json")
    posted_at = tocsin.clock.now()

    assert {row["state"] for row in await tocsin.rows("alert")} == {"resolved"}
    (row,) = await tocsin.rows("incident")
    assert (row["state"], row["truncated"]) == ("triggered", 4)
    assert await story(tocsin) == ["opened", "truncated", "alerts_resolved"]

    tocsin.clock.advance(hours=4, minutes=15)
    await tocsin.work()
    (row,) = await tocsin.rows("incident")
    assert row["state"] == "resolved"
    assert row["resolved_at"] > posted_at


async def test_a_retry_after_our_503_is_the_first_that_counts(tocsin):
    tocsin.services.writer.most_waiting = 0
    refused = await tocsin.post(shipped("recordings/am-retry-503-attempt1.json"))
    tocsin.services.writer.most_waiting = 100

    answers = await post_all(tocsin, "recordings/am-retry-503-attempt2.json")

    assert refused.status_code == 503
    assert answers == ["accepted"]


async def test_a_retry_of_what_was_taken_changes_nothing(tocsin):
    await post_all(tocsin, "recordings/am-retry-503-attempt1.json")
    before = await tocsin.everything("alert", "timeline", "notification")

    answers = await post_all(tocsin, "recordings/am-retry-503-attempt2.json")

    assert answers == ["repeat"]
    assert await tocsin.everything("alert", "timeline", "notification") == before


@pytest.mark.parametrize("name", ["flat", "auth"])
async def test_a_group_that_ends_in_one_body_is_resolved(tocsin, name):
    await post_all(tocsin, f"recordings/{name}-001-firing.json", f"recordings/{name}-002-resolved.json")

    assert [state for *_, state in await states(tocsin)] == ["resolved"]
    ended = {row["ends_at"] for row in await tocsin.rows("alert")}
    assert all(isinstance(one, datetime) for one in ended)


async def test_groups_by_all_labels_are_incidents_of_their_own(tocsin):
    await post_all(tocsin, "am025_group_by_all_1.json", "am025_group_by_all_2.json")

    assert len(await tocsin.rows("incident")) == 2


async def test_a_group_that_arrives_in_two_flushes_holds_each_alert_once(tocsin):
    await post_all(tocsin, "am025_huge_first_flush.json", "am025_huge_300_alerts.json")

    (row,) = await tocsin.rows("incident")
    assert (row["firing"], row["total"]) == (300, 300)
