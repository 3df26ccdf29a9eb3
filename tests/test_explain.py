"""An explanation says which way an alert takes, who hears of it when, and why not the others."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from receiver.config import parse
from receiver.explain import explain, in_words
from receiver.policy.matching import parse_matchers
from receiver.policy.muting import Silence
from receiver.resources import ROOT
from receiver.terminal import Pen
from tests.command import serving, tocsin

SATURDAY = datetime(2026, 3, 7, 3, 12, tzinfo=UTC)
MONDAY = datetime(2026, 3, 9, 10, 0, tzinfo=UTC)
OPENING = "2026-03-09T09:00:00Z"

POLICY = parse(
    """
    time_intervals:
      - name: office
        time_intervals: [{weekdays: ["monday:friday"], times: [{start_time: "09:00", end_time: "17:00"}]}]
      - name: nights
        time_intervals: [{times: [{start_time: "00:00", end_time: "06:00"}]}]
      - name: never
        time_intervals: [{years: ["1999"]}]
    receivers:
      - {name: ops, console_configs: [{}]}
      - {name: nobody}
    route:
      receiver: ops
      group_by: [alertname]
      routes:
        - {name: deferred, matchers: [team="a"], active_time_intervals: [office], group_wait: 2m}
        - {name: dropped, matchers: [team="b"], active_time_intervals: [office], outside: drop}
        - {name: muted, matchers: [team="c"], mute_time_intervals: [nights]}
        - {name: closed, matchers: [team="d"], active_time_intervals: [never]}
        - {name: empty, matchers: [team="e"], receiver: nobody}
        - name: nested
          matchers: [team="f"]
          routes:
            - {name: inner, matchers: [severity="critical"], continue: true}
            - {matchers: [severity=~"critical|error"]}
        - {name: last}
    inhibit_rules:
      - {source_matchers: [alertname="Down"], target_matchers: [team="a"]}
    """,
    {},
)


@pytest.mark.parametrize(
    ("labels", "at", "notify", "told_at"),
    [
        pytest.param({"team": "a"}, MONDAY, True, "2026-03-09T10:02:00Z", id="an open route tells after its group_wait"),
        pytest.param({"team": "a"}, SATURDAY, False, OPENING, id="a closed route tells when it opens"),
        pytest.param({"team": "a"}, MONDAY.replace(hour=8, minute=59), False, "2026-03-09T09:01:00Z", id="a route that opens during the group_wait tells after it"),
        pytest.param({"team": "a"}, MONDAY.replace(hour=16, minute=59), True, "2026-03-10T09:00:00Z", id="a route that closes during the group_wait tells when it opens again"),
        pytest.param({"team": "a", "severity": "critical"}, SATURDAY, True, "2026-03-07T03:14:00Z", id="a critical alert breaks through"),
        pytest.param({"team": "b", "severity": "critical"}, SATURDAY, False, OPENING, id="nothing breaks through where Alertmanager's behaviour is wanted"),
        pytest.param({"team": "c"}, SATURDAY, False, "2026-03-07T06:00:00Z", id="a muted route tells when it is no longer muted"),
        pytest.param({"team": "d"}, MONDAY, False, None, id="a route that never opens tells nobody"),
        pytest.param({"team": "e"}, MONDAY, True, None, id="a receiver without destinations tells nobody"),
    ],
)  # fmt: skip
def test_hours_decide_when_somebody_hears(labels, at, notify, told_at):
    answer = explain(POLICY, labels, at)

    assert answer["notify"] is notify
    assert [entry["at"] for entry in answer["plan"]] == ([told_at] if told_at else [])


def test_the_keys_of_the_answer_are_a_contract():
    labels = {"alertname": "HighLatency", "team": "f", "severity": "critical"}

    answer = explain(POLICY, labels, MONDAY)

    assert answer == {
        "at": "2026-03-09T10:00:00Z",
        "labels": labels,
        "severity": "critical",
        "routes": ["inner", "route.routes[5].routes[1]"],
        "receivers": ["ops", "ops"],
        "notify": True,
        "grouped_by": {"alertname": "HighLatency"},
        "tellings": [
            {"route": name, "receiver": "ops", "escalation_policy": None, "notify": True, "why": "open", "at": "2026-03-09T10:00:00Z", "repeats": "4h"}
            for name in ("inner", "route.routes[5].routes[1]")
        ],
        "plan": [
            {"after": "0s", "at": "2026-03-09T10:00:00Z", "to": "ops", "destinations": ["console stdout"], "route": "inner", "why": "open"}
        ],
        "tree": answer["tree"],
    }  # fmt: skip
    assert {key for node in answer["tree"] for key in node} == {"path", "name", "matched", "taken", "why"}


def test_the_answer_is_in_utc_whatever_the_question_was_in():
    tokyo = timezone(timedelta(hours=9))

    answer = explain(POLICY, {"team": "a"}, datetime(2026, 3, 9, 19, 0, tzinfo=tokyo))

    assert answer["at"] == "2026-03-09T10:00:00Z"
    assert answer["plan"][0]["at"] == "2026-03-09T10:02:00Z"


def test_a_plan_does_not_count_fractions_of_a_second():
    answer = explain(POLICY, {"team": "a"}, SATURDAY.replace(microsecond=1234))

    assert answer["plan"][0]["after"] == "2d5h47m59s"
    assert answer["plan"][0]["at"] == OPENING


def test_another_alert_that_fires_keeps_this_one_quiet():
    answer = explain(POLICY, {"team": "a"}, MONDAY, [{"alertname": "Down"}])

    assert (answer["routes"], answer["notify"], answer["plan"]) == (["deferred"], False, [])
    assert answer["tellings"][0]["why"] == "inhibited by Down"


def test_the_words_draw_the_tree():
    words = in_words(explain(POLICY, {"team": "f", "severity": "error"}, SATURDAY))

    assert words.split("\n\n")[1].splitlines() == [
        "Routes",
        "  ↓ route                            it has no matchers; routes below took it",
        '  ├─ ✘ deferred                      team="a" does not hold: team is "f"',
        '  ├─ ✘ dropped                       team="b" does not hold: team is "f"',
        '  ├─ ✘ muted                         team="c" does not hold: team is "f"',
        '  ├─ ✘ closed                        team="d" does not hold: team is "f"',
        '  ├─ ✘ empty                         team="e" does not hold: team is "f"',
        "  ├─ ↓ nested                        every matcher holds; routes below took it",
        '  │  ├─ ✘ inner                      severity="critical" does not hold: severity is "error"',
        "  │  └─ ✔ route.routes[5].routes[1]  every matcher holds → ops",
        "  └─ · last                          not reached: an earlier sibling matched without continue",
    ]


@pytest.mark.parametrize(
    ("labels", "at", "line"),
    [
        pytest.param({"team": "a"}, SATURDAY, "Mon 2026-03-09 09:00 UTC  in 2d5h48m  ops (console stdout), then every 4h until someone acknowledges", id="when, from now on, and to whom"),
        pytest.param({"team": "c"}, MONDAY, "Mon 2026-03-09 10:00 UTC   at once  ops (console stdout), then every 4h until someone acknowledges", id="at once"),
        pytest.param({"team": "a"}, SATURDAY, "deferred  outside active_time_intervals office; may speak Mon 2026-03-09 09:00 UTC", id="a closed route says when it opens"),
        pytest.param({"team": "d"}, MONDAY, "closed  outside active_time_intervals never; never open within a year", id="a route that never opens"),
        pytest.param({"team": "d"}, MONDAY, "nobody: outside active_time_intervals never", id="nobody hears, because of hours"),
        pytest.param({"team": "e"}, MONDAY, "nobody: nobody has no destinations", id="nobody hears, because nobody is there"),
        pytest.param({}, MONDAY, "an alert without labels  ·  Mon 2026-03-09 10:00 UTC", id="no labels"),
        pytest.param({"a": "\x1b[2Jx"}, MONDAY, "a=\\x1b[2Jx  ·  Mon 2026-03-09 10:00 UTC", id="a label cannot drive the terminal"),
    ],
)  # fmt: skip
def test_the_words_say(labels, at, line):
    assert line in in_words(explain(POLICY, labels, at))


WAITING = parse(
    """
    time_intervals:
      - name: office
        time_intervals: [{weekdays: ["monday:friday"], times: [{start_time: "09:00", end_time: "17:00"}]}]
    receivers: [{name: ops, console_configs: [{}]}]
    route:
      receiver: ops
      routes: [{group_wait: 2m, active_time_intervals: [office], break_through: {count: 5, after: 2h}}]
    """,
    {},
)


@pytest.mark.parametrize(
    ("at", "notify", "told_at", "why"),
    [
        pytest.param(MONDAY, True, "2026-03-09T10:02:00Z", "open", id="inside the hours it makes no difference"),
        pytest.param(
            SATURDAY, False, "2026-03-07T05:12:00Z",
            "outside active_time_intervals office, but what fires for that long breaks through",
            id="outside them nobody waits for longer",
        ),
        pytest.param(
            MONDAY.replace(hour=8), False, "2026-03-09T09:00:00Z", "outside active_time_intervals office",
            id="unless they begin before",
        ),
        pytest.param(
            MONDAY.replace(hour=16, minute=59), True, "2026-03-09T18:59:00Z", "open",
            id="also where they end during the group_wait",
        ),
    ],
)  # fmt: skip
def test_what_fires_for_long_breaks_through(at, notify, told_at, why):
    [telling] = explain(WAITING, {"severity": "warning"}, at)["tellings"]

    assert (telling["notify"], telling["at"], telling["why"]) == (notify, told_at, why)


def test_colours_change_nothing_but_the_colour():
    answer = explain(POLICY, {"team": "a"}, SATURDAY)

    coloured = in_words(answer, Pen(colours=True))

    assert coloured != in_words(answer)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == in_words(answer)


WINDOWS = parse(
    """
    time_intervals:
      - name: office
        time_intervals: [{weekdays: ["monday:friday"], times: [{start_time: "09:00", end_time: "17:00"}]}]
      - name: small_hours
        time_intervals: [{times: [{start_time: "02:00", end_time: "04:00"}]}]
      - name: mornings
        time_intervals: [{times: [{start_time: "08:00", end_time: "09:30"}]}]
      - name: always
        time_intervals: [{}]
    receivers: [{name: ops, console_configs: [{}]}]
    route:
      receiver: ops
      routes:
        - {name: deferred, matchers: [team="a"], active_time_intervals: [office]}
        - {name: slow, matchers: [team="b"], group_wait: 2h}
    mute_windows:
      - {name: backup, matchers: [job="db"], time_intervals: [small_hours], text: the nightly dump}
      - {name: reports, matchers: [team="a"], time_intervals: [mornings]}
      - {name: gone, matchers: [team="c"], time_intervals: [always]}
    """,
    {},
)
BACKUP = "mute window backup until 2026-03-07T04:00:00Z: the nightly dump"


def silence(matchers, hours, begins=SATURDAY, by="ana"):
    ends_at = begins + timedelta(hours=hours)
    return Silence(tuple(parse_matchers(matchers)), begins, ends_at, by, "")


@pytest.mark.parametrize(
    ("labels", "silences", "notify", "why", "told_at"),
    [
        pytest.param({"job": "db"}, [], False, BACKUP, "2026-03-07T04:00:00Z", id="a window tells when it closes"),
        pytest.param({"job": "web"}, [], True, "open", "2026-03-07T03:12:00Z", id="it keeps quiet what it names"),
        pytest.param({"job": "db", "severity": "critical"}, [], False, BACKUP, "2026-03-07T04:00:00Z", id="nothing breaks through a window"),
        pytest.param({"job": "db", "team": "a"}, [], False, BACKUP, "2026-03-09T09:30:00Z", id="hours and another window come after it"),
        pytest.param({"job": "db", "team": "a", "severity": "critical"}, [], False, BACKUP, "2026-03-07T04:00:00Z", id="what breaks through hours waits for the window only"),
        pytest.param({"job": "db", "team": "b"}, [], False, BACKUP, "2026-03-07T05:12:00Z", id="a window may close within the group_wait"),
        pytest.param({"team": "c"}, [], False, "mute window gone", None, id="a window without end lets nobody hear"),
        pytest.param({"job": "web"}, [silence("job=web", 5)], False, "silenced by ana until 2026-03-07T08:12:00Z", "2026-03-07T08:12:00Z", id="a silence tells when it ends"),
        pytest.param({"job": "web"}, [silence("job=db", 5)], True, "open", "2026-03-07T03:12:00Z", id="a silence is for what it names"),
        pytest.param({"job": "db"}, [silence("job=db", 5)], False, "silenced by ana until 2026-03-07T08:12:00Z", "2026-03-07T08:12:00Z", id="of both, what lasts longer is said"),
        pytest.param({"job": "web"}, [silence("job=web", 1), silence("job=web", 1, SATURDAY + timedelta(hours=1))], False, "silenced by ana until 2026-03-07T04:12:00Z", "2026-03-07T05:12:00Z", id="silences follow each other"),
        pytest.param({"job": "web"}, [silence("job=web", 1, SATURDAY + timedelta(hours=1))], True, "open", "2026-03-07T03:12:00Z", id="a silence that begins later does not count yet"),
        pytest.param({"team": "b"}, [silence("team=b", 4, SATURDAY + timedelta(hours=1))], True, "open", "2026-03-07T08:12:00Z", id="unless the group_wait leads into it"),
    ],
)  # fmt: skip
def test_quiet_on_purpose_decides_when_somebody_hears(labels, silences, notify, why, told_at):
    answer = explain(WINDOWS, labels, SATURDAY, silences=silences)

    assert answer["notify"] is notify
    assert [one["why"] for one in answer["tellings"]] == [why]
    assert [entry["at"] for entry in answer["plan"]] == ([told_at] if told_at else [])


def test_the_words_say_which_window_it_is_and_when_it_may_speak():
    words = in_words(explain(WINDOWS, {"job": "db"}, SATURDAY))

    assert f"{BACKUP}; may speak Sat 2026-03-07 04:00 UTC" in words


BLOCK = re.compile(r"^```(yaml|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def steady(text):
    """Return what is printed without what is different each time."""
    return re.sub(r"(?<=Drill )[0-9a-f]{16}|(?<=127.0.0.1:)\d+|\d+(?= ms)", "…", text)


@pytest.mark.parametrize("page", ["explain.md", "hours.md", "testing-policy.md"])
def test_every_example_of_a_page_prints_what_the_page_says(tmp_path, page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)

    assert len(blocks) == text.count("\n```") / 2
    for kind, content in blocks:
        if kind == "yaml":
            name = content.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(content, encoding="utf-8")
            continue
        command, _, said = content.partition("\n")
        arguments = command.removeprefix("$ tocsin ").split()
        if arguments[0] == "test-alert":
            with serving(tmp_path, (tmp_path / "routing.yaml").read_text(encoding="utf-8")) as url:
                ran = tocsin(*arguments, "--url", url, within=tmp_path)
        else:
            ran = tocsin(*arguments, within=tmp_path)
        assert steady(ran.stdout + ran.stderr) == steady(said), command
