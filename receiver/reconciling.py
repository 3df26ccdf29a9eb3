"""Does Alertmanager know of what we believe, and who keeps it quiet there?

It closes what was lost on its way to us and adds what was left out. An Alertmanager that cannot be reached,
was started lately or holds nothing proves nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from receiver import metrics
from receiver.config import Source
from receiver.lookups.alertmanager import Alertmanager, NoAnswer, Silence, View, as_body
from receiver.pipeline.ingest import Received
from receiver.pipeline.reconcile import BATCH, Finding
from receiver.policy import reconciling as policy
from receiver.policy.payload import said
from receiver.policy.reconciling import Key
from receiver.services import Services
from receiver.store import upstream

log = structlog.get_logger()

MOST_SILENCES = 20  # asked for in one look; the others are told without their author


class Reconciling:
    """Compares what we believe with what each Alertmanager holds."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._missed: dict[str, dict[Key, datetime]] = {}  # by source: since which look
        self._ours: set[tuple[str, str]] = (
            set()
        )  # sources and addresses that were seen to hold alerts of ours
        self._troubles: dict[str, str] = {}  # by source: why its last answer proved nothing

    async def look(self) -> None:
        """Look at every Alertmanager that routing.yaml gives an address of."""
        sources = [one for one in self._services.config.sources if one.alertmanager_url is not None]
        await asyncio.gather(*(self._look_at(source) for source in sources))

    async def _look_at(self, source: Source) -> None:
        now = self._services.clock.now()
        # Ours are read first: what fires after that can be missing from neither.
        ours = await self._services.read(upstream.firing, source.name)
        quiet = await self._services.read(upstream.quiet, source.name)
        partial = await self._services.read(upstream.truncated, source.name)
        missed = self._missed.pop(source.name, {})  # two looks that follow each other, or none
        if not ours and not quiet and not partial:
            return
        url = str(source.alertmanager_url)
        asked = Alertmanager(self._services.client, url)
        try:
            view = await asked.view()
        except NoAnswer as failure:
            self._note(source.name, "no_answer", str(failure))
            return
        if any(fingerprint in view.alerts for _, fingerprint in ours):
            self._ours.add((source.name, url))
        is_ours = (source.name, url) in self._ours
        trouble = policy.proves_nothing(view.started_at, len(view.alerts), now, is_ours=is_ours)
        self._note(source.name, "answered" if trouble is None else "proves_nothing", trouble)
        lost = {} if trouble else self._lost(source.name, ours, view, missed, now)
        found = await self._quiet(asked, ours, view)
        changed = {
            id_: found.get(id_, []) for id_ in {*quiet, *found} if quiet.get(id_, []) != found.get(id_, [])
        }
        await self._apply(lost, changed, now)
        await self._complete(source.name, asked, partial, now)

    def _lost(
        self, source: str, ours: Mapping[Key, bool], view: View, before: Mapping[Key, datetime], now: datetime
    ) -> dict[int, list[str]]:
        """Return the alerts that are over, by incident."""
        missed = self._missed[source] = policy.missed_since(ours, view.alerts, before, now)
        vanish_after = self._services.config.vanish_after
        lost: dict[int, list[str]] = {}
        for key, at in missed.items():
            if policy.is_lost(at, vanished=ours[key], vanish_after=vanish_after, now=now):
                lost.setdefault(key[0], []).append(key[1])
        return lost

    async def _quiet(self, asked: Alertmanager, ours: Mapping[Key, bool], view: View) -> dict[int, list[str]]:
        """Return what keeps alerts quiet there, by incident, in words."""
        totals = Counter(incident_id for incident_id, _ in ours)
        counts: dict[int, Counter[tuple[str, str]]] = {}
        for incident_id, fingerprint in ours:
            alert = view.alerts.get(fingerprint)
            if alert is not None:
                by = [("silence", id_) for id_ in alert.status.silenced_by]
                by += [("alert", other) for other in alert.status.inhibited_by]
                if by:
                    counts.setdefault(incident_id, Counter()).update(by)
        ids = {id_ for found in counts.values() for kind, id_ in found if kind == "silence"}
        silences = await self._silences(asked, sorted(ids))
        return {
            incident_id: [
                policy.some_of(_told(kind, id_, silences, view), count, totals[incident_id])
                for (kind, id_), count in sorted(found.items())
            ]
            for incident_id, found in counts.items()
        }

    async def _silences(self, asked: Alertmanager, ids: list[str]) -> dict[str, Silence]:
        found: dict[str, Silence] = {}
        for id_ in ids[:MOST_SILENCES]:
            try:
                found[id_] = await asked.silence(id_)
            except NoAnswer as failure:
                log.warning("reconcile.silence_unknown", silence=id_, reason=str(failure))
        return found

    async def _apply(
        self, lost: Mapping[int, list[str]], quiet: Mapping[int, list[str]], now: datetime
    ) -> None:
        ids = sorted({*lost, *quiet})
        for begin in range(0, len(ids), BATCH):
            part = ids[begin : begin + BATCH]
            finding = Finding(
                now,
                {id_: lost[id_] for id_ in part if id_ in lost},
                {id_: quiet[id_] for id_ in part if id_ in quiet},
            )
            metrics.LOST_ALERTS.inc(await self._services.reconcile(finding))

    async def _complete(
        self, source: str, asked: Alertmanager, partial: list[Mapping[str, Any]], now: datetime
    ) -> None:
        """Add what `max_alerts` left out: the whole group is taken in, as if it had been posted."""
        for receiver in sorted({one["receiver"] for one in partial if one.get("receiver")}):
            try:
                groups = await asked.groups(receiver)
            except NoAnswer as failure:
                self._note(source, "no_answer", str(failure))
                continue
            for one in partial:
                for group in groups:
                    active = [alert for alert in group.alerts if alert.status.state == "active"]
                    is_its = (group.receiver.name, one.get("receiver")) == (receiver, receiver)
                    if active and is_its and policy.ends_group_key(one["group_key"], group.labels):
                        body = as_body(group, active, one["group_key"], one.get("url", ""))
                        whole = said(body, body["alerts"], source=source, now=now)
                        await self._services.ingest(Received(whole, None))

    def _note(self, source: str, outcome: str, trouble: str | None) -> None:
        """Count how a question ended, and say so where that is new."""
        metrics.LOOKUPS.labels(source, outcome).inc()
        before = self._troubles.pop(source, None)
        if trouble is not None:
            self._troubles[source] = trouble
            if trouble != before:
                log.warning("reconcile.nothing_follows", source=source, reason=trouble)


def _told(kind: str, id_: str, silences: Mapping[str, Silence], view: View) -> str:
    if kind == "silence":
        silence = silences.get(id_)
        if silence is None:
            return f"silenced in Alertmanager ({id_})"
        return policy.silenced(silence.created_by, silence.ends_at, silence.comment)
    alert = view.alerts.get(id_)
    return policy.inhibited(alert.labels.get("alertname", id_) if alert else id_)
