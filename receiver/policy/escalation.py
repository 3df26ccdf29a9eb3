"""When is the next step of an escalation policy, and whom does it name?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from receiver.policy.durations import Duration
from receiver.policy.record import Record

MOST_ROUNDS = 100  # a policy that nobody has answered for so long is told by reminders

Name = Annotated[str, Field(min_length=1)]


def _some_time(duration: timedelta) -> timedelta:
    if not duration:
        raise ValueError("this wait cannot be zero; write a duration such as 15m")
    return duration


Wait = Annotated[Duration, AfterValidator(_some_time)]


class Whom(Record):
    """Who hears of a step: a receiver, a person, or whoever is on call by a schedule."""

    receiver: Name | None = None
    person: Name | None = None
    schedule: Name | None = None
    turn: Literal["now", "next"] = "now"  # of a schedule: who is on call, or who takes over from them

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        named = [name for name in ("receiver", "person", "schedule") if getattr(self, name) is not None]
        if len(named) != 1:
            found = " and ".join(named) or "none"
            raise ValueError(f"exactly one of receiver, person, schedule is needed, found {found}")
        if "turn" in self.model_fields_set and self.schedule is None:
            raise ValueError("turn: only a schedule has turns; remove it, or name a schedule")
        return self

    def __str__(self) -> str:
        if self.schedule is not None:
            return f"schedule {self.schedule}" + (" (next)" if self.turn == "next" else "")
        return f"receiver {self.receiver}" if self.receiver is not None else f"person {self.person}"


class Step(Record):
    """Who is told when nobody has acted for so long."""

    after: Duration = timedelta()  # since the step before it, or since the policy began
    notify: Annotated[tuple[Whom, ...], Field(min_length=1)]
    round_robin: bool = False  # one of them for each incident, by turns; the next where that one has no way
    severity: Name | None = None  # taken only for what is at least this severe
    active_time_intervals: tuple[Name, ...] = ()  # taken only then; at other times the next one is, at once
    mute_time_intervals: tuple[Name, ...] = ()


class EscalationPolicy(Record):
    """Steps that are taken one after the other until somebody acts."""

    name: Name
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    repeat: Annotated[int, Field(ge=0, le=MOST_ROUNDS)] = 0  # rounds after the first
    repeat_after: Wait = timedelta(minutes=15)  # between the last step of a round and the first of the next
    ack_timeout: Wait | None = None  # who acknowledged and did not resolve for so long may be asleep


Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Taken(Generic[Told]):
    """What happened at one moment: steps that reached nobody, and the one that reached somebody."""

    number: int  # steps taken so far, with these
    told: tuple[Told, ...]  # empty: nobody in the rest of the round
    missed: tuple[tuple[int, str], ...]  # (number of the step in its round, from 1; why it reached nobody)
    wait: timedelta | None  # until the next step; None: there is none


def step_after(policy: EscalationPolicy, taken: int) -> tuple[int, Step, timedelta] | None:
    """Return the step that follows after `taken` steps: its place in the round, and how long it waits.

    None means that every step of every round was taken.
    """
    turn, place = divmod(taken, len(policy.steps))
    if turn > policy.repeat:
        return None
    step = policy.steps[place]
    return place, step, step.after + (policy.repeat_after if turn and not place else timedelta())


Reaches = Callable[[Step, datetime], tuple[tuple[Told, ...], str]]
"""Who hears of a step at a time; and if nobody, why."""


def take(policy: EscalationPolicy, taken: int, at: datetime, reaches: Reaches[Told]) -> Taken[Told]:
    """Return what follows when the next step is due; one that reaches nobody falls through to the next.

    It falls through within a round; the next round has its wait, so that a policy that reaches nobody does
    not go round and round in one moment.
    """
    missed: list[tuple[int, str]] = []
    told: tuple[Told, ...] = ()
    while (following := step_after(policy, taken)) is not None:
        place, step, _ = following
        if missed and not place:
            break
        told, why = reaches(step, at)
        taken += 1
        if told:
            break
        missed.append((place + 1, why))
    following = step_after(policy, taken)
    return Taken(taken, told, tuple(missed), following[2] if following else None)


def in_turn(step: Step, turn: int) -> Iterator[Whom]:
    """Yield whom a step names; in a round robin the one whose turn it is comes first."""
    first = turn % len(step.notify) if step.round_robin else 0
    yield from step.notify[first:]
    yield from step.notify[:first]


def plan(
    policy: EscalationPolicy, taken: int, step_at: datetime, reaches: Reaches[Told],
    opens: Callable[[datetime], datetime | None],
) -> Iterator[tuple[datetime, Taken[Told]]]:  # fmt: skip
    """Yield what will happen, and when, if nobody acts, to the end of the round.

    `opens` says from when on the route may speak, at that moment or later; None: never.
    """
    turn = taken // len(policy.steps)
    at = opens(step_at)
    while at is not None and taken // len(policy.steps) == turn:
        following = take(policy, taken, at, reaches)
        yield at, following
        if following.wait is None:
            return
        taken, at = following.number, opens(at + following.wait)
