"""Alerts take the routes that Alertmanager would give them."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from receiver.policy.hours import TimeInterval, is_open
from receiver.policy.routing import (
    ALERTMANAGERS,
    NOT_REACHED,
    Defaults,
    Route,
    explain,
    match,
    root_errors,
    tree,
    walk,
)
from tests.policy.tables import NEARBY, NOT_NEARBY, configuration, nearby, table, texts

UPSTREAM = table("routes/upstream.json")["tests"]
RANDOM = table("routes/random_oracle.json")["trees"]
REAL = table("routes/real_configs_oracle.json")["configs"]
TIMED = table("routes/time_routing_oracle.json")["configs"]
COMMANDS = table("routes/cli_routing.json")["cases"]
NOBODY = "nobody"  # some of Alertmanager's own tests have a root without a receiver


def alertmanagers_tree(route):
    """Return the tree with Alertmanager's defaults."""
    return tree(Route.model_validate({"receiver": NOBODY} | route), ALERTMANAGERS)


def identifiers_of(node, identifier="{}"):
    """Return Alertmanager's identifier of the node and of all below, by path."""
    found = {node.path: identifier}
    for position, child in enumerate(node.children):
        own = child.key.removeprefix(f"{node.key}/")
        found |= identifiers_of(child, f"{identifier}/{own}/{position}")
    return found


def as_in_the_table(node, identifiers):
    row = {
        "continue": node.continue_,
        "group_by": sorted(node.group_by or ()),
        "group_by_all": node.group_by_all,
        "group_interval_s": node.group_interval.total_seconds(),
        "group_wait_s": node.group_wait.total_seconds(),
        "id": identifiers[node.path],
        "key": node.key,
        "receiver": "" if node.receiver == NOBODY else node.receiver,
        "repeat_interval_s": node.repeat_interval.total_seconds(),
    }
    optional = {
        "active_time_intervals": list(node.active_time_intervals),
        "mute_time_intervals": list(node.mute_time_intervals),
        "route_labels": dict(node.labels),
    }
    return row | {name: value for name, value in optional.items() if value}


def assert_agrees(route, cases, walked=None):
    root = alertmanagers_tree(route)
    identifiers = identifiers_of(root)

    assert cases or walked
    for case in cases:
        found = [as_in_the_table(node, identifiers) for node in match(root, case["labels"])]
        assert found == case["matches"], case["labels"]
        taken = [answer["path"] for answer in explain(root, case["labels"]) if answer["taken"]]
        assert taken == [node.path for node in match(root, case["labels"])]
    if walked:
        assert [as_in_the_table(node, identifiers) for node in walk(root)] == walked


@pytest.mark.parametrize("row", UPSTREAM, ids=[row["upstream_test"] for row in UPSTREAM])
def test_routing_agrees_with_alertmanagers_own_tests(row):
    assert_agrees(texts(row["route_yaml"]), row["cases"], row.get("walk"))


@pytest.mark.parametrize("row", RANDOM, ids=[row["name"] for row in RANDOM])
def test_routing_agrees_on_random_trees(row):
    assert_agrees(texts(row["route_yaml"]), row["cases"])


@pytest.mark.parametrize("row", REAL, ids=[row["config"] for row in REAL])
def test_routing_agrees_on_real_configurations(row):
    assert_agrees(configuration(row["config"])["route"], row["cases"])


@pytest.mark.skipif(not NEARBY.exists(), reason=NOT_NEARBY)
def test_routing_agrees_on_configurations_that_may_not_be_copied():
    for row, config in nearby("routes/real_configs_oracle.json"):
        assert_agrees(config["route"], row["cases"])


@pytest.mark.parametrize("row", COMMANDS, ids=[f"{row['config']} {row['labels']}" for row in COMMANDS])
def test_routing_agrees_with_amtools_own_tests(row):
    root = alertmanagers_tree(configuration(row["config"])["route"])

    assert [node.receiver for node in match(root, row["labels"])] == row["receivers"]


def assert_agrees_in_time(config, cases):
    root = alertmanagers_tree(config["route"])
    rows = config.get("time_intervals", []) + config.get("mute_time_intervals", [])
    intervals = {row["name"]: TimeInterval.model_validate(row) for row in rows}

    assert cases
    for case in cases:
        at = datetime.fromisoformat(case["time"])
        for node, wanted in zip(match(root, case["labels"]), case["result"], strict=True):
            active = [intervals[name] for name in node.active_time_intervals]
            mute = [intervals[name] for name in node.mute_time_intervals]
            notify, why = is_open(active, mute, at)
            assert (node.receiver, node.key, notify) == (
                wanted["receiver"],
                wanted["key"],
                wanted["notify"],
            ), case
            assert wanted.get("because", "") in why
            assert all(name in why for name in wanted.get("muted_by") or ())


@pytest.mark.parametrize("row", TIMED, ids=[row["config"] for row in TIMED])
def test_hours_of_routes_agree(row):
    assert_agrees_in_time(configuration(row["config"]), row["cases"])


@pytest.mark.skipif(not NEARBY.exists(), reason=NOT_NEARBY)
def test_hours_of_routes_agree_on_configurations_that_may_not_be_copied():
    for row, config in nearby("routes/time_routing_oracle.json"):
        assert_agrees_in_time(config, row["cases"])


def a_tree(**root):
    return tree(Route.model_validate({"receiver": "ops"} | root))


TEAMS = a_tree(
    routes=[
        {"name": "db", "matchers": ['team="db"'], "continue": True},
        {"matchers": ['team=~"db|web"'], "routes": [{"matchers": ['severity="page"']}]},
        {"matchers": ['severity="page"']},
    ]
)


@pytest.mark.parametrize(
    ("labels", "paths"),
    [
        pytest.param({}, ["route"], id="what no route takes stays at the root"),
        pytest.param({"team": "web"}, ["route.routes[1]"], id="the first sibling takes it"),
        pytest.param(
            {"team": "db"}, ["route.routes[0]", "route.routes[1]"], id="continue asks the next sibling too"
        ),
        pytest.param(
            {"team": "web", "severity": "page"}, ["route.routes[1].routes[0]"], id="the deepest node takes it"
        ),
        pytest.param({"team": "dbx", "severity": "page"}, ["route.routes[2]"], id="regexes are anchored"),
    ],
)
def test_the_first_sibling_takes_an_alert_unless_it_continues(labels, paths):
    assert [node.path for node in match(TEAMS, labels)] == paths


def test_a_node_without_a_name_is_called_by_its_path():
    assert [node.name for node in walk(TEAMS)] == [
        "route",
        "db",
        "route.routes[1]",
        "route.routes[1].routes[0]",
        "route.routes[2]",
    ]


def test_an_explanation_names_the_matcher_that_failed_and_who_was_not_asked():
    said = {answer["path"]: answer["why"] for answer in explain(TEAMS, {"team": "web"})}

    assert said == {
        "route": "it has no matchers; routes below took it",
        "route.routes[0]": 'team="db" does not hold: team is "web"',
        "route.routes[1]": "every matcher holds",
        "route.routes[1].routes[0]": 'severity="page" does not hold: severity is ""',
        "route.routes[2]": NOT_REACHED,
    }


@pytest.mark.parametrize(
    ("below", "wanted"),
    [
        pytest.param({}, ("ops", "rota"), id="both are inherited"),
        pytest.param({"receiver": "db"}, ("db", None), id="a receiver takes the place of both"),
        pytest.param(
            {"escalation_policy": "page"}, (None, "page"), id="an escalation policy takes the place of both"
        ),
        pytest.param(
            {"receiver": "db", "escalation_policy": "page"},
            ("db", "page"),
            id="a route that names both uses both",
        ),
    ],
)
def test_who_is_told_is_inherited_or_replaced_as_a_whole(below, wanted):
    child = a_tree(escalation_policy="rota", routes=[below]).children[0]

    assert (child.receiver, child.escalation_policy) == wanted


@pytest.mark.parametrize(
    ("root", "below", "wanted"),
    [
        pytest.param({}, {}, (None, False), id="nobody says anything"),
        pytest.param({"group_by": []}, {}, ((), False), id="an empty list is one group for everything"),
        pytest.param({"group_by": ["a"]}, {}, (("a",), False), id="labels are inherited"),
        pytest.param({"group_by": ["a"]}, {"group_by": []}, ((), False), id="an empty list replaces labels"),
        pytest.param({"group_by": ["..."]}, {}, (None, True), id="all labels are inherited"),
        pytest.param(
            {"group_by": ["..."]}, {"group_by": ["b"]}, (("b",), False), id="labels replace all labels"
        ),
    ],
)
def test_grouping_is_inherited(root, below, wanted):
    child = a_tree(**root, routes=[below]).children[0]

    assert (child.group_by, child.group_by_all) == wanted


def test_our_own_defaults_hold_where_nobody_says_anything():
    root = a_tree()

    assert (root.group_wait, root.group_interval) == (timedelta(), timedelta(seconds=30))
    assert (root.repeat_interval, root.outside, root.break_through.severity) == (
        timedelta(hours=4),
        "defer",
        "critical",
    )
    assert tree(Route(receiver="ops"), Defaults(group_wait=timedelta(seconds=1))).group_wait == timedelta(
        seconds=1
    )


def test_hours_are_a_nodes_own_and_what_happens_outside_them_is_inherited():
    below = {
        "active_time_intervals": ["day"],
        "mute_time_intervals": ["lunch"],
        "routes": [{}, {"outside": "defer", "break_through": "page"}],
    }
    child = a_tree(outside="drop", break_through="warning", routes=[below]).children[0]
    silent, loud = child.children

    assert (child.active_time_intervals, silent.active_time_intervals) == (("day",), ())
    assert (child.mute_time_intervals, silent.mute_time_intervals) == (("lunch",), ())
    assert (silent.outside, silent.break_through.severity) == ("drop", "warning")
    assert (loud.outside, loud.break_through.severity) == ("defer", "page")


@pytest.mark.parametrize(
    ("root", "said"),
    [
        pytest.param({}, "needs a receiver", id="no receiver"),
        pytest.param({"receiver": "a", "matchers": ["a=b"]}, "cannot have matchers", id="matchers"),
        pytest.param({"receiver": "a", "match": {"a": "b"}}, "cannot have matchers", id="match"),
        pytest.param({"receiver": "a", "match_re": {"a": "b"}}, "cannot have matchers", id="match_re"),
        pytest.param(
            {"receiver": "a", "mute_time_intervals": ["x"]},
            "cannot have mute_time_intervals",
            id="mute intervals",
        ),
        pytest.param(
            {"receiver": "a", "active_time_intervals": ["x"]},
            "cannot have active_time_intervals",
            id="active intervals",
        ),
        pytest.param({"receiver": "a", "continue": True}, "remove continue", id="continue"),
    ],
)
def test_a_root_that_alertmanager_refuses_is_refused(root, said):
    route = Route.model_validate(root)

    with pytest.raises(ValueError, match=said):
        tree(route)

    assert len(root_errors(route)) == 1


def test_an_escalation_policy_at_the_root_is_somebody_to_tell():
    assert tree(Route(escalation_policy="page")).escalation_policy == "page"


@pytest.mark.parametrize(
    ("route", "said"),
    [
        pytest.param({"group_by": ["a", "a"]}, 'names "a" twice', id="a label twice in group_by"),
        pytest.param({"group_by": [""]}, "empty label name", id="an empty label in group_by"),
        pytest.param({"group_by": ["...", "a"]}, "stands alone", id="all labels and another one"),
        pytest.param({"group_interval": "0s"}, "cannot be zero", id="no group interval"),
        pytest.param({"repeat_interval": 0}, "cannot be zero", id="no repeat interval"),
        pytest.param({"outside": "later"}, "defer", id="an unknown way to be outside"),
        pytest.param({"recever": "a"}, "Extra inputs", id="an unknown key"),
    ],
)
def test_a_route_that_makes_no_sense_is_refused(route, said):
    with pytest.raises(ValidationError, match=said):
        Route.model_validate(route)


def test_a_route_that_is_written_out_can_be_read_again():
    route = Route.model_validate(
        {
            "receiver": "a",
            "group_wait": "1m",
            "routes": [{"matchers": ["a=b"], "match": {"c": "d"}, "continue": True}],
        }
    )

    assert Route.model_validate(route.model_dump()) == route
    assert Route.model_validate_json(route.model_dump_json()) == route


NAMES = st.sampled_from(["team", "severity", "env"])
VALUES = st.sampled_from(["db", "web", "page", ""])
MATCHER = st.builds('{}{}"{}"'.format, NAMES, st.sampled_from(["=", "!=", "=~", "!~"]), VALUES)
ROUTES = st.recursive(
    st.fixed_dictionaries({"matchers": st.lists(MATCHER, max_size=2), "continue": st.booleans()}),
    lambda below: st.fixed_dictionaries(
        {
            "matchers": st.lists(MATCHER, max_size=1),
            "continue": st.booleans(),
            "routes": st.lists(below, max_size=3),
        }
    ),
    max_leaves=8,
)


@settings(deadline=None)  # busy machines take longer
@given(st.lists(ROUTES, max_size=3), st.dictionaries(NAMES, VALUES))
def test_every_alert_finds_a_route_and_the_explanation_agrees(routes, labels):
    root = a_tree(routes=routes)

    found = [node.path for node in match(root, labels)]

    assert len(found) >= 1
    assert found == [answer["path"] for answer in explain(root, labels) if answer["taken"]]
