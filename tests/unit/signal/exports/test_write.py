"""Exports of a fetched run, each whole or not there."""

from pathlib import Path

import pytest

import spikefleet
from spikefleet.core.failures.errors import InputMissingError, InvalidConfigurationError
from spikefleet.signal.exports.write import FORMATS, ExportChangedError, export_results


def test_each_format_is_where_it_is_said_to_be_and_nothing_else_is_left(fetched: Path) -> None:
    wanted = [name for name in FORMATS if name != "nwb"]
    made = spikefleet.export_results(fetched, wanted)
    assert list(made) == wanted
    assert {path.name for path in (fetched / "exports").iterdir()} == {
        ".written.json",
        *(path.name for path in made.values()),
    }


def test_an_earlier_export_that_nobody_touched_is_replaced(fetched: Path) -> None:
    first = export_results(fetched, ["phy", "npz"])
    (first["phy"] / ".phy").mkdir()
    (first["phy"] / ".phy" / "cache.npy").touch()  # Phy has only looked at it
    before = first["npz"].read_bytes()
    again = export_results(fetched, ["phy", "npz"], with_failed=True)
    assert again == first
    assert again["npz"].read_bytes() != before
    assert not (again["phy"] / ".phy").exists()


@pytest.mark.parametrize("name", ["cluster_group.tsv", "cluster_of_mine.tsv"])
def test_what_a_person_did_in_phy_is_kept_unless_they_say_so(fetched: Path, name: str) -> None:
    place = export_results(fetched, ["phy"], overwrite=True)["phy"]
    with (place / name).open("a") as labels:
        labels.write("9\tmua\n")
    mine = (place / name).read_bytes()
    with pytest.raises(ExportChangedError, match="--overwrite"):
        export_results(fetched, ["phy"])
    assert (place / name).read_bytes() == mine
    export_results(fetched, ["phy"], overwrite=True)
    assert not (place / name).exists() or (place / name).read_bytes() != mine


def test_a_folder_or_link_of_a_persons_own_is_kept(fetched: Path, tmp_path: Path) -> None:
    place = export_results(fetched, ["parquet"], overwrite=True)["parquet"]
    place.unlink()
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    with pytest.raises(ExportChangedError):
        export_results(fetched, ["parquet"])
    (place / "notes.txt").unlink()
    place.rmdir()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportChangedError):
        export_results(fetched, ["parquet"])
    place.unlink()


def test_what_a_killed_export_left_is_swept(fetched: Path) -> None:
    left = fetched / "exports" / ".unfinished-1" / "a"
    left.mkdir(parents=True)
    export_results(fetched, ["npz"], overwrite=True)
    assert not left.exists()


def test_an_unknown_format_is_refused_with_those_that_are_known(fetched: Path) -> None:
    with pytest.raises(InvalidConfigurationError, match="npz, parquet, phy, spikelab"):
        export_results(fetched, ["npz", "pickle"])


def test_nwb_without_metadata_stops_before_any_format_is_written(fetched: Path) -> None:
    target = fetched / "exports" / "units.parquet"
    target.unlink(missing_ok=True)
    with pytest.raises(InvalidConfigurationError, match="--metadata"):
        export_results(fetched, ["parquet", "nwb"])
    assert not target.exists()


def test_a_folder_of_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="not the folder of a run"):
        export_results(tmp_path, ["npz"])
