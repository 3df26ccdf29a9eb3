"""What does a person see of an escalation, and press?"""

import pytest

from tests.web.bodies import alert, body
from tests.web.test_ui import FORM, see

POLICY = """
global: {smtp_smarthost: "127.0.0.1:1", smtp_from: tocsin@example.org}
people:
  - {name: ana, contacts: [{email: ana@example.org}]}
  - {name: bo, contacts: [{after: 5m, email: bo@example.org}]}
  - {name: nobody}
receivers: [{name: ops, console_configs: [{}]}]
escalation_policies:
  - {name: page, steps: [{notify: [{receiver: ops}]}, {after: 10m, notify: [{person: ana}]}]}
fallback: ops
route:
  receiver: ops
  routes: [{name: critical, matchers: ['severity="critical"'], escalation_policy: page}]
"""


pytestmark = pytest.mark.usefixtures("paging")


@pytest.fixture
def paging(routing):
    routing.write_text(POLICY)


async def opened(box, severity):
    answer = await box.post(body(alert(severity=severity), groupLabels={"disk": severity}))
    await box.work()
    return answer.json()["incidents"][0]


async def test_the_page_says_who_hears_next(sqlite_tocsin):
    incident = await opened(sqlite_tocsin, "critical")

    page = await see(sqlite_tocsin, f"/incidents/{incident}")

    assert "Who hears next, if nobody acts" in page.text
    assert "email ana@example.org step 2 of page: ana" in page.text
    assert "by escalation policy page" in page.text


async def test_the_next_step_has_a_button_where_there_is_one(sqlite_tocsin):
    first, second = await opened(sqlite_tocsin, "critical"), await opened(sqlite_tocsin, "warning")

    assert "Escalate now" in (await see(sqlite_tocsin, f"/incidents/{first}")).text
    assert "Escalate now" not in (await see(sqlite_tocsin, f"/incidents/{second}")).text


async def test_pressing_it_takes_the_next_step(sqlite_tocsin):
    incident = await opened(sqlite_tocsin, "critical")

    answer = await sqlite_tocsin.client.post(
        f"/incidents/{incident}/escalate", content="actor=ana", headers=FORM
    )
    await sqlite_tocsin.work()

    assert answer.status_code == 303
    rows = await sqlite_tocsin.rows("notification", incident_id=incident)
    assert {row["destination"] for row in rows} == {"console stdout", "email ana@example.org"}


async def test_it_can_be_given_to_whoever_can_be_told(sqlite_tocsin):
    incident = await opened(sqlite_tocsin, "critical")

    page = await see(sqlite_tocsin, f"/incidents/{incident}")
    answer = await sqlite_tocsin.client.post(
        f"/incidents/{incident}/assign", content="person=ana", headers=FORM
    )
    await sqlite_tocsin.work()

    assert page.text.count("ana bo") == 1
    assert answer.status_code == 303
    rows = await sqlite_tocsin.rows("notification", incident_id=incident, destination="email ana@example.org")
    assert [row["reason"] for row in rows] == ["assigned"]


@pytest.mark.parametrize("person", ["", "nobody", "a stranger", "<script>"])
async def test_it_can_be_given_to_nobody_else(sqlite_tocsin, person):
    incident = await opened(sqlite_tocsin, "critical")

    answer = await sqlite_tocsin.client.post(f"/incidents/{incident}/assign", data={"person": person})

    assert answer.status_code == 422
    assert "<script>" not in answer.text
