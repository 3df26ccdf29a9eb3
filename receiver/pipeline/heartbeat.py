"""What should always be heard and is not becomes an incident, until it is heard again."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from receiver import metrics
from receiver.config import Config
from receiver.pipeline import facts
from receiver.pipeline.ingest import Received, ingest
from receiver.policy import heartbeat
from receiver.policy.durations import in_words
from receiver.policy.heartbeat import MISSING, Heartbeat
from receiver.policy.payload import Said
from receiver.policy.watching import SOURCE, end_of_alarm, self_alarm
from receiver.store import heartbeats
from receiver.store.database import Db

Row = dict[str, Any]

LOOKS = timedelta(seconds=15)  # between two of our own beats
AWAY = timedelta(minutes=2)  # without one; nobody was listening then
CLOCKS_DIFFER = timedelta(minutes=1)  # of replicas, at the most
ANYWHERE = ""  # the source of a heartbeat that nobody has heard yet
OURS = ("", SOURCE)  # our own row: listening since first_at, looked last at last_at


def watch(db: Db, config: Config, moments: Sequence[datetime]) -> list[int]:
    """Raise an alarm for what is missing, and end those of what is back; return how many of both.

    Every replica looks, and the row says who was first.
    """
    return [_watch(db, config, now) for now in moments]


def _watch(db: Db, config: Config, now: datetime) -> int:
    rows = {(row["name"], row["source"]): row for row in heartbeats.everything(db)}
    if any(row["last_at"] > now + CLOCKS_DIFFER for row in rows.values()):
        heartbeats.bring_back(db, now)
        rows = {(row["name"], row["source"]): row for row in heartbeats.everything(db)}
    since = _listening_since(db, rows.pop(OURS, None), now)
    wanted = {one.name: one for one in config.heartbeats}
    alarms = [_looked_at(db, config, wanted, rows, row, since, now) for row in rows.values()]
    unheard = wanted.keys() - {name for name, _ in rows}
    heartbeats.expect(db, [_unheard(name, now) for name in sorted(unheard)])
    said = [Received(alarm, None) for alarm in alarms if alarm is not None]
    if said:
        ingest(db, config, said)
    metrics.MISSING_HEARTBEATS.set(sum(row["missed_at"] is not None for row in rows.values()))
    return len(said)


def _listening_since(db: Db, ours: Row | None, now: datetime) -> datetime:
    """Return since when Tocsin has been listening without a pause, and note that it does."""
    is_on = ours is not None and ours["first_at"] <= now and now - ours["last_at"] <= AWAY
    first_at: datetime = ours["first_at"] if ours is not None and is_on else now
    if ours is None or not is_on or now - ours["last_at"] >= LOOKS:
        name, source = OURS
        row = {"name": name, "source": source, "first_at": first_at, "last_at": now, "gaps": []}
        heartbeats.save(db, [row])
    return first_at


def _looked_at(
    db: Db, config: Config, wanted: Mapping[str, Heartbeat], rows: Mapping[tuple[str, str], Row], row: Row,
    since: datetime, now: datetime,
) -> Said | None:  # fmt: skip
    """Return what is to be said of one heartbeat, None when that is nothing."""
    one = wanted.get(row["name"])
    if one is None or _is_over(config, rows, row):
        was_missed = heartbeats.forget(db, row) and row["missed_at"] is not None
        return end_of_alarm(MISSING, _labels(row), now=now) if was_missed else None
    if row["missed_at"] is not None:
        is_back = row["last_at"] > row["missed_at"] and heartbeats.hear_again(db, row)
        return end_of_alarm(MISSING, _labels(row), now=now) if is_back else None
    every = heartbeat.interval(one.every, row["gaps"])
    if heartbeat.missing_at(row["last_at"], since, every) > now or not heartbeats.miss(db, row, now):
        return None
    return self_alarm(MISSING, _labels(row), _summary(one, row, every), now=now, lasts=None)


def _is_over(config: Config, rows: Mapping[tuple[str, str], Row], row: Row) -> bool:
    """Return whether nobody waits for it: its source is no more, or somebody was heard at last."""
    if row["source"] == ANYWHERE:
        return any(name == row["name"] and source != ANYWHERE for name, source in rows)
    return bool(config.sources) and row["source"] not in config.source_named


def _unheard(name: str, now: datetime) -> Row:
    return {"name": name, "source": ANYWHERE, "first_at": now, "last_at": now, "gaps": []}


def _labels(row: Row) -> dict[str, str]:
    return {"heartbeat": row["name"], "from": row["source"] or "anywhere"}


def _summary(one: Heartbeat, row: Row, every: timedelta) -> str:
    if row["source"] == ANYWHERE:
        since = facts.instant(row["first_at"])
        return (
            f"The heartbeat {one.name} is in routing.yaml since {since} and was never heard;"
            " does its alert fire, and does Alertmanager post it here?"
        )
    how = "as routing.yaml says" if one.every is not None else "as learned"
    return (
        f"The heartbeat {one.name} from {row['source']} was heard last at {facts.instant(row['last_at'])},"
        f" and should be every {in_words(every)} ({how}). Prometheus, Alertmanager or the way to us may be"
        " down: nobody hears of anything that fires there."
    )
