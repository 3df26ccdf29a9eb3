"""Somebody is told, and if nobody acts, somebody else."""

from datetime import timedelta

import pytest

from tests.world import World

POLICIES = """
global: {slack_app_token: "${TOKEN}", slack_app_url: "${SLACK}", allow_private_addresses: true}
people:
  - {name: ana, contacts: [{slack: UANA}, {after: 5m, slack: UANAPHONE}]}
  - {name: bo, contacts: [{slack: UBO}]}
  - {name: lead, contacts: [{slack: ULEAD}]}
schedules:
  - name: primary
    rotations: [{name: weekly, people: [ana], every: 1w, starts_at: 2026-01-05T09:00}]
  - name: secondary
    rotations: [{name: weekly, people: [bo], every: 1w, starts_at: 2026-01-05T09:00}]
escalation_policies:
  - name: page
    steps:
      - notify: [{schedule: primary}]
      - {after: 10m, notify: [{schedule: secondary}, {receiver: ops}]}
      - {after: 15m, notify: [{person: lead}]}
    repeat: 1
    repeat_after: 20m
    ack_timeout: 30m
fallback: fallback
"""
ROUTE = """
route:
  receiver: dev
  routes:
    - {name: critical, matchers: ['severity="critical"'], escalation_policy: page}
"""


@pytest.fixture
async def paged(world: World) -> World:
    for number, name in enumerate(("UANA", "UANAPHONE", "UBO", "ULEAD"), start=1):
        world.slack.channels[name] = f"D{number:08d}"
    await world.routes(POLICIES + ROUTE)
    return world


async def test_nobody_acknowledges(paged: World) -> None:
    """The second person is woken when the first stays silent, then the lead, then it begins anew."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")
    paged.slack.expect_nothing()

    await paged.fast_forward(minutes=5)
    paged.slack.expect("UANAPHONE", "DiskFull")
    await paged.fast_forward(minutes=4)
    paged.slack.expect_nothing()
    await paged.fast_forward(minutes=1)
    paged.slack.expect("UBO", "DiskFull")
    paged.slack.expect("#ops", "DiskFull")
    await paged.fast_forward(minutes=15)
    paged.slack.expect("ULEAD", "DiskFull")
    paged.slack.expect_nothing()

    await paged.fast_forward(minutes=20)
    assert "nobody acknowledged it in time" in paged.slack.expect("UANA").reply
    await paged.fast_forward(hours=1)
    for again in ("UANAPHONE", "UBO", "#ops", "ULEAD"):
        paged.slack.expect(again, "DiskFull")
    paged.slack.expect_nothing()

    story = await paged.timeline(incident)
    assert "policy page, step 1: slack UANA (ana, on call by primary)" in story
    assert "policy page, step 3, round 2: slack ULEAD (lead)" in story


async def test_who_acknowledges_stops_it(paged: World) -> None:
    """An acknowledgement ends the escalation, later contacts included, and tells those who were told."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")

    await paged.acknowledge(incident)
    paged.slack.expect("UANA", "acknowledged by ana")
    await paged.fast_forward(minutes=29)

    paged.slack.expect_nothing()


async def test_an_acknowledgement_expires(paged: World) -> None:
    """Whoever acknowledged and did not resolve may be asleep: it begins with the first step again."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    await paged.acknowledge(incident)
    paged.slack.unseen.clear()

    await paged.fast_forward(minutes=30)
    told = paged.slack.expect("UANA", "DiskFull")
    assert "it was acknowledged long ago, and still fires" in told.reply
    assert (await paged.incident(incident))["state"] == "triggered"
    await paged.fast_forward(minutes=10)

    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect("UBO", "DiskFull")
    assert "ana acknowledged it 30 min ago, and it still fires" in await paged.timeline(incident)


async def test_the_end_stops_it(paged: World) -> None:
    """Nobody is woken for what is over."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")

    await paged.alertmanager.resolves("DiskFull")
    await paged.fast_forward(hours=2)

    paged.slack.expect("UANA", "Resolved")

    paged.slack.expect_nothing()


async def test_what_fires_again_pages_again(paged: World) -> None:
    """A reopened incident begins its policy anew."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    await paged.alertmanager.resolves("DiskFull")
    await paged.fast_forward(minutes=3)
    paged.slack.unseen.clear()

    await paged.alertmanager.fires("DiskFull", severity="critical")
    assert "it fires again" in paged.slack.expect("UANA").reply
    await paged.fast_forward(minutes=10)

    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect("UBO", "DiskFull")


async def test_a_snooze_stops_it_and_its_end_begins_it_anew(paged: World) -> None:
    """Quiet for an hour is quiet for everybody; then it begins with the first step."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    await paged.act(incident, "snooze", actor="ana")
    paged.slack.unseen.clear()

    await paged.fast_forward(minutes=59)
    paged.slack.expect_nothing()
    await paged.fast_forward(minutes=1)
    paged.slack.expect("UANA", "the snooze is over, and it still fires")
    await paged.fast_forward(minutes=10)

    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect("UBO", "DiskFull")


async def test_a_restart_forgets_no_step(paged: World) -> None:
    """What is due after a restart is what was due before it."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")
    await paged.fast_forward(minutes=4)

    await paged.restart()
    await paged.fast_forward(minutes=6)

    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect("UBO", "DiskFull")
    paged.slack.expect("#ops", "DiskFull")
    paged.slack.expect_nothing()


async def test_a_reload_does_not_disturb_it(paged: World) -> None:
    """The policy that was in force when the incident opened goes on; the next incident has the new one."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")

    await paged.routes(
        POLICIES.replace("after: 10m", "after: 1m").replace("{schedule: secondary}", "{person: lead}") + ROUTE
    )
    await paged.fast_forward(minutes=9)
    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect_nothing()
    await paged.fast_forward(minutes=1)
    paged.slack.expect("UBO", "DiskFull")
    paged.slack.expect("#ops", "DiskFull")

    await paged.alertmanager.fires("NetDown", severity="critical")
    paged.slack.expect("UANA", "NetDown")
    await paged.fast_forward(minutes=1)
    paged.slack.expect("ULEAD", "NetDown")


async def test_more_alerts_do_not_wake_the_next_person_early(paged: World) -> None:
    """News go to those who were told; the others hear when it is their turn."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")
    await paged.fast_forward(minutes=2)

    await paged.alertmanager.fires("DiskFull", severity="critical", instance="db-2")
    await paged.fast_forward(minutes=1)

    paged.slack.expect("UANA", "more alerts fire")
    paged.slack.expect_nothing()


async def test_a_step_that_reaches_nobody_falls_through(paged: World) -> None:
    """Where nobody is on call the next step is taken at once, and the timeline says why."""
    gone = POLICIES.replace(
        "people: [ana], every: 1w, starts_at: 2026", "people: [ana], every: 1w, starts_at: 2036"
    )
    await paged.routes(gone + ROUTE)

    incident = await paged.alertmanager.fires("DiskFull", severity="critical")

    paged.slack.expect("UBO", "DiskFull")
    paged.slack.expect("#ops", "DiskFull")
    assert "step 1: nobody; nobody is on call in primary" in await paged.timeline(incident)


async def test_a_policy_that_reaches_nobody_tells_the_fallback(paged: World) -> None:
    """A page that nobody could be told goes to the fallback, and Tocsin raises an alarm about itself."""
    nobody = """
people: [{name: ana}]
escalation_policies:
  - {name: page, steps: [{notify: [{person: ana}]}, {after: 5m, notify: [{person: ana}]}]}
fallback: fallback
"""
    await paged.routes(nobody + ROUTE)

    incident = await paged.alertmanager.fires("DiskFull", severity="critical")

    paged.slack.expect("#fallback", "DiskFull")
    assert [one["title"] for one in await paged.alarms()] == ["TocsinNobodyReached"]
    story = await paged.timeline(incident)
    assert "policy page reached nobody; instead: slack #fallback" in story
    assert "step 2: nobody; ana, has no contact to tell" in story


async def test_who_was_on_call_may_be_gone(paged: World) -> None:
    """A person whom routing.yaml lost cannot be told, so the next step is taken."""
    await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")
    without_bo = POLICIES.replace("  - {name: bo, contacts: [{slack: UBO}]}\n", "").replace(
        "people: [bo]", "people: [lead]"
    )

    await paged.routes(without_bo + ROUTE)
    await paged.fast_forward(minutes=10)

    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect("ULEAD", "DiskFull")
    paged.slack.expect("#ops", "DiskFull")


async def test_what_gets_worse_than_what_was_acknowledged_pages_anew(paged: World) -> None:
    """Who acknowledged a warning did not acknowledge what it became."""
    incident = await paged.alertmanager.fires("DiskFull", severity="warning")
    await paged.acknowledge(incident)
    paged.slack.unseen.clear()

    await paged.alertmanager.fires("DiskFull", severity="critical", instance="db-2")

    paged.slack.expect("UANA", "DiskFull")
    assert (await paged.incident(incident))["state"] == "triggered"
    assert "it got worse than what was acknowledged" in await paged.timeline(incident)


async def test_the_next_step_can_be_asked_for(paged: World) -> None:
    """Whoever needs help takes the next step now; who was on it is asked again."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    await paged.acknowledge(incident)
    paged.slack.unseen.clear()

    found = await paged.act(incident, "escalate", actor="ana", text="I need help")

    assert found["state"] == "triggered"
    paged.slack.expect("UBO", "DiskFull")
    paged.slack.expect("#ops", "DiskFull")
    assert "escalated: the next step is taken now: I need help" in await paged.timeline(incident)


async def test_after_the_last_step_it_goes_round_once_more(paged: World) -> None:
    """Asked for when every step was taken, the next step is the first."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    await paged.fast_forward(hours=2)
    paged.slack.unseen.clear()

    await paged.act(incident, "escalate", actor="ana")

    paged.slack.expect("UANA", "DiskFull")


async def test_an_incident_can_be_given_to_somebody(paged: World) -> None:
    """The person hears at once; if nobody acknowledges for a quarter of an hour, the policy begins anew."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")

    await paged.act(incident, "assign", actor="ana", person="lead", text="it is yours")
    told = paged.slack.expect("ULEAD", "DiskFull")
    assert told.text
    await paged.fast_forward(minutes=14)
    paged.slack.expect_nothing()
    await paged.fast_forward(minutes=1)

    paged.slack.expect("UANA", "DiskFull")
    assert "assigned: assigned to lead: it is yours" in await paged.timeline(incident)


async def test_a_person_can_be_added(paged: World) -> None:
    """Whoever is added hears as well, and nothing else changes."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    await paged.acknowledge(incident)
    paged.slack.unseen.clear()

    found = await paged.client.post(
        f"/api/v1/incidents/{incident}/assign", json={"person": "bo", "add": True}
    )
    await paged.settle()

    assert found.json()["state"] == "acknowledged"
    paged.slack.expect("UBO", "Acknowledged by ana")
    paged.slack.expect_nothing()


@pytest.mark.parametrize(
    ("action", "body", "status", "words"),
    [
        pytest.param(
            "assign", {}, 422, "name one of the people in routing.yaml: ana, bo, lead", id="to nobody"
        ),
        pytest.param("assign", {"person": "x"}, 422, "name one of the people", id="to a stranger"),
        pytest.param("escalate", {}, 409, "no escalation policy is at work", id="where there is no policy"),
    ],
)
async def test_a_wish_that_cannot_be_fulfilled_says_why(
    paged: World, action: str, body: dict[str, str], status: int, words: str
) -> None:
    """A refusal says what to do."""
    incident = await paged.alertmanager.fires("DiskFull", severity="warning")

    answer = await paged.client.post(f"/api/v1/incidents/{incident}/{action}", json=body)

    assert answer.status_code == status
    assert words in answer.json()["detail"]


async def test_the_plan_of_an_open_incident_says_who_is_next(paged: World) -> None:
    """An open incident tells who will hear when, if nobody acts."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    began = paged.clock.now()

    plan = (await paged.incident(incident))["plan"]

    steps = [(one["to"], one["why"]) for one in plan if one["reason"] == "escalated"]
    assert steps == [
        ("slack UANAPHONE", "a later contact: ana, on call by primary"),
        ("slack UBO", "step 2 of page: bo, on call by secondary"),
        ("slack #ops", "step 2 of page: ops"),
        ("slack ULEAD", "step 3 of page: lead"),
    ]
    assert plan[0]["at"].startswith(f"{began:%Y-%m-%dT%H}:17")


async def test_a_round_robin_takes_turns(paged: World) -> None:
    """Each incident wakes one of them, the next incident the next."""
    turns = (
        POLICIES.split("escalation_policies:", maxsplit=1)[0]
        + """
escalation_policies:
  - {name: page, steps: [{notify: [{person: bo}, {person: lead}], round_robin: true}]}
fallback: fallback
"""
    )
    await paged.routes(turns + ROUTE)

    await paged.alertmanager.fires("One", severity="critical")
    paged.slack.expect("UBO", "One")
    await paged.alertmanager.storm(["Two", "Three"], severity="critical")

    assert {told.channel for told in paged.slack.unseen} == {"ULEAD", "UBO"}


async def test_a_step_may_be_for_certain_hours_and_severities(paged: World) -> None:
    """At night the step for the day is passed over, and what is not severe enough as well."""
    by_day = (
        POLICIES.split("escalation_policies:", maxsplit=1)[0]
        + """
time_intervals: [{name: day, time_intervals: [{times: [{start_time: "08:00", end_time: "18:00"}]}]}]
escalation_policies:
  - name: page
    steps:
      - {notify: [{receiver: ops}], active_time_intervals: [day]}
      - {notify: [{person: lead}], severity: critical}
      - {notify: [{person: bo}]}
fallback: fallback
"""
    )
    await paged.routes(by_day + ROUTE.replace('severity="critical"', 'severity=~"critical|error"'))

    await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("ULEAD", "DiskFull")
    incident = await paged.alertmanager.fires("NetSlow", severity="error")

    paged.slack.unseen = [told for told in paged.slack.unseen if "NetSlow" in told.text]
    assert {told.channel for told in paged.slack.unseen} == {"UBO"}
    story = await paged.timeline(incident)
    assert "step 1: nobody; outside active_time_intervals day" in story
    assert "step 2: nobody; it is for critical and worse, and this is error" in story


async def test_outside_its_hours_a_policy_waits_for_them(paged: World) -> None:
    """The first step of a route that is closed is taken when it opens, and a rise in severity opens it."""
    closed = """
route:
  receiver: dev
  routes:
    - {name: critical, matchers: ['severity=~"critical|info"'], escalation_policy: page, active_time_intervals: [day]}
"""
    hours = 'time_intervals: [{name: day, time_intervals: [{times: [{start_time: "08:00", end_time: "18:00"}]}]}]\n'
    await paged.routes(POLICIES + hours + closed)

    incident = await paged.alertmanager.fires("DiskFull", severity="info")
    paged.slack.expect_nothing()
    assert "outside active_time_intervals day" in await paged.timeline(incident)
    await paged.alertmanager.fires("NetDown", severity="info")
    await paged.alertmanager.fires("NetDown", severity="critical", instance="db-2")
    paged.slack.expect("UANA", "NetDown")
    await paged.fast_forward(hours=5)

    assert paged.slack.expect("UANAPHONE", "NetDown")
    assert any("DiskFull" in told.text for told in paged.slack.unseen)


async def test_a_silence_holds_the_steps_and_what_lapses(paged: World) -> None:
    """Who wanted quiet is not woken by a step, nor by an acknowledgement that is too old."""
    incident = await paged.alertmanager.fires("DiskFull", severity="critical")
    paged.slack.expect("UANA", "DiskFull")
    await paged.acknowledge(incident)
    paged.slack.expect("UANA", "acknowledged by ana")
    until = (paged.clock.now() + timedelta(hours=1)).isoformat()
    wish = {
        "matchers": ['alertname="DiskFull"'],
        "ends_at": until,
        "actor": "ana",
        "text": "it is being mended",
    }
    assert (await paged.client.post("/api/v1/silences", json=wish)).status_code == 201

    await paged.fast_forward(minutes=59)
    paged.slack.expect_nothing()
    assert (await paged.incident(incident))["state"] == "triggered"
    await paged.fast_forward(minutes=2)

    paged.slack.expect("UANA", "DiskFull")
    await paged.fast_forward(minutes=10)
    paged.slack.expect("UANAPHONE", "DiskFull")
    paged.slack.expect("UBO", "DiskFull")
