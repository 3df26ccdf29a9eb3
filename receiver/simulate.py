"""Who would have been told differently by another configuration? The history, run through both.

The stages are the real ones, on a database that is thrown away, with the clock of the history. What they
would send counts as told at that instant; no channel is asked.
"""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from receiver.config import Config
from receiver.differences import Outcomes, Telling, compare
from receiver.pipeline import act, deliver, escalate, ingest, late, record, review
from receiver.pipeline.act import Action
from receiver.pipeline.admit import Claim
from receiver.pipeline.deliver import Delivery, Result
from receiver.pipeline.facts import instant
from receiver.pipeline.ingest import Received
from receiver.policy.incident import Happening, Verb
from receiver.policy.outbox import Outcome
from receiver.policy.payload import NotJson, NotUsable, Said, understand
from receiver.store import history
from receiver.store.database import DatabaseFailure, Db, reading, sqlite_file
from receiver.store.migrate import upgrade
from receiver.store.schema import is_newest

Row = dict[str, Any]
Progress = Callable[[str, int, int], None]  # which of the two, how many bodies, of how many

TICK = timedelta(seconds=1)  # what is due within it is done together, as a worker does
MOST_TOGETHER = 200  # bodies of one batch
MOST_AT_ONCE = 500  # notifications of one claim
SNOOZED_UNTIL = re.compile(r"snoozed until (\S+?Z)")
VERBS = {
    Happening.ACKNOWLEDGED: Verb.ACKNOWLEDGE,
    Happening.UNACKNOWLEDGED: Verb.UNACKNOWLEDGE,
    Happening.RESOLVED: Verb.RESOLVE,
    Happening.SNOOZED: Verb.SNOOZE,
    Happening.NOTE: Verb.NOTE,
    Happening.ESCALATED: Verb.ESCALATE,
}


class CannotReadError(Exception):
    """There is no history to run again; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class History:
    """What happened in a span, as far as it does not depend on a configuration."""

    engine: history.Reader
    since: datetime
    until: datetime
    count: int  # bodies
    acts: Sequence[Row]
    standing: Sequence[Sequence[Row]]  # silences and overrides


def simulate(
    url: str, since: datetime, until: datetime, before: Config, after: Config,
    progress: Progress = lambda *_: None,
) -> Row:  # fmt: skip
    """Return who would have been told differently, as plain data. Errors: CannotReadError."""
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise CannotReadError(f"there is no database {file}; name another with --database")
    engine = history.only_to_read(url)
    try:
        found = _read(engine, since, until)
        with tempfile.TemporaryDirectory(prefix="tocsin-simulate-") as folder:
            scratch = f"sqlite:///{Path(folder) / 'scratch.db'}"
            upgrade(scratch)
            outcomes = []
            for name, config in (("before", before), ("after", after)):
                with history.scratch(scratch) as db:
                    history.take_over(db, found.standing)
                    run = _Run(db, config, since)
                    outcomes.append(run.through(found, partial(progress, name)))
        return {
            "since": instant(since),
            "until": instant(until),
            "bodies": found.count,
            **compare(outcomes[0], outcomes[1], before, after),
        }
    except DatabaseFailure as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise CannotReadError(f"the database cannot be read: {reason}; see --database") from None
    finally:
        engine.dispose()


def _read(engine: history.Reader, since: datetime, until: datetime) -> History:
    """Return the history of a span; CannotReadError where there is none."""
    with reading(engine) as db:
        if not is_newest(db):
            raise CannotReadError(
                "the database has another schema than this version; run `tocsin migrate` first"
            )
        count = history.count(db, since, until)
        if not count:
            raise CannotReadError(
                f"nothing was posted from {instant(since)} to {instant(until)}; see --since"
            )
        return History(engine, since, until, count, history.acts(db, since, until), history.standing(db))


class _Run:
    """The history under one configuration."""

    def __init__(self, db: Db, config: Config, since: datetime) -> None:
        self._db, self._config, self._now = db, config, since
        self._usable_at: datetime | None = None  # when the first bucket lets somebody through
        self._outcomes = Outcomes()

    def through(self, found: History, progress: Callable[[int, int], None]) -> Outcomes:
        """Let all of it happen, and the time after it pass."""
        acts = list(reversed(found.acts))
        for batch in self._batches(found, progress):
            now = max(self._now, batch[-1].received_at)
            while acts and acts[-1]["at"] <= now:
                self._act(acts.pop())
            self._pass_time(now)
            accepted = ingest.ingest(self._db, self._config, [Received(said, None) for said in batch])
            for said, one in zip(batch, accepted, strict=True):
                named = frozenset(condition.fingerprint for condition in said.conditions)
                self._outcomes.of_body.append((named, one.incident_ids))
            self._settle()
        while acts:
            self._act(acts.pop())
        self._pass_time(found.until)
        self._outcomes.incidents = {row["id"]: row for row in history.incidents_of(self._db)}
        unsaid = history.unsaid(self._db)
        self._outcomes.unsaid = {(row["incident_id"], row["destination"]): row for row in unsaid}
        return self._outcomes

    def _batches(self, found: History, progress: Callable[[int, int], None]) -> Iterator[list[Said]]:
        """Yield bodies that came together."""
        batch: list[Said] = []
        for count, row in enumerate(history.bodies(found.engine, found.since, found.until), start=1):
            progress(count, found.count)
            said = self._understood(row)
            if said is None:
                continue
            is_together = batch and said.received_at - batch[0].received_at < TICK
            if batch and (not is_together or len(batch) >= MOST_TOGETHER):
                yield batch
                batch = []
            batch.append(said)
        if batch:
            yield batch

    def _understood(self, row: Row) -> Said | None:
        try:
            if row["body"] is not None:
                return understand(row["body"], source=row["source"], now=row["received_at"])
        except (NotJson, NotUsable):
            pass  # it is counted, like what is gone
        self._outcomes.unreadable += 1
        return None

    def _act(self, row: Row) -> None:
        """Do what a person did, to every open incident that holds one of the alerts it was about."""
        self._pass_time(row["at"])
        until = SNOOZED_UNTIL.match(row["text"])
        actions = [
            Action(
                id_, VERBS[row["kind"]], row["actor"], row["text"], max(row["at"], self._now),
                until=datetime.fromisoformat(until[1]) if until else None,
            )
            for id_ in history.open_with(self._db, row["source"], row["fingerprints"])
        ]  # fmt: skip
        if actions:
            act.act(self._db, self._config, actions)
            self._settle()

    def _pass_time(self, until: datetime) -> None:
        """Do what comes due, from one moment to the next."""
        while True:
            moment = history.due_and_next(self._db, self._now)[1]
            if self._usable_at is not None and self._usable_at > self._now:
                moment = min(moment or self._usable_at, self._usable_at)
            if moment is None or moment > until:
                break
            self._now = min(max(moment, self._now + TICK), until)
            self._settle()
        self._now = max(self._now, until)

    def _settle(self) -> None:
        """Do all that is due, and what becomes due by that."""
        stages: dict[str, Callable[[], int]] = {  # in the worker's order
            "review": lambda: sum(review.review(self._db, self._config, [self._now])),
            "escalate": lambda: sum(escalate.escalate(self._db, self._config, [self._now])),
            "claim": self._tell,
            "late": lambda: sum(late.late(self._db, self._config, [self._now])),
        }
        done = 1
        while done:
            due = history.due_and_next(self._db, self._now)[0]
            done = sum(stage() for name, stage in stages.items() if name in due)

    def _tell(self) -> int:
        """Take what is due, and count it as told."""
        [claimed] = deliver.claim(self._db, self._config, [Claim(self._now, MOST_AT_ONCE)])
        self._usable_at = claimed.next_at
        if claimed.deliveries:
            for delivery in claimed.deliveries:
                self._note(delivery)
            results = [Result(one, self._now, 0.0, Outcome.SENT, "", {}) for one in claimed.deliveries]
            record.record(self._db, self._config, results)
        return len(claimed.deliveries)

    def _note(self, delivery: Delivery) -> None:
        destination = delivery.notification["destination"]
        self._outcomes.messages.append((destination, self._now))
        for one in delivery.members or (delivery,):
            row = one.notification
            told = Telling(self._now, row["reason"], row["route"], row["receiver"])
            heard = self._outcomes.tellings.setdefault(row["incident_id"], {})
            heard.setdefault(destination, []).append(told)
