"""A writer of small Blackrock ``.nsX`` files: specifications 2.3 and 3.0, and 3.0's PTP packets."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def _basic_header(spec, n_channels, period, stamps_per_s, day=20):
    bytes_in_headers = 314 + 66 * n_channels
    return (
        (b"NEURALCD" if spec == "2.3" else b"BRSMPGRP")
        + bytes(int(part) for part in spec.split("."))
        + struct.pack("<I", bytes_in_headers)
        + b"30 kS/s".ljust(16, b"\x00")
        + b"slice 3".ljust(256, b"\x00")
        + struct.pack("<2I", period, stamps_per_s)
        + struct.pack("<8H", 2026, 11, 5, day, 12, 0, 0, 0)
        + struct.pack("<I", n_channels)
    )


def _channel_header(electrode, label, units, high_cut_hz=7500):
    high = 8191 if units == "uV" else 5000
    return (
        b"CC"
        + struct.pack("<H", electrode)
        + label.encode().ljust(16, b"\x00")
        + bytes([1, electrode % 32])
        + struct.pack("<4h", -32764, 32764, -high, high)
        + units.encode().ljust(16, b"\x00")
        + struct.pack("<2IH", 300, 1, 1)
        + struct.pack("<2IH", 1000 * high_cut_hz, 3, 1)
    )


def write_nsx(
    path: Path,
    blocks,
    channels,
    spec="2.3",
    period=1,
    stamps_per_s=30_000,
    high_cut_hz=7500,
    day=20,
):
    """Write blocks of ``(first stamp, samples x channels)``; channels are (electrode, units).

    The clock stood at nought at noon of that ``day``.
    """
    stamp = "<I" if spec == "2.3" else "<Q"
    with path.open("wb") as file:
        file.write(_basic_header(spec, len(channels), period, stamps_per_s, day))
        for electrode, units in channels:
            file.write(_channel_header(electrode, f"elec{electrode}", units, high_cut_hz))
        for first, samples in blocks:
            file.write(b"\x01" + struct.pack(stamp, first) + struct.pack("<I", len(samples)))
            file.write(np.asarray(samples, dtype="<i2").tobytes())
    return path


def write_packets(path: Path, samples, channels, frame_numbers):
    """Write a 3.0 file whose every frame carries its own time in nanoseconds."""
    with path.open("wb") as file:
        file.write(_basic_header("3.0", len(channels), 1, 1_000_000_000))
        for electrode, units in channels:
            file.write(_channel_header(electrode, f"elec{electrode}", units))
        for number, frame in zip(frame_numbers, samples, strict=True):
            stamp_ns = round(int(number) * 1e9 / 30_000) + 12_345
            file.write(b"\x01" + struct.pack("<QI", stamp_ns, 1))
            file.write(np.asarray(frame, dtype="<i2").tobytes())
    return path
