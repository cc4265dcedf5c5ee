"""Small BrainWave ``.brw`` files, version 4 and the one before, written with h5py."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

SAMPLES = np.random.default_rng(0).integers(1900, 2200, (300, 4), dtype="<u2")


def write_new(path: Path, samples=SAMPLES, stored=(0, 1, 64, 65), wells=("Well_A1",), frames=None):
    """Write wells of samples x channels; ``stored`` are their places on the 64 x 64 array."""
    settings = {
        "ValueConverter": {
            "MinAnalogValue": -8000.0,
            "MaxAnalogValue": 8000.0,
            "MaxDigitalValue": 4095,
            "MinDigitalValue": 0,
            "ScaleFactor": 1.0,
        },
        "TimeConverter": {"FrameRate": 20000.0},
        "MeaPlate": {"Model": "CorePlate"},
    }
    with h5py.File(path, "w") as file:
        file["ExperimentSettings"] = np.array([json.dumps(settings).encode()], dtype=object)
        file["TOC"] = np.array([[0, frames or len(samples)]])
        for index, well in enumerate(wells):
            file[f"{well}/Raw"] = samples.reshape(-1) + index
            file[f"{well}/StoredChIdxs"] = np.array(stored, dtype="<i4")
    return path


def write_old(path: Path, inversion):
    """Write the older layout; ``inversion`` is 1 or -1."""
    with h5py.File(path, "w") as file:
        header = {
            "BitDepth": 12,
            "MaxVolt": 4125.0,
            "MinVolt": -4125.0,
            "NRecFrames": 300,
            "SamplingRate": 7000.0,
            "SignalInversion": inversion,
        }
        for name, value in header.items():
            file[f"3BRecInfo/3BRecVars/{name}"] = np.array([value])
        file["3BRecInfo/3BMeaStreams/Raw/Chs"] = np.array(
            [(1, 1), (1, 2), (5, 1), (5, 2)], dtype=[("Row", "<i2"), ("Col", "<i2")]
        )
        file["3BData/Raw"] = SAMPLES.reshape(-1)
    return path
