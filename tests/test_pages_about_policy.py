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
