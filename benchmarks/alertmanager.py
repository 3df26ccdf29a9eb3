"""How fast is a real Alertmanager? What everything of ours is divided by."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from benchmarks.programs import Sink, all_answered, load, memory
from tests.alertmanager import Alertmanager, run_alertmanager
from tests.processes import wait_until

BEST_BATCH = 64  # alerts a body; fewer and more are slower
STORM = 10_000
STORM_WAIT = 5.0  # seconds; longer than it takes to post the storm, so that nothing else runs while it blows
STORM_WITHIN = 240  # seconds
ARRIVE_WITHIN = 90  # seconds; longer than the lease of a claimed notification


def configuration(url: str, *, group_by: str, group_wait: str) -> str:
    """Return the text of a configuration with one route; JSON is YAML."""
    return json.dumps(
        {
            "route": {
                "receiver": "measured",
                "group_by": [group_by],
                "group_wait": group_wait,
                "group_interval": "5m",
            },
            "receivers": [{"name": "measured", "webhook_configs": [{"url": url}]}],
        }
    )


@contextlib.contextmanager
def alertmanager_to(
    url: str, *, group_by: str = "bench_group", group_wait: str = "1h"
) -> Iterator[Alertmanager]:
    """Run an Alertmanager that notifies one address."""
    with run_alertmanager(configuration(url, group_by=group_by, group_wait=group_wait)) as alertmanager:
        yield alertmanager


def ingest_rate(
    sink: Sink, *, notifying: bool, per_group: int, batch: int = BEST_BATCH, requests: int = 300
) -> float:
    """Return new alerts a second that a fresh Alertmanager takes, notifying the sink meanwhile or not."""
    with alertmanager_to(f"{sink.url}/", group_wait="0s" if notifying else "1h") as alertmanager:
        load(alertmanager, "api", "warm", requests=20, alerts=batch, per_group=per_group)
        result = all_answered(
            load(alertmanager, "api", "measured", requests=requests, alerts=batch, per_group=per_group)
        )
        return float(result["alerts"] / result["elapsed"])


def memory_of_open_alerts(sink: Sink) -> float:
    """Return MB that Alertmanager has when it holds as many one-alert groups as a storm, all notified.

    They come slowly, for the connections of a burst cost it more than the alerts do.
    """
    sink.control("reset")
    with alertmanager_to(f"{sink.url}/", group_wait="0s") as alertmanager:
        load(alertmanager, "api", "held", requests=STORM // 20, alerts=20, per_group=1, rate=50)
        await_groups(sink, STORM)
        return memory(alertmanager)


def latencies(sink: Sink, *, rate: float, requests: int) -> list[float]:
    """Return seconds from POST to arrival for each alert."""
    with alertmanager_to(f"{sink.url}/", group_wait="0s") as alertmanager:
        load(alertmanager, "api", "warm", requests=50, alerts=1, rate=rate)
        sink.control("reset")
        sent = load(alertmanager, "api", "paced", requests=requests, alerts=1, rate=rate)["sent"]
        return until_arrival("Alertmanager", sink, sent)


def until_arrival(sender: str, sink: Sink, sent: dict[str, float]) -> list[float]:
    """Return seconds between sending and arrival, when all have arrived."""

    def missing() -> list[str]:
        arrivals = sink.control("arrivals")
        return [id_ for id_ in sent if id_ not in arrivals]

    wait_until(
        lambda: sink.control("report")["groups"] >= len(sent) and not missing(),
        within=ARRIVE_WITHIN,
        otherwise=lambda: f"{sender} never delivered {missing()}",
    )
    arrivals = sink.control("arrivals")
    return [arrivals[id_] - at for id_, at in sent.items()]


def await_groups(sink: Sink, count: int) -> None:
    """Return when the sink has heard of so many groups."""
    wait_until(
        lambda: sink.control("report")["groups"] >= count,
        within=STORM_WITHIN,
        otherwise=lambda: f"arrived: {sink.control('report')} of {count}",
    )


def raise_storm(alertmanager: Alertmanager) -> float:
    """Give Alertmanager all the alerts of a storm, and return when the first of them is due to be sent."""
    result: dict[str, Any] = all_answered(
        load(alertmanager, "api", "storm", requests=STORM // 50, alerts=50, per_group=1, connections=8)
    )
    return float(result["started_at"]) + STORM_WAIT


def storm_to_sink(sink: Sink) -> tuple[float, float]:
    """Return the seconds Alertmanager needs to tell a sink of every alert, and its memory then, in MB."""
    sink.control("reset")
    with alertmanager_to(f"{sink.url}/", group_wait=f"{STORM_WAIT:.0f}s") as alertmanager:
        began_at = raise_storm(alertmanager)
        await_groups(sink, STORM)
        return sink.control("report")["last"] - began_at, memory(alertmanager)
