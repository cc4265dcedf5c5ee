"""Quality metrics against values worked out by hand."""

import numpy as np
import pytest
from tests.support.sorted_units import make_data, trough

from spikefleet.core.config.units import WaveformConfig
from spikefleet.signal.preparing.timeline import FileSpan, Timeline
from spikefleet.signal.units.quality import (
    UnitQuality,
    count_isi_violations,
    find_peaks,
    measure_units,
    presence_ratios,
)


def measure_one(train: list[int], template: np.ndarray, **changes: object) -> UnitQuality:
    return measure_units(make_data([train], template[None], **changes))[0]


def test_rate_is_spikes_over_the_length_of_the_recording_not_the_last_spike():
    unit = measure_one([100, 5_000, 20_000, 30_000], trough(0, 40.0))
    assert unit.spike_count == 4
    assert unit.firing_rate_hz == pytest.approx(0.4)


def test_snr_is_amplitude_over_noise_on_the_largest_channel():
    noise = np.array([4.0, 8.0])
    unit = measure_one([100], trough(1, 40.0), noise_uv=noise)
    assert unit.channel_id == "ch1"
    assert unit.amplitude_uv == 40.0
    assert unit.snr == pytest.approx(5.0)


def test_snr_on_a_channel_without_noise_is_zero():
    assert measure_one([100], trough(0, 40.0), noise_uv=np.zeros(2)).snr == 0.0


def test_intervals_are_violations_only_strictly_below_the_threshold():
    # 1.5 ms are 15 samples: 14 violates, 15 does not.
    unit = measure_one([100, 114, 129, 1_000], trough(0, 40.0))
    assert unit.isi_violation_count == 1
    assert unit.isi_percent == pytest.approx(1 / 4)


def test_hill_ratio_follows_its_formula():
    # 1 violation / (2 · 4 spikes · 0.0015 s) / (4 spikes / 10 s)
    unit = measure_one([100, 114, 129, 1_000], trough(0, 40.0))
    assert unit.isi_hill == pytest.approx(1 / (2 * 4 * 0.0015) / 0.4)


def test_one_spike_has_no_violations():
    unit = measure_one([100], trough(0, 40.0))
    assert (unit.isi_percent, unit.isi_hill) == (0.0, 0.0)


def test_violations_never_cross_from_one_unit_to_another():
    counts = count_isi_violations(
        np.array([100, 101, 200, 201]), np.array([0, 1, 1, 0]), 2, threshold_samples=15
    )
    assert counts.tolist() == [0, 0]


def test_spread_at_the_peak_is_divided_by_the_amplitude():
    assert measure_one([100], trough(0, 40.0)).std_norm == pytest.approx(5.0 / 40.0)


def test_spread_over_a_window_is_its_mean():
    stds = np.zeros((1, 4, 2))
    stds[0, :, 0] = [2.0, 4.0, 6.0, 100.0]
    data = make_data([[100]], trough(0, 40.0)[None], template_stds_uv=stds)
    settings = WaveformConfig(
        std_at_peak=False, std_over_window_ms_before=0.1, std_over_window_ms_after=0.1
    )
    assert measure_units(data, settings)[0].std_norm == pytest.approx(4.0 / 40.0)


def test_zero_template_has_infinite_spread_and_writes_none():
    unit = measure_one([100], np.zeros((4, 2)))
    assert unit.std_norm == float("inf")
    assert unit.to_json()["std_norm"] is None


def test_unit_is_positive_only_when_its_peak_is_twice_its_trough():
    template = np.zeros((4, 2))
    template[1, 0], template[2, 1] = -10.0, 20.0
    peaks = find_peaks(np.stack([template, template * [1.0, 0.99]]))
    assert peaks.positive.tolist() == [True, False]
    assert peaks.channel.tolist() == [1, 0]
    assert peaks.sample.tolist() == [2, 1]
    assert peaks.amplitude_uv.tolist() == [20.0, 10.0]


def test_presence_counts_the_bins_that_hold_a_spike():
    # Ten bins of 1 s; spikes in the first, second and last.
    data = make_data([[0, 10, 10_000, 99_999]], trough(0, 40.0)[None])
    assert presence_ratios(data).tolist() == [pytest.approx(0.3)]


def test_missing_unit_location_falls_back_to_the_largest_channel():
    unit = measure_one([100], trough(1, 40.0), unit_locations_um=np.full((1, 2), np.nan))
    assert (unit.x_um, unit.y_um) == (0.0, 20.0)


def test_no_units_give_no_metrics():
    assert measure_units(make_data([], np.zeros((0, 4, 2)))) == ()


def test_units_without_templates_are_measured_as_far_as_possible():
    data = make_data([[100, 200]], np.zeros((1, 0, 2)), template_stds_uv=np.zeros((1, 0, 2)))
    unit = measure_units(data)[0]
    assert unit.spike_count == 2
    assert unit.to_json()["snr"] is None


def test_recording_without_length_has_no_rate():
    unit = measure_one([100], trough(0, 40.0), duration_s=0.0)
    assert unit.to_json()["firing_rate_hz"] is None
    assert unit.to_json()["presence_ratio"] is None


def test_an_interval_across_a_seam_is_no_violation():
    files = (FileSpan("a", 100), FileSpan("b", 100))
    joined = Timeline(10_000.0, files, ((0, 200),))
    cut = Timeline(10_000.0, (FileSpan("", 300),), ((0, 100), (200, 300)))
    trains, templates = [[95, 99, 100, 104]], np.stack([trough(0, 50.0)])
    violations = [
        measure_units(make_data(trains, templates, timeline=timeline))[0].isi_violation_count
        for timeline in (None, joined, cut)
    ]
    assert violations == [3, 2, 2]
