"""Whoever is told by e-mail answers from there, and an incident stays one thread in the mailbox."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from tests.fakes.smtp import FakeSmtp, Fault, Step, Taken
from tests.world import RECEIVERS, World

ANA, BO = "ana@example.org", "bo@example.org"


@pytest.fixture
async def mail() -> AsyncIterator[FakeSmtp]:
    async with FakeSmtp() as mail:
        yield mail


async def told_by(world: World, mail: FakeSmtp) -> None:
    """Have everything told in Slack and by mail to two people."""
    await world.reload(
        "people: [{name: ana, contacts: [{email: ana@example.org}]}]"
        + RECEIVERS
        + f"""
  - name: both
    slack_configs: [{{channel: "#ops", app_token: "${{TOKEN}}", app_url: "${{SLACK}}", allow_private_addresses: true}}]
    email_configs: [{{to: "Ana <{ANA}>, {BO}", from: "Tocsin <tocsin@example.org>", smarthost: "{mail.smarthost}",
                      require_tls: false}}]
fallback: fallback
route: {{receiver: both}}
"""
    )


def links(mail: Taken) -> dict[str, str]:
    """What the plain part offers, as paths."""
    found = re.findall(r"^([A-Z][a-z ]+): (https?://\S+/answer/\S+)$", mail.part("plain"), re.MULTILINE)
    return {name: urlsplit(url).path for name, url in found}


async def test_an_answer_from_a_mail_is_heard_and_shown_everywhere(world: World, mail: FakeSmtp) -> None:
    """Opening the link does nothing, pressing the button does; the others read who it was and how soon."""
    await told_by(world, mail)
    incident = await world.alertmanager.fires("DiskFull")
    world.slack.expect("#ops", "DiskFull")
    [first] = mail.mails_to(ANA)
    where = links(first)["Acknowledge"]
    assert where in first.part("html")
    world.clock.advance(seconds=40)

    asked = await world.client.get(where)
    assert (await world.incident(incident))["state"] == "triggered"
    await world.client.post(where)
    await world.settle()

    assert asked.status_code == 200
    assert (await world.incident(incident))["acknowledged_by"] == "ana"
    world.slack.expect("#ops", "acknowledged by ana, from an e-mail, 40 s after the page")
    told = mail.mails_to(BO)[-1]
    assert "Acknowledged by ana, from an e-mail, 40 s after the page" in told.part("html")
    assert list(links(told)) == ["Give it back", "Resolve"]


async def test_an_incident_is_one_thread_for_each_person(world: World, mail: FakeSmtp) -> None:
    """The first mail opens it, and all that follows answers it, from the page to the end."""
    await told_by(world, mail)
    await world.alertmanager.fires("DiskFull", instance="db-1")
    await world.fast_forward(minutes=1)
    await world.alertmanager.fires("DiskFull", instance="db-2")
    await world.fast_forward(minutes=1)
    await world.alertmanager.resolves("DiskFull")
    await world.fast_forward(minutes=1)

    for person in (ANA, BO):
        [thread] = mail.threads(person)
        assert [told.message["X-Tocsin-Event"] for told in thread] == ["triggered", "triggered", "resolved"]
        assert len({told.message["Message-ID"] for told in thread}) == 3


async def test_a_refused_address_costs_the_others_nothing(world: World, mail: FakeSmtp) -> None:
    """The fallback hears what one person could not be told; the other reads it."""
    await told_by(world, mail)
    mail.refused[BO] = "550 5.1.1 User unknown"

    await world.alertmanager.fires("DiskFull")
    await world.settle()

    told = [told for told in mail.taken if "DiskFull" in told.message["Subject"]]
    assert [one.recipients for one in told] == [[ANA]]
    world.slack.expect("#fallback", f"email {BO}", "could not be reached")


async def test_a_greylisted_mail_arrives_later(world: World, mail: FakeSmtp) -> None:
    """A server that says "later" is asked again, and the mail says then what is true then."""
    await told_by(world, mail)
    mail.fails(Step.RCPT, *[Fault(answer="450 4.2.0 Greylisted")] * 2)

    await world.alertmanager.fires("DiskFull")
    assert mail.taken == []
    await world.fast_forward(minutes=5)

    assert len(mail.mails_to(ANA)) == len(mail.mails_to(BO)) == 1


async def test_a_mail_that_may_have_arrived_is_sent_once_more_under_its_id(
    world: World, mail: FakeSmtp
) -> None:
    """The server took it and hung up before it said so: a program that knows the id shows one."""
    await told_by(world, mail)
    mail.fails(Step.END, *[Fault(is_lost=True)] * 2)

    incident = await world.alertmanager.fires("DiskFull")
    await world.fast_forward(minutes=5)

    ids = [told.message["Message-ID"] for told in mail.mails_to(ANA)]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert "may have arrived" in await world.timeline(incident)


async def test_a_mail_refused_for_its_looks_arrives_plain(world: World, mail: FakeSmtp) -> None:
    """What a filter takes for spam as a page full of buttons passes as a few lines."""
    await told_by(world, mail)
    mail.fails(Step.END, *[Fault(answer="554 5.7.1 Spam message rejected")] * 2)

    await world.alertmanager.fires("DiskFull")

    for person in (ANA, BO):
        [told] = mail.mails_to(person)
        assert told.message.get_content_type() == "text/plain"
        assert "DiskFull" in told.part("plain")


async def test_a_reminder_joins_the_thread(world: World, mail: FakeSmtp) -> None:
    """Nobody acknowledged: the same thread says so again."""
    await told_by(world, mail)
    await world.alertmanager.fires("DiskFull")

    await world.fast_forward(seconds=timedelta(hours=4, minutes=1).total_seconds())

    [thread] = mail.threads(ANA)
    assert len(thread) >= 2
    assert "still firing" in thread[-1].part("plain")
