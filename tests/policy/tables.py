"""Where are Alertmanager's own answers, and how is their YAML read?"""

import json
from pathlib import Path

import yaml

SHIPPED = Path(__file__).parents[1] / "fixtures" / "alertmanager-tables"
NEARBY = Path(__file__).parents[3] / "shared" / "data"  # also holds what has no clear licence
NOT_NEARBY = "the configurations without a clear licence are not beside this checkout"


def table(path):
    """Return one table of answers."""
    return json.loads((SHIPPED / path).read_text())


def configuration(path):
    """Return a configuration that ships with the tests."""
    return texts((SHIPPED / "configs" / path).read_text())


def nearby(path):
    """Return the cases of a table that may not be copied, each with its configuration."""
    shipped = {each["config"] for each in table(path)["configs"]}
    everything = json.loads((NEARBY / path).read_text())["configs"]
    return [
        (each, texts((NEARBY / "alertmanager-configs" / each["config"]).read_text()))
        for each in everything
        if each["config"] not in shipped
    ]


def texts(text):
    """Return the YAML with every scalar as text, because Go reads scalars as what the field wants."""
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader builds text, lists and maps only
