"""What was given up is tried again: dead letters, through a running service."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from receiver.remote import NoAnswerError, asked
from receiver.terminal import PLAIN, Pen, printable

CONFLICT = 409  # it was not given up, so there is nothing to try again
NOT_FOUND = 404


def replay(url: str, ids: Sequence[int], actor: str) -> list[dict[str, Any]]:
    """Have these notifications tried again; return what became of each wish. Errors: NoAnswerError."""
    return [_replay(url.rstrip("/"), id_, actor) for id_ in ids]


def failed(url: str) -> list[int]:
    """Return the ids of all that was given up, oldest first. Errors: NoAnswerError."""
    return sorted(one["id"] for one in _failed(url.rstrip("/")))


def _failed(url: str) -> Iterator[dict[str, Any]]:
    after: dict[str, str] = {}
    while True:
        page = asked(url, f"/api/v1/notifications?{urlencode({'state': 'failed', **after})}", about="items")
        yield from page["items"]
        if page["next"] is None:
            return
        after = {"cursor": page["next"]}


def _replay(url: str, id_: int, actor: str) -> dict[str, Any]:
    try:
        row = asked(url, f"/api/v1/notifications/{id_}/replay", {"actor": actor}, about="id")
    except NoAnswerError as error:
        if error.status not in {CONFLICT, NOT_FOUND}:
            raise
        return {"id": id_, "replayed": False, "why": str(error).partition(": ")[2]}
    return {"id": id_, "replayed": True, "destination": row["destination"], "incident_id": row["incident_id"]}


def is_success(wishes: Sequence[dict[str, Any]]) -> bool:
    """Return whether everything is tried again."""
    return all(one["replayed"] for one in wishes)


def in_words(wishes: Sequence[dict[str, Any]], pen: Pen = PLAIN) -> str:
    """Return what became of the wishes, for a terminal."""
    if not wishes:
        return "nothing was given up"
    return "\n".join(_line(one, pen) for one in wishes)


def _line(one: dict[str, Any], pen: Pen) -> str:
    if one["replayed"]:
        name = printable(one["destination"])
        return f"{pen.good('✔')} {one['id']}: {name} is told about incident {one['incident_id']} again"
    return f"{pen.bad('✘')} {one['id']}: {printable(one['why'])}"
