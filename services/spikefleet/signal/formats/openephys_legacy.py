"""Open Ephys's older layout: a folder of ``.continuous`` files, one per channel.

A stream is the electrode channels one processor saved in one take ("100", "100/take2"); auxiliary
and ADC channels are named but refused. Records the acquisition lost are located, not filled with
zeros. The files never say where the channels are; a ``probe.json`` in the folder does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from neo.rawio.openephysrawio import continuous_dtype, read_file_header
from spikeinterface.core import BaseRecording

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.recording.file_sets import visible_entries
from spikefleet.signal.formats.family import FormatFamily, describe_each
from spikefleet.signal.formats.frame_gaps import find_jumps, require_unique_ids
from spikefleet.signal.formats.header_fields import entry, number
from spikefleet.signal.formats.probe_sidecar import place_channels
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.record_files import (
    RecordField,
    RecordFilesRecording,
    RecordLayout,
    count_records,
    require_one_clock,
)
from spikefleet.signal.formats.takes import (
    Take,
    cut_take,
    list_takes,
    part_takes,
    stream_of_take,
)

FORMAT = "openephys_legacy"
_MAGIC = b"header.format = 'Open Ephys Data Format'"
_HEADER_BYTES = 1024
_FRAMES = 1024
_RECORD = np.dtype(continuous_dtype)
_NOT_NEURAL = ("ADC", "AUX")


@dataclass(frozen=True)
class _Channel:
    """One ``.continuous`` header; ``stream`` comes from the file's name."""

    path: Path
    stream: str
    name: str
    sampling_rate_hz: float
    gain_to_uv: float


def recognises(path: Path) -> bool:
    """Say whether a folder holds ``.continuous`` files (or ``path`` is one)."""
    return bool(_continuous_files(path))


def describe(path: Path) -> RecordingDescription:
    """List the streams with electrodes; record counts are checked against the bytes."""
    streams = _read_streams(path)
    sortable = {name: channels for name, channels in streams.items() if _is_neural(channels)}
    if not sortable:
        raise corrupt(path, "empty", "no electrode channel is here.")

    lengths = list_takes(sortable, lambda name: _read_takes(name, streams))

    def describe_one(name: str) -> StreamDescription:
        channels = sortable[stream_of_take(name, sortable)]
        rate_hz = channels[0].sampling_rate_hz
        duration_s = (lengths[name] or _layout(channels).n_frames) / rate_hz
        return StreamDescription(name, len(channels), rate_hz, duration_s, "int16")

    others = tuple(name for name in streams if name not in sortable)
    return RecordingDescription(FORMAT, describe_each(lengths, describe_one, path), others)


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open the electrode channels of one take, named as in their headers ("CH1").

    Raises:
        InvalidConfigurationError: the stream holds auxiliary or ADC channels.
        InputCorruptError: a file ends early, or the files disagree.
    """
    del hdf5_plugin_path
    streams = _read_streams(path)
    whole = stream_of_take(stream, streams)
    channels = streams[whole]
    if not _is_neural(channels):
        raise InvalidConfigurationError(
            f"Stream {stream!r} holds no electrodes; name another.", field="streams", value=stream
        )
    names = [channel.name for channel in channels]
    require_unique_ids(names, path)
    if len({channel.sampling_rate_hz for channel in channels}) > 1:
        raise corrupt(path, "misaligned", f"the channels of {stream} have different rates.")
    layout = _layout(channels)
    paths = [channel.path for channel in channels]
    with reading(path):
        require_one_clock(paths, layout, dtype="<i8", at_bytes=0)
        recording = RecordFilesRecording(
            [str(file) for file in paths], layout, channels[0].sampling_rate_hz, names
        )
        recording.set_channel_gains(np.array([channel.gain_to_uv for channel in channels]))
        recording.set_channel_offsets(np.zeros(len(names)))
    recording = cut_take(recording, stream, whole, _read_takes(whole, streams), paths[0])
    return place_channels(recording, path)


def _read_takes(stream: str, streams: Mapping[str, list[_Channel]]) -> tuple[Take, ...]:
    """Return the takes inside one take's files.

    Raises InputCorruptError: ``clock``: it was set back in one of several takes.
    """
    channels = streams[stream]
    layout = _layout(channels)
    clock = RecordField(channels[0].path, layout, dtype="<i8", at_bytes=0)
    with reading(channels[0].path):
        jumps, first = find_jumps(clock, frames_per_entry=_FRAMES), int(clock[0])
    takes = part_takes(jumps, layout.n_frames, first, channels[0].path)
    if len(takes) > 1 and any(name.startswith(f"{stream}/take") for name in streams):
        raise corrupt(channels[0].path, "clock", "its clock was set back inside one of its takes.")
    return takes


def _continuous_files(path: Path) -> list[Path]:
    found = [path]
    if path.is_dir():
        found = [file for file in visible_entries(path) if file.suffix == ".continuous"]
    return [file for file in found if _is_continuous(file)]


def _is_continuous(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(len(_MAGIC)) == _MAGIC


def _read_streams(path: Path) -> dict[str, list[_Channel]]:
    """Return the channels of every stream, in natural order of their names."""
    streams: dict[str, list[_Channel]] = {}
    for file in _continuous_files(path):
        channel = _read_header(file)
        streams.setdefault(channel.stream, []).append(channel)
    for channels in streams.values():
        channels.sort(key=lambda channel: _number(channel.name))
    return streams


def _read_header(file: Path) -> _Channel:
    with reading(file):
        header = read_file_header(file)
    name = str(entry(header, "channel", file)).strip("'")
    if not name:
        raise corrupt(file, "unreadable", "its header names no channel.")
    processor, _, take = file.stem.rpartition(name)
    stream = processor.strip("_") or file.stem
    if take.strip("_"):
        stream += f"/take{take.strip('_')}"
    kind = next((word for word in _NOT_NEURAL if name.upper().startswith(word)), "")
    return _Channel(
        path=file,
        stream=f"{stream}/{kind.lower()}" if kind else stream,
        name=name,
        sampling_rate_hz=number(entry(header, "sampleRate", file), "sampleRate", file, above=0.0),
        gain_to_uv=number(entry(header, "bitVolts", file), "bitVolts", file),
    )


def _is_neural(channels: list[_Channel]) -> bool:
    return not channels[0].name.upper().startswith(_NOT_NEURAL)


def _number(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*?)(\d*)", name)
    return (match[1], int(match[2] or 0)) if match else (name, 0)


def _layout(channels: list[_Channel]) -> RecordLayout:
    paths = [channel.path for channel in channels]
    fields = _RECORD.fields or {}
    return RecordLayout(
        header_bytes=_HEADER_BYTES,
        record_bytes=_RECORD.itemsize,
        samples_at_bytes=int(fields["samples"][1]),
        n_records=count_records(paths, _HEADER_BYTES, _RECORD.itemsize),
        frames_per_record=_FRAMES,
        channels_per_file=1,
        dtype=">i2",
    )


FAMILY = FormatFamily(
    FORMAT, "Open Ephys .continuous (older layout)", recognises, describe, open_stream
)
