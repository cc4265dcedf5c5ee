"""A Phy folder that a person edited comes back as a curation of the run."""

import csv
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.support.fetched_run import SETTINGS, write_fetched_run

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.curation.curate import curate_into
from spikefleet.signal.exports.phy import write_phy
from spikefleet.signal.exports.phy_import import read_phy_curation
from spikefleet.signal.exports.source import read_source
from spikefleet.signal.units.by_hand import HandCuration
from spikefleet.signal.units.fetched_results import load_results


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fetched_run(tmp_path_factory.mktemp("fetched"), snr_min=12.0)


@pytest.fixture
def phy(fetched: Path, tmp_path: Path) -> Path:
    write_phy(read_source(fetched, with_failed=True), tmp_path / "phy")
    return tmp_path / "phy"


def curated(fetched: Path, hand: HandCuration, folder: Path) -> Path:
    """The fetched folder with the curation that is made of what a person decided."""
    shutil.copytree(fetched, folder)
    shutil.rmtree(folder / "curate")
    (folder / "curate").mkdir()
    timeline = json.loads((folder / "sort" / "timeline.json").read_text())
    again = HandCuration.from_json(json.loads(json.dumps(hand.to_json())))
    curate_into(folder / "curate", folder / "sort" / "analyzer", timeline, *SETTINGS, again)
    return folder


def clusters(phy: Path) -> np.ndarray:
    return np.load(phy / "spike_clusters.npy")


def put(phy: Path, found: np.ndarray) -> None:
    np.save(phy / "spike_clusters.npy", found)


def set_groups(phy: Path, **groups: str) -> None:
    path = phy / "cluster_group.tsv"
    rows = {row[0]: row[1] for row in csv.reader(path.open(), delimiter="\t")}
    rows |= groups
    path.write_text("".join(f"{key}\t{value}\n" for key, value in rows.items()))


def files(folder: Path) -> dict[str, bytes]:
    """What a person changes, and what says which units there are."""
    names = ("spike_clusters.npy", "spike_times.npy", "spike_templates.npy", "templates.npy")
    tables = (f"cluster_{name}.tsv" for name in ("group", "label", "failed_on", "spikefleet_unit"))
    return {name: (folder / name).read_bytes() for name in (*names, *tables)}


def test_an_export_that_nobody_edited_comes_back_as_it_was(fetched, phy, tmp_path):
    hand = read_phy_curation(phy)
    assert not hand.edits
    again = curated(fetched, hand, tmp_path / "again")
    before, after = load_results(fetched), load_results(again)
    assert {u: (x.passed, x.failed_on) for u, x in after.units.items()} == {
        u: (x.passed, x.failed_on) for u, x in before.units.items()
    }
    write_phy(read_source(again, with_failed=True), tmp_path / "phy-again")
    assert files(tmp_path / "phy-again") == files(phy)


def test_merges_splits_and_labels_survive_the_round_trip(fetched, phy, tmp_path):
    found = clusters(phy)
    sizes = np.bincount(found.ravel(), minlength=5)
    found[np.isin(found, [0, 1])] = 5  # joined
    of_two = np.flatnonzero(found == 2)
    found[of_two[::3]] = 6  # split in two
    found[np.setdiff1d(of_two, of_two[::3])] = 7
    put(phy, found)
    set_groups(phy, **{"3": "noise", "4": "mua", "5": "good", "6": "mua"})
    hand = read_phy_curation(phy)
    (merge,), (split,) = hand.edits.merges, hand.edits.splits
    assert set(merge.unit_ids) == {"0", "1"}
    assert (split.unit_id, len(split.parts[0])) == ("2", len(of_two[::3]))
    run = load_results(curated(fetched, hand, tmp_path / "once"))
    kept = {unit: (x.passed, x.failed_on, x.metrics["label"]) for unit, x in run.units.items()}
    assert kept["3"] == (False, "called noise by hand", "noise")
    assert kept["4"] == (True, "", "mua")
    assert kept[merge.new_id] == (True, "", "good")
    assert kept["0"][:2] == (False, f"merged into {merge.new_id}")
    assert kept[split.new_ids[0]] == (True, "", "mua")
    assert len(run.units[merge.new_id].spike_frames) == sizes[0] + sizes[1]
    assert len(run.units[split.new_ids[0]].spike_frames) == len(of_two[::3])
    source = read_source(tmp_path / "once", with_failed=True)
    write_phy(source, tmp_path / "second")
    counts = np.bincount(clusters(tmp_path / "second").ravel())
    names = {
        int(r[0]): r[1]
        for r in csv.reader(
            (tmp_path / "second" / "cluster_spikefleet_unit.tsv").open(), delimiter="\t"
        )
        if r[0] != "cluster_id"
    }
    assert {names[c]: n for c, n in enumerate(counts) if n} == {
        unit.quality.unit_id: len(unit.frames)
        for unit in source.units
        if unit.quality.unit_id not in source.edits.replaced
    }
    again = read_phy_curation(tmp_path / "second")
    assert (again.edits, again.verdicts) == (hand.edits, hand.verdicts)
    curated(fetched, again, tmp_path / "twice")
    write_phy(read_source(tmp_path / "twice", with_failed=True), tmp_path / "third")
    assert files(tmp_path / "third") == files(tmp_path / "second")


def test_a_merge_that_is_undone_gives_the_units_back(fetched, phy, tmp_path):
    found = clusters(phy)
    found[np.isin(found, [0, 1])] = 5
    put(phy, found)
    once = curated(fetched, read_phy_curation(phy), tmp_path / "once")
    write_phy(read_source(once, with_failed=True), tmp_path / "second")
    templates = np.load(tmp_path / "second" / "spike_templates.npy")
    put(tmp_path / "second", templates.reshape(clusters(tmp_path / "second").shape))
    assert not read_phy_curation(tmp_path / "second").edits


def test_a_cluster_of_parts_of_several_units_is_refused(phy):
    found = clusters(phy)
    for unit in (0, 1):
        found[np.flatnonzero(found == unit)[:3]] = 9
    put(phy, found)
    with pytest.raises(InputCorruptError, match=r"Cluster 9 .* parts of several units"):
        read_phy_curation(phy)


def _short(phy: Path) -> None:
    put(phy, clusters(phy)[:-1])


def _objects(phy: Path) -> None:
    np.save(phy / "spike_clusters.npy", np.array([{}], dtype=object), allow_pickle=True)


def _pickle(phy: Path) -> None:
    (phy / "spike_clusters.npy").write_bytes(pickle.dumps([1]))


def _floats(phy: Path) -> None:
    put(phy, clusters(phy) + 0.5)


def _other_times(phy: Path) -> None:
    times = np.load(phy / "spike_times.npy")
    np.save(phy / "spike_times.npy", times + 1)


def _templates(phy: Path) -> None:
    found = np.load(phy / "spike_templates.npy")
    found[0] = 99
    np.save(phy / "spike_templates.npy", found)


def _no_json(phy: Path) -> None:
    (phy / "spikefleet.json").write_text("[" * 100_000)


def _other_json(phy: Path) -> None:
    (phy / "spikefleet.json").write_text('{"version": 1, "verdicts": 3}')


def _group(phy: Path) -> None:
    (phy / "cluster_group.tsv").write_text("cluster_id\tgroup\nx\tgood\n")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_short, "which must be as many"),
        (_objects, "an array of objects"),
        (_pickle, "a pickle"),
        (_floats, "no whole numbers"),
        (_other_times, "not those that were exported"),
        (_templates, "a template that was not exported"),
        (_no_json, "no JSON"),
        (_other_json, "cannot be read"),
        (_group, "cannot be read"),
    ],
)
def test_a_hostile_folder_is_refused_in_one_sentence(
    phy: Path, harm: Callable[[Path], None], said: str
) -> None:
    harm(phy)
    with pytest.raises(InputCorruptError, match=said):
        read_phy_curation(phy)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["spikefleet.json", "spike_clusters.npy", "cluster_group.tsv"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link to a pipe"])
def test_what_is_no_plain_file_is_not_waited_for(phy: Path, name: str, kind: str) -> None:
    (phy / name).unlink()
    if kind == "pipe":
        os.mkfifo(phy / name)
    elif kind == "device":
        (phy / name).symlink_to("/dev/zero")
    elif kind == "folder":
        (phy / name).mkdir()
    else:
        os.mkfifo(phy / "pipe")
        (phy / name).symlink_to("pipe")
    with pytest.raises((InputCorruptError, InputMissingError)):
        read_phy_curation(phy)


def test_a_name_of_ten_thousand_characters_is_refused_in_one_sentence(phy: Path) -> None:
    document = json.loads((phy / "spikefleet.json").read_text())
    document["templates"][0] = "u" * 10_000
    (phy / "spikefleet.json").write_text(json.dumps(document))
    with pytest.raises(InputCorruptError, match="200 are the most") as raised:
        read_phy_curation(phy)
    assert len(str(raised.value)) < 600


def test_a_folder_of_another_program_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="no Phy folder that was exported here"):
        read_phy_curation(tmp_path)


def test_clusters_without_bounds_are_refused(phy, monkeypatch):
    monkeypatch.setattr("spikefleet.signal.exports.phy_import.MOST_UNITS", 100)
    put(phy, np.arange(clusters(phy).size))
    with pytest.raises(InputCorruptError, match="more than 100 clusters"):
        read_phy_curation(phy)
