"""Any of severity, count and duration is enough not to wait for opening hours."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from receiver.policy.break_through import BreakThrough

SINCE = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
LATER = SINCE + timedelta(hours=2)


@pytest.mark.parametrize(
    ("written", "is_severe", "firing", "wanted"),
    [
        pytest.param("critical", True, 1, SINCE, id="as severe"),
        pytest.param("critical", False, 100, None, id="less severe"),
        pytest.param({"count": 3}, False, 2, None, id="too few"),
        pytest.param({"count": 3}, False, 3, SINCE, id="as many"),
        pytest.param({"count": 3}, True, 1, SINCE, id="few, but severe"),
        pytest.param({"after": "2h"}, False, 1, LATER, id="after a while"),
        pytest.param({"after": "2h"}, False, 0, None, id="nothing fires any more"),
        pytest.param({"after": "2h"}, True, 0, SINCE, id="the end of what is severe"),
        pytest.param({"count": 3, "after": "2h"}, False, 3, SINCE, id="many, before the while is over"),
        pytest.param({"count": 3, "after": "2h"}, False, 2, LATER, id="few, after a while"),
    ],
)
def test_what_breaks_through_and_when(written, is_severe, firing, wanted):
    rule = BreakThrough.model_validate(written)

    assert rule.breaks_at(is_severe=is_severe, firing=firing, since=SINCE) == wanted


@pytest.mark.parametrize("written", [{"count": 0}, {"after": "0s"}, {"often": 1}, 5, ["critical"]])
def test_a_rule_that_says_nothing_is_refused(written):
    with pytest.raises(ValidationError):
        BreakThrough.model_validate(written)


def test_a_rule_that_is_written_out_can_be_read_again():
    found = BreakThrough.model_validate({"severity": "page", "count": 3, "after": "2h"})

    assert BreakThrough.model_validate(found.model_dump()) == found
    assert BreakThrough.model_validate_json(found.model_dump_json()) == found
