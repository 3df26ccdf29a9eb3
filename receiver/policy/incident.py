"""What can happen to an incident, and what state follows?"""

from enum import StrEnum


class State(StrEnum):
    """What an incident asks of a person."""

    TRIGGERED = "triggered"  # someone must act; reminders go out
    ACKNOWLEDGED = "acknowledged"  # someone is on it; no more reminders
    RESOLVED = "resolved"  # firing again soon reopens it, later opens a new incident


class Event(StrEnum):
    """What people, Alertmanager or time do to an incident."""

    FIRE = "fire"  # an alert fires (again)
    ACKNOWLEDGE = "acknowledge"  # a person takes it
    UNACKNOWLEDGE = "unacknowledge"  # a person gives it back
    RESOLVE = "resolve"  # nothing fires any more, or a person says it is over


TRANSITIONS = {
    (State.TRIGGERED, Event.ACKNOWLEDGE): State.ACKNOWLEDGED,
    (State.TRIGGERED, Event.RESOLVE): State.RESOLVED,
    (State.ACKNOWLEDGED, Event.UNACKNOWLEDGE): State.TRIGGERED,
    (State.ACKNOWLEDGED, Event.RESOLVE): State.RESOLVED,
    (State.RESOLVED, Event.FIRE): State.TRIGGERED,
}


def after(state: State, event: Event) -> State:
    """Return the state that follows; an event that does not apply changes nothing.

    Two people may press "Acknowledge" at once, and Alertmanager repeats itself,
    so a late or repeated event is ordinary, not an error.
    """
    return TRANSITIONS.get((state, event), state)


class Verb(StrEnum):
    """What a person can do to an incident."""

    ACKNOWLEDGE = "acknowledge"
    UNACKNOWLEDGE = "unacknowledge"
    RESOLVE = "resolve"
    SNOOZE = "snooze"
    ESCALATE = "escalate"
    ASSIGN = "assign"
    NOTE = "note"


OFFERED = {  # what is worth a button, the most wanted first
    State.TRIGGERED: (Verb.ACKNOWLEDGE, Verb.SNOOZE, Verb.RESOLVE),
    State.ACKNOWLEDGED: (Verb.UNACKNOWLEDGE, Verb.RESOLVE),
    State.RESOLVED: (),
}


class Reason(StrEnum):
    """Why a notification is owed; people ask "why did you wake me?"."""

    FIRST = "first"  # the incident opened
    NEW_ALERTS = "new_alerts"  # more alerts fire
    MORE_SEVERE = "more_severe"  # the severity rose
    SOME_RESOLVED = "some_resolved"  # some alerts resolved, others still fire
    ALL_RESOLVED = "all_resolved"  # nothing fires any more
    REOPENED = "reopened"  # it fires again soon after it was resolved
    FLAPPING = "flapping"  # it comes and goes; quiet until it is stable
    ACKNOWLEDGED = "acknowledged"  # a person is on it
    UNACKNOWLEDGED = "unacknowledged"  # a person gave it back
    LAPSED = "lapsed"  # it was acknowledged so long ago that nobody may be on it
    NOTE = "note"  # a person wrote a note
    ESCALATED = "escalated"  # nobody acknowledged it in time
    ASSIGNED = "assigned"  # a person gave it to somebody
    SNOOZED = "snoozed"  # a person wants quiet for a while
    SNOOZE_OVER = "snooze_over"  # the quiet is over, and it still fires
    REPEAT_DUE = "repeat_due"  # still triggered, a reminder is due
    HEALED = "healed"  # it came and went outside the hours of its route
    HANDED_OVER = "handed_over"  # it is open as another person comes on call
    OUTDATED = "outdated"  # a digest told more than its message shows; an edit, which notifies nobody
    FALLBACK = "fallback"  # another destination could not be reached


class Happening(StrEnum):
    """What a line of the timeline tells."""

    OPENED = "opened"  # the first alert fired
    ALERTS_FIRED = "alerts_fired"  # more alerts fire
    ALERTS_RESOLVED = "alerts_resolved"  # alerts resolved
    VANISHED = "vanished"  # Alertmanager speaks of the group without naming an alert that fired
    UPSTREAM = "upstream"  # Alertmanager silences or inhibits it, or no longer does
    RETURNED = "returned"  # a vanished alert is named again
    TRUNCATED = "truncated"  # Alertmanager left alerts out of its body
    LATE = "late"  # an old body came again and was not believed
    SEVERITY = "severity"  # the severity changed
    RESOLVED = "resolved"  # it is over
    REOPENED = "reopened"  # it fires again soon after it was over
    FLAPPING = "flapping"  # it comes and goes too often to tell each time
    STABLE = "stable"  # it no longer comes and goes
    ACKNOWLEDGED = "acknowledged"  # a person is on it
    UNACKNOWLEDGED = "unacknowledged"  # a person gave it back
    NOTE = "note"  # a person wrote something down
    ESCALATED = "escalated"  # a person asked for the next step
    ASSIGNED = "assigned"  # a person gave it to somebody
    SNOOZED = "snoozed"  # a person wants quiet for a while
    SNOOZE_OVER = "snooze_over"  # the quiet is over
    AUDITED = "audited"  # nobody was to be told, though somebody should; that was mended
    OWED = "owed"  # a destination is to be told
    TOLD = "told"  # a destination was told
    WAITS = "waits"  # a destination is to be told later, and why
    WITHDRAWN = "withdrawn"  # a destination will not be told, and why
    FAILED = "failed"  # a destination could not be told


class MessageEvent(StrEnum):
    """What a message tells; each channel has one template for each."""

    TRIGGERED = "triggered"  # it fires and nobody is on it
    ACKNOWLEDGED = "acknowledged"  # somebody is on it
    RESOLVED = "resolved"  # it is over
    DIGEST = "digest"  # many incidents at once: in a storm, or what came and went outside hours
