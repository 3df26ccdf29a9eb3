"""How often may a destination or a service be used?"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate, and how much may be used at once before it counts."""

    count: int
    per: timedelta
    burst: int
