"""Can an operator believe the pages about channels?"""

import json
import re
from urllib.parse import urlsplit

import pytest
import yaml

from receiver.channels import KINDS
from receiver.channels.webhook import signature
from receiver.resources import ROOT
from receiver.web import answers
from tests.fakes.clock import START


def page(kind: str) -> str:
    return (ROOT / "docs/channels" / f"{kind}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_explained(kind):
    explained = set(re.findall(r"`([a-z_]+)`", page(kind)))

    keys = {field.alias or name for name, field in KINDS[kind].Config.model_fields.items()}
    assert keys - explained <= {"http_config"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_is_valid(kind):
    examples = re.findall(r"```yaml\n(.*?)```", page(kind), flags=re.DOTALL)

    entries = [
        entry
        for example in examples
        for receiver in yaml.safe_load(example)["receivers"]
        for entry in receiver[f"{kind}_configs"]
    ]

    assert entries
    for entry in entries:
        KINDS[kind].Config.model_validate(entry)


def test_the_signature_is_checked_as_the_page_says():
    code = re.findall(r"```python\n(.*?)```", page("webhook"), flags=re.DOTALL)[0]
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - our own documentation

    is_ours = names["is_ours"]
    assert is_ours(signature("key", b"{}", START), b"{}", "key")
    assert not is_ours(signature("key", b"{}", START), b"[]", "key")


def test_slacks_manifest_names_the_address_that_listens_and_the_scopes_that_are_explained():
    manifest = json.loads(re.findall(r"```json\n(.*?)```", page("slack"), flags=re.DOTALL)[0])

    heard_at = urlsplit(manifest["settings"]["interactivity"]["request_url"]).path
    scopes = manifest["oauth_config"]["scopes"]["bot"]
    assert heard_at in {route.path for route in answers.router.routes}
    assert all(f"| `{scope}` |" in page("slack") for scope in scopes)
