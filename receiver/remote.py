"""How does a command ask the service that runs, and what does it say when nothing answers?"""

import http.client
import json
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from receiver.channels.base import is_web_address
from receiver.terminal import printable

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
MOST_BYTES = 10_000_000  # of an answer; a page of a list is some hundred kilobytes
PATIENCE = 10.0  # seconds for one request; the service commits before it answers


class NoAnswerError(Exception):
    """The service did not do what it was asked; the text says why and what to do."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status  # of the answer, where there was one


def asked(url: str, path: str, body: Mapping[str, Any] | None = None, *, about: str) -> dict[str, Any]:
    """Return what the service answers to a GET, or to a POST of `body`: something with the key `about`."""
    if not is_web_address(url):
        raise NoAnswerError(f'"{url}" is not a web address; write it as http://127.0.0.1:5001')
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    try:
        with _opener(url).open(request, timeout=PATIENCE) as response:
            answer = json.loads(response.read(MOST_BYTES))
    except HTTPError as error:
        raise NoAnswerError(f"{url} answered {error.code}: {_detail(error)}", error.code) from None
    except OSError as error:
        advice = "start the service with `tocsin serve`, or say where it runs with --url"
        raise NoAnswerError(f"nothing answers at {url} ({_cause(error)}); {advice}") from None
    except (ValueError, http.client.HTTPException):
        answer = None
    if not isinstance(answer, dict) or about not in answer:
        raise NoAnswerError(f"what answers at {url} is not Tocsin; say where it runs with --url")
    return answer


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return what opens the address; a proxy cannot lead to this machine."""
    if urlsplit(url).hostname in LOOPBACK:
        return urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener()


def _detail(error: HTTPError) -> str:
    """Return what a problem document says, else the words of the status."""
    try:
        said = json.loads(error.read(MOST_BYTES))["detail"]
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException):
        said = error.reason
    return printable(str(said))


def _cause(error: OSError) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    cause = (getattr(reason, "strerror", None) or str(reason) or type(reason).__name__).lower()
    return printable(cause)
