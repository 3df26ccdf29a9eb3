"""What does a person see of silences, and what happens when they press something?"""

from html import unescape

import pytest

from receiver.policy.matching import parse_matchers
from tests.web.bodies import alert, body
from tests.web.test_ui import HOSTILE, Page, opened, see

QUIET = """
time_intervals:
  - {name: small_hours, time_intervals: [{times: [{start_time: "02:00", end_time: "04:00"}]}]}
receivers:
  - name: ops
    console_configs: [{}]
route: {receiver: ops}
mute_windows:
  - {name: backup, matchers: [alertname="HighIO"], time_intervals: [small_hours]}
inhibit_rules:
  - {name: down, source_matchers: [alertname="NodeDown"], target_matchers: [alertname="Slow"]}
"""


async def press(box, path="/silences", status=303, **fields):
    """Send a form; return where it leads, or the page that it shows."""
    answer = await box.client.post(path, data=fields)
    assert answer.status_code == status, answer.text[:2000]
    return answer.headers["location"] if status == 303 else Page(answer.text)


async def make(box, matchers='alertname="DiskFull"', **fields):
    return await press(box, matchers=matchers, **{"lasts": "2h", "actor": "ana", "text": "new disk"} | fields)


async def silences(box):
    return (await box.client.get("/api/v1/silences")).json()["items"]


def written_in(page_text):
    """Return what stands in the form for the matchers."""
    return unescape(page_text.split('name="matchers"')[1].split(">", 1)[1].split("</textarea>")[0])


async def test_an_incident_is_silenced_from_its_page(tocsin):
    """The form knows its labels, and what is pressed leads back to the incident, which says so."""
    incident = await opened(tocsin, alert("db-1"), alert("db-2"))
    before = await tocsin.client.get(f"/incidents/{incident}")
    matchers = written_in(before.text)
    labels = (await tocsin.client.get(f"/api/v1/incidents/{incident}")).json()["labels"]
    assert parse_matchers(matchers.replace("\n", ",")) == parse_matchers(
        ",".join(f'{name}="{value}"' for name, value in labels.items())
    )

    where = await make(tocsin, matchers.replace("\n", "\r\n"), incident=str(incident))

    assert where == f"/incidents/{incident}"
    [made] = await silences(tocsin)
    assert (made["made_by"], made["text"], len(made["matchers"])) == ("ana", "new disk", len(labels))
    page = await see(tocsin, where)
    assert f"Quiet silenced by ana until {made['ends_at']}: new disk" in page.text
    assert "◑ quiet" in (await see(tocsin, "/")).text
    tocsin.clock.advance(hours=2)
    assert "silenced by ana" not in (await see(tocsin, where)).text.split("Timeline")[0]
    assert "◑ quiet" not in (await see(tocsin, "/")).text


async def test_a_part_of_an_incident_that_is_silenced_is_said_to_be_one(tocsin):
    incident = await opened(tocsin, alert("db-1"), alert("db-2"))
    await make(tocsin, 'instance="db-1"')

    page = await see(tocsin, f"/incidents/{incident}")

    assert "Quiet, in part silenced by ana" in page.text
    assert "(1 of 2 firing alerts)" in page.text
    assert "◑ quiet" not in (await see(tocsin, "/")).text


async def test_windows_and_inhibitions_are_seen_with_their_end(routing, migrated_file, tmp_path, clock):
    from tests.web.service import service  # noqa: PLC0415 - the file is written before it is read

    routing.write_text(QUIET)
    (tmp_path / "quiet.db").write_bytes(migrated_file.read_bytes())
    async with service(f"sqlite:///{tmp_path}/quiet.db", routing, clock) as box:
        for name in ("HighIO", "Slow", "NodeDown"):
            await box.post(body(alert(alertname=name), groupKey=name, groupLabels={"alertname": name}))
        high, slow, down = [(await see(box, f"/incidents/{id_}")).text for id_ in (1, 2, 3)]
        listed, page = await see(box, "/"), await see(box, "/silences")

    assert "Quiet mute window backup until 2026-11-20T04:00:00Z" in high
    assert "Quiet inhibited by NodeDown (rule down) , as long as that fires" in slow
    assert "Quiet" not in down
    assert listed.text.count("◑ quiet") == 2
    assert "Mute windows that are open now mute window backup until" in page.text


async def test_what_it_would_hide_is_seen_before(tocsin):
    """A preview makes nothing, keeps what was written, and offers to go on."""
    await opened(tocsin, alert("db-1"), alert("db-2"))

    page = await press(
        tocsin, status=200, preview="1", matchers='instance="db-1"\n\nseverity="warning"', lasts="45m",
        text="a & b", actor="ana", starts_at="",
    )  # fmt: skip

    assert "It would hide 0 open incidents, and 1 firing alert in all" in page.text
    assert "Only in part" in page.text
    assert "1 of 2 firing alerts" in page.text
    values = {one["name"]: one["value"] for one in page.all("input")}
    assert values == {"incident": "", "lasts": "45m", "starts_at": "", "text": "a & b", "actor": "ana"}
    assert await silences(tocsin) == []


async def test_everything_is_asked_twice(tocsin):
    await opened(tocsin, alert())

    page = await press(tocsin, status=409, matchers='alertname=~".*"', lasts="1h")
    assert "It would hide 1 open incident, and 1 firing alert in all" in page.text
    assert "Is it meant?" in page.text
    assert {"name": "everything", "value": "1"} in page.all("button")
    assert await silences(tocsin) == []

    assert await press(tocsin, matchers='alertname=~".*"', lasts="1h", everything="1") == "/silences"
    assert len(await silences(tocsin)) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"matchers": "nonsense"}, "Matchers: 'nonsense' is not a matcher"),
        ({"matchers": ""}, "Matchers: List should have at least 1 item"),
        ({"lasts": ""}, "The form: write either ends_at or lasts"),
        ({"lasts": "soon"}, "For: "),
        ({"starts_at": "tomorrow"}, "Begins: "),
        ({"starts_at": "2020-01-01T00:00"}, None),
        ({"text": "x" * 2000}, "Why: String should have at most 1000 characters"),
    ],
)
async def test_what_makes_no_sense_is_said_beside_what_was_written(sqlite_tocsin, fields, said):
    sent = {"matchers": "a=b", "lasts": "1h", "starts_at": ""} | fields

    if said is None:  # a beginning in the past is now
        assert await press(sqlite_tocsin, **sent) == "/silences"
        return
    page = await press(sqlite_tocsin, status=422, **sent)

    assert said in page.text
    assert any(one.get("aria-invalid") == "true" for one in page.all("textarea"))
    assert await silences(sqlite_tocsin) == []


async def test_the_list_has_what_counts_and_what_will(tocsin):
    await make(tocsin, lasts="1m", text="the past")
    tocsin.clock.advance(minutes=1)
    await make(tocsin, text="the present")
    await make(tocsin, starts_at="2026-12-24T18:00", text="the future")

    page = await see(tocsin, "/silences")

    assert "the past" not in page.text
    assert page.text.index("in force") < page.text.index("the present") < page.text.index("to come")
    assert "2026-12-24 18:00:00" in page.text
    assert {"href": "/silences", "aria-current": "page"} in page.all("a")


async def test_the_end_is_moved_to_the_minute(tocsin):
    await make(tocsin)

    where = await press(tocsin, "/silences/1/move", ends_at="2026-11-21T06:30", actor="bo")

    assert where == "/silences"
    [moved] = await silences(tocsin)
    assert moved["ends_at"] == "2026-11-21T06:30:00Z"
    assert 'value="2026-11-21T06:30"' in (await tocsin.client.get("/silences")).text


async def test_a_silence_is_ended_by_a_button(tocsin):
    await make(tocsin)

    await press(tocsin, "/silences/1/end", ends_at="2026-11-21T06:30")

    assert "Nothing is silenced" in (await see(tocsin, "/silences")).text
    [ended] = await silences(tocsin)
    assert ended["ends_at"] == "2026-11-20T03:12:00Z"


@pytest.mark.parametrize(
    ("path", "ends_at", "status", "said"),
    [
        ("/silences/1/move", "", 422, "write either ends_at or lasts"),
        ("/silences/1/move", "soon", 422, "The end: "),
        ("/silences/1/move", "2020-01-01T00:00", 422, "lies before the beginning, or in the past"),
        ("/silences/4711/move", "2027-01-01T00:00", 404, "There is no silence 4711"),
        ("/silences/4711/end", "", 404, "There is no silence 4711"),
        ("/silences/x/end", "", 404, "There is nothing to press here"),
        ("/silences/1/explode", "", 404, "There is nothing to press here"),
    ],
)
async def test_an_end_that_makes_no_sense_is_refused_with_words(sqlite_tocsin, path, ends_at, status, said):
    await make(sqlite_tocsin)

    page = await press(sqlite_tocsin, path, status, ends_at=ends_at)

    assert said.lower() in page.text.lower()


@pytest.mark.parametrize("path", ["/silences", "/silences/1/end"])
async def test_a_form_that_is_no_form_is_refused(sqlite_tocsin, path):
    answer = await sqlite_tocsin.client.post(path, content="ü=1".encode("latin-1"))

    assert answer.status_code == 400
    assert "this is no form of ours" in answer.text.lower()


@pytest.mark.parametrize("path", ["/silences", "/silences/1/end"])
async def test_a_page_of_another_site_presses_nothing(sqlite_tocsin, path):
    await make(sqlite_tocsin)

    answer = await sqlite_tocsin.client.post(
        path, data={"matchers": "a=b", "lasts": "1h"}, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert answer.status_code == 403
    [untouched] = await silences(sqlite_tocsin)
    assert untouched["ends_at"] == "2026-11-20T05:12:00Z"


async def test_what_people_and_alerts_write_is_text_and_never_markup(sqlite_tocsin):
    said = alert(alertname=HOSTILE)
    said["labels"] |= {"instance": HOSTILE, "line": "a\nb\u2028c"}
    incident = await opened(sqlite_tocsin, said)
    shown = await sqlite_tocsin.client.get(f"/incidents/{incident}")
    matchers = written_in(shown.text)

    preview = await sqlite_tocsin.client.post(
        "/silences",
        data={"matchers": matchers, "lasts": "1h", "text": HOSTILE, "actor": HOSTILE, "preview": "1"},
    )
    await make(sqlite_tocsin, matchers, text=HOSTILE, actor=HOSTILE)
    pages = [await sqlite_tocsin.client.get(path) for path in ("/silences", f"/incidents/{incident}", "/")]

    assert "It would hide 1 open incident," in Page(preview.text).text
    for answer in (shown, preview, *pages):
        page = Page(answer.text)
        assert len(page.all("script")) == 1
        assert not any("onerror" in one for one in page.all("img"))


async def test_the_name_is_remembered_for_the_next_form(sqlite_tocsin):
    answer = await sqlite_tocsin.client.post(
        "/silences", data={"matchers": "a=b", "lasts": "1h", "actor": "Ana Ö"}
    )
    assert "tocsin_name=Ana%20%C3%96" in answer.headers["set-cookie"]

    page = await see(sqlite_tocsin, "/silences")

    assert "Ana Ö" in [one.get("value") for one in page.all("input")]
