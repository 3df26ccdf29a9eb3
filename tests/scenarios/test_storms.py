"""Much happens at once: limits are kept, what is critical goes first, and the rest is told together."""

from receiver.pipeline.admit import Claim
from tests.fakes.http import Reply, as_json
from tests.world import DOWN, World

MANY = [f"Alert{n:03d}" for n in range(60)]
FEW = MANY[:10]


def seen(world: World, channel: str = "#ops") -> list[str]:
    """Return the titles that the channel saw, in order."""
    return [told.text.splitlines()[0] for told in world.slack.told if told.channel == channel]


async def test_a_limit_is_kept(world: World) -> None:
    """Slack takes three messages at once, then one each second; the rest waits for its turn."""
    await world.alertmanager.storm(FEW, severity="warning")
    assert len(world.slack.told) == 3

    for second in range(1, 8):
        await world.fast_forward(seconds=1)
        assert len(world.slack.told) == 3 + second

    assert len(set(seen(world))) == len(FEW)


async def test_a_limit_of_ones_own(world: World) -> None:
    """The limit of an entry takes the place of the published one."""
    text = world._file.read_text().replace(
        'channel: "#ops",', 'channel: "#ops", rate_limit: {count: 1, per: 1m},'
    )
    await world.reload(text)
    await world.alertmanager.storm(FEW[:3], severity="warning")
    await world.fast_forward(seconds=119)

    assert len(world.slack.told) == 2


async def test_a_limit_is_for_all_replicas(world: World) -> None:
    """What one process took from a bucket, another does not take again."""
    async with world.another() as other:
        await world.alertmanager.storm(FEW, severity="warning")
        await other.work()

        assert len(world.slack.told) == 3


async def test_others_do_not_wait(world: World) -> None:
    """An empty bucket keeps nobody waiting but its own destination."""
    await world.routes("""
route:
  receiver: ops
  routes: [{matchers: ['team="dev"'], receiver: dev}]
""")
    await world.alertmanager.storm(FEW, severity="warning")
    await world.alertmanager.fires("Other", severity="warning", team="dev")

    world.slack.expect("#dev", "Other")


async def test_critical_goes_first(world: World) -> None:
    """A critical page overtakes all that waits for the same bucket."""
    await world.alertmanager.storm(FEW, severity="warning")
    await world.alertmanager.fires("Fire", severity="critical")
    await world.fast_forward(seconds=1)

    assert "Fire" in seen(world)[3]


async def test_why_it_waits_is_said(world: World) -> None:
    """What waits for the limit longer than a moment says so, once."""
    ids = await world.alertmanager.storm(FEW + MANY[10:15], severity="warning")
    await world.fast_forward(seconds=7)

    [waiting] = await world.notifications(ids[-1])
    assert (waiting["state"], waiting["why"]) == ("owed", "waits for the rate limit of slack #ops")
    assert (await world.timeline(ids[-1])).count("waits for the rate limit") == 1
    assert "rate limit" not in await world.timeline(ids[4])


async def test_the_rest_of_a_storm_is_one_message(world: World) -> None:
    """Past twenty that wait for one destination, the rest is told in one message, and nothing is left out."""
    ids = await world.alertmanager.storm(MANY, severity="warning")
    await world.fast_forward(seconds=2)

    assert len(world.slack.told) == 3
    assert "58 incidents" in world.slack.told[-1].text
    assert await world.metric('tocsin_messages_saved_total{how="digest"}') >= 57
    pages = [(await world.notifications(id_))[0] for id_ in ids]
    assert {page["state"] for page in pages} == {"sent"}
    [member] = [page["tries"] for page in pages if page["why"] == "told in a digest"][:1]
    assert member[0]["answer"].startswith("in a digest of 58: ")
    assert "was told (first, first attempt, in a digest of 58)" in await world.timeline(ids[-1])


async def test_what_comes_after_a_digest(world: World) -> None:
    """An update of what a digest told is a message of its own; the digest stays as it is."""
    await world.alertmanager.storm(MANY, severity="warning")
    await world.fast_forward(minutes=1)
    world.slack.unseen.clear()
    await world.alertmanager.resolves(MANY[-1])
    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "Resolved", MANY[-1], edited=False)
    world.slack.expect_nothing()


async def test_the_end_of_a_storm_is_a_digest_too(world: World) -> None:
    """When everything is over at once, that is one message as well."""
    ids = await world.alertmanager.storm(MANY, severity="warning")
    await world.fast_forward(minutes=1)
    before = len(world.slack.told)
    await world.alertmanager.calm(MANY)
    await world.fast_forward(minutes=2)

    assert len(world.slack.told) - before <= 5
    for id_ in ids:
        assert {row["state"] for row in await world.notifications(id_)} <= {"sent", "withdrawn"}
        assert (await world.notifications(id_))[-1]["state"] in {"sent", "withdrawn"}


async def test_critical_pages_are_never_in_a_digest(world: World) -> None:
    """Each critical page is a message of its own, however many there are."""
    ids = await world.alertmanager.storm(MANY[:30], severity="critical")
    await world.alertmanager.storm(MANY[30:], severity="warning")
    await world.fast_forward(minutes=1)

    assert len([title for title in seen(world) if "CRITICAL" in title]) == 30
    assert {(await world.notifications(id_))[0]["why"] for id_ in ids} == {""}
    titles = seen(world)
    assert all("CRITICAL" in title for title in titles[:30])


async def test_a_digest_that_fails_loses_nothing(world: World) -> None:
    """All that a digest would have told is tried again."""
    await world.alertmanager.storm(MANY[:3], severity="warning")
    await world.alertmanager.storm(MANY[3:], severity="warning")
    world.slack.fails_with(DOWN)
    await world.fast_forward(seconds=2)
    world.slack.recovers()
    await world.fast_forward(minutes=2)

    failed = await world.ask("/api/v1/notifications", state="owed", limit=200)
    assert {row["reason"] for row in failed["items"]} == {"repeat_due"}
    assert "55 incidents" in world.slack.told[-1].text  # after two that went before it


async def test_a_digest_whose_markup_is_refused_is_plain(world: World) -> None:
    """A template that the service refuses costs the digest its looks, not its content."""
    await world.alertmanager.storm(MANY[:3], severity="warning")
    await world.alertmanager.storm(MANY[3:], severity="warning")
    world.slack.script.append(as_json({"ok": False, "error": "invalid_blocks"}))
    await world.fast_forward(seconds=2)

    assert MANY[5] in world.slack.told[-1].text
    assert "57 incidents" in world.slack.told[-1].text


async def test_a_digest_that_is_refused_goes_to_the_fallback(world: World) -> None:
    """Where a destination is gone, each of the pages is told elsewhere: in a digest."""
    await world.alertmanager.storm(MANY[:3], severity="warning")
    await world.alertmanager.storm(MANY[3:], severity="warning")
    world.slack.fails_with(as_json({"ok": False, "error": "is_archived"}), "#ops")
    await world.fast_forward(minutes=2)

    told = [told for told in world.slack.told if told.channel == "#fallback"]
    assert len(told) < 12
    assert any("incidents" in one.text.splitlines()[0] for one in told)


async def test_who_asks_to_wait_is_left_alone(world: World) -> None:
    """After a 429 nothing else goes to that destination either, until the time it named."""
    world.slack.script.append(Reply(status=429, headers={"Retry-After": "30"}))
    await world.alertmanager.fires("One", severity="warning")
    await world.alertmanager.storm(FEW, severity="warning")
    await world.fast_forward(seconds=29)
    assert world.slack.told == []

    await world.fast_forward(seconds=60)

    assert len(set(seen(world))) == len(FEW) + 1


async def test_what_becomes_critical_is_in_no_digest(world: World) -> None:
    """A warning was just going out and fails as it grows critical; the storm that follows takes neither in."""
    incident = await world.alertmanager.fires("DiskFull", severity="warning", settle=False)
    [delivery] = (await world.services.claim(Claim(world.clock.now(), 1))).deliveries
    await world.alertmanager.fires("DiskFull", severity="critical", instance="b", settle=False)
    world.slack.fails_with(DOWN)
    await world.services.deliver(delivery)
    world.slack.recovers()
    await world.alertmanager.storm(MANY, severity="warning")
    await world.fast_forward(seconds=10)

    assert [title for title in seen(world) if "DiskFull" in title and "CRITICAL" in title]
    assert all(row["why"] != "told in a digest" for row in await world.notifications(incident))


async def test_what_was_owed_before_it_became_critical_is_in_no_digest(world: World) -> None:
    """Whether a page is critical is asked as it goes out, by what routing.yaml says then."""
    text = world._file.read_text()
    await world.alertmanager.storm(FEW, severity="warning")
    world.clock.advance(microseconds=1)
    ids = await world.alertmanager.storm(MANY[10:50], severity="page")

    await world.reload(text + "\nseverity_order: [page, critical, warning, none]\n")
    await world.fast_forward(minutes=2)

    whys = {row["why"] for id_ in ids for row in await world.notifications(id_)}
    assert "told in a digest" not in whys
