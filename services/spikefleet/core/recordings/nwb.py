"""NWB files on HDF5, read through SpikeInterface. One stream is one ElectricalSeries.

Sorts the series under ``acquisition``; filtered or LFP series under ``processing`` are listed as
other streams and opened only when named.
"""

from __future__ import annotations

from pathlib import Path

from spikeinterface.core import BaseRecording
from spikeinterface.extractors.nwbextractors import NwbRecordingExtractor

from spikefleet.core.recordings.description import (
    FormatFamily,
    RecordingDescription,
    StreamDescription,
)
from spikefleet.core.recordings.edge import corrupt, reading
from spikefleet.core.recordings.hdf5 import (
    add_plugin_path,
    is_hdf5,
    open_hdf5,
    require_filters,
)

FORMAT = "nwb"


def recognises(path: Path) -> bool:
    """Say whether an HDF5 file declares itself NWB."""
    if not is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return "nwb_version" in file.attrs


def describe(path: Path) -> RecordingDescription:
    """List the electrical series of a file."""
    with reading(path):
        found = sorted(NwbRecordingExtractor.fetch_available_electrical_series_paths(str(path)))
    raw = [name for name in found if name.startswith("acquisition/")]
    chosen = raw or found
    if not chosen:
        raise corrupt(path, "empty", "the file holds no ElectricalSeries.")
    return RecordingDescription(
        FORMAT,
        tuple(_describe_series(path, name) for name in chosen),
        tuple(name for name in found if name not in chosen),
    )


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open one series, named by its path inside the file.

    Raises:
        HDF5PluginMissingError: the series is compressed with a filter this machine lacks.
    """
    add_plugin_path(hdf5_plugin_path)
    with open_hdf5(path) as file, reading(path):
        require_filters(file[stream]["data"], path, hdf5_plugin_path)
    with reading(path):
        return NwbRecordingExtractor(str(path), electrical_series_path=stream)


def _describe_series(path: Path, name: str) -> StreamDescription:
    with reading(path):
        recording = NwbRecordingExtractor(
            str(path), electrical_series_path=name, load_channel_properties=False
        )
        return StreamDescription(
            name,
            int(recording.get_num_channels()),
            float(recording.sampling_frequency),
            float(recording.get_num_samples() / recording.sampling_frequency),
            str(recording.dtype),
        )


FAMILY = FormatFamily(FORMAT, "NWB (HDF5)", recognises, describe, open_stream)
