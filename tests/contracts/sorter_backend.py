"""What every sorter adapter promises. Subclass, set the two class attributes, get the tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import BaseRecording, BaseSorting
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InsufficientActivityError, InvalidConfigurationError
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.signal.open import open_recording
from spikefleet.signal.simulation import Truth, load_truth
from spikefleet.signal.sorters.base import SortRequest, load_backend
from spikefleet.signal.units.accuracy import AccuracyReport, compare_to_truth

SECONDS = 40.0
CHANNELS = 16
UNITS = 5
SEED = 1
N_JOBS = 1  # more would compile the same functions once in each worker


def trains_of(sorting: BaseSorting) -> dict[str, np.ndarray]:
    return {str(unit): sorting.get_unit_spike_train(unit) for unit in sorting.unit_ids}


class SorterBackendContract:
    """``accuracy_bar`` is the least mean accuracy on the known recording."""

    name: str
    accuracy_bar: float

    @pytest.fixture(scope="class")
    def known(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[BaseRecording, Truth]:
        folder = tmp_path_factory.mktemp("known")
        made = make_recording(folder, "maxwell", SECONDS, CHANNELS, UNITS, SEED)
        return open_recording(made.path), load_truth(made.truth_path)

    @pytest.fixture(scope="class")
    def found(
        self, known: tuple[BaseRecording, Truth], tmp_path_factory: pytest.TempPathFactory
    ) -> BaseSorting:
        return self.sort(known[0], tmp_path_factory.mktemp("sorter"))

    def sort(self, recording: BaseRecording, folder: Path, **params: object) -> BaseSorting:
        request = SortRequest(recording, folder, params, n_jobs=N_JOBS, seed=1)
        return load_backend(self.name).sort(request)

    def test_the_catalogue_knows_it(self) -> None:
        assert load_backend(self.name).name == self.name
        assert BACKENDS[self.name].progress

    def test_finds_the_known_units(
        self, known: tuple[BaseRecording, Truth], found: BaseSorting
    ) -> None:
        report = self.accuracy(known[1], found)
        assert report.mean_accuracy >= self.accuracy_bar, report

    def accuracy(self, truth: Truth, found: BaseSorting) -> AccuracyReport:
        return compare_to_truth(trains_of(found), truth.spike_samples, truth.sampling_rate_hz)

    def test_spikes_lie_inside_the_recording_in_order(
        self, known: tuple[BaseRecording, Truth], found: BaseSorting
    ) -> None:
        trains = trains_of(found)
        assert trains
        for train in trains.values():
            assert train.size
            assert train[0] >= 0
            assert train[-1] < known[0].get_num_samples()
            assert (np.diff(train) >= 0).all()

    def test_does_not_need_its_folder_afterwards(self, found: BaseSorting, tmp_path: Path) -> None:
        copy = found.save(folder=tmp_path / "copy")
        assert trains_of(copy).keys() == trains_of(found).keys()

    @pytest.mark.parametrize("condition", ["silent", "flat", "noise"])
    def test_a_recording_without_spikes_is_insufficient_activity(
        self, condition: str, tmp_path: Path
    ) -> None:
        made = make_recording(tmp_path, seconds=10.0, condition=condition)
        with pytest.raises(InsufficientActivityError) as raised:
            self.sort(open_recording(made.path), tmp_path / "sorter")
        assert raised.value.sorter == self.name

    def test_an_unknown_parameter_is_refused_before_anything_runs(
        self, known: tuple[BaseRecording, Truth], tmp_path: Path
    ) -> None:
        with pytest.raises(InvalidConfigurationError) as raised:
            self.sort(known[0], tmp_path, detect_treshold=5)
        assert raised.value.field == "sorter.sorter_params.detect_treshold"
        assert list(tmp_path.iterdir()) == []

    def test_resolved_parameters_are_complete_and_json(
        self, known: tuple[BaseRecording, Truth], tmp_path: Path
    ) -> None:
        backend = load_backend(self.name)
        request = SortRequest(known[0], tmp_path, {}, seed=7)
        resolved = backend.resolve(request)
        assert json.loads(json.dumps(resolved, allow_nan=False)) == resolved
        again = SortRequest(known[0], tmp_path, resolved, seed=7)
        assert backend.resolve(again) == resolved
        assert resolved.keys() == backend.default_params().keys()

    def test_names_the_versions_that_decide_the_result(self) -> None:
        versions = load_backend(self.name).versions()
        assert versions
        assert all(versions.values())

    @pytest.mark.slow
    def test_the_same_recording_sorted_twice_gives_the_same_spikes(
        self, known: tuple[BaseRecording, Truth], found: BaseSorting, tmp_path: Path
    ) -> None:
        self.assert_repeats(known[0], found, tmp_path)

    def assert_repeats(self, recording: BaseRecording, found: BaseSorting, folder: Path) -> None:
        again = trains_of(self.sort(recording, folder))
        assert again.keys() == trains_of(found).keys()
        for unit, train in trains_of(found).items():
            np.testing.assert_array_equal(again[unit], train)
