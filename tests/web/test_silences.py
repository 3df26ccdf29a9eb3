"""What programs hear about silences: made, previewed, listed, moved, ended, and refused with words."""

import pytest

from tests.web.bodies import alert, body

WISH = {"matchers": ['alertname="DiskFull"'], "lasts": "2h", "actor": "ana", "text": "new disk"}
SILENCES = "/api/v1/silences"


async def make(box, **wish):
    answer = await box.client.post(SILENCES, json=WISH | wish)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def listed(box, **query):
    answer = await box.client.get(SILENCES, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def fire(box, name, *instances):
    """Let an alert fire at each instance, all in one incident."""
    alerts = [alert(one, alertname=name) for one in instances or ("db-1",)]
    answer = await box.post(body(*alerts, groupKey=name, groupLabels={"alertname": name}))
    assert answer.status_code == 200, answer.text


async def test_a_silence_is_made_as_it_was_wished(tocsin):
    made = await make(tocsin, matchers=['{alertname="DiskFull"}', 'instance=~"db-.*",team!="web"'])

    assert made == {
        "id": 1,
        "matchers": ['alertname="DiskFull"', 'instance=~"db-.*"', 'team!="web"'],
        "starts_at": "2026-11-20T03:12:00Z",
        "ends_at": "2026-11-20T05:12:00Z",
        "made_at": "2026-11-20T03:12:00Z",
        "made_by": "ana",
        "text": "new disk",
    }
    assert (await listed(tocsin))["items"] == [made]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("alertname=DiskFull", ['alertname="DiskFull"']),
        ('{ alertname = "DiskFull" , job!~"a|b" }', ['alertname="DiskFull"', 'job!~"a|b"']),
        ('{"the service"="ü\\"\\\\"}', ['"the service"="ü\\"\\\\"']),
        ('service.name="x"', ['service.name="x"']),
        ('path="a,b}"', ['path="a,b}"']),
        ("alertname=\0", ['alertname="\N{REPLACEMENT CHARACTER}"']),
    ],
)
async def test_every_spelling_of_a_matcher_is_understood_and_kept(tocsin, written, kept):
    """In the syntax of old and of UTF-8 names; what is stored reads the same again at the next claim."""
    made = await make(tocsin, matchers=[written])

    assert made["matchers"] == kept
    again = await make(tocsin, matchers=made["matchers"])
    assert again["matchers"] == kept


@pytest.mark.parametrize(
    ("wish", "where", "what"),
    [
        ({"matchers": []}, "body.matchers", "at least 1 item"),
        ({"matchers": "a=b"}, "body.matchers", "list"),
        ({"matchers": ["nonsense"]}, "body.matchers", "is not a matcher; write a label"),
        ({"matchers": ['a=~"("']}, "body.matchers", "is not a regular expression in RE2 syntax"),
        ({"matchers": ["a=" + "x" * 5000]}, "body.matchers.0", "at most 4096 characters"),
        ({"lasts": None}, "body", "write either ends_at or lasts"),
        ({"ends_at": "2027-01-01T00:00:00Z"}, "body", "write either ends_at or lasts"),
        ({"lasts": "0s"}, "body.lasts", "greater than"),
        ({"lasts": "100y"}, "body.lasts", "less than or equal"),
        ({"lasts": "soon"}, "body.lasts", "soon"),
        ({"lasts": None, "ends_at": "2027-01-01T00:00:00"}, "body.ends_at", "timezone"),
        ({"text": "x" * 1001}, "body.text", "at most 1000 characters"),
        ({"comment": "x"}, "body.comment", "not permitted"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused_with_words(sqlite_tocsin, wish, where, what):
    sent = {name: value for name, value in (WISH | wish).items() if value is not None}

    answer = await sqlite_tocsin.client.post(SILENCES, json=sent)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    [error] = answer.json()["errors"]
    assert error["where"] == where
    assert what in error["what"]
    assert (await listed(sqlite_tocsin))["items"] == []


@pytest.mark.parametrize(
    "wish",
    [
        {"lasts": None, "ends_at": "2026-11-20T03:12:00Z"},
        {"lasts": None, "ends_at": "2027-01-01T00:00:00Z", "starts_at": "2027-01-01T00:00:00Z"},
    ],
)
async def test_a_silence_that_would_be_over_before_it_begins_is_refused(sqlite_tocsin, wish):
    sent = {name: value for name, value in (WISH | wish).items() if value is not None}

    answer = await sqlite_tocsin.client.post(SILENCES, json=sent)

    assert answer.status_code == 422
    assert "ends_at" in answer.json()["detail"]


async def test_a_preview_says_what_it_would_hide_and_what_only_in_part(tocsin):
    """And nothing is done."""
    await fire(tocsin, "DiskFull", "db-1", "db-2")
    await fire(tocsin, "CpuHot", "db-1", "web-1")
    await fire(tocsin, "Slow", "web-1")

    answer = await tocsin.client.post(
        SILENCES, json=WISH | {"matchers": ['instance=~"db-.*"'], "dry_run": True}
    )

    assert answer.status_code == 200
    found = answer.json()
    url = "https://tocsin.example.org/incidents"
    assert found == {
        "incidents": 1,
        "alerts": 3,
        "hides": [
            {"id": 1, "title": "DiskFull", "severity": "warning", "alerts": 2, "firing": 2, "url": f"{url}/1"}
        ],
        "in_part": [
            {"id": 2, "title": "CpuHot", "severity": "warning", "alerts": 1, "firing": 2, "url": f"{url}/2"}
        ],
        "everything": False,
    }
    assert (await listed(tocsin))["items"] == []


async def test_a_preview_finds_labels_that_not_all_alerts_of_an_incident_have(tocsin):
    await fire(tocsin, "DiskFull", "db-1", "db-2")

    answer = await tocsin.client.post(SILENCES, json=WISH | {"matchers": ["instance=db-1"], "dry_run": True})

    assert [one["id"] for one in answer.json()["in_part"]] == [1]


@pytest.mark.parametrize("matcher", ['alertname=~".*"', 'alertname=~".+"', "{}", 'severity!="critical"'])
async def test_a_silence_that_chooses_nothing_is_asked_twice(tocsin, matcher):
    await fire(tocsin, "DiskFull", "db-1", "db-2")
    asked = await tocsin.client.post(SILENCES, json=WISH | {"matchers": [matcher]})

    assert asked.status_code == 409
    assert "now 1 open incident with 2 firing alerts" in asked.json()["detail"]
    assert '"everything": true' in asked.json()["detail"]
    assert (await listed(tocsin))["items"] == []

    await make(tocsin, matchers=[matcher], everything=True)


async def test_a_silence_that_hides_all_that_is_open_is_asked_twice_if_that_is_more_than_a_few(tocsin):
    wish = WISH | {"matchers": ['severity="warning"']}
    for name in ("A", "B", "C"):
        await fire(tocsin, name)
    preview = await tocsin.client.post(SILENCES, json=wish | {"dry_run": True})
    assert preview.json()["everything"] is False

    await fire(tocsin, "D")
    asked = await tocsin.client.post(SILENCES, json=wish)
    assert asked.status_code == 409

    await tocsin.post(body(alert(alertname="E", severity="critical"), groupKey="E", groupLabels={"e": "e"}))
    made = await tocsin.client.post(SILENCES, json=wish)
    assert made.status_code == 201


async def test_silences_are_listed_in_pages_newest_first(tocsin):
    for number in range(5):
        await make(tocsin, text=str(number))

    first = await listed(tocsin, limit=2)
    second = await listed(tocsin, limit=2, cursor=first["next"])
    last = await listed(tocsin, limit=2, cursor=second["next"])

    texts = [one["text"] for page in (first, second, last) for one in page["items"]]
    assert texts == ["4", "3", "2", "1", "0"]
    assert last["next"] is None
    assert (await tocsin.client.get(SILENCES, params={"cursor": "x"})).status_code == 422


async def test_active_are_those_that_count_now(tocsin):
    await make(tocsin, lasts="1m", text="over")
    tocsin.clock.advance(minutes=1)
    await make(tocsin, text="now")
    await make(tocsin, starts_at="2027-01-01T00:00:00Z", text="to come")

    active, others = await listed(tocsin, active=True), await listed(tocsin, active=False)

    assert [one["text"] for one in active["items"]] == ["now"]
    assert [one["text"] for one in others["items"]] == ["to come", "over"]


async def test_a_silence_is_extended_and_shortened_to_the_instant(tocsin):
    made = await make(tocsin)
    path = f"{SILENCES}/{made['id']}"

    longer = await tocsin.client.post(path, json={"ends_at": "2026-11-21T18:00:00+01:00"})
    shorter = await tocsin.client.post(path, json={"lasts": "5m", "actor": "bo"})

    assert longer.json() == made | {"ends_at": "2026-11-21T17:00:00Z"}
    assert shorter.json() == made | {"ends_at": "2026-11-20T03:17:00Z"}


async def test_a_silence_that_is_ended_twice_is_ended_once(tocsin):
    made = await make(tocsin)
    tocsin.clock.advance(minutes=5)
    ended = await tocsin.client.delete(f"{SILENCES}/{made['id']}")
    tocsin.clock.advance(minutes=5)

    again = await tocsin.client.delete(f"{SILENCES}/{made['id']}", params={"actor": "bo"})

    assert ended.json() == again.json() == made | {"ends_at": "2026-11-20T03:17:00Z"}


@pytest.mark.parametrize("id_", [4711, 2**70])
async def test_what_is_not_there_cannot_be_changed(sqlite_tocsin, id_):
    changed = await sqlite_tocsin.client.post(f"{SILENCES}/{id_}", json={"lasts": "1h"})
    ended = await sqlite_tocsin.client.delete(f"{SILENCES}/{id_}")

    assert (changed.status_code, ended.status_code) == (404, 404)
    assert changed.json()["detail"] == f"there is no silence {id_}"


async def test_what_is_over_stays_over(sqlite_tocsin):
    made = await make(sqlite_tocsin)
    sqlite_tocsin.clock.advance(hours=2)

    answer = await sqlite_tocsin.client.post(f"{SILENCES}/{made['id']}", json={"lasts": "1h"})

    assert answer.status_code == 409
    assert answer.json()["detail"] == "silence 1 is over; make a new one"


@pytest.mark.parametrize("until", [{"ends_at": "2026-11-20T03:12:00Z"}, {}, {"lasts": "-1h"}])
async def test_an_end_that_makes_no_sense_is_refused(sqlite_tocsin, until):
    made = await make(sqlite_tocsin)

    answer = await sqlite_tocsin.client.post(f"{SILENCES}/{made['id']}", json=until)

    assert answer.status_code == 422
    assert (await listed(sqlite_tocsin))["items"] == [made]


async def test_an_end_before_the_beginning_is_refused(sqlite_tocsin):
    made = await make(sqlite_tocsin, starts_at="2026-12-01T00:00:00Z")

    answer = await sqlite_tocsin.client.post(
        f"{SILENCES}/{made['id']}", json={"ends_at": "2026-11-30T00:00:00Z"}
    )

    assert answer.status_code == 422


async def test_words_of_people_are_one_line_of_a_reason(tocsin):
    made = await make(tocsin, text=" new\n disk\0 ", actor="a\nna")

    assert (made["text"], made["made_by"]) == ("new disk\N{REPLACEMENT CHARACTER}", "a na")


async def test_explain_asks_the_silences_and_says_when_it_would_speak(tocsin):
    made = await make(tocsin)
    await make(tocsin, starts_at=made["ends_at"], lasts="1h", actor="bo")

    async def ask(**question):
        return (await tocsin.client.post("/api/v1/explain", json=question)).json()

    found = await ask(labels={"alertname": "DiskFull"})
    assert found["notify"] is False
    [telling] = found["tellings"]
    assert telling["why"] == f"silenced by ana until {made['ends_at']}: new disk"
    assert telling["at"] == found["plan"][0]["at"] == "2026-11-20T06:12:00Z"
    assert (await ask(labels={"alertname": "Other"}))["notify"] is True
    assert (await ask(labels={"alertname": "DiskFull"}, at="2026-11-20T06:12:00Z"))["notify"] is True
