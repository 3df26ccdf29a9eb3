"""What may a link in a message do, and is it one of ours?"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal

from pydantic_core import from_json, to_json

from receiver.policy.incident import Verb

Kind = Literal["person", "schedule"]

LASTS = timedelta(days=7)  # a page of Friday is still answered on Monday
LONGEST = 2000  # characters; ours have some 200
SIGNED = 24  # bytes of the signature that are kept; 192 bits are beyond guessing


class BadLink(Exception):
    """The link is not ours, or no longer valid; the text says which, for the person who followed it."""


@dataclass(frozen=True, slots=True)
class Link:
    """What one link lets whoever has it do."""

    incident_id: int
    verb: Verb
    destination: str  # in whose message it stands, e.g. `email ana@example.org`
    until: datetime


@dataclass(frozen=True, slots=True)
class Feed:
    """Whose shifts a calendar shows."""

    kind: Kind
    name: str


def sign(link: Link, key: bytes) -> str:
    """Return the link as a part of an address: what it says, and a signature of that."""
    until = int(link.until.timestamp())
    said = _encoded(to_json([link.incident_id, str(link.verb), link.destination, until]))
    return f"{said}.{_signature(said, key)}"


def read(token: str, key: bytes, now: datetime) -> Link:
    """Return what a link says. Errors: BadLink."""
    said, _, signature = token.partition(".")
    if len(token) > LONGEST or not token.isascii() or not key:
        raise BadLink("this link was not made here, or a part of it is missing; open the whole link again")
    if not hmac.compare_digest(signature, _signature(said, key)):
        raise BadLink("this link was not made here, or a part of it is missing; open the whole link again")
    try:
        incident_id, verb, destination, until = from_json(_decoded(said))
        link = Link(int(incident_id), Verb(verb), str(destination), datetime.fromtimestamp(until, UTC))
    except (Base64Error, ValueError, TypeError):
        raise BadLink("this link says nothing that this version understands") from None
    if link.until <= now:
        raise BadLink("this link is too old; open the incident itself")
    return link


def sign_feed(feed: Feed, key: bytes) -> str:
    """Return what shows that a feed may be read; it holds until the key is another."""
    said = _encoded(to_json([feed.kind, feed.name]))
    return f"{said}.{_signature(said, key, b'tocsin feed ')}"


def read_feed(token: str, key: bytes) -> Feed:
    """Return which feed may be read. Errors: BadLink."""
    said, _, signature = token.partition(".")
    is_ours = len(token) <= LONGEST and token.isascii() and bool(key)
    if not is_ours or not hmac.compare_digest(signature, _signature(said, key, b"tocsin feed ")):
        raise BadLink("this address was not made here, or no longer holds; ask for a new one")
    kind, name = from_json(_decoded(said))  # we signed it
    return Feed(kind, name)


def _signature(said: str, key: bytes, purpose: bytes = b"tocsin link ") -> str:
    return _encoded(hmac.digest(key, purpose + said.encode(), sha256)[:SIGNED])


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
