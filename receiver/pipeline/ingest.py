"""A batch of bodies becomes alerts, incidents, and what is owed about them: one transaction.

The number of statements does not depend on the size of the batch: what may matter is loaded, the bodies
are applied one after the other in memory, and what changed is written back in bulk.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from receiver import metrics
from receiver.config import Config
from receiver.pipeline import beats
from receiver.pipeline.draft import Draft, name, names, owe, save, with_alerts
from receiver.policy import grouping
from receiver.policy.incident import Event, Happening, State, after
from receiver.policy.payload import Condition, NotJson, NotUsable, Said, understand
from receiver.policy.routing import match
from receiver.policy.watching import self_alarm
from receiver.store import incidents, payloads
from receiver.store.database import Db

Row = dict[str, Any]

LATE = timedelta(minutes=5)  # Alertmanager retries and its peers repeat within its group_interval
TELLING = (  # what makes an alert differ; highly available peers have generator addresses of their own
    "state", "labels", "annotations", "group_id", "starts_at", "ends_at", "vanished_at", "expires_at",
)  # fmt: skip
OPENED = metrics.INCIDENTS.labels("opened")
LONGEST_EXCERPT = 65536  # bytes of a body that are kept in quarantine


class Body(NamedTuple):
    """One body as it came."""

    source: str
    received_at: datetime
    content: bytes


class Received(NamedTuple):
    """One body on its way in: what it says, and the bytes it said it with."""

    said: Said
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Misfit:
    """A body that could not be understood, or not be taken."""

    source: str
    received_at: datetime
    why: str
    body: bytes


class Accepted(NamedTuple):
    """What became of one body."""

    incident_ids: tuple[int, ...]
    is_repeat: bool
    unusable: int  # alerts that could not be understood


@dataclass(slots=True)
class Part:
    """What one body says of one incident."""

    key: str
    grouped_by: dict[str, str]
    conditions: list[Condition] = field(default_factory=list)


def take(db: Db, config: Config, bodies: Sequence[Body]) -> list[Accepted | NotJson | NotUsable]:
    """Understand bodies, and take into the database what they say; return what became of each.

    A body that cannot be understood is set aside, and the error that says why is what became of it. They are
    understood here, one after the other, and not as they arrive: that costs half as much.
    """
    understood = [_understood(body) for body in bodies]
    accepted = iter(ingest(db, config, [
        Received(said, body.content)
        for body, said in zip(bodies, understood, strict=True) if isinstance(said, Said)
    ]))  # fmt: skip
    # Its alarm is locked after what was said, as `ingest` does it: replicas must not wait for each other.
    set_aside(db, config, [
        Misfit(body.source, body.received_at, str(error), body.content)
        for body, error in zip(bodies, understood, strict=True) if isinstance(error, Exception)
    ])  # fmt: skip
    return [next(accepted) if isinstance(one, Said) else one for one in understood]


def _understood(body: Body) -> Said | NotJson | NotUsable:
    try:
        return understand(body.content, source=body.source, now=body.received_at)
    except (NotJson, NotUsable) as error:
        return error


def ingest(db: Db, config: Config, batch: Sequence[Received]) -> list[Accepted]:
    """Take into the database what was said; return what became of each."""
    if not batch:
        return []
    beaten: beats.Heard = {}
    if config.heartbeats:
        batch = [one._replace(said=beats.taken_out(config, one.said, beaten)) for one in batch]
    parts = [_parts(config, received.said) for received in batch]
    now = max(received.said.received_at for received in batch)
    keys = list({key for per_body in parts for key in per_body})
    groups = list({one.said.group_id for one in batch if one.said.group_id is not None})
    incidents.lock(db, [*(int(key[:15], 16) for key in keys), *groups])
    beats.note(db, beaten)
    heard = payloads.heard_since(db, [received.said.digest for received in batch], now - LATE, now)
    drafts = _load(db, config, keys, now)
    missing = _missing(db, drafts, groups)
    several = len(groups) < len(batch)  # a later body of a group may leave out what an earlier one brings

    touched: list[list[Draft]] = []
    repeats: list[bool] = []
    for received, per_body in zip(batch, parts, strict=True):
        late = received.said.digest in heard
        heard.add(received.said.digest)
        applied = [_apply(config, drafts, received.said, part, late=late) for part in per_body.values()]
        if not late and not received.said.truncated:
            _vanish(config, missing.get(received.said.group_id, {}), received.said)
        if several:
            _expect(missing, received.said, zip(per_body.values(), applied, strict=True))
        touched.append([draft for draft in applied if draft is not None])
        repeats.append(late)
    save(db, config, [draft for draft in drafts.values() if draft.touched], now)
    _keep(db, batch, repeats)
    misfits = {one.said.source: one.said.unusable[0].why for one in batch if one.said.unusable}
    if misfits:
        alarms = [_alarm(source, why, now) for source, why in misfits.items()]
        ingest(db, config, [Received(alarm, None) for alarm in alarms])
    return [
        Accepted(tuple(draft.row["id"] for draft in drafted), repeat, len(received.said.unusable))
        for received, drafted, repeat in zip(batch, touched, repeats, strict=True)
    ]


def _parts(config: Config, said: Said) -> dict[str, Part]:
    """Return what the body says, by incident key."""
    parts: dict[str, Part] = {}
    for condition in said.conditions:
        nodes = match(config.tree, condition.labels)
        grouped_by = grouping.group_labels(
            nodes[0], condition.labels, said.group_labels, is_named=bool(said.group_key)
        )
        key = grouping.incident_key(said.source, grouped_by, said.drill_id)
        part = parts.get(key)
        if part is None:
            part = parts[key] = Part(key, grouped_by)
        part.conditions.append(condition)
    return parts


def _load(db: Db, config: Config, keys: Sequence[str], now: datetime) -> dict[str, Draft]:
    """Return the incidents that may be meant, by key; of several the newest."""
    since = now - max(config.reopen_within, LATE)
    newest = {row["key"]: row for row in incidents.candidates(db, keys, since, now)}
    return {draft.row["key"]: draft for draft in with_alerts(db, list(newest.values()))}


def _missing(db: Db, drafts: dict[str, Draft], groups: Sequence[int]) -> dict[int | None, dict[str, Draft]]:
    """Return, by group and fingerprint, the drafts of alerts that fire; other incidents are loaded too."""
    firing = incidents.firing_in_groups(db, groups)
    known = {draft.row["id"] for draft in drafts.values()}
    unknown = sorted({incident_id for _, incident_id, _ in firing} - known)
    if unknown:
        others = [row for row in incidents.incidents(db, unknown) if row["state"] != State.RESOLVED]
        drafts.update({draft.row["key"]: draft for draft in with_alerts(db, others)})
    by_id = {draft.row["id"]: draft for draft in drafts.values()}
    found: dict[int | None, dict[str, Draft]] = {}
    for group_id, incident_id, fingerprint in firing:
        if incident_id in by_id:
            found.setdefault(group_id, {})[fingerprint] = by_id[incident_id]
    return found


def _apply(config: Config, drafts: dict[str, Draft], said: Said, part: Part, *, late: bool) -> Draft | None:
    """Apply what one body says of one incident; return the incident, None when there is nothing to open."""
    now = said.received_at
    fires = any(condition.firing for condition in part.conditions)
    draft = _find(config, drafts, said, part, opens=fires and not late)
    if draft is None:
        return None
    row = draft.row
    draft.touched = True
    row["last_seen_at"] = max(row["last_seen_at"], now)
    if not late or not row["upstream"]:  # highly available peers have addresses of their own
        said_by = {"group_key": said.group_key, "receiver": said.receiver, "url": said.external_url}
        row["upstream"] = {**row["upstream"], **said_by}
    if late and row["state"] == State.RESOLVED:
        if fires:
            draft.line(now, Happening.LATE, "an old body came again; what it says is over")
        return draft
    opened, reopened = row["revision"] == 0 and not draft.alerts, fires and row["state"] == State.RESOLVED
    severity, hidden = row["severity"], row["truncated"]
    fired, resolved, returned = _apply_conditions(draft, said, part.conditions, late=late)
    if reopened:
        row.update(_reopened(row, now))
    row["truncated"] = said.truncated
    firing = draft.firing()
    if firing:
        severities = (config.severity_of(alert["labels"]) for alert in firing)
        row["severity"] = grouping.most_severe(severities, config.rank)
    ended = bool(resolved) or (
        hidden > 0 and not late
    )  # what was left out before may have been all that fired
    over = ended and not firing and not said.truncated and row["state"] != State.RESOLVED
    if over:
        row.update(state=after(State(row["state"]), Event.RESOLVE), resolved_at=now)
    change = grouping.Change(
        opened=opened,
        reopened=reopened,
        fired=len(fired),
        resolved=len(resolved),
        all_resolved=over,
        more_severe=config.rank(row["severity"]) < config.rank(severity),
    )
    _narrate(draft, said, change, fired=fired, resolved=resolved, returned=returned, severity=severity,
             hidden=hidden)  # fmt: skip
    if over or row["state"] != State.RESOLVED:
        owe(draft, grouping.reason_of(change), now)
    return draft


def _find(config: Config, drafts: dict[str, Draft], said: Said, part: Part, *, opens: bool) -> Draft | None:
    """Return the incident a body speaks of; a new one where it fires and there is none that may reopen."""
    draft = drafts.get(part.key)
    if draft is not None and not (opens and _is_over(config, draft, said.received_at)):
        return draft
    if not any(condition.firing for condition in part.conditions):
        return None  # the end of something we never heard the beginning of
    drafts[part.key] = Draft(_opened(config, said, part), channels=said.channels)
    return drafts[part.key]


def _is_over(config: Config, draft: Draft, now: datetime) -> bool:
    resolved_at: datetime = draft.row["resolved_at"] or now
    return draft.row["state"] == State.RESOLVED and resolved_at <= now - config.reopen_within


def _opened(config: Config, said: Said, part: Part) -> Row:
    """Return the row of a new incident; what its alerts say together is filled in by `save`."""
    return {
        "id": None,
        "key": part.key,
        "source": said.source,
        "state": State.TRIGGERED,
        "severity": config.severity_order[-1],
        "title": "",
        "labels": {},
        "annotations": {},
        "group_labels": part.grouped_by,
        "upstream": {},
        "routes": [],
        "drill": said.drill_id is not None,
        "firing": 0,
        "total": 0,
        "truncated": 0,
        "revision": 0,
        "reopenings": 0,
        "started_at": said.received_at,
        "last_seen_at": said.received_at,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "acknowledged_how": None,
        "acknowledged_until": None,
        "snoozed_until": None,
        "resolved_at": None,
        "reopened_at": None,
        "flapping_at": None,
        "review_at": None,
    }


def _reopened(row: Row, now: datetime) -> Row:
    return {
        "state": after(State.RESOLVED, Event.FIRE),
        "resolved_at": None,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "acknowledged_how": None,
        "acknowledged_until": None,
        "snoozed_until": None,
        "reopenings": grouping.reopenings(row["reopenings"], row["reopened_at"], now),
        "reopened_at": now,
    }


def _apply_conditions(
    draft: Draft, said: Said, conditions: Iterable[Condition], *, late: bool
) -> tuple[list[Row], list[Row], list[Row]]:
    """Apply alerts; return those that began to fire, that resolved, and that had vanished and are back."""
    fired: list[Row] = []
    resolved: list[Row] = []
    returned: list[Row] = []
    for condition in conditions:
        known = draft.alerts.get(condition.fingerprint)
        was_firing = known is not None and known["state"] == "firing"
        if not condition.firing and not was_firing:
            continue  # it resolved, as we knew, or before we heard of it
        if condition.firing and known is not None and not was_firing and late:
            continue  # an old body came again; the alert has resolved since
        if late and not condition.firing and _is_before(condition, known):
            continue  # an old body came again; the alert has fired anew since
        alert = _alert(condition, said)
        if condition.firing and not was_firing:
            fired.append(alert)
        elif not condition.firing:
            resolved.append(alert)
        elif known is not None and known["vanished_at"] is not None:
            returned.append(alert)
        if known is None or any(known[name] != alert[name] for name in TELLING):
            draft.saved[condition.fingerprint] = alert
            draft.alerts[condition.fingerprint] = alert
    return fired, resolved, returned


def _is_before(condition: Condition, known: Row | None) -> bool:
    ended: datetime | None = condition.ends_at
    return known is not None and ended is not None and ended <= known["starts_at"]


def _alert(condition: Condition, said: Said) -> Row:
    return {
        "fingerprint": condition.fingerprint,
        "state": "firing" if condition.firing else "resolved",
        "labels": dict(condition.labels),
        "annotations": dict(condition.annotations),
        "generator_url": condition.generator_url,
        "group_id": said.group_id or 0,
        "starts_at": condition.starts_at,
        "ends_at": None if condition.firing else condition.ends_at,
        "vanished_at": None,
        "expires_at": condition.ends_at if condition.firing else None,
    }


def _expect(
    firing: dict[int | None, dict[str, Draft]], said: Said, applied: Iterable[tuple[Part, Draft | None]]
) -> None:
    """Note which alerts of the group later bodies of the same batch should name."""
    if said.group_id is None:
        return
    expected = firing.setdefault(said.group_id, {})
    for part, draft in applied:
        if draft is not None:
            expected.update({one.fingerprint: draft for one in part.conditions if one.firing})


def _vanish(config: Config, firing: dict[str, Draft], said: Said) -> None:
    """Mark alerts of the group that the body does not name: silenced, inhibited or lost upstream."""
    named = {condition.fingerprint for condition in said.conditions}
    for fingerprint in firing.keys() - named:
        draft = firing[fingerprint]
        alert = draft.alerts[fingerprint]
        if alert["state"] != "firing" or alert["vanished_at"] is not None:
            continue
        alert = {
            **alert,
            "vanished_at": said.received_at,
            "expires_at": said.received_at + config.vanish_after,
        }
        draft.alerts[fingerprint] = draft.saved[fingerprint] = alert
        draft.touched = True
        text = (
            f"{name(alert)} is no longer named by Alertmanager (silenced, inhibited or lost);"
            f" it counts as firing for {config.vanish_after}"
        )
        draft.line(said.received_at, Happening.VANISHED, text)


def _narrate(
    draft: Draft, said: Said, change: grouping.Change, *, fired: list[Row], resolved: list[Row],
    returned: list[Row], severity: str, hidden: int,
) -> None:  # fmt: skip
    """Write down what a body changed."""
    now = said.received_at
    if change.opened:
        OPENED.inc()
        draft.line(now, Happening.OPENED, f"{names(fired)} from {said.source}")
    elif change.reopened:
        metrics.INCIDENTS.labels("reopened").inc()
        draft.line(now, Happening.REOPENED, f"it fires again: {names(fired or draft.firing())}")
    elif fired:
        draft.line(now, Happening.ALERTS_FIRED, names(fired))
    if resolved:
        draft.line(now, Happening.ALERTS_RESOLVED, names(resolved))
    if returned:
        draft.line(now, Happening.RETURNED, f"named again: {names(returned)}")
    if not change.opened and severity != draft.row["severity"] and draft.firing():
        draft.line(now, Happening.SEVERITY, f"{severity} → {draft.row['severity']}")
    if draft.row["truncated"] not in {0, hidden}:
        text = f"a partial view: Alertmanager left out {said.truncated} alerts (max_alerts)"
        draft.line(now, Happening.TRUNCATED, text)
    if change.all_resolved:
        metrics.INCIDENTS.labels("resolved").inc()
        draft.line(now, Happening.RESOLVED, "no alert fires any more")


def _keep(db: Db, batch: Sequence[Received], repeats: Sequence[bool]) -> None:
    """Keep the bodies as they came, and what of them could not be understood."""
    metrics.ALERTS_ACCEPTED.inc(sum(len(received.said.conditions) for received in batch))
    payloads.keep(
        db,
        [
            {
                "digest": received.said.digest,
                "source": received.said.source,
                "received_at": received.said.received_at,
                "alerts": len(received.said.conditions),
                "body": None if repeat else received.body,
            }
            for received, repeat in zip(batch, repeats, strict=True)
            if received.body is not None
        ],
    )
    unusable = [
        {"received_at": received.said.received_at, "source": received.said.source, "why": one.why,
         "body": one.body[:LONGEST_EXCERPT]}
        for received in batch for one in received.said.unusable
    ]  # fmt: skip
    metrics.ALERTS_QUARANTINED.inc(len(unusable))
    payloads.quarantine(db, unusable)


def set_aside(db: Db, config: Config, misfits: Sequence[Misfit]) -> list[None]:
    """Keep bodies that could not be understood, or were too large; raise one self-alarm for each source."""
    payloads.quarantine(
        db,
        [
            {
                "received_at": misfit.received_at,
                "source": misfit.source,
                "why": misfit.why,
                "body": misfit.body[:LONGEST_EXCERPT],
            }
            for misfit in misfits
        ],
    )
    newest = {misfit.source: misfit for misfit in misfits}
    alarms = [_alarm(misfit.source, misfit.why, misfit.received_at) for misfit in newest.values()]
    ingest(db, config, [Received(alarm, None) for alarm in alarms])
    return [None] * len(misfits)


def _alarm(source: str, why: str, now: datetime) -> Said:
    summary = f"A body from {source} was not understood: {why}. See the quarantine."
    return self_alarm("TocsinQuarantine", {"from": source}, summary[:500], now=now, severity="warning")
