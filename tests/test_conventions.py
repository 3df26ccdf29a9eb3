"""Conventions that fail the build, each with its reason."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from receiver.channels import KINDS
from receiver.policy.incident import Event, Happening, MessageEvent, Reason, State
from receiver.policy.outbox import NotificationState, Outcome
from receiver.store.tables import metadata

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "receiver").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
WORDS = re.findall(r"\*\*([^*]+)\*\*", (ROOT / "docs" / "glossary.md").read_text())
GLOSSARY = {word.strip() for entry in WORDS for word in re.split(r"[/,·]", entry.lower())}
STRAY = {"utils", "helpers", "common_lib", "core", "services_lib", "manager", "misc", "base_classes"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_channel_is_complete(kind):
    """A channel is a module, its templates, its contract test, its page and an example; none is forgotten."""
    assert (ROOT / "receiver" / "channels" / f"{kind}.py").exists()
    assert (
        "ChannelContract" in (ROOT / "tests" / "channels" / f"test_{kind}.py").read_text()
        or kind == "console"
    )
    assert (ROOT / "docs" / "channels" / f"{kind}.md").exists()
    assert f"{kind}_configs" in (ROOT / "routing.yaml").read_text()
    if KINDS[kind].needs_templates:
        stems = {path.stem for path in (ROOT / "templates" / kind).iterdir()}
        told = {*MessageEvent} if KINDS[kind].takes_digests else {*MessageEvent} - {MessageEvent.DIGEST}
        assert stems == {*told, "reply"}


def test_channels_are_kept_apart_by_the_layers():
    """Every channel stands in the contract that says channels do not know each other."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

    apart = next(one for one in contracts if one["name"] == "Channels do not know each other")

    assert set(apart["modules"]) == {f"receiver.channels.{kind}" for kind in KINDS}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_for(module):
    """The first sentence of a module is a question it answers, or a statement of what it is."""
    docstring = ast.get_docstring(ast.parse(module.read_text()))

    assert docstring, "write the question that this file answers"
    assert docstring.splitlines()[0].rstrip()[-1] in ".?:"
    assert module.stem not in STRAY, "name it for what it does"


def test_words_are_in_the_glossary():
    """States, events, reasons, tables and the like are words a newcomer can look up."""
    tables = {table.name for table in metadata.tables.values()}
    described = "\n".join(
        (ROOT / "receiver" / "policy" / name).read_text() for name in ("incident.py", "outbox.py")
    )

    missing = {word for word in tables - GLOSSARY if word != "payload"}

    assert not missing
    for words in (State, Event, Reason, Happening, MessageEvent, NotificationState, Outcome):
        for member in words:
            assert re.search(rf'{member.name} = "{member.value}"  # \S', described), (
                f"{member!r} has no meaning beside it"
            )


def test_the_map_names_exactly_the_folders_that_exist():
    """ARCHITECTURE.md is true."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"^\| `([\w/]+)/` \|", text, re.MULTILINE))
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folders = {name.split("/")[0] for name in tracked if "/" in name and not name.startswith(".")}
    inside = {"/".join(name.split("/")[:2]) for name in tracked if re.match(r"receiver/\w+/", name)}

    assert named == (folders - {"receiver"}) | inside


def test_the_layers_in_the_map_are_the_ones_enforced():
    """The picture of the layers in ARCHITECTURE.md names every layer that import-linter checks."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {name.strip() for line in contracts[0]["layers"] for name in line.split("|")}

    text = (ROOT / "ARCHITECTURE.md").read_text()

    assert not {layer for layer in layers if not re.search(rf"\b{layer}\b", text)}


def test_nobody_but_the_clock_asks_for_the_time():
    """`now` is an argument; what ruff cannot see (an alias, a default) is looked for here."""
    asking = re.compile(
        r"datetime\.now|utcnow|time\.time\(|time\.monotonic|perf_counter|func\.now|CURRENT_TIMESTAMP"
    )

    guilty = [str(path) for path in MODULES if path.name != "clock.py" and asking.search(path.read_text())]

    assert not guilty


@pytest.mark.parametrize("test_file", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_say_what_is_true(test_file):
    """A test has a sentence as its name or docstring, and no mock of our own code."""
    source = test_file.read_text()

    imported = {
        name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for name in [node.module]
    }

    assert not imported & {"unittest", "unittest.mock", "mock"}, "use a fake that speaks the real protocol"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            said = ast.get_docstring(node) or node.name.removeprefix("test_").replace("_", " ")
            assert len(said.split()) >= 3, f"{node.name} says too little"


def test_no_address_of_a_package_index_is_committed():
    """The locks name packages and hashes, and no host."""
    for lock in ROOT.glob("requirements*.txt"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "--index-url" not in text


def test_every_dependency_has_its_reason():
    """A dependency without a reason beside it is one too many."""
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    block += text[text.index("[dependency-groups]") : text.index("[tool.hatch")]

    unexplained = [line for line in block.splitlines() if re.match(r'\s+"', line) and "# " not in line]

    assert not unexplained


def test_every_exception_to_a_rule_has_its_reason():
    """A rule that is switched off says why on the same line."""
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in MODULES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"# noqa: [A-Z0-9, ]+$", line)
    ]

    assert not bare


def test_no_work_is_left_for_an_unnamed_day():
    """What is not done is an issue, not a comment."""
    left = re.compile(r"\b(TODO|FIXME|XXX)\b|NotImplementedError")

    assert not [str(path) for path in MODULES if left.search(path.read_text())]


def test_the_yaml_in_the_documents_can_be_read():
    """An example that cannot even be read helps nobody; the pages of policy run theirs as well."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
            assert yaml.safe_load(block) is not None, page
