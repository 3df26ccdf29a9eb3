"""What can a program ask, and tell us to do?"""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from tests.web.bodies import alert, as_posted, body

INCIDENTS = "/api/v1/incidents"
DESIGNED = {  # design: HTTP; what other releases bring is not there yet
    "/webhooks/alertmanager": {"post"},
    "/webhooks/alertmanager/{source}": {"post"},
    "/": {"post"},
    "/test-alert": {"post"},
    "/api/v1/incidents": {"get"},
    "/api/v1/incidents/{incident_id}": {"get"},
    "/api/v1/incidents/{incident_id}/{action}": {"post"},
    "/api/v1/notifications": {"get"},
    "/api/v1/drills/{drill_id}": {"get"},
    "/api/v1/explain": {"post"},
    "/api/v1/quarantine": {"get"},
    "/health": {"get"},
    "/health/live": {"get"},
    "/health/ready": {"get"},
    "/metrics": {"get"},
    "/-/reload": {"post"},
    "/webhooks/slack": {"post"},
    "/webhooks/telegram": {"post"},
    "/webhooks/pagerduty": {"post"},
}


async def fires(tocsin, name, severity="warning", instance="db-1"):
    """Let one alert fire in a group of its own; return the id of its incident."""
    answer = await tocsin.post(
        body(
            alert(instance, alertname=name, severity=severity), groupKey=name, groupLabels={"alertname": name}
        )
    )
    return answer.json()["incidents"][0]


async def titles(tocsin, **filters):
    answer = await tocsin.client.get(INCIDENTS, params=filters)
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


@pytest.fixture
async def three(tocsin):
    """A service with three incidents, a minute apart: one resolved, one acknowledged, one triggered."""
    for name, severity in (("DiskFull", "warning"), ("CpuHot", "critical"), ("100%_odd", "info")):
        await fires(tocsin, name, severity)
        tocsin.clock.advance(minutes=1)
    await tocsin.client.post(f"{INCIDENTS}/1/resolve")
    await tocsin.client.post(f"{INCIDENTS}/2/acknowledge", json={"actor": "ana"})
    return tocsin


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        pytest.param({}, ["100%_odd", "CpuHot", "DiskFull"], id="newest first"),
        pytest.param({"state": "triggered"}, ["100%_odd"], id="one state"),
        pytest.param({"state": ["acknowledged", "resolved"]}, ["CpuHot", "DiskFull"], id="two states"),
        pytest.param({"severity": ["critical", "info"]}, ["100%_odd", "CpuHot"], id="severities"),
        pytest.param({"q": "cpu"}, ["CpuHot"], id="a part of the title, whatever its case"),
        pytest.param({"q": "%_"}, ["100%_odd"], id="a percent sign is a percent sign"),
        pytest.param({"q": "u_h"}, [], id="an underscore is an underscore"),
        pytest.param({"match": 'alertname="CpuHot"'}, ["CpuHot"], id="an equal label"),
        pytest.param({"match": 'alertname!="CpuHot"'}, ["100%_odd", "DiskFull"], id="a different label"),
        pytest.param({"match": 'alertname=~"Disk.*|Cpu.*"'}, ["CpuHot", "DiskFull"], id="a regular expression"),
        pytest.param({"match": 'alertname=~"Disk"'}, [], id="a regular expression is anchored"),
        pytest.param({"match": 'alertname!~"D.*"'}, ["100%_odd", "CpuHot"], id="a negative regular expression"),
        pytest.param({"match": ['alertname=~".+t"', 'severity="critical"']}, ["CpuHot"], id="two matchers"),
        pytest.param({"match": 'absent=""'}, ["100%_odd", "CpuHot", "DiskFull"], id="a label that is not there"),
        pytest.param({"since": "2026-11-20T03:13:00Z"}, ["100%_odd", "CpuHot"], id="since is inclusive"),
        pytest.param({"until": "2026-11-20T03:13:00Z"}, ["DiskFull"], id="until is exclusive"),
        pytest.param({"since": "2026-11-20T05:13:00+02:00", "until": "2026-11-20T03:14:00Z"}, ["CpuHot"], id="with an offset"),
        pytest.param({"drill": "true"}, [], id="only drills"),
        pytest.param({"drill": "false"}, ["100%_odd", "CpuHot", "DiskFull"], id="no drills"),
    ],
)  # fmt: skip
async def test_the_list_fits_every_filter(three, filters, found):
    assert await titles(three, **filters) == found


@pytest.mark.parametrize(
    "filters",
    [{"state": "open"}, {"since": "yesterday"}, {"since": "2026-11-20T03:13:00"}, {"match": "=~"},
     {"match": 'a=~"("'}, {"since": "0001-01-01T00:00:00+14:00"}, {"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"cursor": "9" * 30}, {"cursor": "²"}],
)  # fmt: skip
async def test_a_filter_that_means_nothing_is_refused(sqlite_tocsin, filters):
    answer = await sqlite_tocsin.client.get(INCIDENTS, params=filters)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("filters", [{}, {"match": 'alertname=~"A.*"'}], ids=["all", "by matcher"])
async def test_cursors_visit_every_incident_once_while_new_ones_arrive(sqlite_tocsin, filters):
    wanted = [await fires(sqlite_tocsin, f"A{n}") for n in range(7)]

    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        where = {**filters, "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await sqlite_tocsin.client.get(INCIDENTS, params=where)).json()
        seen += [item["id"] for item in page["items"]]
        cursor, pages = page["next"], pages + 1
        await fires(sqlite_tocsin, f"A new one {pages}")

    assert seen == wanted[::-1]


async def test_an_incident_in_full(tocsin):
    id_ = await fires(tocsin, "DiskFull")
    await tocsin.work()

    shown = (await tocsin.client.get(f"{INCIDENTS}/{id_}")).json()

    assert shown["url"] == f"https://tocsin.example.org/incidents/{id_}"
    assert shown["started_at"] == "2026-11-20T03:12:00Z"
    assert [one["labels"]["instance"] for one in shown["alerts"]] == ["db-1"]
    assert [line["kind"] for line in shown["timeline"]] == ["opened", "owed", "told"]
    told = shown["notifications"][0]
    assert (told["state"], told["reason"], len(told["tries"])) == ("sent", "first", 1)
    assert shown["timeline"][0]["at"].endswith("Z")


@pytest.mark.parametrize(
    ("verb", "state"),
    [("acknowledge", "acknowledged"), ("resolve", "resolved"), ("unacknowledge", "triggered")],
)
async def test_an_action_that_is_repeated_changes_nothing(tocsin, verb, state):
    id_ = await fires(tocsin, "DiskFull")
    first = await tocsin.client.post(f"{INCIDENTS}/{id_}/{verb}", json={"actor": "ana", "text": "mine"})
    before = await tocsin.everything("incident", "timeline", "notification")
    tocsin.clock.advance(minutes=1)

    again = await tocsin.client.post(f"{INCIDENTS}/{id_}/{verb}", json={"actor": "bo"})

    assert first.json() == again.json()
    assert again.json()["state"] == state
    assert await tocsin.everything("incident", "timeline", "notification") == before


async def test_a_note_is_kept_once(tocsin):
    id_ = await fires(tocsin, "DiskFull")
    for _ in range(2):
        await tocsin.client.post(f"{INCIDENTS}/{id_}/note", json={"actor": "ana", "text": "a\0 disk"})

    notes = [line for line in await tocsin.rows("timeline") if line["kind"] == "note"]

    assert [(one["actor"], one["text"]) for one in notes] == [("ana", "a\N{REPLACEMENT CHARACTER} disk")]


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("GET", f"{INCIDENTS}/77", None, 404),
        ("GET", f"{INCIDENTS}/{2**70}", None, 404),
        ("GET", f"{INCIDENTS}/-1", None, 404),
        ("GET", f"{INCIDENTS}/x", None, 422),
        ("POST", f"{INCIDENTS}/77/resolve", None, 404),
        ("POST", f"{INCIDENTS}/{2**70}/resolve", None, 404),
        ("POST", f"{INCIDENTS}/1/explode", None, 422),
        ("POST", f"{INCIDENTS}/1/note", {"text": "  "}, 422),
        ("POST", f"{INCIDENTS}/1/resolve", {"who": "ana"}, 422),
        ("POST", f"{INCIDENTS}/1/resolve", {"actor": "a" * 101}, 422),
        ("GET", "/api/v1/drills/none", None, 404),
        ("GET", "/api/v1/drills/a%00b", None, 400),
        ("GET", f"{INCIDENTS}?q=a%00b", None, 400),
        ("GET", f"{INCIDENTS}?severity=%00", None, 400),
        ("GET", f"{INCIDENTS}?match=a%3D%00", None, 400),
        ("POST", "/test-alert", {"channels": ["pigeon"]}, 422),
        ("POST", "/test-alert", {"resolve_after": "soon"}, 422),
        ("POST", "/test-alert", {"resolve_after": "9000y"}, 422),
        ("POST", "/test-alert", {"labels": {"a": 1}}, 422),
        ("POST", "/api/v1/explain", {"at": "2026-11-20T03:12:00"}, 422),
        ("POST", "/api/v1/explain", [], 422),
        ("GET", "/nowhere", None, 404),
        ("DELETE", INCIDENTS, None, 405),
    ],
)  # fmt: skip
async def test_what_is_not_there_or_makes_no_sense_is_refused_in_words(tocsin, method, path, sent, status):
    await fires(tocsin, "DiskFull")

    answer = await tocsin.client.request(method, path, json=sent) if sent is not None else await tocsin.client.request(method, path)  # fmt: skip

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"])
async def test_explaining_the_ends_of_the_calendar_is_no_error_of_ours(sqlite_tocsin, at):
    answer = await sqlite_tocsin.client.post("/api/v1/explain", json={"labels": {}, "at": at})

    assert answer.status_code in {200, 422}, answer.text


async def test_an_explanation_says_who_hears(sqlite_tocsin):
    answer = await sqlite_tocsin.client.post("/api/v1/explain", json={"labels": {"severity": "critical"}})

    said = answer.json()
    assert (said["notify"], said["receivers"], said["severity"]) == (True, ["ops"], "critical")
    assert said["plan"][0]["to"] == "ops"
    assert await sqlite_tocsin.rows("incident") == []


async def test_a_drill_goes_the_whole_way_and_ends_by_itself(tocsin):
    held = await tocsin.client.post("/test-alert", json={"channels": ["console"], "resolve_after": "2m"})
    await tocsin.work()
    drill = held.json()

    receipt = (await tocsin.client.get(f"/api/v1/drills/{drill['drill_id']}")).json()
    tocsin.clock.advance(minutes=2)
    await tocsin.work()
    incident = (await tocsin.client.get(f"{INCIDENTS}/{drill['incident_id']}")).json()

    assert held.status_code == 202
    (told,) = receipt["destinations"]
    assert receipt["finished"]
    assert (told["delivered"], told["attempts"], told["latency_seconds"]) == (True, 1, 0)
    assert (incident["drill"], incident["state"]) == (True, "resolved")
    assert await titles(tocsin, drill="true") == ["TocsinDrill"]


async def test_a_drill_tells_only_the_channels_it_names(sqlite_tocsin):
    held = await sqlite_tocsin.client.post("/test-alert", json={"channels": ["slack"]})
    await sqlite_tocsin.work()

    receipt = (await sqlite_tocsin.client.get(f"/api/v1/drills/{held.json()['drill_id']}")).json()

    assert receipt["destinations"] == []


async def test_a_dry_run_does_nothing(sqlite_tocsin):
    answer = await sqlite_tocsin.client.post("/test-alert", json={"dry_run": True, "labels": {"a": "b"}})

    assert answer.status_code == 202
    assert answer.json()["drill_id"] is None
    assert answer.json()["plan"][0]["to"] == "ops"
    assert await sqlite_tocsin.rows("incident") == []


async def test_drills_of_one_instant_are_incidents_of_their_own(tocsin):
    ids = [(await tocsin.client.post("/test-alert")).json()["incident_id"] for _ in range(3)]

    assert len(set(ids)) == 3


async def test_notifications_are_listed_by_state(tocsin):
    for name in "abc":
        await fires(tocsin, name)
    await tocsin.work()
    await fires(tocsin, "d")

    async def listed(**filters):
        page = (await tocsin.client.get("/api/v1/notifications", params=filters)).json()
        return [one["incident_id"] for one in page["items"]], page["next"]

    assert (await listed())[0][0] == 4
    assert await listed(state="sent", limit=2) == ([3, 2], "2")
    assert await listed(state="sent", limit=2, cursor="2") == ([1], None)
    assert await listed(state=["withdrawn", "failed"]) == ([], None)
    assert await listed(state="failed") == ([], None)


async def test_the_quarantine_is_listed_as_text(tocsin):
    await tocsin.post(b"\xff\x00junk", source="prod")
    await tocsin.post(b"null", source="prod")

    page = (await tocsin.client.get("/api/v1/quarantine", params={"limit": 1})).json()
    rest = (await tocsin.client.get("/api/v1/quarantine", params={"cursor": page["next"]})).json()

    assert [one["body"] for one in page["items"]] == ["null"]
    assert [one["body"] for one in rest["items"]] == ["\N{REPLACEMENT CHARACTER}\0junk"]
    assert rest["next"] is None


async def metric(tocsin, name, **labels):
    families = text_string_to_metric_families((await tocsin.client.get("/metrics")).text)
    return next(
        (one.value for family in families for one in family.samples if one.name == name and one.labels == labels), 0
    )  # fmt: skip


async def test_a_reload_takes_a_sound_file_and_refuses_a_faulty_one(sqlite_tocsin, routing):
    sound = routing.read_text()
    routing.write_text(sound.replace("receiver: ops", "receiver: dba"))
    refused = await sqlite_tocsin.client.post("/-/reload")
    after_fault = await metric(sqlite_tocsin, "tocsin_config_last_reload_successful")
    health = (await sqlite_tocsin.client.get("/health")).json()
    routing.write_text(sound.replace("ops", "dba"))

    taken = await sqlite_tocsin.client.post("/-/reload")

    assert refused.status_code == 422
    assert "dba" in refused.json()["detail"]
    assert (after_fault, health["config"]) == (0, "the last routing.yaml was refused")
    assert taken.json() == {"status": "reloaded"}
    assert await metric(sqlite_tocsin, "tocsin_config_last_reload_successful") == 1
    assert sqlite_tocsin.services.config.route.receiver == "dba"


async def test_metrics_count_what_came_and_what_is_owed(tocsin):
    accepted = await metric(tocsin, "tocsin_alerts_accepted_total")
    bodies = await metric(tocsin, "tocsin_payloads_total", outcome="accepted")

    await tocsin.post(body(alert("db-1"), alert("db-2")))
    tocsin.clock.advance(seconds=42)

    assert await metric(tocsin, "tocsin_alerts_accepted_total") == accepted + 2
    assert await metric(tocsin, "tocsin_payloads_total", outcome="accepted") == bodies + 1
    assert await metric(tocsin, "tocsin_open_incidents") == 1
    assert await metric(tocsin, "tocsin_notifications_owed") == 1
    assert await metric(tocsin, "tocsin_oldest_owed_seconds") == 42


async def test_health_says_whether_alerts_can_be_taken(tocsin):
    answers = [await tocsin.client.get(path) for path in ("/health/live", "/health/ready", "/health")]

    assert [one.status_code for one in answers] == [200, 200, 200]
    assert answers[2].json()["database"] == "ok"


async def test_health_says_when_the_database_is_gone(sqlite_tocsin, tmp_path):
    for file in tmp_path.glob("one.db*"):
        file.unlink()
    sqlite_tocsin.services.readers.dispose()
    (tmp_path / "one.db").mkdir()

    live = await sqlite_tocsin.client.get("/health/live")
    ready = await sqlite_tocsin.client.get("/health/ready")
    metrics = await sqlite_tocsin.client.get("/metrics")
    listed = await sqlite_tocsin.client.get(INCIDENTS)

    assert (live.status_code, ready.status_code, metrics.status_code) == (200, 503, 200)
    assert listed.status_code == 503
    assert listed.headers["content-type"] == "application/problem+json"


async def test_a_table_that_is_gone_is_no_bug_of_the_one_who_asks(tocsin):
    with tocsin.services.writer.engine.begin() as db:
        db.execute(text("DROP TABLE quarantine"))

    answer = await tocsin.client.get("/api/v1/quarantine")

    assert answer.status_code == 503


async def test_the_description_of_the_api_names_every_endpoint(sqlite_tocsin):
    described = (await sqlite_tocsin.client.get("/openapi.json")).json()

    assert described["info"]["title"] == "Tocsin"
    for path, methods in DESIGNED.items():
        assert methods <= described["paths"].get(path, {}).keys(), path
    undesigned = {path for path in described["paths"] if path not in DESIGNED}
    assert all(path.startswith(("/api/v1/", "/calendars/")) for path in undesigned)


async def test_answers_have_the_status_that_the_description_names(sqlite_tocsin):
    described = (await sqlite_tocsin.client.get("/openapi.json")).json()["paths"]
    await fires(sqlite_tocsin, "DiskFull")
    drill = (await sqlite_tocsin.client.post("/test-alert")).json()["drill_id"]
    sent = {"/api/v1/explain": {}, "/api/v1/incidents/{incident_id}/{action}": {"text": "said"}}

    for path, methods in DESIGNED.items():
        for method in methods:
            url = path.format(incident_id=1, action="note", source="prod", drill_id=drill)
            content = as_posted(sent.get(path, body(alert()) if "webhooks" in path or path == "/" else {}))
            headers = {"Content-Type": "application/json"}
            answer = await sqlite_tocsin.client.request(
                method, url, content=content if method == "post" else None, headers=headers
            )
            named = described[path][method]["responses"]
            assert str(answer.status_code) in named, (method, path, answer.text)


async def test_a_page_has_the_fields_that_the_description_names(sqlite_tocsin):
    described = (await sqlite_tocsin.client.get("/openapi.json")).json()
    page = (await sqlite_tocsin.client.get(INCIDENTS)).json()

    assert page.keys() == described["components"]["schemas"]["Incidents"]["properties"].keys()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("trace-1.A_b", True), ("", False), ("a b", False), ("x" * 65, False), ("<script>", False)],
)
async def test_an_answer_carries_the_id_of_its_request(sqlite_tocsin, given, kept):
    answer = await sqlite_tocsin.client.get("/health/live", headers={"X-Request-ID": given})

    name = answer.headers["x-request-id"]
    assert (name == given) is kept
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 200, id="a program says nothing"),
        pytest.param({"Sec-Fetch-Site": "same-origin"}, 200, id="our own page"),
        pytest.param({"Sec-Fetch-Site": "none"}, 200, id="typed by hand"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="another site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, 403, id="a neighbour"),
        pytest.param({"Origin": "http://127.0.0.1"}, 200, id="our own origin, in an old browser"),
        pytest.param({"Origin": "https://evil.example"}, 403, id="another origin, in an old browser"),
        pytest.param({"Origin": "null"}, 403, id="an origin that hides"),
        pytest.param({"Origin": "http://[evil"}, 403, id="an origin that is no address"),
    ],
)
@pytest.mark.parametrize("path", ["/-/reload", "/webhooks/alertmanager"])
async def test_a_page_of_another_site_may_not_post(sqlite_tocsin, headers, status, path):
    answer = await sqlite_tocsin.client.post(path, json=body(), headers=headers)

    assert answer.status_code == status
    assert "content-security-policy" in answer.headers


async def test_a_page_of_another_site_may_read_as_any_program(sqlite_tocsin):
    answer = await sqlite_tocsin.client.get("/health", headers={"Origin": "https://other.example"})

    assert answer.status_code == 200


async def test_every_endpoint_says_how_it_refuses(tocsin):
    """What is documented is what is answered: problem documents, and nothing of the framework's."""
    described = (await tocsin.client.get("/openapi.json")).json()

    operations = [one for path in described["paths"].values() for one in path.values()]
    assert all("application/problem+json" in one["responses"]["default"]["content"] for one in operations)
    assert "HTTPValidationError" not in described["components"]["schemas"]
