"""What does a message say, and how is it kept harmless?"""

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from receiver.channels import KINDS as CHANNELS
from receiver.policy.incident import MessageEvent
from receiver.templating import LENGTHS, MAX_TITLE, TEXT_LIMITS, TemplateFailure, Templates, clean, plain
from tests.fakes.facts import a_digest, an_alert, an_incident, some_facts

SHIPPED = Templates()
KINDS = ["console", "email", "slack", "telegram"]
EVENTS = [event for event in MessageEvent if event is not MessageEvent.DIGEST]


def rendered(directory: Path, template: str, **facts: Any) -> str:
    """What the console shows when an operator's template says this."""
    (directory / "console").mkdir(exist_ok=True)
    (directory / "console/triggered.txt").write_text(template, encoding="utf-8")
    return Templates(directory).render("console", MessageEvent.TRIGGERED, some_facts(**facts)).text


def states() -> dict[str, dict[str, Any]]:
    """Incidents of every shape that the templates must survive."""
    return {
        "triggered": some_facts(),
        "acknowledged": some_facts(
            incident=an_incident(
                state="acknowledged", acknowledged_by="ana", acknowledged_at="2026-11-20T03:12:00+00:00"
            )
        ),
        "resolved": some_facts(incident=an_incident(state="resolved", resolved_at="2026-11-20T03:30:00Z")),
        "drill": some_facts(incident=an_incident(drill=True)),
        "nothing known": some_facts(
            incident=an_incident(labels={}, annotations={}, url="", severity="", started_at=None),
            alerts=[],
            runbook_url=None,
            external_url="",
            reason_text="",
        ),
        "labels named like methods": some_facts(
            incident=an_incident(labels={"items": "a", "get": "b", "keys": "c"}, annotations={"get": "d"}),
            alerts=[an_alert(labels={"items": "x", "values": "y"}, annotations={"items": "z"})] * 2,
        ),
        "very long": some_facts(
            incident=an_incident(
                title="T" * 5000,
                labels={f"label_{n}": "<&>" * 500 for n in range(200)},
                annotations={"summary": "s&" * 20_000, "description": "line\n" * 5000},
            ),
            alerts=[an_alert(labels={f"l{n}": "<>" * 500 for n in range(50)})] * 500,
        ),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("name", states())
def test_every_template_renders_every_incident_within_its_limit(kind, event, name):
    words = SHIPPED.render(kind, event, states()[name])

    assert 0 < LENGTHS.get(kind, len)(words.text) <= TEXT_LIMITS[kind]
    assert 0 < len(words.title) <= MAX_TITLE
    assert "\n" not in words.title


DIGESTS = {
    "usual": a_digest(),
    "drill": a_digest(incident=an_incident(drill=True)),
    "very long": a_digest(
        count=1000, incidents=[an_incident(title="<&>" * 2000, severity="s" * 500, url="u" * 5000)] * 20
    ),
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if CHANNELS[kind].takes_digests])
@pytest.mark.parametrize("name", DIGESTS)
def test_every_digest_fits_and_says_how_many(kind, name):
    facts = DIGESTS[name]

    words = SHIPPED.render(kind, MessageEvent.DIGEST, facts)

    assert 0 < LENGTHS.get(kind, len)(words.text) <= TEXT_LIMITS[kind]
    assert f"{facts['count']} incidents" in words.title
    assert words.title.startswith("[DRILL] ") == facts["incident"]["drill"]


def test_the_shipped_templates_have_no_errors():
    assert SHIPPED.errors() == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("event", EVENTS)
def test_a_drill_says_so_in_every_line_a_person_may_see_alone(kind, event):
    words = SHIPPED.render(kind, event, some_facts(incident=an_incident(drill=True)))

    assert words.title.startswith("[DRILL] ")
    assert "[DRILL]" in words.text
    assert "[DRILL]" in str(words.reply)


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_message_has_no_news_to_reply_with(kind):
    assert SHIPPED.render(kind, MessageEvent.TRIGGERED, some_facts(reason="first")).reply is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_person_paged_reads_what_since_when_and_where_to_look(kind):
    rendered = SHIPPED.render(kind, MessageEvent.TRIGGERED, some_facts(fallback_for="telegram 4711"))

    text = f"{rendered.title}\n{rendered.text}"
    for words in ("91% full", "Make room now.", "2026-11-20 03:07 UTC", "dba", "runbooks.example.org"):
        assert words in text
    assert "https://tocsin.example.org/incidents/7" in text
    assert "nobody is on it yet" in text
    assert "telegram 4711" in text


@pytest.mark.parametrize("severity", ["", "none"])
def test_an_alert_without_severity_is_an_alert(severity):
    words = SHIPPED.render(
        "slack", MessageEvent.TRIGGERED, some_facts(incident=an_incident(severity=severity))
    )

    assert words.title == "🔔 ALERT · DiskFull db-1 (2 firing) · Disk on db-1 is 91% full & <growing>"


def test_a_flapping_incident_says_that_it_will_be_quiet():
    words = SHIPPED.render("slack", MessageEvent.TRIGGERED, some_facts(incident=an_incident(flapping=True)))

    assert "comes and goes" in words.text


def test_alerts_that_are_not_shown_are_counted():
    facts = some_facts(alerts=[an_alert()] * 30, alerts_omitted=5, truncated_alerts=2)

    text = SHIPPED.render("console", MessageEvent.TRIGGERED, facts).text

    assert "… and 17 more" in text


def test_markup_is_never_cut():
    facts = some_facts(incident=an_incident(annotations={"summary": "<" * 9000}))

    text = SHIPPED.render("slack", MessageEvent.TRIGGERED, facts).text

    assert text.split("\n")[0] == "&lt;" * 599 + "…"


def test_slack_escapes_three_characters_and_no_quotes():
    facts = some_facts(incident=an_incident(annotations={"description": "<a> & \"b\" 'c' &#39;"}))

    text = SHIPPED.render("slack", MessageEvent.TRIGGERED, facts).text

    assert text.startswith("&lt;a&gt; &amp; \"b\" 'c' &amp;#39;")


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("javascript:alert(1)", None),
        ("//evil.example", None),
        ("https://" + "a" * 700, None),
        ("https://x|y>click", "<https://x%7Cy%3Eclick|Runbook>"),
        ("https://x/a b", "<https://x/a%20b|Runbook>"),
    ],
)
def test_a_link_cannot_become_something_else(url, link):
    text = SHIPPED.render("slack", MessageEvent.TRIGGERED, some_facts(runbook_url=url)).text

    assert ("|Runbook>" in text) == (link is not None)
    assert (link or "") in text
    assert "javascript" not in text


def test_a_template_of_the_operator_replaces_the_shipped_one(tmp_path):
    text = rendered(tmp_path, "{{ incident.labels.team }} {% for a in alerts %}{{ loop.index }}{% endfor %}")

    assert text == "dba 12"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ incident.labels.get('no', 'none') }}", "none"),
        ("{{ incident.labels|dictsort|map('first')|join(', ') }}", "alertname, severity, team"),
        ("{{ 'a' ~ 1 ~ none }}", "a1None"),
        ("{{ 7 * 6 + 2 ** 3 % 5 }}", "45"),
        ("{{ 'x' + 'y' }}{{ ([1] + [2])|length }}", "xy2"),
        ("{{ incident.started_at|instant }}", "2026-11-20 03:07 UTC"),
        ("{{ 'not a time'|instant }}", "not a time"),
        ("{{ incident.alerts|tojson }}", '{"firing": 2, "total": 2}'),
        ("{{ 'a-b'|replace('-', '+') }}", "a+b"),
        ("{% for n in range(3) %}{{ n }}{% endfor %}", "012"),
        ("{{ alerts|join(', ', 'status') }}", "firing, firing"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m('&') }}", "<&>"),
    ],
)
def test_ordinary_templates_work(tmp_path, template, text):
    assert rendered(tmp_path, template) == text


DOUBLED = "{% set x = x ~ x %}" * 40
CAPTURED = "{% set x %}{{ x }}{{ x }}{% endset %}" * 40
NESTED = "{% for a in range(900) %}" * 5 + "{% endfor %}" * 5


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("{{ incident.labels.missing }}", id="a missing label is no empty string"),
        pytest.param("{% if %}", id="not a template"),
        pytest.param("{{ nothing }}", id="an unknown name"),
        pytest.param("{{ 'a' * 300000000 }}", id="a string multiplied"),
        pytest.param("{{ [1] * 300000000 }}", id="a list multiplied"),
        pytest.param("{{ 10 ** 10 ** 10 ** 10 }}", id="a huge number"),
        pytest.param("{{ '%300000000d' % 1 }}", id="a wide format"),
        pytest.param("{{ '{:>300000000}'.format(1) }}", id="a wide format method"),
        pytest.param("{{ 'x'|center(200000000) }}", id="a wide centre"),
        pytest.param("{{ 'x'.ljust(200000000) }}", id="a wide method"),
        pytest.param("{{ alerts|tojson(indent=200000000) }}", id="a wide indent"),
        pytest.param("{{ range(200000000)|list }}", id="a long range"),
        pytest.param("{{ 1.5|round(200000000) }}", id="a fine round"),
        pytest.param("{% set x = 'abcdefgh' %}" + DOUBLED + "{{ x|length }}", id="doubling by ~"),
        pytest.param("{% set x = 'abcdefgh' %}" + CAPTURED + "{{ x|length }}", id="doubling by capture"),
        pytest.param("{% set x = 'ab'|replace('a', 'b' * 9) %}", id="multiplying in a replace"),
        pytest.param("{{ ('ab' * 9)|replace('a', 'b') }}", id="multiplying before a replace"),
        pytest.param(NESTED, id="nested loops without output"),
        pytest.param("{% for a in alerts recursive %}{{ loop(alerts) }}{% endfor %}", id="a recursive loop"),
        pytest.param("{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}", id="a macro that calls itself"),
        pytest.param(
            "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
            id="a macro that branches",
        ),
        pytest.param("{% include 'console/triggered.txt' %}", id="a template that includes itself"),
        pytest.param(
            "{% set n = (n|default(0)) + 1 %}{% if n < 60 %}{% include 'console/triggered.txt' %}"
            "{% include 'console/triggered.txt' %}{% endif %}",
            id="an include that branches",
        ),
        pytest.param("{{ ''.__class__ }}", id="a way out by class"),
        pytest.param("{{ incident.labels.clear() }}", id="a change of the facts"),
        pytest.param("{{ incident.labels.update({}) }}", id="another change of the facts"),
        pytest.param("{{ lipsum(n=100000) }}", id="lipsum"),
        pytest.param("{{ namespace() }}", id="namespace"),
        pytest.param("{% include '../../routing.yaml' %}", id="a file elsewhere"),
    ],
)
def test_a_template_that_fails_or_harms_is_a_template_failure(tmp_path, template):
    with pytest.raises(TemplateFailure, match=r"console/triggered"):
        rendered(tmp_path, template)


def test_a_broken_template_is_found_before_it_is_needed(tmp_path):
    (tmp_path / "slack").mkdir()
    (tmp_path / "slack/resolved.mrkdwn").write_text("\n{% endif %}", encoding="utf-8")

    errors = Templates(tmp_path).errors()

    assert [error.split(": ")[0] for error in errors] == ["slack/resolved.mrkdwn, line 2"]


def test_a_broken_title_fails_the_whole_message(tmp_path):
    (tmp_path / "_shared").mkdir()
    (tmp_path / "_shared/title.txt").write_text("{{ nothing }}", encoding="utf-8")

    with pytest.raises(TemplateFailure, match="_shared/title"):
        Templates(tmp_path).render("slack", MessageEvent.TRIGGERED, some_facts())


def test_a_template_that_never_fits_is_a_failure(tmp_path):
    with pytest.raises(TemplateFailure, match="stays longer than"):
        rendered(tmp_path, "x" * (TEXT_LIMITS["console"] + 1))


def test_a_kind_without_templates_is_a_failure():
    with pytest.raises(TemplateFailure, match="there is no template carrier_pigeon/triggered"):
        SHIPPED.render("carrier_pigeon", MessageEvent.TRIGGERED, some_facts())


def test_html_templates_escape_quotes_too(tmp_path):
    for name in ("triggered", "reply"):
        (tmp_path / "console").mkdir(exist_ok=True)
        (tmp_path / f"console/{name}.txt").write_text("{% include '_shared/part.html' %}", encoding="utf-8")
    (tmp_path / "_shared").mkdir()
    (tmp_path / "_shared/part.html").write_text("<b>{{ '<\"&' }}</b>", encoding="utf-8")

    words = Templates(tmp_path).render("console", MessageEvent.TRIGGERED, some_facts())

    assert words.text == "<b>&lt;&#34;&amp;</b>"


@pytest.mark.parametrize("name", states())
def test_the_plain_message_says_what_is_wrong(name):
    facts = states()[name]

    words = plain(facts)

    assert words.text
    assert words.title.startswith(
        "[DRILL] " if facts["incident"]["drill"] else facts["incident"]["state"].upper()
    )


def test_the_plain_digest_names_what_it_is_about():
    words = plain(a_digest(count=1000))

    assert words.title == "1000 incidents · DiskFull db-1"
    assert words.text.startswith("TRIGGERED warning · DiskFull db-1\nTRIGGERED warning · DiskFull db-2\n")
    assert words.text.endswith("… and 980 more\nhttps://tocsin.example.org/")
    assert words.reply is None


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"event": "digest"},
        {"event": "digest", "incidents": ["one", {"title": 7}], "count": "many", "list_url": 5},
        {"incident": None},
        {"incident": "text", "reason_text": 7},
        {"incident": {"labels": [], "annotations": 3, "title": None, "drill": "no"}},
        {"incident": {"labels": {1: None}, "annotations": {"a": {"b": "\x00\ud800"}}}, "runbook_url": 5},
    ],
)
def test_the_plain_message_survives_any_facts(facts):
    words = plain(facts)

    assert words.text
    assert words.title


def test_what_lies_far_behind_the_cut_is_not_looked_at_and_that_is_shown():
    facts = some_facts(incident=an_incident(annotations={"description": "begin" + " " * 90_000 + "end"}))

    text = SHIPPED.render("console", MessageEvent.TRIGGERED, facts).text

    assert "begin…" in text
    assert "end" not in text.split()


def test_no_character_that_hides_or_reorders_is_left():
    every = "".join(map(chr, range(0x110000)))

    left = {unicodedata.category(c) for c in set(clean(every)) - {"\n", "\t"}}

    assert not left & {"Cc", "Cs"}
    assert not set(clean(every)) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert len(clean(every)) == 0x110000 - 63 - 2048 - 11
