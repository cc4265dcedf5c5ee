"""Intan recordings: ``.rhd`` and ``.rhs``, in the three ways the software saves them.

The stream is the amplifier; auxiliary, supply, ADC, DC and stimulation channels are named but not
sorted. Header-attached files store unsigned codes, read as stored, with the offset that belongs to
them; the other two layouts store signed codes. A folder of timed files (name_YYMMDD_hhmmss.rhd)
whose clock runs on from one to the next is one recording. The header is read by neo, which believes
its counts and is therefore shown no more of a file than a header may be long; the samples are not.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from neo.rawio.intanrawio import (
    read_rhd,
    read_rhs,
    stream_id_to_stream_name_rhd,
    stream_id_to_stream_name_rhs,
)
from spikeinterface.core import (
    BaseRecording,
    BinaryRecordingExtractor,
    aggregate_channels,
    concatenate_recordings,
)

from spikefleet.core.failures.errors import InputMissingError, InvalidConfigurationError
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.recording.file_sets import is_hidden
from spikefleet.signal.formats.family import FormatFamily
from spikefleet.signal.formats.frame_gaps import find_jumps, require_unique_ids
from spikefleet.signal.formats.header_fields import number
from spikefleet.signal.formats.probe_sidecar import place_channels
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.record_files import RecordField, RecordFilesRecording, RecordLayout
from spikefleet.signal.formats.spike_bands import LEAST_HIGH_CUT_HZ
from spikefleet.signal.formats.takes import (
    Take,
    cut_take,
    list_takes,
    part_takes,
    stream_of_take,
)

FORMAT = "intan"
STREAM = "amplifier"
HEADER_FILE_NAMES = ("info.rhd", "info.rhs")
_MAGIC = {b"\x02\x27\x91\xc6": "rhd", b"\xac\x27\x91\xd6": "rhs"}
# A thousand channels take about 100 kB.
_LONGEST_HEADER_BYTES = 2 << 20
_SAMPLE_BYTES = 2
_STAMP_BYTES = 4
_STAMPS = 1 << 32
"""Time stamps count in 32 bits: after 20 h at 30 kHz they continue from the lowest number."""
_TIMED = re.compile(r"(.+)_\d{6}_\d{6}")


@dataclass(frozen=True)
class _Header:
    """What the header says, and in which of the three layouts the samples are."""

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
    """Say whether ``path`` is an Intan file, or a folder with an ``info`` header or such files."""
    return bool(_header_files(path))


def describe(path: Path) -> RecordingDescription:
    """Describe the amplifier stream; the bytes are checked against the header."""
    headers = _read_headers(path)
    header, n_frames = headers[0], sum(map(_count_frames, headers))
    takes = list_takes([STREAM], lambda _: _read_takes(headers))

    def describe_one(take: str) -> StreamDescription:
        duration_s = (takes[take] or n_frames) / header.sampling_rate_hz
        return StreamDescription(
            take, len(header.names), header.sampling_rate_hz, duration_s, header.dtype
        )

    return RecordingDescription(FORMAT, tuple(map(describe_one, takes)), header.others)


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open the amplifier channels, named as on the headstage ("A-000").

    Raises:
        InvalidConfigurationError: another stream was named.
        InputMissingError: a file of samples is not there.
        InputCorruptError: bytes, time stamps and header disagree; ``several_recordings``: the files
            of a folder do not continue one another.
    """
    del hdf5_plugin_path
    if stream_of_take(stream, [STREAM]) != STREAM:
        raise InvalidConfigurationError(
            f"Stream {stream!r} holds no spikes; name {STREAM}.", field="streams", value=stream
        )
    headers = _read_headers(path)
    first = headers[0]
    require_unique_ids(first.names, first.file)
    parts = []
    for header in headers:
        n_frames = _count_frames(header)
        with reading(header.file):
            part = _open_samples(header, n_frames)
        part.set_channel_gains(np.full(len(header.names), header.gain_to_uv))
        part.set_channel_offsets(np.full(len(header.names), header.offset_to_uv))
        parts.append(part)
    recording = parts[0] if len(parts) == 1 else concatenate_recordings(parts)
    recording = cut_take(recording, stream, STREAM, _read_takes(headers), first.file)
    return place_channels(recording, first.file)


def _read_takes(headers: list[_Header]) -> tuple[Take, ...]:
    """Return the takes of one file, or of a series of timed ones."""
    jumps: list[tuple[int, int]] = []
    n_before, clock, first = 0, None, 0
    for header in headers:
        n_frames = _count_frames(header)
        stamps = _stamps(header, n_frames)
        per_entry = n_frames // max(1, len(stamps))
        with reading(header.file):
            if clock is None:
                first = int(stamps[0])
            else:
                jumps.append((n_before, int(stamps[0]) - clock))
            inside = find_jumps(stamps, frames_per_entry=per_entry)
            clock = int(stamps[-1]) + per_entry
        jumps += [(n_before + frame, missing) for frame, missing in inside]
        n_before += n_frames
    counted = [(frame, _counted_on(missing)) for frame, missing in jumps]
    return part_takes([jump for jump in counted if jump[1]], n_before, first, headers[0].file)


def _counted_on(missing: int) -> int:
    """Return the missing frames of a jump, through the end of what time stamps can count."""
    return missing + _STAMPS if missing <= -_STAMPS // 2 else missing


def _header_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if _kind(path) else []
    named = [path / name for name in HEADER_FILE_NAMES if (path / name).is_file()]
    found = [file for file in sorted(path.glob("*.rh[ds]")) if not is_hidden(file)]
    return named or [file for file in found if _kind(file)]


def _kind(file: Path) -> str:
    with file.open("rb") as content:
        return _MAGIC.get(content.read(4), "")


def _read_headers(path: Path) -> list[_Header]:
    """Return one header, or those of a series of timed files in their order."""
    headers = [_read_header(file) for file in _header_files(path)]
    if not headers:
        raise corrupt(path, "unknown_format", "it holds no Intan header.")
    for earlier, later in pairwise(headers):
        if not _continues(earlier, later):
            listed = ", ".join(header.file.name for header in headers[:5])
            raise corrupt(
                path,
                "several_recordings",
                f"the folder holds {len(headers)} files that are no series, {later.file.name} does "
                f"not continue {earlier.file.name} ({listed}).",
            )
    return headers


def _continues(earlier: _Header, later: _Header) -> bool:
    """Say whether two timed files are of one run: alike, and with a clock that runs on."""
    names = [_TIMED.fullmatch(header.file.stem) for header in (earlier, later)]
    if names[0] is None or names[1] is None or names[0][1] != names[1][1]:
        return False
    if (earlier.names, earlier.sampling_rate_hz, earlier.gain_to_uv, earlier.file.suffix) != (
        later.names,
        later.sampling_rate_hz,
        later.gain_to_uv,
        later.file.suffix,
    ):
        return False
    with reading(later.file):
        before = _stamps(earlier, _count_frames(earlier))
        after = _stamps(later, _count_frames(later))
        return _counted_on(int(after[0]) - int(before[-1])) > 0


def _read_header(file: Path) -> _Header:
    is_rhd = _kind(file) == "rhd"
    read, names = (
        (read_rhd, stream_id_to_stream_name_rhd)
        if is_rhd
        else (read_rhs, stream_id_to_stream_name_rhs)
    )
    layout = _layout(file)
    try:
        with reading(file), _only_header(file, layout) as header:
            said, channels, fields, header_bytes, block_frames, _ = read(
                header, _NEO_LAYOUTS[layout]
            )
    except MemoryError as error:  # a text of it says that it is gigabytes long
        raise corrupt(file, "absurd", "its header claims more text than a file holds.") from error
    amplifier = [channel for channel in channels if int(channel["signal_type"]) == 0]
    if not amplifier:
        raise corrupt(file, "empty", "no amplifier channel was switched on.")
    high_cut_hz = number(said.get("actual_upper_bandwidth", 0), "its upper bandwidth", file)
    if 0 < high_cut_hz < LEAST_HIGH_CUT_HZ:
        raise corrupt(
            file, "field_potential", f"its amplifier cut off what is above {high_cut_hz:g} Hz."
        )
    kinds = {int(channel["signal_type"]) for channel in channels} - {0}
    first = amplifier[0]
    return _Header(
        file=file,
        layout=layout,
        sampling_rate_hz=number(first["sampling_rate"], "its sampling rate", file, above=0),
        names=tuple(_name(channel["native_channel_name"], file) for channel in amplifier),
        gain_to_uv=number(first["gain"], "its gain", file),
        offset_to_uv=number(first["offset"], "its offset", file),
        others=tuple(names.get(str(kind), f"type {kind}") for kind in sorted(kinds)),
        header_bytes=int(header_bytes),
        block_bytes=_block_bytes(fields) if layout == "attached" else 0,
        block_frames=int(block_frames),
    )


@contextmanager
def _only_header(file: Path, layout: str) -> Iterator[Path | int]:
    """Give what neo may read: a header of its own, or a copy of the first bytes of the samples'.

    Raises InputCorruptError: ``absurd``: a header of its own that is far too long.
    """
    if layout != "attached":
        if file.stat().st_size > _LONGEST_HEADER_BYTES:
            raise corrupt(file, "absurd", "it is far longer than any header.")
        yield file
        return
    with tempfile.TemporaryFile() as copy, file.open("rb") as samples:
        copy.write(samples.read(_LONGEST_HEADER_BYTES))
        copy.seek(0)
        yield os.dup(copy.fileno())  # neo opens and closes what it is given


def _name(said: Any, file: Path) -> str:
    """Return a channel's name, which in one layout is part of a file's name too."""
    name = str(said)
    if not name.isprintable() or "/" in name or "\\" in name:
        raise corrupt(file, "unreadable", f"it names a channel {name[:40]!r}.")
    return name


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


def _stamps(header: _Header, n_frames: int) -> Any:
    """Return the number of each frame, or in a file with its header of each block's first."""
    if header.layout == "attached":
        # The software loses whole blocks, never parts of one.
        return RecordField(header.file, _record_layout(header, n_frames), dtype="<i4", at_bytes=0)
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
    return times


FAMILY = FormatFamily(FORMAT, "Intan .rhd or .rhs", recognises, describe, open_stream)
