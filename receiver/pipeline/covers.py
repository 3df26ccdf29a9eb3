"""What keeps alerts quiet on purpose at an instant, until when, and in which words?"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from receiver.config import Config
from receiver.pipeline import facts
from receiver.policy import hours
from receiver.policy.matching import Labels
from receiver.policy.muting import Cover, InhibitRule, Silence

TOMORROW = timedelta(days=1)  # a window that never ends is asked again then: routing.yaml may change
SILENCED = "silenced by "  # how the reason of whatever a silence keeps quiet begins


def covers(config: Config, known: Iterable[Silence], at: datetime) -> list[Cover]:
    """Return the silences, of those that are known, and the mute windows that count at the instant."""
    in_force = (one for one in known if one.is_in_force(at))
    found = [Cover(one.matchers, one.ends_at, _of_silence(one)) for one in in_force]
    for window in config.mute_windows:
        intervals = [config.interval_named[name] for name in window.time_intervals]
        if not hours.is_open((), intervals, at)[0]:
            until = hours.opens_at((), intervals, at)
            lasts = f" until {facts.instant(until)}" if until else ""
            why = f"mute window {window.name}{lasts}{_because(window.text)}"
            found.append(Cover(window.matchers, until or at + TOMORROW, why))
    return found


def _of_silence(one: Silence) -> str:
    return f"{SILENCED}{one.made_by} until {facts.instant(one.ends_at)}{_because(one.text)}"


def _because(text: str) -> str:
    return f": {text}" if text else ""


def inhibition(rule: InhibitRule, source: Labels) -> str:
    """Return what is said of an alert that another one keeps quiet."""
    name = source.get("alertname", "another alert")
    return f"inhibited by {name}" + (f" (rule {rule.name})" if rule.name else "")
