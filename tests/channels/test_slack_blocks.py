"""What does a message look like in Slack, and does Slack take it, however large it is?"""

from typing import Any

import pytest

from receiver.channels.base import MarkupRefused
from receiver.channels.slack import SlackConfig, payload
from receiver.channels.slack_blocks import fitted
from receiver.policy.incident import MessageEvent, Reason
from tests.channels.contract import HOSTILE, a_message
from tests.channels.events import EVENTS, as_message, check_golden
from tests.fakes.facts import a_digest, an_alert, an_incident, some_facts
from tests.fakes.slack import blocks_of, buttons_of, complaint_about, words_of

APP = SlackConfig(app_token="x", channel="#ops", signing_secret="s")
SILENT_APP = SlackConfig(app_token="x", channel="#ops")
WEBHOOK = SlackConfig(api_url="https://hooks.slack.com/services/x")
WAYS = {"app": (APP, False), "app without answers": (SILENT_APP, False), "webhook": (WEBHOOK, True)}


def content_of(message: Any, way: str = "app") -> dict[str, Any]:
    to, is_alone = WAYS[way]
    return payload(to, message, is_alone=is_alone)


def labels_of(content: dict[str, Any]) -> list[str]:
    return [button["text"]["text"] for button in buttons_of(content)]


@pytest.mark.parametrize("name", EVENTS)
def test_messages_look_as_they_did(name):
    check_golden("slack", name, "json", content_of(as_message("slack", name)))


@pytest.mark.parametrize("name", EVENTS)
def test_what_a_webhook_posts_looks_as_it_did(name):
    check_golden("slack", name, "webhook.json", content_of(as_message("slack", name), "webhook"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", EVENTS)
def test_slack_takes_every_message_of_every_event(name, way):
    assert complaint_about(content_of(as_message("slack", name), way)) is None


@pytest.mark.parametrize("event", MessageEvent)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_slack_takes_whatever_a_message_holds(text, event):
    long_url = "https://example.org/" + "ü" * 500
    labels = {f"{text[:50]}{number}": text[:200] for number in range(20)} | {"severity": text}
    said = {"summary": text, "description": f"{text[:99]}\n" * 200}
    incident = an_incident(title=text, labels=labels, annotations=said, acknowledged_by=text, url=long_url)
    links = dict.fromkeys(("acknowledge", "unacknowledge", "snooze", "resolve"), long_url)
    facts = some_facts(
        incident=incident,
        alerts=[an_alert(labels=labels, annotations=said) for _ in range(5)],
        fallback_for=text,
        reason_text=text,
        runbook_url=long_url,
        dashboard_url=long_url,
        answer_links=links,
    )
    if event is MessageEvent.DIGEST:
        facts = a_digest(count=23, incidents=[incident] * 5, incident=incident, list_url=long_url)

    message = a_message(event=event, facts=facts, reply=fitted(text, 1000))

    for way in WAYS:
        assert complaint_about(content_of(message, way)) is None


@pytest.mark.parametrize("length", [2998, 2999, 3000])
def test_a_section_may_be_as_long_as_slack_takes_it(length):
    content = content_of(a_message(text="x" * length))

    assert complaint_about(content) is None
    assert len(blocks_of(content)[1]["text"]["text"]) == length


def test_a_part_that_no_section_takes_is_refused_here_and_never_cut():
    with pytest.raises(MarkupRefused, match="3001 characters"):
        content_of(a_message(text="x" * 3001))


def test_more_parts_than_a_message_may_have_go_into_the_last():
    text = "\f".join(f"part {number}" for number in range(200))

    content = content_of(a_message(text=text))

    assert complaint_about(content) is None
    assert "part 199" in words_of(content)


def test_small_print_that_is_too_long_is_an_ordinary_section():
    small = content_of(a_message(text="a\vb"))
    large = content_of(a_message(text="a\v" + "b" * 2001))

    assert [block["type"] for block in blocks_of(small)] == ["header", "section", "context", "actions"]
    assert [block["type"] for block in blocks_of(large)] == ["header", "section", "section", "actions"]
    assert complaint_about(large) is None


def test_no_value_can_begin_a_block():
    facts = some_facts(incident=an_incident(annotations={"summary": "one\fnew block\vsmall print"}))

    content = content_of(a_message(facts=facts))

    assert "one new block small print" in words_of(content) or "onenew blocksmall print" in words_of(content)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        pytest.param("see https://x.example/a?b=1&c=2.", "see <https://x.example/a?b=1&amp;c=2>.", id="in a sentence"),
        pytest.param("<https://x.example/a>", "&lt;<https://x.example/a>&gt;", id="in brackets"),
        pytest.param("(http://x.example)", "(<http://x.example>)", id="in parentheses"),
        pytest.param("@here @channel #ops", "@here @channel #ops", id="what would be mentions"),
        pytest.param("nohttps://x", "nohttps://x", id="no address"),
        pytest.param("https://a.example/?u=https://b.example", "<https://a.example/?u=https://b.example>", id="one in another"),
    ],
)  # fmt: skip
def test_addresses_are_links_and_names_are_words(words, shown):
    facts = some_facts(incident=an_incident(annotations={"description": words}))

    block = blocks_of(content_of(a_message(facts=facts)))[1]

    assert block["text"] == {"type": "mrkdwn", "text": shown, "verbatim": True}


def test_a_link_of_a_template_stays_as_it_is():
    words = "<https://a.example/?u=https://b.example|Runbook> *x*"

    assert blocks_of(content_of(a_message(text=words)))[1]["text"]["text"] == words


def test_what_would_become_too_long_by_links_has_none():
    words = "https://x " * 299 + "."

    assert blocks_of(content_of(a_message(text=words)))[1]["text"]["text"] == words


def test_what_the_text_says_already_is_not_said_before_it():
    content = content_of(as_message("slack", "escalated"), "webhook")

    assert words_of(content).count("nobody acknowledged it in time") == 1


def test_the_title_is_what_a_lock_screen_shows_and_stands_above_the_bar():
    content = content_of(as_message("slack", "triggered"))

    assert content["text"] == content["blocks"][0]["text"]["text"]
    assert len(content["attachments"]) == 1
    assert content["attachments"][0]["fallback"] == "it fires"  # follows the title in notifications


def test_nothing_is_unfurled():
    content = content_of(a_message())

    assert (content["unfurl_links"], content["unfurl_media"]) == (False, False)


@pytest.mark.parametrize(
    ("state", "labels"),
    [
        ("triggered", ["Acknowledge", "Snooze 1 h", "Resolve", "Runbook", "Open in Tocsin"]),
        ("acknowledged", ["Unacknowledge", "Resolve", "Runbook", "Open in Tocsin"]),
        ("resolved", ["Runbook", "Open in Tocsin"]),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_the_buttons_are_what_a_person_may_want_now(state, labels, way):
    offers = {"triggered": ["acknowledge", "snooze", "resolve"], "acknowledged": ["unacknowledge", "resolve"]}
    facts = some_facts(incident=an_incident(state=state), offers=offers.get(state, []))

    assert labels_of(content_of(a_message(facts=facts), way)) == labels


def test_a_button_of_an_app_that_answers_says_what_is_wanted():
    values = [button.get("value") for button in buttons_of(content_of(a_message()))]

    assert values == ["acknowledge:7", "snooze:7:3600", "resolve:7", None, None]


def test_resolving_asks_once_more():
    asking = [button["action_id"] for button in buttons_of(content_of(a_message())) if "confirm" in button]

    assert asking == ["resolve"]


@pytest.mark.parametrize("way", ["webhook", "app without answers"])
def test_where_slack_cannot_reach_us_a_button_opens_a_page_that_asks(way):
    urls = [button["url"] for button in buttons_of(content_of(a_message(), way))][:3]

    assert urls == [
        f"https://tocsin.example.org/answer/{verb}-signed" for verb in ("acknowledge", "snooze", "resolve")
    ]


def test_without_answer_links_a_webhook_has_no_buttons_that_lead_nowhere():
    facts = some_facts(answer_links={})

    assert labels_of(content_of(a_message(facts=facts), "webhook")) == ["Runbook", "Open in Tocsin"]


@pytest.mark.parametrize(
    ("url", "opened"),
    [
        pytest.param("https://r.example.org/a?b=1&c=%20d#e", "https://r.example.org/a?b=1&c=%20d#e", id="as it is"),
        pytest.param('https://r.example.org/é"<', "https://r.example.org/%C3%A9%22%3C", id="made sound"),
        pytest.param("javascript:alert(1)", None, id="no web address"),
        pytest.param("https://r.example.org/a b", None, id="a space"),
        pytest.param("https://r.example.org/\x07", None, id="a control character"),
        pytest.param("https://r.example.org/" + "a" * 3000, None, id="too long to open"),
        pytest.param("https:///nowhere", None, id="no host"),
        pytest.param(None, None, id="none"),
    ],
)  # fmt: skip
def test_a_button_opens_a_web_address_or_is_left_out(url, opened):
    buttons = buttons_of(content_of(a_message(facts=some_facts(runbook_url=url))))

    assert [one["url"] for one in buttons if one["action_id"] == "runbook"] == ([opened] if opened else [])


def test_a_digest_leads_to_the_list_and_asks_for_nothing():
    content = content_of(as_message("slack", "digest"))

    assert labels_of(content) == ["Open in Tocsin"]
    assert "23 incidents" in content["text"]
    assert "more" in words_of(content)


def test_a_digest_that_must_be_shortened_counts_what_it_leaves_out():
    facts = a_digest(incidents=[an_incident(id=n, title="T" * 200) for n in range(20)], count=25)

    words = words_of(content_of(a_message(event=MessageEvent.DIGEST, facts=facts)))

    shown = words.count("/incidents/")
    assert shown < 20
    assert f"… and {25 - shown} more" in words


@pytest.mark.parametrize(
    ("event", "severity", "color"),
    [
        (MessageEvent.TRIGGERED, "critical", "#c62828"),
        (MessageEvent.TRIGGERED, "warning", "#f9a825"),
        (MessageEvent.TRIGGERED, "info", "#1565c0"),
        (MessageEvent.TRIGGERED, "unheard of", "#c62828"),
        (MessageEvent.ACKNOWLEDGED, "critical", "#6a1b9a"),
        (MessageEvent.RESOLVED, "critical", "#2e7d32"),
    ],
)
def test_the_bar_shows_what_is_asked_and_then_how_bad_it_is(event, severity, color):
    facts = some_facts(incident=an_incident(severity=severity))

    content = content_of(a_message(event=event, facts=facts))

    assert content["attachments"][0]["color"] == color


def test_who_acknowledged_from_where_and_until_when_it_is_quiet_can_be_read():
    facts = some_facts(
        incident=an_incident(
            state="acknowledged",
            acknowledged_by="ana",
            acknowledged_at="2026-11-20T03:12:00Z",
            acknowledged_how="from Telegram, 40 s after the page",
            snoozed_until="2026-11-20T04:12:00Z",
        )
    )

    words = words_of(content_of(a_message(event=MessageEvent.ACKNOWLEDGED, facts=facts)))

    assert "*ana* is on it since 2026-11-20 03:12 UTC (from Telegram, 40 s after the page)" in words
    assert "Snoozed until 2026-11-20 04:12 UTC" in words


def test_an_escalation_says_so_to_somebody_who_hears_of_it_for_the_first_time():
    words = words_of(content_of(as_message("slack", "escalated", reply=None)))

    assert "*Escalated*: nobody acknowledged it in time." in words


def test_a_message_that_stands_alone_says_what_changed():
    message = a_message(reply="1 new alert", reason=Reason.NEW_ALERTS)

    assert "1 new alert" in words_of(content_of(message, "webhook"))
    assert "1 new alert" not in words_of(content_of(message))


def test_a_plain_message_has_nothing_that_could_be_refused():
    content = content_of(a_message(text="<!here> & now", title="a <title>", is_plain=True))

    assert content["text"] == "a &lt;title&gt;\n&lt;!here&gt; &amp; now"
    assert blocks_of(content) == []


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        pytest.param("short", 10, "short", id="fits"),
        pytest.param("a<b", 6, "a&lt;b", id="fits exactly"),
        pytest.param("a<b", 5, "a…", id="an escape is never cut"),
        pytest.param("abcdef", 4, "abc…", id="cut"),
    ],
)
def test_text_is_shortened_before_it_is_escaped(text, limit, kept):
    assert fitted(text, limit) == kept
