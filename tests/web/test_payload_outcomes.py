"""What becomes of every body that was ever collected? One line each: status, alerts accepted, rows in
quarantine, and the incidents: state, severity, firing/all alerts, title."""

import pytest

from tests.web.bodies import NEARBY, SHIPPED, nearby, shipped

STATED = {
    "alerta_v3.json": (200, 1, 0, "triggered critical 1/1 failedConnect"),
    "alerta_v4.json": (200, 1, 0, "triggered critical 1/1 thing_dead"),
    "alertmanager_docs_schema_not_json.txt": (400, 0, 1),
    "am025_empty_label_value_is_dropped.json": (200, 1, 0, "triggered warning 1/1 EmptyValue"),
    "am025_group_by_all_1.json": (200, 1, 0, "triggered none 1/1 GroupAll"),
    "am025_group_by_all_2.json": (200, 1, 0, "triggered none 1/1 GroupAll"),
    "am025_huge_300_alerts.json": (200, 300, 0, "triggered warning 300/300 KubePodCrashLooping"),
    "am025_huge_first_flush.json": (200, 70, 0, "triggered warning 70/70 KubePodCrashLooping"),
    "am025_long_label_values.json": (200, 1, 0, f"triggered none 1/1 {'L' * 199}…"),
    "am025_many_labels_120.json": (200, 1, 0, "triggered none 1/1 ManyLabels"),
    "am025_no_annotations_no_generator.json": (200, 1, 0, "triggered none 1/1 Bare"),
    "am025_seq_1_firing_one.json": (200, 1, 0, "triggered critical 1/1 HighLatency"),
    "am025_seq_2_firing_two_more.json": (200, 3, 0, "triggered critical 3/3 HighLatency"),
    "am025_seq_3_one_resolved.json": (200, 3, 0, "triggered critical 2/2 HighLatency"),
    "am025_seq_5_all_resolved.json": (200, 3, 0),
    "am025_seq_6_refire_same_fingerprint.json": (200, 1, 0, "triggered critical 1/1 HighLatency"),
    "am025_truncated_10_alerts_max_3.json": (200, 3, 0, "triggered warning 3/3 DiskFull"),
    "am025_unicode_scripts.json": (200, 1, 0, "triggered критично 1/1 磁盘空间不足"),
    "am025_watchdog_1.json": (200, 1, 0, "triggered none 1/1 Watchdog"),
    "edge_alerts_missing.json": (422, 0, 1),
    "edge_alerts_null.json": (422, 0, 1),
    "edge_empty_alerts_list.json": (200, 0, 0),
    "edge_empty_body.json": (400, 0, 1),
    "edge_extra_fields.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_fingerprint_missing.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_form_encoded_body.txt": (400, 0, 1),
    "edge_groupkey_empty.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_groupkey_null.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_label_name_invalid.json": (200, 1, 0, "triggered none 1/1 X"),
    "edge_label_value_null.json": (200, 1, 0, "triggered none 1/1 X"),
    "edge_label_value_number.json": (200, 1, 0, "triggered none 1/1 X"),
    "edge_labels_empty.json": (422, 0, 1),
    "edge_labels_missing.json": (422, 0, 1),
    "edge_latin1_bytes.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_same_alert_twice.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_startsat_garbage.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_startsat_nanoseconds.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_startsat_zero.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_status_unknown.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_top_level_array_api_v2_post_body.json": (422, 0, 1),
    "edge_top_level_null.json": (422, 0, 1),
    "edge_top_level_string.json": (422, 0, 1),
    "edge_trailing_garbage.json": (400, 0, 1),
    "edge_truncated_alerts_string.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_truncated_json.json": (400, 0, 1),
    "edge_utf8_bom.json": (200, 1, 0, "triggered critical 1/1 X"),
    "edge_version_5.json": (200, 1, 0, "triggered critical 1/1 X"),
    "msteams_12_alerts_sections.json": (200, 12, 0, "triggered page 12/12 NodeEvent"),
    "msteams_19_alerts.json": (200, 19, 0, "triggered page 19/19 NodeEvent"),
    "msteams_2_alerts.json": (200, 2, 0, "triggered none 2/2 high_memory_load, high_memory_load2"),
    "msteams_disable_grouping_2.json": (200, 1, 0, "triggered warning 1/1 high_memory_load"),
    "msteams_label.json": (200, 1, 0, "triggered warning 1/1 high_memory_load"),
    "msteams_single.json": (200, 1, 0, "triggered warning 1/1 high_memory_load"),
    "snmpnotifier_mixed_minimal.json": (200, 2, 0, "triggered critical 2/2 TestAlert"),
    "v034_repeat.json": (200, 1, 0, "triggered none 1/1 DiskFull"),
    "v034_route_labels.json": (200, 2, 0, "triggered none 2/2 DiskFull"),
    "zulip_alertmanager_two_alerts.json": (200, 2, 0, "triggered critical 2/2 High CPU Temperature"),
    "zulip_grafana11_imageurl.json": (200, 1, 0, "triggered none 1/1 Memory (copy)"),
    "zulip_grafana8_two_alerts.json": (200, 2, 0, "triggered none 2/2 High memory usage, High CPU usage"),
    "zulip_grafana9_single.json": (200, 1, 0, "triggered none 1/1 Test alert"),
    "zulip_grafana_values.json": (200, 1, 0, "triggered none 1/1 Memory (copy)"),
    "recordings/am-0.28.1-mixed-one-resolved.json": (200, 3, 0, "triggered critical 2/2 mixed"),
    "recordings/am-0.33.1-first-notification-partial-group.json": (200, 2, 0, "triggered critical 2/2 mixed"),
    "recordings/am-0.33.1-mixed-one-resolved.json": (200, 3, 0, "triggered critical 2/2 mixed"),
    "recordings/am-minimal-alert-no-annotations.json": (200, 1, 0, "triggered none 1/1 nolabels"),
    "recordings/am-mixed-1-all-firing.json": (200, 3, 0, "triggered critical 3/3 mixed"),
    "recordings/am-mixed-2-one-resolved-status-still-firing.json": (
        200,
        3,
        0,
        "triggered critical 2/2 mixed",
    ),
    "recordings/am-mixed-3-resolved-dropped-new-added.json": (200, 3, 0, "triggered critical 3/3 mixed"),
    "recordings/am-mixed-4-repeat.json": (200, 3, 0, "triggered critical 3/3 mixed"),
    "recordings/am-retry-503-attempt1.json": (200, 1, 0, "triggered critical 1/1 codes"),
    "recordings/am-retry-503-attempt2.json": (200, 1, 0, "triggered critical 1/1 codes"),
    "recordings/am_alerts.json": (422, 0, 1),
    "recordings/am_status.json": (422, 0, 1),
    "recordings/auth-001-firing.json": (200, 1, 0, "triggered warning 1/1 SingleAlert"),
    "recordings/auth-002-resolved.json": (200, 1, 0),
    "recordings/fail500-001-firing.json": (200, 1, 0, "triggered warning 1/1 SingleAlert"),
    "recordings/flat-001-firing.json": (200, 6, 0, "triggered critical 6/6 HighErrorRatio"),
    "recordings/flat-002-resolved.json": (200, 6, 0),
    "recordings/groupbyall-001-firing.json": (200, 1, 0, "triggered warning 1/1 SingleAlert"),
    "recordings/main-001-firing.json": (200, 3, 0, "triggered critical 3/3 HighErrorRatio"),
    "recordings/main-002-firing.json": (200, 3, 0, "triggered critical 3/3 HighErrorRatio"),
    "recordings/main-003-firing.json": (200, 1, 0, "triggered warning 1/1 SingleAlert"),
    "recordings/main-004-resolved.json": (200, 1, 0),
    "recordings/main-005-resolved.json": (200, 3, 0),
    "recordings/main-006-resolved.json": (200, 3, 0),
    "recordings/prom_rules.json": (422, 0, 1),
    "recordings/query_range.json": (422, 0, 1),
    "recordings/trunc-001-firing.json": (200, 3, 0, "triggered critical 3/3 HighErrorRatio"),
    "recordings/trunc-002-resolved.json": (200, 3, 0),
}
STATED_NEARBY = {  # whose licence is not clear, or which are no bodies at all: not shipped
    "INDEX.json": (422, 0, 1),
    "bougou_grafana_values.json": (200, 1, 0, "triggered none 1/1 CPU Usage High"),
    "fingerprint_vectors.json": (422, 0, 1),
    "imgix_no_version_no_groupkey_empty_fingerprint.json": (200, 2, 0, "triggered none 2/2 InstanceDown"),
    "incaller_v3_numeric_groupkey_uint64_overflow.json": (200, 1, 0, "triggered warning 1/1 empty_value"),
    "incaller_v3_simple.json": (200, 1, 0, "triggered warning 1/1 something_happend"),
    "keenwake_single.json": (200, 1, 0, "triggered critical 1/1 HighErrorRate"),
    "metalmatze_resolved_no_fingerprint.json": (200, 1, 0),
    "tiamxu_cjk_two_alerts.json": (200, 2, 0, "triggered critical 2/2 服务异常告警"),
    "unknownrepo_empty_grouplabels.json": (200, 1, 0, "triggered high 1/1 HighValue"),
    "unknownrepo_watchdog_minimal.json": (200, 1, 0, "triggered none 1/1 Watchdog"),
    "recordings/README.md": (400, 0, 1),
}
SHIPPED_NAMES = sorted(
    str(file.relative_to(SHIPPED)) for file in SHIPPED.rglob("*") if file.is_file() and file.name != "NOTICE"
)


async def outcome(tocsin, number, body):
    """Return what became of a body; a source of its own keeps it apart from the others."""
    source = f"source-{number}"
    answer = await tocsin.post(body, source=source)
    kept = await tocsin.rows("payload", source=source)
    quarantined = await tocsin.rows("quarantine", source=source)
    opened = await tocsin.rows("incident", source=source)
    said = [
        f"{one['state']} {one['severity']} {one['firing']}/{one['total']} {one['title']}" for one in opened
    ]
    return (answer.status_code, sum(one["alerts"] for one in kept), len(quarantined), *said)


def test_every_file_that_ships_has_a_stated_outcome():
    assert sorted(STATED) == SHIPPED_NAMES


@pytest.mark.skipif(not NEARBY.exists(), reason="the whole collection is not beside this checkout")
def test_every_file_of_the_whole_collection_has_a_stated_outcome():
    assert set(nearby()) == STATED.keys() | STATED_NEARBY.keys()


async def test_every_file_has_the_outcome_that_is_stated(tocsin):
    became = {name: await outcome(tocsin, number, shipped(name)) for number, name in enumerate(SHIPPED_NAMES)}

    assert became == STATED


@pytest.mark.skipif(not NEARBY.exists(), reason="bodies without a clear licence are not beside this checkout")
async def test_every_file_that_may_not_be_copied_has_the_outcome_that_is_stated(tocsin):
    bodies = nearby()

    became = {name: await outcome(tocsin, number, bodies[name]) for number, name in enumerate(STATED_NEARBY)}

    assert became == STATED_NEARBY
