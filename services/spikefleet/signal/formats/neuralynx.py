"""Neuralynx recordings: a folder of ``.ncs`` files, one per channel.

A stream is the channels of one sampling rate and filter ("csc_32000Hz"); slow ones and those cut
off below 1 kHz are named but refused. Channels the acquisition inverted are turned back. Files
with a header only, of channels that were switched off, are left out. Headers are read by neo.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from neo.rawio.neuralynxrawio.nlxheader import NlxHeader
from spikeinterface.core import BaseRecording

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.recording.file_sets import visible_entries
from spikefleet.signal.formats.family import FormatFamily, describe_each
from spikefleet.signal.formats.frame_gaps import require_unique_ids
from spikefleet.signal.formats.header_fields import entry as header_entry
from spikefleet.signal.formats.header_fields import number
from spikefleet.signal.formats.probe_sidecar import place_channels
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.record_files import (
    RecordField,
    RecordFilesRecording,
    RecordLayout,
    count_records,
    require_one_clock,
)
from spikefleet.signal.formats.spike_bands import LEAST_HIGH_CUT_HZ, is_fast_enough
from spikefleet.signal.formats.takes import (
    Take,
    cut_take,
    list_takes,
    part_takes,
    stream_of_take,
)

FORMAT = "neuralynx"
_MAGIC = b"######## Neuralynx"
_HEADER_BYTES = 16384
_RECORD_BYTES = 1044
_FRAMES = 512
_VALID_AT_BYTES, _SAMPLES_AT_BYTES = 16, 20
# Old systems wrote a rounded rate; beyond this difference their clock is believed instead.
_RATE_TOLERANCE = 5e-4
_CLOCK_RECORDS = 1000
_RECORDS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class _Channel:
    """One ``.ncs`` header."""

    path: Path
    name: str
    header_rate_hz: float
    low_cut: str
    high_cut: str
    gain_to_uv: float
    inverted: bool


@dataclass(frozen=True)
class _Stream:
    """Channels recorded alike, in natural order of their file names."""

    stream: str
    channels: tuple[_Channel, ...]
    sampling_rate_hz: float

    @property
    def paths(self) -> list[Path]:
        return [channel.path for channel in self.channels]

    @property
    def sortable(self) -> bool:
        high_cut = self.channels[0].high_cut
        low_passed = high_cut and _corner_hz(high_cut) < LEAST_HIGH_CUT_HZ
        return is_fast_enough(self.sampling_rate_hz) and not low_passed


def recognises(path: Path) -> bool:
    """Say whether ``path`` is an ``.ncs`` file, or a folder that holds some."""
    return bool(_ncs_files(path))


def describe(path: Path) -> RecordingDescription:
    """List the streams fast enough for spikes; record counts are checked against the bytes."""
    streams = _read_streams(path)
    sortable = {entry.stream: entry for entry in streams if entry.sortable}
    if not sortable:
        raise corrupt(path, "empty", "no channel here was recorded fast enough for spikes.")

    lengths = list_takes(sortable, lambda name: _list_takes(sortable[name]))

    def describe_one(name: str) -> StreamDescription:
        entry = sortable[stream_of_take(name, sortable)]
        rate_hz = entry.sampling_rate_hz
        duration_s = (lengths[name] or _count_frames(entry)) / rate_hz
        return StreamDescription(name, len(entry.channels), rate_hz, duration_s, "int16")

    others = tuple(entry.stream for entry in streams if not entry.sortable)
    return RecordingDescription(FORMAT, describe_each(lengths, describe_one, path), others)


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open the channels of one stream, named as in their headers ("CSC1").

    Raises:
        InvalidConfigurationError: the stream cannot hold spikes.
        InputCorruptError: a file ends early, or the files disagree.
    """
    del hdf5_plugin_path
    streams = {known.stream: known for known in _read_streams(path)}
    entry = streams[stream_of_take(stream, streams)]
    if not entry.sortable:
        raise InvalidConfigurationError(
            f"Stream {stream!r} was recorded too slowly or filtered below 1 kHz; name another.",
            field="streams",
            value=stream,
        )
    names = [channel.name for channel in entry.channels]
    require_unique_ids(names, path)
    layout = _plain_layout(entry)
    with reading(path):
        clock = require_one_clock(entry.paths, layout, dtype="<u8", at_bytes=0)
        short, takes = _scan(clock, _valid_frames(entry, layout), entry)
        layout = _plain_layout(entry, short, inverted=_is_inverted(entry, path))
        recording = RecordFilesRecording(
            [str(file) for file in entry.paths], layout, entry.sampling_rate_hz, names
        )
        recording.set_channel_gains(np.array([channel.gain_to_uv for channel in entry.channels]))
        recording.set_channel_offsets(np.zeros(len(names)))
    recording = cut_take(recording, stream, entry.stream, takes, path)
    return place_channels(recording, path)


def _ncs_files(path: Path) -> list[Path]:
    found = [path]
    if path.is_dir():
        found = [file for file in visible_entries(path) if file.suffix.lower() == ".ncs"]
    return sorted((file for file in found if _is_ncs(file)), key=_natural_order)


def _is_ncs(file: Path) -> bool:
    if file.suffix.lower() != ".ncs":
        return False
    with file.open("rb") as content:
        return content.read(len(_MAGIC)) == _MAGIC


def _natural_order(file: Path) -> list[tuple[int, str]]:
    parts = re.findall(r"\d+|\D+", file.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _read_streams(path: Path) -> list[_Stream]:
    files = _ncs_files(path)
    recorded = [file for file in files if file.stat().st_size > _HEADER_BYTES]
    if not recorded:
        raise corrupt(path, "empty", "none of its channels holds samples.")
    groups: dict[tuple[float, str, str], list[_Channel]] = {}
    for file in recorded:
        channel = _read_header(file)
        key = (channel.header_rate_hz, channel.low_cut, channel.high_cut)
        groups.setdefault(key, []).append(channel)
    repeated = Counter(rate_hz for rate_hz, _, _ in groups)
    streams = []
    for (rate_hz, low_cut, high_cut), channels in groups.items():
        name = f"csc_{rate_hz:g}Hz"
        if repeated[rate_hz] > 1:
            name += f"_{low_cut or 'open'}-{high_cut or 'open'}"
        streams.append(_Stream(name, tuple(channels), _clock_rate(channels[0])))
    return streams


def _read_header(file: Path) -> _Channel:
    with reading(file):
        header = NlxHeader(file)
    names = header_entry(header, "channel_names", file)
    return _Channel(
        path=file,
        name=str(names[0]) if names else file.stem,
        header_rate_hz=number(
            header_entry(header, "sampling_rate", file), "its sampling rate", file, above=0.0
        ),
        low_cut=_cut(header, "Low", "LowCut"),
        high_cut=_cut(header, "High", "HighCut"),
        gain_to_uv=number(header_entry(header, "bit_to_microVolt", file)[:1], "µV per bit", file),
        inverted=bool(header.get("input_inverted", False)),
    )


def _corner_hz(said: str) -> float:
    """Return a filter's corner; one that is not a number cuts nothing off."""
    try:
        return float(said)
    except ValueError:
        return math.inf


def _cut(header: Any, side: str, key: str) -> str:
    """Return a filter's corner in Hz, "" where the filter is off or unknown."""
    enabled = str(header.get(f"DSP{side}CutFilterEnabled", "True")).lower() == "true"
    return str(header.get(f"Dsp{key}Frequency", "")) if enabled else ""


def _clock_rate(channel: _Channel) -> float:
    """Return the header's rate, or that of the time stamps where the two clearly differ."""
    n_records = (channel.path.stat().st_size - _HEADER_BYTES) // _RECORD_BYTES
    layout = _layout(min(n_records, _CLOCK_RECORDS))
    if layout.n_records < 3:
        return channel.header_rate_hz
    with reading(channel.path):
        stamps = RecordField(channel.path, layout, dtype="<u8", at_bytes=0)[:].astype(np.int64)
    record_us = float(np.median(np.diff(stamps)))
    if record_us <= 0:
        return channel.header_rate_hz
    measured_hz = _FRAMES / record_us * 1e6
    differs = abs(measured_hz / channel.header_rate_hz - 1) > _RATE_TOLERANCE
    return measured_hz if differs else channel.header_rate_hz


def _layout(n_records: int) -> RecordLayout:
    return RecordLayout(
        header_bytes=_HEADER_BYTES,
        record_bytes=_RECORD_BYTES,
        samples_at_bytes=_SAMPLES_AT_BYTES,
        n_records=n_records,
        frames_per_record=_FRAMES,
        channels_per_file=1,
        dtype="<i2",
    )


def _plain_layout(
    entry: _Stream, short: tuple[tuple[int, int], ...] = (), *, inverted: bool = False
) -> RecordLayout:
    n_records = count_records(entry.paths, _HEADER_BYTES, _RECORD_BYTES)
    return RecordLayout(
        **{**vars(_layout(n_records)), "short_records": short, "inverted": inverted}
    )


def _valid_frames(entry: _Stream, layout: RecordLayout) -> RecordField:
    return RecordField(entry.paths[0], layout, dtype="<u4", at_bytes=_VALID_AT_BYTES)


def _count_frames(entry: _Stream) -> int:
    """Return the frames if only the last record is short, as an unbroken recording has it."""
    layout = _plain_layout(entry)
    return (layout.n_records - 1) * _FRAMES + int(_valid_frames(entry, layout)[-1])


def _list_takes(entry: _Stream) -> tuple[Take, ...]:
    """Return the takes from few stamps: pieces as long as they should be are not read.

    A gap and a clock set back by the same time inside one piece are seen when it is opened.
    """
    layout = _plain_layout(entry)
    clock = RecordField(entry.paths[0], layout, dtype="<u8", at_bytes=0)
    frame_us = 1e6 / entry.sampling_rate_hz
    for start in range(0, layout.n_records - 1, _CLOCK_RECORDS):
        last = min(start + _CLOCK_RECORDS, layout.n_records - 1)
        expected_us = (last - start) * _FRAMES * frame_us
        if abs(int(clock[last]) - int(clock[start]) - expected_us) < _RATE_TOLERANCE * expected_us:
            continue
        if (np.diff(clock[start : last + 1].astype(np.int64)) <= 0).any():
            return _scan(clock, _valid_frames(entry, layout), entry)[1]
    return part_takes((), _count_frames(entry), 0, entry.paths[0])


def _is_inverted(entry: _Stream, path: Path) -> bool:
    inverted = {channel.inverted for channel in entry.channels}
    if len(inverted) > 1:
        raise corrupt(
            path, "mixed_polarity", "only some of its channels are inverted; record them alike."
        )
    return inverted.pop()


def _scan(
    clock: RecordField, valid: RecordField, entry: _Stream
) -> tuple[tuple[tuple[int, int], ...], tuple[Take, ...]]:
    """Return the records that are not full and the takes, read in pieces.

    A record's time stamp (µs) is that of its first frame; what is more than half a frame later
    than the frames before it end, is a gap. A record not later than the one before it begins
    another take.
    """
    frame_us = 1e6 / entry.sampling_rate_hz
    path = entry.paths[0]
    short: list[tuple[int, int]] = []
    jumps: list[tuple[int, int]] = []
    first_frame = 0
    for start in range(0, len(clock), _RECORDS_AT_ONCE):
        stamps = clock[start : start + _RECORDS_AT_ONCE + 1].astype(np.int64)
        frames = valid[start : start + _RECORDS_AT_ONCE].astype(np.int64)
        if (frames > _FRAMES).any():
            raise corrupt(path, "unreadable", "a record claims more than 512 frames.")
        short += [(start + int(at), int(frames[at])) for at in np.flatnonzero(frames < _FRAMES)]
        steps_us = np.diff(stamps)
        ends = first_frame + np.cumsum(frames)
        missing = np.rint(steps_us / frame_us - frames[: steps_us.size]).astype(np.int64)
        places = np.flatnonzero((missing > 0) | (steps_us <= 0))
        jumps += [(int(ends[at]), int(missing[at])) for at in places]
        first_frame = int(ends[-1])
    number = round(int(clock[0]) / frame_us)
    return tuple(short), part_takes(jumps, first_frame, number, path)


FAMILY = FormatFamily(FORMAT, "Neuralynx .ncs", recognises, describe, open_stream)
