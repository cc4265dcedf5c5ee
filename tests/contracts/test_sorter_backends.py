"""Every sorter held to the one contract; bars are set below what was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import (
    BaseRecording,
    BaseSorting,
    NumpyRecording,
    generate_ground_truth_recording,
)
from tests.contracts.sorter_backend import SorterBackendContract, trains_of

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.simulation import Truth
from spikefleet.signal.sorters.base import SortRequest, load_backend
from spikefleet.signal.units.accuracy import compare_to_truth


class TestKilosort4(SorterBackendContract):
    name = "kilosort4"
    accuracy_bar = 0.90


class TestLupin(SorterBackendContract):
    name = "lupin"
    accuracy_bar = 0.98


class TestSpykingCircus2(SorterBackendContract):
    name = "spykingcircus2"
    accuracy_bar = 0.98


class TestTridesclous2(SorterBackendContract):
    name = "tridesclous2"
    accuracy_bar = 0.98


class TestMountainSort5(SorterBackendContract):
    name = "mountainsort5"
    accuracy_bar = 0.90

    def test_the_same_recording_sorted_twice_gives_the_same_spikes(
        self, known: tuple[BaseRecording, Truth], found: BaseSorting, tmp_path: Path
    ) -> None:
        """Not slow here: the cheapest sorter repeats in the default suite."""
        self.assert_repeats(known[0], found, tmp_path)


class TestRtSort(SorterBackendContract):
    name = "rt_sort"
    accuracy_bar = 0.75


def test_an_unknown_sorter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidConfigurationError, match="mountainsort5"):
        load_backend("mountainsort4")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("name", "bar"),
    [
        ("kilosort4", 0.90),
        ("lupin", 0.99),
        ("spykingcircus2", 0.99),
        ("tridesclous2", 0.99),
        ("mountainsort5", 0.90),
    ],
)
def test_accuracy_on_the_common_set_of_32_channels(name: str, bar: float, tmp_path: Path) -> None:
    generated, truth = generate_ground_truth_recording(
        durations=[60.0], sampling_frequency=30_000.0, num_channels=32, num_units=10, seed=2205
    )
    gain_uv = 0.195
    codes = np.rint(generated.get_traces() / gain_uv).astype(np.int16)
    recording = NumpyRecording([codes], 30_000.0)
    recording.set_channel_gains(gain_uv)
    recording.set_channel_offsets(0.0)
    recording.set_probe(generated.get_probe())
    on_disk = recording.save(folder=tmp_path / "recording")
    found = load_backend(name).sort(SortRequest(on_disk, tmp_path / "sorter", n_jobs=2))
    report = compare_to_truth(trains_of(found), trains_of(truth), 30_000.0)
    assert report.mean_accuracy >= bar, report
