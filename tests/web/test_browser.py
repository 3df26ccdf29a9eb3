"""Do the pages hold in a real browser: narrow, wide, dark, without JavaScript, with a keyboard, with hostile alerts?"""

from contextlib import asynccontextmanager

import pytest
from playwright.async_api import async_playwright

from tests.alertmanager import find, requires
from tests.fakes.clock import FakeClock
from tests.web.bodies import alert, body
from tests.web.service import ROUTING, service

pytestmark = [pytest.mark.real, requires("chromium")]

HOSTILE = '"><script>window.pwned=1</script><img src=x onerror="window.pwned=1">\u202e'
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
async def browser():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find("chromium"))
        yield browser
        await browser.close()


@pytest.fixture
async def site(migrated_file, tmp_path):
    """A service that listens, with one hostile, huge incident; its address, and the service."""
    copy, routing = tmp_path / "site.db", tmp_path / "routing.yaml"
    copy.write_bytes(migrated_file.read_bytes())
    routing.write_text(ROUTING)
    async with service(f"sqlite:///{copy}", routing, FakeClock()) as box, box.listening() as port:
        await box.post(body(*(hostile(number) for number in range(30))))
        await box.work()
        yield f"http://127.0.0.1:{port}", box


def hostile(number):
    """Return an alert that tries whatever an alert can."""
    said = alert(f"db-{number}", alertname=HOSTILE, severity="W" * 300)
    said["labels"] |= {f"label_{n:03}": HOSTILE + "W" * 500 for n in range(120)}
    said["annotations"] = {
        "summary": HOSTILE,
        "description": "W" * 40_000,
        "runbook_url": "javascript:alert(1)",
    }
    return said


@asynccontextmanager
async def looking(browser, **options):
    """Yield a page of the browser; fail if it complains of anything."""
    complaints = []
    context = await browser.new_context(**options)
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    yield page
    await context.close()
    assert complaints == []


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_pages_fit_the_screen_and_run_nothing_that_an_alert_says(browser, site, viewport, theme):
    address, box = site
    said = {
        "matchers": [f"label_000=~{'W' * 3000}|(.|\\s)*script(.|\\s)*"],
        "lasts": "1h",
        "actor": "W" * 100,
        "text": HOSTILE,
    }
    assert (await box.client.post("/api/v1/silences", json=said)).status_code == 201

    async with looking(browser, viewport=viewport, color_scheme=theme) as page:
        for path in ("/", "/incidents/1", "/silences"):
            await page.goto(address + path)
            for summary in await page.query_selector_all("summary"):
                await summary.evaluate("one => one.parentElement.open = true")

            assert await page.evaluate(OVERFLOW) <= 0
            assert await page.evaluate("window.pwned") is None
            assert "<script>window.pwned=1</script>" in await page.inner_text("main")


async def test_a_theme_follows_the_system(browser, site):
    address, _ = site
    grounds = []

    for theme in ("light", "dark"):
        async with looking(browser, color_scheme=theme) as page:
            await page.goto(address)
            grounds.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert grounds == ["rgb(247, 248, 250)", "rgb(15, 18, 22)"]


async def test_an_incident_is_acknowledged_and_resolved_without_javascript(browser, site):
    address, _ = site

    async with looking(browser, java_script_enabled=False, viewport=PHONE) as page:
        await page.goto(address)
        await page.click("table a")
        await page.fill("[name=actor]", "on-call")
        await page.fill("[name=text]", "looking into it")
        await page.click("text=Acknowledge")
        assert "by on-call" in await page.inner_text(".head")
        assert "acknowledged: looking into it" in await page.inner_text(".timeline")
        assert await page.input_value("[name=actor]") == "on-call"

        await page.click("button:text('Resolve')")
        assert "resolved" in await page.inner_text(".head")

        await page.goto(address)
        assert "Nothing is open" in await page.inner_text("main")


async def test_filters_and_drills_work_without_javascript(browser, site):
    address, _ = site

    async with looking(browser, java_script_enabled=False) as page:
        await page.goto(address)
        await page.click("text=Hold a drill")
        assert "TocsinDrill" in await page.inner_text("h1")

        await page.goto(address)
        await page.select_option("[name=drill]", "only")
        await page.click("text=Apply")
        assert await page.inner_text("table a") == "TocsinDrill"


async def test_the_first_stop_of_the_keyboard_skips_to_the_content(browser, site):
    address, _ = site

    async with looking(browser) as page:
        await page.goto(address)
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        assert await page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0

        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"


async def test_the_list_keeps_itself_fresh(browser, site):
    address, box = site

    async with looking(browser) as page:
        await page.clock.install()
        await page.goto(address)
        group = {"groupKey": "new", "groupLabels": {"alertname": "New"}}
        await box.post(body(alert(alertname="New"), **group))
        await page.clock.fast_forward(16_000)
        await page.wait_for_selector("text=New")
