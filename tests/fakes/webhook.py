"""A program that takes webhooks, as its author would write it from our documentation."""

import hashlib
import hmac
from typing import Any

from tests.fakes.http import FakeHttp, Reply, Request


class FakeWebhook(FakeHttp):
    """Keeps the bodies; with a secret it refuses those that are not signed with it."""

    def __init__(self, secret: str | None = None) -> None:
        super().__init__()
        self.secret = secret
        self.bodies: list[Any] = []

    def answer(self, request: Request) -> Reply:
        if self.secret is not None and not self._is_signed(request):
            return Reply(status=401, body=b"the signature does not match")
        self.bodies.append(request.json())
        return Reply(body=b"thank you")

    def _is_signed(self, request: Request) -> bool:
        parts = dict(part.partition("=")[::2] for part in request.headers["x-tocsin-signature"].split(","))
        signed = parts["t"].encode() + b"." + request.body
        expected = hmac.new(str(self.secret).encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, parts["v1"])
