"""Signals that hold no spikes: too slow, or cut off too low. None is sorted by accident."""

import re

import h5py
import numpy as np
import pytest
from tests.support.archives import neural_like, save_folder
from tests.support.formats import biocam, blackrock, intan, openephys, raw_binary
from tests.support.formats.mcs import write_mcs
from tests.support.formats.nwb_zarr import write_nwb
from tests.support.formats.probes import make_noise, write_probe
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.formats.spike_bands import is_field_potential
from spikefleet.signal.measuring.summary import inspect_recording
from spikefleet.signal.open import list_streams
from spikefleet.signal.preparing.concatenate import open_concatenated

SAMPLES = neural_like(3000, 4)
CHANNELS = [(f"CH{number}", 0.195, "uV") for number in range(1, 5)]
NAMES = ["A-000", "A-001", "A-002", "A-003"]


def slow_maxwell(folder):
    path = make_recording(folder, "maxwell", seconds=0.5, channels=4).path
    with h5py.File(path, "r+") as file:
        settings = []
        file.visit(lambda name: settings.append(name) if name.endswith("sampling") else None)
        for name in settings:
            file[name][...] = 1000.0
    return path


def slow_openephys(folder):
    node = openephys.write_recording(folder, SAMPLES, CHANNELS)
    write_probe(node, 4)
    oebin = next(node.rglob("structure.oebin"))
    oebin.write_text(re.sub(r'"sample_rate": [\d.]+', '"sample_rate": 1000.0', oebin.read_text()))
    return node


def slow_legacy(folder):
    inside = folder / "legacy"
    for column, samples in enumerate(neural_like(4096, 4).T):
        openephys.write_continuous(inside, f"CH{column + 1}", samples)
    for file in inside.glob("*.continuous"):
        file.write_bytes(file.read_bytes().replace(b"sampleRate = 30000", b"sampleRate = 01000"))
    write_probe(inside, 4)
    return inside


def slow_intan(folder, **changed):
    write_probe(folder, 4)
    path = folder / "slice.rhd"
    intan.write_attached(path, make_noise(1280, 4, "uint16"), NAMES)
    old, new = intan.header("rhd", NAMES), intan.header("rhd", NAMES, **changed)
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


def slow_biocam(folder):
    path = biocam.write_new(folder / "plate.brw")
    with h5py.File(path, "r+") as file:
        said = file["ExperimentSettings"][0].decode().replace("20000.0", "1000.0")
        del file["ExperimentSettings"]
        file["ExperimentSettings"] = np.array([said.encode()], dtype=object)
    return path


def slow_blackrock(folder, **changed):
    write_probe(folder, 4)
    channels = [(number, "uV") for number in range(1, 5)]
    return blackrock.write_nsx(folder / "slice.ns5", [(0, SAMPLES)], channels, **changed)


SLOW = {
    "maxwell": slow_maxwell,
    "nwb": lambda folder: write_nwb(folder / "a.nwb", SAMPLES, timestamps_s=np.arange(3000) / 1e3),
    "spikeinterface": lambda folder: save_folder(SAMPLES, folder / "rec", 1000.0),
    "openephys": slow_openephys,
    "openephys_legacy": slow_legacy,
    "intan": lambda folder: slow_intan(folder, rate_hz=1000.0),
    "intan, low-passed": lambda folder: slow_intan(folder, high_cut_hz=300.0),
    "blackrock": lambda folder: slow_blackrock(folder, period=30),
    "blackrock, low-passed": lambda folder: slow_blackrock(folder, high_cut_hz=250),
    "biocam": slow_biocam,
    "mcs": lambda folder: write_mcs(
        folder / "mea.h5", np.asarray(SAMPLES.T, dtype="<i4"), tick_us=1000
    ),
    "raw_binary": lambda folder: raw_binary.write_raw_binary(
        folder / "rec.raw", raw_binary.smooth_samples(3000, 4), sampling_rate_hz=1000.0
    ),
}


@pytest.mark.parametrize("layout", sorted(SLOW))
def test_a_signal_without_spikes_is_refused_though_it_lies_alone(tmp_path, layout):
    path = SLOW[layout](tmp_path)
    with pytest.raises(InputCorruptError) as caught:
        open_concatenated({"rec": path}, list_streams(path).streams[0].stream)
    assert caught.value.reason in ("field_potential", "empty")


def test_inspect_refuses_a_slow_signal_as_a_sort_does(tmp_path):
    (stream,) = inspect_recording(SLOW["raw_binary"](tmp_path)).streams
    assert stream.refusal is not None
    assert stream.refusal.evidence["reason"] == "field_potential"
    assert "broadband" in stream.refusal.message


@pytest.mark.parametrize(
    ("name", "is_lfp"),
    [
        ("acquisition/ElectricalSeriesLF", True),
        ("acquisition/lfp/take1", True),
        ("LFP", True),
        ("acquisition/ElectricalSeries", False),
        ("half", False),
        ("lfp/probe0", False),
    ],
)
def test_a_field_potential_is_known_by_its_own_name_whatever_take(name, is_lfp):
    assert is_field_potential(name) is is_lfp
