"""What is the middle of many measurements, and how far do they spread?"""

import statistics
from collections.abc import Sequence


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return median, 99th percentile and the longest, in milliseconds."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return {
        "p50": 1000 * statistics.median(ordered),
        "p99": 1000 * ordered[round(0.99 * last)],
        "max": 1000 * ordered[last],
    }
