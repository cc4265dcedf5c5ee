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

from spikefleet.core.recordings.description import (
    FormatFamily,
    RecordingDescription,
    StreamDescription,
    describe_each,
)
from spikefleet.core.recordings.edge import corrupt, reading
from spikefleet.core.recordings.frame_gaps import find_frame_gaps, note_frame_gaps
from spikefleet.core.recordings.hdf5 import (
    add_plugin_path,
    is_hdf5,
    open_hdf5,
    require_filters,
)
from spikefleet.core.recordings.hdf5_layouts import RowsSegment

FORMAT = "maxwell"
_OLD_VERSION = 20160704
_OLD_RATE_HZ = 20000.0
_DEFAULT_GAIN = 512.0
_ELECTRODE_UM = {"width": 5.45, "height": 9.3}


@dataclass(frozen=True)
class Well:
    """Where one take of one well lies in the file, and the rows of it that are routed.

    ``frame_numbers`` is the dataset that numbers its frames, None in the layout of 2016.
    """

    dataset: str
    rows: NDArray[np.int64]
    channels: NDArray[np.int64]
    electrodes: NDArray[np.int64]
    positions_um: NDArray[np.float64]
    sampling_rate_hz: float
    gain_to_uv: float
    frame_numbers: str | None
    n_unplaced: int


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

        def describe_one(well: str) -> StreamDescription:
            header = read_well(file, well, takes[well][0], path)
            data = file[header.dataset]
            return StreamDescription(
                well,
                int(header.rows.size),
                header.sampling_rate_hz,
                data.shape[1] / header.sampling_rate_hz,
                str(data.dtype),
            )

        streams = describe_each(takes, describe_one, path)
        if not streams:
            raise corrupt(path, "empty", "no well of this file holds a routed recording.")
        others = [f"{well}/{name}" for well, names in takes.items() for name in names[1:]]
        return RecordingDescription(FORMAT, streams, tuple(others))


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> MaxwellRecording:
    """Open one well.

    Raises:
        HDF5PluginMissingError: the traces are compressed with a filter this machine lacks.
    """
    return MaxwellRecording(str(path), stream, hdf5_plugin_path)


def open_header(path: Path, stream: str) -> MaxwellRecording:
    """Open one well for its scale, probe and gaps; its traces may need a plugin that is absent."""
    return MaxwellRecording(str(path), stream, needs_traces=False)


class MaxwellRecording(BaseRecording):  # type: ignore[misc]
    """One take of one well, routed channels only, read lazily.

    Channel ids are the amplifier channel numbers as text; property "electrode" holds the
    electrode numbers; annotations "dropped_frames" and "frame_gaps" tell of frames the system did
    not store, "unplaced_channels" of routed ones that the mapping does not know.
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
        well_id, _, take = stream.partition("/")
        takes = takes_of(file, path)
        with reading(path):
            well = read_well(file, well_id, take or takes[well_id][0], path)
            data = file[well.dataset]
            if needs_traces:
                require_filters(data, path, hdf5_plugin_path)
            gaps = find_frame_gaps(file[well.frame_numbers], path) if well.frame_numbers else []
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
        note_frame_gaps(self, gaps)
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
    with reading(path):
        version = int(file["version"][0])
    if version < _OLD_VERSION:
        raise corrupt(path, "unknown_format", f"MaxWell file version {version} is not supported.")
    return version == _OLD_VERSION


def takes_of(file: Any, path: Path) -> dict[str, list[str]]:
    """Return well id -> names of its takes that hold routed traces, in order."""
    if _is_old(file, path):
        return {"well000": [""]}
    takes: dict[str, list[str]] = {}
    with reading(path):
        for well, recordings in file["wells"].items():
            names = [name for name in recordings if "groups/routed/raw" in recordings[name]]
            if names:
                takes[well] = sorted(names)
    return takes


def read_well(file: Any, well: str, take: str, path: Path) -> Well:
    """Read the header of one take of one well; ``take`` is "" in the layout of 2016.

    Raises:
        InputCorruptError: ``empty``, ``truncated`` (fewer frames than numbered) or ``unreadable``.
    """
    with reading(path):
        if _is_old(file, path):
            settings, mapping, dataset = file["settings"], file["mapping"][:], "sig"
            rate_hz, raw_channels, numbers = _OLD_RATE_HZ, None, None
        else:
            group = file[f"wells/{well}/{take}"]
            settings, mapping = group["settings"], group["settings/mapping"][:]
            dataset = f"wells/{well}/{take}/groups/routed/raw"
            rate_hz = float(settings["sampling"][0])
            routed = group["groups/routed"]
            raw_channels = routed["channels"][:] if "channels" in routed else None
            numbers = f"{group.name}/groups/routed/frame_nos" if "frame_nos" in routed else None
        first_rows = _first_rows(mapping)
        shape = file[dataset].shape
        if len(shape) != 2 or shape[1] == 0:
            raise corrupt(path, "empty", f"{dataset} holds no samples.")
        if numbers is not None and file[numbers].shape[0] != shape[1]:
            raise corrupt(
                path,
                "truncated",
                f"{dataset} has {shape[1]} frames, {file[numbers].shape[0]} are numbered.",
            )
        if dataset == "sig":
            rows = np.array([channel for channel in first_rows if channel < shape[0]])
            channels = rows
        elif raw_channels is not None:
            rows, channels = _routed_rows(raw_channels, first_rows)
        else:
            channels = np.array(list(first_rows))
            rows = np.arange(channels.size)
        if channels.size == 0 or rows.max() >= shape[0]:
            raise corrupt(
                path, "unreadable", f"{dataset} has {shape[0]} rows that its mapping does not fit."
            )
        entries = mapping[[first_rows[int(channel)] for channel in channels]]
        return Well(
            dataset=dataset,
            rows=rows.astype(np.int64),
            channels=channels.astype(np.int64),
            electrodes=entries["electrode"].astype(np.int64),
            positions_um=np.stack([entries["x"], entries["y"]], axis=1).astype(np.float64),
            sampling_rate_hz=rate_hz,
            gain_to_uv=_gain_to_uv(settings),
            frame_numbers=numbers,
            n_unplaced=0 if raw_channels is None else int(np.unique(raw_channels).size - rows.size),
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


def _gain_to_uv(settings: Any) -> float:
    if "lsb" in settings:
        return float(settings["lsb"][0]) * 1e6
    gain = float(settings["gain"][0]) if "gain" in settings else _DEFAULT_GAIN
    return 3.3 / (1024 * gain) * 1e6


FAMILY = FormatFamily(FORMAT, "MaxWell .raw.h5", recognises, describe, open_stream, open_header)
