"""What follows from what Alertmanager holds, and what does not?"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

Key = tuple[int, str]  # incident and fingerprint

FRESH = timedelta(minutes=15)  # after a start it knows only what Prometheus has sent again
LONGEST = 200  # characters of what a person wrote


def proves_nothing(started_at: datetime, count: int, now: datetime, *, is_ours: bool) -> str | None:
    """Return why it says nothing about an alert that Alertmanager does not have it; None: it does.

    `is_ours` says whether it was ever seen to hold an alert that we had heard of.
    """
    if started_at + FRESH > now:
        return "it was started less than a quarter of an hour ago"
    if count == 0:
        return "it holds no alert at all"
    if not is_ours:
        return "it has not held one of our alerts yet; is it the one that posts to us?"
    return None


def missed_since(
    ours: Iterable[Key], held: Iterable[str], before: Mapping[Key, datetime], now: datetime
) -> dict[Key, datetime]:
    """Return which of our alerts are not among those held, and since which look that is so."""
    known = set(held)
    return {key: before.get(key, now) for key in ours if key[1] not in known}


def is_lost(missed_at: datetime, *, vanished: bool, vanish_after: timedelta, now: datetime) -> bool:
    """Return whether an alert that was missed at each look since then is over.

    Its group was sent without it (`vanished`): the second look is enough. Otherwise its end may still be on
    its way for a `group_interval`, and if it fires again before that is over, Alertmanager says nothing.
    """
    return missed_at < now if vanished else missed_at + vanish_after <= now


def silenced(by: str, ends_at: datetime, comment: str) -> str:
    """Return who keeps an alert quiet, for a person."""
    said = f": {_short(comment)}" if comment else ""
    return f"silenced in Alertmanager by {_short(by) or 'somebody'} until {ends_at:%Y-%m-%d %H:%M} UTC{said}"


def inhibited(by: str) -> str:
    """Return which alert keeps another one quiet, for a person."""
    return f"inhibited in Alertmanager by {_short(by)}"


def some_of(text: str, count: int, total: int) -> str:
    """Return what keeps alerts of an incident quiet, and how many where that is not all."""
    return text if count >= total else f"{text} ({count} of {total} alerts)"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def ends_group_key(group_key: str, labels: Mapping[str, str]) -> bool:
    """Return whether a group key is that of the group with these labels, on whatever route."""
    pairs = ", ".join(f"{name}={json.dumps(labels[name], ensure_ascii=False)}" for name in sorted(labels))
    return group_key.endswith(f":{{{pairs}}}")
