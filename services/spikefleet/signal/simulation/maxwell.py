"""Writes MaxWell's layout since 2019: one file, one or many wells, gzip instead of their codec.

As on real plates, each row of six wells has its own recording id, the samples are under
``data_store`` and ``wells`` links to them, and amplifier channels are not in electrode order.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from probeinterface import Probe
from spikeinterface.core import BaseRecording

from spikefleet.signal.simulation.request import MAXWELL_PITCH_UM
from spikefleet.signal.simulation.signal import StoredCoding, square_block

_AMPLIFIER_GAIN = 1024.0
_FIRST_FRAME = 9_570_219
_ARRAY_COLUMNS = 220
_FIRST_ELECTRODE = (50, 40)  # row, column of the block of electrodes that is routed
_WELLS_PER_ROW = 6
_CHUNK_SAMPLES = 1024
_BLOCK_SAMPLES = 20 * _CHUNK_SAMPLES
_START_MS = 1_700_000_000_000

# Ten bits around mid-scale, in uint16, as the system stores them.
CODING = StoredCoding(
    lsb_uv=3.3 / (1024 * _AMPLIFIER_GAIN) * 1e6,
    low_code=0,
    high_code=1023,
    zero_code=512,
    dtype="uint16",
)
_MAPPING = np.dtype([("channel", "<i4"), ("electrode", "<i4"), ("x", "<f8"), ("y", "<f8")])
_SPIKES = np.dtype([("frameno", "<i8"), ("channel", "<i4"), ("amplitude", "<f4")])


def make_probe(n_channels: int) -> Probe:
    """Return a square block of neighbouring electrodes."""
    rows, across = square_block(n_channels) + np.array(_FIRST_ELECTRODE)[:, np.newaxis]
    probe = Probe(ndim=2, si_units="um")
    probe.set_contacts(
        positions=np.stack([across, rows], axis=1) * MAXWELL_PITCH_UM,
        shapes="rect",
        shape_params={"width": 5.45, "height": 9.3},
    )
    probe.annotate_contacts(electrode=rows * _ARRAY_COLUMNS + across)
    probe.set_device_channel_indices(np.arange(n_channels))
    return probe


class PlateFile:
    """A plate being written, well by well. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> PlateFile:
        self._file = h5py.File(self._path, mode="w")
        self._file["version"] = np.array([b"20190530"])
        self._file["hdf_version"] = np.array([b"1.14.3"])
        self._file.create_group("bits")
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add_well(self, well: int, recording: BaseRecording) -> str:
        """Write one well and return its stream id."""
        stream, take = f"well{well:03d}", f"rec{well // _WELLS_PER_ROW:04d}"
        store = f"data_store/data{well:04d}"
        group = self._file.create_group(store)
        n_samples = recording.get_num_samples()
        group["well_id"] = np.array([well], dtype="<i4")
        group["recording_id"] = np.array([well // _WELLS_PER_ROW], dtype="<i4")
        group["start_time"] = np.array([_START_MS])
        duration_ms = int(1000 * n_samples / recording.sampling_frequency)
        group["stop_time"] = np.array([_START_MS + duration_ms])
        group["spikes"] = np.zeros(0, dtype=_SPIKES)
        channels = _write_settings(group.create_group("settings"), recording)
        _write_routed(group.create_group("groups/routed"), recording, channels)
        self._file[f"wells/{stream}/{take}"] = h5py.SoftLink(f"/{store}")
        self._file[f"recordings/{take}/{stream}"] = h5py.SoftLink(f"/{store}")
        return stream


def _write_settings(settings: Any, recording: BaseRecording) -> Any:
    settings["gain"] = np.array([_AMPLIFIER_GAIN])
    settings["hpf"] = np.array([300.0])
    settings["lsb"] = np.array([CODING.lsb_uv * 1e-6])
    settings["sampling"] = np.array([float(recording.sampling_frequency)])
    settings["spike_threshold"] = np.array([5.0])
    probe = recording.get_probe()
    mapping = np.zeros(recording.get_num_channels(), dtype=_MAPPING)
    # Every third amplifier channel where they fit: numbers with gaps, as routing leaves them.
    step = 3 if mapping.size <= 340 else 1
    mapping["channel"] = step * np.arange(mapping.size) + (2 if step > 1 else 0)
    mapping["electrode"] = probe.contact_annotations["electrode"]
    mapping["x"], mapping["y"] = probe.contact_positions.T
    settings["mapping"] = mapping
    return mapping["channel"]


def _write_routed(routed: Any, recording: BaseRecording, channels: Any) -> None:
    n_samples, n_channels = recording.get_num_samples(), recording.get_num_channels()
    routed["channels"] = channels.astype("<u2")
    routed["frame_nos"] = np.arange(_FIRST_FRAME, _FIRST_FRAME + n_samples, dtype="<u8")
    raw = routed.create_dataset(
        "raw",
        shape=(n_channels, n_samples),
        dtype="<u2",
        chunks=(n_channels, min(_CHUNK_SAMPLES, n_samples)),
        compression="gzip",
        compression_opts=1,
    )
    for start in range(0, n_samples, _BLOCK_SAMPLES):
        end = min(start + _BLOCK_SAMPLES, n_samples)
        raw[:, start:end] = recording.get_traces(start_frame=start, end_frame=end).T
