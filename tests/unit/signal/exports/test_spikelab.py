"""A file for SpikeLab: its layout, and (slow) SpikeLab's own loaders from the package index."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.unit.signal.exports.test_nwb import KNOWN

from spikefleet.signal.exports.nwb import write_nwb
from spikefleet.signal.exports.phy import write_phy
from spikefleet.signal.exports.source import ExportSource
from spikefleet.signal.exports.spikelab import write_spikelab

LOADING = """
import json, sys
from spikelab.data_loaders import data_loaders as loaders
folder = sys.argv[1]
hdf5 = loaders.load_spikedata_from_hdf5(
    folder + "/spikelab.h5",
    spike_times_dataset="spike_times",
    spike_times_index_dataset="spike_times_index",
)
nwb = loaders.load_spikedata_from_nwb(folder + "/sorted.nwb")
phy = loaders.load_spikedata_from_kilosort(
    folder + "/phy", fs_Hz=20000.0, spike_times_file="spike_frames.npy"
)
window = loaders.load_spikedata_from_kilosort(folder + "/phy", fs_Hz=20000.0)
print(json.dumps({
    "length_ms": hdf5.length,
    "counts": sorted(len(train) for train in window.train),
    **{n: [list(t) for t in d.train] for n, d in {"hdf5": hdf5, "nwb": nwb, "phy": phy}.items()},
}))
"""


def test_the_trains_follow_one_another_in_original_seconds(
    everything: ExportSource, tmp_path: Path
) -> None:
    write_spikelab(everything, tmp_path / "spikelab.h5")
    with h5py.File(tmp_path / "spikelab.h5", "r") as file:
        trains = np.split(file["spike_times"][:], file["spike_times_index"][:])
        table = file["unit_table"]
        assert file.attrs["length_ms"] == 15_000.0
        assert table["sorted_s"][:].tolist() == [[2.0, 12.0]]
        assert list(table["passed"]) == [unit.fetched.passed for unit in everything.units]
        names = table["unit_id"].asstr()[:].tolist()
    assert len(trains.pop()) == 0
    for unit, train, name in zip(everything.units, trains, names, strict=True):
        assert np.array_equal(train, unit.frames / 20_000.0)
        assert name == unit.quality.unit_id


def test_no_units_make_a_readable_file(nothing: ExportSource, tmp_path: Path) -> None:
    write_spikelab(nothing, tmp_path / "spikelab.h5")
    with h5py.File(tmp_path / "spikelab.h5", "r") as file:
        assert (len(file["spike_times"]), len(file["spike_times_index"])) == (0, 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_spikelab_itself_loads_each_file_with_the_same_spikes(
    source: ExportSource, tmp_path: Path
) -> None:
    write_spikelab(source, tmp_path / "spikelab.h5")
    write_nwb(source, tmp_path / "sorted.nwb", KNOWN)
    write_phy(source, tmp_path / "phy")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    installing = [python, "-m", "pip", "install", "-q", "--no-input", "spikelab==0.1.2"]
    installed = subprocess.run(installing, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"SpikeLab cannot be installed here: {installed.stderr.strip()[-300:]}")
    loaded = subprocess.run(
        [python, "-c", LOADING, tmp_path], capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    found = json.loads(loaded.stdout)
    assert found.pop("length_ms") == 15_000.0
    assert found.pop("counts") == sorted(len(unit.frames) for unit in source.units)
    wanted = sorted((unit.frames / 20.0).tolist() for unit in source.units)
    for name, trains in found.items():
        assert len(trains) == len(wanted) > 0, name
        for train, own in zip(sorted(trains), wanted, strict=True):
            assert train == pytest.approx(own, abs=1e-6), name
