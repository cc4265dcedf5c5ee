"""A fetched folder as values."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikefleet import load_results
from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.signal.units import fetched_results

SPIKE = np.dtype([("sample_index", "<i8"), ("unit_index", "<i8"), ("segment_index", "<i8")])


def write(root: Path, name: str, document: Any) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(document))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two units of a recording of which frames 100 to 200 were sorted."""
    run = {"run_id": "run-1"}
    write(tmp_path, "report/recording_report.json", {"run": run, "status": "success"})
    curation = {
        "units": [{"unit_id": "3", "snr": 9.0}, {"unit_id": "8", "snr": 2.0}],
        "failed": {"snr_min": ["8"]},
    }
    write(tmp_path, "curate/curation.json", curation)
    write(tmp_path, "sort/sorting/numpysorting_info.json", {"unit_ids": [3, 8]})
    timeline = {
        "version": 1,
        "sampling_rate_hz": 100.0,
        "files": [{"name": "a", "n_samples": 300}],
        "kept": [[100, 200]],
    }
    write(tmp_path, "sort/timeline.json", timeline)
    spikes = np.array([(0, 0, 0), (10, 1, 0), (99, 0, 0)], SPIKE)
    np.save(tmp_path / "sort/sorting/spikes.npy", spikes)
    return tmp_path


def test_units_have_metrics_curation_and_spikes_in_original_time(folder: Path) -> None:
    results = load_results(folder)
    assert str(results) == "run-1: success, 1 of 2 units kept"
    assert list(results.curated) == ["3"]
    assert results.units["3"].spike_frames.tolist() == [100, 199]
    assert results.units["8"].spike_times_s.tolist() == [1.1]
    assert results.table[1] == {"unit_id": "8", "passed": False, "failed_on": "snr_min", "snr": 2.0}


def test_the_report_alone_of_a_run_with_units_is_not_taken_for_its_results(tmp_path: Path) -> None:
    record = {"run": {"run_id": "run-7"}, "status": "success", "units": [{"unit_id": "3"}]}
    write(tmp_path, "report/recording_report.json", record)
    with pytest.raises(InputMissingError, match="spikefleet fetch run-7"):
        load_results(tmp_path)


def test_a_run_without_units_has_none(tmp_path: Path) -> None:
    write(tmp_path, "report/recording_report.json", {"status": "unsortable"})
    results = load_results(tmp_path)
    assert (results.status, results.units, results.table) == ("unsortable", {}, [])


def test_a_folder_of_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="spikefleet fetch"):
        load_results(tmp_path)


@pytest.mark.parametrize(
    "bytes_",
    [b"", b"no array", pickle.dumps(["an object"])],
    ids=["empty", "foreign", "pickle"],
)
def test_spikes_that_are_no_plain_array_are_refused(folder: Path, bytes_: bytes) -> None:
    (folder / "sort/sorting/spikes.npy").write_bytes(bytes_)
    with pytest.raises(InputCorruptError, match="--overwrite"):
        load_results(folder)


def test_an_array_of_objects_is_never_unpickled(folder: Path) -> None:
    np.save(folder / "sort/sorting/spikes.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputCorruptError):
        load_results(folder)


def test_results_are_read_without_sorters(folder: Path) -> None:
    code = (
        f"import sys, spikefleet; spikefleet.load_results({str(folder)!r}); "
        "print(sorted({'torch', 'spikeinterface', 'h5py', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "units.csv"
    file.write_text("")
    with pytest.raises(InputMissingError, match="spikefleet fetch"):
        load_results(file)


@pytest.mark.parametrize("name", ["sort/timeline.json", "sort/sorting/spikes.npy"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(InputCorruptError, match="no plain file"):
        load_results(folder)


def test_a_document_without_bounds_is_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetched_results, "_MOST_DOCUMENT_BYTES", 10)
    with pytest.raises(InputCorruptError, match="longer than 10 bytes"):
        load_results(folder)


def test_what_was_sorted_is_told(folder: Path) -> None:
    timeline = load_results(folder).timeline
    assert timeline is not None
    assert timeline.kept == ((100, 200),)
