"""MaxWell recordings: MaxOne and MaxTwo ``.raw.h5``, the 2016 layout and the one since 2019.

One stream is one well ("well000"). Reads the routed rows only, resolves channels listed twice to
the first row, and lets each well sit under its own recording id, as plates with several rows do.
A well's later takes are streams of the form "well000/rec0001". Never downloads a plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from probeinterface import Probe
from spikeinterface.core import BaseRecording

from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.signal.formats.family import FormatFamily, describe_each
from spikefleet.signal.formats.frame_gaps import find_jumps
from spikefleet.signal.formats.hdf5 import (
    add_plugin_path,
    dataset_at,
    is_hdf5,
    open_hdf5,
    require_filters,
    require_samples,
)
from spikefleet.signal.formats.hdf5_fields import (
    first_value,
    groups_in,
    number_at,
    numbers_at,
    table_at,
    whole_numbers,
)
from spikefleet.signal.formats.hdf5_layouts import RowsSegment
from spikefleet.signal.formats.header_fields import whole
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.takes import (
    Take,
    cut_take,
    list_takes,
    part_takes,
    stream_of_take,
)

FORMAT = "maxwell"
_OLD_VERSION = 20160704
_OLD_RATE_HZ = 20000.0
_OLD_SAMPLES = "sig"
_DEFAULT_GAIN = 512.0
_ELECTRODE_UM = {"width": 5.45, "height": 9.3}


@dataclass(frozen=True)
class Well:
    """Where one take of one well is in the file, and the rows of it that are routed.

    ``frame_numbers`` is the dataset that numbers its frames, None in the layout of 2016.
    """

    dataset: str  #: path of the samples
    rows: NDArray[np.int64]  #: of the dataset that are routed
    channels: NDArray[np.int64]  #: their channel numbers
    electrodes: NDArray[np.int64]  #: their electrode numbers
    positions_um: NDArray[np.float64]  #: their places, (rows, 2)
    sampling_rate_hz: float  #: its rate
    gain_to_uv: float  #: µV of one step
    frame_numbers: str | None
    n_unplaced: int  #: routed channels without a place


def recognises(path: Path) -> bool:
    """Say whether an HDF5 file has a MaxWell layout, old or new."""
    if not is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return "version" in file and ("wells" in file or ("mapping" in file and "sig" in file))


def describe(path: Path) -> RecordingDescription:
    """List the wells from the header alone; needs no decompression plugin."""
    with open_hdf5(path) as file:
        takes = takes_of(file, path)

        lengths = list_takes(
            takes, lambda well: read_takes(file, read_well(file, well, takes[well][0], path), path)
        )

        def describe_one(name: str) -> StreamDescription:
            well = stream_of_take(name, takes)
            header = read_well(file, well, takes[well][0], path)
            data = file[header.dataset]
            n_frames = lengths[name] or int(data.shape[1])
            return StreamDescription(
                name,
                int(header.rows.size),
                header.sampling_rate_hz,
                n_frames / header.sampling_rate_hz,
                str(data.dtype),
            )

        streams = describe_each(lengths, describe_one, path)
        if not streams:
            raise corrupt(path, "empty", "no well of this file holds a routed recording.")
        others = [f"{well}/{name}" for well, names in takes.items() for name in names[1:]]
        return RecordingDescription(FORMAT, streams, tuple(others))


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open one well.

    Raises:
        HDF5PluginMissingError: the traces are compressed with a filter this machine lacks.
    """
    name, takes = _read_clock(path, stream)
    recording = MaxwellRecording(str(path), name, hdf5_plugin_path)
    return cut_take(recording, stream, name, takes, path)


def open_header(path: Path, stream: str) -> BaseRecording:
    """Open one well for its scale, probe and gaps; its traces may need a plugin that is absent."""
    name, takes = _read_clock(path, stream)
    recording = MaxwellRecording(str(path), name, needs_traces=False)
    return cut_take(recording, stream, name, takes, path)


def _read_clock(path: Path, stream: str) -> tuple[str, tuple[Take, ...]]:
    """Return the recording of a well that ``stream`` is in, and the takes in it."""
    with open_hdf5(path) as file:
        well, name = find_well(file, stream, path)
        return name, read_takes(file, well, path)


def find_well(file: Any, stream: str, path: Path) -> tuple[Well, str]:
    """Return the well, and its recording's name, of a stream that may be a take of it."""
    takes = takes_of(file, path)
    known = [*takes, *(f"{well}/{take}" for well, names in takes.items() for take in names)]
    name = stream_of_take(stream, known)
    well_id, _, take = name.partition("/")
    return read_well(file, well_id, take or takes[well_id][0], path), name


def read_takes(file: Any, well: Well, path: Path) -> tuple[Take, ...]:
    """Return the takes that the numbers of a well's frames make up; one where there are none."""
    n_frames = int(file[well.dataset].shape[1])
    if not well.frame_numbers:
        return part_takes((), n_frames, 0, path)
    with reading(path):
        numbers = file[well.frame_numbers]
        jumps, first = find_jumps(numbers), int(numbers[0])
    return part_takes(jumps, n_frames, first, path)


class MaxwellRecording(BaseRecording):  # type: ignore[misc]
    """One take of one well, routed channels only, read lazily.

    Channel ids are the amplifier channel numbers as text; property "electrode" holds the
    electrode numbers; annotation "unplaced_channels" counts routed ones that the mapping does not
    know.
    """

    def __init__(
        self,
        file_path: str,
        stream: str,
        hdf5_plugin_path: str | None = None,
        *,
        needs_traces: bool = True,
    ) -> None:
        path = Path(file_path)
        add_plugin_path(hdf5_plugin_path)
        file = open_hdf5(path)
        well, _ = find_well(file, stream, path)
        data = file[well.dataset]
        if needs_traces:
            require_filters(data, path, hdf5_plugin_path)
        super().__init__(
            sampling_frequency=well.sampling_rate_hz,
            channel_ids=[str(channel) for channel in well.channels],
            dtype=data.dtype,
        )
        self.add_recording_segment(RowsSegment(data, well.rows, well.sampling_rate_hz, path))
        n_channels = well.rows.size
        self.set_channel_gains(np.full(n_channels, well.gain_to_uv))
        self.set_channel_offsets(np.zeros(n_channels))
        self.set_probe(_make_probe(well))
        self.set_property("electrode", well.electrodes)
        if well.n_unplaced:
            self.annotate(unplaced_channels=well.n_unplaced)
        self._kwargs = {
            "file_path": str(path.absolute()),
            "stream": stream,
            "hdf5_plugin_path": hdf5_plugin_path,
            "needs_traces": needs_traces,
        }


def _make_probe(well: Well) -> Probe:
    probe = Probe(ndim=2, si_units="um", manufacturer="Maxwell Biosystems")
    probe.set_contacts(positions=well.positions_um, shapes="rect", shape_params=_ELECTRODE_UM)
    probe.annotate_contacts(electrode=well.electrodes)
    probe.set_device_channel_indices(np.arange(well.rows.size))
    return probe


def _is_old(file: Any, path: Path) -> bool:
    version = whole(first_value(file, "version", path), "version", path)
    if version < _OLD_VERSION:
        raise corrupt(path, "unknown_format", f"MaxWell file version {version} is not supported.")
    return version == _OLD_VERSION


def takes_of(file: Any, path: Path) -> dict[str, list[str]]:
    """Return well id -> names of its takes that hold routed traces, in order."""
    if _is_old(file, path):
        return {"well000": [""]}
    takes: dict[str, list[str]] = {}
    for well in groups_in(file, "wells", path):
        recordings = groups_in(file, f"wells/{well}", path)
        with reading(path):
            names = [name for name, take in recordings.items() if "groups/routed/raw" in take]
        if names:
            takes[well] = sorted(names)
    return takes


@dataclass(frozen=True)
class _Places:
    """Where one take's parts are in the file; "" where the layout has none."""

    settings: str
    mapping: str
    samples: str
    channels: str = ""
    frame_numbers: str = ""


def _places(file: Any, well: str, take: str, path: Path) -> _Places:
    if _is_old(file, path):
        return _Places("settings", "mapping", _OLD_SAMPLES)
    at = f"wells/{well}/{take}"
    routed = f"{at}/groups/routed"
    with reading(path):
        channels, numbers = (f"{routed}/{name}" in file for name in ("channels", "frame_nos"))
    return _Places(
        settings=f"{at}/settings",
        mapping=f"{at}/settings/mapping",
        samples=f"{routed}/raw",
        channels=f"{routed}/channels" if channels else "",
        frame_numbers=f"{routed}/frame_nos" if numbers else "",
    )


def read_well(file: Any, well: str, take: str, path: Path) -> Well:
    """Read the header of one take of one well; ``take`` is "" in the layout of 2016.

    Raises:
        InputCorruptError: ``empty``, ``truncated`` (fewer frames than numbered), ``absurd`` or
            ``unreadable``.
    """
    at = _places(file, well, take, path)
    mapping = table_at(file, at.mapping, path, numbers=("channel", "electrode", "x", "y"))
    data = dataset_at(file, at.samples, path)
    require_samples(data, path)
    n_rows, n_frames = data.shape
    if at.frame_numbers:
        frames = whole_numbers(dataset_at(file, at.frame_numbers, path), path)
        if frames.shape[0] != n_frames:
            raise corrupt(
                path,
                "truncated",
                f"{at.samples} has {n_frames} frames, {frames.shape[0]} are numbered.",
            )
    first_rows = _first_rows(mapping)
    n_unplaced = 0
    if at.samples == _OLD_SAMPLES:
        rows = np.array([channel for channel in first_rows if channel < n_rows], dtype=np.int64)
        channels = rows
    elif at.channels:
        raw_channels = numbers_at(file, at.channels, path)
        rows, channels = _routed_rows(raw_channels, first_rows)
        n_unplaced = int(np.unique(raw_channels).size - rows.size)
    else:
        channels = np.array(list(first_rows), dtype=np.int64)
        rows = np.arange(channels.size)
    if channels.size == 0 or rows.max() >= n_rows:
        raise corrupt(
            path, "unreadable", f"{at.samples} has {n_rows} rows that its mapping does not fit."
        )
    entries = mapping[[first_rows[int(channel)] for channel in channels]]
    return Well(
        dataset=at.samples,
        rows=rows.astype(np.int64),
        channels=channels.astype(np.int64),
        electrodes=entries["electrode"].astype(np.int64),
        positions_um=np.stack([entries["x"], entries["y"]], axis=1).astype(np.float64),
        sampling_rate_hz=_sampling_rate_hz(file, at, path),
        gain_to_uv=_gain_to_uv(file, at, path),
        frame_numbers=at.frame_numbers or None,
        n_unplaced=n_unplaced,
    )


def _first_rows(mapping: Any) -> dict[int, int]:
    """Return channel -> its first row in the mapping; firmware 25 lists some channels twice."""
    first: dict[int, int] = {}
    for row, channel in enumerate(mapping["channel"]):
        if channel >= 0:
            first.setdefault(int(channel), row)
    return first


def _routed_rows(
    raw_channels: NDArray[Any], mapped: dict[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (rows of the raw dataset, channel numbers), each mapped channel once."""
    found: dict[int, int] = {}
    for row, channel in enumerate(raw_channels):
        if int(channel) in mapped:
            found.setdefault(int(channel), row)
    return np.array(list(found.values()), dtype=np.int64), np.array(list(found), dtype=np.int64)


def _sampling_rate_hz(file: Any, at: _Places, path: Path) -> float:
    if at.samples == _OLD_SAMPLES:
        return _OLD_RATE_HZ
    return number_at(file, f"{at.settings}/sampling", path, above=0)


def _gain_to_uv(file: Any, at: _Places, path: Path) -> float:
    with reading(path):
        has_lsb, has_gain = (f"{at.settings}/{name}" in file for name in ("lsb", "gain"))
    if has_lsb:
        return number_at(file, f"{at.settings}/lsb", path, above=0) * 1e6
    gain = number_at(file, f"{at.settings}/gain", path, above=0) if has_gain else _DEFAULT_GAIN
    return 3.3 / (1024 * gain) * 1e6


FAMILY = FormatFamily(FORMAT, "MaxWell .raw.h5", recognises, describe, open_stream, open_header)
