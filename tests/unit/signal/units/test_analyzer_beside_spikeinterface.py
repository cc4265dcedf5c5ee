"""Every number of an analyzer is the one SpikeInterface measures on the same recording."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface.core as si
from probeinterface import generate_linear_probe
from spikeinterface.postprocessing import template_similarity

from spikefleet.core.config.units import WaveformConfig
from spikefleet.signal.units import recording_blocks, spike_measures, spike_waveforms
from spikefleet.signal.units.analyzer import build_analyzer
from spikefleet.signal.units.unit_data import read_units

RATE_HZ, N_SAMPLES = 10_000.0, 40_000
SEED = 3
CONFIG = WaveformConfig(max_waveforms_per_unit=150)


@dataclass(frozen=True)
class Case:
    """A recording that is measured; ``gain_uv`` None: without a scale."""

    n_channels: int
    gain_uv: float | None = 6.3
    dtype: str = "int16"
    segments: int = 1


CASES = {
    "dense": Case(8),
    "sparse": Case(66),
    "one channel": Case(1),
    "float, two segments": Case(4, gain_uv=None, dtype="float32", segments=2),
    "counts without a scale": Case(4, gain_uv=None),
}


def make_recording(case: Case) -> si.BaseRecording:
    """Noise with a baseline, 20 µm from channel to channel."""
    rng = np.random.default_rng(0)
    shape = (N_SAMPLES, case.n_channels)
    traces = [rng.normal(40.0, 12.0, shape).astype(case.dtype) for _ in range(case.segments)]
    recording = si.NumpyRecording(traces, RATE_HZ)
    probe = generate_linear_probe(num_elec=case.n_channels, ypitch=20.0)
    probe.set_device_channel_indices(np.arange(case.n_channels))
    recording.set_probe(probe)
    if case.gain_uv is not None:
        gains = case.gain_uv * (1 + np.arange(case.n_channels) / 50)
        recording.set_channel_gains(gains)
        recording.set_channel_offsets(np.linspace(-50, 50, case.n_channels))
    return recording


def make_sorting(recording: si.BaseRecording) -> si.BaseSorting:
    """Five units, drawn into the recording: of many spikes, at the ends, of one, on one sample."""
    rng = np.random.default_rng(1)
    many = np.sort(rng.choice(np.arange(100, N_SAMPLES - 100), 400, replace=False))
    trains = {
        7: many,
        9_999_999: many[::3],  # on samples of the first
        12: np.array([0, 3, N_SAMPLES // 2, N_SAMPLES - 1]),
        400: np.array([N_SAMPLES // 3]),
        31: np.array([2, N_SAMPLES - 2]),  # not one whole window
    }
    wave = -np.exp(-(((np.arange(30) - 10) / 4.0) ** 2))
    for segment in recording.segments:
        for place, (unit, samples) in enumerate(trains.items()):
            channel = (place * 13) % recording.get_num_channels()
            size = 300 if unit != 12 else -300  # one points up
            for at in samples[(samples > 40) & (samples < N_SAMPLES - 40)]:
                piece = segment._traces[at - 8 : at + 22, channel]
                piece += (size * wave).astype(piece.dtype)
    n_segments = recording.get_num_segments()
    return si.NumpySorting.from_unit_dict([trains] * n_segments, RATE_HZ)


def spikeinterface_analyzer(recording: Any, sorting: Any) -> si.SortingAnalyzer:
    """The same analyzer by SpikeInterface's own computations."""
    sparse = recording.get_num_channels() > 64
    analyzer = si.create_sorting_analyzer(
        sorting,
        recording,
        format="memory",
        sparse=sparse,
        return_in_uV=recording.has_scaleable_traces(),
        seed=SEED,
        sparsity_kwargs={"method": "radius", "radius_um": 150.0, "seed": SEED} if sparse else None,
    )
    n_window = round(0.002 * RATE_HZ)
    analyzer.compute(
        {
            "noise_levels": {"random_slices_kwargs": {"seed": SEED}},
            "random_spikes": {
                "method": "uniform",
                "max_spikes_per_unit": CONFIG.max_waveforms_per_unit,
                "margin_size": n_window,
                "seed": SEED,
            },
            "waveforms": {"ms_before": CONFIG.ms_before, "ms_after": CONFIG.ms_after},
            "templates": {"operators": ["average", "std"]},
            "unit_locations": {"method": "center_of_mass"},
            "spike_amplitudes": {},
            "spike_locations": {"method": "center_of_mass"},
            "correlograms": {"window_ms": 100.0, "bin_ms": 1.0, "method": "numpy"},
        },
        progress_bar=False,
    )
    return analyzer


@pytest.fixture(scope="module", params=CASES)
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[si.SortingAnalyzer, si.SortingAnalyzer]:
    """Our analyzer, stored and loaded again, and SpikeInterface's."""
    recording = make_recording(CASES[request.param])
    sorting = make_sorting(recording)
    folder = tmp_path_factory.mktemp("analyzer") / "analyzer"
    with pytest.MonkeyPatch.context() as patch:  # many blocks and batches of a short recording
        patch.setattr(recording_blocks, "_BLOCK_BYTES", 100_000)
        patch.setattr(spike_waveforms, "_BATCH_BYTES", 100_000)
        patch.setattr(spike_measures, "_BATCH_SPIKES", 50)
        build_analyzer(recording, sorting, folder, CONFIG, seed=SEED)
    moved = shutil.move(folder, folder.with_name("moved"))
    ours = si.load(moved, load_extensions=True)
    return ours, spikeinterface_analyzer(recording, sorting)


def data_of(analyzer: si.SortingAnalyzer, name: str) -> dict[str, Any]:
    return dict(analyzer.get_extension(name).data)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_each_extension_holds_the_same_numbers(both: tuple[Any, Any]) -> None:
    ours, theirs = both
    assert set(ours.get_loaded_extension_names()) == {
        *theirs.get_loaded_extension_names(),
        "template_similarity",
    }
    for name in theirs.get_loaded_extension_names():
        mine, other = data_of(ours, name), data_of(theirs, name)
        assert set(mine) == set(other)
        for key, values in other.items():
            assert mine[key].shape == values.shape, (name, key)
            fields = values.dtype.names or (None,)
            for field in fields:
                pair = [part if field is None else part[field] for part in (mine[key], values)]
                np.testing.assert_allclose(
                    *pair, rtol=2e-5, atol=2e-3, equal_nan=True, err_msg=f"{name} {key} {field}"
                )


def test_parameters_and_settings_are_the_same(both: tuple[Any, Any]) -> None:
    ours, theirs = both
    assert ours.return_in_uV == theirs.return_in_uV
    assert (ours.peak_sign, ours.peak_mode) == (theirs.peak_sign, theirs.peak_mode)
    np.testing.assert_array_equal(
        ours.get_sorting_property("main_channel_id"), theirs.get_sorting_property("main_channel_id")
    )
    for name in theirs.get_loaded_extension_names():
        assert ours.get_extension(name).params == theirs.get_extension(name).params, name


def test_similarity_is_the_cosine_of_units_that_share_a_channel(both: tuple[Any, Any]) -> None:
    ours, theirs = both
    templates = theirs.get_extension("templates").get_templates()
    everywhere = np.ones((len(templates), templates.shape[2]), dtype=bool)
    mask = theirs.sparsity.mask if theirs.is_sparse() else everywhere
    with np.errstate(invalid="ignore"):  # a template of nothing
        distance = template_similarity._compute_similarity_matrix_numpy(
            templates, templates, 0, "cosine", mask, mask
        )
    np.testing.assert_allclose(
        ours.get_extension("template_similarity").get_data(),
        np.nan_to_num(1 - distance[0]),
        atol=1e-5,
    )


def test_the_folder_is_read_as_units(both: tuple[Any, Any]) -> None:
    ours, theirs = both
    data = read_units(Path(ours.folder))
    assert data.unit_ids == tuple(str(unit) for unit in theirs.unit_ids)
    assert data.spike_amplitudes_uv.shape == data.spike_samples.shape
