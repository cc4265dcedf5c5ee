"""``fetch --as``: what is asked for is looked at before anything is copied."""

import json
import shutil
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from tests.support.fetched_run import write_fetched_run
from tests.support.hostile.sort_folders import WRITERS

from spikefleet.cli import exports
from spikefleet.cli.exports import NAMES, Exporting
from spikefleet.cli.main import cli
from spikefleet.core.failures.errors import (
    InputCorruptError,
    InvalidConfigurationError,
    UnclassifiedSortFailure,
)
from spikefleet.infra.system.confinement import missing_layers
from spikefleet.signal.exports.write import FORMATS

# What the settings ask for is npz or mat, which "all" writes anyway.
ALL_OF_THEM = tuple(name for name in NAMES if name != "compiled")
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
    assert taken("all", metadata=metadata).formats == ALL_OF_THEM


def test_all_without_metadata_leaves_nwb_out_and_says_so() -> None:
    export = taken("all")
    assert set(export.formats) == set(ALL_OF_THEM) - {"nwb"}
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


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fetched_run(tmp_path_factory.mktemp("genuine") / "run")


@pytest.fixture
def run(genuine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(genuine, tmp_path / "run"))


def test_a_confined_process_makes_every_format(run: Path, metadata: Path) -> None:
    (told,) = taken("all", metadata=metadata).write([run])
    assert told["problems"] == []
    assert set(told["exports"]) == set(ALL_OF_THEM)
    for made in told["exports"].values():
        assert Path(made).exists()
        assert Path(made).parent == run / "exports"


def test_what_a_setting_asked_for_and_the_sort_did_not_keep_is_told(run: Path) -> None:
    record = run / "report" / "recording_report.json"
    document = json.loads(record.read_text())
    document["config"]["waveform"]["compiled_ms_before"] = 3.0
    record.write_text(json.dumps(document))
    (told,) = taken("npz", "parquet").write([run])
    assert told["notes"] == ["npz: compiled_ms_before: 2 ms were kept, 3 asked for"]


def test_a_hostile_run_is_told_and_leaves_nothing(run: Path, tmp_path: Path) -> None:
    WRITERS["a property of objects"](run / "sort" / "analyzer", tmp_path / "mark")
    with pytest.raises(InputCorruptError, match="array of objects"):
        taken("npz", "phy").write([run])
    assert not (tmp_path / "mark").exists()
    assert not (run / "exports").exists()


def test_exports_that_lead_elsewhere_are_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (run / "exports").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputCorruptError, match="is a link"):
        taken("npz").write([run])
    assert not list((tmp_path / "elsewhere").iterdir())


def test_an_export_that_was_changed_is_kept_unless_it_may_be_replaced(run: Path) -> None:
    taken("npz").write([run])
    place = run / "exports" / "sorted.npz"
    place.write_bytes(b"a person's own")
    with pytest.raises(FileExistsError, match="--overwrite"):
        taken("npz").write([run])
    assert place.read_bytes() == b"a person's own"
    taken("npz").write([run], overwrite=True)
    assert place.read_bytes() != b"a person's own"


@pytest.fixture
def taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    if missing_layers():
        pytest.skip(f"this machine cannot confine a process: {missing_layers()}")
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", f"{root / 'services'}:{root}")
    monkeypatch.setenv("SPIKEFLEET_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(exports, "_CONFINED", "tests.support.hostile.taken_over_export")


def test_an_export_that_was_taken_over_reaches_its_own_run_alone(
    run: Path, tmp_path: Path, taken_over: None
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret").write_text("secret")
    (told,) = taken("npz").write([run])
    seen = json.loads(told["problems"][0])
    assert seen["worked"] == ["read its own run", "write its exports"]
    assert seen["threads"] == 1
    assert seen["settings"] == []
    assert seen["pynwb"] == "1"


def test_an_answer_that_names_another_place_is_not_believed(
    run: Path, taken_over: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_ENTRY", "lie")
    with pytest.raises(UnclassifiedSortFailure):
        taken("npz").write([run])
