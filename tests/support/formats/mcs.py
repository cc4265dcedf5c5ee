"""A small file in the layout MCS DataManager exports, written with h5py."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

INFO = np.dtype(
    [
        ("ChannelID", "<i4"),
        ("RowIndex", "<i4"),
        ("GroupID", "<i4"),
        ("Label", "S8"),
        ("Unit", "S8"),
        ("Exponent", "<i4"),
        ("ADZero", "<i4"),
        ("Tick", "<i8"),
        ("ConversionFactor", "<i4"),
    ]
)
LABELS = ("47", "48", "46", "Ref", "38", "37")


def write_mcs(
    path: Path,
    samples: np.ndarray,
    *,
    tick_us: int = 50,
    blocks: tuple[tuple[int, int, int], ...] = (),
    ids: tuple[int, ...] = (),
) -> Path:
    """Write channels x samples as one electrode stream; ``blocks`` are (µs, first, last index).

    The table lists the channels in the order of ``LABELS``, stored rows run backwards.
    """
    n_channels, n_samples = samples.shape
    info = np.zeros(n_channels, dtype=INFO)
    info["ChannelID"] = ids or np.arange(n_channels) + 10
    info["RowIndex"] = np.arange(n_channels)[::-1]
    info["Label"] = [label.encode() for label in LABELS[:n_channels]]
    info["Unit"] = b"V"
    info["Exponent"] = -12
    info["ADZero"] = 100
    info["Tick"] = tick_us
    info["ConversionFactor"] = 59605 + np.arange(n_channels)
    with h5py.File(path, "w") as file:
        file.create_group("Data").attrs["MeaName"] = "60MEA200/30iR-Ti"
        for name, kind in (("Stream_0", "Electrode"), ("Stream_1", "Auxiliary")):
            stream = file.create_group(f"Data/Recording_0/AnalogStream/{name}")
            stream.attrs["DataSubType"] = kind
            stream["ChannelData"] = samples
            stream["ChannelDataTimeStamps"] = np.array(
                blocks or [(0, 0, n_samples - 1)], dtype="<i8"
            )
            stream["InfoChannel"] = info
    return path
