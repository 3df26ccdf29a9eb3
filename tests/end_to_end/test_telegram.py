"""Does a button pressed in Telegram reach a Tocsin that nobody can reach from outside?"""

import asyncio
import signal

from tests.end_to_end.service import PATIENCE, beside, tocsin_serves
from tests.end_to_end.test_storm import a_group
from tests.fakes.telegram import SUPERGROUP, TOKEN, FakeTelegram
from tests.processes import wait_until


def tells_telegram(telegram: FakeTelegram) -> str:
    """Return a routing.yaml that tells one chat everything, at once."""
    return f"""
receivers:
  - name: ops
    telegram_configs:
      - {{bot_token: "{TOKEN}", chat_id: {SUPERGROUP}, api_url: "{telegram.api_url}", allow_private_addresses: true}}
route: {{receiver: ops, group_by: [alertname]}}
"""


def test_a_page_is_acknowledged_by_a_button_and_the_service_ends_at_once(tmp_path):
    """The question to Telegram is open for half a minute; nobody waits for its end, nor learns the token."""
    with (
        beside(FakeTelegram()) as telegram,
        tocsin_serves(
            tmp_path, f"sqlite:///{tmp_path}/tocsin.db", tells_telegram(telegram), "--insecure"
        ) as service,
    ):
        assert service.post(a_group(["DiskFull"])) == 200
        wait_until(telegram.shown, within=PATIENCE, otherwise=service.log.read_text)

        asyncio.run_coroutine_threadsafe(telegram.press("Acknowledge"), telegram.loop).result(PATIENCE)
        wait_until(lambda: telegram.toasts, within=PATIENCE, otherwise=service.log.read_text)
        wait_until(
            lambda: telegram.shown()[0].text.startswith("👀 Acknowledged by Ana Lima"),
            within=PATIENCE,
            otherwise=service.log.read_text,
        )
        wait_until(lambda: telegram.is_asked, within=PATIENCE, otherwise=service.log.read_text)
        ended = service.ends(signal.SIGTERM)

    assert ended == 0
    assert list(telegram.toasts.values()) == ["acknowledged; it is yours"]
    assert TOKEN.partition(":")[2] not in service.log.read_text()
    assert "Traceback" not in service.log.read_text()
