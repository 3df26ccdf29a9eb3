"""How do we speak HTTP to the outside, without being led to where we must not go?"""

import asyncio
import logging
import socket
from contextlib import asynccontextmanager

import httpx
import pytest

from receiver.channels.base import PermanentFailure, TemporaryFailure
from receiver.channels.client import (
    IDLE_SECONDS,
    MAX_ANSWER,
    MAX_RETRY_AFTER,
    Answer,
    Client,
    UnansweredError,
    check,
    origin_of,
    refusal,
    retry_after,
)
from tests.fakes.certificates import Authority
from tests.fakes.clock import START
from tests.fakes.http import FakeHttp, Reply


async def posted(client: Client, url: str, **changes) -> Answer:
    values = {"content": b"{}", "headers": {}, "timeout": 5, "private_allowed": True}
    return await client.post(url, **values | changes)


@pytest.fixture
async def server():
    async with FakeHttp() as server:
        yield server


@pytest.mark.parametrize(
    ("address", "is_allowed", "is_allowed_if_private_is"),
    [
        pytest.param("93.184.216.34", True, True, id="public"),
        pytest.param("2606:2800:220:1::1", True, True, id="public IPv6"),
        pytest.param("127.0.0.1", False, True, id="loopback"),
        pytest.param("::1", False, True, id="loopback IPv6"),
        pytest.param("10.1.2.3", False, True, id="private"),
        pytest.param("172.16.0.1", False, True, id="private, middle"),
        pytest.param("192.168.1.1", False, True, id="private, home"),
        pytest.param("100.64.0.1", False, True, id="shared by carriers"),
        pytest.param("fd12:3456::1", False, True, id="private IPv6"),
        pytest.param("0.0.0.0", False, True, id="unspecified"),
        pytest.param("::", False, True, id="unspecified IPv6"),
        pytest.param("224.0.0.1", False, True, id="multicast"),
        pytest.param("ff02::1", False, True, id="multicast IPv6"),
        pytest.param("240.0.0.1", False, True, id="reserved"),
        pytest.param("255.255.255.255", False, True, id="broadcast"),
        pytest.param("::ffff:127.0.0.1", False, True, id="loopback in IPv6"),
        pytest.param("2002:7f00:1::", False, True, id="loopback in 6to4"),
        pytest.param("64:ff9b::7f00:1", False, True, id="loopback in NAT64"),
        pytest.param("64:ff9b::5db8:d822", True, True, id="public in NAT64"),
        pytest.param("169.254.1.1", False, False, id="link-local"),
        pytest.param("169.254.169.254", False, False, id="metadata"),
        pytest.param("::ffff:169.254.169.254", False, False, id="metadata in IPv6"),
        pytest.param("64:ff9b::a9fe:a9fe", False, False, id="metadata in NAT64"),
        pytest.param("fe80::1%eth0", False, False, id="link-local IPv6"),
        pytest.param("fd00:ec2::254", False, False, id="metadata IPv6"),
        pytest.param("100.100.100.200", False, False, id="metadata elsewhere"),
    ],
)
def test_an_address_is_judged_by_where_it_leads(address, is_allowed, is_allowed_if_private_is):
    assert (refusal(address, private_allowed=False) is None) is is_allowed
    assert (refusal(address, private_allowed=True) is None) is is_allowed_if_private_is


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "2852039166"]
)
async def test_cloud_metadata_is_never_reached(client, host):
    """Not even where private addresses are allowed, and however the address is written."""
    with pytest.raises(PermanentFailure, match="never allowed"):
        await posted(client, f"http://{host}/latest/meta-data/secret", private_allowed=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_a_name_is_judged_by_its_address(client, server, host):
    with pytest.raises(PermanentFailure, match="set allow_private_addresses: true"):
        await posted(client, f"http://{host}:{server.port}/", private_allowed=False)

    assert server.connections_made == 0


async def test_the_next_address_of_a_name_is_tried(client, server):
    """`localhost` is ::1 as well on many machines, where this server does not listen."""
    answer = await posted(client, f"http://localhost:{server.port}/")

    assert answer.text == "ok"


async def test_an_open_connection_does_not_serve_who_may_not_open_it(client, server):
    await posted(client, server.url(), private_allowed=True)

    with pytest.raises(PermanentFailure):
        await posted(client, server.url(), private_allowed=False)

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://user:pass@hooks.example.org/secret?key=secret#x", "https://hooks.example.org"),
        ("http://hooks.example.org:8080/secret", "http://hooks.example.org:8080"),
        ("http://[::1]:8080/secret", "http://[::1]:8080"),
        ("http://a:secret/", "the configured URL"),
        ("https://secret\x00/", "the configured URL"),
    ],
)
def test_only_scheme_and_host_are_no_secret(url, origin):
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        pytest.param("http://a:secret/", {}, id="a port that is none"),
        pytest.param("ftp://127.0.0.1/secret", {}, id="not HTTP"),
        pytest.param("/secret", {}, id="no host"),
        pytest.param("http://127.0.0.1:9/", {"X-Token": "secret\r\nX-Evil: yes"}, id="two headers in one"),
    ],
)
async def test_what_cannot_be_sent_is_no_reason_to_wait(client, server, url, headers):
    with pytest.raises(PermanentFailure, match="check how it is written") as failure:
        await posted(client, url.replace(":9/", f":{server.port}/"), headers=headers)

    assert "secret" not in failure.value.reason
    assert server.requests == []


async def test_a_name_that_does_not_resolve_may_do_so_later(client):
    with pytest.raises(TemporaryFailure, match="cannot be resolved"):
        await posted(client, "http://tocsin.invalid/secret")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            "hello",
            id="chunked",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nhello", "hello", id="until the connection ends"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", "", id="no content"),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
            id="a word in advance",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe", "\ufffd\ufffd", id="not UTF-8"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", "hello", id="too much"),
    ],
)
async def test_answers_are_read_as_http_says(client, server, raw, text):
    server.fails(Reply(raw=raw))

    answer = await posted(client, server.url())

    assert answer.status in {200, 204}
    assert answer.text == text


async def test_of_a_long_answer_the_beginning_is_kept(client, server):
    server.fails(Reply(body=b"x" * 3_000_000))

    answer = await posted(client, server.url())

    assert answer.text == "x" * MAX_ANSWER
    await posted(client, server.url())
    assert server.connections_made == 2  # the rest of it was not waited for


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"X-Long: x\r\n" * 20_000, "does not end", id="an endless head"
        ),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", "not HTTP", id="TLS on a plain port"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
            "in the middle",
            id="half a chunk",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nX", "without an answer", id="half a head"),
    ],
)
async def test_what_is_no_answer_is_said(client, server, raw, reason):
    server.fails(Reply(raw=raw))

    with pytest.raises(TemporaryFailure, match=reason):
        await posted(client, server.url())


async def test_a_connection_that_closed_meanwhile_is_replaced(client, server):
    server.fails(Reply(body=b"ok", closes=True))
    await posted(client, server.url())
    await server.all_closed()

    answer = await posted(client, server.url())

    assert (answer.text, server.connections_made) == ("ok", 2)


async def test_a_connection_that_closes_as_we_write_is_replaced_once(client, server):
    await posted(client, server.url())
    server.fails(Reply(is_closed=True))

    answer = await posted(client, server.url())

    assert (answer.text, len(server.requests)) == ("ok", 3)


async def test_a_new_connection_that_closes_is_a_failure(client, server):
    server.fails(Reply(is_closed=True), Reply(is_closed=True))

    with pytest.raises(TemporaryFailure):
        await posted(client, server.url())

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(is_never=True), id="silence"),
        pytest.param(Reply(is_closed=True), id="closed without an answer"),
        pytest.param(Reply(is_reset=True), id="reset"),
        pytest.param(Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), id="half an answer"),
    ],
)
@pytest.mark.parametrize("is_reused", [False, True])
async def test_what_was_written_and_not_answered_may_have_arrived(client, server, reply, is_reused):
    """It is written once only, on a new connection or on one that was used before."""
    if is_reused:
        await posted(client, server.url())
    before = len(server.requests)
    server.fails(reply)

    with pytest.raises(UnansweredError) as failure:
        await posted(client, server.url(), timeout=0.2, is_repeatable=False)

    assert failure.value.is_ambiguous
    assert len(server.requests) == before + 1


async def test_what_may_be_repeated_is_not_ambiguous(client, server):
    """A service that knows what it was told already can be told again, as often as it takes."""
    server.fails(Reply(is_never=True))

    with pytest.raises(UnansweredError) as failure:
        await posted(client, server.url(), timeout=0.2)

    assert not failure.value.is_ambiguous


async def test_what_was_not_written_is_not_ambiguous(client, free_port):
    with pytest.raises(TemporaryFailure) as failure:
        await posted(client, f"http://127.0.0.1:{free_port}/", is_repeatable=False)

    assert not isinstance(failure.value, UnansweredError)
    assert not failure.value.is_ambiguous


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def test_an_old_connection_is_not_used(client, clock, server):
    await posted(client, server.url())
    clock.advance(seconds=IDLE_SECONDS + 1)

    await posted(client, server.url())

    assert server.connections_made == 2


async def test_connections_to_other_places_are_not_kept_for_ever(client, clock, server):
    async with FakeHttp() as other:
        await posted(client, other.url())
        clock.advance(seconds=IDLE_SECONDS + 1)

        await posted(client, server.url())

        await other.all_closed()


async def test_a_connection_is_closed_when_its_user_is_cancelled(client, server):
    server.fails(Reply(is_never=True))
    task = asyncio.create_task(posted(client, server.url()))
    async with asyncio.timeout(5):
        while not server.requests:
            await asyncio.wait([task], timeout=0.01)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await server.all_closed()


async def test_a_service_that_comes_up_within_the_attempt_is_reached(client):
    """Tenacity bridges a restart of a moment, nothing longer."""
    server = FakeHttp()
    async with server:
        pass
    task = asyncio.create_task(posted(client, server.url()))
    await asyncio.wait([task], timeout=0.02)  # the first try is refused meanwhile

    async with server:
        answer = await task

    assert answer.text == "ok"


async def test_nothing_that_names_the_path_is_logged(client, server, caplog):
    caplog.set_level(logging.DEBUG)

    await posted(client, server.url("/secretpath"))

    assert "secretpath" not in caplog.text


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    """Who signed the server's certificate; nobody knows it who was not told."""
    return Authority(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def served_by_tls(authority: Authority):
    context = authority.server()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_a_certificate_that_nobody_vouches_for_is_refused(client, authority):
    async with served_by_tls(authority) as port:
        with pytest.raises(
            TemporaryFailure, match="its TLS certificate is not valid: unable to get local issuer certificate"
        ):
            await posted(client, f"https://localhost:{port}/secret")


async def test_a_certificate_of_the_operator_is_accepted_through_the_environment(
    client, authority, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", authority.ca_file)

    async with served_by_tls(authority) as port:
        answer = await posted(client, f"https://localhost:{port}/")
        await client.aclose()

    assert answer.text == "ok"


async def test_speaking_tls_to_a_plain_port_fails_for_now(client, server):
    with pytest.raises(TemporaryFailure):
        await posted(client, f"https://127.0.0.1:{server.port}/", timeout=0.2)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("", None, id="none"),
        pytest.param("30", 30, id="seconds"),
        pytest.param("1.5", 1.5, id="a fraction"),
        pytest.param("-3", 0, id="in the past"),
        pytest.param("Fri, 20 Nov 2026 03:13:00 GMT", 60, id="a date"),
        pytest.param("Fri, 20 Nov 2026 03:13:00 -0000", 60, id="a date without a zone"),
        pytest.param("Fri, 20 Nov 2026 03:00:00 GMT", 0, id="a date in the past"),
        pytest.param("999999999", MAX_RETRY_AFTER, id="for ever"),
        pytest.param("inf", None, id="infinity"),
        pytest.param("nan", None, id="not a number"),
        pytest.param("tomorrow", None, id="nonsense"),
    ],
)
def test_retry_after_is_read_in_every_form(value, seconds):
    assert retry_after(value, START) == seconds


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        pytest.param('{"ok": false, "parameters": {"retry_after": 35}}', 35, id="as Telegram says it"),
        pytest.param('{"retry_after": 1.25, "global": false}', 1.25, id="a fraction"),
        pytest.param('{"retry_after": "7"}', 7, id="as text"),
        pytest.param('{"retry_after": 1e99}', MAX_RETRY_AFTER, id="for ever"),
        pytest.param('{"retry_after": "soon"}', None, id="nonsense"),
        pytest.param('{"retry_after": null}', None, id="nothing"),
        pytest.param('{"retry_after": Infinity}', None, id="infinity"),
        pytest.param('{"parameters": []}', None, id="another shape"),
        pytest.param('{"parameters": [1]}', None, id="yet another"),
        pytest.param("[35]", None, id="a list"),
        pytest.param('{"retry_after"', None, id="half of it"),
        pytest.param("<html>retry_after 35</html>", None, id="not JSON"),
    ],
)
def test_retry_after_is_read_in_the_body(body, seconds):
    with pytest.raises(TemporaryFailure) as failure:
        check(Answer(429, httpx.Headers(), body), url="https://a.example", now=START)

    assert failure.value.retry_after == seconds


def test_the_header_counts_more_than_the_body():
    answer = Answer(429, httpx.Headers({"Retry-After": "3"}), '{"retry_after": 35}')

    with pytest.raises(TemporaryFailure) as failure:
        check(answer, url="https://a.example", now=START)

    assert failure.value.retry_after == 3


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207])
def test_every_2xx_has_arrived(status):
    check(Answer(status, httpx.Headers(), ""), url="https://a.example", now=START)
