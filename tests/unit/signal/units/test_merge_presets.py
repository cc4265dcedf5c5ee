"""SpikeInterface's presets for merges, on an analyzer of a sort."""

import shutil

import numpy as np
import pytest
import spikeinterface.core as si

from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.units.analyzer import build_analyzer
from spikefleet.signal.units.merge_presets import groups_by_preset

PRESETS = CurationConfig.model_fields["merge_method"].annotation.__args__[1:]


@pytest.fixture(scope="module")
def analyzer(tmp_path_factory):
    """Three neurons, of which the first is in two units."""
    recording, sorting = si.generate_ground_truth_recording(
        durations=[60.0], sampling_frequency=20_000.0, num_channels=8, num_units=3, seed=5
    )
    trains = {str(u): sorting.get_unit_spike_train(u) for u in sorting.unit_ids}
    name, train = next(iter(trains.items()))
    half = np.random.default_rng(1).random(len(train)) < 0.5
    trains |= {name: train[half], "other": train[~half]}
    split = si.NumpySorting.from_unit_dict([trains], 20_000.0)
    folder = tmp_path_factory.mktemp("sort") / "analyzer"
    build_analyzer(recording, split, folder, WaveformConfig(), seed=1)
    return folder, {name, "other"}


@pytest.mark.slow  # the library compiles machine code for 20 seconds
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_finds_the_split_neuron_or_nothing_and_leaves_the_sort_alone(analyzer, preset):
    folder, halves = analyzer
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    groups = groups_by_preset(folder, preset)
    assert all(set(group) == halves for group in groups)
    if preset in ("similarity_correlograms", "x_contaminations", "slay"):
        assert groups
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_what_the_sort_did_not_keep_is_told(analyzer, tmp_path):
    folder = tmp_path / "analyzer"
    shutil.copytree(analyzer[0], folder)
    shutil.rmtree(folder / "extensions" / "spike_locations")
    with pytest.raises(InvalidConfigurationError, match=r"no spike_locations.*merge_method"):
        groups_by_preset(folder, "feature_neighbors")
