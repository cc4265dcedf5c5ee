"""Blackrock ``.ns1`` to ``.ns6`` files of specification 2.2, 2.3 and 3.0.

A stream is a 30 kHz file ("ns5"): its blocks are one timeline, with gaps where the recorder paused
or lost packets; a clock that was set back parts it into takes ("ns5/take1"). Slower files and
analog inputs are named but refused. Specification 2.1 is refused because its files do not hold
their own gain. Header types are neo's; samples are mapped.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from neo.rawio.blackrockrawio import (
    NSX_BASIC_HEADER_TYPES,
    NSX_DATA_HEADER_TYPES,
    NSX_EXT_HEADER_TYPES,
)
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording, concatenate_recordings

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.recording.file_sets import is_hidden
from spikefleet.signal.formats.blackrock_headers import (
    origin_notes,
    read_origin,
    scale_of,
    text_of,
)
from spikefleet.signal.formats.family import FormatFamily
from spikefleet.signal.formats.frame_gaps import require_unique_ids
from spikefleet.signal.formats.header_fields import MOST_CHANNELS, whole
from spikefleet.signal.formats.probe_sidecar import place_channels
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.record_files import RecordField, RecordFilesRecording, RecordLayout
from spikefleet.signal.formats.spike_bands import LEAST_HIGH_CUT_HZ
from spikefleet.signal.formats.takes import Take, name_takes, note_take, part_takes

FORMAT = "blackrock"
_MAGIC = (b"NEURALCD", b"BRSMPGRP", b"NEURALSG")
_CLOCK_HZ = 30_000
_SAMPLE_BYTES = 2
_LEAST_HEADER_BYTES = max(np.dtype(kind).itemsize for kind in NSX_BASIC_HEADER_TYPES.values())
_NANOSECONDS = 1_000_000_000
_STAMPS_AT_ONCE = 1 << 16
_MOST_BLOCKS = 1_000_000


@dataclass(frozen=True)
class _File:
    """One ``.nsX`` header."""

    path: Path
    spec: str
    header_bytes: int
    sampling_rate_hz: float
    stamps_per_s: int
    channels: NDArray[Any]
    origin: datetime | None  #: when its clock stood at nought (UTC); None where it does not say

    @property
    def stream(self) -> str:
        return self.path.suffix[1:].lower()

    @property
    def neural(self) -> NDArray[np.int64]:
        """Columns measured in µV; analog inputs are in mV."""
        return np.flatnonzero([text_of(unit).lower() == "uv" for unit in self.channels["units"]])

    @property
    def sortable(self) -> bool:
        return self.sampling_rate_hz == _CLOCK_HZ and self.neural.size > 0 and not self.low_passed

    @property
    def low_passed(self) -> bool:
        """Whether every electrode channel was cut off below what spikes are made of."""
        cut_hz = self.channels["lo_freq_corner"][self.neural] / 1000.0
        return bool(((cut_hz > 0) & (cut_hz < LEAST_HIGH_CUT_HZ)).all())


@dataclass(frozen=True)
class _Block:
    """Where one uninterrupted stretch is in its file, and the clock at its first frame."""

    first_byte: int
    n_frames: int
    stamped_packets: bool = False
    number: int = 0


@dataclass(frozen=True)
class _Blocks:
    """One take of a file and the file's blocks, which may be many in one take."""

    file: _File
    blocks: tuple[_Block, ...]
    take: Take
    takes: tuple[Take, ...]

    @property
    def of_take(self) -> list[_Block]:
        if self.blocks[0].stamped_packets:
            return list(self.blocks)
        starts = accumulate((block.n_frames for block in self.blocks), initial=0)
        inside = range(self.take.first_frame, self.take.first_frame + self.take.n_frames)
        return [b for start, b in zip(starts, self.blocks, strict=False) if start in inside]


def recognises(path: Path) -> bool:
    """Say whether ``path`` is an ``.nsX`` file, or a folder holding the files of one recording."""
    return bool(_nsx_files(path))


def describe(path: Path) -> RecordingDescription:
    """List the takes of the 30 kHz files; their lengths are checked against the bytes."""
    files = _read_files(path)
    streams = [
        StreamDescription(
            name,
            int(found.file.neural.size),
            found.file.sampling_rate_hz,
            found.take.n_frames / found.file.sampling_rate_hz,
            "int16",
        )
        for name, found in _streams(files)
    ]
    others = [file.stream for file in files if not file.sortable]
    others += [
        f"{file.stream}/analog"
        for file in files
        if file.sortable and file.neural.size < len(file.channels)
    ]
    if not streams:
        raise corrupt(
            path,
            "empty",
            "no 30 kHz file is here whose electrode channels pass what is above 1 kHz.",
        )
    return RecordingDescription(FORMAT, tuple(streams), tuple(others))


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open the electrode channels of one take, named by their electrode numbers.

    Raises:
        InvalidConfigurationError: the stream is a slow file or the analog inputs.
        InputCorruptError: bytes and header disagree.
    """
    del hdf5_plugin_path
    for name, found in _streams(_read_files(path)):
        if name == stream:
            return _open_take(found)
    raise InvalidConfigurationError(
        f"Stream {stream!r} is sampled too slowly or holds analog inputs; name a 30 kHz stream.",
        field="streams",
        value=stream,
    )


def _open_take(found: _Blocks) -> BaseRecording:
    file, blocks = found.file, found.of_take
    names = [str(number) for number in file.channels["electrode_id"]]
    require_unique_ids(names, file.path)
    with reading(file.path):
        pieces = [
            RecordFilesRecording(
                [str(file.path)], _layout(file, block), file.sampling_rate_hz, names
            )
            for block in blocks
        ]
        recording = pieces[0] if len(pieces) == 1 else concatenate_recordings(pieces)
        gains, offsets = scale_of(file.channels)
        recording.set_channel_gains(gains)
        recording.set_channel_offsets(offsets)
        labels = [text_of(label) for label in file.channels["electrode_label"]]
        recording.set_property("channel_name", labels)
        if not np.isfinite(gains).all() or not (gains > 0).all():
            raise corrupt(file.path, "unreadable", "its header gives channels without a gain.")
        if file.neural.size < len(names):
            recording = recording.select_channels([names[column] for column in file.neural])
    if blocks[0].stamped_packets:
        first, last = found.take.first_frame, found.take.first_frame + found.take.n_frames
        if found.take.n_frames != blocks[0].n_frames:
            recording = recording.frame_slice(first, last)
    note_take(recording, found.take, found.takes)
    clock_s = found.take.start_number / _CLOCK_HZ
    recording.annotate(**origin_notes(file.path, file.origin, clock_s))
    return place_channels(recording, file.path)


def _nsx_files(path: Path) -> list[Path]:
    """Return the files of one recording: those named as ``path``, or all of a folder's."""
    if path.is_dir():
        candidates = [file for file in sorted(path.glob("*.[nN][sS][1-6]")) if not is_hidden(file)]
    elif _magic(path) in _MAGIC:
        candidates = sorted({path, *path.parent.glob(f"{glob.escape(path.stem)}.[nN][sS][1-6]")})
    else:
        return []
    found = [file for file in candidates if _magic(file) in _MAGIC]
    return found if len({file.stem for file in found}) == 1 else []


def _magic(file: Path) -> bytes:
    with file.open("rb") as content:
        return content.read(8)


def _read_files(path: Path) -> list[_File]:
    return [_read_file(file) for file in _nsx_files(path)]


def _read_file(path: Path) -> _File:
    if _magic(path) == b"NEURALSG":
        raise corrupt(
            path,
            "unsupported_version",
            "specification 2.1 does not store its gain; convert it to 2.3 with the vendor's tool.",
        )
    if path.stat().st_size < _LEAST_HEADER_BYTES:
        raise corrupt(path, "truncated", "it ends inside its header.")
    with reading(path):
        major, minor = np.fromfile(path, dtype="u1", count=2, offset=8)
    spec = f"{major}.{minor}"
    if spec not in NSX_BASIC_HEADER_TYPES or spec == "2.1":
        raise corrupt(path, "unsupported_version", f"specification {spec} is not known here.")
    basic_type = np.dtype(NSX_BASIC_HEADER_TYPES[spec])
    channel_type = np.dtype(NSX_EXT_HEADER_TYPES[spec])
    with reading(path):
        basic = np.fromfile(path, dtype=basic_type, count=1)[0]
    n_channels = whole(
        basic["channel_count"], "its channel count", path, least=1, most=MOST_CHANNELS
    )
    header_bytes = basic_type.itemsize + n_channels * channel_type.itemsize
    # Asked before reading: numpy would first make room for whatever a damaged header claims.
    if path.stat().st_size < header_bytes:
        raise corrupt(path, "truncated", "it ends inside its header.")
    with reading(path):
        channels = np.fromfile(
            path, dtype=channel_type, count=n_channels, offset=basic_type.itemsize
        )
    return _File(
        path=path,
        spec=spec,
        header_bytes=whole(
            basic["bytes_in_headers"], "its header's length", path, least=header_bytes
        ),
        sampling_rate_hz=_CLOCK_HZ / whole(basic["period"], "its period", path, least=1),
        stamps_per_s=whole(basic["timestamp_resolution"], "its clock's resolution", path, least=1),
        channels=channels,
        origin=read_origin(basic),
    )


def _streams(files: list[_File]) -> list[tuple[str, _Blocks]]:
    return [
        (name, _Blocks(file, tuple(blocks), take, takes))
        for file in files
        if file.sortable
        for blocks in [_read_blocks(file)]
        for takes in [_part_blocks(file, blocks)]
        for name, take in name_takes(file.stream, takes).items()
    ]


def _part_blocks(file: _File, blocks: list[_Block]) -> tuple[Take, ...]:
    """Return the takes of a file: a block continues where the clock of the one before does."""
    if blocks[0].stamped_packets:
        return _part_packets(file, blocks[0])
    # A clock finer than the frames may round a block's first frame to either side.
    slack = 0 if file.stamps_per_s == round(file.sampling_rate_hz) else 1
    jumps: list[tuple[int, int]] = []
    frame = 0
    for before, after in pairwise(blocks):
        frame += before.n_frames
        missing = after.number - before.number - before.n_frames
        if abs(missing) > slack:
            jumps.append((frame, missing))
    n_frames = sum(block.n_frames for block in blocks)
    return part_takes(jumps, n_frames, blocks[0].number, file.path)


def _read_blocks(file: _File) -> list[_Block]:
    """Return the blocks that hold samples, in file order.

    Raises:
        InputCorruptError: ``truncated`` when a block is longer than the file, ``empty``.
    """
    size_bytes = file.path.stat().st_size
    packets = _read_packets(file, size_bytes)
    if packets is not None:
        return [packets]
    header = np.dtype(NSX_DATA_HEADER_TYPES[file.spec])
    frame_bytes = len(file.channels) * _SAMPLE_BYTES
    blocks: list[_Block] = []
    at_byte, n_read = file.header_bytes, 0
    with reading(file.path), file.path.open("rb") as content:
        while at_byte < size_bytes:
            n_read += 1
            if n_read > _MOST_BLOCKS:
                raise corrupt(file.path, "absurd", f"it has more than {_MOST_BLOCKS} blocks.")
            if at_byte + header.itemsize > size_bytes:
                raise corrupt(
                    file.path, "truncated", f"it ends inside block {n_read - 1}'s header."
                )
            content.seek(at_byte)
            block = _read_block(file, content.read(header.itemsize), at_byte, size_bytes)
            at_byte = block.first_byte + block.n_frames * frame_bytes
            if block.n_frames:
                blocks.append(block)
    if not blocks:
        raise corrupt(file.path, "empty", "it holds no samples.")
    return blocks


def _read_block(file: _File, head: bytes, at_byte: int, size_bytes: int) -> _Block:
    """Return the block whose header begins at ``at_byte``. Raises InputCorruptError."""
    entry = np.frombuffer(head, dtype=NSX_DATA_HEADER_TYPES[file.spec])[0]
    if entry["header_flag"] != 1:
        raise corrupt(file.path, "unreadable", f"no block of data starts at byte {at_byte}.")
    n_frames, first_byte = int(entry["nb_data_points"]), at_byte + len(head)
    n_there = (size_bytes - first_byte) // (len(file.channels) * _SAMPLE_BYTES)
    if n_frames > n_there:
        raise corrupt(
            file.path,
            "truncated",
            f"the block at byte {at_byte} has {n_frames} frames, the file only {n_there} of them.",
        )
    number = round(
        int(entry["timestamp"]) * file.sampling_rate_hz / (file.stamps_per_s or _CLOCK_HZ)
    )
    return _Block(first_byte, n_frames, number=number)


def _read_packets(file: _File, size_bytes: int) -> _Block | None:
    """Return the whole file as one block when every frame has a time stamp of its own (PTP)."""
    if file.spec != "3.0" or file.stamps_per_s != _NANOSECONDS or size_bytes <= file.header_bytes:
        return None
    packet = np.dtype(NSX_DATA_HEADER_TYPES["3.0-ptp"](len(file.channels)))
    with reading(file.path):
        first = np.fromfile(file.path, dtype=packet, count=1, offset=file.header_bytes)
    if len(first) == 0 or first[0]["num_data_points"] != 1:
        return None
    n_frames, rest = divmod(size_bytes - file.header_bytes, packet.itemsize)
    if rest:
        raise corrupt(file.path, "truncated", "it ends inside a frame.")
    return _Block(file.header_bytes, n_frames, stamped_packets=True)


def _layout(file: _File, block: _Block) -> RecordLayout:
    n_channels = len(file.channels)
    packet = np.dtype(NSX_DATA_HEADER_TYPES["3.0-ptp"](n_channels))
    return RecordLayout(
        header_bytes=block.first_byte,
        record_bytes=packet.itemsize if block.stamped_packets else n_channels * _SAMPLE_BYTES,
        samples_at_bytes=packet.itemsize - n_channels * _SAMPLE_BYTES
        if block.stamped_packets
        else 0,
        n_records=block.n_frames,
        frames_per_record=1,
        channels_per_file=n_channels,
        dtype="<i2",
    )


def _part_packets(file: _File, block: _Block) -> tuple[Take, ...]:
    """Return the takes by nanosecond stamps; pieces whose ends say nothing is missing are skipped.

    A frame whose stamp stands still or is a little early was stamped twice, not set back.
    """
    stamps = RecordField(file.path, _layout(file, block), dtype="<u8", at_bytes=1)
    per_frame = file.stamps_per_s / file.sampling_rate_hz
    jumps: list[tuple[int, int]] = []
    with reading(file.path):
        first = round(int(stamps[0]) / per_frame)
        for start in range(0, len(stamps) - 1, _STAMPS_AT_ONCE):
            last = min(start + _STAMPS_AT_ONCE, len(stamps) - 1)
            if round((int(stamps[last]) - int(stamps[start])) / per_frame) == last - start:
                continue
            piece = stamps[start : last + 1].astype(np.int64)
            missing = np.rint(np.diff(piece) / per_frame).astype(np.int64) - 1
            places = np.flatnonzero((missing > 0) | (missing < -1))
            jumps += [(start + int(place) + 1, int(missing[place])) for place in places]
    return part_takes(jumps, block.n_frames, first, file.path)


FAMILY = FormatFamily(FORMAT, "Blackrock .ns1-.ns6", recognises, describe, open_stream)
