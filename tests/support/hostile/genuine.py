"""One small genuine recording of every layout that is read here, written by our own code.

Each has four channels and a fraction of a second, so that a thousand damaged copies cost little.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
from spikeinterface.core import load
from tests.support.archives import archive_folder, neural_like, save_folder
from tests.support.formats import biocam, blackrock, intan, neuralynx, openephys, raw_binary
from tests.support.formats.mcs import write_mcs
from tests.support.formats.nwb_zarr import write_nwb
from tests.support.formats.probes import make_noise, write_probe
from tests.support.recordings import make_recording

_NAMES = ["A-000", "A-001", "A-002", "A-003"]
_FRAMES = 3000


def _samples(n_frames: int = _FRAMES) -> np.ndarray:
    return neural_like(n_frames, 4)


def _simulated(format: str) -> Callable[[Path], Path]:
    return lambda folder: make_recording(folder, format, seconds=0.2, channels=4).path


def _maxwell_of_2016(folder: Path) -> Path:
    path = folder / "old.raw.h5"
    kinds = [("channel", "<i4"), ("electrode", "<i4"), ("x", "<f8"), ("y", "<f8")]
    mapping = np.array([(i, 10 * i, 17.5 * i, 0.0) for i in range(4)], dtype=kinds)
    with h5py.File(path, "w") as file:
        file["version"] = np.array([b"20160704"])
        file["mapping"] = mapping
        file["settings/gain"] = np.array([512.0])
        file["sig"] = np.asarray(_samples().T + 512, dtype="<u2")
    return path


def _openephys(folder: Path) -> Path:
    channels = [(f"CH{number}", 0.195, "uV") for number in range(1, 5)]
    node = openephys.write_recording(folder, _samples(), channels)
    write_probe(node, 4)
    return node


def _openephys_legacy(folder: Path) -> Path:
    inside = folder / "legacy"
    for column, samples in enumerate(_samples(4096).T):
        openephys.write_continuous(inside, f"CH{column + 1}", samples)
    write_probe(inside, 4)
    return inside


def _intan(layout: str, kind: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        write_probe(folder, 4)
        if layout == "attached":
            samples = make_noise(10 * intan.BLOCK_FRAMES, 4, "uint16")
            return intan.write_attached(folder / f"slice.{kind}", samples, _NAMES)
        writer = intan.write_per_signal if layout == "signal" else intan.write_per_channel
        inside = folder / "intan"
        writer(inside, _samples(), _NAMES, kind)
        write_probe(inside, 4)
        return inside

    return write


def _blackrock(folder: Path) -> Path:
    write_probe(folder, 4)
    channels = [(number, "uV") for number in range(1, 5)]
    return blackrock.write_nsx(folder / "slice.ns5", [(0, _samples())], channels)


def _blackrock_packets(folder: Path) -> Path:
    write_probe(folder, 4)
    channels = [(number, "uV") for number in range(1, 5)]
    path = folder / "packets.ns6"
    return blackrock.write_packets(path, _samples(600), channels, np.arange(600))


def _neuralynx(folder: Path) -> Path:
    inside = neuralynx.write_folder(folder / "csc", _samples(2048))
    write_probe(inside, 4)
    return inside


def _mcs(folder: Path) -> Path:
    return write_mcs(folder / "mea.h5", np.asarray(_samples().T, dtype="<i4"))


def _si_zarr(folder: Path) -> Path:
    saved = save_folder(_samples(), folder / "flat", 20_000.0)
    path = folder / "rec.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load(saved).save(folder=path, format="zarr", verbose=False, progress_bar=False)
    shutil.rmtree(saved)
    return path


def _archive(folder: Path) -> Path:
    saved = save_folder(_samples(), folder / "flat", 20_000.0)
    archive_folder(saved, folder / "kept")
    shutil.rmtree(saved)
    return folder / "kept"


def _archived_hdf5(folder: Path) -> Path:
    path = make_recording(folder, "maxwell", seconds=0.2, channels=4).path
    archive_folder(path, folder / "kept")
    path.unlink()
    return folder / "kept"


GENUINE: Mapping[str, Callable[[Path], Path]] = {
    "maxwell": _simulated("maxwell"),
    "maxwell of 2016": _maxwell_of_2016,
    "spikeglx": _simulated("spikeglx"),
    "nwb": _simulated("nwb"),
    "nwb of pynwb": lambda folder: write_nwb(folder / "rec.nwb", _samples()),
    "nwb on zarr": lambda folder: write_nwb(folder / "rec.nwb.zarr", _samples()),
    "spikeinterface folder": lambda folder: save_folder(_samples(), folder / "rec", 20_000.0),
    "spikeinterface zarr": _si_zarr,
    "raw binary": lambda folder: raw_binary.write_raw_binary(
        folder / "rec.raw", raw_binary.smooth_samples(_FRAMES, 4)
    ),
    "open ephys": _openephys,
    "open ephys legacy": _openephys_legacy,
    "intan rhd": _intan("attached", "rhd"),
    "intan rhs": _intan("attached", "rhs"),
    "intan per signal": _intan("signal", "rhd"),
    "intan per channel": _intan("channel", "rhs"),
    "blackrock": _blackrock,
    "blackrock packets": _blackrock_packets,
    "neuralynx": _neuralynx,
    "mcs": _mcs,
    "biocam": lambda folder: biocam.write_new(folder / "plate.brw"),
    "biocam of old": lambda folder: biocam.write_old(folder / "old.brw", -1),
    "archive": _archive,
    "archive of hdf5": _archived_hdf5,
}
"""Name of a layout -> a function that writes it below an empty folder and gives what is opened."""
