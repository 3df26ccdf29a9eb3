"""The pages about the API and about running it name what there is, and nothing else."""

import re

import pytest

from receiver import metrics
from receiver.resources import ROOT

API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
NAMES = {
    family.name + ("_total" if family.type == "counter" else "")
    for family in metrics.REGISTRY.collect()
    if family.name.startswith("tocsin_")
}


async def test_every_endpoint_is_on_the_page_and_no_other(sqlite_tocsin):
    paths = (await sqlite_tocsin.client.get("/openapi.json")).json()["paths"]
    offered = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}

    assert set(re.findall(r"^\| `([A-Z]+ [^`]+)` \|", API, re.MULTILINE)) == offered


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_metric_is_on_the_page(name):
    assert re.search(rf"`{name}[`{{]", OPERATIONS)


def test_no_metric_is_on_the_page_that_does_not_exist():
    assert set(re.findall(r"\btocsin_\w+", OPERATIONS)) <= NAMES
