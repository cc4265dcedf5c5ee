import subprocess
import sys

import pytest
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.core.recordings.files import recording_files


def test_a_spikeglx_bin_brings_its_header(tmp_path):
    folder = make_recording(tmp_path, "spikeglx").path
    (folder / "notes.txt").write_text("not part of it")
    binary = next(folder.glob("*.bin"))
    root, files, entry = recording_files(binary)
    assert root == folder
    assert files == (binary, binary.with_suffix(".meta"))
    assert entry == binary.name
    assert recording_files(binary.with_suffix(".meta")) == (root, files, entry)


def test_a_folder_brings_every_file_in_it(tmp_path):
    folder = make_recording(tmp_path, "binary").path
    root, files, entry = recording_files(folder)
    assert (root, entry) == (folder, "")
    assert {file.name for file in files} >= {"binary.json", "traces_cached_seg0.raw"}
    assert all(file.is_relative_to(root) for file in files)


def test_a_single_file_brings_only_itself(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    assert recording_files(path) == (path.parent, (path,), path.name)


def test_an_empty_folder_has_no_files_but_is_there(tmp_path):
    assert recording_files(tmp_path) == (tmp_path, (), "")


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(InputMissingError) as caught:
        recording_files(tmp_path / "gone.raw.h5")
    assert caught.value.path == str(tmp_path / "gone.raw.h5")


def test_naming_the_files_needs_no_science():
    code = (
        "import sys, spikefleet.core.recordings.files; "
        "sys.exit(any(m in sys.modules for m in ('numpy', 'h5py', 'spikeinterface')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
