"""What does a person see on the pages, and what happens when they press something?"""

import re
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser

import pytest

from receiver.config import Config
from receiver.resources import TEMPLATES
from receiver.web.pages import duration, link, tone
from receiver.web.told import health
from tests.web.bodies import ENDED, alert, body
from tests.world import DOWN, a_world

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"}
HOSTILE = '"><script>window.pwned=1</script><img src=x onerror="window.pwned=1">\u202e'
ROUTES = """
time_intervals:
  - {name: never, time_intervals: [{years: ["2001"]}]}
  - {name: later, time_intervals: [{years: ["2027"]}]}
route:
  receiver: ops
  routes:
    - {name: everyone, matchers: ['service="checkout"'], receiver: dev, continue: true}
    - {name: critical, matchers: ['severity="critical"'], receiver: page}
    - {name: calm, matchers: ['severity="warning"'], receiver: quiet, active_time_intervals: [later]}
"""


class Page(HTMLParser):
    """A page, as its elements and its words."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self._open = [], [], []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in {"path", "svg"} or self._open[-1:] == [tag]:
            self._open.pop()
        elif tag in self._open:  # an end that HTML lets one leave out
            while self._open.pop() != tag:
                pass

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


async def see(box, path, status=200):
    """Return the page at an address."""
    answer = await box.client.get(path)
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    return Page(answer.text)


async def press(box, incident, verb, **fields):
    """Press a button of an incident's page; return the answer."""
    return await box.client.post(f"/incidents/{incident}/{verb}", data=fields)


async def opened(box, *alerts, **changes):
    """Return the incident that such a body opens."""
    answer = await box.post(body(*alerts, **changes))
    assert answer.status_code == 200, answer.text
    await box.work()
    return answer.json()["incidents"][0]


async def grouped(box, *names, **changes):
    """Open one incident for each name."""
    for name in names:
        group = {"groupKey": name, "groupLabels": {"alertname": name}}
        await box.post(body(alert(alertname=name, **changes), **group))
    await box.work()


async def test_an_empty_service_says_how_to_begin(tocsin):
    page = await see(tocsin, "/")

    assert "url: https://tocsin.example.org/webhooks/alertmanager" in page.text
    assert {"method": "post", "action": "/ui/drill"} in page.all("form")
    assert len(page.all("h1")) == 1


async def test_the_first_source_is_part_of_the_address_that_is_shown(routing, migrated_file, tmp_path, clock):
    from tests.web.service import ROUTING, service  # noqa: PLC0415 - the file is written before it is read

    routing.write_text("sources: [{name: prod, token: a-long-secret-token}]" + ROUTING)
    copy = tmp_path / "sources.db"
    copy.write_bytes(migrated_file.read_bytes())
    async with service(f"sqlite:///{copy}", routing, clock) as box:
        page = await see(box, "/")

    assert "/webhooks/alertmanager/prod" in page.text
    assert "a-long-secret-token" not in page.text


async def test_the_list_says_what_is_open_since_when_and_who_was_told(tocsin):
    incident = await opened(tocsin, alert(severity="critical"))
    tocsin.clock.advance(minutes=12)

    page = await see(tocsin, "/")

    assert {"href": f"/incidents/{incident}"} in page.all("a")
    for words in ("critical", "DiskFull", "The disk of db-1 is full", "instance = db-1", "triggered", "12m"):
        assert words in page.text
    assert "console stdout ✓ told" in page.text
    assert any("datetime" in one for one in page.all("time"))


async def test_the_list_begins_with_open_incidents_and_leads_to_all(tocsin):
    await grouped(tocsin, "Over", status="resolved")
    await grouped(tocsin, "Open")
    await tocsin.post(body(alert(alertname="Gone"), groupKey="Gone", groupLabels={"alertname": "Gone"}))
    await grouped(tocsin, "Gone", status="resolved", ends_at=ENDED)

    first, everything = await see(tocsin, "/"), await see(tocsin, "/?state=all")

    assert "Open" in first.text
    assert "Gone" not in first.text
    assert {"href": "/?state=all"} in first.all("a")
    assert "Gone" in everything.text


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        pytest.param("severity=critical", {"Loud"}, id="by severity"),
        pytest.param("q=loU", {"Loud"}, id="by words of the title, in any case"),
        pytest.param("match=severity%3D~%22warn.*%22", {"Soft"}, id="by a matcher"),
        pytest.param(
            "match=severity%3D%22warning%22%2Calertname%3D%22Soft%22", {"Soft"}, id="by several matchers"
        ),
        pytest.param("state=triggered", {"Loud", "Soft", "TocsinDrill"}, id="by state"),
        pytest.param("state=acknowledged", set(), id="by a state that none has"),
        pytest.param("drill=without", {"Loud", "Soft"}, id="without drills"),
        pytest.param("drill=only", {"TocsinDrill"}, id="only drills"),
        pytest.param(
            "state=nonsense&drill=nonsense", {"Loud", "Soft", "TocsinDrill"}, id="nonsense is left away"
        ),
    ],
)
async def test_filters_narrow_the_list(tocsin, query, seen):
    await grouped(tocsin, "Loud", severity="critical")
    await grouped(tocsin, "Soft")
    await tocsin.client.post("/ui/drill")

    page = await see(tocsin, f"/?{query}")

    assert {name for name in ("Loud", "Soft", "TocsinDrill") if name in page.text} == seen


async def test_filters_are_still_there_after_they_were_applied(sqlite_tocsin):
    page = await see(sqlite_tocsin, "/?state=resolved&severity=page&q=a%22b&match=x%3D%22y%22&drill=only")

    chosen = [one["value"] for one in page.all("option") if "selected" in one]
    assert chosen == ["resolved", "page", "only"]
    assert [one["value"] for one in page.all("input")] == ['a"b', 'x="y"']


@pytest.mark.parametrize("query", ["match=nonsense", "match=a%3D~%22(%22", "cursor=nonsense"])
async def test_a_filter_that_makes_no_sense_is_said_on_the_page(sqlite_tocsin, query):
    page = await see(sqlite_tocsin, f"/?{query}", 422)

    assert any(one.get("id") == "refusal" for one in page.all("p"))


async def test_older_incidents_are_one_link_away(sqlite_tocsin):
    await grouped(sqlite_tocsin, *(f"Alert{number:02}" for number in range(52)))

    newest = await see(sqlite_tocsin, "/?q=Alert")
    older = next(one["href"] for one in newest.all("a") if one.get("rel") == "next")
    page = await see(sqlite_tocsin, older)

    assert "Alert51" in newest.text
    assert "Alert01" not in newest.text
    assert "q=Alert" in older
    assert "Alert01" in page.text
    assert {"class": "button", "href": "/?q=Alert"} in page.all("a")


async def test_drills_are_counted_apart(tocsin):
    await grouped(tocsin, "Real")
    await tocsin.client.post("/ui/drill")

    page = await see(tocsin, "/")

    assert "Open 1 and 1 drill Unacknowledged 1 Failed notifications, 24 h 0" in page.text


async def test_what_an_alert_says_is_text_and_never_markup(sqlite_tocsin):
    said = alert(severity=HOSTILE, alertname=HOSTILE)
    said["labels"] |= {"javascript": "javascript:alert(1)", "instance": HOSTILE}
    said["annotations"] = {
        "summary": HOSTILE,
        "runbook_url": "javascript:alert(1)",
        "dashboard": "data:text/html,<script>1</script>",
        "link": "https://example.org/a\"onclick='x'",
        HOSTILE: HOSTILE,
    }
    said["generatorURL"] = "javascript:alert(1)"
    incident = await opened(sqlite_tocsin, said)
    await press(sqlite_tocsin, incident, "note", actor=HOSTILE, text=HOSTILE)

    for path in ("/", f"/incidents/{incident}", f"/?q={HOSTILE}", f"/?match={HOSTILE}"):
        answer = await sqlite_tocsin.client.get(path)
        page = Page(answer.text)
        assert "window.pwned" in page.text or path == "/?q=" + HOSTILE
        assert [one for one in page.all("script") if "src" not in one] == []
        assert all(one["src"].startswith("/static/") for tag in ("script", "img") for one in page.all(tag))
        names = {name for _, attributes in page.elements for name in attributes}
        assert not {name for name in names if name.startswith("on") or name == "style"}
        assert all(re.match(r"https?://|/|#main$", one["href"]) for one in page.all("a"))


async def test_only_whole_web_addresses_become_links():
    assert link("https://example.org/a?b=c#d") == "https://example.org/a?b=c#d"
    for value in ("javascript:alert(1)", " https://a.example", "see https://a.example", "https://", "//a.example",
                  "https://a.example/\u202e", "https://a.example/" + "x" * 3000, "ftp://a.example", ""):  # fmt: skip
        assert link(value) is None


async def test_a_page_bears_many_labels_many_alerts_and_long_texts(sqlite_tocsin):
    many = [alert(f"db-{number}", alertname="Huge") for number in range(300)]
    for one in many:
        one["labels"] |= {f"label_{number:03}": "v" * 40 for number in range(120)}
        one["annotations"] = {"description": "long " * 8000}
    incident = await opened(sqlite_tocsin, *many, groupLabels={"alertname": "Huge"})

    answer = await sqlite_tocsin.client.get(f"/incidents/{incident}")
    page = Page(answer.text)

    assert len(answer.content) < 1_000_000
    for words in ("Show 290 more alerts", "Show all 40,000 characters", "more labels", "300 of 300 firing"):
        assert words in page.text


async def test_buttons_act_and_lead_back_to_the_incident(tocsin):
    incident = await opened(tocsin, alert())

    answer = await press(tocsin, incident, "acknowledge", actor="día", text="on it")
    page = await see(tocsin, f"/incidents/{incident}")

    assert (answer.status_code, answer.headers["location"]) == (303, f"/incidents/{incident}")
    assert "by día" in page.text
    assert "acknowledged: on it" in page.text
    assert "día" in {one.get("value") for one in page.all("input")}, "the name is remembered"
    assert f"/incidents/{incident}/unacknowledge" in {one.get("formaction") for one in page.all("button")}


@pytest.mark.parametrize(
    ("verbs", "state"),
    [
        (["acknowledge"], "acknowledged"),
        (["acknowledge", "acknowledge"], "acknowledged"),
        (["acknowledge", "unacknowledge"], "triggered"),
        (["resolve"], "resolved"),
        (["note"], "triggered"),
    ],
)
async def test_each_button_does_what_it_says(sqlite_tocsin, verbs, state):
    incident = await opened(sqlite_tocsin, alert())

    answers = [await press(sqlite_tocsin, incident, verb, text="words") for verb in verbs]

    assert {answer.status_code for answer in answers} == {303}
    assert [row["state"] for row in await sqlite_tocsin.rows("incident")] == [state]


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        pytest.param("/incidents/1/note", b"text=++", 422, id="a note without words"),
        pytest.param("/incidents/1/note", b"", 422, id="an empty form"),
        pytest.param("/incidents/1/explode", b"text=x", 404, id="no such verb"),
        pytest.param("/incidents/99/resolve", b"", 404, id="no such incident"),
        pytest.param("/incidents/x/resolve", b"", 404, id="no number"),
        pytest.param("/incidents/1/note", b"text=" + b"x" * 200_000, 413, id="too long"),
        pytest.param("/incidents/1/note", b"&".join([b"a=b"] * 50), 400, id="too many fields"),
        pytest.param("/incidents/1/note", b"text=\xff", 400, id="no form at all"),
    ],
)
async def test_a_form_that_cannot_be_taken_is_answered_with_a_page(sqlite_tocsin, path, content, status):
    await opened(sqlite_tocsin, alert())
    before = await sqlite_tocsin.everything("incident", "timeline")

    answer = await sqlite_tocsin.client.post(path, content=content, headers=FORM)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert await sqlite_tocsin.everything("incident", "timeline") == before


async def test_a_long_note_in_any_script_arrives_whole_and_zero_bytes_do_no_harm(tocsin):
    incident = await opened(tocsin, alert())

    await press(tocsin, incident, "note", text="\U0001f514" * 9_000)
    await press(tocsin, incident, "note", text="a\0b")

    notes = [row["text"] for row in await tocsin.rows("timeline", kind="note")]
    assert notes == ["\U0001f514" * 9_000, "a\N{REPLACEMENT CHARACTER}b"]


async def test_a_page_of_another_site_cannot_press_a_button(sqlite_tocsin):
    incident = await opened(sqlite_tocsin, alert())

    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = await sqlite_tocsin.client.post(f"/incidents/{incident}/resolve", headers=headers)
        assert answer.status_code == 403

    assert [row["state"] for row in await sqlite_tocsin.rows("incident")] == ["triggered"]


@pytest.mark.parametrize(
    "path", ["/incidents/7", "/incidents/abc", "/incidents/" + "9" * 40, "/incidents/-1"]
)
async def test_an_unknown_incident_is_a_page_for_people(tocsin, path):
    page = await see(tocsin, path, 404)

    assert "There is no such incident" in page.text


async def test_the_drill_button_holds_a_drill_and_shows_it(tocsin):
    answer = await tocsin.client.post("/ui/drill")
    await tocsin.work()
    page = await see(tocsin, answer.headers["location"])

    assert answer.status_code == 303
    assert "drill TocsinDrill" in page.text
    assert "✓ told console stdout" in page.text


async def test_files_of_pages_are_kept_for_ever_and_named_by_their_content(sqlite_tocsin):
    page = await see(sqlite_tocsin, "/")
    addresses = [one["href"] for one in page.all("link")] + [one["src"] for one in page.all("script")]

    for address in addresses:
        answer = await sqlite_tocsin.client.get(address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert re.search(r"\.[0-9a-f]{12}\.(css|js|svg)$", address)
        assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("sheet.css", "..%2Fpages%2Fbase.html", "%2e%2e"):
        assert (await sqlite_tocsin.client.get(f"/static/{name}")).status_code in {404, 200}
        assert "layer" not in (await sqlite_tocsin.client.get(f"/static/{name}")).text


async def test_pages_answer_head_like_get(sqlite_tocsin):
    for path, status in (("/", 200), ("/incidents/1", 404)):
        answer = await sqlite_tocsin.client.head(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


async def test_a_refused_routing_yaml_is_said_on_every_page(sqlite_tocsin, routing):
    incident = await opened(sqlite_tocsin, alert())
    routing.write_text("route: {receiver: nobody}")
    await sqlite_tocsin.client.post("/-/reload")

    for path in ("/", f"/incidents/{incident}"):
        page = await see(sqlite_tocsin, path)
        assert "The last routing.yaml was refused" in page.text
        assert "nobody" in page.text


async def test_every_field_has_a_label_and_every_page_forbids_inline_code(sqlite_tocsin):
    incident = await opened(sqlite_tocsin, alert())

    for path in ("/", f"/incidents/{incident}", "/silences"):
        answer = await sqlite_tocsin.client.get(path)
        page = Page(answer.text)
        fields = sum(len(page.all(tag)) for tag in ("input", "select", "textarea"))
        fields -= sum(one.get("type") == "hidden" for one in page.all("input"))
        assert fields == len(page.all("label"))
        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("h1")) == 1
        assert all(one.get("scope") == "col" for one in page.all("th"))
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.fixture
async def world(migrated_url, tmp_path):
    async with a_world(migrated_url, tmp_path) as world:
        await world.routes(ROUTES)
        yield world


async def told(world, incident):
    """Return what the page says about who was told."""
    text = unescape((await world.client.get(f"/incidents/{incident}")).text)
    section = text[text.index('id="told"') : text.index('id="alerts"')]
    return " ".join(re.sub(r"<[^>]*>", " ", section).split())


async def test_the_page_says_who_was_told_and_why_the_others_were_not(world):
    incident = await world.alertmanager.fires("Errors", service="checkout", severity="critical")

    text = await told(world, incident)

    assert re.search(
        r"route everyone to receiver dev : every matcher holds ✓ told slack #dev at \S+ \S+ it fires", text
    )
    assert re.search(r"route critical to receiver page : every matcher holds ✓ told slack #page", text)
    assert "a reminder goes out at" in text
    assert "route route to receiver ops : it has no matchers; routes below took it" in text
    assert "route calm to receiver quiet : not reached: an earlier sibling matched without continue" in text


async def test_the_page_says_why_a_route_did_not_match(world):
    incident = await world.alertmanager.fires("Errors", service="search", severity="info")

    text = await told(world, incident)

    assert 'route everyone to receiver dev : service="checkout" does not hold: service is "search"' in text
    assert "route route to receiver ops : it has no matchers ✓ told slack #ops" in text


async def test_the_page_says_who_waits_and_until_when(world):
    incident = await world.alertmanager.fires("Slow", service="search", severity="warning")

    text = await told(world, incident)

    assert "waits slack #quiet until 2027-01-01 00:00:00 outside active_time_intervals later" in text


async def test_the_page_says_who_could_not_be_told_and_who_was_told_instead(world):
    del world.slack.channels["#page"]
    incident = await world.alertmanager.fires("Errors", service="search", severity="critical")

    text = await told(world, incident)
    row = Page((await world.client.get("/")).text).text

    assert re.search(r"✕ failed slack #page at \S+ \S+ .*channel_not_found", text)
    assert re.search(
        r"Others ✓ told slack #fallback at \S+ \S+ in place of slack #page, which could not be reached;", text
    )
    assert "slack #page ✕ failed" in row


async def test_the_page_says_what_was_withdrawn(world):
    incident = await world.alertmanager.fires("Slow", service="search", severity="warning")
    await world.acknowledge(incident)
    await world.fast_forward(days=60)

    text = await told(world, incident)

    assert "\N{EN DASH} not told slack #quiet" in text


async def test_the_page_knows_destinations_that_routing_yaml_no_longer_names(world):
    incident = await world.alertmanager.fires("Errors", service="search", severity="critical")
    await world.routes("route: {receiver: dev}")

    text = await told(world, incident)

    assert "\N{EN DASH} not told slack #dev nothing was owed to it" in text
    assert re.search(r"✓ told slack #page at \S+ \S+ through the route critical", text)


async def test_alerts_of_one_incident_may_take_different_routes(world):
    await world.alertmanager.fires("Errors", service="search", severity="info", instance="a")
    incident = await world.alertmanager.fires("Errors", service="checkout", severity="critical", instance="b")

    text = await told(world, incident)

    for name in ("ops", "dev", "page"):
        assert f"told slack #{name}" in text
    assert "told slack #quiet" not in text


async def test_a_destination_that_two_routes_name_is_told_once_and_both_say_so(world):
    await world.routes("""
route:
  receiver: ops
  routes: [{name: one, receiver: dev, continue: true}, {name: two, receiver: dev}]
""")
    incident = await world.alertmanager.fires("Errors")

    text = await told(world, incident)

    assert re.search(
        r"route two to receiver dev : it has no matchers ✓ told slack #dev at \S+ \S+ .*through the route one",
        text,
    )


async def test_the_page_says_what_a_destination_will_be_told_next(world):
    await world.alertmanager.fires("Errors", severity="critical", instance="a")
    incident = await world.alertmanager.fires("Errors", severity="critical", instance="b")

    text = await told(world, incident)

    assert "it fires; to be told next: more alerts fire" in text


async def test_a_destination_that_is_tried_again_is_said_to_be(world):
    world.slack.fails_with(DOWN, "#ops")
    incident = await world.alertmanager.fires("Errors")

    text = await told(world, incident)

    assert re.search(r"↻ retrying slack #ops next try at \S+ \S+ .*503", text)


async def test_the_page_knows_who_was_told_by_a_receiver_that_is_gone(world):
    incident = await world.alertmanager.fires("Errors")
    await world.reload("{receivers: [{name: console, console_configs: [{}]}], route: {receiver: console}}")

    text = await told(world, incident)

    assert re.search(r"✓ told slack #ops at \S+ \S+ routing.yaml no longer has it; it fires", text)


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        (["sent"], "told"),
        (["sent", "owed"], "told"),
        (["sent", "withdrawn"], "told"),
        (["sent", "failed"], "failed"),
        (["failed", "sent"], "told"),
        (["failed", "owed"], "failed"),
        (["owed"], "waits"),
        (["withdrawn"], "not told"),
    ],
)
def test_what_happened_last_counts(states, verdict):
    rows = [
        {"incident_id": 1, "destination": "a", "state": state, "newest": number, "attempts": 0}
        for number, state in enumerate(states)
    ]

    assert health(rows) == {1: [("a", verdict)]}


def test_trouble_comes_first_and_a_second_try_is_said():
    rows = [
        {"incident_id": 1, "destination": name, "state": state, "newest": 1, "attempts": attempts}
        for name, state, attempts in [("a", "sent", 1), ("b", "owed", 3), ("c", "failed", 1)]
    ]

    assert health(rows) == {1: [("c", "failed"), ("b", "retrying"), ("a", "told")]}


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=48), "48s"),
        (timedelta(minutes=12, seconds=4), "12m 04s"),
        (timedelta(hours=1, minutes=20), "1h 20m"),
        (timedelta(days=3, hours=4, minutes=59), "3d 04h"),
    ],
)
def test_a_duration_has_two_units(length, text):
    assert duration(length) == text


@pytest.mark.parametrize(
    ("order", "severity", "look"),
    [
        (None, "critical", "critical"),
        (None, "unheard-of", "info"),
        (["page", "ticket", "note", "none"], "page", "critical"),
        (["page", "ticket", "note", "none"], "ticket", "warning"),
        (["page", "ticket", "note", "none"], "note", "info"),
    ],
)
def test_a_severity_looks_as_loud_as_its_rank(order, severity, look):
    named = {"severity_order": order} if order else {}
    config = Config.model_validate({"receivers": [{"name": "a"}], "route": {"receiver": "a"}, **named})

    assert tone(config, severity) == look


def luminance(color):
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_in_both_themes(theme):
    """Every text colour has the contrast of WCAG AA on each ground it stands on."""
    sheet = (TEMPLATES / "ui" / "static" / "sheet.css").read_text()
    found = re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", sheet)
    colors = {name: pair[theme] for name, *pair in found} | {"white": "#ffffff"}
    texts = [(text, ground) for text in ("ink", "dim", "link") for ground in ("ground", "panel")]
    texts += [(name, f"{name}-ground") for name in ("critical", "warning", "good", "info", "calm")]
    texts += [(name, "panel") for name in ("critical", "warning", "good", "calm")]
    texts += [("white", "strong"), ("ink", "critical-ground"), ("link", "info-ground")]

    for text, ground in texts:
        low, high = sorted((luminance(colors[text]), luminance(colors[ground])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{text} on {ground}"
