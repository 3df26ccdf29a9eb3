"""What should have been told by now: why does it wait, and who hears of it instead?"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from receiver.config import Config
from receiver.pipeline import facts
from receiver.pipeline.deliver import line
from receiver.pipeline.record import fallback
from receiver.policy import throttle
from receiver.policy.durations import in_words
from receiver.policy.incident import Happening, State
from receiver.policy.throttle import Throttle, Way
from receiver.store import incidents, outbox, throttles
from receiver.store.database import Db

Row = dict[str, Any]

BATCH = 500  # notifications of one transaction
WORTH_SAYING = timedelta(seconds=5)  # nobody asks why something waited for less


def late(db: Db, config: Config, moments: Sequence[datetime]) -> list[int]:
    """Tell the fallback what is late, and say why others wait; return how many, for each moment asked."""
    return [_fall_back(db, config, now) + _explain(db, config, now) for now in moments]


def _fall_back(db: Db, config: Config, now: datetime) -> int:
    """Tell the fallback, once, what could not be told for `fallback_after`; it is tried on."""
    found = outbox.late(db, now, BATCH)
    if not found:
        return 0
    about = {row["id"]: row for row in incidents.incidents(db, sorted({row["incident_id"] for row in found}))}
    rows = outbox.still_owed(db, [row["id"] for row in found]).values()
    owed, entries = [], []
    for row in rows:
        incident = about[row["incident_id"]]
        pages = fallback(config, row, incident, now) if incident["state"] == State.TRIGGERED else []
        owed += pages
        if pages:
            others = ", ".join(page["destination"] for page in pages)
            text = (
                f"{row['destination']} could not be told for {in_words(config.fallback_after)};"
                f" tried on, and {others} is told as well"
            )
            entries.append(line(row, now, Happening.WAITS, text))
    outbox.change(db, [{**row, "fallback_at": None} for row in rows])
    outbox.owe(db, owed)
    incidents.tell_timeline(db, entries)
    return len(found)


def _explain(db: Db, config: Config, now: datetime) -> int:
    """Write down, once for each notification, which limit or breaker it waits for."""
    held = throttles.holding(db, now)
    throttles.forget(db, [name for name, one in held.items() if one.is_open and not _is_known(config, name)])
    reasons = whys(config, held, now)
    if not reasons:
        return 0
    found = outbox.waiting_for(db, now - WORTH_SAYING, reasons, BATCH)
    rows = outbox.explain(db, {id_: reasons[destination] for id_, destination in found})
    entries = [line(row, now, Happening.WAITS, f"{row['destination']}: {row['why']}") for row in rows]
    incidents.tell_timeline(db, entries)
    return 0  # nothing follows from it


def _is_known(config: Config, name: str) -> bool:
    """Return whether it is a service of routing.yaml; one that is there no more cannot come back."""
    return name.partition(" ")[2] in config.services


def whys(config: Config, held: Mapping[str, Throttle], now: datetime) -> dict[str, str]:
    """Return, by destination, what keeps it waiting."""
    found: dict[str, str] = {}
    for name, one in held.items():
        kind, _, rest = name.partition(" ")
        if kind == "service":
            among = config.services.get(rest, [])
            why = _why_of_service(one, rest, config.ways[among[0]], now) if among else None
            found.update(dict.fromkeys(among, why) if why else {})
    for name, one in held.items():
        kind, _, rest = name.partition(" ")
        why = _why_of_destination(kind, one, config.ways.get(rest), now)
        if why:
            found.setdefault(rest, why)
    return found


def _why_of_service(one: Throttle, service: str, way: Way, now: datetime) -> str | None:
    if one.is_open:
        return f"{service} fails again and again, so one message at a time finds out whether it is back"
    if throttle.usable_at(one, way.service_limit, urgent=False) > now:
        return f"waits for the rate limit of {service}"
    return None


def _why_of_destination(kind: str, one: Throttle, way: Way | None, now: datetime) -> str | None:
    if way is None or kind == "service":
        return None
    if kind == "digest":
        return "much happens at once, so it waits for the next digest" if one.free_at > now else None
    if throttle.usable_at(one, way.limit, urgent=False) <= now:
        return None
    if way.limit is None:
        return f"the service asked not to be told anything before {facts.instant(one.free_at)}"
    return f"waits for the rate limit of {way.destination}"
