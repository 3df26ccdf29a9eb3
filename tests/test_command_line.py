"""The command says what it was asked, in words or as JSON, and its exit status is true."""

import http.server
import json
import os
import pty
import re
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from receiver.resources import EXAMPLE_CONFIG
from tests.command import environment, serving, tocsin
from tests.processes import free_port

HEAVY = ("alembic", "fastapi", "httpx", "pydantic", "sqlalchemy", "uvicorn", "yaml")
AT = "2026-03-07T03:12:00Z"
SOUND = """
receivers:
  - name: ops
    console_configs: [{}]
route:
  receiver: ops
"""
SERVED = """
time_intervals:
  - {name: long ago, time_intervals: [{years: ["1999"]}]}
receivers:
  - name: ops
    console_configs: [{}]
  - name: nowhere
    webhook_configs: [{url: "http://169.254.169.254/latest"}]
  - name: nobody
fallback: nobody
route:
  receiver: ops
  routes:
    - {matchers: [team="waits"], group_wait: 1h}
    - {matchers: [team="lost"], receiver: nowhere}
    - {matchers: [team="none"], receiver: nobody}
    - {matchers: [team="both"], active_time_intervals: [long ago], continue: true}
    - {matchers: [team="both"], group_wait: 1h, continue: true}
    - {matchers: [team="both"]}
"""


def in_folder(tmp_path, **files):
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "arguments", [[], ["serve"], ["check"], ["explain"], ["test"], ["test-alert"], ["replay"]]
)
def test_help_imports_nothing_heavy(arguments):
    script = (
        "import sys\n"
        "from receiver.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--help"],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert ran.stdout.startswith("usage: tocsin")
    assert not {name.partition(".")[0] for name in ran.stderr.split()} & set(HEAVY)


def test_a_sound_file_is_called_sound(tmp_path):
    ran = tocsin("check", "routing.yaml", within=in_folder(tmp_path, routing=SOUND))

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "routing.yaml: sound\n", "")


def test_check_reads_the_file_that_the_environment_names(tmp_path):
    ran = tocsin("check", within=in_folder(tmp_path, other=SOUND), TOCSIN_CONFIG="other.yaml")

    assert (ran.returncode, ran.stdout) == (0, "other.yaml: sound\n")


def test_every_error_has_its_place_on_standard_error(tmp_path):
    text = SOUND.replace("receiver: ops", "reciever: ops") + "inhibit_rule: []\n"

    ran = tocsin("check", "routing.yaml", within=in_folder(tmp_path, routing=text))

    assert (ran.returncode, ran.stdout) == (1, "")
    lines = ran.stderr.splitlines()
    assert 'routing.yaml:6:3: route.reciever: is not a known key; did you mean "receiver"?' in lines
    assert 'routing.yaml:7:1: inhibit_rule: is not a known key; did you mean "inhibit_rules"?' in lines
    assert all(re.match(r"routing\.yaml:\d+:\d+: [\w.]+: .+; ", line) for line in lines)


def test_warnings_are_on_standard_error_and_change_no_exit_status(tmp_path):
    text = SOUND + "  routes: [{}, {matchers: [a=b]}]\n"

    ran = tocsin("check", "routing.yaml", within=in_folder(tmp_path, routing=text))

    assert (ran.returncode, ran.stdout) == (0, "routing.yaml: sound, with 1 warning\n")
    assert re.fullmatch(r"routing\.yaml:7:\d+: route\.routes\[1\]: warning: .+\n", ran.stderr)


def test_an_explanation_as_json_is_the_answer_of_the_api(tmp_path):
    ran = tocsin(
        "explain", "--config", EXAMPLE_CONFIG, "--at", AT, "--json", "severity=info", within=tmp_path
    )

    answer = json.loads(ran.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert answer["routes"] == ["info"]
    assert answer["plan"][0]["at"] == "2026-03-09T09:00:00Z"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["explain", "severity"], '"severity" is not label=value', id="a label without a value"),
        pytest.param(["explain", "=x"], '"=x" is not label=value', id="a value without a label"),
        pytest.param(["explain", "--at", "noon", "a=b"], '"noon" is not an instant; write it as 2026-03-02T10:00:00Z', id="no instant"),
        pytest.param(["explain", "--at", "2026-03-02T10:00:00", "a=b"], '"2026-03-02T10:00:00" is not an instant; write it as 2026-03-02T10:00:00Z', id="an instant without an offset"),
        pytest.param(["explain", "--config", "no.yaml"], "no.yaml:1:1: file: cannot be read: no such file or directory; correct the path", id="no configuration"),
        pytest.param(["test", "no.yaml"], "no.yaml:1:1: file: cannot be read: no such file or directory; correct the path", id="no tests"),
        pytest.param(["test-alert", "severity"], '"severity" is not label=value', id="a drill with a label without a value"),
        pytest.param(["test-alert", "--url", "ftp://x"], 'no drill: "ftp://x" is not a web address; write it as http://127.0.0.1:5001', id="a drill at no web address"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_says_what_to_write(tmp_path, arguments, said):
    ran = tocsin(*arguments, within=in_folder(tmp_path, routing=SOUND))

    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", f"{said}\n")


def printed_on_a_terminal(tmp_path, **variables):
    """Return what an explanation prints when standard output is a terminal."""
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "receiver", "explain", "--at", AT, "a=b"],
        cwd=tmp_path, env={**environment(), "TERM": "xterm", **variables}, stdout=theirs, check=True,
    )  # fmt: skip
    os.close(theirs)
    printed = b""
    while chunk := _read(ours):
        printed += chunk
    os.close(ours)
    return printed.decode()


def _read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other side is closed
        return b""


@pytest.mark.parametrize(
    ("variables", "colours"),
    [
        pytest.param({}, True, id="a terminal"),
        pytest.param({"NO_COLOR": "1"}, False, id="a terminal whose owner refuses colours"),
        pytest.param({"TERM": "dumb"}, False, id="a terminal without colours"),
    ],
)
def test_colours_are_for_terminals_that_want_them(tmp_path, variables, colours):
    in_folder(tmp_path, routing=SOUND)

    assert ("\x1b[" in printed_on_a_terminal(tmp_path, **variables)) is colours
    assert "\x1b[" not in tocsin("explain", "a=b", within=tmp_path).stdout


def test_an_answer_in_ascii_is_better_than_none(tmp_path):
    in_folder(tmp_path, routing=SOUND)

    ran = tocsin("explain", "--at", AT, "a=b", within=tmp_path, PYTHONIOENCODING="ascii")

    assert ran.returncode == 0
    assert ran.stdout.startswith("a=b  \\xb7  Sat 2026-03-07 03:12 UTC")


def test_tests_of_several_files_are_one_list(tmp_path):
    one = f"tests: [{{name: one, at: {AT}, labels: {{}}, expect: {{receivers: [ops]}}}}]"
    in_folder(tmp_path, routing=SOUND, one=one, two=one.replace("one", "two").replace("[ops]", "[x]"))

    ran = tocsin("test", "one.yaml", "two.yaml", "--json", within=tmp_path)

    assert ran.returncode == 1
    assert [(test["name"], test["passed"]) for test in json.loads(ran.stdout)] == [
        ("one", True),
        ("two", False),
    ]
    assert all(set(test) == {"name", "passed", "actual"} for test in json.loads(ran.stdout))


def test_the_errors_of_several_files_of_tests_are_reported_at_once(tmp_path):
    in_folder(tmp_path, routing=SOUND, one="tests: 1", two="test: []")

    ran = tocsin("test", "one.yaml", "two.yaml", within=tmp_path)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert {line.partition(":")[0] for line in ran.stderr.splitlines()} == {"one.yaml", "two.yaml"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a running service."""
    with serving(tmp_path_factory.mktemp("served"), SERVED) as url:
        yield url


def test_a_drill_that_reaches_everyone_is_a_success(tmp_path, served):
    ran = tocsin("test-alert", "--url", served, "alertname=Exercise", within=tmp_path)

    assert ran.stderr == ""
    assert re.fullmatch(
        rf"Drill [0-9a-f]{{16}}, {served}/incidents/\d+\n\n"
        r"✔ console stdout  delivered in \d+ ms, 1 attempt\n\n1 of 1 told\n",
        ran.stdout,
    )
    assert ran.returncode == 0


def test_the_service_is_found_through_the_environment(tmp_path, served):
    ran = tocsin("test-alert", "--json", within=tmp_path, TOCSIN_PORT=served.rpartition(":")[2])

    receipt = json.loads(ran.stdout)
    assert (ran.returncode, receipt["finished"]) == (0, True)
    assert [one["destination"] for one in receipt["destinations"]] == ["console stdout"]
    assert receipt["destinations"][0]["latency_seconds"] > 0
    assert receipt["links"]["incident"] == f"{served}/incidents/{receipt['incident_id']}"


def test_a_destination_is_told_through_the_route_that_tells_it_first(tmp_path, served):
    ran = tocsin("test-alert", "--url", served, "--wait", "5", "team=both", within=tmp_path)

    assert "✔ console stdout" in ran.stdout
    assert ran.returncode == 0


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        pytest.param("team=lost", r"✘ webhook \S+  not delivered, 1 attempt: .+\n\n0 of 1 told\n", id="a destination that refuses"),
        pytest.param("team=waits", r"… console stdout  not delivered yet, 0 attempts.*\n\n0 of 1 told\n", id="a destination that is told later"),
        pytest.param("team=none", r"\n\nnobody told: the routes lead to no destination\n", id="a route that leads to nobody"),
    ],
)  # fmt: skip
def test_a_drill_that_does_not_reach_everyone_is_a_failure(tmp_path, served, labels, words):
    ran = tocsin("test-alert", "--url", served, "--wait", "1.5", labels, within=tmp_path)

    assert re.search(words, ran.stdout), ran.stdout + ran.stderr
    assert ran.returncode == 1


def test_what_was_given_up_is_tried_again(tmp_path, served):
    """By id or all of it; what was not given up is named with the reason, and makes it a failure."""
    drilled = tocsin("test-alert", "--url", served, "--json", "team=lost", within=tmp_path)
    assert json.loads(drilled.stdout)["destinations"][0]["state"] == "failed"

    every = tocsin("replay", "--failed", "--url", served, "--json", "--actor", "ana", within=tmp_path)
    wishes = json.loads(every.stdout)
    one = tocsin("replay", wishes[0]["id"], 123456, "--url", served, within=tmp_path)

    assert (every.returncode, {wish["replayed"] for wish in wishes}) == (0, {True})
    assert re.search(r"^✘ 123456: there is no notification 123456$", one.stdout, re.MULTILINE)
    assert re.search(
        rf"^✔ {wishes[0]['id']}: webhook \S+ is told about incident \d+ again$", one.stdout, re.MULTILINE
    )
    assert one.returncode == 1


@pytest.mark.parametrize("arguments", [[], ["7", "--failed"]])
def test_what_is_to_be_tried_again_must_be_said(tmp_path, arguments):
    ran = tocsin("replay", *arguments, within=tmp_path)

    assert ran.returncode == 1
    assert ran.stderr.startswith("say which notifications to try again")


def test_nothing_can_be_tried_again_without_a_service(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"

    ran = tocsin("replay", "--failed", "--url", url, within=tmp_path)

    assert ran.returncode == 1
    assert ran.stderr.startswith(f"not replayed: nothing answers at {url}")


def test_a_drill_without_a_service_says_how_to_start_one(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"

    ran = tocsin("test-alert", "--url", url, within=tmp_path, http_proxy="http://127.0.0.1:1")

    said = f"no drill: nothing answers at {url} (connection refused); start the service with `tocsin serve`, or say where it runs with --url\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", said)


@contextmanager
def something_else(status, body):
    """Yield the address of a server that answers everything in the same way."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Keep the output of tests free of requests."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        pytest.param(200, b"<html>", "what answers at {} is not Tocsin; say where it runs with --url", id="a page"),
        pytest.param(200, b"[]", "what answers at {} is not Tocsin; say where it runs with --url", id="another service"),
        pytest.param(200, b"\xff", "what answers at {} is not Tocsin; say where it runs with --url", id="bytes"),
        pytest.param(404, b"gone", "{} answered 404: Not Found", id="a refusal in the words of HTTP"),
        pytest.param(503, b'{"detail": "not \x1b[2J now"}', "{} answered 503: Service Unavailable", id="a refusal that is no JSON"),
        pytest.param(503, b'{"detail": "full\\u001b[2J"}', "{} answered 503: full\\x1b[2J", id="a refusal that would drive the terminal"),
    ],
)  # fmt: skip
def test_another_answer_is_reported_in_one_line(tmp_path, status, body, said):
    with something_else(status, body) as url:
        ran = tocsin("test-alert", "--url", url, within=tmp_path)

    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", f"no drill: {said.format(url)}\n")
