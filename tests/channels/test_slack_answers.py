"""What did a person press in Slack, and did it really come from there?"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from receiver.channels.base import Forged, Heard, Inbound
from receiver.channels.client import Client
from receiver.channels.slack import Slack, SlackConfig
from receiver.channels.slack_answers import is_slacks
from receiver.policy.incident import Verb
from tests.channels.contract import a_message
from tests.fakes.clock import START
from tests.fakes.http import Reply, Request
from tests.fakes.slack import SIGNING_SECRET, TOKEN, FakeSlack, signed

FIXTURES = Path(__file__).parent.parent / "fixtures/slack"
VECTORS = json.loads((FIXTURES / "signature_vectors.json").read_text(encoding="utf-8"))["cases"]
ANSWERING = SlackConfig(app_token=TOKEN, channel="#ops", signing_secret=SIGNING_SECRET)


@pytest.fixture
def slack(client, clock):
    return Slack(client, clock)


@pytest.fixture
def ear(clock):
    """A Slack that only listens: it needs no connection."""
    return Slack(Client(clock), clock)


@pytest.fixture
async def server():
    async with FakeSlack() as server:
        yield server


@pytest.fixture
def config(server):
    return SlackConfig(
        app_token=TOKEN, app_url=server.app_url, channel="#ops", signing_secret=SIGNING_SECRET,
        allow_private_addresses=True,
    )  # fmt: skip


def inbound(request: Request, at: datetime = START) -> Inbound:
    return Inbound(request.headers, request.body, at)


def interaction(payload: Any, *, at: datetime = START, secret: str = SIGNING_SECRET) -> Inbound:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    body = urlencode({"payload": text}).encode()
    return Inbound(signed(body, at, secret), body, START)


def a_press(value: str = "acknowledge:7", **changes: Any) -> dict[str, Any]:
    """As Slack posts it, with what we do not read left out."""
    return {
        "type": "block_actions",
        "user": {"id": "U00000001", "username": "ana", "name": "ana"},
        "response_url": "https://hooks.slack.com/actions/T00000001/1/x",
        "actions": [{"type": "button", "action_id": "acknowledge", "value": value}],
        **changes,
    }


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_a_request_is_believed_only_if_it_is_signed_rightly_and_lately(ear, tmp_path, case):
    file = tmp_path / "secret"
    file.write_text(case["signing_secret"])
    config = SlackConfig(app_token="x", channel="#ops", signing_secret_file=str(file))
    headers = {"x-slack-signature": case["signature"], "x-slack-request-timestamp": case["timestamp"]}
    said = Inbound(headers, case["body"].encode(), datetime.fromtimestamp(case["now"], UTC))

    if case["valid"]:
        assert ear.hear(said, [config]) == []  # none of these presses a button of ours
    else:
        with pytest.raises(Forged):
            ear.hear(said, [config])


@pytest.mark.parametrize("missing", ["x-slack-signature", "x-slack-request-timestamp"])
def test_a_request_without_a_header_is_forged(ear, missing):
    said = interaction(a_press())
    headers = {name: value for name, value in said.headers.items() if name != missing}

    with pytest.raises(Forged):
        ear.hear(Inbound(headers, said.body, said.at), [ANSWERING])


@pytest.mark.parametrize("stamp", ["\u0661" * 10, "-1", "1e9", "9" * 400, " 1531420618", "1531420618.5"])
def test_a_strange_timestamp_is_forged_and_no_crash(ear, stamp):
    said = interaction(a_press())

    with pytest.raises(Forged, match="no number"):
        ear.hear(Inbound({**said.headers, "x-slack-request-timestamp": stamp}, said.body, START), [ANSWERING])


@pytest.mark.parametrize(("seconds", "is_believed"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_what_was_signed_more_than_five_minutes_ago_may_be_a_replay(ear, seconds, is_believed):
    said = interaction(a_press(), at=START + timedelta(seconds=seconds))

    if is_believed:
        assert len(ear.hear(said, [ANSWERING])) == 1
    else:
        with pytest.raises(Forged, match="301 s off"):
            ear.hear(said, [ANSWERING])


def test_any_of_the_secrets_may_have_signed_it(ear):
    other = SlackConfig(app_token="x", channel="#dev", signing_secret="of another app")
    silent = SlackConfig(app_token="x", channel="#quiet")

    assert len(ear.hear(interaction(a_press()), [other, silent, ANSWERING])) == 1


def test_nothing_is_believed_where_no_secret_is_configured(ear):
    with pytest.raises(Forged, match="signing_secret"):
        ear.hear(interaction(a_press(), secret=""), [SlackConfig(app_token="x", channel="#ops")])


def test_a_secret_file_that_is_gone_does_not_silence_another_app(ear, tmp_path):
    gone = SlackConfig(app_token="x", channel="#dev", signing_secret_file=str(tmp_path / "gone"))

    assert len(ear.hear(interaction(a_press()), [gone, ANSWERING])) == 1
    with pytest.raises(Forged):
        ear.hear(interaction(a_press()), [gone])


def test_a_forged_request_quotes_no_secret(ear):
    with pytest.raises(Forged) as forged:
        ear.hear(interaction(a_press(), secret="wrong"), [ANSWERING])

    assert SIGNING_SECRET not in str(forged.value)


@pytest.mark.parametrize(
    ("label", "verb", "lasts"),
    [
        ("Acknowledge", Verb.ACKNOWLEDGE, None),
        ("Snooze 1 h", Verb.SNOOZE, timedelta(hours=1)),
        ("Resolve", Verb.RESOLVE, None),
    ],
)
async def test_a_pressed_button_says_who_wants_what(slack, server, config, label, verb, lasts):
    await slack.send(config, a_message(), None)

    [heard] = slack.hear(inbound(server.press(label, at=START)), [config])

    assert (heard.verb, heard.incident_id, heard.lasts) == (verb, 7, lasts)
    assert (heard.contact, heard.person) == (("slack", "U00000001"), "ana")


async def test_a_button_that_opens_a_page_says_nothing_to_us(slack, server, config):
    await slack.send(config, a_message(), None)

    assert slack.hear(inbound(server.press("Runbook", at=START)), [config]) == []


async def test_the_same_press_twice_has_one_key_and_two_presses_have_two(slack, server, config):
    await slack.send(config, a_message(), None)
    first, second = (server.press("Acknowledge", at=START) for _ in range(2))

    keys = [slack.hear(inbound(one), [config])[0].key for one in (first, first, second)]

    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(a_press("acknowledge"), id="no incident"),
        pytest.param(a_press("destroy:7"), id="no verb of ours"),
        pytest.param(a_press("acknowledge:-7"), id="no number"),
        pytest.param(a_press("acknowledge:" + "9" * 400), id="no number of ours"),
        pytest.param(a_press(type="view_submission"), id="another interaction"),
        pytest.param(a_press(type="shortcut"), id="a shortcut"),
        pytest.param(a_press(user=None), id="nobody"),
        pytest.param(a_press(user={"name": "ana"}), id="somebody without an id"),
        pytest.param(a_press(user={"id": 4711}), id="an id that is none"),
        pytest.param(a_press(actions=None), id="no actions"),
        pytest.param(a_press(actions={"value": "acknowledge:7"}), id="actions that are no list"),
        pytest.param(a_press(actions=["acknowledge:7", {"value": 7}, {}]), id="actions of another shape"),
        pytest.param([a_press()], id="a list"),
        pytest.param("null", id="null"),
        pytest.param("{", id="half of JSON"),
        pytest.param("[" * 100_000, id="deep JSON"),
        pytest.param("", id="an empty payload"),
    ],
)
def test_what_is_signed_but_no_press_of_ours_is_ignored(ear, payload):
    assert ear.hear(interaction(payload), [ANSWERING]) == []


@pytest.mark.parametrize(
    "body", [b"", b"ssl_check=1&token=x", b'{"type": "url_verification"}', b"payload=\xff", b"&" * 1000]
)
def test_a_signed_body_of_another_kind_is_ignored(ear, body):
    assert ear.hear(Inbound(signed(body, START), body, START), [ANSWERING]) == []


@pytest.mark.parametrize(
    ("user", "person"),
    [
        ({"id": "U1", "name": "ana", "username": "ana.b"}, "ana"),
        ({"id": "U1", "username": "bo"}, "bo"),
        ({"id": "U1"}, "U1"),
        ({"id": "U1", "name": " \n", "username": 7}, "U1"),
        ({"id": "U1", "name": "a\nb\tc" + "d" * 200}, "a b c" + "d" * 75),
    ],
)
def test_a_person_is_called_as_slack_calls_them(ear, user, person):
    [heard] = ear.hear(interaction(a_press(user=user)), [ANSWERING])

    assert heard.person == person


async def test_what_came_of_it_is_said_to_the_person_alone(slack, server, config):
    await slack.send(config, a_message(), None)
    [heard] = slack.hear(inbound(server.press("Acknowledge", at=START)), [config])

    await slack.confirm(heard, "<bo> is on it", [ANSWERING, config])

    assert [(one["response_type"], one["text"]) for one in server.whispers] == [
        ("ephemeral", "&lt;bo&gt; is on it")
    ]
    assert len(server.main_messages()) == 1


@pytest.mark.parametrize(
    ("url", "app_url", "is_allowed"),
    [
        pytest.param("https://hooks.slack.com/actions/x", None, True, id="Slack's"),
        pytest.param("http://hooks.slack.com/actions/x", None, False, id="without TLS"),
        pytest.param("https://hooks.slack.com:8443/actions/x", None, False, id="another port"),
        pytest.param("https://slack.com/api/chat.postMessage", None, False, id="the Web API"),
        pytest.param("https://hooks.slack.com.evil.example/x", None, False, id="a name that begins alike"),
        pytest.param("https://evilhooks.slack.com/x", None, False, id="a name that ends alike"),
        pytest.param("https://hooks.slack.com@evil.example/x", None, False, id="a user of that name"),
        pytest.param("https://evil.example\\@hooks.slack.com/x", None, True, id="a strange user at Slack"),
        pytest.param("http://169.254.169.254/latest/meta-data", None, False, id="metadata"),
        pytest.param("http://127.0.0.1:9093/api", None, False, id="inside"),
        pytest.param("https://[::1", None, False, id="no URL"),
        pytest.param("https://hooks.slack.com:x/", None, False, id="no port"),
        pytest.param("", None, False, id="nothing"),
        pytest.param("https://hooks.slack.com/x", "https://www.slack.com/api/chat.postMessage", True, id="Slack's by another name"),
        pytest.param("https://hooks.slack-gov.com/x", "https://slack-gov.com/api/chat.postMessage", True, id="a Slack apart"),
        pytest.param("https://chat.example.org/x", "https://chat.example.org/api/chat.postMessage", True, id="our own server"),
        pytest.param("https://hooks.slack.com/x", "https://chat.example.org/api/chat.postMessage", False, id="not our own server"),
        pytest.param("http://chat.example.org/x", "https://chat.example.org/api/chat.postMessage", False, id="our own server without TLS"),
    ],
)  # fmt: skip
def test_an_answer_goes_nowhere_but_to_slack(url, app_url, is_allowed):
    config = SlackConfig(app_token="x", channel="#ops", **({"app_url": app_url} if app_url else {}))

    assert is_slacks(url, config.app_url) is is_allowed


async def test_a_response_url_that_leads_elsewhere_is_not_asked(slack, server):
    heard = Heard(
        Verb.ACKNOWLEDGE,
        7,
        None,
        ("slack", "U1"),
        "ana",
        "k",
        reply_to={"response_url": server.url("/actions/x")},
    )

    await slack.confirm(heard, "acknowledged", [ANSWERING])

    assert server.connections_made == 0


@pytest.mark.parametrize(
    "reply", [Reply(status=404, body=b"used_url"), Reply(status=500), Reply(is_closed=True)]
)
async def test_a_confirmation_that_fails_is_only_logged(slack, server, config, caplog, reply):
    await slack.send(config, a_message(), None)
    [heard] = slack.hear(inbound(server.press("Acknowledge", at=START)), [config])
    server.fails(reply)

    await slack.confirm(heard, "acknowledged", [config])

    assert server.whispers == []
    assert heard.reply_to["response_url"].rpartition("/")[2] not in caplog.text


async def test_a_press_without_a_response_url_counts_all_the_same(slack):
    [heard] = slack.hear(interaction(a_press(response_url=None)), [ANSWERING])

    await slack.confirm(heard, "acknowledged", [ANSWERING])

    assert heard.incident_id == 7
