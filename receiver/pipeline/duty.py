"""Whom does a step of an escalation policy reach at a time?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from receiver.config import Config
from receiver.policy import hours
from receiver.policy.escalation import Step, Whom, in_turn
from receiver.policy.oncall import HORIZON, Override, on_call, shifts


@dataclass(frozen=True, slots=True)
class Page:
    """One destination that a step tells, and how long after the step."""

    destination: str
    to: str  # the receiver or the person
    how: str  # for people: `ana, on call by primary`
    after: timedelta


class Duty:
    """Who is on call, and where they are told; asked with what `routing.yaml` says now."""

    def __init__(self, config: Config, overrides: Mapping[str, Sequence[Override]]) -> None:
        self._config, self._overrides = config, overrides

    def reaches(
        self, step: Step, at: datetime, *, severity: str, turn: int, channels: Sequence[str] = ()
    ) -> tuple[tuple[Page, ...], str]:
        """Return whom the step tells, each destination once; and if nobody, why."""
        held_back = self._held_back(step, at, severity)
        if held_back:
            return (), held_back
        found: dict[str, Page] = {}
        missed = []
        for whom in in_turn(step, turn):
            pages, why = self._pages(whom, at)
            pages = [one for one in pages if self._speaks(one, channels)]
            for page in pages:
                earlier = found.get(page.destination)
                if earlier is None or page.after < earlier.after:
                    found[page.destination] = page
            if not pages:
                missed.append(why or f"{whom} has no destination of the kinds asked for")
            elif step.round_robin:
                break
        return tuple(found.values()), "; ".join(missed)

    def _held_back(self, step: Step, at: datetime, severity: str) -> str:
        """Return why a step is not for this incident or this time; an interval that is gone is open."""
        rank = self._config.rank
        if step.severity is not None and rank(severity) > rank(step.severity):
            return f"it is for {step.severity} and worse, and this is {severity}"
        known = self._config.interval_named
        active = [known[name] for name in step.active_time_intervals if name in known]
        mute = [known[name] for name in step.mute_time_intervals if name in known]
        is_open, why = hours.is_open(active, mute, at)
        return "" if is_open else why

    def _speaks(self, page: Page, channels: Sequence[str]) -> bool:
        return not channels or self._config.destinations[page.destination].kind in channels

    def _pages(self, whom: Whom, at: datetime) -> tuple[list[Page], str]:
        if whom.receiver is not None:
            name, found = whom.receiver, self._config.destinations_of(whom.receiver)
            if name not in self._config.receiver_named:
                return [], f"routing.yaml no longer has the receiver {name}"
            pages = [Page(one.name, name, name, timedelta()) for one in found]
            return pages, f"the receiver {name} has no destinations"
        if whom.person is not None:
            return self._contacts(whom.person, whom.person)
        person, why = self._on_call(whom, at)
        return self._contacts(person, f"{person}, on call by {whom.schedule}") if person else ([], why)

    def _contacts(self, person: str, how: str) -> tuple[list[Page], str]:
        contacts = self._config.contacts_of(person)
        if contacts is None:
            return [], f"routing.yaml no longer has {person}"
        return [Page(to.name, person, how, after) for after, to in contacts], f"{how}, has no contact to tell"

    def _on_call(self, whom: Whom, at: datetime) -> tuple[str | None, str]:
        schedule = self._config.schedule_named.get(whom.schedule or "")
        if schedule is None:
            return None, f"routing.yaml no longer has the schedule {whom.schedule}"
        overrides, intervals = self._overrides.get(schedule.name, ()), self._config.interval_named
        person = on_call(schedule, overrides, intervals, at)[0]
        if whom.turn == "now":
            return person, f"nobody is on call in {schedule.name}"
        following = (shift.person for shift in shifts(schedule, overrides, intervals, at, at + HORIZON))
        return next((one for one in following if one not in {person, None}), None), (
            f"nobody takes over in {schedule.name}"
        )
