"""What did a person write into a form of ours?"""

import asyncio
from typing import Annotated
from urllib.parse import parse_qs, quote

from fastapi import Cookie, Request
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

Name = Annotated[str, Cookie(alias="tocsin_name")]

READ = ["GET", "HEAD"]  # how a page is asked for
LONGEST_FORM = 131_072  # bytes; a whole note in any script fits
READ_SECONDS = 10.0


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form, the last of each name; one that is too large or too slow is refused."""
    body = b""
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LONGEST_FORM:
                    raise HTTPException(413, f"it is longer than {LONGEST_FORM} bytes; write less")
    except TimeoutError:
        raise HTTPException(503, "it did not arrive in time; try again") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection ended before the form did") from None
    try:
        fields = parse_qs(body.decode("ascii"), errors="replace", max_num_fields=20)
    except ValueError:
        raise HTTPException(400, "this is no form of ours") from None
    return {name: values[-1] for name, values in fields.items()}


def number(text: str) -> int | None:
    """Return the number in an address, None where there is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def then(path: str, name: str) -> RedirectResponse:
    """Return the way to the page that shows what was done; the next form knows the person's name."""
    answer = RedirectResponse(path, 303)
    if name:
        answer.set_cookie("tocsin_name", quote(name), max_age=31_536_000, httponly=True, samesite="strict")
    return answer
