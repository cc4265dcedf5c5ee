"""Writes a SpikeGLX run folder: Neuropixels 1.0, ``.ap.bin`` with ``.meta``, and a sync channel.

Fewer than 384 channels are written as SpikeGLX writes them: as a saved subset of the probe.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from probeinterface import Probe
from probeinterface.neuropixels_tools import build_neuropixels_probe
from spikeinterface.core import BaseRecording

from spikefleet.signal.simulation.signal import StoredCoding

_PART = "NP1000"
_PROBE_CHANNELS = 384
_RANGE_V, _GAIN = 0.6, 500
_BLOCK_SAMPLES = 30000

# The converter has ten bits.
CODING = StoredCoding(lsb_uv=_RANGE_V / 512 / _GAIN * 1e6, low_code=-512, high_code=511)


def make_probe(n_channels: int) -> Probe:
    """Return the first ``n_channels`` contacts of a Neuropixels 1.0 probe."""
    probe = build_neuropixels_probe(_PART).get_slice(np.arange(n_channels))
    probe.set_device_channel_indices(np.arange(n_channels))
    return probe


def write(recording: BaseRecording, path: Path) -> None:
    """Write the folder block by block."""
    path.mkdir(parents=True)
    stem = f"{path.name}_g0_t0.imec0.ap"
    n_samples, n_channels = recording.get_num_samples(), recording.get_num_channels()
    with (path / f"{stem}.bin").open("wb") as file:
        for start in range(0, n_samples, _BLOCK_SAMPLES):
            end = min(start + _BLOCK_SAMPLES, n_samples)
            frames = np.zeros((end - start, n_channels + 1), dtype="<i2")
            frames[:, :-1] = recording.get_traces(start_frame=start, end_frame=end)
            file.write(frames.tobytes())
    header = _header(stem, n_channels, n_samples, float(recording.sampling_frequency))
    (path / f"{stem}.meta").write_text("".join(f"{key}={value}\n" for key, value in header.items()))


def _header(stem: str, n_channels: int, n_samples: int, rate_hz: float) -> dict[str, str]:
    saved = n_channels + 1
    signals = range(n_channels)
    imro = "".join(f"({channel} 0 0 {_GAIN} 250 1)" for channel in range(_PROBE_CHANNELS))
    names = "".join(f"(AP{index};{index}:{index})" for index in signals)
    sites = "".join(f"(0:{index % 2}:{index // 2}:1)" for index in signals)
    # Columns of an NP1.0 shank, staggered from row to row, in µm from the shank's left edge.
    across_um = ((27, 59), (11, 43))
    geometry = "".join(
        f"(0:{across_um[index // 2 % 2][index % 2]}:{index // 2 * 20}:1)" for index in signals
    )
    sync = f"SY0;{_PROBE_CHANNELS}:{n_channels}"
    return {
        "acqApLfSy": "384,384,1",
        "appVersion": "20230905",
        "fileCreateTime": "2024-01-01T00:00:00",
        "fileName": f"D:/data/{stem}.bin",
        "fileSizeBytes": str(n_samples * saved * 2),
        "fileTimeSecs": str(n_samples / rate_hz),
        "firstSample": "0",
        "imAiRangeMax": str(_RANGE_V),
        "imAiRangeMin": str(-_RANGE_V),
        "imDatPrb_pn": _PART,
        "imDatPrb_port": "1",
        "imDatPrb_slot": "2",
        "imDatPrb_sn": "18194809281",
        "imDatPrb_type": "0",
        "imMaxInt": "512",
        "imSampRate": str(rate_hz),
        "nSavedChans": str(saved),
        "snsApLfSy": f"{n_channels},0,1",
        "snsSaveChanSubset": f"0:{n_channels - 1},768",
        "syncImInputSlot": "2",
        "typeImEnabled": "1",
        "typeThis": "imec",
        "~imroTbl": f"(0,{_PROBE_CHANNELS}){imro}",
        "~snsChanMap": f"({n_channels},0,1){names}({sync})",
        "~snsGeomMap": f"(NP1000,1,0,70){geometry}",
        "~snsShankMap": f"(1,2,480){sites}",
    }
