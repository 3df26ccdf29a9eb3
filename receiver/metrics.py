"""What does Tocsin count about itself?"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

PAYLOADS = Counter(
    "tocsin_payloads",
    "Bodies posted by Alertmanager, by what became of them.",
    ["outcome"],
    registry=REGISTRY,
)
ALERTS_ACCEPTED = Counter(
    "tocsin_alerts_accepted", "Alerts committed to the database, repeats included.", registry=REGISTRY
)
ALERTS_QUARANTINED = Counter(
    "tocsin_alerts_quarantined", "Single alerts that could not be understood.", registry=REGISTRY
)
ANSWERS = Counter(
    "tocsin_answers",
    "What people said through a channel, by channel and verb; `forged` where the signature was wrong.",
    ["channel", "verb"],
    registry=REGISTRY,
)
BEATS = Counter("tocsin_beats", "Beats heard, by heartbeat.", ["heartbeat"], registry=REGISTRY)
MISSING_HEARTBEATS = Gauge(
    "tocsin_missing_heartbeats", "Heartbeats that should have been heard and were not.", registry=REGISTRY
)
INCIDENTS = Counter(
    "tocsin_incidents", "Incidents by what happened to them: opened, reopened, resolved.", ["happening"],
    registry=REGISTRY,
)  # fmt: skip
STEPS = Counter(
    "tocsin_escalation_steps",
    "Steps of escalation policies, by whether they told somebody or, to the end of a round, nobody.",
    ["outcome"],
    registry=REGISTRY,
)
NOTIFICATIONS = Counter(
    "tocsin_notifications",
    "Notifications that left the outbox, by channel and by how.",
    ["channel", "state"],
    registry=REGISTRY,
)
ATTEMPTS = Counter(
    "tocsin_attempts", "Tries to deliver, by channel and outcome.", ["channel", "outcome"], registry=REGISTRY
)
ATTEMPT_SECONDS = Histogram(
    "tocsin_attempt_seconds", "How long one try took.", ["channel"], registry=REGISTRY
)
RENDER_FAILURES = Counter(
    "tocsin_render_failures", "Messages sent as plain text because a template failed.", ["channel"],
    registry=REGISTRY,
)  # fmt: skip
SAVED = Counter(
    "tocsin_messages_saved",
    "Messages not sent because another one told it: collapsed into it, or in one digest.",
    ["how"],
    registry=REGISTRY,
)
BREAKERS = Counter(
    "tocsin_breaker",
    "Services that were given up for a while (opened) and taken up again (closed).",
    ["service", "happening"],
    registry=REGISTRY,
)
OPEN_BREAKERS = Gauge("tocsin_open_breakers", "Services that fail, and are only probed.", registry=REGISTRY)
OLDEST_OWED_SECONDS = Gauge(
    "tocsin_oldest_owed_seconds",
    "Age of the oldest notification that is due and not sent.",
    registry=REGISTRY,
)
OWED = Gauge("tocsin_notifications_owed", "Notifications that are due and not sent.", registry=REGISTRY)
SILENCES = Gauge("tocsin_silences", "Silences in force.", registry=REGISTRY)
OPEN_INCIDENTS = Gauge("tocsin_open_incidents", "Incidents not resolved.", registry=REGISTRY)
BATCH_ITEMS = Histogram(
    "tocsin_commit_items", "Items that shared one commit.", buckets=[1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    registry=REGISTRY,
)  # fmt: skip
UNHEARD_INCIDENTS = Gauge(
    "tocsin_unheard_incidents",
    "Open incidents whose routes lead to nobody, at the last audit by this process.",
    registry=REGISTRY,
)
AUDITED = Counter(
    "tocsin_audit_repairs", "Open incidents that nobody was to hear of; they were mended.", registry=REGISTRY
)
CLOCK_JUMPS = Counter(
    "tocsin_clock_jumps", "Times the clock moved by a minute more, or less, than time did.", registry=REGISTRY
)
LOOKUPS = Counter(
    "tocsin_lookups",
    "Looks at an Alertmanager, by source and what came of it: answered, no_answer, proves_nothing.",
    ["source", "outcome"],
    registry=REGISTRY,
)
LOST_ALERTS = Counter(
    "tocsin_lost_alerts", "Alerts that ended because Alertmanager no longer had them.", registry=REGISTRY
)
OUTGOING = Counter(
    "tocsin_outgoing_heartbeats",
    "Beats for somebody outside: sent, failed, or withheld because all is not well.",
    ["outcome"],
    registry=REGISTRY,
)
WRITER_WAITING = Gauge("tocsin_writer_waiting", "Items that wait for the writer.", registry=REGISTRY)
CONFIG_OK = Gauge(
    "tocsin_config_last_reload_successful", "1 when the last routing.yaml read is the one in force.",
    registry=REGISTRY,
)  # fmt: skip
CONFIG_LOADED_AT = Gauge(
    "tocsin_config_last_reload_success_timestamp_seconds",
    "When routing.yaml was last taken.",
    registry=REGISTRY,
)
