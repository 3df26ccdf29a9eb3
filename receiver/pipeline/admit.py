"""Which of what is due may go out now, and what of it in one message?

The number of statements does not depend on how much waits: destinations that nothing may go to are left
out by the query, so what waits for a bucket or behind a breaker is not looked at again and again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from receiver.config import Config
from receiver.policy.outbox import SUMMED_UP
from receiver.policy.throttle import DIGEST_FROM, Gate, Slots, Throttle
from receiver.store import outbox, throttles
from receiver.store.database import Db

Row = dict[str, Any]

LEASE = timedelta(minutes=2)  # longer than a row can wait for its turn and its attempt
ROUNDS = 3  # looks for more when what was found first may not go; the next claim goes on
MOST_IN_DIGEST = 500  # notifications that one message finishes; a storm of more is several
MOST_SUMMED_UP = 5000  # notifications that one message finishes; more than any bad night has
MOST_PROBES = 4  # services that one claim probes
UNLIMITED = 10**9
EVERYTHING = Slots(UNLIMITED, 0, UNLIMITED, UNLIMITED)


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's wish for work."""

    now: datetime
    limit: int
    slots: Slots = EVERYTHING
    under_way: Mapping[str, int] = field(default_factory=dict)  # attempts, by destination


@dataclass(frozen=True, slots=True)
class Admitted:
    """What may go out now; the rows are held by the worker that asked."""

    rows: list[Row]
    digests: dict[int, str]  # the destination of each row that is told in a digest, by id
    probes: dict[int, str]  # the service that each of these finds out about, by id
    before: dict[str, Throttle]  # as they were
    gate: Gate
    is_more: bool  # something else was due, and there was no room for it


def admit(db: Db, config: Config, wish: Claim) -> Admitted:
    """Take what is due and may go; what is urgent first, then what is due the longest."""
    throttles.take_turns(db)
    before = throttles.holding(db, wish.now)
    gate = Gate(wish.now, config.ways, config.services, dict(before), wish.slots, dict(wish.under_way))
    probes = _probes(db, config, wish, gate)
    taken = list(probes)
    last: dict[str, int] = {}  # what is not urgent and was let through last, by destination
    full: set[str] = set()  # destinations that more waits for than may go
    is_more = False
    for urgent in (True, False):
        for _ in range(ROUNDS):
            room = min(wish.limit - len(taken), gate.left(urgent=urgent))
            if room <= 0:
                is_more = True
                break
            closed = gate.closed(urgent=urgent)
            found = outbox.due(db, wish.now, urgent=urgent, limit=room, closed=closed, taken=taken)
            refused = 0
            for id_, destination in found:
                if gate.is_open_to(destination, urgent=urgent):
                    gate.let_through(destination)
                    taken.append(id_)
                    if not urgent:
                        last[destination] = id_
                else:
                    refused += 1
                    full.add(destination)
            if not refused or len(found) < room:
                break
        else:
            is_more = True
    digests = _digests(db, wish, gate, {name: id_ for name, id_ in last.items() if name in full}, taken)
    rows = outbox.claim(db, [*taken, *digests], until=wish.now + LEASE)
    # What came and went, and what is handed over, is one message to each destination, however much it is.
    summed_up = {row["destination"] for row in rows if row["reason"] in SUMMED_UP}
    if summed_up:
        others = outbox.summed_up(db, wish.now, summed_up, limit=MOST_SUMMED_UP)
        rows += outbox.claim(db, others, until=wish.now + LEASE)
    return Admitted(rows, digests, probes, before, gate, is_more)


def _probes(db: Db, config: Config, wish: Claim, gate: Gate) -> dict[int, str]:
    """Return what finds out whether services are back that failed: one notification for each."""
    found = {}
    services = gate.may_probe()
    if len(services) > MOST_PROBES:  # those that nothing waits for must not keep others from their turn
        known = {name for service in services for name in config.services.get(service, ())}
        awaited = outbox.awaited(db, wish.now, {name for name in known if gate.has_room(name, urgent=True)})
        services = [one for one in services if awaited.intersection(config.services.get(one, ()))]
    for service in services[:MOST_PROBES]:
        closed = {name for name in config.services.get(service, ()) if not gate.has_room(name, urgent=True)}
        for id_, destination in outbox.to_probe(db, wish.now, config.services.get(service, ()), closed):
            gate.let_through(destination)
            gate.probe(service, wish.now + LEASE)
            found[id_] = service
    return found


def _digests(db: Db, wish: Claim, gate: Gate, full: Mapping[str, int], taken: list[int]) -> dict[int, str]:
    """Return what is told in one message, by id: all that waits for a bucket that is empty, if it is much.

    The digest takes the place of the last one that was let through.
    """
    found: dict[int, str] = {}
    for destination, last in full.items():
        if not gate.way(destination).takes_digests:
            continue
        others = outbox.due_to(db, wish.now, destination, limit=MOST_IN_DIGEST, taken=taken)
        if len(others) >= DIGEST_FROM:
            found.update(dict.fromkeys([last, *others], destination))
            gate.hold_back(destination)
    return found


def settle(
    db: Db, admitted: Admitted, sent: Mapping[str, int], edits: Mapping[str, int], probed: Collection[str]
) -> Gate:
    """Write down what is used of the buckets; what was taken and is not sent is given back.

    `sent` says how many messages go to each destination, `edits` how many of them change an earlier one,
    `probed` which services are probed by one of them.
    """
    gate = admitted.gate
    spent = replace(gate, throttles=dict(admitted.before), under_way={})
    for destination, count in sent.items():
        for _ in range(count):
            spent.let_through(destination)
    for destination, count in edits.items():
        spent.edit(destination, count)
    for destination in set(admitted.digests.values()) & sent.keys():
        spent.hold_back(destination)
    for service in probed:
        spent.probe(service, gate.now + LEASE)
    changed = {name: one for name, one in spent.throttles.items() if admitted.before.get(name) != one}
    throttles.save(db, changed)
    return replace(gate, throttles=spent.throttles)
