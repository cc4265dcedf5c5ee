"""A writer of small Neuralynx ``.ncs`` files, as Cheetah 5.7 on a Digital Lynx SX lays them out."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

RECORD_FRAMES = 512
RATE_HZ = 32_000


def header(name, number, **changed):
    """Return the 16 kB text header; ``changed`` replaces or removes (None) fields."""
    fields = {
        "OriginalFileName": f'"C:\\CheetahData\\{name}.ncs"',
        "TimeCreated": "2026/11/20 12:00:00",
        "TimeClosed": "2026/11/20 12:01:00",
        "FileType": "NCS",
        "FileVersion": "3.3.0",
        "RecordSize": "1044",
        "CheetahRev": "5.7.4",
        "HardwareSubSystemName": "AcqSystem1",
        "HardwareSubSystemType": "DigitalLynxSX",
        "SamplingFrequency": str(RATE_HZ),
        "ADMaxValue": "32767",
        "ADBitVolts": "0.000000030518510385491027",
        "AcqEntName": name,
        "NumADChannels": "1",
        "ADChannel": str(number),
        "InputRange": "1000",
        "InputInverted": "False",
        "DSPLowCutFilterEnabled": "True",
        "DspLowCutFrequency": "0.1",
        "DSPHighCutFilterEnabled": "True",
        "DspHighCutFrequency": "8000",
        "AcquisitionSystem": "AcqSystem1 DigitalLynxSX",
        **changed,
    }
    lines = [f"-{key} {value}" for key, value in fields.items() if value is not None]
    text = "######## Neuralynx Data File Header\r\n" + "\r\n".join(lines) + "\r\n"
    return text.encode("latin-1").ljust(16384, b"\x00")


def write_ncs(folder: Path, name, number, samples, *, lost_before=None, valid=None, **changed):
    """Write one channel.

    ``lost_before`` is {record: frames lost before it}, ``valid`` {record: its valid frames} (512).
    ``samples`` (1D int16) are the valid ones, in order; the last record may be short.
    """
    folder.mkdir(parents=True, exist_ok=True)
    samples = np.asarray(samples, dtype="<i2")
    rate_hz = float(changed.get("SamplingFrequency") or RATE_HZ)
    at_frame, used, record = 1_000_000, 0, 0
    with (folder / f"{name}.ncs").open("wb") as file:
        file.write(header(name, number, **changed))
        while used < len(samples):
            n_valid = (valid or {}).get(record, RECORD_FRAMES)
            piece = samples[used : used + n_valid]
            at_frame += (lost_before or {}).get(record, 0)
            stamp_us = round(at_frame * 1e6 / rate_hz)
            file.write(struct.pack("<Q3I", stamp_us, number, int(rate_hz), len(piece)))
            file.write(np.pad(piece, (0, RECORD_FRAMES - len(piece))).tobytes())
            at_frame += len(piece)
            used += len(piece)
            record += 1


def write_folder(folder: Path, samples, **options):
    """Write samples x channels as CSC1, CSC2, ...; returns the folder."""
    for column in range(samples.shape[1]):
        write_ncs(folder, f"CSC{column + 1}", column, samples[:, column], **options)
    return folder
