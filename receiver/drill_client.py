"""Does a page arrive? A drill through a running service, and its receipt."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from receiver.clock import Clock, SystemClock
from receiver.remote import asked
from receiver.terminal import PLAIN, Pen, printable

PAUSE = 0.2  # seconds between two looks at the receipt


def hold(url: str, labels: Mapping[str, str], wait: float, clock: Clock | None = None) -> dict[str, Any]:
    """Hold a drill through the service at the address; return its receipt as it is when all are told.

    After `wait` seconds it is returned as it is then; `finished` says which. Errors: NoAnswerError.
    """
    return asyncio.run(_hold(url.rstrip("/"), labels, wait, clock or SystemClock()))


async def _hold(url: str, labels: Mapping[str, str], wait: float, clock: Clock) -> dict[str, Any]:
    began = clock.elapsed()
    held = asked(url, "/test-alert", {"labels": dict(labels)}, about="drill_id")
    path = f"/api/v1/drills/{held['drill_id']}"
    while True:
        receipt = asked(url, path, about="drill_id")
        if receipt["finished"] or clock.elapsed() - began >= wait:
            return {**receipt, "links": held["links"]}
        await clock.sleep(PAUSE)


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
