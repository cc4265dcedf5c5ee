"""Multi Channel Systems ``.h5`` as MCS DataManager exports it. One stream is one analog stream.

Positions come from the electrode labels and the pitch in the array's name ("60MEA200/30iR"), else
from a ``probe.json``, else there are none. Reference electrodes are left out. µV are
(code - ADZero) x ConversionFactor x 10^Exponent, per channel; units other than volts are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from probeinterface import Probe
from spikeinterface.core import BaseRecording

from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.signal.formats.family import FormatFamily, describe_each
from spikefleet.signal.formats.frame_gaps import require_unique_ids
from spikefleet.signal.formats.hdf5 import (
    add_plugin_path,
    dataset_at,
    is_hdf5,
    open_hdf5,
    require_filters,
    require_samples,
)
from spikefleet.signal.formats.hdf5_fields import groups_in, numbers_at, table_at
from spikefleet.signal.formats.hdf5_layouts import RowsSegment
from spikefleet.signal.formats.header_fields import entry
from spikefleet.signal.formats.probe_sidecar import place_channels
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.takes import (
    Take,
    cut_take,
    list_takes,
    part_takes,
    stream_of_take,
)

FORMAT = "mcs"
_ROOT = "Data"
_REFERENCE = "ref"
# MCS counts its columns without the letters I and Q.
_COLUMN_LETTERS = "ABCDEFGHJKLMNOPR"
_PITCH = re.compile(r"MEA\s*(\d+)\s*/", re.IGNORECASE)
_NUMBERS = ("ChannelID", "ADZero", "Exponent", "Tick", "ConversionFactor")


@dataclass(frozen=True)
class _Stream:
    """One analog stream's samples and the channels in it, in the file's order."""

    dataset: str
    rows: NDArray[np.int64]
    channel_ids: tuple[str, ...]
    labels: tuple[str, ...]
    sampling_rate_hz: float
    gains_to_uv: NDArray[np.float64]
    offsets_to_uv: NDArray[np.float64]
    positions_um: NDArray[np.float64] | None
    takes: tuple[Take, ...]


def recognises(path: Path) -> bool:
    """Say whether an HDF5 file holds an MCS recording with analog streams."""
    if not is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return any("AnalogStream" in group for group in _recordings(file, path).values())


def describe(path: Path) -> RecordingDescription:
    """List the electrode streams; auxiliary and digital ones are other streams."""
    with open_hdf5(path) as file:
        found = _streams(file, path)
        names = [name for name, group in found.items() if _is_electrodes(group, path)]
        lengths = list_takes(names, lambda name: _read_stream(file, name, path).takes)

        def describe_one(take: str) -> StreamDescription:
            return _describe_stream(file, stream_of_take(take, names), take, lengths[take], path)

        streams = describe_each(lengths, describe_one, path)
    if not streams:
        raise corrupt(path, "empty", "no analog stream of this file holds electrode data.")
    others = tuple(name for name in found if name not in names)
    return RecordingDescription(FORMAT, streams, others)


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open one take of an analog stream; a ``probe.json`` beside it places channels it does not."""
    with open_hdf5(path) as file:
        name = stream_of_take(stream, _streams(file, path))
        takes = _read_stream(file, name, path).takes
    recording = McsRecording(str(path), name, hdf5_plugin_path)
    return place_channels(cut_take(recording, stream, name, takes, path), path)


class McsRecording(BaseRecording):  # type: ignore[misc]
    """One analog stream, read lazily.

    Channel ids are the file's ChannelID as text; property "electrode_label" holds the labels. Holds
    all takes of its stream.
    """

    def __init__(self, file_path: str, stream: str, hdf5_plugin_path: str | None = None) -> None:
        path = Path(file_path)
        add_plugin_path(hdf5_plugin_path)
        file = open_hdf5(path)
        found = _read_stream(file, stream, path)
        data = file[found.dataset]
        require_filters(data, path, hdf5_plugin_path)
        super().__init__(
            sampling_frequency=found.sampling_rate_hz,
            channel_ids=list(found.channel_ids),
            dtype=data.dtype,
        )
        self.add_recording_segment(RowsSegment(data, found.rows, found.sampling_rate_hz, path))
        self.set_channel_gains(found.gains_to_uv)
        self.set_channel_offsets(found.offsets_to_uv)
        self.set_property("electrode_label", np.array(found.labels))
        if found.positions_um is not None:
            self.set_probe(_make_probe(found.positions_um))
        self._kwargs = {
            "file_path": str(path.absolute()),
            "stream": stream,
            "hdf5_plugin_path": hdf5_plugin_path,
        }


def _recordings(file: Any, path: Path) -> dict[str, Any]:
    groups = groups_in(file, _ROOT, path)
    return {name: group for name, group in groups.items() if name.startswith("Recording_")}


def _streams(file: Any, path: Path) -> dict[str, Any]:
    """Return stream id -> group; streams of later recordings carry the recording's name."""
    found = {}
    for recording, group in _recordings(file, path).items():
        prefix = "" if recording == "Recording_0" else f"{recording}/"
        for name, stream in groups_in(group, "AnalogStream", path).items():
            found[f"{prefix}{name}"] = stream
    return found


def _is_electrodes(group: Any, path: Path) -> bool:
    with reading(path):
        kind = group.attrs.get("DataSubType", "Electrode")
    return _text(kind).strip().lower() == "electrode"


def _describe_stream(
    file: Any, name: str, take: str, n_frames: int | None, path: Path
) -> StreamDescription:
    stream = _read_stream(file, name, path)
    data = file[stream.dataset]
    duration_s = (n_frames or data.shape[1]) / stream.sampling_rate_hz
    return StreamDescription(
        take, len(stream.channel_ids), stream.sampling_rate_hz, duration_s, str(data.dtype)
    )


def _read_stream(file: Any, stream: str, path: Path) -> _Stream:
    group = entry(_streams(file, path), stream, path)
    table = table_at(group, "InfoChannel", path, numbers=_NUMBERS, others=("Unit",))
    data = dataset_at(group, "ChannelData", path)
    if data.shape is not None and len(data.shape) == 2 and data.shape[0] != table.size:
        raise corrupt(
            path, "unreadable", f"{table.size} channels are listed, data of {data.shape} stored."
        )
    require_samples(data, path)
    kept = np.array([_REFERENCE not in _text(label).lower() for label in _labels(table)])
    table, rows = table[kept], _rows(group, table, path)[kept]
    _check_table(table, rows, data.shape[0], path)
    tick_us = float(table["Tick"][0])
    factor_uv = table["ConversionFactor"] * 10.0 ** (table["Exponent"].astype(np.float64) + 6)
    labels = tuple(_text(label) for label in _labels(table))
    return _Stream(
        dataset=data.name,
        rows=rows,
        channel_ids=tuple(str(channel) for channel in table["ChannelID"]),
        labels=labels,
        sampling_rate_hz=1e6 / tick_us,
        gains_to_uv=factor_uv,
        offsets_to_uv=-table["ADZero"].astype(np.float64) * factor_uv,
        positions_um=_positions_um(labels, _pitch_um(file, path)),
        takes=_read_takes(group, data.shape[1], tick_us, path),
    )


def _rows(group: Any, table: Any, path: Path) -> NDArray[np.int64]:
    if "RowIndex" not in table.dtype.names:
        return np.arange(table.size)
    with_rows = table_at(group, "InfoChannel", path, numbers=("RowIndex",))
    return np.asarray(with_rows["RowIndex"]).astype(np.int64)


def _check_table(table: Any, rows: NDArray[np.int64], n_rows: int, path: Path) -> None:
    if table.size == 0:
        raise corrupt(path, "empty", "the stream has no channel but references.")
    require_unique_ids(table["ChannelID"], path)
    if np.unique(rows).size != rows.size or rows.min() < 0 or rows.max() >= n_rows:
        raise corrupt(path, "unreadable", "RowIndex does not fit the stored rows.")
    units = sorted({_text(unit) for unit in table["Unit"]})
    if units != ["V"]:
        raise corrupt(path, "units", f"samples are in {', '.join(units)}, not in volts.")
    if np.unique(table["Tick"]).size != 1 or not table["Tick"][0] > 0:
        raise corrupt(path, "unreadable", "its channels do not share one sampling interval.")


def _read_takes(group: Any, n_samples: int, tick_us: float, path: Path) -> tuple[Take, ...]:
    """Return the takes that the blocks (time in µs, first, last index) make up."""
    if "ChannelDataTimeStamps" not in group:
        return part_takes((), n_samples, 0, path)
    listed = numbers_at(group, "ChannelDataTimeStamps", path)
    if not listed.size or listed.size % 3 or listed.dtype.kind not in "iu":
        raise corrupt(path, "unreadable", "ChannelDataTimeStamps is not a table of blocks.")
    blocks = listed.reshape(-1, 3).astype(np.int64)
    stated = int((blocks[:, 2] - blocks[:, 1] + 1).sum())
    if stated != n_samples:
        reason = "truncated" if stated > n_samples else "unreadable"
        raise corrupt(path, reason, f"the header counts {stated} frames, {n_samples} are stored.")
    ends_us = blocks[:-1, 0] + (blocks[:-1, 2] - blocks[:-1, 1] + 1) * tick_us
    missing = np.rint((blocks[1:, 0] - ends_us) / tick_us).astype(np.int64)
    starts = np.cumsum(blocks[:-1, 2] - blocks[:-1, 1] + 1)
    jumps = [
        (int(frame), int(count)) for frame, count in zip(starts, missing, strict=True) if count
    ]
    return part_takes(jumps, n_samples, round(float(blocks[0, 0]) / tick_us), path)


def _labels(table: Any) -> Any:
    has_labels = "Label" in table.dtype.names and table["Label"].ndim == 1
    return table["Label"] if has_labels else np.full(table.size, b"")


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _pitch_um(file: Any, path: Path) -> float | None:
    with reading(path):
        name = file[_ROOT].attrs.get("MeaName", file.attrs.get("MeaName", ""))
    found = _PITCH.search(_text(name))
    return float(found.group(1)) if found else None


def _positions_um(labels: tuple[str, ...], pitch_um: float | None) -> NDArray[np.float64] | None:
    places = [_place(label) for label in labels]
    if pitch_um is None or None in places or len(set(places)) != len(places):
        return None
    return np.array(places, dtype=np.float64) * pitch_um


def _place(label: str) -> tuple[int, int] | None:
    """Return (column, row) of a label such as "47" or "G12", counted from 0."""
    if re.fullmatch(r"[1-9][1-9]", label):
        return int(label[0]) - 1, int(label[1]) - 1
    lettered = re.fullmatch(rf"([{_COLUMN_LETTERS}])([1-9]\d?)", label.upper())
    if lettered:
        return _COLUMN_LETTERS.index(lettered.group(1)), int(lettered.group(2)) - 1
    return None


def _make_probe(positions_um: NDArray[np.float64]) -> Probe:
    probe = Probe(ndim=2, si_units="um", manufacturer="Multi Channel Systems")
    probe.set_contacts(positions=positions_um, shapes="circle", shape_params={"radius": 15.0})
    probe.set_device_channel_indices(np.arange(len(positions_um)))
    return probe


FAMILY = FormatFamily(FORMAT, "Multi Channel Systems .h5", recognises, describe, open_stream)
