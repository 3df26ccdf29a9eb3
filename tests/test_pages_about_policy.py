"""The policies in the documentation do what the pages say."""

import re

import pytest

from receiver.config import parse
from receiver.policy_tests import differences, read, run
from receiver.resources import ROOT

BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
ENVIRON = {"TELEGRAM_TOKEN": "4711:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
PAGES = ["escalation.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_of_a_page_pass_with_the_policy_above_them(tmp_path, page):
    config, count = None, 0
    for block in BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8")):
        if not block.startswith("tests:"):
            config = parse(block, ENVIRON)
            continue
        file = tmp_path / "tests.yaml"
        file.write_text(block, encoding="utf-8")
        results = run(config, read(str(file)))
        count += len(results)
        assert [differences(result) for result in results if not result["passed"]] == []

    assert count


EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.tests.yaml"))


@pytest.mark.parametrize("tests", EXAMPLES, ids=lambda file: file.name)
def test_the_examples_of_whole_systems_do_what_their_tests_say(tests):
    config = parse(
        tests.with_name(tests.name.replace(".tests", "")).read_text(encoding="utf-8"),
        {"PAGERDUTY_ROUTING_KEY": "0" * 32},
    )

    results = run(config, read(str(tests)))

    assert [differences(result) for result in results if not result["passed"]] == []


def test_every_example_of_a_whole_system_has_tests():
    files = {file.name for file in (ROOT / "docs" / "examples").glob("*.yaml")}

    assert len(EXAMPLES) == 5
    assert files == {name for tests in EXAMPLES for name in (tests.name, tests.name.replace(".tests", ""))}
