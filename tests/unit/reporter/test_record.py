"""The record of a run: known fields, sections, gaps."""

import json

import pytest
from tests.support.sorted_runs import (
    REPORT,
    RUN_ID,
    SORT,
    make_attempt,
    make_run_record,
    make_unsortable_record,
)

from spikefleet.core.rooms.reporting import ReportTask
from spikefleet.reporter.record import Material, build_record, diff_config

DEFAULTS = {"sorter": {"sorter_name": "kilosort4"}, "curation": {"snr_min": 5.0}}
CURATION = {
    "curation_parameters": {"snr_min": 5.0},
    "initial": ["1", "2"],
    "criteria": [
        {"name": "snr_min", "stage": "first", "metric": "snr", "bound": 5.0, "at_least": True}
    ],
    "curated": {"snr_min": ["1"]},
    "failed": {"snr_min": ["2"]},
    "curated_final": ["1"],
    "units": [
        {"unit_id": "1", "snr": 9.0, "spike_count": 80, "std_norm": None},
        {"unit_id": "2", "snr": 2.0, "spike_count": 50, "std_norm": 0.1},
    ],
}


def build(record, curation=None):
    task = ReportTask(record, REPORT, SORT)
    return build_record(task, Material(curation=curation or {}), DEFAULTS)


def test_fields_of_earlier_pipelines_are_kept():
    record = build(make_run_record(), CURATION)
    assert record["rec_name"] == "lab/2026-11-20/slice4"
    assert record["rec_path"] == "/data/rig/slice4.raw.h5"
    assert record["status"] == "success"
    assert record["wall_time_s"] == 32.0
    assert record["n_curated_units"] == 1
    assert record["retries_used"] == 0
    assert record["error_class"] is None
    assert record["peak_host_ram_pct"] == 40.0


def test_failure_is_named_in_the_known_fields_too():
    record = build(make_unsortable_record())
    assert record["error_class"] == "InsufficientActivityError"
    assert record["error_message"].startswith("The signal is silent")
    assert record["n_curated_units"] is None
    assert record["verdict"]["label"] == "Unsortable"


def test_each_sort_attempt_after_the_first_is_a_retry():
    attempts = [make_attempt("sort", 0, 9, state="failed"), make_attempt("sort", 9, 30)]
    assert build(make_run_record(attempts=attempts))["retries_used"] == 1


def test_units_say_which_criterion_rejected_them():
    units = build(make_run_record(), CURATION)["units"]
    assert [(u["unit_id"], u["passed"], u["failed_on"]) for u in units] == [
        ("1", True, ""),
        ("2", False, "snr_min"),
    ]


def test_quality_is_summarised_over_curated_units_without_what_was_not_measured():
    quality = build(make_run_record(), CURATION)["quality"]
    assert quality["snr"]["n"] == 1
    assert quality["snr"]["median"] == 9.0
    assert "std_norm" not in quality


def test_only_changed_settings_are_listed():
    record = build(make_run_record())
    assert record["config_diff"] == {"curation.snr_min": 4.0}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"curation": {"snr_min": 5.0}}, {}),
        ({"curation": {"snr_min": 5}}, {}),
        ({"curation": {"snr_min": 4.0}}, {"curation.snr_min": 4.0}),
        ({"curation": {"new": 1}}, {"curation.new": 1}),
        ({"top": 1}, {"top": 1}),
    ],
)
def test_difference_to_the_defaults_is_by_value(config, expected):
    assert diff_config(config, DEFAULTS) == expected


def test_empty_record_still_makes_a_record():
    record = build({})
    assert record["run"]["run_id"] == RUN_ID
    assert record["units"] == []
    assert record["verdict"]["sentence"]


def test_record_is_plain_json():
    record = build(make_run_record(), CURATION)
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_all_rejected_names_the_criterion_and_a_next_step():
    curation = CURATION | {
        "failed": {"snr_min": ["1", "2"]},
        "curated": {"snr_min": []},
        "curated_final": [],
    }
    verdict = build(make_run_record(), curation)["verdict"]
    assert verdict["tone"] == "warn"
    assert "snr_min rejected 2" in verdict["sentence"]
    assert "lower SNR" in verdict["next_step"]


def test_steps_stand_in_the_order_they_ran():
    outcome = {"timings_s": {"analyze": 3.0, "sort": 2.0, "load": 1.0}}
    record = build(make_run_record(attempts=[make_attempt("sort", 0, 9, outcome=outcome)]))
    assert list(record["timings_s"]) == ["load", "sort", "analyze"]


def test_attempt_that_makes_the_report_is_left_out():
    attempts = [make_attempt("sort", 0, 9), make_attempt("report", 9, 9, state="intended")]
    assert [a["stage"] for a in build(make_run_record(attempts=attempts))["attempts"]] == ["sort"]
