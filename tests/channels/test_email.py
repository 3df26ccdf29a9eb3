"""How is an incident told by e-mail, and kept together as one thread?

SMTP is no HTTP, so this holds the twin of each case of ChannelContract: what passes, what cannot, what
nobody knows, silence, hostile text, secrets, connections.
"""

import asyncio
import logging
import os
import socket
import ssl
from base64 import b64decode, b64encode
from dataclasses import replace
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from receiver.channels import smtp
from receiver.channels.base import MAX_TIMEOUT, MarkupRefused, PermanentFailure, Sent, TemporaryFailure
from receiver.channels.client import Client
from receiver.channels.email import MAX_CONNECTIONS, Email, EmailConfig, composed, mailboxes, one_line
from receiver.channels.smtp import TlsConfig, may_show_a_password, tls_context
from receiver.pipeline.admit import LEASE
from receiver.policy.incident import MessageEvent, Reason
from tests.channels.contract import HOSTILE, a_message
from tests.channels.events import EVENTS, as_message, check_golden
from tests.fakes.certificates import Authority
from tests.fakes.clock import START, FakeClock
from tests.fakes.facts import an_alert, an_incident, some_facts
from tests.fakes.smtp import FakeSmtp, Fault, Step

PASSWORD = "secretpassword"
LOGINS = {"tocsin": PASSWORD}
ANA = "ana@example.org"

TEMPORARY = [
    *(
        pytest.param(step, Fault(answer="421 4.3.2 Shutting down"), id=f"{step}: shutting down")
        for step in Step
        if step not in {Step.HELO, Step.STARTTLS, Step.QUIT}
    ),
    pytest.param(Step.RCPT, Fault(answer="450 4.2.0 Greylisted, come back later"), id="greylisted"),
    pytest.param(Step.RCPT, Fault(answer="452 4.2.2 Mailbox full, but not for long"), id="452"),
    pytest.param(Step.AUTH, Fault(answer="454 4.7.0 Temporary authentication failure"), id="no login now"),
    pytest.param(Step.AUTH, Fault(answer="334 what else"), id="a login that goes on"),
    pytest.param(Step.END, Fault(answer="451 4.7.1 Too many mails, slow down"), id="too many"),
    pytest.param(Step.END, Fault(answer="452 4.3.1 Insufficient storage"), id="disk full"),
    pytest.param(Step.MAIL, Fault(answer="250-one\r\n450 two"), id="two answers in one"),
    *(
        pytest.param(step, fault, id=f"{step}: {name}")
        for step in Step
        if step not in {Step.HELO, Step.STARTTLS, Step.END, Step.QUIT}
        for name, fault in {
            "closed": Fault(is_closed=True),
            "reset": Fault(is_reset=True),
            "not SMTP": Fault(raw=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            "too long": Fault(raw=b"250-x\r\n" * 9000),
        }.items()
    ),
]
PERMANENT = [
    pytest.param(Step.GREETING, "554 5.7.1 Your address is on a list", "ask who runs it", id="blocked"),
    pytest.param(Step.AUTH, "535 5.7.8 Error: authentication failed", "check auth_username", id="535"),
    pytest.param(Step.AUTH, "535 Go away", "check auth_username and auth_password", id="535 without a word"),
    pytest.param(Step.AUTH, "534 5.7.9 Application-specific password required", "app password", id="534"),
    pytest.param(Step.MAIL, "530 5.7.0 Authentication required", "set auth_username", id="530"),
    pytest.param(Step.MAIL, "530 Log in first", "set auth_username", id="530 without a word"),
    pytest.param(Step.MAIL, "553 5.7.1 Sender address rejected: not owned by user", "check `from`", id="553"),
    pytest.param(Step.MAIL, "550 5.1.8 Domain of sender not found", "its domain must exist", id="no domain"),
    pytest.param(Step.RCPT, "550 5.1.1 User unknown", "no such mailbox; check `to`", id="550"),
    pytest.param(Step.RCPT, "550 Requested action not taken", "check `to`", id="550 without a word"),
    pytest.param(Step.RCPT, "551 5.7.1 User not local", "does not relay for us", id="551"),
    pytest.param(Step.RCPT, "552 5.2.2 Mailbox full", "the mailbox is full", id="mailbox full"),
    pytest.param(Step.RCPT, "553 5.1.3 Bad destination mailbox address syntax", "check `to`", id="syntax"),
    pytest.param(
        Step.RCPT, "554 5.7.1 Relay access denied", "log in, or have our address allowed", id="relay"
    ),
    pytest.param(Step.MAIL, "550 5.4.5 Daily user sending quota exceeded", "is used up", id="quota"),
    pytest.param(Step.END, "550 5.1.1 User unknown", "no such mailbox", id="550, said late"),
    pytest.param(
        Step.END, "550 5.7.26 Unauthenticated sender", "publish SPF and DKIM", id="not authenticated"
    ),
    pytest.param(Step.END, "554 5.2.252 SendAsDenied", "may not send as `from`", id="send as"),
    pytest.param(Step.DATA, "554 5.5.1 No valid recipients", "ask who runs it", id="no recipients"),
]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server() -> FakeSmtp:
    return FakeSmtp(logins=LOGINS)


@pytest.fixture
async def email(client: Client, clock: FakeClock) -> Email:
    return Email(client, clock)


def config(server: FakeSmtp, **changes: Any) -> EmailConfig:
    """An entry as a person writes it."""
    keys: dict[str, Any] = {
        "to": f"Ana <{ANA}>",
        "from": "Tocsin <tocsin@example.org>",
        "smarthost": server.smarthost,
        "require_tls": False,
        "timeout": "5s",
    }
    login = {"auth_username": "tocsin", "auth_password": PASSWORD} if server.logins else {}
    return EmailConfig(
        **{name: value for name, value in (keys | login | changes).items() if value is not None}
    )


def a_mail(**changes: Any) -> Any:
    return a_message(kind="email", alternative="The same, plainly.", **changes)


BASE = a_mail()


# What passes


async def test_it_delivers_both_parts(server, email):
    async with server:
        sent = await email.send(config(server), as_message("email", "triggered"), None)

        [mail] = server.taken
        assert sent.answer == "250 2.0.0 Ok: queued as 000001"
        assert (mail.sender, mail.recipients) == ("tocsin@example.org", [ANA])
        assert mail.message.get_content_type() == "multipart/alternative"
        assert [part.get_content_type() for part in mail.message.iter_parts()] == ["text/plain", "text/html"]
        assert mail.part("plain").startswith(str(mail.message["Subject"]))
        assert "KubePodCrashLooping" in mail.part("plain")
        assert "<h1" in mail.part("html")


@pytest.mark.parametrize(
    ("is_tls_at_once", "keys"),
    [
        pytest.param(False, {"require_tls": True}, id="STARTTLS"),
        pytest.param(True, {"force_implicit_tls": True}, id="TLS at once"),
    ],
)
async def test_it_delivers_over_tls(authority, email, is_tls_at_once, keys):
    async with FakeSmtp(tls=authority.server(), is_tls_at_once=is_tls_at_once, logins=LOGINS) as server:
        tls = {"ca_file": authority.ca_file}

        await email.send(config(server, tls_config=tls, **keys), a_mail(), None)

        [mail] = server.taken
        assert mail.is_private
        assert mail.login == "tocsin"


async def test_without_require_tls_nothing_is_encrypted(authority, email):
    """As in Alertmanager: it is set where the relay's certificate cannot be relied on."""
    async with FakeSmtp(tls=authority.server()) as server:
        await email.send(config(server), a_mail(), None)

        assert not server.taken[0].is_private


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
async def test_it_logs_in_by_each_mechanism(email, mechanism):
    async with FakeSmtp(logins=LOGINS, mechanisms=(mechanism,)) as server:
        await email.send(config(server, auth_secret=PASSWORD), a_mail(), None)

        assert server.taken[0].login == "tocsin"


async def test_a_secret_is_never_shown_where_the_server_can_do_without(server, email):
    async with server:
        await email.send(config(server, auth_secret=PASSWORD), a_mail(), None)

        assert "AUTH CRAM-MD5" in server.said


async def test_it_may_act_for_another(server, email):
    async with server:
        await email.send(config(server, auth_identity="ops"), a_mail(), None)

        [said] = [line for line in server.said if line.startswith("AUTH PLAIN ")]
        assert b64decode(said.split()[2]) == b"ops\0tocsin\0" + PASSWORD.encode()


async def test_a_server_older_than_ehlo_is_spoken_to(email):
    async with FakeSmtp() as server:
        server.fails(Step.EHLO, Fault(answer="502 5.5.1 Command not implemented"))

        await email.send(config(server, hello="tocsin.example.org"), a_mail(), None)

        assert server.said[:2] == ["EHLO tocsin.example.org", "HELO tocsin.example.org"]
        assert len(server.taken) == 1


async def test_the_password_is_read_from_its_file_at_each_send(server, email, tmp_path):
    file = tmp_path / "password"
    async with server:
        to = config(server, auth_password=None, auth_password_file=str(file))

        file.write_text("yesterday's\n")
        with pytest.raises(PermanentFailure):
            await email.send(to, a_mail(), None)
        file.write_text(PASSWORD + "\n")
        await email.send(to, a_mail(), None)

        assert len(server.taken) == 1


async def test_an_unreadable_password_file_is_named(server, email, tmp_path):
    missing = str(tmp_path / "missing")

    with pytest.raises(PermanentFailure, match=missing):
        await email.send(config(server, auth_password=None, auth_password_file=missing), a_mail(), None)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(answer="421 4.3.2 Shutting down"), id="421"),
        pytest.param(Fault(is_closed=True), id="closed"),
        pytest.param(Fault(is_reset=True), id="reset"),
        pytest.param(Fault(is_never=True), id="silent"),
        pytest.param(Fault(raw=b"?\r\n"), id="not SMTP"),
    ],
)
async def test_what_comes_after_a_mail_was_taken_changes_nothing(server, email, fault):
    async with server:
        server.fails(Step.QUIT, fault)

        await email.send(config(server), a_mail(), None)

        assert len(server.taken) == 1
        await server.all_closed()


# What may pass, what cannot, and what nobody knows


@pytest.mark.parametrize(("step", "fault"), TEMPORARY)
async def test_what_may_pass_is_tried_again(server, email, step, fault):
    async with server:
        server.fails(step, fault)

        with pytest.raises(TemporaryFailure) as failure:
            await email.send(config(server), a_mail(), None)

        assert not failure.value.is_ambiguous
        assert server.taken == []
        await server.all_closed()


@pytest.mark.parametrize(("step", "answer", "advice"), PERMANENT)
async def test_what_cannot_pass_is_not_tried_again_and_says_what_to_do(server, email, step, answer, advice):
    async with server:
        server.fails(step, Fault(answer=answer))

        with pytest.raises(PermanentFailure) as failure:
            await email.send(config(server), a_mail(), None)

        assert not isinstance(failure.value, MarkupRefused)
        assert answer[:3] in failure.value.reason
        assert advice in failure.value.reason
        assert failure.value.answer == answer
        await server.all_closed()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(is_closed=True), id="closed"),
        pytest.param(Fault(is_reset=True), id="reset"),
        pytest.param(Fault(is_never=True), id="silent"),
        pytest.param(Fault(raw=b"<html>\r\n"), id="not SMTP"),
        pytest.param(Fault(delay=5), id="an answer after the timeout"),
    ],
)
async def test_a_mail_that_was_written_and_not_answered_may_have_arrived(server, email, fault):
    async with server:
        server.fails(Step.END, fault)

        with pytest.raises(TemporaryFailure) as failure:
            await email.send(config(server, timeout="1s"), a_mail(), None)

        assert failure.value.is_ambiguous
        await server.all_closed()


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        pytest.param(Step.MAIL, "552 5.3.4 Message size exceeds fixed limit", id="too large, said at once"),
        pytest.param(Step.END, "552 5.3.4 Message too big", id="too large"),
        pytest.param(Step.END, "552 Error: too much mail data", id="too large, without a word"),
        pytest.param(Step.END, "554 5.7.1 Spam message rejected", id="spam"),
        pytest.param(Step.END, "550 Rejected", id="without a word"),
    ],
)
async def test_a_mail_that_is_refused_for_its_looks_is_tried_plain_and_then_given_up(
    server, email, step, answer
):
    async with server:
        server.fails(step, Fault(answer=answer), Fault(answer=answer))

        with pytest.raises(MarkupRefused, match=answer[:3]):
            await email.send(config(server), a_mail(), None)
        with pytest.raises(PermanentFailure) as failure:
            await email.send(config(server), a_mail(is_plain=True, text="plain"), None)

        assert not isinstance(failure.value, MarkupRefused)


async def test_a_mail_is_announced_with_its_size(email):
    async with FakeSmtp(size=700) as server:
        with pytest.raises(MarkupRefused, match="too large"):
            await email.send(config(server), a_mail(), None)

        assert server.said[-1] == "QUIT"
        assert not any(line.startswith("RCPT") for line in server.said)


@pytest.mark.parametrize("step", [step for step in Step if step not in {Step.HELO, Step.STARTTLS, Step.QUIT}])
async def test_silence_ends_with_the_timeout(server, email, step):
    async with server:
        server.fails(step, Fault(is_never=True))

        with pytest.raises(TemporaryFailure, match=r"within 0\.5 s") as failure:
            await email.send(config(server, timeout="500ms"), a_mail(), None)

        assert failure.value.is_ambiguous == (step is Step.END)
        await server.all_closed()


async def test_an_answer_without_an_end_ends_with_the_timeout(server, email):
    async with server:
        server.fails(Step.EHLO, Fault(raw=b"250-still\r\n250-no end"))

        with pytest.raises(TemporaryFailure, match="no answer to EHLO"):
            await email.send(config(server, timeout="200ms"), a_mail(), None)


async def test_an_answer_that_is_no_text_can_be_stored(server, email):
    async with server:
        server.fails(Step.RCPT, Fault(raw=b"550 5.1.1 \xff\xfe no \xe9\r\n"))

        with pytest.raises(PermanentFailure) as failure:
            await email.send(config(server), a_mail(), None)

        failure.value.answer.encode()


async def test_a_closed_port_is_tried_again(email):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(TemporaryFailure, match="connection refused"):
        await email.send(config(FakeSmtp(port=port)), a_mail(), None)


async def test_a_name_that_cannot_be_resolved_is_tried_again(email):
    with pytest.raises(TemporaryFailure, match=r"tocsin\.invalid:25: its name cannot be resolved"):
        await email.send(config(FakeSmtp(), smarthost="tocsin.invalid:25"), a_mail(), None)


async def test_what_is_no_name_at_all_needs_a_person(email):
    with pytest.raises(PermanentFailure, match="check `smarthost`"):
        await email.send(config(FakeSmtp(), smarthost="mail..example.org:25"), a_mail(), None)


async def test_the_next_address_of_a_name_is_tried_where_one_does_not_answer(email, monkeypatch):
    def resolved(_host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, port)) for address in ("169.254.169.254", "127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)  # what the resolver of a larger network says
    async with FakeSmtp() as server:
        await email.send(config(server, smarthost=f"mail.example.org:{server.port}"), a_mail(), None)

        assert len(server.taken) == 1


async def test_where_clouds_hand_out_credentials_is_never_connected_to(email):
    with pytest.raises(PermanentFailure, match="never allowed"):
        await email.send(config(FakeSmtp(), smarthost="169.254.169.254:25"), a_mail(), None)


async def test_a_name_is_connected_to_at_the_address_that_answers(email):
    async with FakeSmtp() as server:
        await email.send(config(server, smarthost=f"localhost:{server.port}"), a_mail(), None)

        assert len(server.taken) == 1


# TLS


async def test_a_relay_without_starttls_is_told_nothing(email):
    async with FakeSmtp(logins=LOGINS) as server:
        with pytest.raises(PermanentFailure, match="does not offer STARTTLS, and require_tls is true"):
            await email.send(config(server, require_tls=True), a_mail(), None)

        assert server.said == ["EHLO localhost", "QUIT"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param("454 4.7.0 TLS not available due to temporary reason", TemporaryFailure, id="454"),
        pytest.param("501 5.5.4 Syntax error", PermanentFailure, id="501"),
    ],
)
async def test_a_refused_starttls_is_no_reason_to_go_on_without(authority, email, answer, kind):
    async with FakeSmtp(tls=authority.server()) as server:
        server.fails(Step.STARTTLS, Fault(answer=answer))

        with pytest.raises(kind, match="STARTTLS"):
            await email.send(config(server, require_tls=True), a_mail(), None)

        assert not any(line.startswith("MAIL") for line in server.said)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(raw=b"220 Go ahead\r\nnot a handshake"), id="garbage"),
        pytest.param(Fault(is_reset=True), id="reset"),
        pytest.param(Fault(is_never=True), id="silent"),
    ],
)
async def test_a_handshake_that_breaks_is_tried_again(authority, email, fault):
    async with FakeSmtp(tls=authority.server()) as server:
        server.fails(Step.STARTTLS, fault)

        with pytest.raises(TemporaryFailure):
            await email.send(config(server, require_tls=True, timeout="300ms"), a_mail(), None)

        await server.all_closed()


@pytest.mark.parametrize("is_tls_at_once", [True, False])
@pytest.mark.parametrize(
    ("names", "is_expired", "trusts", "said"),
    [
        pytest.param((), False, False, "unable to get local issuer certificate", id="unknown authority"),
        pytest.param((), True, True, "certificate has expired", id="expired"),
        pytest.param(("mail.example.org",), False, True, "not valid for '127.0.0.1'", id="another name"),
    ],
)
async def test_a_certificate_that_is_not_valid_needs_a_person(
    authority, email, is_tls_at_once, names, is_expired, trusts, said
):
    """Nothing was sent; waiting mends no certificate, and the fallback is told at once."""
    tls = authority.server(*names, is_expired=is_expired)
    async with FakeSmtp(tls=tls, is_tls_at_once=is_tls_at_once) as server:
        to = config(
            server,
            require_tls=True,
            force_implicit_tls=is_tls_at_once,
            tls_config={"ca_file": authority.ca_file} if trusts else {},
        )

        with pytest.raises(PermanentFailure) as failure:
            await email.send(to, a_mail(), None)

        assert said in failure.value.reason
        assert "ca_file" in failure.value.reason
        await server.all_closed()


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({"server_name": "mail.example.org"}, id="server_name"),
        pytest.param({"insecure_skip_verify": True, "ca_file": None}, id="insecure_skip_verify"),
    ],
)
async def test_a_certificate_of_another_name_can_be_accepted(authority, email, keys):
    async with FakeSmtp(tls=authority.server("mail.example.org")) as server:
        tls = {"ca_file": authority.ca_file} | keys

        await email.send(config(server, require_tls=True, tls_config=tls), a_mail(), None)

        assert server.taken[0].is_private


async def test_it_shows_its_own_certificate(authority, email):
    certificate, key = authority.client_files()
    async with FakeSmtp(tls=authority.asks_for_clients(authority.server())) as server:
        tls = {"ca_file": authority.ca_file, "cert_file": certificate, "key_file": key}

        await email.send(config(server, require_tls=True, tls_config=tls), a_mail(), None)

        assert server.taken[0].is_private


async def test_an_older_tls_than_wanted_is_not_spoken(authority, email):
    tls = authority.server()
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    async with FakeSmtp(tls=tls) as server:
        wanted = {"ca_file": authority.ca_file, "min_version": "TLS13"}

        with pytest.raises(TemporaryFailure, match=r"TLS failed|connection reset"):
            await email.send(config(server, require_tls=True, tls_config=wanted), a_mail(), None)

        assert server.said == ["EHLO localhost", "STARTTLS"]


async def test_tls_at_once_on_a_port_that_begins_in_the_clear_needs_a_person(server, email):
    async with server:
        with pytest.raises(PermanentFailure, match="leave force_implicit_tls out"):
            await email.send(config(server, force_implicit_tls=True), a_mail(), None)


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """An authority that nobody's certificate is from."""
    return Authority(tmp_path)


async def test_files_of_tls_are_read_again_when_they_change(authority, stranger, email):
    async with FakeSmtp(tls=authority.server()) as server:
        to = config(server, require_tls=True, tls_config={"ca_file": stranger.ca_file})

        with pytest.raises(PermanentFailure):
            await email.send(to, a_mail(), None)
        os.replace(authority.copy(), stranger.ca_file)  # noqa: PTH105 - how secrets are rotated
        await email.send(to, a_mail(), None)

        assert len(server.taken) == 1


def test_a_tls_file_that_cannot_be_used_is_named(tmp_path):
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("this is no certificate")

    with pytest.raises(PermanentFailure, match=str(tmp_path / "missing")):
        tls_context(TlsConfig(ca_file=str(tmp_path / "missing")))
    with pytest.raises(PermanentFailure, match=str(garbage)):
        tls_context(TlsConfig(ca_file=str(garbage)))


@pytest.mark.parametrize(
    ("address", "is_encrypted", "may"),
    [
        pytest.param("192.0.2.1", True, True, id="over TLS"),
        pytest.param("192.0.2.1", False, False, id="in the clear"),
        pytest.param("fe80::1%eth0", False, False, id="in the clear, at home"),
        pytest.param("127.0.0.1", False, True, id="this machine"),
        pytest.param("::1", False, True, id="this machine, IPv6"),
    ],
)
def test_a_password_is_shown_to_nobody_on_the_way(address, is_encrypted, may):
    assert may_show_a_password(address, is_encrypted=is_encrypted) is may


# Logging in


@pytest.mark.parametrize(
    ("mechanisms", "keys", "advice"),
    [
        pytest.param(("XOAUTH2",), {}, "offers XOAUTH2 to log in; auth_password is for", id="only OAuth"),
        pytest.param(
            ("PLAIN",),
            {"auth_password": None, "auth_secret": "secretsecret"},
            "for CRAM-MD5",
            id="only PLAIN",
        ),
    ],
)
async def test_a_login_that_the_server_does_not_offer_is_named(email, mechanisms, keys, advice):
    async with FakeSmtp(logins=LOGINS, mechanisms=mechanisms) as server:
        with pytest.raises(PermanentFailure, match=advice):
            await email.send(config(server, **keys), a_mail(), None)


async def test_a_server_that_offers_no_login_is_named(email):
    async with FakeSmtp() as server:
        keys = {"auth_username": "tocsin", "auth_password": PASSWORD}

        with pytest.raises(PermanentFailure, match="offers no login; leave auth_username out"):
            await email.send(config(server, **keys), a_mail(), None)


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        pytest.param(Step.AUTH, "535 5.7.8 No: {secrets}", id="535"),
        pytest.param(Step.AUTH, "454 4.7.0 No: {secrets}", id="454"),
        pytest.param(Step.RCPT, "550 5.1.1 No: {secrets}", id="550"),
        pytest.param(Step.END, "554 5.7.1 No: {secrets}", id="554"),
        pytest.param(Step.END, "{secrets}", id="not SMTP"),
    ],
)
async def test_no_secret_gets_out(server, email, caplog, step, fault):
    caplog.set_level(logging.DEBUG, logger="receiver")
    caplog.set_level(logging.DEBUG, logger="aiosmtplib")
    shown = b64encode(f"\0tocsin\0{PASSWORD}".encode()).decode()
    secrets = [PASSWORD, b64encode(PASSWORD.encode()).decode(), shown]
    async with server:
        said = fault.format(secrets=" ".join(secrets))
        server.fails(step, Fault(answer=said) if said[0].isdigit() else Fault(raw=said.encode() + b"\r\n"))
        to = config(server)

        with pytest.raises((TemporaryFailure, PermanentFailure)) as failure:
            await email.send(to, a_mail(), None)

        error = failure.value
        seen = [error.reason, error.answer, repr(error), str(error.__cause__), repr(to), to.destination]
        for secret in secrets:
            assert secret not in " ".join([*seen, to.service, repr(to.server())])
        assert "[secret]" in error.answer


# One destination for each address


async def test_each_address_is_a_destination_and_refused_apart(server, email):
    async with server:
        entry = config(server, to="Ana <ana@example.org>, bo@Example.ORG, Ana again <ana@example.org>")
        server.refused["bo@example.org"] = "550 5.1.1 User unknown"
        ana, bo = entry.parts()

        await email.send(ana, a_mail(), None)
        with pytest.raises(PermanentFailure, match=r"5\.1\.1"):
            await email.send(bo, a_mail(), None)

        assert (ana.destination, bo.destination) == ("email ana@example.org", "email bo@example.org")
        assert [mail.recipients for mail in server.taken] == [["ana@example.org"]]
        assert server.taken[0].message["To"] == "Ana <ana@example.org>"


def test_addresses_of_one_server_share_its_limits():
    to = EmailConfig(**{"to": "a@x.org, b@x.org", "from": "t@x.org", "smarthost": "mail.example.org:587"})

    assert {part.service for part in to.parts()} == {"email mail.example.org:587"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("ana@example.org", [("", "ana@example.org")], id="bare"),
        pytest.param("Ana <ana@example.org>", [("Ana", "ana@example.org")], id="with a name"),
        pytest.param(
            '"Ops, by night" <a@x.org>, b@x.org', [("Ops, by night", "a@x.org"), ("", "b@x.org")], id="quoted"
        ),
        pytest.param('"Say \\"hi\\"" <a@x.org>', [('Say "hi"', "a@x.org")], id="quotes in the name"),
        pytest.param("root@localhost", [("", "root@localhost")], id="this machine"),
        pytest.param("jürgen@exämple.org", [("", "jürgen@exämple.org")], id="not ASCII"),
        pytest.param("ana+page@example.org", [("", "ana+page@example.org")], id="with a tag"),
    ],
)
def test_addresses_are_read_and_written(text, found):
    assert mailboxes(text) == found
    assert mailboxes(", ".join(map(str, mailboxes(text)))) == found


# Addresses that are not ASCII


async def test_an_address_that_is_not_ascii_is_used_where_the_server_can(email):
    async with FakeSmtp() as server:
        await email.send(config(server, to="Jürgen <jürgen@exämple.org>"), a_mail(), None)

        [mail] = server.taken
        assert mail.recipients == ["jürgen@exämple.org"]
        assert "SMTPUTF8" in mail.options
        assert "To: Jürgen <jürgen@exämple.org>".encode() in mail.content


@pytest.mark.parametrize("keys", [{"to": "jürgen@example.org"}, {"from": "tocsin@exämple.org"}])
async def test_an_address_that_is_not_ascii_is_named_where_the_server_cannot(email, keys):
    async with FakeSmtp(has_utf8=False) as server:
        with pytest.raises(PermanentFailure, match="ASCII addresses only"):
            await email.send(config(server, **keys), a_mail(), None)


# One thread


async def test_an_incident_is_one_thread(server, email):
    async with server:
        to = config(server)
        first = await email.send(to, as_message("email", "triggered"), None)
        second = await email.send(to, as_message("email", "updated"), first)
        third = await email.send(to, as_message("email", "resolved"), second)

        [thread] = server.threads(ANA)
        messages = [mail.message for mail in thread]
        assert [str(message["Subject"])[:4] for message in messages] == ["🔥 CR", "Re: ", "Re: "]
        assert len({message["Message-ID"] for message in messages}) == 3
        assert {message["In-Reply-To"] for message in messages[1:]} == {messages[0]["Message-ID"]}
        assert {message["References"] for message in messages[1:]} == {messages[0]["Message-ID"]}
        assert first.ids == second.ids == third.ids
        assert thread[2].part("plain").startswith("✅ Resolved")


async def test_two_incidents_are_two_threads(server, email):
    async with server:
        for name in ("triggered", "drill"):
            await email.send(config(server), as_message("email", name), None)

        assert len(server.threads(ANA)) == 2


async def test_a_mail_sent_again_has_the_same_id(server, email, clock):
    async with server:
        for _ in range(2):
            await email.send(config(server), as_message("email", "triggered"), None)
            clock.advance(minutes=1)

        assert len({mail.message["Message-ID"] for mail in server.taken}) == 1
        assert server.taken[0].message["Message-ID"].endswith("@example.org>")


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        pytest.param({"notification_id": 42}, {}, id="another notification"),
        pytest.param({"dedup_key": "tocsin-8"}, {}, id="another incident"),
        pytest.param({}, {"to": "bo@example.org"}, id="another person"),
        pytest.param(
            {"facts": some_facts(incident=an_incident(started_at="2026-11-21T00:00:00Z"))},
            {},
            id="the same numbers in a new database",
        ),
    ],
)
def test_another_mail_has_another_id(changes, keys):
    to = config(FakeSmtp())

    one = composed(to, a_mail(), None, START)
    other = composed(config(FakeSmtp(), **keys), a_mail(**changes), None, START)

    assert one["Message-ID"] != other["Message-ID"]


@pytest.mark.parametrize(
    "domain", ["example.org", "a" * 33 + ".example.org", "a" * 60 + ".example.org", "exämple.org"]
)
def test_an_id_stands_on_one_line(domain):
    """A folded or encoded Message-ID joins no thread."""
    to = config(FakeSmtp(), **{"from": f"tocsin@{domain}"})
    first = composed(to, a_mail(), None, START)

    answer = composed(
        to, a_mail(notification_id=42), Sent({"message_id": first["Message-ID"], "subject": "x"}), START
    )

    lines = answer.as_bytes(policy=policy.SMTP).split(b"\r\n")
    for name in ("In-Reply-To", "References"):
        [line] = [line for line in lines if line.startswith(name.encode() + b":")]
        value = line.partition(b": ")[2] or lines[lines.index(line) + 1].strip()
        assert value.decode() == first["Message-ID"]


# What programs read


async def test_the_head_speaks_to_programs(server, email):
    async with server:
        headers = {"Reply-To": "noc@example.org", "X-Team": "dba", "auto-submitted": "auto-notified"}
        await email.send(config(server, headers=headers), as_message("email", "triggered"), None)

        message = server.taken[0].message
        assert message["From"] == "Tocsin <tocsin@example.org>"
        assert message["Date"] == "Fri, 20 Nov 2026 03:12:00 +0000"
        assert message.get_all("Auto-Submitted") == ["auto-notified"]
        assert message["X-Auto-Response-Suppress"] == "OOF, AutoReply"
        assert (message["Reply-To"], message["X-Team"]) == ("noc@example.org", "dba")
        assert (message["X-Tocsin-Incident"], message["X-Tocsin-Event"]) == ("1042", "triggered")
        assert message["X-Tocsin-Severity"] == "critical"


async def test_a_plain_message_is_one_plain_part(server, email):
    async with server:
        await email.send(config(server), a_mail(is_plain=True, text="a <b> & c"), None)

        message = server.taken[0].message
        assert message.get_content_type() == "text/plain"
        assert "a <b> & c" in server.taken[0].part("plain")


# Hostile text


class Seen(HTMLParser):
    """What a mail program makes of the HTML part."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.links += [str(value) for name, value in attributes if name in {"href", "src"}]


OURS = {
    *("html", "head", "meta", "title", "body", "div", "p", "h1", "b", "a", "ul", "li"),
    *("table", "tr", "td"),
}
MORE_HOSTILE = {
    "script": "<script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>",
    "attributes": '" onmouseover="alert(1)" style=\'x\' `',
    "markdown": "*a* _b_ ~c~ [click](https://evil.example) ```d```",
    "a header": "x\r\nBcc: evil@example.org\r\n\r\nbody",
    "an encoded header": "=?utf-8?q?x=0D=0ABcc:_evil@example.org=0D=0A=0D=0Abody?=",
    "a dot": "a\r\n.\r\nMAIL FROM:<evil@example.org>\r\n",
    "a link": "javascript:alert(1)",
}


@pytest.mark.parametrize("event", MessageEvent)
@pytest.mark.parametrize("text", [*HOSTILE.values(), *MORE_HOSTILE.values()], ids=[*HOSTILE, *MORE_HOSTILE])
async def test_hostile_text_arrives_harmless(server, email, event, text):
    labels = {"alertname": text, "severity": text, "instance": text, text: "x"}
    said = {"summary": text, "description": text, "message": text, "runbook_url": text}
    incident = an_incident(
        title=text, labels=labels, annotations=said, severity=text, acknowledged_by=text, where=text, url=text
    )
    alerts = [an_alert(labels=labels, annotations={"summary": text}, generator_url=text) for _ in range(30)]
    more = {"incidents": [incident] * 3, "incidents_omitted": 0, "count": 3, "list_url": text}
    facts = some_facts(
        incident=incident, alerts=alerts, fallback_for=text, runbook_url=text, reason_text=text, **more
    )
    async with server:
        await email.send(config(server), a_message(kind="email", event=event, facts=facts), None)

        [mail] = server.taken
        assert mail.recipients == [ANA]
        assert set(mail.message.keys()) == KNOWN
        assert all(len(line) <= 998 for line in mail.content.split(b"\r\n"))
        assert mail.content.isascii()
        seen = Seen(mail.part("html"))
        assert seen.tags <= OURS
        assert seen.attributes <= {"style", "href", "lang", "charset", "name", "content", "role"}
        assert all(link.startswith(("https://tocsin.example.org/", "http")) for link in seen.links)
        assert not any("evil" in link for link in seen.links)
        assert len(mail.content) < 200_000


KNOWN = {
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress"),
    *("X-Tocsin-Incident", "X-Tocsin-Event", "X-Tocsin-Severity", "MIME-Version", "Content-Type"),
}


@settings(deadline=None)
@given(title=st.text(max_size=200), severity=st.text(max_size=50), earlier=st.text(max_size=200))
def test_no_text_makes_a_header_of_its_own(title, severity, earlier):
    message = replace(BASE, title=title, facts=some_facts(incident=an_incident(severity=severity)))

    mail = composed(
        config(FakeSmtp()), message, Sent({"message_id": "<1@example.org>", "subject": earlier}), START
    )

    content = mail.as_bytes(policy=policy.SMTP)
    head = content.partition(b"\r\n\r\n")[0]
    assert set(message_from_bytes(content).keys()) == KNOWN | {"In-Reply-To", "References"}
    assert head.isascii()
    assert all(len(line) <= 998 for line in head.split(b"\r\n"))


@settings(deadline=None)
@given(st.text(max_size=500).map(one_line))
def test_a_subject_arrives_as_it_was_meant(title):
    mail = composed(config(FakeSmtp()), replace(BASE, title=title), None, START)

    parsed = message_from_bytes(mail.as_bytes(policy=policy.SMTP), policy=policy.default)

    assert " ".join(str(parsed["Subject"]).split()) == title


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=3000))
def test_a_text_arrives_as_it_was_meant(text):
    mail = composed(config(FakeSmtp()), replace(BASE, is_plain=True, title="t", text=text), None, START)
    content = mail.as_bytes(policy=policy.SMTP)

    body = message_from_bytes(content, policy=policy.default).get_content().replace("\r\n", "\n")

    assert body.rstrip("\n") == f"t\n\n{text}".rstrip("\n")
    assert all(len(line) <= 78 for line in content.partition(b"\r\n\r\n")[2].split(b"\r\n"))


# Connections


async def test_every_connection_is_closed(server, email):
    async with server:
        for _ in range(3):
            await email.send(config(server), a_mail(), None)

        assert server.connections_made == 3
        await server.all_closed()


async def test_many_at_once_all_arrive_over_a_few_connections(server, email):
    async with server:
        people = [config(server, to=f"person-{number}@example.org") for number in range(50)]

        await asyncio.gather(*(email.send(person, a_mail(), None) for person in people))

        assert len(server.taken) == 50
        assert server.most_at_once <= MAX_CONNECTIONS


async def test_a_mail_that_waited_for_others_has_as_much_time_as_they_had(server, email):
    """However slow an ordinary server is, a mail never begins with a moment left."""
    async with server:
        server.fails(Step.EHLO, *[Fault(delay=1.2)] * MAX_CONNECTIONS)
        slow = [email.send(config(server), a_mail(), None) for _ in range(MAX_CONNECTIONS)]

        await asyncio.gather(*slow, email.send(config(server, timeout="1s"), a_mail(), None))

        assert len(server.taken) == MAX_CONNECTIONS + 1


async def test_a_mail_whose_turn_does_not_come_says_nothing_about_the_server(server, email, monkeypatch):
    monkeypatch.setattr(smtp, "QUEUE_SECONDS", 0.2)
    async with server:
        server.fails(Step.EHLO, *[Fault(is_never=True)] * MAX_CONNECTIONS)
        slow = [email.send(config(server, timeout="1s"), a_mail(), None) for _ in range(MAX_CONNECTIONS)]

        *asked, late = await asyncio.gather(
            *slow, email.send(config(server), a_mail(), None), return_exceptions=True
        )

        assert [one.is_ours for one in asked if isinstance(one, TemporaryFailure)] == [False] * 3
        assert isinstance(late, TemporaryFailure)
        assert "was not asked: the mails before this one took 0.2 s" in late.reason
        assert late.is_ours
        assert not late.is_ambiguous
        await server.all_closed()


def test_a_mail_that_waits_and_is_sent_twice_ends_within_its_lease():
    longest = smtp.QUEUE_SECONDS + MAX_TIMEOUT.total_seconds() + smtp.QUIT_SECONDS

    assert 2 * longest < LEASE.total_seconds()


async def test_whoever_is_stopped_leaves_no_connection(server, email):
    async with server:
        server.fails(Step.RCPT, Fault(is_never=True))
        sending = asyncio.ensure_future(email.send(config(server), a_mail(), None))
        await server.reached(Step.RCPT)

        sending.cancel()

        with pytest.raises(asyncio.CancelledError):
            await sending
        await server.all_closed()


@pytest.mark.parametrize(
    ("keys", "outcome"),
    [
        pytest.param({}, Sent, id="delivered"),
        pytest.param({"tls_config": {}}, PermanentFailure, id="a certificate that is not valid"),
        pytest.param({"force_implicit_tls": True}, PermanentFailure, id="no TLS there"),
        pytest.param({"timeout": "100ms", "to": "slow@example.org"}, TemporaryFailure, id="silent"),
    ],
)
async def test_the_loop_that_the_service_runs_on_leaves_nothing_open(authority, clock, keys, outcome):
    """`tocsin serve` runs on uvloop, which closes TLS in its own way."""

    async def send(to: EmailConfig) -> object:
        client = Client(clock)
        try:
            return await Email(client, clock).send(to, a_mail(), None)
        except (TemporaryFailure, PermanentFailure) as failure:
            return failure
        finally:
            await client.aclose()

    async with FakeSmtp(tls=authority.server()) as server:
        if outcome is TemporaryFailure:
            server.fails(Step.RCPT, Fault(is_never=True))
        to = config(server, **{"require_tls": True, "tls_config": {"ca_file": authority.ca_file}} | keys)

        ended = await asyncio.to_thread(lambda: uvloop.run(send(to)))

        assert isinstance(ended, outcome)
        await server.all_closed()


# What it looks like


@pytest.mark.parametrize("name", EVENTS)
def test_mails_look_as_they_did(name):
    told = EVENTS[name]
    earlier = (
        None if told.is_first else Sent({"message_id": "<first@example.org>", "subject": "The first subject"})
    )
    mail = composed(config(FakeSmtp()), as_message("email", name), earlier, START)

    head = [f"{key}: {value}" for key, value in mail.items() if not key.startswith(("Content", "MIME"))]
    plain, html = (part.get_content().replace("\r\n", "\n") for part in mail.iter_parts())
    check_golden("email", name, "txt", "\n".join([*head, "", plain]))
    check_golden("email", name, "html", html)


# What may be written in routing.yaml


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        pytest.param({"to": ""}, "no address in it", id="nobody"),
        pytest.param({"to": "ana"}, '"ana" is no address', id="no domain"),
        pytest.param({"to": "ana@example.org bo@example.org"}, "is no address", id="no comma"),
        pytest.param({"to": "{{ template }}@x.org"}, "is no address", id="a Go template"),
        pytest.param({"to": "ana@example.org\r\nBcc: x@y.org"}, "line break", id="a line break"),
        pytest.param({"to": '"a b"@example.org'}, "is no address", id="quoted"),
        pytest.param({"from": "a@x.org, b@x.org"}, "mail comes from one", id="two senders"),
        pytest.param({"smarthost": "mail.example.org"}, "a host and a port", id="no port"),
        pytest.param({"smarthost": "mail.example.org:0"}, "a host and a port", id="port 0"),
        pytest.param({"smarthost": "smtp://mail.example.org:25"}, "a host and a port", id="a URL"),
        pytest.param({"hello": "a b"}, "hello", id="a name with a space"),
        pytest.param({"auth_username": "x"}, "a login is auth_username and", id="no password"),
        pytest.param({"auth_password": "secret"}, "a login is auth_username and", id="no user"),
        pytest.param(
            {"auth_username": "x", "auth_password": "secret", "auth_password_file": "f"}, "keep one", id="two"
        ),
        pytest.param({"headers": {"Subject": "x"}}, "made from the incident", id="Subject"),
        pytest.param({"headers": {"References": "x"}}, "made from the incident", id="References"),
        pytest.param({"headers": {"X-A": "a\r\nBcc: b"}}, "line break", id="a line break in a header"),
        pytest.param({"headers": {"X A": "a"}}, "cannot be the name", id="a space in a name"),
        pytest.param({"headers": {"X-A": "{{ .Alerts }}"}}, "Go templates are not run", id="Go template"),
        pytest.param({"tls_config": {"cert_file": "c"}}, "belong together", id="half a certificate"),
        pytest.param({"tls_config": {"min_version": "TLS10"}}, "'TLS12' or 'TLS13'", id="old TLS"),
        pytest.param({"timeout": "5m"}, "at most 30s", id="longer than a lease"),
        pytest.param({"html": "<b>"}, "Extra inputs", id="Alertmanager's own templates"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys, complaint):
    sound = {"to": ANA, "from": "tocsin@example.org", "smarthost": "mail.example.org:587"}

    with pytest.raises(ValidationError, match=complaint) as error:
        EmailConfig(**sound | keys)

    assert "secret" not in str(error.value).replace("auth_secret", "")


@pytest.mark.parametrize(
    ("keys", "security"),
    [
        pytest.param({"smarthost": "m.example.org:587"}, "starttls", id="usual"),
        pytest.param({"smarthost": "m.example.org:465"}, "tls", id="the port of TLS"),
        pytest.param({"smarthost": "m.example.org:2465", "force_implicit_tls": True}, "tls", id="forced"),
        pytest.param({"smarthost": "m.example.org:465", "force_implicit_tls": False}, "starttls", id="not"),
        pytest.param({"smarthost": "m.example.org:25", "require_tls": False}, "none", id="none"),
    ],
)
def test_tls_is_used_unless_somebody_says_no(keys, security):
    assert EmailConfig(**{"to": ANA, "from": ANA} | keys).security == security


def test_an_address_of_ipv6_is_written_in_brackets():
    server = EmailConfig(**{"to": ANA, "from": ANA, "smarthost": "[::1]:25"}).server()

    assert (server.host, server.port, str(server)) == ("::1", 25, "[::1]:25")


def test_a_reminder_is_an_answer_and_says_why_it_came():
    message = a_mail(reason=Reason.REPEAT_DUE, reply="still firing")

    mail = composed(
        config(FakeSmtp()), message, Sent({"message_id": "<1@example.org>", "subject": "S"}), START
    )

    assert mail["Subject"] == "Re: S"
