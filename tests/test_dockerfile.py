"""The image is described in terms of what exists; no engine is needed to notice a mistake."""

import ast
import json
import re
import tomllib
from pathlib import Path

from receiver.__main__ import _parser

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
COPIED = [
    source
    for line in LINES
    if line.startswith("COPY ") and "--from" not in line
    for source in line.split()[1:-1]
]


def test_what_is_copied_exists_and_is_let_in():
    ignored = (ROOT / ".dockerignore").read_text().split()

    assert [source for source in COPIED if not (ROOT / source).exists()] == []
    assert [source for source in COPIED if f"!{source}" not in ignored] == []


def test_what_the_wheel_holds_is_copied():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {
        *wheel["packages"],
        *wheel["force-include"],
        *project["project"]["license-files"],
        project["project"]["readme"],
    }

    assert wanted <= set(COPIED)


def test_the_command_it_runs_is_one_of_ours():
    command = json.loads(LINES[-1].removeprefix("CMD "))

    assert command[0] == "tocsin"
    assert _parser().parse_args(command[1:]).insecure


def test_its_health_is_asked_where_it_listens():
    check = next(line for line in LINES if line.startswith("HEALTHCHECK"))
    command = json.loads(check[check.index("[") :])
    port = re.search(r"^EXPOSE (\d+)$", TEXT, re.MULTILINE).group(1)

    ast.parse(command[2])
    assert f"http://127.0.0.1:{port}/health/ready" in command[2]
    assert f"TOCSIN_PORT={port}" in TEXT


def test_it_does_not_run_as_root_and_installs_only_what_the_lock_names():
    users = [line.split()[1] for line in LINES if line.startswith("USER ")]

    assert users == ["10001"]
    assert "--require-hashes -r requirements.txt" in TEXT
    assert all(re.search(r":\d+\.\d+\.\d+", line) for line in LINES if line.startswith("FROM "))
