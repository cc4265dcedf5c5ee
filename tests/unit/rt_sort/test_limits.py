"""The limits of RT-Sort: three tables, changes by the authors' names, refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.rt_sort.limits import TABLES, limits_of


def test_the_published_limits_are_those_of_the_authors() -> None:
    limits = limits_of("mea_published")
    assert (limits.max_latency_diff_spikes, limits.max_amp_median_diff_spikes) == (3.5, 0.65)
    assert math.isinf(limits.max_root_amp_median_std_sequences)


def test_arrays_begin_with_published_thresholds_and_the_limits_of_neuropixels() -> None:
    mea, neuropixels = limits_of("mea"), limits_of("neuropixels")
    assert (mea.stringent_thresh, neuropixels.stringent_thresh) == (0.275, 0.175)
    assert mea.max_latency_diff_sequences == neuropixels.max_latency_diff_sequences == 2.5


@pytest.mark.parametrize("table", TABLES)
def test_limits_survive_being_written_down(table: str) -> None:
    limits = limits_of(table)
    assert limits_of("mea", limits.to_json()) == limits


def test_a_change_is_laid_over_the_table() -> None:
    assert limits_of("mea", {"inner_radius": 60}).inner_radius == 60.0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"inner_radus": 40}, "no such limit"),
        ({"inner_radius": "wide"}, "must be a number"),
        ({"inner_radius": math.nan}, "must be a number"),
        ({"inner_radius": math.inf}, "must be finite"),
        ({"inner_radius": -1}, "above zero"),
        ({"inner_radius": 200}, "larger than outer_radius"),
        ({"stringent_thresh": 1.5}, "between 0 and 1"),
        ({"loose_thresh": 0.5}, "loose_thresh ≤ stringent_thresh"),
        ({"min_coc_n": 2.5}, "whole number"),
        ({"min_coc_n": True}, "must be a number"),
        ({"split_coc_clusters_amps": 1}, "true or false"),
    ],
)
def test_what_is_no_limit_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidConfigurationError, match=told) as raised:
        limits_of("mea", changes)
    assert raised.value.field == f"rt_sort.params.{next(iter(changes))}"
