"""How is an incident told to Opsgenie, or to Jira Service Management?"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from receiver.channels.base import PermanentFailure, Sent, TemporaryFailure
from receiver.channels.client import Client
from receiver.channels.opsgenie import (
    MAX_DESCRIPTION,
    MAX_MESSAGE,
    Opsgenie,
    OpsgenieConfig,
    alert,
    description,
)
from receiver.channels.words import dedup_key
from receiver.policy.incident import MessageEvent, Reason
from tests.channels.contract import HOSTILE, ChannelContract, a_message
from tests.channels.events import DIGESTS, EVENTS, as_message, check_golden
from tests.fakes.facts import an_alert, an_incident, some_facts
from tests.fakes.http import Reply, as_json
from tests.fakes.opsgenie import JSM, KEY, FakeOpsgenie

FIXTURES = Path(__file__).parent.parent / "fixtures" / "opsgenie"
ALERTMANAGER = json.loads((FIXTURES / "alertmanager.json").read_text())
CONFIG = OpsgenieConfig(api_key=KEY)
TOLD = [name for name in EVENTS if name not in DIGESTS]
ACKNOWLEDGED, RESOLVED, TRIGGERED = MessageEvent.ACKNOWLEDGED, MessageEvent.RESOLVED, MessageEvent.TRIGGERED
FIRST = a_message()
TAKEN = a_message(event=ACKNOWLEDGED, reason=Reason.ACKNOWLEDGED)
GIVEN_BACK = a_message(reason=Reason.UNACKNOWLEDGED)
ENDED = a_message(event=RESOLVED, reason=Reason.ALL_RESOLVED)


class OpsgenieContract(ChannelContract):
    is_jsm: bool

    @pytest.fixture
    def server(self):
        return FakeOpsgenie(is_jsm=self.is_jsm)

    def channel(self, client, clock):
        return Opsgenie(client, clock)

    def config(self, server, **changes: Any):
        return OpsgenieConfig(
            **{"api_key": KEY, "api_url": server.api_url, "allow_private_addresses": True, **changes}
        )

    def secrets(self):
        return [KEY]

    def arrived(self, server):
        return json.dumps([one.made for one in server.alerts], ensure_ascii=False)

    def check_harmless(self, arrived: str, text: str) -> None:  # noqa: ARG002
        """The message is one short line without control characters; Opsgenie shows it as plain text."""
        (made,) = json.loads(arrived)
        assert 0 < len(made["message"]) <= MAX_MESSAGE
        assert made["message"].isprintable() or "\u200d" in made["message"]
        assert "\u202e" not in arrived

    async def tell(self, server, client, clock, *messages, **keys: Any) -> Sent | None:
        """Send messages of one conversation, one after the other."""
        sent = None
        for message in messages:
            sent = await self.channel(client, clock).send(self.config(server, **keys), message, sent)
        return sent

    def paths(self, server) -> list[str]:
        """What was asked, without the alias."""
        alias = dedup_key(FIRST, None)
        return [
            f"{one.method} {one.path.removeprefix(JSM).replace(alias, 'ALIAS').removesuffix('?identifierType=alias')}"
            for one in server.requests
        ]

    async def test_a_conversation_is_one_alert_there(self, server, client, clock):
        async with server:
            await self.tell(server, client, clock, FIRST, TAKEN, ENDED)

            (one,) = server.alerts
            assert (one.status, one.is_acknowledged, one.count) == ("closed", True, 1)
            assert len(server.pages) == 1
            assert self.paths(server) == [
                "POST /v2/alerts",
                "POST /v2/alerts/ALIAS/acknowledge",
                "POST /v2/alerts/ALIAS/close",
            ]

    async def test_what_is_given_back_pages_again(self, server, client, clock):
        async with server:
            sent = await self.tell(server, client, clock, FIRST, TAKEN, GIVEN_BACK)

            (still_open,) = server.open_alerts()
            assert not still_open.is_acknowledged
            assert len(server.pages) == 2
            await self.channel(client, clock).send(self.config(server), ENDED, sent)
            assert server.open_alerts() == []

    async def test_given_back_twice_pages_twice(self, server, client, clock):
        async with server:
            sent = await self.tell(server, client, clock, FIRST, TAKEN, GIVEN_BACK, TAKEN, GIVEN_BACK)

            assert len(server.pages) == 3
            assert len(server.open_alerts()) == 1
            await self.channel(client, clock).send(self.config(server), ENDED, sent)
            assert server.open_alerts() == []

    async def test_giving_back_again_after_a_lost_answer_changes_nothing_more(self, server, client, clock):
        """An attempt that failed half way begins anew, and ends as one that did not."""
        async with server:
            sent = await self.tell(server, client, clock, FIRST, TAKEN)
            await self.channel(client, clock).send(self.config(server), GIVEN_BACK, sent)
            pages = len(server.pages)

            await self.channel(client, clock).send(self.config(server), GIVEN_BACK, sent)

            assert len(server.pages) == pages
            assert len(server.open_alerts()) == 1

    async def test_a_higher_severity_is_noted(self, server, client, clock):
        worse = some_facts(incident=an_incident(severity="critical"), reason_text="the severity rose")
        first = some_facts(incident=an_incident(severity="warning"))
        async with server:
            await self.tell(
                server, client, clock,
                a_message(facts=first), a_message(facts=worse, reason=Reason.MORE_SEVERE),
            )  # fmt: skip

            (one,) = server.alerts
            assert one.priority == ("P3" if self.is_jsm else "P1")
            assert "the severity rose" in one.notes[-1]
            assert (one.count, len(server.pages)) == (2, 1)

    @pytest.mark.parametrize("reason", [Reason.NOTE, Reason.SOME_RESOLVED, Reason.SNOOZED])
    async def test_what_asks_nobody_to_act_is_a_note(self, server, client, clock, reason):
        async with server:
            await self.tell(server, client, clock, FIRST, a_message(reason=reason))

            assert self.paths(server)[1:] == ["POST /v2/alerts/ALIAS/notes"]
            assert server.alerts[0].count == 1

    async def test_a_reminder_opens_what_a_person_closed(self, server, client, clock):
        """It fires still, and nobody acknowledged it in Tocsin: an alert closed by hand comes back."""
        async with server:
            sent = await self.tell(server, client, clock, FIRST)
            server.alerts[0].status = "closed"

            await self.channel(client, clock).send(
                self.config(server), a_message(reason=Reason.REPEAT_DUE), sent
            )

            assert [one.status for one in server.alerts] == ["closed", "open"]

    async def test_nobody_is_woken_for_what_somebody_is_on(self, server, client, clock):
        async with server:
            taken = a_message(event=ACKNOWLEDGED, reason=Reason.FALLBACK)

            sent = await self.tell(server, client, clock, taken)

            assert server.alerts == []
            assert server.results == [("acknowledge", False)]
            await self.channel(client, clock).send(self.config(server), GIVEN_BACK, sent)
            assert len(server.open_alerts()) == 1

    @pytest.mark.parametrize(("message", "shown"), [(FIRST, ["closed", "open"]), (TAKEN, ["closed"])])
    async def test_what_the_incident_before_left_open_is_closed_first(
        self, server, client, clock, message, shown
    ):
        """Where its end could not be told, the next incident tells it, and begins anew if it needs somebody."""
        async with server:
            before = await self.tell(server, client, clock, FIRST)
            assert before is not None

            taken_over = Sent(ids={**before.ids, "state": "succeeded"})
            sent = await self.channel(client, clock).send(self.config(server), message, taken_over)

            assert [one.status for one in server.alerts] == shown
            await self.channel(client, clock).send(self.config(server), ENDED, sent)
            assert server.open_alerts() == []

    async def test_who_acknowledged_is_said(self, server, client, clock):
        by_ana = some_facts(
            incident=an_incident(acknowledged_by="ana"), reason_text="acknowledged by ana, from Telegram"
        )
        async with server:
            await self.tell(
                server, client, clock,
                FIRST, a_message(event=ACKNOWLEDGED, reason=Reason.ACKNOWLEDGED, facts=by_ana),
            )  # fmt: skip

            assert server.alerts[0].notes[0].startswith("ana: acknowledged by ana, from Telegram")

    async def test_an_alert_that_is_gone_is_over(self, server, client, clock):
        """Deleted by a person: its end is no failure."""
        async with server:
            sent = await self.tell(server, client, clock, FIRST)
            server.fails(as_json({"message": "Alert does not exist", "requestId": "r"}, 404))

            ended = await self.channel(client, clock).send(self.config(server), ENDED, sent)

            assert ended.ids["state"] == "resolved"

    async def test_a_wrong_address_is_not_an_alert_that_is_gone(self, server, client, clock):
        async with server:
            sent = await self.tell(server, client, clock, FIRST)
            server.fails(Reply(status=404, body=b"<html>"))

            with pytest.raises(PermanentFailure, match="404"):
                await self.channel(client, clock).send(self.config(server), ENDED, sent)

    @pytest.mark.parametrize(
        ("status", "said", "reason"),
        [
            (401, {"message": "Key format is not valid!"}, "Key format is not valid!; check api_key"),
            (403, {"message": "You are not authorized for this operation"}, "is the integration switched on"),
            (
                422,
                {"message": "Request body is not processable.", "errors": {"tags": "Tags are too many."}},
                "tags: Tags are too many",
            ),
        ],
    )
    async def test_the_reason_names_what_opsgenie_finds_wrong(
        self, server, client, clock, status, said, reason
    ):
        async with server:
            server.fails(as_json(said, status))

            with pytest.raises(PermanentFailure, match=reason):
                await self.tell(server, client, clock, FIRST)

    @pytest.mark.parametrize(
        ("headers", "wait"),
        [
            ({"X_RateLimit_Period_In_Sec": "60", "X_RateLimit_Reason": "ACCOUNT"}, 60),
            ({"X_RateLimit_Period_In_Sec": "1", "Retry_After": "9"}, 9),
            ({"X_RateLimit_Period_In_Sec": "soon"}, None),
        ],
    )
    async def test_a_throttled_request_says_how_long(self, server, client, clock, headers, wait):
        async with server:
            server.fails(as_json({"message": "TooManyRequests"}, 429, **headers))

            with pytest.raises(TemporaryFailure, match="429") as failure:
                await self.tell(server, client, clock, FIRST)

            assert failure.value.retry_after == wait

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(Reply(status=200, body=b"<html>Log in</html>"), id="a captive portal"),
            pytest.param(Reply(status=202, body=b'{"result":"Req'), id="half an answer"),
            pytest.param(as_json({"message": "later"}, 202), id="no request id"),
        ],
    )
    async def test_a_2xx_that_is_not_opsgenies_has_not_arrived(self, server, client, clock, reply):
        async with server:
            server.fails(reply)

            with pytest.raises(TemporaryFailure, match="did not answer as Opsgenie does"):
                await self.tell(server, client, clock, FIRST)

    async def test_all_requests_of_one_attempt_share_its_time(self, server, client, clock):
        async with server:
            sent = await self.tell(server, client, clock, FIRST)
            server.fails(*(Reply(status=202, body=b'{"requestId":"r"}', delay=0.15) for _ in range(4)))
            worse = some_facts(incident=an_incident(severity="info"))

            with pytest.raises(TemporaryFailure, match=r"0\.4 s"):
                await self.channel(client, clock).send(
                    self.config(server, timeout="400ms"),
                    a_message(facts=worse, reason=Reason.MORE_SEVERE),
                    sent,
                )

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    async def test_whatever_alerts_hold_the_alert_is_accepted(self, server, client, clock, text):
        pairs = {f"{text[:200]}{number}": text for number in range(60)} | {"alertname": text}
        incident = an_incident(title=text, labels=pairs, annotations=pairs, severity=text, where=text)
        alerts = [an_alert(labels=pairs, annotations=pairs, generator_url=text) for _ in range(50)]
        facts = some_facts(
            incident=incident, alerts=alerts, runbook_url=text, dashboard_url=text, reason_text=text
        )

        async with server:
            message = replace(FIRST, facts=facts)
            await self.tell(server, client, clock, message, replace(message, reason=Reason.NEW_ALERTS))

            assert len(server.open_alerts()) == 1

    async def test_the_key_is_read_from_its_file_at_each_send(self, server, client, clock, tmp_path):
        file = tmp_path / "key"
        async with server:
            file.write_text("another")
            with pytest.raises(PermanentFailure, match="check api_key"):
                await self.tell(server, client, clock, FIRST, api_key=None, api_key_file=str(file))
            file.write_text(KEY + "\n")

            await self.tell(server, client, clock, FIRST, api_key=None, api_key_file=str(file))

            assert len(server.alerts) == 1

    async def test_a_key_cannot_smuggle_a_header(self, server, client, clock, tmp_path):
        file = tmp_path / "key"
        file.write_text("x\r\nX-Evil: yes")
        async with server:
            with pytest.raises(PermanentFailure, match="no key has"):
                await self.tell(server, client, clock, FIRST, api_key=None, api_key_file=str(file))

            assert server.requests == []


class TestOpsgenie(OpsgenieContract):
    is_jsm = False

    async def test_what_the_alert_shows_is_kept_up_to_date(self, server, client, clock):
        """Message, priority and description are changed where they differ, and only there."""
        first = some_facts(incident=an_incident(severity="warning", title="DiskFull"))
        worse = some_facts(incident=an_incident(severity="critical", title="DiskFull, DiskSlow"))
        async with server:
            await self.tell(
                server, client, clock,
                a_message(facts=first),
                a_message(facts=worse, reason=Reason.MORE_SEVERE),
                a_message(facts=worse, reason=Reason.REPEAT_DUE),
            )  # fmt: skip

            (one,) = server.alerts
            assert (one.priority, one.message[:18]) == ("P1", "DiskFull, DiskSlow")
            assert "severity critical" in one.description
            assert self.paths(server) == [
                "POST /v2/alerts",
                "POST /v2/alerts",
                "PUT /v2/alerts/ALIAS/message",
                "PUT /v2/alerts/ALIAS/priority",
                "PUT /v2/alerts/ALIAS/description",
                "POST /v2/alerts/ALIAS/notes",
                "POST /v2/alerts",
            ]

    async def test_updates_can_be_switched_off(self, server, client, clock):
        worse = some_facts(incident=an_incident(severity="info"))
        async with server:
            await self.tell(
                server, client, clock,
                FIRST, a_message(facts=worse, reason=Reason.MORE_SEVERE), update_alerts=False,
            )  # fmt: skip

            assert server.alerts[0].priority == "P1"
            assert not [path for path in self.paths(server) if path.startswith("PUT")]


class TestJiraServiceManagement(OpsgenieContract):
    is_jsm = True

    async def test_it_cannot_unacknowledge_so_another_alert_is_made(self, server, client, clock):
        """Under another alias: the service works asynchronously, so the end could overtake the beginning."""
        async with server:
            sent = await self.tell(server, client, clock, FIRST, TAKEN, GIVEN_BACK)

            assert sent is not None
            assert [one.status for one in server.alerts] == ["closed", "open"]
            assert server.alerts[1].alias == f"{server.alerts[0].alias}.2"
            assert sent.ids["dedup_key"] == server.alerts[0].alias


@pytest.mark.parametrize("name", TOLD)
async def test_requests_look_as_they_did(name, client, clock):
    """What each event becomes, as method, path and body."""
    message = as_message("opsgenie", name)
    async with FakeOpsgenie() as server:
        channel = Opsgenie(client, clock)
        config = OpsgenieConfig(api_key=KEY, api_url=server.api_url, allow_private_addresses=True)
        sent = None
        if not EVENTS[name].is_first:
            sent = await channel.send(config, as_message("opsgenie", "triggered"), None)
            server.requests.clear()

        await channel.send(config, message, sent)

        asked = [{"request": f"{one.method} {one.path}", "body": one.json()} for one in server.requests]
        assert all(is_success for _, is_success in server.results)
        check_golden("opsgenie", name, "json", asked)


def test_the_requests_are_alertmanagers():
    """The captured requests of Alertmanager and ours speak of the same alert, in the same way."""
    created, message, _, closed = ALERTMANAGER
    facts = some_facts(group_key='{}:{alertname="DiskFull"}')
    alias = dedup_key(a_message(facts=facts), None)

    ours = json.loads(alert(CONFIG, a_message(facts=facts), alias))

    assert alias == created["body"]["alias"]
    assert ours.keys() >= created["body"].keys()
    assert ours["details"] | created["body"]["details"] == ours["details"]
    assert message["path"].endswith(f"/v2/alerts/{alias}/message?identifierType=alias")
    assert closed["path"].endswith(f"/v2/alerts/{alias}/close?identifierType=alias")


@pytest.mark.parametrize(
    ("severity", "keys", "priority"),
    [
        ("critical", {}, "P1"),
        ("page", {}, "P1"),
        ("error", {}, "P2"),
        ("warning", {}, "P3"),
        ("info", {}, "P4"),
        ("none", {}, "P5"),
        ("disaster", {}, "P3"),
        ("disaster", {"priorities": {"disaster": "P1"}}, "P1"),
        ("critical", {"priority": "P2"}, "P2"),
    ],
)
def test_priorities_follow_from_the_severity(severity, keys, priority):
    facts = some_facts(incident=an_incident(severity=severity))

    made = json.loads(alert(OpsgenieConfig(api_key=KEY, **keys), a_message(facts=facts), "a"))

    assert made["priority"] == priority


def test_what_is_configured_is_shown():
    """Alertmanager's keys mean what they mean there."""
    config = OpsgenieConfig.model_validate(
        {
            "api_key": KEY,
            "responders": [
                {"type": "teams", "name": "dba, sre,"},
                {"type": "user", "username": "ana@example.org"},
                {"type": "schedule", "id": "4513b7ea"},
            ],
            "tags": "db, " + "x" * 60 + "," + ",".join(map(str, range(30))),
            "actions": "restart,",
            "entity": "db",
            "source": "alerts",
            "note": "see the wiki",
            "details": {"owner": "dba", "severity": "ours"},
        }
    )

    made = json.loads(alert(config, a_message(), "a"))

    assert made["responders"] == [
        {"type": "team", "name": "dba"},
        {"type": "team", "name": "sre"},
        {"type": "user", "username": "ana@example.org"},
        {"type": "schedule", "id": "4513b7ea"},
    ]
    assert (made["tags"][0], len(made["tags"]), len(made["tags"][1])) == ("db", 20, 50)
    assert made["actions"] == ["restart"]
    assert (made["entity"], made["source"], made["note"]) == ("db", "alerts", "see the wiki")
    assert (made["details"]["owner"], made["details"]["severity"]) == ("dba", "ours")


def test_the_description_says_what_where_and_where_to_look_further():
    text = description(some_facts(fallback_for="slack #ops", incident=an_incident(drill=True)))

    for words in (
        "This is an exercise",
        "slack #ops could not be reached",
        "Make room now.",
        "Since 2026-11-20T03:07:00Z",
        "Runbook: https://runbooks.example.org/DiskFull",
        "Incident: https://tocsin.example.org/incidents/7",
        "Firing: 2 of 2",
        "instance=db-1",
    ):
        assert words in text


def test_a_long_description_loses_values_before_alerts():
    alerts = [an_alert(labels={"instance": f"db-{n}", "query": "x" * 3000}) for n in range(40)]

    text = description(some_facts(alerts=alerts, incident=an_incident(alerts={"firing": 90, "total": 90})))

    assert len(text) <= MAX_DESCRIPTION
    assert "instance=db-9" in text
    assert "more" in text


@pytest.mark.parametrize(
    ("url", "posts_to"),
    [
        ("https://api.opsgenie.com/", "https://api.opsgenie.com/v2/alerts"),
        ("https://api.eu.opsgenie.com", "https://api.eu.opsgenie.com/v2/alerts"),
        (
            "https://api.atlassian.com/jsm/ops/integration",
            "https://api.atlassian.com/jsm/ops/integration/v2/alerts",
        ),
        (
            "https://api.atlassian.com/jsm/ops/integration/v2",
            "https://api.atlassian.com/jsm/ops/integration/v2/alerts",
        ),
        (
            "https://api.atlassian.com/jsm/ops/integration/v2/",
            "https://api.atlassian.com/jsm/ops/integration/v2/alerts",
        ),
    ],
)
def test_the_address_may_be_written_with_and_without_its_version(url, posts_to):
    assert OpsgenieConfig(api_key=KEY, api_url=url).alerts_url == posts_to


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        pytest.param({}, "exactly one", id="no key"),
        pytest.param({"api_key": KEY, "api_key_file": "/a"}, "exactly one", id="two keys"),
        pytest.param({"api_key": KEY, "api_url": "api.opsgenie.com"}, "not the URL of an API", id="no URL"),
        pytest.param({"api_key": KEY, "api_url": "https://a.example/?x=1"}, "not the URL", id="a query"),
        pytest.param({"api_key": KEY, "priority": "P6"}, "P1", id="another priority"),
        pytest.param({"api_key": KEY, "tags": "{{ .x }}"}, "templates are not run", id="a template"),
        pytest.param({"api_key": KEY, "responders": [{"type": "team"}]}, "exactly one", id="nobody"),
        pytest.param({"api_key": KEY, "details": {"a": "x" * 4000}}, "4000 characters", id="long details"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys, complaint):
    with pytest.raises(ValidationError, match=complaint) as error:
        OpsgenieConfig.model_validate(keys)

    assert KEY not in str(error.value)


def test_destinations_differ_by_key_and_address_and_hide_the_key():
    jsm = OpsgenieConfig(api_key=KEY, api_url="https://api.atlassian.com/jsm/ops/integration")
    names = [
        CONFIG.destination,
        OpsgenieConfig(api_key=KEY[::-1]).destination,
        jsm.destination,
        OpsgenieConfig(api_key_file="/run/secrets/opsgenie").destination,
    ]

    assert len(set(names)) == 4
    assert names[2].startswith("opsgenie api.atlassian.com #")
    assert names[3] == "opsgenie /run/secrets/opsgenie"
    assert not any(KEY in name for name in names)
    assert (CONFIG.service, jsm.service) == ("opsgenie", "opsgenie api.atlassian.com")


def test_the_fake_tells_what_it_is_told():
    """So that a person can watch it."""
    lines: list[str] = []
    server = FakeOpsgenie(says=lines.append)

    server._create(json.loads(alert(CONFIG, FIRST, "a" * 64)))
    server._create(json.loads(alert(CONFIG, FIRST, "a" * 64)))
    server._change("a" * 64, "close", {})

    assert lines[0].startswith("aaaaaaaaaaaa P1 DiskFull")
    assert "again, 2 times" in lines[1]
    assert "close" in lines[2]


async def test_the_clients_other_method_is_written_as_it_is(clock):
    """A PUT is a PUT on the wire."""
    async with FakeOpsgenie() as server:
        client = Client(clock)
        url = server.url("/v2/alerts/a/message?identifierType=alias")

        await client.post(
            url, method="PUT", content=b"{}", headers={}, timeout=5, private_allowed=True
        )  # fmt: skip
        await client.aclose()

        assert server.requests[0].method == "PUT"
