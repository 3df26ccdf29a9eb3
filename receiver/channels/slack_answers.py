"""What did a person press in Slack, and did it really come from there?"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from receiver.channels.base import Forged, Heard, Inbound, read_button

LATEST = timedelta(minutes=5)  # older requests may be replays; Slack says so
MAX_NAME = 80


def check_signature(inbound: Inbound, secrets: Sequence[str]) -> None:
    """Raise Forged unless one of the secrets signed exactly these bytes, and lately.

    An empty secret signs nothing: whoever guesses that a key was left out could forge every answer.
    """
    usable = [secret for secret in secrets if secret]
    if not usable:
        raise Forged("no slack_configs entry has a signing_secret; set it, or switch interactivity off")
    at = inbound.headers.get("x-slack-request-timestamp", "")
    if not (at.isascii() and at.isdigit() and len(at) <= 15):
        raise Forged("X-Slack-Request-Timestamp is missing or is no number")
    base = b"v0:" + at.encode() + b":" + inbound.body
    given = inbound.headers.get("x-slack-signature", "").encode("utf-8", "replace")
    matches = [hmac.compare_digest(_signature(secret, base), given) for secret in usable]  # never stops early
    if not any(matches):
        raise Forged("the signature is of no signing_secret in routing.yaml")
    late = abs(inbound.at.timestamp() - int(at))
    if late > LATEST.total_seconds():
        raise Forged(f"the signature is {late:.0f} s off; it may be a replay, or a clock is wrong")


def presses(body: bytes) -> list[Heard]:
    """Return what the buttons mean that were pressed; nothing for all else that Slack sends there.

    The digest of the body is the event: Slack puts an id of its own into each, so that what comes twice
    is the same press.
    """
    said = _payload(body)
    user = said.get("user")
    if said.get("type") != "block_actions" or not isinstance(user, dict) or not _text(user.get("id")):
        return []
    names = (" ".join(_text(user.get(key)).split())[:MAX_NAME] for key in ("name", "username", "id"))
    person = next((name for name in names if name), "")
    digest = hashlib.sha256(body).hexdigest()
    url = _text(said.get("response_url"))
    return [
        Heard(
            verb=verb,
            incident_id=incident_id,
            dedup_key=None,
            contact=("slack", user["id"]),
            person=person,
            key=f"slack {digest} {number}",
            lasts=lasts,
            reply_to={"response_url": url} if url else {},
        )
        for number, value in enumerate(_values(said))
        if (button := read_button(value)) is not None
        for verb, incident_id, lasts in [button]
    ]


def is_slacks(url: str, app_url: str) -> bool:
    """Return whether a response_url leads to where Slack answers, given where an app of ours posts.

    For slack.com that is hooks.slack.com; a server of one's own may answer at its own address, too.
    """
    try:
        there, home = urlsplit(url), urlsplit(app_url)
        ports = there.port, home.port
    except ValueError:
        return False
    host = (home.hostname or "").removeprefix("www.")
    hosts = {f"hooks.{host}"} | ({host} if host != "slack.com" else set())
    return there.hostname in hosts and there.scheme == home.scheme and ports[0] == ports[1]


def _signature(secret: str, base: bytes) -> bytes:
    return b"v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest().encode()


def _payload(body: bytes) -> dict[str, Any]:
    """Return the interaction; an empty one where the body is something else."""
    try:
        fields = parse_qs(body.decode(), max_num_fields=10)
        said = json.loads(fields["payload"][0])
    except (ValueError, KeyError, RecursionError):  # UnicodeDecodeError is a ValueError
        return {}
    return said if isinstance(said, dict) else {}


def _values(said: dict[str, Any]) -> Iterator[str]:
    actions = said.get("actions")
    for action in actions if isinstance(actions, list) else []:
        if isinstance(action, dict):
            yield _text(action.get("value"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
