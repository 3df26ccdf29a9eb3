"""How does PagerDuty page people about an incident, and how do we hear what they do there?"""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from receiver.channels.base import Forged, Heard, Inbound, PermanentFailure, Sent, TemporaryFailure
from receiver.channels.client import Client
from receiver.channels.pagerduty import MAX_EVENT, PagerDuty, PagerDutyConfig, event, events_for
from receiver.channels.words import dedup_key
from receiver.config import ConfigError, parse
from receiver.policy.incident import MessageEvent, Reason, Verb
from tests.channels.contract import HOSTILE, ChannelContract, a_message
from tests.channels.events import DIGESTS, EVENTS, as_message, check_golden
from tests.fakes.clock import START, FakeClock
from tests.fakes.facts import LABELS, an_alert, an_incident, some_facts
from tests.fakes.http import Reply, as_json
from tests.fakes.pagerduty import (
    ANA,
    INTEGRATION,
    KEY,
    MAX_SUMMARY,
    WEBHOOK_SECRET,
    FakePagerDuty,
    errors_in,
    signature,
)

FIXTURES = Path(__file__).parent.parent / "fixtures" / "pagerduty"
ALERTMANAGER = json.loads((FIXTURES / "alertmanager.json").read_text())
WEBHOOKS = json.loads((FIXTURES / "webhooks.json").read_text())
SIGNATURES = json.loads((FIXTURES / "signatures.json").read_text())

CONFIG = PagerDutyConfig(routing_key=KEY, webhook_secret=WEBHOOK_SECRET)
TOLD = [
    name for name in EVENTS if name not in DIGESTS
]  # a digest is for people; each incident is sent on its own
ACKNOWLEDGED, RESOLVED, TRIGGERED = MessageEvent.ACKNOWLEDGED, MessageEvent.RESOLVED, MessageEvent.TRIGGERED


def sent_as(message: Any, known: str = "untold", config: PagerDutyConfig = CONFIG) -> list[dict[str, Any]]:
    """The events that a message becomes."""
    actions, _ = events_for(message, known)
    key = dedup_key(message, None)
    return [json.loads(event(config, message, KEY, key, action)) for action in actions]


class TestPagerDuty(ChannelContract):
    @pytest.fixture
    def server(self):
        return FakePagerDuty()

    def channel(self, client, clock):
        return PagerDuty(client, clock)

    def config(self, server, **changes: Any):
        keys = {"routing_key": KEY, "url": server.enqueue_url, "allow_private_addresses": True}
        return PagerDutyConfig(**keys | changes)

    def secrets(self):
        return [KEY]

    def arrived(self, server):
        return json.dumps([vars(one) for one in server.incidents], ensure_ascii=False)

    def check_harmless(self, arrived: str, text: str) -> None:  # noqa: ARG002
        """One line without control characters; PagerDuty shows it as plain text."""
        (shown,) = json.loads(arrived)
        summary = shown["payload"]["summary"]
        assert len(summary) <= MAX_SUMMARY
        assert summary.isprintable() or "\u200d" in summary
        assert "\u202e" not in arrived
        assert "Acknowledged by nobody" not in summary.splitlines()

    async def test_a_conversation_is_one_incident_there(self, server, client, clock):
        """Whatever happens to it, PagerDuty shows one incident, in the state it is in."""
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            sent = None
            for event_, reason in (
                (TRIGGERED, Reason.FIRST),
                (TRIGGERED, Reason.NEW_ALERTS),
                (ACKNOWLEDGED, Reason.ACKNOWLEDGED),
                (RESOLVED, Reason.ALL_RESOLVED),
            ):
                message = a_message(event=event_, reason=reason)
                sent = await channel.send(config, message, sent)

            (incident,) = server.incidents
            assert incident.status == "resolved"
            assert [line.split(":")[0] for line in incident.log] == [
                "trigger", "trigger", "acknowledge", "resolve",
            ]  # fmt: skip
            assert len(server.pages) == 1
            assert server.dropped == []

    async def test_what_is_given_back_pages_again(self, server, client, clock):
        """Events cannot take an acknowledgement back, and triggering an acknowledged incident wakes nobody."""
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            sent = await channel.send(config, a_message(), None)
            sent = await channel.send(config, a_message(event=ACKNOWLEDGED, reason=Reason.ACKNOWLEDGED), sent)

            sent = await channel.send(config, a_message(reason=Reason.UNACKNOWLEDGED), sent)

            assert [one.status for one in server.incidents] == ["resolved", "triggered"]
            assert len(server.pages) == 2
            await channel.send(config, a_message(event=RESOLVED, reason=Reason.ALL_RESOLVED), sent)
            assert server.open_incidents() == []

    async def test_what_asks_nobody_to_act_is_not_sent(self, server, client, clock):
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            sent = await channel.send(config, a_message(), None)

            for reason in (Reason.NOTE, Reason.SOME_RESOLVED, Reason.SNOOZED):
                again = await channel.send(config, a_message(reason=reason), sent)
                assert again.ids == sent.ids
                assert "nothing was sent" in again.answer

            assert len(server.requests) == 1

    async def test_nobody_is_woken_for_what_somebody_is_on(self, server, client, clock):
        """An acknowledged incident that PagerDuty never heard of is not opened there; given back, it is."""
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            taken = a_message(event=ACKNOWLEDGED, reason=Reason.FALLBACK)

            sent = await channel.send(config, taken, None)

            assert server.incidents == []
            assert [one["event_action"] for one in server.dropped] == ["acknowledge"]
            await channel.send(config, a_message(reason=Reason.UNACKNOWLEDGED), sent)
            assert [one.status for one in server.incidents] == ["triggered"]

    async def test_the_key_stays_when_the_group_key_changes(self, server, client, clock):
        """Alertmanager's group key changes with its routes; the incident in PagerDuty is still found."""
        async with server:
            channel, config = self.channel(client, clock), self.config(server)
            sent = await channel.send(config, a_message(), None)
            renamed = some_facts(group_key='{}/{team="dba"}:{alertname="DiskFull"}')

            end = a_message(event=RESOLVED, reason=Reason.ALL_RESOLVED, facts=renamed)
            await channel.send(config, end, sent)

            assert [one.status for one in server.incidents] == ["resolved"]

    async def test_an_attempt_repeated_after_a_lost_answer_pages_once(self, server, client, clock):
        async with server:
            server.fails(Reply(is_never=True))
            with pytest.raises(TemporaryFailure) as failure:
                await self.channel(client, clock).send(
                    self.config(server, timeout="100ms"), a_message(), None
                )

            assert not failure.value.is_ambiguous  # the dedup_key makes it one and the same
            server.answer(server.requests[0])  # it had arrived after all
            await self.channel(client, clock).send(self.config(server), a_message(), None)
            assert len(server.pages) == 1

    async def test_the_reason_names_what_pagerduty_finds_wrong(self, server, client, clock):
        async with server:
            complaint = {
                "status": "invalid event",
                "message": "Event object is invalid",
                "errors": ["Length of 'routing_key' is incorrect (should be 32 characters)"],
            }
            server.fails(as_json(complaint, 400))

            with pytest.raises(PermanentFailure, match=r"Event object is invalid.*Length of 'routing_key'"):
                await self.channel(client, clock).send(self.config(server), a_message(), None)

    @pytest.mark.parametrize(
        ("reply", "failure"),
        [
            pytest.param(Reply(body=b"<html>Log in</html>"), TemporaryFailure, id="a captive portal"),
            pytest.param(Reply(status=202, body=b'{"status":"succ'), TemporaryFailure, id="half an answer"),
            pytest.param(Reply(status=202, body=b"[]"), TemporaryFailure, id="no object"),
            pytest.param(as_json({"status": "throttled"}, 202), TemporaryFailure, id="another status"),
            pytest.param(
                as_json({"status": "invalid event", "errors": ["x"]}, 200), PermanentFailure, id="invalid"
            ),
            pytest.param(Reply(status=202, body=b"[" * 50_000), TemporaryFailure, id="nested deeply"),
        ],
    )
    async def test_a_2xx_without_success_is_none(self, server, client, clock, reply, failure):
        async with server:
            server.fails(reply)

            with pytest.raises(failure):
                await self.channel(client, clock).send(self.config(server), a_message(), None)

    async def test_the_routing_key_is_read_from_its_file_at_each_send(self, server, client, clock, tmp_path):
        file = tmp_path / "key"
        other = KEY[::-1]
        async with server:
            config = self.config(server, routing_key=None, routing_key_file=str(file))
            for key in (KEY, other):
                file.write_text(key + "\n")
                await self.channel(client, clock).send(config, a_message(), None)

            assert [one["routing_key"] for one in server.events] == [KEY, other]

    @pytest.mark.parametrize("text", ["", "short", KEY + "x", "0" * 31 + "\u0661"])
    async def test_a_key_that_cannot_be_one_is_not_sent(self, server, client, clock, tmp_path, text):
        file = tmp_path / "key"
        file.write_text(text)
        async with server:
            with pytest.raises(PermanentFailure) as failure:
                await self.channel(client, clock).send(
                    self.config(server, routing_key=None, routing_key_file=str(file)), a_message(), None
                )

            assert not text or text not in str(failure.value)
            assert server.requests == []

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    async def test_whatever_alerts_hold_the_event_is_accepted(self, server, client, clock, text):
        """Names and values of any length and number are shortened until PagerDuty takes the event."""
        pairs = {f"{text[:200]}{number}": text * 3 for number in range(60)} | {"alertname": text}
        incident = an_incident(title=text, labels=pairs, annotations=pairs, severity=text)
        alerts = [an_alert(labels=pairs, annotations=pairs, generator_url=text) for _ in range(50)]
        facts = some_facts(
            incident=incident, alerts=alerts, runbook_url=text, dashboard_url=text, external_url=text
        )

        async with server:
            message = replace(a_message(), facts=facts)
            await self.channel(client, clock).send(self.config(server), message, None)

            assert len(server.requests[0].body) <= MAX_EVENT
            assert len(server.incidents) == 1

    async def test_it_has_nothing_to_confirm(self, server, client, clock):
        """What was done in PagerDuty is shown there already; nothing is sent."""
        heard = Heard(Verb.RESOLVE, None, "k", ("pagerduty", "P1"), "Ana", "pagerduty:1")

        async with server:
            await self.channel(client, clock).confirm(heard, "resolved", [self.config(server)])

            assert server.requests == []


@pytest.mark.parametrize("name", TOLD)
def test_events_look_as_they_did(name):
    known = "untold" if EVENTS[name].is_first else "triggered"
    events = sent_as(as_message("pagerduty", name), known)

    assert [errors_in(one) for one in events] == [[] for _ in events]
    check_golden("pagerduty", name, "json", events)


def test_the_end_is_alertmanagers_end_without_what_is_not_needed():
    """The captured events of Alertmanager and ours speak of the same incident to the same integration."""
    group = some_facts(group_key='{}:{alertname="DiskFull"}')
    config = PagerDutyConfig(routing_key="0123456789abcdef0123456789abcdef")
    begun, ended = ALERTMANAGER
    (ours,) = sent_as(a_message(facts=group), config=config)
    (end,) = sent_as(a_message(event=RESOLVED, facts=group), "triggered", config)

    assert ours["dedup_key"] == begun["dedup_key"] == end["dedup_key"] == ended["dedup_key"]
    assert (ours["event_action"], end["event_action"]) == (begun["event_action"], ended["event_action"])
    assert ours.keys() >= begun.keys()
    assert ours["payload"].keys() >= begun["payload"].keys()
    assert ours["payload"]["custom_details"].keys() >= begun["payload"]["custom_details"].keys()
    assert end.keys() == ended.keys() - {"payload", "client", "client_url"}


def test_details_are_written_as_alertmanager_writes_them():
    """Rules that read `firing` in PagerDuty go on working."""
    alerts = [
        an_alert(
            labels=LABELS | {"instance": f"db-{n}"},
            annotations={
                "runbook_url": "https://runbooks.example.com/DiskFull",
                "summary": f"Disk on db-{n} is 9{n}% full & <growing>",
            },
            generator_url="http://prometheus.example.com:9090/graph?g0.expr=disk%3E90&g0.tab=1",
        )
        for n in (1, 2)
    ]
    (ours,) = sent_as(a_message(facts=some_facts(alerts=alerts)))
    theirs = ALERTMANAGER[0]["payload"]["custom_details"]

    assert ours["payload"]["custom_details"] | theirs == ours["payload"]["custom_details"]


@pytest.mark.parametrize(
    ("changes", "is_alertmanagers"),
    [
        pytest.param({}, True, id="an incident that is a group"),
        pytest.param({"group_key": ""}, False, id="no group key"),
        pytest.param({"incident": an_incident(drill=True)}, False, id="a drill"),
        pytest.param(
            {"group_labels": {"alertname": "DiskFull", "instance": "db-1"}}, False, id="a part of a group"
        ),
        pytest.param({"group_labels": {}}, False, id="several groups"),
    ],
)
def test_the_key_is_alertmanagers_where_the_incident_is_its_group(changes, is_alertmanagers):
    """A part of a group has a key of its own: the end of one part must not end the others."""
    facts = some_facts(**changes)

    key = dedup_key(a_message(facts=facts), None)

    alertmanagers = hashlib.sha256(facts["group_key"].encode()).hexdigest()
    assert key == alertmanagers if is_alertmanagers else key.startswith("c0ffee-")


def test_two_tocsins_have_different_keys():
    """Both may tell one integration, and both have an incident 7."""
    ours = a_message(facts=some_facts(group_key=""))
    theirs = a_message(facts=some_facts(group_key="", public_url="https://other.example.org"))

    assert dedup_key(ours, None) != dedup_key(theirs, None)


@pytest.mark.parametrize(
    ("ours", "keys", "theirs"),
    [
        ("critical", {}, "critical"),
        ("page", {}, "critical"),
        ("warning", {}, "warning"),
        ("info", {}, "info"),
        ("none", {}, "info"),
        ("disaster", {}, "error"),
        ("disaster", {"severities": {"disaster": "critical"}}, "critical"),
        ("critical", {"severities": {"critical": "error"}}, "error"),
        ("critical", {"severity": "info"}, "info"),
    ],
)
def test_severities_are_pagerdutys(ours, keys, theirs):
    facts = some_facts(incident=an_incident(severity=ours))

    (sent,) = sent_as(a_message(facts=facts), config=PagerDutyConfig(routing_key=KEY, **keys))

    assert sent["payload"]["severity"] == theirs


def test_what_is_configured_is_shown():
    """Alertmanager's keys mean what they mean there; what alerts say themselves is the default."""
    config = PagerDutyConfig.model_validate(
        {
            "routing_key": KEY,
            "class": "disk",
            "component": "postgres",
            "group": "eu",
            "source": "db",
            "client": "alerts",
            "client_url": "https://example.org",
            "details": {"owner": "dba", "why": "ours"},
            "links": [{"href": "https://wiki.example.org", "text": "Wiki"}],
            "images": [{"src": "https://example.org/a.png"}],
        }
    )
    picture = an_incident(annotations={"image_url": "https://grafana.example.org/render/1.png"})

    (sent,) = sent_as(a_message(facts=some_facts(incident=picture)), config=config)

    payload = sent["payload"]
    assert [payload[name] for name in ("class", "component", "group", "source")] == [
        "disk", "postgres", "eu", "db",
    ]  # fmt: skip
    assert (sent["client"], sent["client_url"]) == ("alerts", "https://example.org")
    assert payload["custom_details"]["owner"] == "dba"
    assert payload["custom_details"]["why"] == "ours"
    assert {"href": "https://wiki.example.org", "text": "Wiki"} in sent["links"]
    assert [image["src"] for image in sent["images"]] == [
        "https://example.org/a.png", "https://grafana.example.org/render/1.png",
    ]  # fmt: skip
    assert errors_in(sent) == []


def test_the_summary_says_on_a_lock_screen_what_is_wrong():
    (sent,) = sent_as(a_message())

    assert sent["payload"]["summary"] == "DiskFull db-1 (2 firing): Disk on db-1 is 91% full & <growing>"


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"fallback_for": "slack #ops"}, ("fallback_for", "slack #ops could not be reached")),
        ({"alerts_omitted": 3, "truncated_alerts": 4}, ("left_out", "7 more alerts")),
        ({"incident": an_incident(drill=True)}, ("drill", "an exercise")),
    ],
)
def test_details_say_what_must_not_be_missed(facts, shown):
    (sent,) = sent_as(a_message(facts=some_facts(**facts)))

    name, words = shown
    assert words in sent["payload"]["custom_details"][name]


@pytest.mark.parametrize(
    ("event_", "reason", "known", "actions", "then"),
    [
        (TRIGGERED, Reason.FIRST, "untold", ("trigger",), "triggered"),
        (TRIGGERED, Reason.NOTE, "untold", ("trigger",), "triggered"),
        (TRIGGERED, Reason.REPEAT_DUE, "triggered", ("trigger",), "triggered"),
        (TRIGGERED, Reason.ESCALATED, "triggered", ("trigger",), "triggered"),
        (TRIGGERED, Reason.REOPENED, "resolved", ("trigger",), "triggered"),
        (TRIGGERED, Reason.SOME_RESOLVED, "resolved", ("trigger",), "triggered"),
        (TRIGGERED, Reason.MORE_SEVERE, "acknowledged", ("resolve", "trigger"), "triggered"),
        (ACKNOWLEDGED, Reason.ACKNOWLEDGED, "triggered", ("acknowledge",), "acknowledged"),
        (ACKNOWLEDGED, Reason.MORE_SEVERE, "triggered", ("trigger", "acknowledge"), "acknowledged"),
        (ACKNOWLEDGED, Reason.NEW_ALERTS, "acknowledged", ("trigger",), "acknowledged"),
        (ACKNOWLEDGED, Reason.NOTE, "acknowledged", (), "acknowledged"),
        (ACKNOWLEDGED, Reason.REOPENED, "resolved", ("acknowledge",), "maybe"),
        (ACKNOWLEDGED, Reason.FALLBACK, "untold", ("acknowledge",), "maybe"),
        (ACKNOWLEDGED, Reason.MORE_SEVERE, "maybe", (), "maybe"),
        (TRIGGERED, Reason.UNACKNOWLEDGED, "maybe", ("resolve", "trigger"), "triggered"),
        (TRIGGERED, Reason.FIRST, "succeeded", ("resolve", "trigger"), "triggered"),
        (ACKNOWLEDGED, Reason.ACKNOWLEDGED, "succeeded", ("resolve",), "resolved"),
        (RESOLVED, Reason.ALL_RESOLVED, "acknowledged", ("resolve",), "resolved"),
        (RESOLVED, Reason.FLAPPING, "untold", ("resolve",), "resolved"),
    ],
)
def test_what_is_sent_follows_from_what_pagerduty_knows(event_, reason, known, actions, then):
    assert events_for(a_message(event=event_, reason=reason), known) == (actions, then)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        pytest.param({}, "exactly one", id="no key"),
        pytest.param({"routing_key": KEY, "routing_key_file": "/a"}, "exactly one", id="two keys"),
        pytest.param({"routing_key": KEY, "url": "events.pagerduty.com"}, "not a URL", id="no URL"),
        pytest.param({"routing_key": KEY, "severity": "page"}, "critical", id="another severity"),
        pytest.param(
            {"routing_key": KEY, "severities": {"page": "P1"}}, "critical", id="another severity for one"
        ),
        pytest.param(
            {"routing_key": KEY, "class": "{{ .GroupLabels.x }}"}, "templates are not run", id="a template"
        ),
        pytest.param(
            {"routing_key": KEY, "details": {"a": "{{ .x }}"}}, "templates are not run", id="in details"
        ),
        pytest.param({"routing_key": KEY, "webhook_secret": " "}, "proves nothing", id="an empty secret"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys, complaint):
    with pytest.raises(ValidationError, match=complaint) as error:
        PagerDutyConfig.model_validate(keys)

    assert KEY not in str(error.value)


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        ("service_key: abc", "add an Events API v2 integration"),
        ("service_key_file: /run/key", "add an Events API v2 integration"),
        ("description: x", "what is said is written by Tocsin"),
        ("routing_kee: x", 'did you mean "routing_key"'),
    ],
)
def test_what_people_bring_from_alertmanager_is_explained(entry, advice):
    text = f"""
receivers:
  - name: ops
    pagerduty_configs:
      - {{routing_key: {KEY}, {entry}}}
route: {{receiver: ops}}
"""
    with pytest.raises(ConfigError, match=advice):
        parse(text, {})


def test_destinations_differ_by_key_and_region_and_hide_the_key():
    names = [
        PagerDutyConfig(routing_key=KEY).destination,
        PagerDutyConfig(routing_key=KEY[::-1]).destination,
        PagerDutyConfig(routing_key=KEY, url="https://events.eu.pagerduty.com/v2/enqueue").destination,
        PagerDutyConfig(routing_key_file="/run/secrets/pagerduty").destination,
    ]

    assert len(set(names)) == 4
    assert names[2].startswith("pagerduty events.eu.pagerduty.com #")
    assert names[3] == "pagerduty /run/secrets/pagerduty"
    assert not any(KEY in name for name in names)
    assert all(name.startswith("pagerduty ") for name in names)


def test_regions_fail_apart():
    usual = PagerDutyConfig(routing_key=KEY)
    europe = PagerDutyConfig(routing_key=KEY, url="https://events.eu.pagerduty.com/v2/enqueue")

    assert (usual.service, europe.service) == ("pagerduty", "pagerduty events.eu.pagerduty.com")


# What people do in PagerDuty


@pytest.fixture
def ears() -> PagerDuty:
    return PagerDuty(Client(FakeClock()), FakeClock())


def inbound(headers: dict[str, str], body: bytes, at: datetime = START) -> Inbound:
    return Inbound({name.lower(): value for name, value in headers.items()}, body, at)


def signed(said: Any, at: datetime = START) -> Inbound:
    body = json.dumps(said).encode()
    return inbound({"X-PagerDuty-Signature": f"v1={signature(WEBHOOK_SECRET, body)}"}, body, at)


def an_event(**changes: Any) -> dict[str, Any]:
    said = json.loads(FakePagerDuty().webhook("incident.acknowledged", {"incident_key": "c0ffee"})[1])
    return {"event": said["event"] | changes}


@pytest.mark.parametrize("case", SIGNATURES, ids=lambda case: case["name"])
def test_signatures_are_checked_on_the_raw_body(ears, case):
    """Every case that PagerDuty's own library tests, and ours; an empty secret never proves anything."""
    secret = {"webhook_secret": case["secret"]} if case["secret"] else {}
    config = PagerDutyConfig(routing_key=KEY, **secret)
    posted = inbound({"X-PagerDuty-Signature": case["header"]}, case["body"].encode())

    if case["valid"]:
        assert ears.hear(posted, [config]) == []  # a priority says nothing to us
    else:
        with pytest.raises(Forged) as forged:
            ears.hear(posted, [config])
        assert not case["secret"] or case["secret"] not in str(forged.value)


def test_without_a_header_nothing_is_believed(ears):
    with pytest.raises(Forged, match="no v1 signature"):
        ears.hear(inbound({}, b"{}"), [CONFIG])


def test_without_a_secret_nothing_is_believed(ears, tmp_path):
    """Not configured, empty or unreadable: then the signature of an empty key is worth nothing."""
    body = b"{}"
    empty = tmp_path / "empty"
    empty.write_text("\n")
    headers = {"X-PagerDuty-Signature": f"v1={signature('', body)}"}
    files = {"webhook_secret_file": str(empty), "webhook_secret_files": [str(tmp_path / "missing")]}

    for keys in ({}, files):
        with pytest.raises(Forged, match="no entry of pagerduty_configs has a webhook_secret"):
            ears.hear(inbound(headers, body), [PagerDutyConfig(routing_key=KEY, **keys)])


def test_any_configured_secret_may_have_signed(ears, tmp_path):
    """Several webhooks have a secret each; a file is read when a webhook comes, for it is rotated."""
    file = tmp_path / "secret"
    configs = [
        PagerDutyConfig(routing_key=KEY),
        PagerDutyConfig(routing_key=KEY, webhook_secrets=["one", "two"]),
        PagerDutyConfig(
            routing_key=KEY, webhook_secret_file=str(file), webhook_secret_files=[str(file) + "2"]
        ),
    ]
    (tmp_path / "secret2").write_text("four\n")
    file.write_text("three\n")

    for secret in ("one", "two", "three", "four"):
        headers, body = FakePagerDuty().webhook("pagey.ping", {}, secrets=(secret,))
        assert ears.hear(inbound(headers, body), configs) == []
    file.write_text("five")
    headers, body = FakePagerDuty().webhook("pagey.ping", {}, secrets=("three",))
    with pytest.raises(Forged, match="no signature matches"):
        ears.hear(inbound(headers, body), configs)


def test_while_a_secret_is_rotated_either_signature_is_enough(ears):
    headers, body = FakePagerDuty().webhook("pagey.ping", {}, secrets=("another", WEBHOOK_SECRET))

    assert ears.hear(inbound(headers, body), [CONFIG]) == []


@pytest.mark.parametrize(
    ("kind", "verb"),
    [
        ("incident.acknowledged", Verb.ACKNOWLEDGE),
        ("incident.unacknowledged", Verb.UNACKNOWLEDGE),
        ("incident.resolved", Verb.RESOLVE),
    ],
)
def test_what_a_person_does_is_heard(ears, kind, verb):
    headers, body = FakePagerDuty().webhook(kind, {"type": "incident", "incident_key": "c0ffee"})

    (heard,) = ears.hear(inbound(headers, body), [CONFIG])

    happened = json.loads(body)["event"]
    assert heard == Heard(
        verb=verb,
        incident_id=None,
        dedup_key="c0ffee",
        contact=("pagerduty", ANA["id"]),
        person="Ana",
        key=f"pagerduty:{happened['id']}",
        said_at=datetime.fromisoformat(happened["occurred_at"]),
    )


def test_a_note_is_heard_where_it_names_the_incident(ears):
    """The documented body of a note names PagerDuty's id only; where it names the key, it is a note of ours."""
    note = {
        "type": "incident_note",
        "content": "restarted\nit\u202e",
        "incident": {"id": "P1", "incident_key": "c0ffee", "type": "incident_reference"},
    }

    (heard,) = ears.hear(signed(an_event(event_type="incident.annotated", data=note)), [CONFIG])

    assert (heard.verb, heard.text, heard.dedup_key) == (Verb.NOTE, "restarted\nit", "c0ffee")
    del note["incident"]["incident_key"]
    assert ears.hear(signed(an_event(event_type="incident.annotated", data=note)), [CONFIG]) == []


@pytest.mark.parametrize("kind", WEBHOOKS)
def test_recorded_webhooks_without_an_incident_key_say_nothing(ears, kind):
    """The webhooks of 2021 name no key; then we cannot know which incident is meant, and do not guess."""
    said = WEBHOOKS[kind]
    at = datetime.fromisoformat(said["event"]["occurred_at"])

    assert ears.hear(signed(said, at), [CONFIG]) == []


@pytest.mark.parametrize("kind", ["acknowledged", "resolved"])
def test_recorded_webhooks_are_heard_once_they_name_the_key(ears, kind):
    said = json.loads(json.dumps(WEBHOOKS[kind]))
    said["event"]["data"]["incident_key"] = "c0ffee"
    at = datetime.fromisoformat(said["event"]["occurred_at"])

    (heard,) = ears.hear(signed(said, at), [CONFIG])

    assert (heard.contact, heard.person) == (("pagerduty", "PJ0LVEB"), "PIG 208")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(an_event(agent=INTEGRATION), id="by our own integration"),
        pytest.param(an_event(agent=None), id="by nobody"),
        pytest.param(an_event(agent={"type": "service_reference", "id": "P1"}), id="by a service"),
        pytest.param(an_event(agent="Ana"), id="by a word"),
        pytest.param(an_event(event_type="pagey.ping"), id="a test of the webhook"),
        pytest.param(an_event(event_type="incident.reopened"), id="reopened"),
        pytest.param(an_event(event_type="incident.triggered"), id="triggered"),
        pytest.param(an_event(event_type="incident.workflow.started"), id="what is not known yet"),
        pytest.param(an_event(event_type=None), id="no type"),
        pytest.param(an_event(data=None), id="no data"),
        pytest.param(an_event(data={"incident_key": ""}), id="an empty key"),
        pytest.param(an_event(data={"incident_key": 7}), id="a key that is no text"),
        pytest.param({"event": []}, id="no event"),
        pytest.param([], id="no object"),
        pytest.param({"messages": [{"event": "incident.acknowledge"}]}, id="a webhook of version 2"),
    ],
)
def test_what_says_nothing_to_us_is_accepted(ears, said):
    """Unknown events are ignored with a 2xx; what we did ourselves must not come back to us."""
    assert ears.hear(signed(said), [CONFIG]) == []


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b'{"event":', b"[" * 100_000])
def test_a_signed_body_that_is_no_event_says_nothing(ears, body):
    posted = inbound({"X-PagerDuty-Signature": f"v1={signature(WEBHOOK_SECRET, body)}"}, body)

    assert ears.hear(posted, [CONFIG]) == []


@pytest.mark.parametrize(
    ("late", "is_heard"),
    [(timedelta(minutes=20), True), (timedelta(hours=24), True), (timedelta(hours=24, seconds=1), False)],
)
def test_an_old_event_is_a_replay(ears, late, is_heard):
    """PagerDuty gives up after 20 minutes; a group's next incident has the same key, and is another one."""
    occurred_at = START - late

    heard = ears.hear(signed(an_event(occurred_at=occurred_at.isoformat())), [CONFIG])

    assert bool(heard) is is_heard


@pytest.mark.parametrize("occurred_at", [None, "yesterday", "2026-11-20T03:12:00"])
def test_an_event_without_a_time_is_believed(ears, occurred_at):
    """It is signed; that it is heard only once is up to its id."""
    assert len(ears.hear(signed(an_event(occurred_at=occurred_at)), [CONFIG])) == 1


def test_what_people_call_themselves_is_harmless(ears):
    named = {**ANA, "summary": "Ana\r\nResolved by nobody\u202e" + "x" * 500}

    (heard,) = ears.hear(signed(an_event(agent=named)), [CONFIG])

    assert "\n" not in heard.person
    assert "\u202e" not in heard.person
    assert len(heard.person) <= 100


def test_the_same_event_has_the_same_key(ears):
    """Whichever webhook tells of it, and however often: it is done once."""
    said, again = signed(an_event(id=None)), signed(an_event(id=None))

    (one,), (other,) = ears.hear(said, [CONFIG]), ears.hear(again, [CONFIG])

    assert one.key == other.key


# The fake itself, where what it does is what the channel relies on


async def test_the_fake_drops_what_pagerduty_drops(client, clock):
    """An end of what is not open, or from another integration, is accepted and forgotten."""
    async with FakePagerDuty(KEY, KEY[::-1]) as server:
        config = PagerDutyConfig(routing_key=KEY, url=server.enqueue_url, allow_private_addresses=True)
        other = PagerDutyConfig(routing_key=KEY[::-1], url=server.enqueue_url, allow_private_addresses=True)
        channel = PagerDuty(client, clock)
        sent = await channel.send(config, a_message(), None)
        end = a_message(event=RESOLVED, reason=Reason.ALL_RESOLVED)

        await channel.send(other, end, sent)
        assert [one.status for one in server.incidents] == ["triggered"]
        await channel.send(config, end, Sent(ids={"dedup_key": "unknown"}))
        assert [one.status for one in server.incidents] == ["triggered"]
        await channel.send(config, end, sent)
        await channel.send(config, a_message(), sent)

        assert [one.status for one in server.incidents] == ["resolved", "triggered"]
        assert len(server.dropped) == 2


def test_the_fake_tells_of_what_people_press():
    lines: list[str] = []
    server = FakePagerDuty(says=lines.append)
    server._take(sent_as(a_message())[0])

    _, body = server.press(server.incidents[0], "acknowledge", at=datetime(2026, 11, 20, 3, 14, tzinfo=UTC))

    said = json.loads(body)["event"]
    assert (said["event_type"], said["data"]["status"]) == ("incident.acknowledged", "acknowledged")
    assert said["occurred_at"] == "2026-11-20T03:14:00.000Z"
    assert lines[0].startswith("#1 triggered")
    assert lines[1].startswith("#1 acknowledged")
