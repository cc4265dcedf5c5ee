"""Quality metrics against values worked out by hand: 10 s at 10 kHz, noise of 4 µV, spread 5 µV."""

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from tests.support.sorted_units import make_data, trough

from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.signal.preparing.timeline import FileSpan, Timeline
from spikefleet.signal.units.quality import (
    UnitQuality,
    count_isi_violations,
    find_peaks,
    measure_units,
    presence_ratios,
)

NAN, INF = math.nan, math.inf
TROUGH = trough(0, 40.0)
JOINED = Timeline(10_000.0, (FileSpan("a", 100), FileSpan("b", 100)), ((0, 200),))
CUT = Timeline(10_000.0, (FileSpan("", 300),), ((0, 100), (200, 300)))
WINDOW = WaveformConfig(
    std_at_peak=False, std_over_window_ms_before=0.1, std_over_window_ms_after=0.1
)


def stds(*of_channel_0: float) -> np.ndarray:
    spread = np.full((1, len(of_channel_0), 2), 1000.0)
    spread[0, :, 0] = of_channel_0
    return spread


def shape(channel_0: list[float], channel_1: list[float]) -> np.ndarray:
    return np.array([channel_0, channel_1], dtype=float).T


def measure_one(train: list[int], template: np.ndarray, **changes: Any) -> UnitQuality:
    groups = [changes.pop(name, None) for name in ("waveform", "curation")]
    return measure_units(make_data([train], template[None], **changes), *groups)[0]


def check(unit: UnitQuality, metric: str, expected: object) -> None:
    found = getattr(unit, metric)
    if isinstance(expected, float):
        assert found == pytest.approx(expected, nan_ok=True)
    else:
        assert found == expected


# A train in samples, what is changed, a metric and its value.
@pytest.mark.parametrize(
    ("train", "changes", "metric", "expected"),
    [
        ([100, 5_000, 20_000, 30_000], {}, "spike_count", 4),
        ([], {}, "spike_count", 0),
        # Over the length of what was sorted, not up to the last spike.
        ([100, 5_000, 20_000, 30_000], {}, "firing_rate_hz", 0.4),
        ([0], {}, "firing_rate_hz", 0.1),
        ([99_999], {}, "firing_rate_hz", 0.1),
        ([], {}, "firing_rate_hz", 0.0),
        ([100], {"duration_s": 0.0}, "firing_rate_hz", NAN),
        # 1.5 ms are 15 samples: 14 violates, 15 does not.
        ([100, 114, 129, 1_000], {}, "isi_violation_count", 1),
        ([100, 115], {}, "isi_violation_count", 0),
        ([100, 100], {}, "isi_violation_count", 1),  # a tie
        ([100, 105, 110], {}, "isi_violation_count", 2),  # intervals, not pairs
        ([100], {}, "isi_violation_count", 0),
        ([], {}, "isi_violation_count", 0),
        ([95, 99, 100, 104], {}, "isi_violation_count", 3),
        ([95, 99, 100, 104], {"timeline": JOINED}, "isi_violation_count", 2),
        ([95, 99, 100, 104], {"timeline": CUT}, "isi_violation_count", 2),
        (
            [100, 119],
            {"curation": CurationConfig(refractory_period_ms=2.0)},
            "isi_violation_count",
            1,
        ),
        # At 12.5 kHz the period is 18.75 samples.
        ([100, 118, 137], {"sampling_rate_hz": 12_500.0}, "isi_violation_count", 1),
        # A share of the spikes, not of the intervals.
        ([100, 114, 129, 1_000], {}, "isi_percent", 1 / 4),
        ([100, 101], {}, "isi_percent", 1 / 2),
        ([100], {}, "isi_percent", 0.0),
        ([], {}, "isi_percent", 0.0),
        # Violations / (2 · spikes · period) / rate.
        ([100, 114, 129, 1_000], {}, "isi_hill", 1 / (2 * 4 * 0.0015) / 0.4),
        (
            [100, 114, 129, 1_000],
            {"curation": CurationConfig(censored_period_ms=0.5)},
            "isi_hill",
            1 / (2 * 4 * 0.001) / 0.4,
        ),
        (
            [100, 114, 129, 1_000],
            {"curation": CurationConfig(refractory_period_ms=2.0)},
            "isi_hill",
            2 / (2 * 4 * 0.002) / 0.4,
        ),
        ([100, 200], {}, "isi_hill", 0.0),
        ([100], {}, "isi_hill", 0.0),
        ([], {}, "isi_hill", 0.0),
        ([100, 101], {"duration_s": 0.0}, "isi_hill", NAN),
        # Ten bins of a second.
        ([0, 10, 10_000, 99_999], {}, "presence_ratio", 0.3),
        ([9_999, 10_000], {}, "presence_ratio", 0.2),
        ([], {}, "presence_ratio", 0.0),
        ([*range(0, 100_000, 10_000)], {}, "presence_ratio", 1.0),
        ([100], {"duration_s": 0.0}, "presence_ratio", NAN),
        # Twenty bins of a minute.
        ([0, 599_999, 600_000], {"duration_s": 1_200.0}, "presence_ratio", 0.1),
        # At the peak, of the largest channel.
        ([100], {}, "std_norm", 5 / 40),
        ([100], {"template_stds_uv": stds(1, 8, 3, 4)}, "std_norm", 8 / 40),
        ([100], {"template_stds_uv": stds(2, 4, 6, 100), "waveform": WINDOW}, "std_norm", 4 / 40),
        ([100], {"template_stds_uv": np.zeros((1, 0, 2))}, "std_norm", NAN),
        # 40 µV over 4 µV.
        ([100], {}, "snr", 10.0),
        ([100], {"noise_uv": np.array([5.0, 1.0])}, "snr", 8.0),
        ([100], {"noise_uv": np.zeros(2)}, "snr", 0.0),
        ([100], {"noise_uv": np.full(2, NAN)}, "snr", NAN),
        ([100], {"unit_locations_um": np.array([[7.0, 9.0]])}, "x_um", 7.0),
        ([100], {"unit_locations_um": np.array([[7.0, 9.0]])}, "y_um", 9.0),
        ([100], {"unit_locations_um": np.full((1, 2), NAN)}, "y_um", 0.0),
    ],
)
def test_a_metric_by_hand(
    train: list[int], changes: dict[str, Any], metric: str, expected: object
) -> None:
    check(measure_one(train, TROUGH, **changes), metric, expected)


# A template of four samples on two channels, a metric and its value.
@pytest.mark.parametrize(
    ("template", "metric", "expected"),
    [
        (shape([0, -10, 2, 0], [0, -40, 9, 0]), "channel_id", "ch1"),
        (shape([0, -10, 2, 0], [0, -40, 9, 0]), "amplitude_uv", 40.0),
        # A peak counts from twice the trough, on whatever channel each is.
        (shape([0, -10, 0, 0], [0, 0, 20, 0]), "has_positive_peak", True),
        (shape([0, -10, 0, 0], [0, 0, 19.9, 0]), "has_positive_peak", False),
        (shape([0, -10, 0, 0], [0, 0, 19.9, 0]), "channel_id", "ch0"),
        (shape([0, -10, 0, 0], [0, 0, 20, 0]), "amplitude_uv", 20.0),
        (shape([0, -10, 15, 0], [0, 0, 0, 0]), "amplitude_uv", 15.0),  # of the channel
        (shape([0, 0, 0, 0], [0, 3, 0, 0]), "has_positive_peak", True),
        # Two channels alike: the first.
        (shape([0, -10, 0, 0], [0, -10, 0, 0]), "channel_id", "ch0"),
        (shape([0, 0, 0, 0], [0, 0, 0, 0]), "amplitude_uv", 0.0),
        (shape([0, 0, 0, 0], [0, 0, 0, 0]), "std_norm", INF),
        (shape([0, 0, 0, 0], [0, 0, 0, 0]), "snr", 0.0),
        (shape([0, 0, 0, 0], [0, 0, 0, 0]), "has_positive_peak", False),
        # A gain of 6.3 µV is in the template once.
        (6.3 * shape([0, -10, 2, 0], [0, 0, 0, 0]), "amplitude_uv", 63.0),
        (6.3 * shape([0, -10, 2, 0], [0, 0, 0, 0]), "snr", 63 / 4),
        (np.full((4, 2), NAN), "amplitude_uv", NAN),
        (np.full((4, 2), NAN), "snr", NAN),
        (np.full((4, 2), NAN), "spike_count", 2),
        (np.zeros((0, 2)), "amplitude_uv", NAN),
        (np.zeros((0, 2)), "spike_count", 2),
    ],
)
def test_a_template_by_hand(template: np.ndarray, metric: str, expected: object) -> None:
    check(measure_one([100, 200], template), metric, expected)


def test_what_cannot_be_measured_is_none_in_json() -> None:
    told = measure_one([100], np.full((4, 2), NAN), duration_s=0.0).to_json()
    unmeasured = {"firing_rate_hz", "presence_ratio", "amplitude_uv", "snr", "std_norm"}
    assert {name for name, value in told.items() if value is None} == unmeasured
    assert measure_one([100], np.zeros((4, 2))).to_json()["std_norm"] is None


def test_the_sample_of_the_peak_is_that_of_the_side_it_points_to() -> None:
    template = shape([0, -10, 0, 0], [0, 0, 20, 0])
    peaks = find_peaks(np.stack([template, template * [1.0, 0.99]]))
    assert peaks.channel.tolist() == [1, 0]
    assert peaks.sample.tolist() == [2, 1]


def test_violations_never_cross_from_one_unit_to_another() -> None:
    samples, units = np.array([100, 101, 101, 200, 201]), np.array([0, 1, 0, 1, 0])
    counts = count_isi_violations(samples, units, 2, threshold_samples=15)
    assert counts.tolist() == [1, 0]  # both fire in sample 101; only 100 and 101 are of one


def test_no_units_give_no_metrics() -> None:
    assert measure_units(make_data([], np.zeros((0, 4, 2)))) == ()


def test_ten_thousand_units_of_sparse_names_take_memory_by_their_number_alone() -> None:
    n_units = 10_000
    trains = [[7 * index] for index in range(n_units)]
    names = tuple(str(1_000_003 * index) for index in range(n_units))
    data = make_data(trains, np.tile(TROUGH, (n_units, 1, 1)), unit_ids=names)
    tracemalloc.start()
    units = measure_units(data)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [unit.unit_id for unit in units] == list(names)
    assert {unit.spike_count for unit in units} == {1}
    assert peak_bytes < 64 << 20
    assert presence_ratios(data).max() == pytest.approx(0.1)
