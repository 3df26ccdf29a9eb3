"""Is there an open incident that nobody will hear of, or a page that should long have been sent?

A fault of ours should cost a page that comes late or twice, never one that does not come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from receiver.config import Config
from receiver.pipeline import late, route
from receiver.pipeline.draft import owe, save, with_alerts
from receiver.pipeline.follow import brought_back
from receiver.pipeline.ingest import Received, ingest
from receiver.policy.durations import in_words
from receiver.policy.incident import Happening, Reason
from receiver.policy.payload import Said
from receiver.policy.watching import self_alarm
from receiver.store import audit as store
from receiver.store import escalations, incidents, outbox, throttles
from receiver.store.audit import Stranded
from receiver.store.database import Db

log = structlog.get_logger()

BATCH = 500  # incidents of one transaction
MOST_NAMED = 20  # incidents in one self-alarm
MOST_DESTINATIONS = 5  # the same
OVERDUE = timedelta(minutes=10)  # what is due for so long and not sent is a fault, of ours or of a service


@dataclass(frozen=True, slots=True)
class Wish:
    """Incidents that somebody should hear of."""

    ids: list[int]
    now: datetime


@dataclass(frozen=True, slots=True)
class Jump:
    """A clock that moved by more than the time that passed."""

    expected: datetime  # what it would say otherwise
    now: datetime


def told_to_nobody(config: Config, found: Stranded) -> tuple[list[int], dict[str, int]]:
    """Return the incidents that somebody should hear of, and how many took which routes to nobody."""
    ids: list[int] = []
    silent: dict[str, int] = {}
    tells: dict[str, bool] = {}
    for id_, names in found:
        through = ", ".join(names)
        if through not in tells:  # thousands may have taken the same routes
            known = [config.node_named[name] for name in names if name in config.node_named]
            says_who = any(node.escalation_policy is not None for node in known)
            tells[through] = len(known) < len(names) or says_who or bool(route.targets(config, known))
        if tells[through]:
            ids.append(id_)
        else:
            silent[through] = silent.get(through, 0) + 1
    return ids, silent


def repair(db: Db, config: Config, wishes: Sequence[Wish]) -> list[int]:
    """Owe what the routes of stranded incidents say, and raise a self-alarm; return how many there were."""
    return [_repair(db, config, wish.ids, wish.now) for wish in wishes]


def _repair(db: Db, config: Config, ids: Sequence[int], now: datetime) -> int:
    rows = incidents.incidents(db, ids)  # held, so what is asked next stays true
    still = {id_ for id_, _ in store.stranded(db, now, ids)}
    drafts = with_alerts(db, [row for row in rows if row["id"] in still])
    for draft in drafts:
        draft.line(
            now, Happening.AUDITED, "it was open and nobody was to be told; its routes are asked again"
        )
        owe(draft, Reason.FIRST, now)
    save(db, config, drafts, now)
    nobody = {id_ for id_, _ in store.stranded(db, now, sorted(still))} if still else set()
    repaired = sorted(still - nobody)
    if repaired:
        log.error("audit.repaired", incidents=repaired[:MOST_NAMED], count=len(repaired))
        ingest(db, config, [Received(_alarm(repaired, now), None)])
    return len(repaired)


def _alarm(ids: Sequence[int], now: datetime) -> Said:
    named = ", ".join(map(str, ids[:MOST_NAMED]))
    more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
    summary = (
        f"Nobody was to hear of {len(ids)} open incidents: {named}{more}. They are told now;"
        " this is a fault of Tocsin, please report it with their timelines."
    )
    return self_alarm("TocsinAudit", {}, summary, now=now)


def overdue(db: Db, config: Config, now: datetime) -> str | None:
    """Return what should long have been sent, in words; None where nothing should.

    What waits for a limit or the next digest may wait; what waits for hours or a silence is not due.
    """
    held = {name: one for name, one in throttles.holding(db, now).items() if not one.is_open}
    limited = late.whys(config, held, now)
    found = [
        (oldest, destination, count)
        for destination, count, oldest in outbox.overdue_to(db, now)
        if oldest <= now - OVERDUE and destination not in limited
    ]
    if not found:
        return None
    found.sort()
    named = "; ".join(
        f"{destination}: {count}, the oldest since {in_words(now - oldest)}"
        for oldest, destination, count in found[:MOST_DESTINATIONS]
    )
    more = f"; and {len(found) - MOST_DESTINATIONS} more" if len(found) > MOST_DESTINATIONS else ""
    return f"Notifications are due and not sent. {named}{more}. See why they wait at their incidents."


def jump(db: Db, config: Config, jumps: Sequence[Jump]) -> list[None]:
    """Keep pages from waiting for a clock that was put back, and raise a self-alarm."""
    for one in jumps:
        if one.now < one.expected:
            outbox.bring_back(db, one.now, one.now + config.fallback_after)
            throttles.take_turns(db)
            throttles.bring_back(db, one.now)
            by = one.expected - one.now
            escalations.save(db, [brought_back(row, by, one.now) for row in escalations.ahead(db, one.now)])
        ingest(db, config, [Received(_jumped(one), None)])
    return [None] * len(jumps)


def _jumped(one: Jump) -> Said:
    size = in_words(abs(one.now - one.expected))
    if one.now > one.expected:
        summary = (
            f"The clock jumped {size} forward, or the machine slept. What was to come in that time came at"
            " once: reminders, and the ends of snoozes, of acknowledgements and of opening hours."
        )
    else:
        summary = (
            f"The clock was put back by {size}. Pages that waited go out now, and steps are taken in time;"
            " reminders, and the ends of snoozes and of acknowledgements, come later by that much."
        )
    return self_alarm("TocsinClockJump", {}, summary, now=one.now, severity="warning")
