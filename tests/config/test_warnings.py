"""What loads and can hardly be meant is pointed out."""

from datetime import UTC, datetime

import pytest

from receiver.config import check, parse

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def warnings(tmp_path):
    def check_text(text):
        file = tmp_path / "routing.yaml"
        file.write_text(text)
        errors, found = check(file, {}, AT)
        assert errors == []
        return [line.removeprefix(f"{file}:") for line in found]

    return check_text


def tree(*routes):
    """A file with these routes below the root, one in a line from line 5 on."""
    lines = "".join(f"    - {{{route}}}\n" for route in routes)
    return f"receivers: [{{name: ops, console_configs: [{{}}]}}]\nroute:\n  receiver: ops\n  routes:\n{lines}"


@pytest.mark.parametrize(
    ("first", "second", "is_reached"),
    [
        pytest.param("matchers: [a=x]", "matchers: [a=y]", True, id="other values"),
        pytest.param("matchers: [a=x]", "matchers: [b=x]", True, id="other labels"),
        pytest.param("matchers: [a=x]", "matchers: [a=x]", False, id="the same"),
        pytest.param("matchers: [a=x], continue: true", "matchers: [a=x]", True, id="the same, but the first continues"),
        pytest.param("matchers: [a=x]", "matchers: [a=x, b=y]", False, id="the first asks for less"),
        pytest.param("matchers: [a=x, b=y]", "matchers: [a=x]", True, id="the first asks for more"),
        pytest.param("receiver: ops", "matchers: [a=x]", False, id="the first asks for nothing"),
        pytest.param("receiver: ops", "receiver: ops", False, id="both ask for nothing"),
        pytest.param("match: {a: x}", "matchers: [a=x]", False, id="the same in two spellings"),
        pytest.param("matchers: ['a=~x|y']", "matchers: [a=x]", False, id="one of the first one's values"),
        pytest.param("match_re: {a: x|y|z}", "matchers: ['a=~x|y']", False, id="some of the first one's values"),
        pytest.param("matchers: ['a=~x|y']", "matchers: ['a=~x|z']", True, id="some other values"),
        pytest.param("matchers: ['a=~x.*']", "matchers: [a=xy]", False, id="a value that the first one's expression matches"),
        pytest.param("matchers: ['a=~x.*']", "matchers: ['a=~xy.*']", True, id="two expressions are not compared"),
        pytest.param("matchers: [a!=x]", "matchers: [a=y]", False, id="a value that the first does not exclude"),
        pytest.param("matchers: [a!=x]", "matchers: [a=x]", True, id="the value that the first excludes"),
        pytest.param("matchers: [b!=x]", "matchers: [a=x]", True, id="nothing is said about the label"),
        pytest.param("matchers: ['b=~.+', a=x]", "matchers: [a=x, b=y]", False, id="an expression and a value"),
    ],
)  # fmt: skip
def test_a_route_behind_one_that_takes_everything_it_matches_is_not_reached(
    warnings, first, second, is_reached
):
    found = warnings(tree(first, second))

    expected = "6:7: route.routes[1]: warning: no alert gets here, route.routes[0] takes it; move this route up, or let that one continue"
    assert found == ([] if is_reached else [expected])


@pytest.mark.parametrize(
    ("route", "one", "other"),
    [
        pytest.param("matchers: [a=x, a=y]", 'a="x"', 'a="y"', id="two values of a label"),
        pytest.param("matchers: [a=x, a!=x]", 'a="x"', 'a!="x"', id="a value and not that value"),
        pytest.param("matchers: ['a=~x|y', a=z]", 'a=~"x|y"', 'a="z"', id="one of two values and a third"),
    ],
)
def test_matchers_that_contradict_each_other_match_nothing(warnings, route, one, other):
    found = warnings(tree(route))

    assert found == [
        f"5:7: route.routes[0]: warning: no alert can match both {one} and {other}; correct the matchers"
    ]


def test_matchers_that_contradict_those_above_match_nothing(warnings):
    found = warnings(tree("matchers: [a=x], routes: [{matchers: [a=y]}]"))

    assert found == [
        '5:34: route.routes[0].routes[0]: warning: no alert can match both a="x" and a="y"; correct the matchers'
    ]


@pytest.mark.parametrize(
    ("window", "is_open"),
    [
        pytest.param("{weekdays: [monday]}", True, id="Mondays come"),
        pytest.param("{days_of_month: ['31'], months: [february]}", False, id="31 February does not"),
        pytest.param("{days_of_month: ['29'], months: [february]}", True, id="29 February does"),
        pytest.param("{years: ['2020']}", False, id="years that have passed do not"),
        pytest.param("{months: ['13']}", False, id="a thirteenth month does not"),
        pytest.param("{times: []}", False, id="an empty list of times is no time"),
    ],
)
def test_a_time_interval_that_never_comes_is_pointed_out(warnings, window, is_open):
    found = warnings(
        tree().replace("  routes:\n", "") + f"time_intervals: [{{name: t, time_intervals: [{window}]}}]\n"
    )

    expected = '4:18: time_intervals[0]: warning: the time interval "t" is not active once in five years; correct its fields'
    assert found == ([] if is_open else [expected])


def intervals(windows, more=""):
    """A file with one interval in line 4."""
    return (
        tree().replace("  routes:\n", "")
        + f"time_intervals: [{{name: t, time_intervals: [{windows}]{more}}}]\n"
    )


@pytest.mark.parametrize(
    ("windows", "is_pointless"),
    [
        pytest.param("{}", True, id="a window without limits"),
        pytest.param('{weekdays: ["monday:saturday"]}', False, id="every day but Sunday"),
        pytest.param('{weekdays: ["monday:sunday"]}', True, id="every day"),
        pytest.param('{times: [{start_time: "06:00", end_time: "05:59"}]}', False, id="all but a minute"),
    ],
)
def test_a_time_interval_that_is_always_active_is_pointed_out(warnings, windows, is_pointless):
    found = warnings(intervals(windows))

    expected = '4:18: time_intervals[0]: warning: the time interval "t" is always active; name none, or correct its fields'
    assert found == ([expected] if is_pointless else [])


@pytest.mark.parametrize(
    ("holidays", "said"),
    [
        pytest.param('dates: ["2026-12-24"]', "the last of these holidays is 2026-12-24; add those that follow", id="in a month"),
        pytest.param('dates: ["2027-02-17"]', "the last of these holidays is 2027-02-17; add those that follow", id="in 89 days"),
        pytest.param('dates: ["2027-02-18"]', None, id="in 90 days"),
        pytest.param('dates: ["2020-12-24"]', "these holidays are long over; add those that follow", id="years ago"),
        pytest.param('country: US, dates: ["2026-12-24"]', None, id="a country goes on"),
        pytest.param("calendar_file: once.ics", "the last of these holidays is 2026-12-25; add those that follow", id="a calendar that ends"),
        pytest.param("calendar_file: yearly.ics", None, id="a calendar that goes on"),
    ],
)  # fmt: skip
def test_holidays_that_run_out_are_pointed_out(warnings, tmp_path, holidays, said):
    event = "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20261225\r\n"
    for name, rule in (("once.ics", ""), ("yearly.ics", "RRULE:FREQ=YEARLY\r\n")):
        text = f"BEGIN:VCALENDAR\r\n{event}{rule}END:VEVENT\r\nEND:VCALENDAR\r\n"
        (tmp_path / name).write_bytes(text.encode())

    found = warnings(intervals("{weekdays: [monday]}", f", holidays: {{{holidays}}}"))

    expected = [f"4:78: time_intervals[0].holidays: warning: {said}"]
    assert found == (expected if said else [])


@pytest.mark.parametrize(
    ("start", "end", "location", "said"),
    [
        pytest.param("09:00", "17:00", "Europe/Berlin", [], id="far from any change"),
        pytest.param("02:00", "03:00", "Europe/Berlin", [], id="just as the clocks are changed"),
        pytest.param("02:30", "03:30", "Asia/Kolkata", [], id="where they never are"),
        pytest.param(
            "02:30", "04:00", "Europe/Berlin",
            [
                "on 2027-03-28 the clocks of Europe/Berlin skip 02:00 to 03:00, where 02:30 is; that day it is active 01:00 to 02:00 UTC",
                "on 2027-10-31 the clocks of Europe/Berlin show twice 02:00 to 03:00, where 02:30 is; that day it is active 00:30 to 01:00, 01:30 to 03:00 UTC",
            ],
            id="a start inside",
        ),
        pytest.param(
            "02:15", "02:45", "Europe/Berlin",
            [
                "on 2027-03-28 the clocks of Europe/Berlin skip 02:00 to 03:00, where 02:15 and 02:45 are; that day it is active at no time",
                "on 2027-10-31 the clocks of Europe/Berlin show twice 02:00 to 03:00, where 02:15 and 02:45 are; that day it is active 00:15 to 00:45, 01:15 to 01:45 UTC",
            ],
            id="both inside",
        ),
        pytest.param(
            "22:00", "02:15", "Australia/Lord_Howe",
            [
                "on 2027-10-03 the clocks of Australia/Lord_Howe skip 02:00 to 02:30, where 02:15 is",
            ],
            id="half an hour, in the south, at the end of a night",
        ),
    ],
)  # fmt: skip
def test_a_boundary_that_a_change_of_the_clocks_touches_is_pointed_out(warnings, start, end, location, said):
    times = f'{{times: [{{start_time: "{start}", end_time: "{end}"}}], location: {location}}}'

    found = warnings(intervals(times))

    assert len(found) == len(said)
    for line, words in zip(found, said, strict=True):
        assert words in line, line
        assert line.startswith("4:45: time_intervals[0].time_intervals[0]: warning: on ")


def test_a_day_without_the_interval_is_not_pointed_out(warnings):
    times = '{times: [{start_time: "02:30", end_time: "04:00"}], location: Europe/Berlin, weekdays: ["monday:friday"]}'

    assert warnings(intervals(times)) == []


def test_a_receiver_without_destinations_reaches_nobody(warnings):
    found = warnings("receivers: [{name: ops}]\nroute: {receiver: ops}\n")

    assert found == [
        '1:13: receivers[0]: warning: the receiver "ops" has no destinations; what is routed to it reaches nobody'
    ]


def test_a_receiver_that_no_route_leads_to_is_pointed_out(warnings):
    found = warnings(
        "receivers:\n  - {name: ops, console_configs: [{}]}\n  - {name: spare, console_configs: [{}]}\n"
        "route: {receiver: ops}\n"
    )

    assert found == [
        '3:5: receivers[1]: warning: no route leads to the receiver "spare"; route something to it, or remove it'
    ]


def test_the_fallback_needs_no_route(warnings):
    found = warnings(
        "receivers:\n  - {name: ops, console_configs: [{}]}\n  - {name: fallback, console_configs: [{}]}\n"
        "route: {receiver: ops}\n"
    )

    assert found == []


def test_a_file_that_cannot_be_read_is_pointed_out(warnings, tmp_path):
    (tmp_path / "there").write_text("x")

    found = warnings(
        "receivers: [{name: ops, slack_configs: [{api_url_file: gone}]}]\nroute: {receiver: ops}\n"
        'sources: [{name: a, token_files: [there, "a\\0b"]}]\n'
    )

    assert found == [
        "1:56: receivers[0].slack_configs[0].api_url_file: warning: the file gone cannot be read; write it, or correct the path",
        r"3:42: sources[0].token_files[1]: warning: the file a\x00b cannot be read; write it, or correct the path",
    ]


def test_errors_leave_no_room_for_warnings(tmp_path):
    file = tmp_path / "routing.yaml"
    file.write_text("route: {receiver: x}\nreceivers: [{name: y}]\n")

    errors, warnings = check(file, {}, AT)

    assert (len(errors), warnings) == (1, [])


def test_a_file_that_is_not_there_is_an_error_of_check(tmp_path):
    errors, warnings = check(tmp_path / "none", {}, AT)

    assert (len(errors), warnings) == (1, [])


def test_two_thousand_routes_load_in_about_a_second_and_are_all_reached(warnings):
    routes = [
        f"matchers: ['team=\"t{n}\"', 'severity=~\"critical|page\"'], group_by: [alertname]"
        for n in range(2000)
    ]
    text = tree(*routes)

    found = warnings(text)

    assert found == []
    assert len(parse(text, {}).tree.children) == 2000


WINDOWS = """time_intervals:
  - {name: nights, time_intervals: [{times: [{start_time: "00:00", end_time: "06:00"}]}]}
  - {name: days, time_intervals: [{times: [{start_time: "06:00", end_time: "24:00"}]}]}
  - {name: long_ago, time_intervals: [{years: ["2001"]}]}
receivers: [{name: ops, console_configs: [{}]}]
route: {receiver: ops}
mute_windows:
"""


@pytest.mark.parametrize(
    ("window", "warning"),
    [
        pytest.param("matchers: [a=x], time_intervals: [nights]", None, id="what is usual"),
        pytest.param("matchers: [a=x], time_intervals: [nights, long_ago]", None, id="one of two is never active"),
        pytest.param("matchers: [a=x], time_intervals: [long_ago]", "is not active once in five years", id="never"),
        pytest.param("matchers: [a=x], time_intervals: [days, nights]", "does not end within a year", id="always"),
        pytest.param("time_intervals: [nights]", "keeps every alert quiet", id="no matcher"),
        pytest.param("matchers: ['a=~.*'], time_intervals: [nights]", "keeps every alert quiet", id="no limit"),
        pytest.param("matchers: [a!=x], time_intervals: [nights]", "keeps every alert quiet", id="hardly a limit"),
        pytest.param("matchers: [a=x, a=y], time_intervals: [nights]", 'no alert can match both a="x" and a="y"', id="nothing"),
    ],
)  # fmt: skip
def test_a_mute_window_that_can_hardly_be_meant_is_pointed_out(warnings, window, warning):
    found = warnings(f"{WINDOWS}  - {{name: w, {window}}}\n")

    of_windows = [line for line in found if "mute_windows" in line]
    if warning is None:
        assert of_windows == []
    else:
        assert len(of_windows) == 1
        assert of_windows[0].startswith("8:5: mute_windows[0]: warning: ")
        assert warning in of_windows[0]


@pytest.mark.parametrize(
    ("windows", "error"),
    [
        ("[{name: w, time_intervals: [night]}]", 'mute_windows[0].time_intervals[0]: the time interval "night" is not defined; did you mean "nights"?'),
        ("[{name: w, time_intervals: []}]", "mute_windows[0].time_intervals: is empty"),
        ("[{name: w, time_intervals: [nights]}, {name: w, time_intervals: [days]}]", 'mute_windows[1].name: the mute window "w" is defined twice'),
        ("[{name: w, time_intervals: [nights], matcher: [a=x]}]", "mute_windows[0].matcher: is not a known key"),
        ("[{name: w, time_intervals: [nights], matchers: ['a=~(']}]", "mute_windows[0].matchers"),
    ],
)  # fmt: skip
def test_a_mute_window_that_cannot_be_understood_is_an_error(tmp_path, windows, error):
    file = tmp_path / "routing.yaml"
    file.write_text(WINDOWS.replace("mute_windows:\n", f"mute_windows: {windows}\n"))

    errors, _ = check(file, {}, AT)

    assert error in "\n".join(errors)
