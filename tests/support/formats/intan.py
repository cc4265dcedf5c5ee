"""Writers of small Intan recordings (RHD 2.0 and RHS 3.0), bit for bit as the manual says.

Each has, besides the amplifier, one ADC and one digital channel; RHD also one auxiliary input, RHS
also DC and stimulation data.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

BLOCK_FRAMES = 128
AMPLIFIER, AUXILIARY, ADC = 0, 1, 3
_MAGIC = {"rhd": 0xC6912702, "rhs": 0xD69127AC}
_DIGITAL_INPUT = {"rhd": 4, "rhs": 5}


def _text(value):
    coded = value.encode("utf-16-le")
    return struct.pack("<I", len(coded)) + coded


def _channel(kind, name, order, signal_type):
    numbers = [order, order, signal_type, 1, order] + [0] * (1 if kind == "rhd" else 2)
    return (
        _text(name)
        + _text(name)
        + struct.pack(f"<{len(numbers)}h", *numbers)
        + struct.pack("<4h", 0, 0, 0, 0)
        + struct.pack("<2f", 1e5, -30.0)
    )


def _group(kind, name, prefix, channels):
    n_amplifier = sum(signal_type == AMPLIFIER for _, signal_type in channels)
    head = _text(name) + _text(prefix) + struct.pack("<3h", 1, len(channels), n_amplifier)
    return head + b"".join(
        _channel(kind, label, order, signal_type)
        for order, (label, signal_type) in enumerate(channels)
    )


def group_start(made):
    """Where the number of channel groups stands in a header of ``header("rhd", ...)``."""
    return made.index(_text("Port A")) - 2


def header(kind, names, rate_hz=30_000.0, high_cut_hz=7500.0):
    """Return the bytes of a header whose amplifier channels are ``names``."""
    notes = _text("slice 3") + _text("") + _text("")
    band = (0.1, 1.0, high_cut_hz) if kind == "rhd" else (0.1, 1.0, 1000.0, high_cut_hz)
    out = struct.pack("<I2h", _MAGIC[kind], *((2, 0) if kind == "rhd" else (3, 0)))
    out += struct.pack("<fh", rate_hz, 1)
    out += struct.pack(f"<{2 * len(band)}f", *band, *band)
    out += struct.pack("<h2f", 0, 1000.0, 1000.0)
    if kind == "rhd":
        out += notes + struct.pack("<2h", 0, 0) + _text("none")
    else:
        out += struct.pack("<2h3f", 0, 0, 5e-6, 1e-9, 0.0) + notes
        out += struct.pack("<2h", 1, 0) + _text("none")
    port = [(name, AMPLIFIER) for name in names]
    if kind == "rhd":
        port.append(("A-AUX1", AUXILIARY))
    groups = [
        _group(kind, "Port A", "A", port),
        _group(kind, "Analog Inputs", "ANALOG-IN", [("ANALOG-IN-0", ADC)]),
        _group(kind, "Digital Inputs", "DIN", [("DIGITAL-IN-0", _DIGITAL_INPUT[kind])]),
    ]
    return out + struct.pack("<h", len(groups)) + b"".join(groups)


def write_attached(path: Path, samples, names, first_stamps=None):
    """Write one file with its header; uint16 samples x channels, a multiple of 128 frames."""
    kind = path.suffix[1:]
    samples = np.asarray(samples, dtype="<u2")
    n_blocks = len(samples) // BLOCK_FRAMES
    if first_stamps is None:
        first_stamps = BLOCK_FRAMES * np.arange(n_blocks)
    n_channels = samples.shape[1]
    extra = [32, BLOCK_FRAMES, BLOCK_FRAMES]
    if kind == "rhs":
        extra = [n_channels * BLOCK_FRAMES, n_channels * BLOCK_FRAMES, BLOCK_FRAMES, BLOCK_FRAMES]
    with path.open("wb") as file:
        file.write(header(kind, names))
        for block in range(n_blocks):
            stamps = first_stamps[block] + np.arange(BLOCK_FRAMES)
            file.write(stamps.astype("<i4").tobytes())
            piece = samples[block * BLOCK_FRAMES : (block + 1) * BLOCK_FRAMES]
            file.write(np.ascontiguousarray(piece.T).tobytes())
            for field, size in enumerate(extra):
                file.write(np.full(size, 40_000 + field, dtype="<u2").tobytes())
    return path


def write_per_signal(folder: Path, samples, names, kind="rhd", stamps=None):
    """Write ``info.rhd``, ``time.dat`` and ``amplifier.dat``; int16 samples x channels."""
    _write_info(folder, kind, names, len(samples), stamps)
    np.asarray(samples, dtype="<i2").tofile(folder / "amplifier.dat")
    return folder


def write_per_channel(folder: Path, samples, names, kind="rhd", stamps=None):
    """Write ``info.rhd``, ``time.dat`` and one ``amp-<name>.dat`` a channel."""
    _write_info(folder, kind, names, len(samples), stamps)
    for column, name in enumerate(names):
        np.ascontiguousarray(samples[:, column], dtype="<i2").tofile(folder / f"amp-{name}.dat")
    return folder


def _write_info(folder, kind, names, n_frames, stamps):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"info.{kind}").write_bytes(header(kind, names))
    stamps = np.arange(n_frames) if stamps is None else stamps
    np.asarray(stamps, dtype="<i4").tofile(folder / "time.dat")
