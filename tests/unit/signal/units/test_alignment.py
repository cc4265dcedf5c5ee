"""Spikes are aligned to their own peaks, beside the sorter's times and without its mistakes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spikeinterface.core as si
from tests.support.sorted_units import make_data

from spikefleet.core.config.units import WaveformConfig
from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.units.aligned_spikes import measure_aligned
from spikefleet.signal.units.alignment import half_windows, peaks_in
from spikefleet.signal.units.analyzer import build_analyzer
from spikefleet.signal.units.unit_data import UnitData, read_units

RATE_HZ, N_SAMPLES = 10_000.0, 30_000
WAVE = np.array([0, -10, -40, -90, -200, -90, -40, -10, 0])


@pytest.mark.parametrize(
    ("shape", "reach"),
    [
        ([0, 0, 0, 0, 50, 100, 50, 0], 1),  # 2 samples back, three quarters of it
        ([100, 0, 50, 50, 50, 100, 50, 0], 3),  # the last that is small counts
        ([9, 9, 9, 9, 50, 100, 50, 0], 3),  # none is small: from the start
        ([0, 0, 0, 0, 0, 0, 0, 0], 0),
        ([0, -1, -1, -1, -60, -100, 0, 0], 3),  # a hundredth is not small: back to the start
    ],
)
def test_the_window_reaches_back_to_where_the_template_was_small(
    shape: list[float], reach: int
) -> None:
    assert half_windows(np.array([shape]), 5).tolist() == [reach]


@pytest.mark.parametrize(
    ("values", "outside", "place"),
    [
        ([1, 5, 2, 0, 0], (), 1),
        ([5, 5, 5, 0, 0], (), 1),  # the middle of a flat peak
        ([5, 0, 5, 0, 5], (), 2),  # the middle occurrence
        ([5, 0, 0, 0, 5], (), 4),  # of two the later
        ([9, 9, 4, 5, 0], (0, 1), 3),  # what was not recorded is no peak
        ([-9, -9, -9, -9, -9], (0,), 3),
    ],
)
def test_of_equal_samples_the_middle_one_is_the_peak(
    values: list[int], outside: tuple[int, ...], place: int
) -> None:
    inside = np.array([[index not in outside for index in range(5)]])
    assert peaks_in(np.array([values]), inside).tolist() == [place]


def build(folder: Path, gain_uv: float = 6.3) -> dict[int, np.ndarray]:
    """Two units on two channels; the sorter's times are off by -2 to 2. Return the true times."""
    rng = np.random.default_rng(0)
    traces = rng.normal(0, 1.0, (N_SAMPLES, 2)).round().astype("int16")
    truth = {
        0: np.sort(rng.choice(np.arange(100, N_SAMPLES - 100, 40), 200, replace=False)),
        1: np.array([3, *range(120, N_SAMPLES - 200, 140), N_SAMPLES - 4]),
    }
    for unit, samples in truth.items():
        for at in samples:
            rows = at + np.arange(-4, 5)
            held = (rows >= 0) & (rows < N_SAMPLES)
            traces[rows[held], unit] += np.sign(gain_uv).astype("int16") * WAVE[held].astype(
                "int16"
            )
    off = {0: rng.integers(-2, 3, 200), 1: rng.integers(-2, 3, len(truth[1]))}
    off[1][[0, -1]] = (-2, 2)
    off[0][5], off[1][5] = truth[1][5] + 1 - truth[0][5], 1  # one sample for both units
    moved = {unit: truth[unit] + off[unit] for unit in truth}
    moved[0][5] = moved[1][5]
    truth[0][5] = moved[0][5]  # nothing to be found there on the first unit's channel
    recording = si.NumpyRecording([traces], RATE_HZ)
    recording.set_channel_gains(gain_uv)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(np.array([[0.0, 0.0], [0.0, 200.0]]))
    sorting = si.NumpySorting.from_unit_dict([moved], RATE_HZ)
    config = WaveformConfig(ms_before=1.0, ms_after=1.0, max_waveforms_per_unit=50)
    build_analyzer(recording, sorting, folder, config, seed=1)
    return truth


def trains(data: UnitData, samples: np.ndarray) -> list[np.ndarray]:
    return [np.sort(samples[data.spike_units == unit]) for unit in range(data.unit_count)]


@pytest.mark.parametrize("gain_uv", [6.3, -6.3])
def test_every_spike_is_moved_to_its_peak_and_keeps_its_own_time(
    tmp_path: Path, gain_uv: float
) -> None:
    truth = build(tmp_path / "analyzer", gain_uv)
    data = read_units(tmp_path / "analyzer")
    assert data.aligned is not None
    first, second = trains(data, data.aligned_samples)
    np.testing.assert_array_equal(second, truth[1])  # not only the sampled, and those at the ends
    assert np.isin(np.delete(truth[0], 5), first).all()
    assert not np.array_equal(data.aligned_samples, data.spike_samples)
    aligned = measure_aligned(data)
    plain_std = data.template_stds_uv[[0, 1], 10, [0, 1]]
    assert (data.aligned.std_uv[:, 10] < 0.2 * plain_std).all()
    for unit, quality in enumerate(aligned):
        assert quality.snr_aligned == pytest.approx(200 * 6.3 / data.noise_uv[unit], rel=0.03)
        assert quality.std_norm_aligned < 0.05


def test_a_sort_of_before_there_was_an_alignment_has_the_times_and_no_number(
    tmp_path: Path,
) -> None:
    build(tmp_path / "analyzer")
    shutil.rmtree(tmp_path / "analyzer" / "aligned")
    data = read_units(tmp_path / "analyzer")
    np.testing.assert_array_equal(data.aligned_samples, data.spike_samples)
    assert measure_aligned(data)[0].to_json() == {"snr_aligned": None, "std_norm_aligned": None}


def test_an_alignment_of_other_spikes_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "analyzer")
    path = tmp_path / "analyzer" / "aligned" / "shifts.npy"
    np.save(path, np.load(path)[:-1])
    with pytest.raises(InputCorruptError, match="sort the run again"):
        read_units(tmp_path / "analyzer")


def test_some_of_the_spikes_keep_their_shifts(tmp_path: Path) -> None:
    build(tmp_path / "analyzer")
    data = read_units(tmp_path / "analyzer")
    assert data.aligned is not None
    early = data.spike_samples < N_SAMPLES // 2
    part = replace(data, spike_samples=data.spike_samples[early], aligned=data.aligned.part(early))
    np.testing.assert_array_equal(part.aligned_samples, data.aligned_samples[early])
    whole = replace(part, aligned=data.aligned)  # of other spikes than these
    np.testing.assert_array_equal(whole.aligned_samples, whole.spike_samples)


def test_units_without_waveforms_are_measured_as_nothing() -> None:
    assert measure_aligned(make_data([[1, 2]], np.zeros((1, 4, 1))))[0].to_json() == {
        "snr_aligned": None,
        "std_norm_aligned": None,
    }
