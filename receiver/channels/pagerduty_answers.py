"""What did a person do in PagerDuty, and does the webhook that says so come from there?"""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import structlog

from receiver.channels.base import Forged, Heard, Inbound
from receiver.channels.words import as_mapping, lines, short
from receiver.policy.incident import Verb

log = structlog.get_logger()

OLDEST = timedelta(days=1)  # PagerDuty tries again for some 20 minutes; what is older is a replay
LONGEST_NOTE = 2000
LONGEST_NAME = 100
VERBS = {
    "incident.acknowledged": Verb.ACKNOWLEDGE,
    "incident.unacknowledged": Verb.UNACKNOWLEDGE,
    "incident.resolved": Verb.RESOLVE,
    "incident.annotated": Verb.NOTE,
}
PEOPLE = {"user", "user_reference"}  # other agents are services and integrations, ours among them


def verify(inbound: Inbound, secrets: Iterable[str]) -> None:
    """Check the signature; several are sent, and several secrets are valid, while one replaces another.

    Errors: Forged.
    """
    parts = [part.strip() for part in inbound.headers.get("x-pagerduty-signature", "").split(",")]
    given = [part[3:].encode("utf-8", "replace") for part in parts if part.startswith("v1=")]
    if not given:
        raise Forged("there is no v1 signature in X-PagerDuty-Signature")
    known = [secret for secret in secrets if secret]  # an empty secret proves nothing
    if not known:
        raise Forged("no entry of pagerduty_configs has a webhook_secret; without one nothing is believed")
    for secret in known:
        expected = hmac.new(secret.encode(), inbound.body, hashlib.sha256).hexdigest().encode()
        if any(hmac.compare_digest(expected, one) for one in given):
            return
    raise Forged("no signature matches; is webhook_secret the one that PagerDuty showed for this webhook?")


def heard(inbound: Inbound) -> list[Heard]:
    """Return what a person did; nothing for what integrations did, and for events that say nothing to us."""
    happened = _mapping(as_mapping(inbound.body.decode("utf-8", "replace")) or {}, "event")
    agent, data = _mapping(happened, "agent"), _mapping(happened, "data")
    verb = VERBS.get(str(happened.get("event_type")))
    if verb is None or agent.get("type") not in PEOPLE:
        return []
    key = data.get("incident_key") or _mapping(data, "incident").get("incident_key")
    if not isinstance(key, str) or not key:
        log.info("pagerduty.unattributable", verb=verb, why="the event names no incident_key")
        return []
    occurred_at = _instant(happened.get("occurred_at"))
    if occurred_at is not None and inbound.at - occurred_at > OLDEST:
        log.warning("pagerduty.stale", verb=verb, occurred_at=str(occurred_at))
        return []
    text = data.get("content") if verb is Verb.NOTE else None
    return [
        Heard(
            verb=verb,
            incident_id=None,
            dedup_key=key,
            contact=("pagerduty", str(agent.get("id", ""))),
            person=short(str(agent.get("summary") or agent.get("id") or "somebody"), LONGEST_NAME),
            key=f"pagerduty:{happened.get('id') or hashlib.sha256(inbound.body).hexdigest()}",
            text=short(text, LONGEST_NOTE, lines) if isinstance(text, str) else "",
            said_at=occurred_at,
        )
    ]


def _mapping(said: dict[str, Any], name: str) -> dict[str, Any]:
    value = said.get(name)
    return value if isinstance(value, dict) else {}


def _instant(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None
