"""What becomes of an owed notification at the moment it is due?"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from receiver.policy.incident import MessageEvent, Reason, State


class NotificationState(StrEnum):
    """Where a notification is on its way."""

    OWED = "owed"  # to be tried at due_at; -> sent, withdrawn or failed
    SENT = "sent"  # the service took it
    WITHDRAWN = "withdrawn"  # no longer worth saying; `why` says why
    FAILED = "failed"  # given up: the dead letter; the fallback was told


class Outcome(StrEnum):
    """How one attempt ended."""

    SENT = "sent"  # the service took it
    TEMPORARY = "temporary"  # try again later
    AMBIGUOUS = "ambiguous"  # no answer, but it may have arrived; tried once more
    PERMANENT = "permanent"  # a person must change something first


IMMEDIATE = {  # what does not wait for group_interval
    Reason.MORE_SEVERE,
    Reason.ACKNOWLEDGED,
    Reason.UNACKNOWLEDGED,
    Reason.LAPSED,
    Reason.SNOOZED,
    Reason.SNOOZE_OVER,
    Reason.ESCALATED,
    Reason.ASSIGNED,
    Reason.FALLBACK,
}
SAID_ALREADY = "an earlier message already said it"
UNTOLD = "resolved before it went out"
UPDATES = {  # of interest only to who was told before
    *(Reason.SOME_RESOLVED, Reason.ALL_RESOLVED, Reason.NOTE, Reason.ACKNOWLEDGED, Reason.SNOOZED),
}
PAGES = {
    *(Reason.FIRST, Reason.REPEAT_DUE, Reason.NEW_ALERTS, Reason.REOPENED, Reason.FLAPPING),
    *(Reason.ESCALATED, Reason.SNOOZE_OVER, Reason.LAPSED),
}
ASKS_AGAIN = {Reason.ESCALATED, Reason.ASSIGNED}  # told before or not, while nobody is on it
SNOOZABLE = {  # what a snooze holds back; what people say, what grows worse and the end are told at once
    *(Reason.FIRST, Reason.REPEAT_DUE, Reason.NEW_ALERTS, Reason.SOME_RESOLVED, Reason.FLAPPING),
    *(Reason.ESCALATED, Reason.FALLBACK),
}
SUMMED_UP = {Reason.HEALED, Reason.HANDED_OVER}  # one message to each destination, however much it is
HEARD_ALL_THE_SAME = {  # told although a silence, a mute window or an inhibition keeps the incident quiet
    *(Reason.ACKNOWLEDGED, Reason.UNACKNOWLEDGED, Reason.SNOOZED, Reason.NOTE, Reason.HANDED_OVER),
}


def due_at(
    reason: Reason, *, now: datetime, last_sent_at: datetime | None, group_wait: timedelta,
    group_interval: timedelta,
) -> datetime:  # fmt: skip
    """Return when to tell: first after group_wait, then not closer than group_interval, some at once.

    A message from the future was sent while the clock was wrong; it keeps nobody waiting longer than one
    that was sent now.
    """
    if reason in IMMEDIATE:
        return now
    if last_sent_at is None:
        return now + group_wait
    return max(now, min(now, last_sent_at) + group_interval)


@dataclass(frozen=True, slots=True)
class Send:
    """Say it now."""

    event: MessageEvent


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Never say it."""

    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again later."""

    until: datetime
    why: str
    reason: Reason | None = None  # what it then is told for; None: the same as now


def verdict(
    *, reason: Reason, state: State, revision: int, sent_revision: int | None, send_resolved: bool
) -> Send | Withdraw:
    """Return whether the state of the incident is still worth telling to one destination.

    `sent_revision` is what the destination was told last, None when it was told nothing.
    """
    told = sent_revision is not None
    if reason is Reason.FALLBACK and state is not State.RESOLVED:
        return Send(MessageEvent.TRIGGERED if state is State.TRIGGERED else MessageEvent.ACKNOWLEDGED)
    if state is State.RESOLVED:
        if not told and reason is not Reason.FLAPPING:  # that will be back, and is kept quiet then
            return Send(MessageEvent.DIGEST) if reason is Reason.HEALED else Withdraw(UNTOLD)
        if told and not send_resolved:
            return Withdraw("send_resolved is false")
    asks_again = reason is Reason.REPEAT_DUE or (reason in ASKS_AGAIN and state is State.TRIGGERED)
    if not asks_again and sent_revision is not None and sent_revision >= revision:
        return Withdraw(SAID_ALREADY)
    if state is State.RESOLVED:
        return Withdraw("resolved") if reason is Reason.REPEAT_DUE else Send(MessageEvent.RESOLVED)
    if state is State.ACKNOWLEDGED:
        if not told and reason in PAGES:
            return Withdraw("acknowledged before it went out")
        if reason is Reason.REPEAT_DUE:
            return Withdraw("acknowledged; no reminders")
        return Send(MessageEvent.ACKNOWLEDGED)
    return Send(MessageEvent.TRIGGERED)


def hand_over(state: State) -> Send | Withdraw:
    """Return whether whoever comes on call is still to hear of it."""
    return Withdraw("resolved") if state is State.RESOLVED else Send(MessageEvent.DIGEST)


SHOWN = {
    State.TRIGGERED: MessageEvent.TRIGGERED,
    State.ACKNOWLEDGED: MessageEvent.ACKNOWLEDGED,
    State.RESOLVED: MessageEvent.RESOLVED,
}


def edit(state: State, *, owed_at: datetime, sent_at: datetime | None) -> Send | Withdraw:
    """Return whether a message must still be edited because a digest told more than it shows."""
    if sent_at is None or sent_at > owed_at:  # whatever was told since edited it, or owes an edit of its own
        return Withdraw(SAID_ALREADY)
    return Send(SHOWN[state])
