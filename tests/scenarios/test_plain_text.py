"""A page that cannot be made beautiful is sent ugly."""

from pathlib import Path

from receiver.templating import Templates
from tests.fakes.http import as_json
from tests.world import World


async def test_a_template_with_a_bug_still_pages(world: World, tmp_path: Path) -> None:
    """A template that fails makes the page plain, not silent, and is counted."""
    broken = tmp_path / "slack"
    broken.mkdir()
    (broken / "triggered.mrkdwn").write_text("{{ incident.nothing_like_this.at_all }}")
    world.services.templates = Templates(tmp_path)
    before = await world.metric('tocsin_render_failures_total{channel="slack"}')

    await world.alertmanager.fires("DiskFull", annotations={"summary": "/var is full"})

    world.slack.expect("#ops", "DiskFull", "/var is full", "/incidents/")
    assert await world.metric('tocsin_render_failures_total{channel="slack"}') == before + 1


async def test_markup_that_the_service_refuses_is_left_out(world: World) -> None:
    """A message whose markup is refused is said again at once in plain words, and that is counted."""
    before = await world.metric('tocsin_render_failures_total{channel="slack"}')
    world.slack.script.append(as_json({"ok": False, "error": "invalid_blocks"}))

    incident = await world.alertmanager.fires("DiskFull", annotations={"summary": "/var is full"})

    world.slack.expect("#ops", "DiskFull", "/var is full")
    [page, *_] = await world.notifications(incident)
    assert (page["state"], page["attempts"]) == ("sent", 1)
    assert await world.metric('tocsin_render_failures_total{channel="slack"}') == before + 1
