"""Curation by thresholds: order, stages, history."""

import json
import math

import pytest

from spikefleet.core.config.units import CurationConfig
from spikefleet.core.failures.errors import EmptyWaveformMetricsError
from spikefleet.signal.units.curate import curate_units
from spikefleet.signal.units.quality import UnitQuality


def make_unit(unit_id: str, **changes: object) -> UnitQuality:
    """A unit that passes every default threshold."""
    values: dict[str, object] = {
        "unit_id": unit_id,
        "spike_count": 100,
        "firing_rate_hz": 2.0,
        "isi_violation_count": 0,
        "isi_percent": 0.0,
        "isi_hill": 0.0,
        "snr": 9.0,
        "amplitude_uv": 80.0,
        "std_norm": 0.2,
        "presence_ratio": 1.0,
        "channel_id": "ch0",
        "channel_index": 0,
        "x_um": 0.0,
        "y_um": 0.0,
        "has_positive_peak": False,
    }
    return UnitQuality(**(values | changes))  # type: ignore[arg-type]


def test_criteria_run_in_the_documented_order_over_both_stages():
    history = curate_units([make_unit("a")], CurationConfig())
    assert [c.name for c in history.criteria] == [
        "spikes_min_first",
        "fr_min",
        "isi_viol_max",
        "snr_min",
        "spikes_min_second",
        "std_norm_max",
    ]


@pytest.mark.parametrize(
    ("changes", "criterion"),
    [
        ({"spike_count": 29}, "spikes_min_first"),
        ({"firing_rate_hz": 0.04}, "fr_min"),
        ({"isi_percent": 0.011}, "isi_viol_max"),
        ({"snr": 4.9}, "snr_min"),
        ({"spike_count": 49}, "spikes_min_second"),
        ({"std_norm": 1.1}, "std_norm_max"),
    ],
)
def test_unit_outside_one_bound_is_rejected_by_that_criterion(changes, criterion):
    history = curate_units([make_unit("a", **changes), make_unit("b")], CurationConfig())
    assert history.failed_on() == {"a": criterion}
    assert history.final == ("b",)


def test_bounds_are_inclusive():
    edge = make_unit(
        "a", spike_count=50, firing_rate_hz=0.05, isi_percent=0.01, snr=5.0, std_norm=1.0
    )
    assert curate_units([edge], CurationConfig()).final == ("a",)


def test_metrics_are_kept_only_for_units_that_reached_the_criterion():
    history = curate_units([make_unit("few", spike_count=3), make_unit("good")], CurationConfig())
    assert set(history.metrics["spikes_min_first"]) == {"few", "good"}
    assert set(history.metrics["snr_min"]) == {"good"}


def test_none_skips_a_criterion():
    thresholds = CurationConfig(snr_min=None)
    history = curate_units([make_unit("a", snr=0.1)], thresholds)
    assert "snr_min" not in history.metrics
    assert history.final == ("a",)


def test_stages_switch_off_separately():
    poor = make_unit("a", spike_count=40, snr=1.0)
    assert curate_units([poor], CurationConfig(curate_first=False)).failed_on() == {
        "a": "spikes_min_second"
    }
    assert curate_units([poor], CurationConfig(curate_second=False)).failed_on() == {"a": "snr_min"}
    off = CurationConfig(curate_first=False, curate_second=False)
    assert curate_units([poor], off).final == ("a",)


def test_hill_method_reads_the_hill_metric():
    unit = make_unit("a", isi_percent=0.5, isi_hill=0.0)
    thresholds = CurationConfig(isi_violation_method="hill")
    assert curate_units([unit], thresholds).final == ("a",)


def test_unmeasured_metric_fails_the_criterion_that_asks_for_it():
    units = [make_unit("a", snr=float("nan")), make_unit("b")]
    history = curate_units(units, CurationConfig())
    assert history.failed_on() == {"a": "snr_min"}
    assert history.to_json()["metrics"]["snr_min"] == {"a": None, "b": 9.0}


def test_no_units_give_an_empty_history():
    history = curate_units([], CurationConfig())
    assert history.final == ()
    assert history.to_json()["initial"] == []


def test_history_is_plain_json_with_the_documented_keys():
    document = curate_units([make_unit("a"), make_unit("b", snr=1.0)], CurationConfig())
    loaded = json.loads(json.dumps(document.to_json(), allow_nan=False))
    assert loaded["curation_parameters"]["snr_min"] == 5.0
    assert loaded["curations"][0] == "spikes_min_first"
    assert loaded["curated"]["snr_min"] == ["a"]
    assert loaded["failed"]["snr_min"] == ["b"]
    assert loaded["curated_final"] == ["a"]
    assert loaded["stages"]["second"] == ["spikes_min_second", "std_norm_max"]


@pytest.mark.parametrize(
    ("metric", "criterion"), [("snr", "snr_min"), ("std_norm", "std_norm_max")]
)
def test_a_metric_of_waveforms_that_no_unit_has_is_an_error_and_no_rejection(metric, criterion):
    units = [make_unit("a", **{metric: math.nan}), make_unit("b", **{metric: math.nan})]
    with pytest.raises(EmptyWaveformMetricsError, match=criterion) as caught:
        curate_units(units, CurationConfig())
    assert (caught.value.row.exit_code, caught.value.metric_name) == (83, metric)
    assert (caught.value.n_units, caught.value.n_spikes) == (2, 200)
    assert isinstance(caught.value, ValueError)
    without = curate_units(units, CurationConfig(**{criterion: None}))
    assert without.final == ("a", "b")
