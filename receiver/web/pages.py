"""How does a page come about from a template, and where are the files it asks for?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from receiver.channels.base import is_web_address
from receiver.config import Config
from receiver.resources import TEMPLATES
from receiver.services import Services

LONGEST_LINK = 2048  # a longer address is shown as text
TONES = {"critical", "error", "warning", "info", "none"}
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file beside the pages."""

    body: bytes
    media_type: str


def _read_files() -> tuple[dict[str, str], dict[str, File]]:
    """Return the address of each file by its name, and the file by its name with the hash of its content.

    A changed file has another address, so browsers may keep each for ever.
    """
    addresses, files = {}, {}
    for path in sorted((TEMPLATES / "ui" / "static").iterdir()):
        body = path.read_bytes()
        named = f"{path.stem}.{sha256(body).hexdigest()[:12]}{path.suffix}"
        addresses[path.name] = f"/static/{named}"
        files[named] = File(body, MEDIA_TYPES[path.suffix])
    return addresses, files


ADDRESSES, FILES = _read_files()


def page(name: str, facts: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """Return a page; what a person may see now is stale at the next look, so nobody keeps it."""
    text = _ENVIRONMENT.get_template(f"{name}.html").render(facts)
    body = text.encode("utf-8", "replace")
    return HTMLResponse(body, status_code=status, headers={"Cache-Control": "no-store"})


def everywhere(services: Services) -> dict[str, Any]:
    """Return what every page says."""
    return {"here": "", "reload_errors": services.reload_errors, "base_url": services.settings.base_url}


def refusal(services: Services, status: int, title: str, advice: str) -> HTMLResponse:
    """Return a page that says what is wrong, and what to do."""
    return page("error", {**everywhere(services), "title": title, "advice": advice}, status)


def tone(config: Config, severity: str) -> str:
    """Return how loud a severity looks: by its name where it is a usual one, else by its rank."""
    if severity in TONES:
        return severity
    rank = config.rank(severity)
    if severity not in config.severity_order:
        return "info"
    return "critical" if rank == 0 else "warning" if rank == 1 else "info"


def duration(length: timedelta) -> str:
    """Return how long something takes, in its two largest units."""
    seconds = max(0, int(length.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d {hours % 24:02}h"
    if hours:
        return f"{hours}h {minutes % 60:02}m"
    return f"{minutes}m {seconds % 60:02}s" if minutes else f"{seconds}s"


def moment(value: str | datetime) -> datetime:
    """Return an instant that is written as RFC 3339."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return found.astimezone(UTC)


def link(value: str) -> str | None:
    """Return the value where it is a web address and nothing else."""
    is_plain = len(value) <= LONGEST_LINK and value.isprintable() and " " not in value
    return value if is_plain and is_web_address(value) else None


def _environment() -> Environment:
    """Return an environment that escapes everything: what alerts say is text, never markup."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES / "ui" / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(duration=duration, link=link, moment=moment)
    made.globals.update(file=ADDRESSES)
    return made


_ENVIRONMENT = _environment()
