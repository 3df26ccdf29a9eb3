"""A person wants quiet about what matches: what would that hide, and what waits for it to end?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from receiver.config import Config
from receiver.pipeline.covers import SILENCED
from receiver.policy.matching import EQUAL, Matcher, matches
from receiver.policy.muting import narrows
from receiver.store import escalations, incidents, outbox, silences, throttles
from receiver.store.database import Db

Row = dict[str, Any]

FEW = 3  # open incidents; that a silence hides so many, and these are all, is ordinary
MOST_SHOWN = 100  # incidents of a preview


@dataclass(frozen=True, slots=True)
class Preview:
    """What a silence would hide now."""

    hidden: tuple[int, ...]  # incidents of which it hides every alert that fires, the newest first
    in_part: tuple[int, ...]  # incidents that go on speaking, for some of their alerts are not meant
    alerts: dict[int, int]  # how many it hides of each
    shown: tuple[Row, ...]  # the first of both, with the rows of their incidents
    is_everything: bool  # so much that a person is asked twice


@dataclass(frozen=True, slots=True)
class Made:
    """A silence to make, and the incidents that it hides now."""

    silence: Row
    hidden: tuple[int, ...]


def preview(db: Db, matchers: Sequence[Matcher]) -> Preview:
    """Return what a silence with these matchers would hide of what is open."""
    equalities = {one.name: one.value for one in matchers if one.op == EQUAL and one.value}
    firing = incidents.firing_of_open(db, equalities)
    alerts = Counter(id_ for id_, labels in firing if matches(matchers, labels))
    counts = incidents.firing_counts(db)
    known = sorted((id_ for id_ in alerts if id_ in counts), reverse=True)
    hidden = tuple(id_ for id_ in known if alerts[id_] >= counts[id_])
    in_part = tuple(id_ for id_ in known if alerts[id_] < counts[id_])
    shown = incidents.in_short(db, [*hidden[:MOST_SHOWN], *in_part[:MOST_SHOWN]])
    is_all = len(hidden) > FEW and len(hidden) == sum(1 for count in counts.values() if count)
    return Preview(hidden, in_part, dict(alerts), tuple(shown), is_all or not narrows(matchers))


def silence(db: Db, config: Config, made: Sequence[Made]) -> list[Row]:
    """Keep what matches quiet; return the silences.

    What waits about the incidents they hide is asked anew, and so are their reminders: each then waits for
    the end of the silence, and is what says that it still fires.
    """
    throttles.take_turns(db)
    done = []
    for one in made:
        row = silences.add(db, one.silence)
        now = row["made_at"]
        if row["starts_at"] <= now:
            outbox.ask_about(db, one.hidden, now, now + config.fallback_after)
        done.append(row)
    return done


def move_end(
    db: Db, config: Config, wishes: Sequence[tuple[int, datetime | None, datetime]]
) -> list[Row | None]:
    """Let silences end at another time, or now; return them as they are then, None where there is no such.

    Each wish is the id, the new end, and now. What is over stays as it was. Another replica may just be
    putting something off until the old end: its claim ends before, or begins after, so nothing is forgotten.
    """
    throttles.take_turns(db)
    done = []
    for id_, ends_at, now in wishes:
        done.append(silences.move_end(db, id_, ends_at or now, now))
        outbox.ask_whoever_says(db, SILENCED, now, now + config.fallback_after)
        escalations.ask_again(db, now)
    return done
