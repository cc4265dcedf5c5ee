"""Open Ephys recordings: the binary layout (0.6 and later) and the older ``.continuous`` files.

A stream is one continuous stream of one recording folder. Streams too slow for spikes, LFP bands
and NI-DAQ boards are named but refused; ADC, AUX and sync channels are left out of their stream.
The probe comes from a ``probe.json`` beside it, else from each channel's electrode (Neuropixels,
``openephys_places``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from spikeinterface.core import BaseRecording, BinaryRecordingExtractor

from spikefleet.core.failures.errors import InputMissingError, InvalidConfigurationError
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.recording.file_sets import is_in_hidden_folder
from spikefleet.signal.formats.family import FormatFamily, describe_each
from spikefleet.signal.formats.frame_gaps import find_jumps, require_unique_ids
from spikefleet.signal.formats.header_fields import MOST_CHANNELS, number, read_json
from spikefleet.signal.formats.header_fields import entry as field
from spikefleet.signal.formats.openephys_places import (
    PLACES_UNKNOWN,
    describes_probe,
    read_places,
)
from spikefleet.signal.formats.origins import RECORD_NODE
from spikefleet.signal.formats.probe_sidecar import find_probe_file, place_channels
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.spike_bands import is_fast_enough
from spikefleet.signal.formats.takes import (
    Take,
    cut_take,
    list_takes,
    part_takes,
    stream_of_take,
)

FORMAT = "openephys"
STRUCTURE_FILE_NAME = "structure.oebin"
_SAMPLE_BYTES = 2
# A share of the numbered frames: more is not an end of an acquisition but another file.
_MOST_UNNUMBERED = 0.1
_NOT_NEURAL = ("ADC", "AUX", "SYNC")


@dataclass(frozen=True)
class _Stream:
    """One entry of a ``structure.oebin``: its folder, name, rate and channels."""

    recording: Path
    stream: str
    folder_name: str
    sampling_rate_hz: float
    channels: tuple[dict[str, Any], ...]

    @property
    def folder(self) -> Path:
        return self.recording / "continuous" / self.folder_name

    @property
    def samples(self) -> Path:
        return self.folder / "continuous.dat"

    @property
    def neural(self) -> list[int]:
        """Columns of ``continuous.dat`` that hold electrodes."""
        names = [str(channel["channel_name"]).upper() for channel in self.channels]
        return [
            column
            for column, name in enumerate(names)
            if not any(word in name for word in _NOT_NEURAL)
        ]

    @property
    def sortable(self) -> bool:
        slow = not is_fast_enough(self.sampling_rate_hz) or self.folder_name.endswith("LFP")
        return bool(self.neural) and not slow and "NI-DAQ" not in self.folder_name


def recognises(path: Path) -> bool:
    """Say whether ``path`` is a ``structure.oebin`` or a folder with one at any depth."""
    return any(_is_structure(file) for file in _structure_files(path))


def describe(path: Path) -> RecordingDescription:
    """List the streams with electrodes; byte counts are checked against the channel counts."""
    streams = _read_streams(path)
    sortable = {entry.stream: entry for entry in streams if entry.sortable}
    if not sortable:
        raise corrupt(path, "empty", "no continuous stream with electrodes is here.")

    takes = list_takes(
        sortable, lambda name: _read_takes(sortable[name], _count_frames(sortable[name]))
    )

    def describe_one(name: str) -> StreamDescription:
        entry, n_frames = sortable[stream_of_take(name, sortable)], takes[name]
        rate_hz = entry.sampling_rate_hz
        n_frames = _count_frames(entry) if n_frames is None else n_frames
        return StreamDescription(name, len(entry.neural), rate_hz, n_frames / rate_hz, "int16")

    others = tuple(entry.stream for entry in streams if not entry.sortable)
    return RecordingDescription(FORMAT, describe_each(takes, describe_one, path), others)


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open one stream's electrode channels.

    Raises:
        InvalidConfigurationError: the stream cannot hold spikes.
        InputMissingError: the samples or their numbers are not there.
        InputCorruptError: bytes, numbers and header disagree.
    """
    del hdf5_plugin_path
    streams = {known.stream: known for known in _read_streams(path)}
    entry = streams[stream_of_take(stream, streams)]
    if not entry.sortable:
        raise InvalidConfigurationError(
            f"Stream {stream!r} holds no band that can be sorted (LFP, ADC or NI-DAQ).",
            field="streams",
            value=stream,
        )
    n_frames = _count_frames(entry)
    takes = _read_takes(entry, n_frames)
    names = [str(channel["channel_name"]) for channel in entry.channels]
    require_unique_ids(names, entry.recording / STRUCTURE_FILE_NAME)
    with reading(entry.samples):
        recording = BinaryRecordingExtractor(
            file_paths=[entry.samples],
            sampling_frequency=entry.sampling_rate_hz,
            dtype="int16",
            num_channels=len(names),
            channel_ids=names,
            gain_to_uV=np.array([_gain_to_uv(channel) for channel in entry.channels]),
            offset_to_uV=np.zeros(len(names)),
            is_filtered=False,
        )
        if len(entry.neural) != len(names):
            recording = recording.select_channels([names[column] for column in entry.neural])
        recording = cut_take(recording, stream, entry.stream, takes, entry.samples)
    node = entry.recording.absolute().parents[1]
    if node.name.startswith("Record Node"):
        recording.annotate(**{RECORD_NODE: str(node)})
    recording.annotate(unnumbered_frames=n_frames - sum(one.n_frames for one in takes))
    return _place(recording, entry, path)


def _structure_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = path.rglob(STRUCTURE_FILE_NAME)
        return sorted(file for file in found if not is_in_hidden_folder(file, path))
    return [path] if path.name == STRUCTURE_FILE_NAME else []


def _is_structure(file: Path) -> bool:
    with file.open("rb") as content:
        return b'"continuous"' in content.read(4096)


def _read_streams(path: Path) -> list[_Stream]:
    """Return all continuous streams; their folders' paths tell several recordings apart."""
    files = _structure_files(path)
    found: list[_Stream] = []
    for file in files:
        prefix = f"{file.parent.relative_to(path).as_posix()}/" if len(files) > 1 else ""
        for entry in _listed(field(read_json(file), "continuous", file), "continuous", file):
            name = str(field(entry, "folder_name", file)).rstrip("/")
            if not name or name.startswith("/") or ".." in Path(name).parts:
                raise corrupt(file, "unsafe", f"the folder {name[:60]!r} is outside it.")
            rate_hz = number(field(entry, "sample_rate", file), "sample_rate", file, above=0.0)
            channels = _listed(field(entry, "channels", file), "channels", file)
            for channel in channels:
                field(channel, "channel_name", file)
                number(field(channel, "bit_volts", file), "bit_volts", file)
            found.append(_Stream(file.parent, prefix + name, name, rate_hz, tuple(channels)))
    repeated = [name for name, n in Counter(entry.stream for entry in found).items() if n > 1]
    if repeated:
        raise corrupt(path, "unreadable", f"stream {repeated[0]!r} is listed more than once.")
    return found


def _listed(value: Any, what: str, file: Path) -> list[Any]:
    """Return a list that is not empty nor longer than any array."""
    if not isinstance(value, list) or not 0 < len(value) <= MOST_CHANNELS:
        raise corrupt(file, "unreadable", f"{what} lists nothing that can be read.")
    return value


def _count_frames(entry: _Stream) -> int:
    with reading(entry.samples):
        size_bytes = entry.samples.stat().st_size
    frame_bytes = len(entry.channels) * _SAMPLE_BYTES
    if size_bytes == 0:
        raise corrupt(entry.samples, "empty", "the file has no bytes.")
    if size_bytes % frame_bytes:
        raise corrupt(
            entry.samples,
            "truncated",
            f"it has {size_bytes} bytes, which its {len(entry.channels)} channels do not divide.",
        )
    return size_bytes // frame_bytes


def _frame_numbers(entry: _Stream, n_frames: int) -> Any:
    """Map the number of every frame; versions before 0.6 keep them in ``timestamps.npy``."""
    file = entry.folder / "sample_numbers.npy"
    if not file.is_file():
        file = entry.folder / "timestamps.npy"
    if not file.is_file():
        raise InputMissingError(
            f"{entry.folder.name} has no sample_numbers.npy. Copy the whole recording folder.",
            path=str(entry.folder / "sample_numbers.npy"),
        )
    with reading(file):
        numbers = np.load(file, mmap_mode="r", allow_pickle=False)
    if numbers.ndim != 1:
        raise corrupt(file, "unreadable", f"it numbers frames in the shape {numbers.shape}.")
    if len(numbers) > n_frames or not _is_cut_short(len(numbers), n_frames, len(entry.channels)):
        raise corrupt(
            entry.samples,
            "truncated",
            f"it has {n_frames} frames where {file.name} numbers {len(numbers)}.",
        )
    if not np.issubdtype(numbers.dtype, np.integer):
        raise InputMissingError(
            f"{entry.folder.name} has times but no sample_numbers.npy. Copy the whole folder.",
            path=str(entry.folder / "sample_numbers.npy"),
        )
    return numbers


def _is_cut_short(n_numbers: int, n_frames: int, n_channels: int) -> bool:
    """Say whether the GUI stopped numbering before it stopped writing; no wrong channel count."""
    if n_numbers == n_frames:
        return True
    of_other_count = n_numbers == 0 or (n_frames * n_channels) % n_numbers == 0
    return not of_other_count and n_frames - n_numbers <= _MOST_UNNUMBERED * n_numbers


def _read_takes(entry: _Stream, n_frames: int) -> tuple[Take, ...]:
    numbers = _frame_numbers(entry, n_frames)
    with reading(entry.samples):
        jumps, first = find_jumps(numbers), int(numbers[0])
    return part_takes(jumps, len(numbers), first, entry.samples)


def _gain_to_uv(channel: dict[str, Any]) -> float:
    """Return µV per code; a channel without units is in µV, as the format's manual says."""
    per_unit_uv = {"v": 1e6, "mv": 1e3}.get(str(channel.get("units", "")).lower(), 1.0)
    return float(channel["bit_volts"]) * per_unit_uv


def _place(recording: BaseRecording, entry: _Stream, path: Path) -> BaseRecording:
    """Set the sidecar's probe, else the Neuropixels probe its electrodes and settings describe."""
    folder = path if path.is_dir() else path.parent
    structure = entry.recording / STRUCTURE_FILE_NAME
    channels = [entry.channels[column] for column in entry.neural]
    if find_probe_file(folder) is not None:
        placed = place_channels(recording, folder)
        placed.annotate(sidecar_decided=describes_probe(structure, channels))
        return placed
    probe = read_places(structure, entry.folder_name, channels)
    if isinstance(probe, str):
        recording.annotate(**{PLACES_UNKNOWN: probe})
    elif probe is not None:
        recording.set_probe(probe)
    return recording


FAMILY = FormatFamily(
    FORMAT, "Open Ephys binary (structure.oebin)", recognises, describe, open_stream
)
