"""Which ways of speaking are there?"""

from receiver.channels.apprise import Apprise
from receiver.channels.base import Channel
from receiver.channels.client import Client
from receiver.channels.console import Console
from receiver.channels.email import Email
from receiver.channels.opsgenie import Opsgenie
from receiver.channels.pagerduty import PagerDuty
from receiver.channels.slack import Slack
from receiver.channels.telegram import Telegram
from receiver.channels.webhook import Webhook
from receiver.clock import Clock

KINDS: dict[str, type[Apprise | Console | Email | Opsgenie | PagerDuty | Slack | Telegram | Webhook]] = {
    "apprise": Apprise,
    "console": Console,
    "email": Email,
    "opsgenie": Opsgenie,
    "pagerduty": PagerDuty,
    "slack": Slack,
    "telegram": Telegram,
    "webhook": Webhook,
}


def open_channels(client: Client, clock: Clock) -> dict[str, Channel]:
    """Return one open channel of each kind; they share the client, which is closed by its owner."""
    return {kind: channel(client, clock) for kind, channel in KINDS.items()}
