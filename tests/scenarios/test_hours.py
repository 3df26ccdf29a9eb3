"""What happens at night is told in the morning, unless it cannot wait. It is 03:12 when a scenario begins."""

from tests.world import DOWN, World

NIGHT = [f"Night{n}" for n in range(7)]
DAY = """
time_intervals: [{name: day, time_intervals: [{times: [{start_time: "09:00", end_time: "17:00"}]}]}]
route:
  receiver: fallback
  routes: [{receiver: ops, active_time_intervals: [day]}]
"""
BREAKS = DAY.replace("[day]}]", "[day], break_through: {BREAK}}]")
DROP = DAY.replace("[day]}]", "[day], outside: drop}]")


async def test_told_at_opening(world: World) -> None:
    """What still fires when the route opens is told at that minute; until then the row says when."""
    await world.routes(DAY)
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.fast_forward(hours=5, minutes=47)
    world.slack.expect_nothing()
    [page] = await world.notifications(incident)
    assert page["due_at"].startswith("2026-11-20T09:00:00")
    assert "day" in page["why"]
    assert "waits: slack #ops" in await world.timeline(incident)

    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "DiskFull")


async def test_healed_meanwhile(world: World) -> None:
    """What came and went before the route opened is one message at that minute, and not before."""
    await world.routes(DAY)
    ids = [await world.alertmanager.fires(name, severity="warning") for name in NIGHT]
    await world.fast_forward(hours=1)
    for name in NIGHT:
        await world.alertmanager.resolves(name)
    await world.fast_forward(hours=4, minutes=47)
    world.slack.expect_nothing()
    [page] = await world.notifications(ids[0])
    assert (page["state"], page["reason"]) == ("owed", "healed")
    assert page["why"] == (
        "it came and went outside active_time_intervals day, and is told with all else that did"
    )

    await world.fast_forward(minutes=1, seconds=1)

    world.slack.expect("#ops", "7 incidents came and went while you were away", *NIGHT)
    await world.fast_forward(hours=24)
    world.slack.expect_nothing()
    for incident in ids:
        assert [page["state"] for page in await world.notifications(incident)] == ["sent"]
    assert "slack #ops was told (healed, first attempt, in a digest of 7)" in await world.timeline(ids[-1])


async def test_one_that_healed_meanwhile(world: World) -> None:
    """One alone is told in the same way."""
    await world.routes(DAY)
    await world.alertmanager.fires("DiskFull", severity="warning")
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=6)

    world.slack.expect("#ops", "✅ 1 incident came and went while you were away · DiskFull")
    world.slack.expect_nothing()


async def test_what_healed_survives_a_restart(world: World) -> None:
    """Nothing of it is kept in memory."""
    await world.routes(DAY)
    for name in NIGHT:
        await world.alertmanager.fires(name, severity="warning")
        await world.alertmanager.resolves(name)

    await world.restart()
    await world.fast_forward(hours=6)

    world.slack.expect("#ops", "7 incidents came and went", *NIGHT)
    world.slack.expect_nothing()


async def test_what_healed_survives_a_reload_and_an_outage(world: World) -> None:
    """A reload asks again and changes nothing; a service that is out is told later, still in one message."""
    await world.routes(DAY)
    ids = [await world.alertmanager.fires(name, severity="warning") for name in NIGHT]
    for name in NIGHT:
        await world.alertmanager.resolves(name)
    await world.routes(DAY + "\n")
    await world.fast_forward(hours=1)
    world.slack.expect_nothing()

    world.slack.fails_with(DOWN)
    await world.fast_forward(hours=5)
    world.slack.recovers()
    await world.fast_forward(hours=1)

    world.slack.expect("#ops", "7 incidents came and went", *NIGHT)
    world.slack.expect_nothing()
    assert (await world.timeline(ids[0])).count("is told with all else that did") == 1


async def test_what_heals_and_fires_again_is_told_as_firing(world: World) -> None:
    """What came, went and came again still fires at opening."""
    await world.routes(DAY)
    await world.alertmanager.fires("DiskFull", severity="warning")
    await world.alertmanager.resolves("DiskFull")
    await world.alertmanager.fires("DiskFull", severity="warning")
    await world.fast_forward(hours=6)

    world.slack.expect("#ops", "WARNING", "DiskFull")
    world.slack.expect_nothing()


async def test_many_that_healed_are_one_message_with_a_link(world: World) -> None:
    """However many there are; what does not fit on a phone is behind the link."""
    await world.routes(DAY)
    many = [f"Alert{n:03d}" for n in range(130)]
    await world.alertmanager.storm(many, severity="warning")
    await world.alertmanager.calm(many)
    await world.fast_forward(hours=6)

    world.slack.expect("#ops", "130 incidents came and went", "and 110 more", "/?state=resolved")
    world.slack.expect_nothing()


async def test_a_bad_night_keeps_to_the_limits(world: World) -> None:
    """What still fires is told within the limits of its destination, much of it in a digest; then the summary."""
    await world.routes(DAY)
    over, fires = [f"Over{n:02d}" for n in range(30)], [f"Fires{n:02d}" for n in range(40)]
    ids = await world.alertmanager.storm([*over, *fires], severity="warning")
    await world.alertmanager.calm(over)
    await world.fast_forward(hours=6)

    titles = [told.text.splitlines()[0] for told in world.slack.told]
    assert len(titles) <= 6
    assert "30 incidents came and went" in titles[-1]
    assert sum("came and went" in title for title in titles) == 1
    assert not any("Over" in title for title in titles[:-1])
    reasons = [
        {row["reason"] for row in await world.notifications(id_) if row["state"] == "sent"} for id_ in ids
    ]
    assert reasons == [{"healed"}] * len(over) + [{"first"}] * len(fires)


async def test_what_healed_is_told_to_those_who_can_read_it(world: World) -> None:
    """A program that opens and closes tickets needs no summary."""
    await world.routes(DAY.replace("receiver: ops", "receiver: hook"))
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=6)

    world.webhook.expect_nothing()
    [page] = await world.notifications(incident)
    assert (page["state"], page["why"]) == ("withdrawn", "resolved before it went out")


async def test_who_is_there_no_more_is_not_told_what_healed(world: World) -> None:
    """A destination that left routing.yaml is owed no summary."""
    await world.routes(DAY)
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    await world.alertmanager.resolves("DiskFull")
    await world.reload(world._file.read_text().replace('"#ops"', '"#dev"', 1))
    await world.fast_forward(hours=6)

    world.slack.expect_nothing()
    assert "routing.yaml no longer has it" in (await world.notifications(incident))[0]["why"]


async def test_the_worst_is_told_first_at_opening(world: World) -> None:
    """What still fires goes out by severity, whatever came first; then what is over."""
    await world.routes(DAY)
    await world.alertmanager.fires("Gone", severity="error")
    await world.alertmanager.resolves("Gone")
    for severity in ("info", "warning", "error", "info", "error", "warning"):
        await world.alertmanager.fires(
            f"{severity}{len(world.slack.told)}{world.clock.now():%M}", severity=severity
        )
        await world.fast_forward(minutes=1)
    await world.fast_forward(hours=6)

    firsts = [told.text.splitlines()[0] for told in world.slack.told]
    words = [
        next(word for word in ("ERROR", "WARNING", "INFO", "came and went") if word in one) for one in firsts
    ]
    assert words == ["ERROR", "ERROR", "WARNING", "WARNING", "INFO", "INFO", "came and went"]


async def test_critical_breaks_through(world: World) -> None:
    """The most severe does not wait for the morning."""
    await world.routes(DAY)

    await world.alertmanager.fires("DiskFull", severity="critical")

    world.slack.expect("#ops", "CRITICAL")


async def test_what_becomes_critical_breaks_through(world: World) -> None:
    """What waits for the morning is told at the minute when it becomes critical."""
    await world.routes(DAY)
    await world.alertmanager.fires("DiskFull", severity="warning")
    await world.fast_forward(hours=1)
    world.slack.expect_nothing()

    await world.alertmanager.fires("DiskFull", severity="critical")

    world.slack.expect("#ops", "CRITICAL")


async def test_drop_lets_nothing_through(world: World) -> None:
    """A route that drops is quiet outside its hours, however severe; as in Alertmanager, what still fires
    at opening is told then.
    """
    await world.routes(DROP)
    await world.alertmanager.fires("DiskFull", severity="critical")
    await world.fast_forward(hours=5)
    world.slack.expect_nothing()

    await world.fast_forward(hours=1)

    world.slack.expect("#ops", "DiskFull")


async def test_what_healed_while_it_was_dropped_is_never_told(world: World) -> None:
    """What healed outside the hours of a route that drops is not mentioned."""
    await world.routes(DROP)
    await world.alertmanager.fires("DiskFull", severity="critical")
    await world.fast_forward(hours=1)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=8)

    world.slack.expect_nothing()


async def test_reminders_keep_the_hours(world: World) -> None:
    """Nobody is reminded outside the hours; in the morning there is one reminder."""
    await world.routes(DAY.replace("receiver: fallback", "receiver: fallback\n  repeat_interval: 1h", 1))
    await world.fast_forward(hours=13, minutes=18)  # 16:30
    await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(hours=16)
    world.slack.expect_nothing()

    await world.fast_forward(hours=1)

    world.slack.expect("#ops", "still firing")
    world.slack.expect_nothing()


async def test_what_is_told_before_closing_and_ends_outside_is_dropped(world: World) -> None:
    """A route that drops never tells an end that it did not see within its hours; as in Alertmanager."""
    await world.routes(DROP)
    await world.fast_forward(hours=13, minutes=18)  # 16:30
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(hours=1)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=24)

    world.slack.expect_nothing()
    last = (await world.notifications(incident))[-1]
    assert (last["state"], last["why"]) == (
        "withdrawn",
        "outside active_time_intervals day, where its route drops what happens",
    )


async def test_updates_are_dropped_and_reminders_are_not(world: World) -> None:
    """What happens outside the hours is not told later; the reminder comes when it would have come."""
    await world.routes(DROP)
    await world.fast_forward(hours=13, minutes=18)  # 16:30
    await world.alertmanager.fires("DiskFull", severity="warning", instance="a")
    await world.alertmanager.fires("DiskFull", severity="warning", instance="b")
    await world.fast_forward(minutes=1)
    await world.fast_forward(hours=1)
    world.slack.unseen.clear()
    await world.alertmanager.resolves("DiskFull", instance="b")
    await world.routes(DROP + "\n")
    await world.fast_forward(hours=15, minutes=27)  # 08:58
    world.slack.expect_nothing()

    await world.fast_forward(minutes=2)

    world.slack.expect("#ops", "still firing")
    world.slack.expect_nothing()


async def test_new_alerts_outside_are_told_at_opening(world: World) -> None:
    """A route that drops tells at opening what it has not told and still fires; as in Alertmanager."""
    await world.routes(DROP.replace("receiver: fallback", "receiver: fallback\n  repeat_interval: 3d", 1))
    await world.fast_forward(hours=13, minutes=18)  # 16:30
    await world.alertmanager.fires("DiskFull", severity="warning", instance="a")
    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(hours=1)
    await world.alertmanager.fires("DiskFull", severity="warning", instance="b")
    await world.fast_forward(hours=15)
    world.slack.expect_nothing()

    await world.fast_forward(hours=1)

    world.slack.expect("#ops", "more alerts fire")
    world.slack.expect_nothing()


async def test_many_break_through(world: World) -> None:
    """Three alerts of one incident do not wait for the morning, and nor does their end."""
    await world.routes(BREAKS.replace("BREAK", "count: 3"))
    for instance in ("a", "b"):
        await world.alertmanager.fires("DiskFull", severity="warning", instance=instance)
        await world.fast_forward(minutes=5)
    world.slack.expect_nothing()

    await world.alertmanager.fires("DiskFull", severity="warning", instance="c")

    world.slack.expect("#ops", "DiskFull")
    await world.fast_forward(minutes=5)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(minutes=1)
    world.slack.expect("#ops", "Resolved", "DiskFull")
    world.slack.expect_nothing()


async def test_what_fires_for_long_breaks_through(world: World) -> None:
    """After two hours of firing nobody waits for the morning; it is asked at that minute."""
    await world.routes(BREAKS.replace("BREAK", "after: 2h"))
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    [page] = await world.notifications(incident)
    assert page["due_at"].startswith("2026-11-20T05:12:00")
    await world.fast_forward(hours=1, minutes=59)
    world.slack.expect_nothing()

    await world.fast_forward(minutes=1)

    world.slack.expect("#ops", "DiskFull")


async def test_what_heals_before_it_breaks_through_waits_for_the_morning(world: World) -> None:
    """What is over no longer fires for long."""
    await world.routes(BREAKS.replace("BREAK", "after: 2h"))
    await world.alertmanager.fires("DiskFull", severity="warning")
    await world.fast_forward(hours=1)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(hours=4)
    world.slack.expect_nothing()

    await world.fast_forward(hours=1)

    world.slack.expect("#ops", "1 incident came and went")


async def test_critical_breaks_through_beside_a_count(world: World) -> None:
    """Who writes a count has not taken away what is severe."""
    await world.routes(BREAKS.replace("BREAK", "count: 3, after: 2h"))

    await world.alertmanager.fires("DiskFull", severity="critical")

    world.slack.expect("#ops", "CRITICAL")


async def test_holidays_are_outside(world: World) -> None:
    """On a holiday nobody is told, and the row says why."""
    await world.routes(DAY.replace("{name: day,", '{name: day, holidays: {dates: ["2026-11-20"]},'))
    await world.fast_forward(hours=8)  # 11:12
    incident = await world.alertmanager.fires("DiskFull", severity="warning")
    [page] = await world.notifications(incident)
    assert page["due_at"].startswith("2026-11-21T09:00:00")
    assert page["why"] == "outside active_time_intervals day (a holiday)"
    await world.fast_forward(hours=21)
    world.slack.expect_nothing()

    await world.fast_forward(hours=1)

    world.slack.expect("#ops", "DiskFull")
