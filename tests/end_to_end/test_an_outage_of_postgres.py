"""PostgreSQL goes away and comes back; Tocsin says so, waits, and goes on."""

from tests.end_to_end.service import PATIENCE, beside, owed, tells_webhook, tocsin_serves
from tests.end_to_end.test_storm import a_group
from tests.fakes.http import Reply
from tests.fakes.webhook import FakeWebhook
from tests.postgres import start_postgres
from tests.processes import wait_until


def test_a_service_outlives_an_outage_of_its_database(tmp_path):
    """Alertmanager hears 503 meanwhile; afterwards alerts are taken and pages delivered again."""
    with start_postgres() as server, beside(FakeWebhook()) as hook:
        url = server.create_database()
        with tocsin_serves(tmp_path, url, tells_webhook(hook)) as tocsin:
            hook.fails(Reply(status=503))
            assert tocsin.post(a_group(["Before"])) == 200
            wait_until(lambda: bool(hook.requests), within=PATIENCE, otherwise=tocsin.log.read_text)
            with server.stopped():
                meanwhile = [tocsin.post(a_group(["Meanwhile"])) for _ in range(3)]
                health = [tocsin.request("GET", f"/health{which}")[0] for which in ("", "/ready", "/live")]
                metrics, _ = tocsin.request("GET", "/metrics")
            wait_until(
                lambda: tocsin.request("GET", "/health/ready")[0] == 200,
                within=PATIENCE, otherwise=tocsin.log.read_text,
            )  # fmt: skip
            afterwards = tocsin.post(a_group(["Meanwhile"]))
            wait_until(
                lambda: len(hook.bodies) == 2 and not owed(url),
                within=PATIENCE, otherwise=tocsin.log.read_text,
            )  # fmt: skip

    assert meanwhile == [503, 503, 503]
    assert health == [503, 503, 200]
    assert metrics == 200
    assert afterwards == 200
    told = {body["alerts"][0]["labels"]["alertname"] for body in hook.bodies}
    assert told == {"Before", "Meanwhile"}
