"""What does not wait for opening hours?"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from receiver.policy.durations import Duration
from receiver.policy.record import Record


def _check_positive(duration: timedelta | None) -> timedelta | None:
    if duration == timedelta():
        raise ValueError("what breaks through at once waits for no hours; leave the hours out")
    return duration


class BreakThrough(Record):
    """How severe, how many or how long: any of them is enough. A severity may stand alone."""

    model_config = ConfigDict(json_schema_extra={"type": ["string", "object"]})

    severity: str = "critical"  # and any above it
    count: Annotated[int, Field(ge=1)] | None = None
    after: Annotated[Duration | None, AfterValidator(_check_positive)] = None

    @model_validator(mode="before")
    @classmethod
    def _severity_alone(cls, written: Any) -> Any:
        return {"severity": written} if isinstance(written, str) else written

    def breaks_at(self, *, is_severe: bool, firing: int, since: datetime) -> datetime | None:
        """Return from when on it waits no longer: an incident with so many alerts, that fires since then."""
        if is_severe or (self.count is not None and firing >= self.count):
            return since
        return since + self.after if self.after is not None and firing else None
