"""What does Alertmanager post? Bodies that tests write themselves, and those that were recorded."""

import json
from pathlib import Path

SHIPPED = Path(__file__).parents[1] / "fixtures" / "payloads"
NEARBY = Path(__file__).parents[3] / "shared" / "data"  # also holds what has no clear licence
ZERO = "0001-01-01T00:00:00Z"  # what Alertmanager writes for "not ended"
STARTED = "2026-11-20T03:10:00Z"
ENDED = "2026-11-20T03:20:00Z"


def alert(instance="db-1", *, status="firing", starts_at=STARTED, ends_at=None, **changes):
    """Return one alert; `severity` and `alertname` go to its labels, the rest are fields."""
    labels = {
        "alertname": changes.pop("alertname", "DiskFull"),
        "instance": instance,
        "severity": changes.pop("severity", "warning"),
    }
    return {
        "status": status,
        "labels": labels,
        "annotations": {"summary": f"The disk of {instance} is full"},
        "startsAt": starts_at,
        "endsAt": ends_at or (ENDED if status == "resolved" else ZERO),
        "generatorURL": "http://prometheus-0:9090/graph",
        **changes,
    }


def body(*alerts, **changes):
    """Return a body about one group of alerts."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="DiskFull"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "tocsin",
        "groupLabels": {"alertname": "DiskFull"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager-0:9093",
        "alerts": list(alerts),
        **changes,
    }


def as_posted(document):
    """Return the bytes of a body."""
    return json.dumps(document).encode()


def shipped(name):
    """Return the bytes of a file that ships with the tests; of a recording, what was posted."""
    return _posted(SHIPPED / name)


def nearby():
    """Return, by name, the bytes of every file of the collection beside this checkout."""
    folders = (("payloads", ""), ("alertmanager-recordings", "recordings/"))
    return {
        prefix + file.name: _posted(file)
        for folder, prefix in folders
        if (NEARBY / folder).is_dir()
        for file in sorted((NEARBY / folder).iterdir())
    }


def _posted(file):
    content = file.read_bytes()
    if file.parent.name not in {"recordings", "alertmanager-recordings"} or file.suffix != ".json":
        return content
    recorded = json.loads(content)
    return as_posted(recorded["body"]) if "_meta" in recorded else content
