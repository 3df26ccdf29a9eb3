"""Time passes: what was not heard of again is over, and what came and went may have calmed down."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from receiver import metrics
from receiver.config import Config
from receiver.pipeline.draft import UNSEEN, Draft, names, owe, save, with_alerts
from receiver.policy import grouping
from receiver.policy.durations import in_words
from receiver.policy.incident import Event, Happening, Reason, State, after
from receiver.store import incidents
from receiver.store.database import Db

Row = dict[str, Any]

BATCH = 500  # incidents of one transaction


def review(db: Db, config: Config, moments: Sequence[datetime]) -> list[int]:
    """Change the incidents whose time has come; return how many, for each moment asked."""
    return [_review(db, config, now) for now in moments]


def _review(db: Db, config: Config, now: datetime) -> int:
    drafts = with_alerts(db, incidents.incidents_due(db, now, BATCH))
    for draft in drafts:
        draft.touched = True
        _expire(draft, now)
        _lapse(draft, now)
        _calm(config, draft, now)
        _wake(draft, now)
    save(db, config, drafts, now)
    return len(drafts)


def _expire(draft: Draft, now: datetime) -> None:
    row = draft.row
    if row["state"] == State.RESOLVED:
        return
    over = [one for one in draft.firing() if one["expires_at"] is not None and one["expires_at"] <= now]
    end(draft, over, f"not heard of again: {names(over)}", now)


def end(draft: Draft, over: Sequence[Row], text: str, now: datetime) -> None:
    """Let alerts be over, and the incident with them when nothing else fires or may fire unseen."""
    row = draft.row
    for alert in over:
        ended = {**alert, "state": "resolved", "ends_at": now, "expires_at": None}
        draft.alerts[alert["fingerprint"]] = draft.saved[alert["fingerprint"]] = ended
    if over:
        draft.line(now, Happening.ALERTS_RESOLVED, text)
    unseen = row["truncated"] > 0 and row["last_seen_at"] + UNSEEN > now
    if not draft.firing() and not unseen:
        metrics.INCIDENTS.labels("resolved").inc()
        row.update(state=after(State(row["state"]), Event.RESOLVE), resolved_at=now)
        draft.line(now, Happening.RESOLVED, "no alert fires any more")
        owe(draft, Reason.ALL_RESOLVED, now)
    elif over:
        owe(draft, Reason.SOME_RESOLVED, now)


def _lapse(draft: Draft, now: datetime) -> None:
    """Trigger again what was acknowledged so long ago, and still fires, that nobody may be on it."""
    row = draft.row
    until = row["acknowledged_until"]
    if row["state"] != State.ACKNOWLEDGED or until is None or until > now:
        return
    by, since = row["acknowledged_by"], in_words(until - row["acknowledged_at"])
    row.update(state=after(State.ACKNOWLEDGED, Event.UNACKNOWLEDGE))
    row.update(acknowledged_at=None, acknowledged_by=None, acknowledged_how=None)
    draft.line(now, Happening.UNACKNOWLEDGED, f"{by} acknowledged it {since} ago, and it still fires")
    owe(draft, Reason.LAPSED, now)


def _calm(config: Config, draft: Draft, now: datetime) -> None:
    row = draft.row
    if row["flapping_at"] is None or row["flapping_at"] + config.reopen_within > now:
        return
    row.update(flapping_at=None, reopenings=0)
    draft.line(now, Happening.STABLE, "it no longer comes and goes")
    told = Reason.ALL_RESOLVED if row["state"] == State.RESOLVED else Reason.REOPENED
    draft.reason = grouping.stronger(draft.reason, told)


def _wake(draft: Draft, now: datetime) -> None:
    row = draft.row
    if row["snoozed_until"] is None or row["snoozed_until"] > now:
        return
    row["snoozed_until"] = None
    draft.line(now, Happening.SNOOZE_OVER, "the snooze is over")
    if row["state"] == State.TRIGGERED:
        owe(draft, Reason.SNOOZE_OVER, now)
