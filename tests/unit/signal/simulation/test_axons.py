"""Axons over an array: what is written is seen when and as deep as the truth says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from spikefleet.signal.open import open_recording
from spikefleet.signal.simulation import SimulationRequest, Truth, load_truth, simulate
from spikefleet.signal.simulation.axons import AxonalUnits, make_axonal_units
from spikefleet.signal.simulation.signal import square_probe
from spikefleet.signal.simulation.truth import Propagation

BEFORE, AFTER = 30, 80


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[NDArray[np.float64], Truth]:
    """A MaxWell recording of 100 electrodes in µV, and its truth."""
    path = tmp_path_factory.mktemp("axons") / "culture"
    size = {"n_channels": 100, "n_units": 4, "duration_s": 20.0, "seed": 5}
    written = simulate(SimulationRequest("maxwell", path, propagation=True, **size))
    uv = open_recording(written.path).get_traces(return_in_uV=True)
    return uv.astype(np.float64), load_truth(written.truth_path)


def _propagation(truth: Truth) -> Propagation:
    assert truth.propagation is not None
    return truth.propagation


def _average(uv: NDArray[np.float64], samples: NDArray[np.int64]) -> NDArray[np.float64]:
    """Window x channels around true spikes, without each channel's offset."""
    inside = samples[(samples >= BEFORE) & (samples < len(uv) - AFTER)]
    average = np.mean([uv[at - BEFORE : at + AFTER] for at in inside], axis=0)
    return average - np.median(average, axis=0)


def _trough(window: NDArray[np.float64], near: float) -> tuple[float, float]:
    """Where a waveform is deepest within three samples, between samples too, and how deep."""
    first = round(near) - 3
    at = first + int(np.argmin(window[first : first + 7]))
    before, low, after = window[at - 1 : at + 2]
    return at + 0.5 * (before - after) / (before - 2 * low + after), -low


def test_every_electrode_sees_the_trough_at_the_latency_that_the_truth_promises(
    made: tuple[NDArray[np.float64], Truth],
) -> None:
    uv, truth = made
    told = _propagation(truth)
    frames_per_ms = truth.sampling_rate_hz / 1000
    for unit, latencies_ms, troughs_uv in zip(
        truth.unit_ids, told.latencies_ms, told.troughs_uv, strict=True
    ):
        average = _average(uv, truth.spike_samples[unit])
        seen = np.flatnonzero(troughs_uv > 10.0)
        assert len(seen) > 15
        assert np.ptp(latencies_ms[seen]) > 0.15
        for channel in seen:
            expected = BEFORE + latencies_ms[channel] * frames_per_ms
            at, depth_uv = _trough(average[:, channel], expected)
            assert at == pytest.approx(expected, abs=0.6)
            assert depth_uv == pytest.approx(troughs_uv[channel], rel=0.2, abs=2.0)


def test_latencies_are_counted_from_the_electrode_that_sees_the_unit_best(
    made: tuple[NDArray[np.float64], Truth],
) -> None:
    _, truth = made
    told = _propagation(truth)
    units = np.arange(len(truth.unit_ids))
    assert np.array_equal(told.root_channels, told.troughs_uv.argmax(axis=1))
    assert np.all(told.latencies_ms[units, told.root_channels] == 0.0)
    assert told.troughs_uv.max(axis=1) == pytest.approx(truth.peak_amplitudes_uv)


def test_half_of_the_axons_have_one_velocity_and_half_one_that_varies(
    made: tuple[NDArray[np.float64], Truth],
) -> None:
    _, truth = made
    told = _propagation(truth)
    least, greatest = told.velocities_um_per_ms.T
    assert (least == greatest).tolist() == [True, False, True, False]
    assert least.min() > 200.0
    assert greatest.max() < 1000.0
    for (slowest, fastest), path in zip(told.velocities_um_per_ms, told.paths, strict=True):
        ways_um = np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1)
        speeds = ways_um / np.diff(path[:, 3])
        assert slowest * 0.99 < speeds.min() <= speeds.max() < fastest * 1.01


def _one_axon(rate_hz: float) -> tuple[AxonalUnits, NDArray[np.float64]]:
    contacts_um = square_probe(100, 17.5).contact_positions
    root_um = np.array([[*contacts_um[0], 10.0]])
    return make_axonal_units(contacts_um, root_um, np.array([100.0]), rate_hz, 1), contacts_um


def test_an_axon_is_seen_lower_and_narrower_than_its_root_and_begins_positive() -> None:
    units, _ = _one_axon(100_000.0)
    told, template = units.propagation, units.templates_uv[0]
    root = told.root_channels[0]
    late = np.flatnonzero(np.nan_to_num(told.latencies_ms[0]) > 0.15)
    axon = late[np.argmax(told.troughs_uv[0, late])]
    assert 0.1 < told.troughs_uv[0, axon] / told.troughs_uv[0, root] < 0.4
    shapes = template[:, [root, axon]] / told.troughs_uv[0, [root, axon]]
    widths = (shapes < -0.5).sum(axis=0)
    assert widths[1] < 0.85 * widths[0]
    first_phases = [shape[: np.argmin(shape)].max() for shape in shapes.T]
    assert first_phases[0] < 0.06
    assert first_phases[1] > 0.15


def test_a_template_holds_nothing_that_its_sampling_rate_cannot() -> None:
    """Every other sample of twice the rate is the template: nothing was rounded to samples."""
    fine, coarse = _one_axon(40_000.0)[0], _one_axon(20_000.0)[0]
    assert np.allclose(fine.templates_uv[:, ::2], coarse.templates_uv, atol=1e-3)
    spectrum = np.abs(np.fft.rfft(fine.templates_uv[0], axis=0))
    frequencies_hz = np.fft.rfftfreq(fine.templates_uv.shape[1], 1 / 40_000.0)
    assert spectrum[frequencies_hz > 10_000.0].max() < 1e-3 * spectrum.max()


def test_units_without_axons_have_no_propagation(tmp_path: Path) -> None:
    request = SimulationRequest(
        "binary", tmp_path / "a", n_channels=16, duration_s=1.0, pitch_um=25
    )
    written = simulate(request)
    assert load_truth(written.truth_path).propagation is None
    places_um = open_recording(written.path).get_channel_locations()
    assert sorted(set(places_um[:, 0])) == [0.0, 25.0, 50.0, 75.0]
