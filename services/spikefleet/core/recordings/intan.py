"""Intan recordings: ``.rhd`` and ``.rhs``, in the three ways the software saves them.

The stream is the amplifier; auxiliary, supply, ADC, DC and stimulation channels are named but not
sorted. Header-attached files store unsigned codes, read as stored, with the offset that belongs to
them; the other two layouts store signed codes. The header is read by neo, the samples are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from neo.rawio.intanrawio import (
    read_rhd,
    read_rhs,
    stream_id_to_stream_name_rhd,
    stream_id_to_stream_name_rhs,
)
from spikeinterface.core import BaseRecording, BinaryRecordingExtractor, aggregate_channels

from spikefleet.core.failures.errors import InputMissingError, InvalidConfigurationError
from spikefleet.core.recordings.description import (
    FormatFamily,
    RecordingDescription,
    StreamDescription,
)
from spikefleet.core.recordings.edge import corrupt, reading
from spikefleet.core.recordings.frame_gaps import (
    find_frame_gaps,
    note_frame_gaps,
    require_unique_ids,
)
from spikefleet.core.recordings.probe_sidecar import place_channels
from spikefleet.core.recordings.record_files import RecordField, RecordFilesRecording, RecordLayout

FORMAT = "intan"
STREAM = "amplifier"
HEADER_FILE_NAMES = ("info.rhd", "info.rhs")
_MAGIC = {b"\x02\x27\x91\xc6": "rhd", b"\xac\x27\x91\xd6": "rhs"}
_SAMPLE_BYTES = 2
_STAMP_BYTES = 4


@dataclass(frozen=True)
class _Header:
    """What the header says, and in which of the three layouts the samples lie."""

    file: Path
    layout: str
    sampling_rate_hz: float
    names: tuple[str, ...]
    gain_to_uv: float
    offset_to_uv: float
    others: tuple[str, ...]
    header_bytes: int
    block_bytes: int
    block_frames: int

    @property
    def dtype(self) -> str:
        return "uint16" if self.layout == "attached" else "int16"


def recognises(path: Path) -> bool:
    """Say whether ``path`` is an Intan file, or a folder with one ``info`` header or one file."""
    return _header_file(path) is not None


def describe(path: Path) -> RecordingDescription:
    """Describe the amplifier stream; the bytes are checked against the header."""
    header = _read_header(path)
    n_frames = _count_frames(header)
    duration_s = n_frames / header.sampling_rate_hz
    return RecordingDescription(
        FORMAT,
        (
            StreamDescription(
                STREAM, len(header.names), header.sampling_rate_hz, duration_s, header.dtype
            ),
        ),
        header.others,
    )


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open the amplifier channels, named as on the headstage ("A-000").

    Raises:
        InvalidConfigurationError: another stream was named.
        InputMissingError: a file of samples is not there.
        InputCorruptError: bytes, time stamps and header disagree.
    """
    del hdf5_plugin_path
    if stream != STREAM:
        raise InvalidConfigurationError(
            f"Stream {stream!r} holds no spikes; name {STREAM}.", field="streams", value=stream
        )
    header = _read_header(path)
    require_unique_ids(header.names, header.file)
    n_frames = _count_frames(header)
    with reading(header.file):
        recording = _open_samples(header, n_frames)
        n_channels = len(header.names)
        recording.set_channel_gains(np.full(n_channels, header.gain_to_uv))
        recording.set_channel_offsets(np.full(n_channels, header.offset_to_uv))
    note_frame_gaps(recording, _find_gaps(header, n_frames))
    return place_channels(recording, header.file)


def _header_file(path: Path) -> Path | None:
    if not path.is_dir():
        return path if _kind(path) else None
    named = [path / name for name in HEADER_FILE_NAMES if (path / name).is_file()]
    found = named or [file for file in sorted(path.glob("*.rh[ds]")) if _kind(file)]
    return found[0] if len(found) == 1 else None


def _kind(file: Path) -> str:
    with file.open("rb") as content:
        return _MAGIC.get(content.read(4), "")


def _read_header(path: Path) -> _Header:
    file = _header_file(path)
    if file is None:
        raise corrupt(path, "unknown_format", "it holds no Intan header.")
    is_rhd = _kind(file) == "rhd"
    read, names = (
        (read_rhd, stream_id_to_stream_name_rhd)
        if is_rhd
        else (read_rhs, stream_id_to_stream_name_rhs)
    )
    layout = _layout(file)
    with reading(file):
        _, channels, fields, header_bytes, block_frames, _ = read(file, _NEO_LAYOUTS[layout])
        amplifier = [channel for channel in channels if int(channel["signal_type"]) == 0]
        if not amplifier:
            raise corrupt(file, "empty", "no amplifier channel was switched on.")
        kinds = {int(channel["signal_type"]) for channel in channels} - {0}
        return _Header(
            file=file,
            layout=layout,
            sampling_rate_hz=float(amplifier[0]["sampling_rate"]),
            names=tuple(str(channel["native_channel_name"]) for channel in amplifier),
            gain_to_uv=float(amplifier[0]["gain"]),
            offset_to_uv=float(amplifier[0]["offset"]),
            others=tuple(names.get(str(kind), f"type {kind}") for kind in sorted(kinds)),
            header_bytes=int(header_bytes),
            block_bytes=_block_bytes(fields) if layout == "attached" else 0,
            block_frames=int(block_frames),
        )


_NEO_LAYOUTS = {
    "attached": "header-attached",
    "per_signal": "one-file-per-signal",
    "per_channel": "one-file-per-channel",
}


def _layout(file: Path) -> str:
    if file.name not in HEADER_FILE_NAMES:
        return "attached"
    if any(file.parent.glob("amp-*.dat")):
        return "per_channel"
    return "per_signal"


def _block_bytes(fields: list[tuple[Any, ...]]) -> int:
    """Sum neo's field list; not through one numpy type, which refuses names given twice."""
    return sum(
        np.dtype(dtype).itemsize * (int(count[0]) if count else 1) for _, dtype, *count in fields
    )


def _sample_files(header: _Header) -> list[Path]:
    folder = header.file.parent
    if header.layout == "attached":
        return [header.file]
    if header.layout == "per_signal":
        return [folder / "amplifier.dat"]
    return [folder / f"amp-{name}.dat" for name in header.names]


def _count_frames(header: _Header) -> int:
    """Return the frames every file holds; refuse files that end early."""
    files = _sample_files(header)
    for file in files:
        if not file.is_file():
            raise InputMissingError(
                f"{file.name} is not beside {header.file.name}. Copy the whole folder.",
                path=str(file),
            )
    sizes = [file.stat().st_size for file in files]
    if header.layout == "attached":
        unit_bytes, unit_frames = header.block_bytes, header.block_frames
        sizes = [sizes[0] - header.header_bytes]
    else:
        columns = len(header.names) if header.layout == "per_signal" else 1
        unit_bytes, unit_frames = columns * _SAMPLE_BYTES, 1
    if max(sizes) <= 0:
        raise corrupt(files[0], "empty", "it holds no samples.")
    for file, size_bytes in zip(files, sizes, strict=True):
        if size_bytes % unit_bytes or size_bytes != sizes[0]:
            raise corrupt(
                file,
                "truncated",
                f"its {size_bytes} bytes of samples are no whole number of {unit_bytes}, "
                "or fewer than other channels have.",
            )
    return sizes[0] // unit_bytes * unit_frames


def _open_samples(header: _Header, n_frames: int) -> BaseRecording:
    files = _sample_files(header)
    if header.layout == "attached":
        return RecordFilesRecording(
            [str(header.file)],
            _record_layout(header, n_frames),
            header.sampling_rate_hz,
            list(header.names),
        )
    names = list(header.names)
    columns = [names] if header.layout == "per_signal" else [[name] for name in names]
    parts = [
        BinaryRecordingExtractor(
            file_paths=[file],
            sampling_frequency=header.sampling_rate_hz,
            dtype="int16",
            num_channels=len(ids),
            channel_ids=ids,
            is_filtered=False,
        )
        for file, ids in zip(files, columns, strict=True)
    ]
    return parts[0] if len(parts) == 1 else aggregate_channels(parts)


def _record_layout(header: _Header, n_frames: int) -> RecordLayout:
    """A block holds its time stamps, then channel after channel of the amplifier, then the rest."""
    return RecordLayout(
        header_bytes=header.header_bytes,
        record_bytes=header.block_bytes,
        samples_at_bytes=_STAMP_BYTES * header.block_frames,
        n_records=n_frames // header.block_frames,
        frames_per_record=header.block_frames,
        channels_per_file=len(header.names),
        dtype="<u2",
    )


def _find_gaps(header: _Header, n_frames: int) -> list[list[int]]:
    if header.layout == "attached":
        # The first stamp of each block: the software loses whole blocks, never parts of one.
        stamps = RecordField(header.file, _record_layout(header, n_frames), dtype="<i4", at_bytes=0)
        return find_frame_gaps(stamps, header.file, frames_per_entry=header.block_frames)
    file = header.file.parent / "time.dat"
    if not file.is_file():
        raise InputMissingError(
            f"time.dat is not beside {header.file.name}. Copy the whole folder.", path=str(file)
        )
    times = np.memmap(file, dtype="<i4", mode="r")
    if len(times) != n_frames:
        raise corrupt(
            file, "truncated", f"it numbers {len(times)} frames where the samples have {n_frames}."
        )
    return find_frame_gaps(times, file)


FAMILY = FormatFamily(FORMAT, "Intan .rhd or .rhs", recognises, describe, open_stream)
