"""What does a body change, said and done on both databases, with times that the test chooses?"""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from receiver.config import Config
from receiver.pipeline.act import Action, act
from receiver.pipeline.ingest import LONGEST_EXCERPT, Body, Misfit, Received, ingest, set_aside, take
from receiver.pipeline.review import review
from receiver.policy.incident import Verb
from receiver.policy.payload import NotJson, NotUsable, understand
from receiver.store import payloads
from receiver.store.database import connect
from tests.web.bodies import alert, as_posted, body
from tests.web.service import TABLES

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROUTE = {"receiver": "ops"}
FLAPS_AT = 3  # reopenings


def config(*, route=ROUTE, **changes):
    """Return a configuration: one receiver, and what the test changes."""
    receivers = [{"name": "ops", "console_configs": [{}]}, {"name": "none"}]
    return Config.model_validate({"receivers": receivers, "route": route, **changes})


class Ingest:
    """Says things to one database."""

    def __init__(self, url):
        self.engine = connect(url, writing=True)
        self.config = config()

    def hear(self, *documents, at=timedelta(), source="prod"):
        """Take bodies in, all in one transaction; return what became of each."""
        now = NOW + at
        batch = [
            Received(understand(posted, source=source, now=now), posted)
            for posted in (one if isinstance(one, bytes) else as_posted(one) for one in documents)
        ]
        with self.engine.begin() as db:
            return ingest(db, self.config, batch)

    def wait(self, until):
        """Let time change what it changes by then."""
        with self.engine.begin() as db:
            return review(db, self.config, [NOW + until])

    def press(self, verb, at, incident_id=1):
        with self.engine.begin() as db:
            act(db, self.config, [Action(incident_id, verb, "ana", "", NOW + at)])

    def rows(self, table):
        with self.engine.begin() as db:
            found = select(TABLES[table]).order_by(*TABLES[table].primary_key)
            return [dict(row) for row in db.execute(found).mappings()]

    def incident(self):
        """Return the only incident."""
        (row,) = self.rows("incident")
        return row

    def states(self):
        return [row["state"] for row in self.rows("incident")]

    def alerts(self):
        """Return the state of each alert by its instance."""
        return {row["labels"].get("instance"): row["state"] for row in self.rows("alert")}

    def story(self):
        """Return the kinds of the lines of all timelines but those about messages."""
        return [row["kind"] for row in self.rows("timeline") if row["kind"] != "owed"]

    def reasons(self):
        return [row["reason"] for row in self.rows("notification")]

    def all_but_payloads(self, *, last_seen=True):
        """Return every row but those of bodies, which are kept each time; without last_seen_at on request."""
        names = [name for name in TABLES if name != "payload"]
        found = {name: self.rows(name) for name in names}
        for row in found["incident"]:
            if not last_seen:
                del row["last_seen_at"]
        return found


@pytest.fixture
def prod(migrated_url):
    said = Ingest(migrated_url)
    yield said
    said.engine.dispose()


def resolved(*instances, **changes):
    return body(*(alert(one, status="resolved", **changes) for one in instances), status="resolved")


def test_a_new_group_opens_one_incident_with_its_alerts(prod):
    (accepted,) = prod.hear(body(alert("db-1"), alert("db-2", severity="critical")))

    row = prod.incident()
    assert accepted.incident_ids == (row["id"],)
    assert not accepted.is_repeat
    assert (row["state"], row["severity"], row["title"]) == ("triggered", "critical", "DiskFull")
    assert (row["firing"], row["total"], row["revision"]) == (2, 2, 1)
    assert row["labels"] == {"alertname": "DiskFull"}
    assert row["started_at"] == row["last_seen_at"] == NOW
    assert prod.story() == ["opened"]
    assert prod.reasons() == ["first"]


@pytest.mark.parametrize(
    ("group_by", "documents", "count"),
    [
        pytest.param(None, [body(alert("db-1")), body(alert("db-2"))], 1, id="without group_by the group labels decide"),
        pytest.param(None, [body(alert("db-1")), body(alert("db-2"), groupLabels={"team": "dba"})], 2, id="other group labels are another incident"),
        pytest.param(["instance"], [body(alert("db-1"), alert("db-2"))], 2, id="group_by of the first route splits a group"),
        pytest.param(["alertname"], [body(alert("db-1")), body(alert("db-2"), groupLabels={"team": "dba"})], 1, id="group_by of the first route joins groups"),
        pytest.param(["..."], [body(alert("db-1"), alert("db-2"), alert("db-2"))], 2, id="three dots group by every label"),
        pytest.param(["absent"], [body(alert("db-1")), body(alert("db-2", alertname="Other"))], 1, id="a label that nobody has groups all"),
        pytest.param(None, [body(alert("db-1")), body(alert("db-1"), groupKey="another route")], 1, id="the group key does not count"),
        pytest.param(None, [body(alert("db-1"), groupKey="", groupLabels={}), body(alert("db-1", alertname="Other"), groupKey="", groupLabels={})], 2, id="a body that names no group is grouped by alertname"),
    ],
)  # fmt: skip
def test_the_incident_key_is_the_source_and_what_the_first_route_groups_by(prod, group_by, documents, count):
    route = ROUTE if group_by is None else {**ROUTE, "group_by": group_by}
    prod.config = config(route=route)

    for number, document in enumerate(documents):
        prod.hear(document, at=number * MINUTE)

    assert len(prod.rows("incident")) == count


def test_sources_have_incidents_of_their_own(prod):
    prod.hear(body(alert()), source="prod")
    prod.hear(body(alert()), source="staging")

    assert [row["source"] for row in prod.rows("incident")] == ["prod", "staging"]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({}, id="a retry is the same bytes"),
        pytest.param({"externalURL": "http://alertmanager-1:9093"}, id="a peer has another address"),
        pytest.param({"notification_reason": "repeat interval elapsed"}, id="unknown fields do not count"),
    ],
)
@pytest.mark.parametrize("after", [20 * timedelta(seconds=1), 4 * 60 * MINUTE], ids=["soon", "hours later"])
def test_a_repeated_body_changes_nothing_but_last_seen_at(prod, changed, after):
    alerts = [alert("db-1"), alert("db-2")]
    prod.hear(body(*alerts))
    before = prod.all_but_payloads(last_seen=False)

    prod.hear(body(*alerts) | changed, at=after)

    assert prod.incident()["last_seen_at"] == NOW + after
    unseen = prod.all_but_payloads(last_seen=False)
    if after > 5 * MINUTE:  # then it is news where Alertmanager can be found
        for found in (before, unseen):
            del found["incident"][0]["upstream"]
    assert unseen == before


def test_a_peer_whose_prometheus_has_another_address_changes_nothing(prod):
    prod.hear(body(alert()))
    before = prod.all_but_payloads(last_seen=False)

    (accepted,) = prod.hear(
        body(alert(generatorURL="http://prometheus-1:9090/graph"), externalURL="http://alertmanager-1:9093"),
        at=15 * timedelta(seconds=1),
    )

    assert accepted.is_repeat
    assert prod.all_but_payloads(last_seen=False) == before


def test_a_repeated_partial_view_is_told_once(prod):
    document = body(alert(), truncatedAlerts=4)
    prod.hear(document)
    before = prod.all_but_payloads(last_seen=False)

    prod.hear(document, at=MINUTE)
    prod.hear(document, at=4 * 60 * MINUTE)

    assert prod.all_but_payloads(last_seen=False) == before
    assert prod.story() == ["opened", "truncated"]


def test_the_same_body_twice_in_one_transaction_is_a_repeat(prod):
    first, second = prod.hear(body(alert()), body(alert()))

    assert (first.is_repeat, second.is_repeat) == (False, True)
    assert first.incident_ids == second.incident_ids
    assert prod.reasons() == ["first"]


def test_the_bytes_of_a_repeat_are_kept_once(prod):
    document = as_posted(body(alert()))
    prod.hear(document)
    prod.hear(document, at=MINUTE)

    assert [row["body"] for row in prod.rows("payload")] == [document, None]


def test_an_incident_without_a_firing_alert_is_resolved(prod):
    prod.hear(body(alert("db-1"), alert("db-2")))
    prod.hear(body(alert("db-1", status="resolved"), alert("db-2")), at=MINUTE)

    assert prod.states() == ["triggered"]
    assert prod.alerts() == {"db-1": "resolved", "db-2": "firing"}

    prod.hear(resolved("db-2"), at=2 * MINUTE)

    assert prod.incident()["resolved_at"] == NOW + 2 * MINUTE
    assert prod.states() == ["resolved"]
    assert prod.story() == ["opened", "alerts_resolved", "alerts_resolved", "resolved"]


def test_the_status_of_the_group_is_not_believed(prod):
    prod.hear(body(alert("db-1"), status="resolved", commonLabels={"severity": "critical"}))

    assert (prod.incident()["state"], prod.incident()["severity"]) == ("triggered", "warning")


def test_the_end_of_what_was_never_heard_opens_nothing(prod):
    (accepted,) = prod.hear(resolved("db-1"))

    assert accepted.incident_ids == ()
    assert prod.rows("incident") == []


def test_a_late_firing_body_does_not_reopen(prod):
    firing = body(alert("db-1"))
    prod.hear(firing)
    prod.hear(resolved("db-1"), at=MINUTE)

    (accepted,) = prod.hear(firing, at=2 * MINUTE)

    assert accepted.is_repeat
    assert prod.states() == ["resolved"]
    assert prod.story()[-1] == "late"


def test_a_late_body_does_not_bring_back_one_alert_of_an_open_incident(prod):
    both = body(alert("db-1"), alert("db-2"))
    prod.hear(both)
    prod.hear(body(alert("db-1", status="resolved"), alert("db-2")), at=MINUTE)
    before = prod.all_but_payloads(last_seen=False)

    prod.hear(both, at=2 * MINUTE)

    assert prod.all_but_payloads(last_seen=False) == before


def test_a_late_resolved_body_does_not_end_what_fires_anew(prod):
    over = resolved("db-1", ends_at="2026-11-20T03:12:30Z")
    prod.hear(body(alert("db-1")))
    prod.hear(over, at=MINUTE)
    prod.hear(body(alert("db-1", starts_at="2026-11-20T03:13:30Z")), at=2 * MINUTE)

    prod.hear(over, at=3 * MINUTE)

    assert prod.states() == ["triggered"]
    assert prod.alerts() == {"db-1": "firing"}


def test_a_firing_body_never_seen_before_reopens_within_the_window(prod):
    prod.hear(body(alert()))
    prod.press(Verb.ACKNOWLEDGE, MINUTE)
    prod.hear(resolved("db-1"), at=2 * MINUTE)

    prod.hear(body(alert(starts_at="2026-11-20T03:15:00Z")), at=11 * MINUTE)

    row = prod.incident()
    assert (row["state"], row["reopenings"], row["resolved_at"]) == ("triggered", 1, None)
    assert (row["acknowledged_at"], row["acknowledged_by"]) == (None, None)
    assert prod.story()[-1] == "reopened"


def test_the_window_closes_after_reopen_within_and_a_new_incident_opens(prod):
    prod.hear(body(alert()))
    prod.hear(resolved("db-1"), at=MINUTE)

    prod.hear(body(alert(starts_at="2026-11-20T03:25:00Z")), at=11 * MINUTE)

    assert prod.states() == ["resolved", "triggered"]
    assert prod.rows("incident")[1]["reopenings"] == 0


def test_a_late_body_opens_nothing_even_when_nothing_may_reopen(prod):
    prod.config = config(reopen_within=timedelta(seconds=1))
    firing = body(alert())
    prod.hear(firing)
    prod.hear(resolved("db-1"), at=MINUTE)

    prod.hear(firing, at=2 * MINUTE)

    assert prod.states() == ["resolved"]


def test_an_incident_resolved_by_hand_reopens_when_more_fires(prod):
    prod.hear(body(alert("db-1")))
    prod.press(Verb.RESOLVE, MINUTE)

    prod.hear(body(alert("db-1"), alert("db-2")), at=2 * MINUTE)

    assert prod.states() == ["triggered"]
    assert prod.story()[-2:] == ["resolved", "reopened"]


def flap(prod, *, times, start):
    """Let the alert resolve and fire again; return when it last fired."""
    at = start
    for number in range(times):
        prod.hear(resolved("db-1", ends_at=f"2026-11-20T04:{number:02}:00Z"), at=at + MINUTE)
        prod.hear(body(alert(starts_at=f"2026-11-20T04:{number:02}:30Z")), at=at + 2 * MINUTE)
        at += 2 * MINUTE
    return at


def test_what_comes_and_goes_is_told_once_and_then_kept_quiet(prod):
    prod.hear(body(alert()))
    at = flap(prod, times=FLAPS_AT, start=timedelta())
    told = len(prod.reasons()), prod.incident()["revision"]

    prod.hear(resolved("db-1", ends_at="2026-11-20T05:00:00Z"), at=at + MINUTE)
    prod.hear(body(alert(starts_at="2026-11-20T05:01:00Z")), at=at + 2 * MINUTE)

    assert prod.incident()["flapping_at"] == NOW + at + 2 * MINUTE
    assert (len(prod.reasons()), prod.incident()["revision"]) == told
    assert prod.story().count("flapping") == 1


def test_more_alerts_do_not_keep_a_flapping_incident_quiet_for_longer(prod):
    """Only what comes and goes as a whole does; a group that grows would never be told again."""
    prod.hear(body(alert()))
    at = flap(prod, times=FLAPS_AT, start=timedelta())

    for number in range(2, 5):
        prod.hear(
            body(*(alert(f"db-{one}") for one in range(1, number + 1))), at=at + (number - 1) * 3 * MINUTE
        )

    assert prod.wait(at + 10 * MINUTE) == [1]
    assert prod.story()[-1] == "stable"


def test_what_flaps_still_says_when_it_gets_worse(prod):
    prod.hear(body(alert()))
    at = flap(prod, times=FLAPS_AT, start=timedelta())
    revision = prod.incident()["revision"]

    prod.hear(body(alert(), alert("db-2", severity="critical")), at=at + MINUTE)

    assert prod.incident()["revision"] == revision + 1
    assert prod.incident()["severity"] == "critical"


@pytest.mark.parametrize("ends", [False, True], ids=["while it fires", "while it is resolved"])
def test_what_flapped_is_stable_after_reopen_within(prod, ends):
    prod.hear(body(alert()))
    at = flap(prod, times=FLAPS_AT, start=timedelta())
    if ends:
        at += MINUTE
        prod.hear(resolved("db-1", ends_at="2026-11-20T05:00:00Z"), at=at)

    early, due = prod.wait(at + 9 * MINUTE), prod.wait(at + 10 * MINUTE)

    assert (early, due) == ([0], [1])
    row = prod.incident()
    assert (row["flapping_at"], row["reopenings"]) == (None, 0)
    assert prod.story()[-1] == "stable"


def test_an_alert_that_a_complete_body_leaves_out_is_vanished_and_still_fires(prod):
    prod.hear(body(alert("db-1"), alert("db-2")))

    prod.hear(body(alert("db-1")), at=MINUTE)

    (_, gone) = prod.rows("alert")
    assert (gone["state"], gone["vanished_at"]) == ("firing", NOW + MINUTE)
    assert prod.states() == ["triggered"]
    assert prod.story() == ["opened", "vanished"]


def test_a_vanished_alert_that_is_named_again_has_returned(prod):
    prod.hear(body(alert("db-1"), alert("db-2")))
    prod.hear(body(alert("db-1")), at=MINUTE)

    prod.hear(body(alert("db-1"), alert("db-2")), at=2 * MINUTE)

    assert [row["vanished_at"] for row in prod.rows("alert")] == [None, None]
    assert [row["expires_at"] for row in prod.rows("alert")] == [None, None]
    assert prod.story() == ["opened", "vanished", "returned"]


def test_an_incident_whose_alerts_all_vanished_closes_after_vanish_after(prod):
    prod.hear(body(alert("db-1")))
    prod.hear(body(), at=MINUTE)

    prod.wait(15 * MINUTE)
    assert prod.states() == ["triggered"]

    prod.wait(16 * MINUTE)
    assert prod.states() == ["resolved"]
    assert prod.story()[-2:] == ["alerts_resolved", "resolved"]


def test_one_vanished_alert_of_several_ends_after_vanish_after(prod):
    prod.hear(body(alert("db-1"), alert("db-2")))
    prod.hear(body(alert("db-1")), at=MINUTE)

    prod.wait(16 * MINUTE)

    assert prod.alerts() == {"db-1": "firing", "db-2": "resolved"}
    assert prod.states() == ["triggered"]


def test_alerts_vanish_from_incidents_that_a_body_does_not_speak_of(prod):
    prod.config = config(route={**ROUTE, "group_by": ["instance"]})
    prod.hear(body(alert("db-1"), alert("db-2")))

    prod.hear(body(alert("db-1")), at=MINUTE)

    assert [row["vanished_at"] for row in prod.rows("alert")] == [None, NOW + MINUTE]


def test_nothing_vanishes_from_a_partial_view(prod):
    prod.hear(body(alert("db-1"), alert("db-2")))

    prod.hear(body(alert("db-1"), truncatedAlerts=1), at=MINUTE)

    assert [row["vanished_at"] for row in prod.rows("alert")] == [None, None]


def test_a_partial_view_never_resolves_while_more_may_fire_unseen(prod):
    prod.hear(body(alert("db-1"), truncatedAlerts=4))
    prod.hear(resolved("db-1") | {"truncatedAlerts": 4}, at=MINUTE)

    prod.wait(4 * 60 * MINUTE)
    assert prod.states() == ["triggered"]

    prod.wait(4 * 60 * MINUTE + 17 * MINUTE)  # Alertmanager would have repeated it by now
    assert prod.states() == ["resolved"]


def test_the_end_of_the_unseen_alerts_resolves_what_a_partial_view_kept_open(prod):
    prod.hear(body(alert("db-1"), truncatedAlerts=1))
    prod.hear(resolved("db-1") | {"truncatedAlerts": 1}, at=MINUTE)

    prod.hear(resolved("db-2"), at=2 * MINUTE)

    assert prod.states() == ["resolved"]
    assert prod.story()[-1] == "resolved"


def test_a_rise_in_severity_is_told_and_a_fall_is_written_down(prod):
    prod.hear(body(alert("db-1")))
    prod.hear(body(alert("db-1"), alert("db-2", severity="critical")), at=MINUTE)
    rise = prod.incident()["severity"], prod.incident()["revision"], prod.reasons()

    prod.hear(body(alert("db-1"), alert("db-2", severity="critical", status="resolved")), at=2 * MINUTE)

    assert rise == ("critical", 2, ["first"])  # the page that was not sent yet says it
    assert prod.incident()["severity"] == "warning"
    assert prod.story() == ["opened", "alerts_fired", "severity", "alerts_resolved", "severity"]


def test_the_order_of_severities_is_the_one_of_routing_yaml(prod):
    prod.config = config(severity_order=["page", "ticket", "none"])

    prod.hear(
        body(alert("db-1", severity="ticket"), alert("db-2", severity="page"), alert("db-3", severity="odd"))
    )

    assert prod.incident()["severity"] == "page"


def test_unusable_alerts_are_set_aside_and_raise_a_self_alarm(prod):
    prod.hear(body(alert("db-1"), {"labels": {}}, 7))

    assert [row["why"] for row in prod.rows("quarantine")] == [
        "an alert has no labels, so nothing tells it from others",
        "an alert is not an object",
    ]
    ours = [row for row in prod.rows("incident") if row["source"] == "tocsin"]
    assert [(row["title"], row["severity"], row["labels"]["from"]) for row in ours] == [
        ("TocsinQuarantine", "warning", "prod")
    ]


def test_good_bodies_beside_misfits_are_heard_and_each_is_told_what_became_of_it(prod):
    """The alarm comes last: replicas lock what was said, and then the alarm, so none waits for the other."""
    said = [b"{", as_posted(body(alert("db-1"), 7)), b"[]", as_posted(body(alert("db-2")))]
    with prod.engine.begin() as db:
        results = take(db, prod.config, [Body("prod", NOW, one) for one in said])

    assert [type(one) for one in (results[0], results[2])] == [NotJson, NotUsable]
    assert [(one.incident_ids, one.unusable) for one in (results[1], results[3])] == [((1,), 1), ((1,), 0)]
    assert prod.alerts().keys() >= {"db-1", "db-2"}
    assert [row["source"] for row in prod.rows("incident")] == ["prod", "tocsin"]
    assert sorted(row["body"] for row in prod.rows("quarantine")) == [b"7", b"[]", b"{"]


def test_misfits_of_one_source_raise_one_self_alarm_that_ends_by_itself(prod):
    misfits = [Misfit("prod", NOW, "the body is not JSON", b"x" * 100_000) for _ in range(3)]
    with prod.engine.begin() as db:
        set_aside(db, prod.config, misfits)

    assert [len(row["body"]) for row in prod.rows("quarantine")] == [LONGEST_EXCERPT] * 3
    assert prod.states() == ["triggered"]

    prod.wait(15 * MINUTE)

    assert prod.states() == ["resolved"]


def test_the_oldest_in_quarantine_make_room(prod, monkeypatch):
    monkeypatch.setattr(payloads, "MOST_QUARANTINED", 5)

    for number in range(4):
        misfits = [Misfit("prod", NOW + number * MINUTE, f"{number} {one}", b"") for one in range(2)]
        with prod.engine.begin() as db:
            set_aside(db, prod.config, misfits)

    assert [row["why"] for row in prod.rows("quarantine")] == ["1 1", "2 0", "2 1", "3 0", "3 1"]


def test_bodies_of_one_transaction_apply_one_after_the_other(prod):
    prod.hear(body(alert("db-1")), body(alert("db-1"), alert("db-2")), resolved("db-1"))

    assert prod.alerts() == {"db-1": "resolved", "db-2": "firing"}
    assert prod.incident()["revision"] == 1
    assert prod.story() == ["opened", "alerts_fired", "alerts_resolved", "vanished"]


def test_one_incident_tells_the_receivers_of_every_route_that_matches(prod):
    prod.config = config(
        receivers=[
            {"name": "ops", "console_configs": [{}]},
            {"name": "hook", "webhook_configs": [{"url": "http://127.0.0.1:9/hook"}]},
        ],
        route={
            "receiver": "ops",
            "routes": [
                {"receiver": "ops", "matchers": ['severity="warning"'], "continue": True},
                {"receiver": "hook", "matchers": ['severity="warning"']},
            ],
        },
    )

    prod.hear(body(alert()))

    assert sorted(row["receiver"] for row in prod.rows("notification")) == ["hook", "ops"]
    assert prod.incident()["routes"] == ["route.routes[0]", "route.routes[1]"]


def test_an_incident_that_nobody_hears_of_says_so(prod):
    prod.config = config(route={"receiver": "none"})

    prod.hear(body(alert()))

    assert prod.rows("notification") == []
    assert "nobody" in prod.rows("timeline")[-1]["text"]
