"""``fetch --as``: what is asked for is looked at before anything is copied."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from tests.support.fetched_run import write_fetched_run

from spikefleet.cli.exports import NAMES, Exporting
from spikefleet.cli.main import cli
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.exports.write import FORMATS

METADATA = """
session: {session_start_time: 2026-11-20T18:00:00+01:00}
subject: {subject_id: m1, species: Mus musculus, sex: F, age: P90D}
"""


def taken(*formats: str, metadata: Path | None = None, with_failed: bool = False) -> Exporting:
    given: dict[str, Any] = {
        "formats": formats,
        "metadata": metadata,
        "with_failed": with_failed,
        "run_ids": (),
    }
    export = Exporting.taken(given)
    assert list(given) == ["run_ids"]
    return export


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(METADATA)
    return path


def test_the_names_are_those_that_can_be_written() -> None:
    assert set(NAMES) == set(FORMATS)


def test_all_is_every_format_where_the_metadata_are_given(metadata: Path) -> None:
    assert taken("all", metadata=metadata).formats == NAMES


def test_all_without_metadata_leaves_nwb_out_and_says_so() -> None:
    export = taken("all")
    assert set(export.formats) == set(NAMES) - {"nwb"}
    assert "subject.species" in export.left_out


def test_nwb_without_metadata_is_refused() -> None:
    with pytest.raises(InvalidConfigurationError, match=r"subject\.sex"):
        taken("nwb")


def test_metadata_without_a_format_is_a_mistake(metadata: Path) -> None:
    with pytest.raises(click.UsageError, match="--as"):
        taken(metadata=metadata)


def test_a_mistake_is_told_before_the_service_is_asked(tmp_path: Path) -> None:
    asked = ["fetch", "run-0123456789abcdef", str(tmp_path / "r"), "--as", "nwb"]
    done = CliRunner().invoke(cli, [*asked, "--address", "127.0.0.1:1"])
    assert done.exit_code == 2
    assert "--metadata FILE" in done.output
    assert not (tmp_path / "r").exists()


def test_a_run_with_units_and_one_without_are_both_told(tmp_path: Path) -> None:
    folders = [
        write_fetched_run(tmp_path / "kept"),
        write_fetched_run(tmp_path / "rejected", snr_min=1e6),
    ]
    kept, rejected = taken("phy", "npz").write(folders)
    assert set(kept["exports"]) == {"phy", "npz"}
    assert kept["problems"] == []
    assert set(rejected["exports"]) == {"npz"}
    assert "--with-failed" in rejected["problems"][0]
