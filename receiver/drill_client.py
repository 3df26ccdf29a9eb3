"""Does a page arrive? A drill through a running service, and its receipt."""

import asyncio
import http.client
import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from receiver.channels.base import is_web_address
from receiver.clock import Clock, SystemClock
from receiver.terminal import PLAIN, Pen, printable

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
MOST_BYTES = 10_000_000  # of an answer; a receipt is a few kilobytes
PATIENCE = 10.0  # seconds for one request; the service commits before it answers
PAUSE = 0.2  # seconds between two looks at the receipt


class NoDrillError(Exception):
    """The drill could not be held; the text says why and what to do."""


def hold(url: str, labels: Mapping[str, str], wait: float, clock: Clock | None = None) -> dict[str, Any]:
    """Hold a drill through the service at the address; return its receipt as it is when all are told.

    After `wait` seconds it is returned as it is then; `finished` says which.
    """
    return asyncio.run(_hold(url.rstrip("/"), labels, wait, clock or SystemClock()))


async def _hold(url: str, labels: Mapping[str, str], wait: float, clock: Clock) -> dict[str, Any]:
    began = clock.elapsed()
    held = _asked(url, "/test-alert", {"labels": dict(labels)})
    path = f"/api/v1/drills/{held['drill_id']}"
    while True:
        receipt = _asked(url, path)
        if receipt["finished"] or clock.elapsed() - began >= wait:
            return {**receipt, "links": held["links"]}
        await clock.sleep(PAUSE)


def _asked(url: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the service answers to a GET, or to a POST of `body`."""
    if not is_web_address(url):
        raise NoDrillError(f'"{url}" is not a web address; write it as http://127.0.0.1:5001')
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    try:
        with _opener(url).open(request, timeout=PATIENCE) as response:
            answer = json.loads(response.read(MOST_BYTES))
    except HTTPError as error:
        raise NoDrillError(f"{url} answered {error.code}: {_detail(error)}") from None
    except OSError as error:
        advice = "start the service with `tocsin serve`, or say where it runs with --url"
        raise NoDrillError(f"nothing answers at {url} ({_cause(error)}); {advice}") from None
    except (ValueError, http.client.HTTPException):
        answer = None
    if not isinstance(answer, dict) or "drill_id" not in answer:
        raise NoDrillError(f"what answers at {url} is not Tocsin; say where it runs with --url")
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


def is_success(receipt: Mapping[str, Any]) -> bool:
    """Return whether there is someone to tell, and all of them were told."""
    told = [one["delivered"] for one in receipt["destinations"]]
    return bool(told) and all(told)


def in_words(receipt: Mapping[str, Any], pen: Pen = PLAIN) -> str:
    """Return the receipt for a terminal."""
    destinations = receipt["destinations"]
    lines = [f"Drill {receipt['drill_id']}, {receipt['links']['incident']}", ""]
    width = max((len(printable(one["destination"])) for one in destinations), default=0)
    lines += [
        f"{_mark(one, pen)} {printable(one['destination']):{width}}  {_fate(one, pen)}"
        for one in destinations
    ]
    lines += ["", _sum(destinations, pen)]
    return "\n".join(lines)


def _mark(one: Mapping[str, Any], pen: Pen) -> str:
    if one["delivered"]:
        return pen.good("✔")
    return pen.late("…") if one["state"] == "owed" else pen.bad("✘")


def _fate(one: Mapping[str, Any], pen: Pen) -> str:
    attempts = "1 attempt" if one["attempts"] == 1 else f"{one['attempts']} attempts"
    answer = printable(" ".join((one["answer"] or "").split()))
    if one["delivered"]:
        took = f"delivered in {one['latency_seconds'] * 1000:.0f} ms, {attempts}"
        return took + (pen.faint(f": {answer}") if answer else "")
    fate = "not delivered yet" if one["state"] == "owed" else "not delivered"
    said = "; ".join(part for part in (answer, printable(one["why"])) if part)
    return f"{fate}, {attempts}" + (f": {said}" if said else "")


def _sum(destinations: Sequence[Mapping[str, Any]], pen: Pen) -> str:
    told = sum(one["delivered"] for one in destinations)
    if not destinations:
        return pen.bad("nobody told: the routes lead to no destination")
    if told == len(destinations):
        return pen.good(f"{told} of {told} told")
    return pen.bad(f"{told} of {len(destinations)} told")
