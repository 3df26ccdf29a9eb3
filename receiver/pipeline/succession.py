"""Where a service knows an incident by its key, what becomes of the end that the next one overtakes?

PagerDuty and Opsgenie may know several incidents by the same key, one after the other: Alertmanager's key
of the group. If the service was out while one ended and the next began, then a late end would end the next
one, and a beginning before that end would be a line in the log of the old one, which may page nobody. So
the next incident takes over the conversation: it ends the old one and begins anew, in one attempt.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from receiver.channels.base import SUCCEEDED
from receiver.config import Config
from receiver.policy.incident import State
from receiver.policy.outbox import Wait, Withdraw
from receiver.store import outbox
from receiver.store.database import Db

Row = dict[str, Any]

SHORTLY = timedelta(seconds=2)  # an attempt is seldom under way for longer


class Succession:
    """Asked for each notification of one claim that would leave now, those of open incidents first."""

    def __init__(
        self, db: Db, config: Config, claimed: Sequence[Row], about: Mapping[int, Row], now: datetime
    ) -> None:
        self._now = now
        self._claimed = {row["id"] for row in claimed}
        self._keyed = {name for name, one in config.destinations.items() if one.config.keeps_state}
        rows = [row for row in claimed if row["destination"] in self._keyed]
        names = sorted({row["destination"] for row in rows})
        over = {about[row["incident_id"]]["key"] for row in rows if _is_over(about[row["incident_id"]])}
        begun = {about[row["incident_id"]]["key"] for row in rows if not _is_over(about[row["incident_id"]])}
        self._told = outbox.told_of_open(db, sorted(over), names)
        self._ends = outbox.owed_ends(db, sorted(begun), names)
        self._talks = {
            (row["incident_id"], row["destination"]): row
            for row in outbox.conversations(db, [end["incident_id"] for end in self._ends.values()])
        }
        self.taken: list[tuple[Row, Withdraw]] = []  # ends that their successors tell
        self.inherited: list[Row] = []  # conversations that go on

    def bars(self, row: Row, incident: Row, talk: Row | None) -> Wait | Withdraw | None:
        """Return why it must not leave now; None when it may."""
        if row["destination"] not in self._keyed:
            return None
        if not _is_over(incident):
            end = None if talk else self._ends.get((row["destination"], incident["key"]))
            if end is not None and end["id"] not in self._claimed and _is_leaving(end, self._now):
                return Wait(self._now + SHORTLY, "the end of the incident before it is on its way")
            return None
        taken = next((why for end, why in self.taken if end["id"] == row["id"]), None)
        successor = self._told.get((row["destination"], incident["key"]))
        if taken is None and successor and talk and _key(successor) == _key(talk):
            return _told_with(successor["incident_id"])
        return taken

    def conversation(self, row: Row, incident: Row) -> Row | None:
        """Return the conversation that an incident takes over from the one before it."""
        end = self._ends.get((row["destination"], incident["key"]))
        if row["destination"] not in self._keyed or _is_over(incident) or end is None:
            return None
        earlier = self._talks.get((end["incident_id"], row["destination"]))
        if earlier is None and not end["attempts"]:
            return None  # nothing of it can have arrived
        self.taken.append((end, _told_with(incident["id"])))
        talk = {
            "incident_id": incident["id"],
            "destination": row["destination"],
            "ids": {**(earlier["ids"] if earlier else {}), "state": SUCCEEDED},
            "sent_at": self._now,
            "sent_revision": 0,
        }
        self.inherited.append(talk)
        return talk

    def left(self) -> list[tuple[Row, Withdraw]]:
        """Return the ends to withdraw that are not in the claim themselves."""
        return [(end, why) for end, why in self.taken if end["id"] not in self._claimed]


def _told_with(incident_id: int) -> Withdraw:
    return Withdraw(f"incident {incident_id} took its place there, under the same key")


def _key(talk: Row) -> str | None:
    key: str | None = talk["ids"].get("dedup_key")
    return key


def _is_over(incident: Row) -> bool:
    return bool(incident["state"] == State.RESOLVED)


def _is_leaving(row: Row, now: datetime) -> bool:
    return row["claimed_until"] is not None and bool(row["claimed_until"] > now)
