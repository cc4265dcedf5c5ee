"""Writers of small Open Ephys recordings, byte for byte as the GUI lays them out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

RECORD_FRAMES = 1024
_MARKER = bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 255])


def write_stream(folder, samples, numbers=None):
    """Write ``continuous.dat`` with its sample numbers and time stamps; samples x channels."""
    folder.mkdir(parents=True)
    np.asarray(samples, dtype="<i2").tofile(folder / "continuous.dat")
    numbers = np.arange(len(samples)) + 5000 if numbers is None else np.asarray(numbers)
    np.save(folder / "sample_numbers.npy", numbers.astype(np.int64))
    np.save(folder / "timestamps.npy", numbers / 30_000.0)


def describe_stream(name, channels, rate_hz=30_000.0):
    """Return one entry of ``structure.oebin``; channels are (name, bit_volts, units)."""
    return {
        "folder_name": f"{name}/",
        "sample_rate": rate_hz,
        "source_processor_name": name.partition("-")[0],
        "stream_name": name,
        "num_channels": len(channels),
        "channels": [
            {"channel_name": label, "bit_volts": bit_volts, "units": units}
            for label, bit_volts, units in channels
        ],
    }


def write_recording(root: Path, samples, channels, numbers=None, place="experiment1/recording1"):
    """Write one Record Node with one stream, "Acquisition_Board-100.Stream"; return the node."""
    node = root / "Record Node 101"
    recording = node / place
    name = "Acquisition_Board-100.Stream"
    write_stream(recording / "continuous" / name, samples, numbers)
    structure = {
        "GUI version": "0.6.7",
        "continuous": [describe_stream(name, channels)],
        "events": [],
        "spikes": [],
    }
    (recording / "structure.oebin").write_text(json.dumps(structure, indent=2))
    (node / "settings.xml").write_text('<?xml version="1.0"?>\n<SETTINGS></SETTINGS>\n')
    return node


def write_continuous(folder: Path, name, samples, first_numbers=None, bit_volts=0.195):
    """Write one ``.continuous`` file of the older layout; samples in whole records of 1024."""
    header = (
        "header.format = 'Open Ephys Data Format'; \nheader.version = 0.4; \n"
        "header.header_bytes = 1024;\nheader.description = 'each record contains one 64-bit "
        "timestamp, one 16-bit sample count (N), 1 uint16 recordingNumber, N 16-bit samples, "
        "and one 10-byte record marker (0 1 2 3 4 5 6 7 8 255)'; \n"
        "header.date_created = '20-Nov-2026 120000';\n"
        f"header.channel = '{name}';\nheader.channelType = 'Continuous';\n"
        f"header.sampleRate = 30000;\nheader.blockLength = 1024;\nheader.bufferSize = 1024;\n"
        f"header.bitVolts = {bit_volts};\n"
    )
    records = np.asarray(samples, dtype=">i2").reshape(-1, RECORD_FRAMES)
    if first_numbers is None:
        first_numbers = 2048 + RECORD_FRAMES * np.arange(len(records))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"100_{name}.continuous").open("wb") as file:
        file.write(header.encode().ljust(1024, b" "))
        for number, record in zip(first_numbers, records, strict=True):
            file.write(np.int64(number).tobytes())
            file.write(np.array([RECORD_FRAMES, 0], dtype="<u2").tobytes())
            file.write(record.tobytes())
            file.write(_MARKER)
