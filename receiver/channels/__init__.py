"""Which ways of speaking are there?"""

from receiver.channels.base import Channel
from receiver.channels.client import Client
from receiver.channels.console import Console
from receiver.channels.slack import Slack
from receiver.channels.webhook import Webhook
from receiver.clock import Clock

KINDS: dict[str, type[Console | Slack | Webhook]] = {"console": Console, "slack": Slack, "webhook": Webhook}


def open_channels(client: Client, clock: Clock) -> dict[str, Channel]:
    """Return one open channel of each kind; they share the client, which is closed by its owner."""
    return {kind: channel(client, clock) for kind, channel in KINDS.items()}
