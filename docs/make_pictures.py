"""How are the pictures of the documents made? `python -m docs.make_pictures`, from the repository's root.

A small story is told to a real service whose clock stands still, and a real browser looks at its pages, and
at the golden files of messages as the services would show them. The latter need a font with emoji, such as
Debian's fonts-noto-color-emoji.
"""  # noqa: INP001 - a script beside the pages it serves

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from docs.message_pictures import pictures
from receiver.store.migrate import upgrade
from tests.alertmanager import find
from tests.fakes.http import as_json
from tests.web.service import Box
from tests.world import World, a_world

IMAGES = Path(__file__).parent / "images"
SIZE = {"width": 1280, "height": 800}
ROUTES = """
time_intervals:
  - name: business_hours
    time_intervals:
      - {weekdays: ["monday:friday"], times: [{start_time: "09:00", end_time: "17:00"}]}
route:
  receiver: ops
  group_by: [alertname, service]
  routes:
    - {name: payments, matchers: ['team="payments"'], receiver: dev, continue: true}
    - {name: critical, matchers: ['severity="critical"'], receiver: page}
    - name: warning
      matchers: ['severity="warning"']
      active_time_intervals: [business_hours]
    - {name: info, matchers: ['severity="info"'], receiver: quiet}
"""
RUNBOOK = "https://runbooks.example.org/HighErrorRatio"


async def tell(world: World) -> int:
    """Let a night happen; return the incident worth a closer look."""
    fires = world.alertmanager.fires
    await world.routes(ROUTES)
    said = {"summary": "api-7f9 restarted 12 times"}
    await fires("PodCrashLooping", service="api", cluster="eu-1", severity="critical", annotations=said)
    await world.fast_forward(minutes=34)
    await world.alertmanager.resolves("PodCrashLooping")
    said = {"summary": "/var on db-2 is predicted to be full"}
    await fires("DiskWillFillIn4h", service="db", cluster="eu-1", severity="warning", annotations=said)
    await world.fast_forward(minutes=41)
    said = {"summary": "the certificate of shop.example.org ends in 6 days"}
    await fires("CertificateEndsSoon", service="shop", severity="info", annotations=said)
    await world.fast_forward(minutes=12)
    said = {"summary": "replica db-3 is 45 s behind"}
    lag = await fires("ReplicationLag", service="db", cluster="eu-1", severity="critical", annotations=said)
    await world.act(lag, "acknowledge", actor="on-call", text="failover is under way")
    await world.fast_forward(minutes=9)
    world.slack.fails_with(as_json({"ok": False, "error": "is_archived"}), "#dev")
    incident = 0
    for pod in ("checkout-1", "checkout-2", "checkout-3"):
        said = {
            "summary": "Error ratio of checkout is above 90 %",
            "description": "Customers cannot pay. It began with the deployment of 04:46.",
            "runbook_url": RUNBOOK,
        }
        labels = {"service": "checkout", "cluster": "eu-1", "team": "payments", "instance": pod}
        incident = await fires("HighErrorRatio", severity="critical", annotations=said, **labels)
        await world.fast_forward(minutes=2)
    await world.client.post("/test-alert", json={"labels": {"service": "shop", "severity": "info"}})
    await world.settle()
    await world.fast_forward(seconds=48)
    return incident


async def look(port: int, incident: int) -> None:
    """Take the pictures."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find("chromium"))
        page = await browser.new_page(viewport=SIZE, color_scheme="light")
        for name, path in {"incidents": "/?state=all", "incident": f"/incidents/{incident}"}.items():
            await page.goto(f"http://127.0.0.1:{port}{path}")
            await page.screenshot(path=IMAGES / f"{name}.png")
        await browser.close()


async def look_at_messages() -> None:
    """Take the pictures of messages, sharper than a page, for they hold small print."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find("chromium"))
        for name, (content, width) in pictures().items():
            size = {"width": width, "height": 100}
            page = await browser.new_page(viewport=size, device_scale_factor=1.5, color_scheme="light")
            await page.set_content(content)
            await page.screenshot(path=IMAGES / f"{name}.png", full_page=True)
            await page.close()
        await browser.close()


async def main() -> None:
    """Make every picture anew."""
    await look_at_messages()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/tocsin.db"
        upgrade(url)
        async with a_world(url, Path(folder)) as world:
            incident = await tell(world)
            async with Box(world.services, world.client, world.clock).listening() as port:
                await look(port, incident)


if __name__ == "__main__":
    asyncio.run(main())
