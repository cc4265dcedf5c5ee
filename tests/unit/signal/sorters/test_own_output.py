import os
from pathlib import Path, PurePosixPath

import numpy as np
from phylib.io.model import TemplateModel, get_template_params
from spikeinterface.extractors import read_kilosort
from tests.support.recordings import make_recording

from spikefleet.signal.open import open_recording
from spikefleet.signal.sorters.base import SortRequest, load_backend
from spikefleet.signal.sorters.own_output import KeptSamples, keep_own_output


def kilosort_folder(tmp_path: Path) -> tuple[Path, Path, int]:
    """A short real sort on the CPU: the recording's folder, the scratch, its count of spikes."""
    made = make_recording(tmp_path, "maxwell", seconds=20.0, channels=16, units=4, seed=1)
    kept = open_recording(made.path).save(folder=tmp_path / "result" / "recording")
    scratch = tmp_path / "scratch"
    found = load_backend("kilosort4").sort(SortRequest(kept, scratch, {"batch_size": 40_000}))
    return tmp_path / "result", scratch, int(found.count_total_num_spikes())


def test_kilosorts_own_folder_opens_in_phy_beside_the_kept_recording_wherever_it_lies(tmp_path):
    result, scratch, n_spikes = kilosort_folder(tmp_path)
    samples = KeptSamples(PurePosixPath("../recording/traces_cached_seg0.raw"), "uint16")
    kept = keep_own_output(scratch, result / "sorter_output", samples)
    moved = result.rename(tmp_path / "moved")
    model = TemplateModel(**get_template_params(moved / "sorter_output" / "params.py"))
    assert model.n_spikes == n_spikes
    assert model.traces.shape == (400_000, 16)
    assert np.ptp(np.asarray(model.traces[:2000])) > 0
    model.close()
    files = [path for path in (moved / "sorter_output").rglob("*") if path.is_file()]
    assert kept.files == len(files)
    assert kept.size_bytes > n_spikes * 100

    # Without the recording Phy opens it too, without traces.
    alone = tmp_path / "alone"
    keep_own_output(scratch, alone, None)
    model = TemplateModel(**get_template_params(alone / "params.py"))
    assert (model.n_spikes, model.traces) == (n_spikes, None)
    assert read_kilosort(alone, keep_good_only=False).count_total_num_spikes() == n_spikes
    assert str(tmp_path) not in (alone / "params.py").read_text()
    # And the sorter's own file is what it was.
    assert str(tmp_path) in (scratch / "sorter_output" / "params.py").read_text()


def test_links_and_pipes_stay_behind_and_no_file_is_read(tmp_path):
    own = tmp_path / "scratch" / "run" / "sorter_output"
    (own / "deeper").mkdir(parents=True)
    (own / "deeper" / "bomb.npy").write_bytes(b"\x80\x04cos\nsystem\n")
    (own / "out").symlink_to("/etc")
    (own / "passwd").symlink_to("/etc/passwd")
    os.mkfifo(own / "pipe")
    (own / "params.py").write_text("raise SystemExit(1)\ndat_path = r'/somewhere/a.dat'\n")
    kept = keep_own_output(tmp_path / "scratch", tmp_path / "kept", None)
    found = {str(path.relative_to(tmp_path / "kept")) for path in (tmp_path / "kept").rglob("*")}
    assert found == {"deeper", "deeper/bomb.npy", "params.py"}
    assert kept.files == 2
    assert (tmp_path / "kept" / "params.py").read_text() == "raise SystemExit(1)\ndat_path = []\n"


def test_a_sorter_without_such_a_folder_leaves_its_whole_scratch(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "spikes.txt").write_text("1 2 3")
    kept = keep_own_output(tmp_path / "scratch", tmp_path / "kept", None)
    assert kept.to_json() == {"files": 1, "size_bytes": 5}
