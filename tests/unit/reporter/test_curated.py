"""Rows of units and steps are of their own kinds, whatever curation.json holds."""

from __future__ import annotations

from typing import Any

import pytest

from spikefleet.reporter.curated import (
    curated_units,
    curation_section,
    is_replaced,
    tell_edits,
)

WRONG: tuple[Any, ...] = ("x", [1], {"a": 1}, True, 1e400, float("nan"), -1e308, 10**400, None)


def test_a_row_keeps_what_was_measured_and_says_what_rejected_it() -> None:
    unit = {"unit_id": "3", "snr": 7.5, "spike_count": 12, "possible_duplicate": True}
    (row,) = curated_units({"units": [unit], "failed": {"snr_min": ["3"]}})
    assert row == unit | {"passed": False, "failed_on": "snr_min"}


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("name", ["snr", "amplitude_uv", "shared_spikes", "a_later_metric"])
def test_a_metric_that_is_no_number_was_not_measured(name: str, value: Any) -> None:
    (row,) = curated_units({"units": [{"unit_id": "3", name: value}]})
    assert row[name] is None


@pytest.mark.parametrize("value", [*WRONG, -1], ids=lambda value: repr(value)[:20])
def test_counts_are_whole_and_not_negative_and_flags_are_flags(value: Any) -> None:
    named = {"spike_count": value, "channel_index": value, "has_positive_peak": value}
    (row,) = curated_units({"units": [{"unit_id": "3", **named}]})
    assert (row["spike_count"], row["channel_index"]) == (None, None)
    assert row["has_positive_peak"] is (value is True)


def test_half_characters_and_controls_reach_no_file() -> None:
    (row,) = curated_units({"units": [{"unit_id": "a\ud800", "channel_id": "\x1b[1m"}]})
    assert (row["unit_id"], row["channel_id"]) == ("a\ufffd", "\ufffd[1m")


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("part", ["units", "failed", "curated", "criteria", "initial"])
def test_a_part_of_another_shape_is_no_part(part: str, value: Any) -> None:
    whole = {"units": [{"unit_id": "3"}], "failed": {"snr_min": ["3"]}, "initial": ["3"]}
    assert len(curated_units(whole | {part: value})) <= 1
    assert curation_section(whole | {part: value})["steps"] == []


def test_a_threshold_without_a_number_is_not_shown() -> None:
    good = {"name": "snr_min", "metric": "snr", "bound": 5.0, "at_least": True}
    criteria = [good, {"name": [1], "bound": "x"}]
    document = {"criteria": criteria, "failed": {"snr_min": ["1"]}, "curated": {"snr_min": 3}}
    assert curation_section(document)["steps"] == [good | {"stage": "", "n_failed": 1, "n_left": 0}]


def test_units_that_may_be_one_neuron_are_told_with_what_says_so() -> None:
    told = {"unit_ids": ["3", 7], "method": "duplicates", "similarity": 0.9, "shifts": [0, 1]}
    document = {"merge_suggestions": [told, "x", {"unit_ids": 5}, {}]}
    assert curation_section(document)["suggestions"] == [
        {
            "units": ["3", "7"],
            "method": "duplicates",
            "similarity": 0.9,
            "violations_before": None,
            "violations_after": None,
        }
    ]


def test_who_curated_and_what_was_joined_is_told_in_a_sentence() -> None:
    edits = {"merges": [{}, {}], "splits": [{}]}
    by_hand = curation_section({"edits": edits, "by_hand": {"tool": "phy"}})
    assert tell_edits(by_hand) == "Curated by hand in phy, with 2 merges and 1 split."
    assert tell_edits(curation_section({"edits": {"merges": [{}]}})) == (
        "Curated by thresholds, with 1 merge."
    )
    assert tell_edits(curation_section({"initial": ["3"]})) == ""
    assert tell_edits({}) == ""


def test_a_unit_that_was_merged_is_no_possible_duplicate_any_more() -> None:
    assert is_replaced({"failed_on": "merged into 4+5"})
    assert is_replaced({"failed_on": "split into 4a, 4b"})
    assert not is_replaced({"failed_on": "snr_min"})
    assert not is_replaced({})
