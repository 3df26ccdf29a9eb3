"""/openapi.json is complete and true: every answer is described, and really looks like that."""

from collections import defaultdict

import pytest

from receiver.web import shapes
from tests.web.bodies import alert, body

REFERENCE = "#/components/schemas/"
ADDRESSES = defaultdict(lambda: "1", action="note", source="prod")  # what stands for parameters of a path
POSTED = {
    "/api/v1/incidents/{incident_id}/{action}": {"text": "seen"},
    "/api/v1/explain": {"labels": {"alertname": "DiskFull", "severity": "critical"}},
    "/api/v1/silences": {"matchers": ["severity=warning"], "lasts": "1h"},
    "/api/v1/silences/{silence_id}": {"lasts": "2h"},
    "/": body(alert()),
    "/webhooks/alertmanager": body(alert()),
    "/webhooks/alertmanager/{source}": body(alert()),
}


@pytest.fixture
async def used(tocsin):
    """A service of which every list holds something, and the description of its API."""
    assert (
        await tocsin.post(body(alert("db-1"), alert("db-2"), groupLabels={"alertname": "DiskFull"}))
    ).is_success
    await tocsin.work()
    await tocsin.client.post("/api/v1/incidents/1/acknowledge", json={"actor": "ana"})
    await tocsin.post(body(alert("db-3", alertname="CpuHot"), groupKey="hot"))
    await tocsin.post(b"not JSON")
    await tocsin.client.post("/api/v1/silences", json={"matchers": ["alertname=DiskFull"], "lasts": "1h"})
    return tocsin


async def description(tocsin):
    return (await tocsin.client.get("/openapi.json")).json()["paths"]


def shape_of(said):
    """Return the shape that an answer is documented with; None for one that is no object."""
    schema = said.get("content", {}).get("application/json", {}).get("schema", {})
    return getattr(shapes, schema["$ref"].removeprefix(REFERENCE), None) if "$ref" in schema else None


async def test_every_answer_looks_as_the_description_says(used):
    """Asked are all endpoints that answer JSON; a field too many or too few fails."""
    drill = (await used.client.post("/test-alert")).json()["drill_id"]
    await used.work()
    checked = set()
    for path, methods in (await description(used)).items():
        for method, operation in methods.items():
            url = path.format_map(ADDRESSES | {"drill_id": drill})
            answer = await used.client.request(method, url, json=POSTED.get(path))
            shape = shape_of(operation["responses"].get(str(answer.status_code), {}))
            if shape is not None:
                found = shape.model_validate_json(answer.content, strict=True)
                assert getattr(found, "items", None) != [], f"{path} has nothing to look at"
                checked.add(path)

    assert checked >= {
        "/", "/webhooks/alertmanager", "/webhooks/alertmanager/{source}", "/test-alert", "/-/reload",
        "/api/v1/incidents", "/api/v1/incidents/{incident_id}", "/api/v1/incidents/{incident_id}/{action}",
        "/api/v1/notifications", "/api/v1/drills/{drill_id}", "/api/v1/explain", "/api/v1/quarantine",
        "/api/v1/silences", "/api/v1/silences/{silence_id}",
        "/health", "/health/live", "/health/ready",
    }  # fmt: skip


async def test_an_incident_in_full_has_something_in_every_part(used):
    """Otherwise the shapes of its parts would not have been looked at."""
    found = (await used.client.get("/api/v1/incidents/1")).json()

    assert all(found[part] for part in ("alerts", "timeline", "notifications", "plan", "quiet"))
    assert found["notifications"][0]["tries"]


async def test_a_preview_of_a_silence_looks_as_the_description_says(used):
    """The endpoint that makes silences answers a wish for a preview in another shape."""
    wish = {"matchers": ["instance=~db.+"], "lasts": "1h", "dry_run": True}

    found = (await used.client.post("/api/v1/silences", json=wish)).content

    assert shapes.SilencePreview.model_validate_json(found, strict=True).hides
    said = (await description(used))["/api/v1/silences"]["post"]["responses"]["200"]
    assert shape_of(said) is shapes.SilencePreview


async def test_every_json_answer_is_typed(sqlite_tocsin):
    """An endpoint that answers JSON says what is in it."""
    untyped = [
        (method, path)
        for path, methods in (await description(sqlite_tocsin)).items()
        for method, operation in methods.items()
        for status, said in operation["responses"].items()
        if status.startswith("2")
        if "application/json" in said.get("content", {})
        if "$ref" not in said["content"]["application/json"]["schema"]
    ]

    assert untyped == []


@pytest.mark.parametrize(
    ("method", "url", "path", "status"),
    [
        ("GET", "/api/v1/incidents/99", "/api/v1/incidents/{incident_id}", 404),
        ("POST", "/api/v1/incidents/99/acknowledge", "/api/v1/incidents/{incident_id}/{action}", 404),
        ("GET", "/api/v1/drills/none", "/api/v1/drills/{drill_id}", 404),
        ("GET", "/api/v1/incidents?cursor=x", "/api/v1/incidents", 422),
        ("GET", "/api/v1/notifications?limit=0", "/api/v1/notifications", 422),
    ],
)
async def test_a_refusal_is_described_by_its_status(sqlite_tocsin, method, url, path, status):
    answer = await sqlite_tocsin.client.request(method, url)

    assert answer.status_code == status
    said = (await description(sqlite_tocsin))[path][method.lower()]["responses"][str(status)]
    assert list(said["content"]) == [answer.headers["content-type"]]


async def test_who_asks_while_the_database_is_away_hears_503_as_described(tocsin):
    """Every GET that reads the database says so."""
    tocsin.services.readers.dispose()
    with tocsin.services.writer.engine.begin() as db:
        for table in ("attempt", "drill", "timeline", "notification", "quarantine"):
            db.exec_driver_sql(f"ALTER TABLE {table} RENAME TO gone_{table}")
    described = await description(tocsin)
    for path in ("/api/v1/notifications", "/api/v1/quarantine", "/api/v1/drills/{drill_id}"):
        answer = await tocsin.client.get(path.format(drill_id="none"))
        assert (answer.status_code, path) == (503, path)
        assert "503" in described[path]["get"]["responses"]
