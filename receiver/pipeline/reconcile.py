"""What Alertmanager no longer has is over, and what it keeps quiet is said so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from receiver.config import Config
from receiver.pipeline.draft import Draft, names, save, with_alerts
from receiver.pipeline.review import end
from receiver.policy.incident import Happening, State
from receiver.store import incidents
from receiver.store.database import Db

BATCH = 500  # incidents of one transaction


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one Alertmanager says of some incidents."""

    at: datetime  # before it was asked
    lost: Mapping[int, Sequence[str]]  # fingerprints of alerts that it no longer has, by incident
    quiet: Mapping[int, Sequence[str]]  # what keeps alerts quiet there, by incident; none: nothing any more


def reconcile(db: Db, config: Config, findings: Sequence[Finding]) -> list[int]:
    """Apply what was found; return how many alerts are over, for each finding."""
    return [_reconcile(db, config, finding) for finding in findings]


def _reconcile(db: Db, config: Config, finding: Finding) -> int:
    ids = sorted({*finding.lost, *finding.quiet})
    rows = [row for row in incidents.incidents(db, ids) if row["state"] != State.RESOLVED]
    drafts = with_alerts(db, rows)
    count = 0
    for draft in drafts:
        id_ = draft.row["id"]
        if id_ in finding.quiet:
            _note(draft, finding.quiet[id_], finding.at)
        if draft.row["last_seen_at"] <= finding.at:  # else it was heard of after Alertmanager was asked
            count += _lose(draft, finding.lost.get(id_, ()), finding.at)
    save(db, config, [draft for draft in drafts if draft.touched], finding.at)
    return count


def _lose(draft: Draft, fingerprints: Sequence[str], now: datetime) -> int:
    lost = [alert for alert in draft.firing() if alert["fingerprint"] in set(fingerprints)]
    if lost:
        end(draft, lost, f"Alertmanager no longer has it: {names(lost)}", now)
    return len(lost)


def _note(draft: Draft, quiet: Sequence[str], now: datetime) -> None:
    before = draft.row["upstream"].get("quiet", [])
    if list(quiet) == before:
        return
    rest = {name: value for name, value in draft.row["upstream"].items() if name != "quiet"}
    draft.row["upstream"] = {**rest, **({"quiet": list(quiet)} if quiet else {})}
    draft.touched = True
    for text in quiet:
        if text not in before:
            draft.line(now, Happening.UPSTREAM, text)
    if not quiet:
        draft.line(now, Happening.UPSTREAM, "no longer silenced or inhibited in Alertmanager")
