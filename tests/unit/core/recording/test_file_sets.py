import subprocess
import sys

import numpy as np
import pytest
from tests.support.formats.openephys import write_recording
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.core.recording.file_sets import recording_files


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


def test_a_probe_beside_a_file_comes_along(tmp_path):
    for name in ("day1.rhd", "day2.rhd", "probe.json"):
        (tmp_path / name).write_text(name)
    _, files, entry = recording_files(tmp_path / "day1.rhd")
    assert [file.name for file in files] == ["day1.rhd", "probe.json"]
    assert entry == "day1.rhd"


def test_an_intan_header_brings_its_samples(tmp_path):
    for name in ("info.rhd", "time.dat", "amp-A-000.dat", "notes.txt"):
        (tmp_path / name).write_text(name)
    _, files, entry = recording_files(tmp_path / "info.rhd")
    assert [file.name for file in files] == ["amp-A-000.dat", "info.rhd", "time.dat"]
    assert entry == "info.rhd"


def test_a_blackrock_file_brings_those_of_its_name(tmp_path):
    for name in ("day[1].ns2", "day[1].ns5", "day2.ns5"):
        (tmp_path / name).write_text(name)
    _, files, entry = recording_files(tmp_path / "day[1].ns5")
    assert [file.name for file in files] == ["day[1].ns2", "day[1].ns5"]
    assert entry == "day[1].ns5"


@pytest.mark.parametrize("named", ["structure.oebin", "."])
def test_an_open_ephys_recording_brings_its_settings(tmp_path, named):
    node = write_recording(tmp_path, np.zeros((10, 1)), [("CH1", 0.195, "uV")])
    write_recording(tmp_path, np.zeros((10, 1)), [("CH1", 0.195, "uV")], place="experiment2/other")
    root, files, entry = recording_files(node / "experiment1/recording1" / named)
    assert root == node
    assert entry == "experiment1/recording1/structure.oebin"
    names = {file.relative_to(root).as_posix() for file in files}
    assert "settings.xml" in names
    assert not any("experiment2" in name for name in names)


def test_an_open_ephys_experiment_brings_the_settings_of_its_node(tmp_path):
    for place in ("experiment1/recording1", "experiment1/recording2", "experiment2/recording1"):
        node = write_recording(tmp_path, np.zeros((10, 1)), [("CH1", 0.195, "uV")], place=place)
    root, files, entry = recording_files(node / "experiment1")
    names = [file.relative_to(root).as_posix() for file in files]
    assert (root, entry) == (node, "experiment1")
    assert "settings.xml" in names
    assert sum(name.endswith("structure.oebin") for name in names) == 2


def test_an_empty_folder_has_no_files_but_is_there(tmp_path):
    assert recording_files(tmp_path) == (tmp_path, (), "")


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(InputMissingError) as caught:
        recording_files(tmp_path / "gone.raw.h5")
    assert caught.value.path == str(tmp_path / "gone.raw.h5")


def test_naming_the_files_needs_no_science():
    code = (
        "import sys, spikefleet.core.recording.file_sets; "
        "sys.exit(any(m in sys.modules for m in ('numpy', 'h5py', 'spikeinterface')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
