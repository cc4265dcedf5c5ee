"""Exports of a fetched run, each whole or not there."""

from pathlib import Path

import pytest

import spikefleet
from spikefleet.core.failures.errors import InputMissingError, InvalidConfigurationError
from spikefleet.signal.exports.write import FORMATS, export_results


def test_each_format_is_where_it_is_said_to_be_and_nothing_else_is_left(fetched: Path) -> None:
    wanted = [name for name in FORMATS if name != "nwb"]
    made = spikefleet.export_results(fetched, wanted)
    assert list(made) == wanted
    assert {path.name for path in (fetched / "exports").iterdir()} == {
        path.name for path in made.values()
    }


def test_an_earlier_export_is_replaced(fetched: Path) -> None:
    first = export_results(fetched, ["phy", "npz"])
    (first["phy"] / "of_yesterday.npy").touch()
    again = export_results(fetched, ["phy", "npz"], with_failed=True)
    assert again == first
    assert not (again["phy"] / "of_yesterday.npy").exists()


def test_an_unknown_format_is_refused_with_those_that_are_known(fetched: Path) -> None:
    with pytest.raises(InvalidConfigurationError, match="npz, parquet, phy"):
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
