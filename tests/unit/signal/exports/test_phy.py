"""A Phy folder, opened by Phy's own reader and by SpikeInterface's."""

import csv
from pathlib import Path

import numpy as np
import pytest
from phylib.io.model import load_model
from spikeinterface.extractors import read_phy
from tests.support.fetched_run import FIRST_FRAME

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.signal.exports.phy import write_phy
from spikefleet.signal.exports.source import ExportSource


@pytest.fixture(scope="module")
def folder(everything: ExportSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("phy") / "phy"
    write_phy(everything, place)
    return place


def labels(folder: Path, name: str) -> dict[int, str]:
    with (folder / f"cluster_{name}.tsv").open() as handle:
        return {int(row["cluster_id"]): row[name] for row in csv.DictReader(handle, delimiter="\t")}


def test_phy_finds_every_spike_of_every_unit(everything: ExportSource, folder: Path) -> None:
    model = load_model(folder / "params.py")
    names = labels(folder, "spikefleet_unit")
    assert len(names) == len(everything.units) == model.n_templates
    counts = np.bincount(model.spike_clusters, minlength=model.n_templates)
    found = {names[cluster]: int(count) for cluster, count in enumerate(counts)}
    assert found == {unit.quality.unit_id: len(unit.frames) for unit in everything.units}


def test_spikeinterface_reads_the_same_trains(everything: ExportSource, folder: Path) -> None:
    sorting = read_phy(folder)
    names = labels(folder, "spikefleet_unit")
    trains = {unit.quality.unit_id: unit.samples for unit in everything.units}
    assert len(sorting.unit_ids) == len(trains)
    for cluster in sorting.unit_ids:
        assert np.array_equal(sorting.get_unit_spike_train(cluster), trains[names[int(cluster)]])


def test_what_curation_decided_is_the_group(everything: ExportSource, folder: Path) -> None:
    groups, failed = labels(folder, "group"), labels(folder, "failed_on")
    names = labels(folder, "spikefleet_unit")
    kept = {unit.quality.unit_id for unit in everything.units if unit.fetched.passed}
    assert {names[c] for c, group in groups.items() if group == "good"} == kept
    assert {failed[c] for c, group in groups.items() if group == "unsorted"} == {"snr_min"}


def test_what_phy_shows_of_each_cluster_is_what_curation_measured(
    everything: ExportSource, folder: Path
) -> None:
    told = {unit.quality.unit_id: unit.fetched.metrics for unit in everything.units}
    names = labels(folder, "spikefleet_unit")
    contamination, duplicates = (
        labels(folder, name) for name in ("contamination", "possible_duplicate")
    )
    for cluster, name in names.items():
        assert float(contamination[cluster]) == pytest.approx(told[name]["contamination"], 1e-5)
        assert duplicates[cluster] == str(told[name]["possible_duplicate"])


def test_original_frames_stand_beside_the_spikes(folder: Path) -> None:
    frames, samples = (np.load(folder / f"spike_{name}.npy") for name in ("frames", "times"))
    assert np.array_equal(frames, samples.ravel() + FIRST_FRAME)


def test_without_spikes_there_is_nothing_for_phy_to_open(
    nothing: ExportSource, tmp_path: Path
) -> None:
    with pytest.raises(InputMissingError, match="no units with spikes"):
        write_phy(nothing, tmp_path / "phy")
    assert not (tmp_path / "phy").exists()
