"""Bad input is refused in words, or understood; it is never an error of ours, and never costs a good alert."""

import asyncio
import base64
import contextlib
import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from receiver.policy.fingerprint import fingerprint
from receiver.web import alertmanager
from tests.web.bodies import ZERO, alert, as_posted, body

GOOD = alert("good-1")
MARKUP = (
    "<b>&amp; <script>alert(1)</script> *bold* _it_ `code` [x](http://x) {{ 7*7 }} <!channel> <@U1> \\ | ~"
)
SCRIPTS = "\u202eevil\u202c שלום مرحبا 磁盘空间不足 ディスク 😀 e\u0301 \u200b\ufeff"
CONTROLS = "".join(map(chr, range(32))) + "\x7f\x85\u2028"


def without_a_traceback(answer):
    """Return the problem document of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    assert "Traceback" not in answer.text
    return problem


@pytest.mark.parametrize(
    ("posted", "status"),
    [
        pytest.param(b"", 400, id="nothing"),
        pytest.param(b"{", 400, id="half a body"),
        pytest.param(b"alerts=1", 400, id="a form"),
        pytest.param(as_posted(body(GOOD)) + b"}", 400, id="a brace too many"),
        pytest.param(as_posted(body(GOOD)) + as_posted(body(GOOD)), 400, id="two documents"),
        pytest.param(json.dumps(body(GOOD)).encode("utf-16"), 400, id="UTF-16"),
        pytest.param(json.dumps(body(GOOD)).encode("utf-32"), 400, id="UTF-32"),
        pytest.param('{"alerts":[{"labels":{"a":"Zürich"}}]}'.encode("latin-1"), 200, id="latin-1"),
        pytest.param(b"\xef\xbb\xbf" + as_posted(body(GOOD)), 200, id="a byte order mark"),
        pytest.param(gzip.compress(as_posted(body(GOOD))), 400, id="gzip"),
        pytest.param(b"[" * 100_000, 400, id="deep lists without an end"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, 400, id="deep lists"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400, id="deep objects"),
        pytest.param(b'{"alerts":[{"labels":{"a":' + b"[" * 150 + b"]" * 150 + b"}}]}", 200, id="a deep label"),
        pytest.param(b'{"alerts":[{"labels":{"a":' + b"9" * 4000 + b"}}]}", 200, id="a long number"),
        pytest.param(b'{"alerts":[{"labels":{"a":' + b"9" * 5000 + b"}}]}", 200, id="a number out of range"),
        pytest.param(b'{"alerts":[{"labels":{"a":' + b"[" * 400 + b"]" * 400 + b"}}]}", 200, id="a very deep label"),
        pytest.param(b'{"alerts":[{"labels":{"a":1e999,"b":-1e999}}]}', 200, id="an infinite number"),
        pytest.param(b'{"alerts":[{"labels":{"a":NaN}}],"truncatedAlerts":NaN}', 200, id="NaN"),
        pytest.param(b'{"alerts":[{"labels":{"a":"b"}}],"truncatedAlerts":1e400}', 200, id="truncated without end"),
        pytest.param(b'{"alerts":[{"labels":{"a":"b"}}],"truncatedAlerts":-7}', 200, id="truncated below zero"),
        pytest.param(b'{"alerts":[{"labels":{"a":"b"}}],"truncatedAlerts":{"a":1}}', 200, id="truncated is an object"),
        pytest.param(b'{"alerts":[{"labels":{"a":"\\ud800"}}]}', 200, id="a lone surrogate"),
        pytest.param(b'{"alerts":[{"labels":{"a":"\\u0000"}}],"groupKey":"\\u0000","receiver":"\\u0000"}', 200, id="NUL everywhere"),
        pytest.param(b'{"alerts":[{"labels":{"\\u0000":"a"},"fingerprint":"\\u0000"}]}', 200, id="NUL in names"),
        pytest.param(b'{"alerts":[{"labels":{"a":"1","a":"2"}}],"alerts":[{"labels":{"a":"3","a":"4"}}]}', 200, id="duplicate keys"),
        pytest.param(b"null", 422, id="null"),
        pytest.param(b"true", 422, id="true"),
        pytest.param(b"7", 422, id="a number"),
        pytest.param(b'"alerts"', 422, id="a string"),
        pytest.param(b"[]", 422, id="a list"),
        pytest.param(b"{}", 422, id="an empty object"),
        pytest.param(b'{"alerts":{}}', 422, id="alerts is an object"),
        pytest.param(b'{"alerts":"many"}', 422, id="alerts is text"),
        pytest.param(b'{"alerts":[null,1,"a",[],{}]}', 422, id="no alert is an alert"),
        pytest.param(b'{"alerts":[{"labels":[["a","b"]]}]}', 422, id="labels are a list"),
        pytest.param(b'{"alerts":[{"labels":{"a":""}}]}', 422, id="only empty labels"),
    ],
)  # fmt: skip
async def test_a_body_is_understood_or_refused_in_words(tocsin, posted, status):
    answer = await tocsin.post(posted)

    assert answer.status_code == status, answer.text
    kept = await tocsin.rows("quarantine")
    if status == 200:
        assert kept == []
        return
    problem = without_a_traceback(answer)
    assert "send Alertmanager's webhook format" in problem["detail"] or status == 422
    assert [row["body"] for row in kept] == [posted[: alertmanager.EXCERPT]]
    assert [row["title"] for row in await tocsin.rows("incident")] == ["TocsinQuarantine"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"startsAt": ZERO}, id="began at Go's zero time"),
        pytest.param({"startsAt": "0001-01-01T00:00:00+23:59"}, id="began before the calendar"),
        pytest.param({"startsAt": "0002-01-01T00:00:00Z"}, id="began in year 2"),
        pytest.param({"startsAt": "9999-12-31T23:59:59.999999Z"}, id="begins at the end of the calendar"),
        pytest.param({"startsAt": "9999-12-31T23:59:59-23:59"}, id="begins after the calendar"),
        pytest.param({"startsAt": "yesterday"}, id="began at no time"),
        pytest.param({"startsAt": 1763600000}, id="began at a number"),
        pytest.param({"startsAt": None, "endsAt": []}, id="no times"),
        pytest.param({"startsAt": "2026-11-20T03:10:00.123456789+05:30"}, id="nanoseconds and an offset"),
        pytest.param({"startsAt": "2026-11-20T03:10:00"}, id="no offset"),
        pytest.param({"startsAt": "2026-02-30T00:00:00Z"}, id="30 February"),
        pytest.param({"endsAt": "9999-12-31T23:59:59Z"}, id="ends at the end of the calendar"),
        pytest.param({"status": "odd"}, id="an unknown status"),
        pytest.param({"status": ["firing"]}, id="the status is a list"),
        pytest.param({"status": None}, id="no status"),
        pytest.param({"annotations": 7, "generatorURL": {"a": 1}}, id="wrong types"),
        pytest.param({"annotations": {"a": {"b": [1, 2]}}}, id="an annotation is an object"),
        pytest.param({"fingerprint": 7}, id="the fingerprint is a number"),
        pytest.param({"fingerprint": "f" * 1000}, id="a long fingerprint"),
        pytest.param({"fingerprint": "../../etc"}, id="the fingerprint is a path"),
        pytest.param({"annotations": {"description": "x" * 40_000}}, id="an annotation of 40 kB"),
        pytest.param({"labels": {f"label_{n}": f"value {n}" for n in range(120)}}, id="120 labels"),
        pytest.param({"labels": {MARKUP: MARKUP}, "annotations": {"summary": MARKUP}}, id="markup"),
        pytest.param({"labels": {"alertname": SCRIPTS}, "annotations": {SCRIPTS: SCRIPTS}}, id="scripts of the world"),
        pytest.param({"labels": {"alertname": CONTROLS}, "annotations": {CONTROLS: CONTROLS}}, id="control characters"),
        pytest.param({"labels": {"severity": "s" * 5000, "alertname": "n" * 5000}}, id="long values"),
    ],
)  # fmt: skip
async def test_an_odd_alert_is_taken_and_can_be_looked_at(tocsin, changes):
    odd = alert("odd-1") | changes

    answer = await tocsin.post(body(odd, GOOD))

    assert answer.status_code == 200
    assert answer.json()["quarantined"] == 0
    shown = await tocsin.client.get(f"/api/v1/incidents/{answer.json()['incidents'][0]}")
    assert shown.status_code == 200
    assert [one["status"] for one in shown.json()["alerts"]] == ["firing", "firing"]
    assert await tocsin.rows("quarantine") == []


async def test_odd_alerts_reach_people(tocsin):
    """Markup and control characters of an alert cost no notification."""
    await tocsin.post(
        body(alert(labels={"alertname": MARKUP + SCRIPTS + CONTROLS}, annotations={"a": MARKUP}))
    )

    await tocsin.work()

    assert (await tocsin.rows("notification"))[0]["state"] == "sent"


async def test_300_alerts_of_one_body_are_all_taken(tocsin):
    answer = await tocsin.post(body(*(alert(f"db-{n}") for n in range(300))))

    assert answer.status_code == 200
    assert len(await tocsin.rows("alert")) == 300


async def test_good_alerts_beside_bad_ones_are_taken(tocsin):
    answer = await tocsin.post(body(None, GOOD, {"labels": {}}, alert("good-2"), "junk"))

    assert answer.status_code == 200
    assert answer.json()["quarantined"] == 3
    instances = {row["labels"].get("instance") for row in await tocsin.rows("alert")}
    assert {"good-1", "good-2"} <= instances


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
FIELDS = st.sampled_from(
    ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint", "truncatedAlerts",
     "groupKey", "groupLabels", "receiver", "externalURL", "alerts", "version"]
)  # fmt: skip
TIMES = st.sampled_from([ZERO, "9999-12-31T23:59:59Z", "2026-11-20T03:10:00Z", "0001-01-01T00:00:00+14:00"])
NEARLY = st.dictionaries(FIELDS, JSON | TIMES, max_size=8)
MANY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


async def posted_by_property(tocsin, strategy, check):
    """Ask Hypothesis for bodies, post them, and let `check` look at each answer."""
    loop = asyncio.get_running_loop()

    @MANY
    @given(strategy)
    def every(document):
        answer = asyncio.run_coroutine_threadsafe(tocsin.post(document), loop).result(timeout=30)
        check(document, answer)

    await asyncio.to_thread(every)


async def test_arbitrary_json_is_never_an_error_of_ours(tocsin):
    def check(_, answer):
        assert answer.status_code in {200, 400, 422}, answer.text

    posted = st.one_of(JSON, NEARLY, st.builds(lambda alerts, rest: {**rest, "alerts": alerts}, st.lists(NEARLY | JSON, max_size=4), NEARLY)).map(as_posted)  # fmt: skip
    await posted_by_property(tocsin, posted, check)


async def test_arbitrary_bytes_are_never_an_error_of_ours(sqlite_tocsin):
    def check(_, answer):
        assert answer.status_code in {200, 400, 422}, answer.text

    await posted_by_property(sqlite_tocsin, st.binary(max_size=200), check)


async def test_a_good_alert_beside_arbitrary_junk_is_never_lost(tocsin):
    lost = []
    names = iter(range(1_000_000))

    def with_a_good_one(junk, rest, position):
        instance = f"good-{next(names)}"
        alerts = [*junk[:position], alert(instance), *junk[position:]]
        return instance, {**rest, "alerts": alerts}

    documents = st.builds(with_a_good_one, st.lists(NEARLY | JSON, max_size=4), NEARLY, st.integers(0, 4))
    loop = asyncio.get_running_loop()

    @MANY
    @given(documents)
    def every(named):
        instance, document = named
        answer = asyncio.run_coroutine_threadsafe(tocsin.post(as_posted(document)), loop).result(timeout=30)
        assert answer.status_code == 200, answer.text
        good = alert(instance)["labels"]
        found = asyncio.run_coroutine_threadsafe(
            tocsin.rows("alert", fingerprint=fingerprint(good)), loop
        ).result(timeout=30)
        if good not in [row["labels"] for row in found]:
            lost.append(document)

    await asyncio.to_thread(every)

    assert lost == []


async def test_a_body_over_the_limit_is_refused_counted_and_raises_a_self_alarm(tocsin, monkeypatch):
    monkeypatch.setattr(alertmanager, "LARGEST", 1000)

    answer = await tocsin.post(as_posted(body(*(alert(f"db-{n}") for n in range(50)))))

    assert answer.status_code == 413
    assert "max_alerts" in without_a_traceback(answer)["detail"]
    assert [row["title"] for row in await tocsin.rows("incident")] == ["TocsinQuarantine"]


def test_the_limit_is_16_mib_and_ten_seconds():
    assert (alertmanager.LARGEST, alertmanager.READ_SECONDS) == (16 * 1024 * 1024, 10.0)


async def talk(port, *parts, pause=0.0, hang_up=False):
    """Send raw parts of a request over a socket; return the status and the body that come back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            try:
                writer.write(part)
                await writer.drain()
            except ConnectionError:
                break  # it was refused before the end
        if hang_up:
            return None
        if pause:
            await asyncio.wait([asyncio.create_task(reader.read(1))], timeout=pause)
        async with asyncio.timeout(15):
            head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        return int(head.split(b" ")[1]), json.loads(await reader.readexactly(length))
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


HEAD = b"POST /webhooks/alertmanager HTTP/1.1\r\nHost: tocsin\r\nContent-Type: application/json\r\n"


async def test_a_body_that_announces_more_than_the_limit_is_refused_before_it_is_sent(sqlite_tocsin):
    async with sqlite_tocsin.listening() as port:
        head = HEAD + b"Content-Length: %d\r\n\r\n" % (alertmanager.LARGEST + 1)
        status, _ = await talk(port, head, b'{"alerts": [')

    assert status == 413


async def test_a_chunked_body_is_refused_when_it_passes_the_limit(sqlite_tocsin):
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"  # 1 MiB
    async with sqlite_tocsin.listening() as port:
        status, _ = await talk(
            port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 16, b"1\r\n \r\n"
        )

    assert status == 413
    (kept,) = await sqlite_tocsin.rows("quarantine")
    assert len(kept["body"]) == alertmanager.EXCERPT


async def test_a_slow_body_is_answered_when_its_time_is_over(sqlite_tocsin, monkeypatch):
    monkeypatch.setattr(alertmanager, "READ_SECONDS", 0.1)
    async with sqlite_tocsin.listening() as port:
        status, problem = await talk(port, HEAD + b"Content-Length: 1000\r\n\r\n", b"{")

    assert status == 503
    assert "send it again" in problem["detail"]


async def test_a_client_that_hangs_up_in_the_middle_costs_nothing(sqlite_tocsin):
    async with sqlite_tocsin.listening() as port:
        await talk(port, HEAD + b"Content-Length: 1000\r\n\r\n", b'{"alerts"', hang_up=True)
        good = as_posted(body(GOOD))
        status, _ = await talk(port, HEAD + b"Content-Length: %d\r\n\r\n" % len(good), good)

    assert status == 200
    assert await sqlite_tocsin.rows("quarantine") == []


@pytest.mark.parametrize("length", [b"many", b"-1", b"1e3", b""])
async def test_a_length_that_is_no_number_is_refused(sqlite_tocsin, length):
    async with sqlite_tocsin.listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Content-Length: " + length + b"\r\n\r\n")
        async with asyncio.timeout(5):
            answered = await reader.readline()
        writer.close()
        await writer.wait_closed()

    assert answered.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("name", ["a%00b", "%F0%9F%98%80", "a%20b", "a%2fb", "a" * 300])
async def test_a_source_with_an_impossible_name_is_no_source(tocsin, name):
    answer = await tocsin.post(body(GOOD), source=name)

    assert answer.status_code == (400 if name == "a%00b" else 404)
    without_a_traceback(answer)


SOURCES = """
sources:
  - {name: open}
  - {name: prod, token: new-token, token_files: [old-token]}
  - {name: staging, basic_auth: {username: am, passwords: [first, second]}}
"""


@pytest.fixture
async def guarded(sqlite_tocsin, routing):
    """A service whose sources must show something."""
    (routing.parent / "old-token").write_text("old-token-in-a-file\n")
    routing.write_text(SOURCES + routing.read_text())
    assert await sqlite_tocsin.services.reload() == []
    return sqlite_tocsin


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("source", "shown", "status"),
    [
        pytest.param("open", None, 200, id="a source without a credential asks for none"),
        pytest.param("prod", "Bearer new-token", 200, id="the new token"),
        pytest.param("prod", "bearer  new-token ", 200, id="the scheme in lower case"),
        pytest.param("prod", "Bearer old-token-in-a-file", 200, id="the old token, from a file"),
        pytest.param("prod", "Bearer wrong", 401, id="a wrong token"),
        pytest.param("prod", "Bearer ", 401, id="an empty token"),
        pytest.param("prod", "Bearer tök", 401, id="a token that is not ASCII"),
        pytest.param("prod", None, 401, id="no token"),
        pytest.param("prod", "new-token", 401, id="a token without a scheme"),
        pytest.param("prod", basic("am", "first"), 401, id="the login of another source"),
        pytest.param("staging", basic("am", "first"), 200, id="the first password"),
        pytest.param("staging", basic("am", "second"), 200, id="the second password"),
        pytest.param("staging", basic("am", "third"), 401, id="a wrong password"),
        pytest.param("staging", basic("root", "first"), 401, id="a wrong user"),
        pytest.param("staging", "Basic ???", 401, id="no base64"),
        pytest.param("staging", "Bearer new-token", 401, id="the token of another source"),
        pytest.param("nobody", None, 404, id="an unknown source"),
    ],
)  # fmt: skip
async def test_a_source_is_believed_when_it_shows_its_credential(guarded, source, shown, status):
    headers = {} if shown is None else {"Authorization": shown.encode()}

    answer = await guarded.post(body(GOOD), source=source, headers=headers)

    assert answer.status_code == status
    if status != 200:
        assert await guarded.rows("payload") == []
        assert "token" not in without_a_traceback(answer)["detail"]
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_in_a_file_changes_without_a_reload(guarded, routing):
    (routing.parent / "old-token").write_text("rotated")

    before = await guarded.post(
        body(GOOD), source="prod", headers={"Authorization": "Bearer old-token-in-a-file"}
    )
    after = await guarded.post(body(GOOD), source="prod", headers={"Authorization": "Bearer rotated"})

    assert (before.status_code, after.status_code) == (401, 200)


async def test_a_token_file_that_is_gone_is_accepted_from_nobody(guarded, routing):
    (routing.parent / "old-token").unlink()

    answer = await guarded.post(body(GOOD), source="prod", headers={"Authorization": "Bearer "})

    assert answer.status_code == 401


async def test_a_credential_alone_says_which_source_speaks(guarded, routing):
    routing.write_text(routing.read_text().replace("  - {name: open}\n", ""))
    await guarded.services.reload()

    answer = await guarded.post(body(GOOD), headers={"Authorization": basic("am", "first")})

    assert answer.status_code == 200
    assert [row["source"] for row in await guarded.rows("incident")] == ["staging"]


async def test_too_much_waiting_is_answered_503(sqlite_tocsin):
    sqlite_tocsin.services.writer.most_waiting = 0

    firing, junk = await sqlite_tocsin.post(body(GOOD)), await sqlite_tocsin.post(b"junk")

    assert (firing.status_code, junk.status_code) == (503, 503)
    assert "send it again" in without_a_traceback(firing)["detail"]
    assert await sqlite_tocsin.rows("payload") == []


async def test_a_stopping_writer_is_answered_503(sqlite_tocsin):
    await asyncio.to_thread(sqlite_tocsin.services.writer.stop)

    answer = await sqlite_tocsin.post(body(GOOD))

    assert answer.status_code == 503
    without_a_traceback(answer)


async def test_a_database_that_is_gone_is_answered_503(tocsin):
    with tocsin.services.writer.engine.begin() as db:
        db.execute(text("DROP TABLE payload"))

    answer = await tocsin.post(body(GOOD))

    assert answer.status_code == 503
    assert "payload" not in without_a_traceback(answer)["detail"]
    assert answer.headers["retry-after"]


@pytest.mark.parametrize(
    ("path", "posted"),
    [
        ("/test-alert", {"channels": ["\ud800"]}),
        ("/test-alert", {"resolve_after": "\ud800"}),
        ("/test-alert", {"\ud800": 1}),
        ("/api/v1/explain", {"labels": {}, "at": "\ud800"}),
    ],
)
async def test_half_a_character_is_refused_in_words(sqlite_tocsin, path, posted):
    answer = await sqlite_tocsin.client.post(path, content=json.dumps(posted).encode())

    assert answer.status_code == 422
    without_a_traceback(answer)


async def test_a_nul_in_a_name_is_kept_as_both_databases_can(tocsin):
    [incident] = (await tocsin.post(body(GOOD))).json()["incidents"]

    answer = await tocsin.client.post(f"/api/v1/incidents/{incident}/acknowledge", json={"actor": "a\0b"})

    assert answer.status_code == 200
    assert answer.json()["acknowledged_by"] == "a\N{REPLACEMENT CHARACTER}b"


async def test_a_label_with_a_quotation_mark_can_be_asked_for(tocsin):
    odd = {"alertname": "odd", 'a"b': "c"}
    await tocsin.post(body({"status": "firing", "labels": odd}))

    answer = await tocsin.client.get("/api/v1/incidents", params={"match": r'{"a\"b"="c"}'})

    assert [one["labels"] for one in answer.json()["items"]] == [odd]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_the_api_reads_no_body_without_end(sqlite_tocsin, is_chunked):
    posted = b'{"labels": {"a": "' + b"x" * 2_000_000 + b'"}}'

    async def chunks():
        yield posted

    answer = await sqlite_tocsin.client.post("/api/v1/explain", content=chunks() if is_chunked else posted)

    assert answer.status_code == 413
    without_a_traceback(answer)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:5001", 200),
        ("127.0.0.1:5001", 200),
        ("[::1]:5001", 200),
        ("192.0.2.7", 200),
        ("tocsin.example.org", 200),
        ("evil.example", 421),
        ("localhost.evil.example:5001", 421),
        ("[", 421),
    ],
)
async def test_a_page_whose_name_was_made_to_lead_here_reads_nothing(sqlite_tocsin, host, status):
    """Without a login, loopback protects only while no other site can pass for us in a browser."""
    answer = await sqlite_tocsin.client.get("/api/v1/incidents", headers={"Host": host})

    assert answer.status_code == status
    assert status == 200 or "TOCSIN_PUBLIC_URL" in answer.json()["detail"]


async def test_bodies_of_alertmanager_are_taken_under_any_name(sqlite_tocsin):
    """No check of names may lose a page."""
    answer = await sqlite_tocsin.client.post(
        "/webhooks/alertmanager", json=body(GOOD), headers={"Host": "whatever.example"}
    )

    assert answer.status_code == 200
