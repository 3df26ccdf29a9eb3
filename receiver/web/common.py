"""What do all the ways in share?"""

from typing import Any

from fastapi import HTTPException, Request

from receiver.policy.matching import Matcher, parse_matchers
from receiver.services import Services

MOST_ITEMS = 200  # of one page
USUAL_ITEMS = 50


async def services_of(request: Request) -> Services:
    """Return what the running process holds; async, because FastAPI sends anything else to a thread."""
    services: Services = request.app.state.services
    return services


def actor_of(name: str | None) -> str:
    """Return who acts; there are no accounts yet, so people say who they are."""
    return " ".join(clean(name or "").split())[:100] or "somebody"


def page(rows: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """Return one page of a list: `rows` holds one more than `limit` where there is a next page."""
    more = len(rows) > limit
    return {"items": rows[:limit], "next": str(rows[limit - 1]["id"]) if more else None}


def cursor(value: str | None) -> int | None:
    """Return where a page begins."""
    if not value:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise HTTPException(422, "cursor is not one that this list gave out; leave it away to begin anew")
    return int(value)


def matchers(values: list[str]) -> list[Matcher]:
    """Return the matchers that a query asks for."""
    try:
        return [matcher for value in values for matcher in parse_matchers(value)]
    except ValueError as error:
        raise HTTPException(422, f"match: {error}") from None


def clean(text: str) -> str:
    """Return a person's text as both databases can hold it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
