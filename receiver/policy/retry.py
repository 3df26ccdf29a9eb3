"""How long to wait before the next attempt, and when to give up?"""

from collections.abc import Callable
from datetime import timedelta

SHORTEST = timedelta(seconds=1)  # a service that just restarts is back by then
LONGEST = timedelta(minutes=5)  # a page is never more than this late once the service is back


def wait_before(
    attempt: int, *, retry_after: timedelta | None, uniform: Callable[[float, float], float]
) -> timedelta:
    """Return the wait before `attempt` (2 is the first retry).

    Full jitter: anywhere below the doubling ceiling, so that a thousand rows that failed together do not
    come back together. A wait that the service asked for is honoured, up to an hour.
    """
    ceiling = min(LONGEST, SHORTEST * 2 ** min(attempt - 1, 10))
    jittered = timedelta(seconds=uniform(SHORTEST.total_seconds() / 2, ceiling.total_seconds()))
    if retry_after is None:
        return jittered
    return max(jittered, min(retry_after, timedelta(hours=1)))
