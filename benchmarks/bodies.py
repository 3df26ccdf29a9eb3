"""What do the alerts of the benchmarks look like?"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

NEVER = "0001-01-01T00:00:00Z"
DESCRIPTION = (
    "The file system {mount} on {instance} has {free} % of its space left and fills at a rate at which "
    "nothing will be left in four hours. Writes will fail then, and the database with them. Free some space, "
    "or move the oldest partitions away as the runbook says."
)


def alert(group: str, number: int) -> dict[str, dict[str, str]]:
    """Return labels and annotations of an ordinary size, about 700 bytes, unlike any other's."""
    instance = f"db-{number:05}.example.org:9100"
    return {
        "labels": {
            "alertname": "DiskWillFillUp",
            "bench_group": group,
            "cluster": "eu-central-1",
            "instance": instance,
            "job": "node",
            "mountpoint": "/var/lib/postgresql",
            "severity": "warning",
        },
        "annotations": {
            "summary": f"The disk of {instance} fills up",
            "description": DESCRIPTION.format(mount="/var/lib/postgresql", instance=instance, free=7),
            "runbook_url": "https://runbooks.example.org/disk-will-fill-up",
        },
    }


def api_bodies(prefix: str, count: int, alerts: int, *, per_group: int) -> Iterator[bytes]:
    """Return bodies of Alertmanager's API, `count` of them, each with so many new alerts.

    They start now: an alert older than `group_wait` would be sent on at once.
    """
    number, starts_at = 0, datetime.now(UTC).isoformat()
    for _ in range(count):
        content = []
        for _ in range(alerts):
            group = f"{prefix}-{number // per_group}"
            content.append(alert(group, number) | {"startsAt": starts_at, "generatorURL": generator_url()})
            number += 1
        yield json.dumps(content).encode()


def webhook_bodies(prefix: str, count: int, alerts: int) -> Iterator[tuple[str, bytes]]:
    """Return bodies as Alertmanager's webhook sends them, each one new group; and the group's name."""
    starts_at = datetime.now(UTC).isoformat()
    for number in range(count):
        group = f"{prefix}-{number}"
        members = [alert(group, number * alerts + member) for member in range(alerts)]
        common = dict.fromkeys(members[0]["labels"])
        content = {
            "version": "4",
            "groupKey": f'{{}}:{{bench_group="{group}"}}',
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "tocsin",
            "groupLabels": {"bench_group": group},
            "commonLabels": {name: members[0]["labels"][name] for name in common if name != "instance"},
            "commonAnnotations": {"runbook_url": members[0]["annotations"]["runbook_url"]},
            "externalURL": "http://alertmanager.example.org:9093",
            "alerts": [
                {
                    "status": "firing",
                    **member,
                    "startsAt": starts_at,
                    "endsAt": NEVER,
                    "generatorURL": generator_url(),
                    "fingerprint": f"{hash((group, index)) & (2**64 - 1):016x}",
                }
                for index, member in enumerate(members)
            ],
        }
        yield group, json.dumps(content).encode()


def generator_url() -> str:
    """Return the link to Prometheus that every alert carries."""
    return "http://prometheus.example.org:9090/graph?g0.expr=predict_linear%28node_filesystem_avail_bytes%5B1h%5D%2C+14400%29+%3C+0&g0.tab=1"
