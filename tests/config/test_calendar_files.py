"""The days of an iCalendar file are holidays, and one that cannot be read says so before the night."""

import subprocess
import sys
from datetime import date

import pytest

from receiver.config import ConfigError, load
from receiver.config.calendar_files import LARGEST
from tests.command import environment

ROUTING = """\
receivers: [{name: ops, console_configs: [{}]}]
route: {receiver: ops}
time_intervals:
  - name: office
    time_intervals: [{weekdays: ["monday:friday"]}]
    holidays: {calendar_file: ours.ics}
"""
CHRISTMAS = "DTSTART;VALUE=DATE:20201225\nRRULE:FREQ=YEARLY"


def calendar(*events):
    """Return a calendar with these events, as a program would write it."""
    numbered = enumerate(events)
    bodies = "".join(
        f"BEGIN:VEVENT\nUID:{n}\nSUMMARY:Day {n}\n{event}\nEND:VEVENT\n" for n, event in numbered
    )
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//example.org//EN\n{bodies}END:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


@pytest.fixture
def loaded(tmp_path):
    def load_with(content):
        (tmp_path / "routing.yaml").write_text(ROUTING)
        if content is not None:
            (tmp_path / "ours.ics").write_bytes(content)
        return load(tmp_path / "routing.yaml", {})

    return load_with


def days(config, year):
    """Return the holidays of a year, as 05-02."""
    found = config.time_intervals[0].holidays
    every = (
        date.fromordinal(n) for n in range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal())
    )
    return [f"{day:%m-%d}" for day in every if found.includes(day)]


@pytest.mark.parametrize(
    ("event", "year", "wanted"),
    [
        pytest.param(CHRISTMAS, 2060, ["12-25"], id="every year"),
        pytest.param("DTSTART;VALUE=DATE:20260502", 2026, ["05-02"], id="a day without an end"),
        pytest.param("DTSTART;VALUE=DATE:20260502\nDTEND;VALUE=DATE:20260504", 2026, ["05-02", "05-03"], id="two days"),
        pytest.param("DTSTART;VALUE=DATE:20261231\nDTEND;VALUE=DATE:20270102", 2026, ["12-31"], id="over the new year"),
        pytest.param("DTSTART;VALUE=DATE:20261231\nDTEND;VALUE=DATE:20270102", 2027, ["01-01"], id="and its rest"),
        pytest.param("DTSTART:20260502T220000Z\nDTEND:20260503T010000Z", 2026, ["05-02", "05-03"], id="hours of two days"),
        pytest.param("DTSTART:20260502T220000Z\nDTEND:20260503T000000Z", 2026, ["05-02"], id="hours that end at midnight"),
        pytest.param("DTSTART:20260502T220000Z", 2026, ["05-02"], id="a moment"),
        pytest.param("DTSTART;TZID=Asia/Tokyo:20260503T010000", 2026, ["05-03"], id="a moment on its own clocks"),
        pytest.param("DTSTART;VALUE=DATE:20260502\nDURATION:P2D", 2026, ["05-02", "05-03"], id="a duration"),
        pytest.param(f"{CHRISTMAS}\nEXDATE;VALUE=DATE:20261225", 2026, [], id="an exception"),
        pytest.param("DTSTART;VALUE=DATE:20260502\nSTATUS:CANCELLED", 2026, [], id="a day that was called off"),
        pytest.param("DTSTART;VALUE=DATE:20260502\nTRANSP:TRANSPARENT", 2026, ["05-02"], id="a day on which people are free"),
    ],
)  # fmt: skip
def test_events_are_holidays_on_the_days_they_touch(loaded, event, year, wanted):
    assert days(loaded(calendar(event)), year) == wanted


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "cannot be read: no such file or directory; write it", id="no file"),
        pytest.param(b"", "is no iCalendar file that can be read", id="an empty file"),
        pytest.param(b"<html>Not found</html>", "is no iCalendar file that can be read", id="a page"),
        pytest.param(b"\xff\xfe\x00\x01", "is no iCalendar file that can be read", id="bytes"),
        pytest.param(b"x" * (LARGEST + 1), "is larger than 512 kB; export a calendar of holidays", id="too large"),
        pytest.param(calendar(), "there are no events in", id="nothing in it"),
        pytest.param(calendar(CHRISTMAS, "DTSTART:soon"), 'the event "Day 1" has an unusable DTSTART', id="a day that is none"),
        pytest.param(calendar("DTSTART:20260502T000000Z\nRRULE:FREQ=OFTEN"), "has an unusable RRULE", id="a rule that is none"),
        pytest.param(calendar("DESCRIPTION:x"), "has no DTSTART; correct it", id="no day"),
        pytest.param(calendar("DTSTART:20260502T000000Z\nRRULE:FREQ=MINUTELY"), "comes more often than daily", id="every minute"),
        pytest.param(calendar("DTSTART:20260502T000000Z\nRRULE:FREQ=DAILY;BYHOUR=1,2,3"), "more often than daily", id="three a day"),
        pytest.param(
            calendar("DTSTART:20260502T000000Z\nRRULE:FREQ=YEARLY\nRRULE:FREQ=HOURLY"), "more often than daily", id="a second rule"
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_no_calendar_of_holidays_is_an_error(loaded, content, said):
    with pytest.raises(ConfigError) as refused:
        loaded(content)

    [error] = refused.value.errors
    assert "routing.yaml:6:31: time_intervals[0].holidays.calendar_file: " in error
    assert said in error


def test_a_folder_is_no_calendar(tmp_path, loaded):
    (tmp_path / "ours.ics").mkdir()

    with pytest.raises(ConfigError, match=r"ours\.ics is no file; correct the path"):
        loaded(None)


def test_who_has_not_installed_the_extra_is_told_so(loaded, monkeypatch):
    monkeypatch.setitem(sys.modules, "icalendar", None)

    with pytest.raises(ConfigError, match=r'needs the extra "ical"; install tocsin\[ical\]'):
        loaded(calendar(CHRISTMAS))


def test_nothing_is_loaded_that_no_interval_names(tmp_path):
    (tmp_path / "routing.yaml").write_text(ROUTING.replace("calendar_file: ours.ics", "dates: [2026-12-24]"))
    program = (
        "import sys; from receiver.config import load; load('routing.yaml', {});"
        "print([name for name in sys.modules if name.split('.')[0] in {'holidays', 'icalendar'}])"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert ended.stdout == "[]\n"
