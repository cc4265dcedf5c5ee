"""Several files, or takes in one file, recorded one after the other, sorted as one.

Joins only what belongs together: the same channels, in the same places, at the same rate and scale.
A difference is an error, not a warning: joined, it would give units that move with the file. Files
are never reordered when they are named one by one; a folder is taken in natural order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording, concatenate_recordings

from spikefleet.core.failures.errors import (
    InputCorruptError,
    InputMissingError,
    SpikeSortingClassifiedError,
)
from spikefleet.core.findings.finding import Finding, warn, worst_first
from spikefleet.core.recording.description import (
    ALL_TAKES,
    RecordingDescription,
    StreamDescription,
    joined_streams,
    takes_of,
)
from spikefleet.core.recording.file_sets import is_hidden, is_in_hidden_folder, recording_files
from spikefleet.signal.formats import openephys
from spikefleet.signal.formats.origins import clash
from spikefleet.signal.formats.reader_errors import shown
from spikefleet.signal.measuring.truth_checks import check_truth
from spikefleet.signal.open import list_streams, open_recording, require_spike_band
from spikefleet.signal.preparing.timeline import FileSpan

RECORDINGS_DIFFER = "recordings_differ"
RATE_TOLERANCE_PPM = 50.0
"""Crystals and calibrations of one system differ by a few; two systems by more."""
_LOCATION_TOLERANCE_UM = 1e-3
_TOLD_PPM = 0.05  # rounding of time stamps alone gives up to 0.03


@dataclass(frozen=True)
class Concatenation:
    """One recording made of several, and what it was made of, in order.

    ``files`` go into the preparation, which filters none across its ends; ``parts`` are the
    recordings as they were opened, in the same order.
    """

    recording: BaseRecording
    files: tuple[FileSpan, ...]
    parts: tuple[BaseRecording, ...] = ()


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return the sort key under which file 10 follows file 9, whatever the case of the letters."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def find_recordings(folder: Path) -> tuple[Path, ...]:
    """Return the recordings directly in a folder, of one format, in natural order.

    For a folder that is not itself one recording. What no reader knows (notes, videos) is passed
    over, a damaged recording is not; samples and their header count once.

    Raises:
        InputMissingError: there is none.
        InputCorruptError: one of them cannot be read, or they are of several formats
            (``recordings_differ``).
    """
    formats: dict[Path, str] = {}
    taken: set[tuple[Path, ...]] = set()
    for path in sorted(folder.iterdir(), key=lambda entry: (natural_key(entry.name), entry.name)):
        if is_hidden(path):
            continue
        try:
            kind = list_streams(path).format
        except InputCorruptError as error:
            if error.evidence.get("reason") != "unknown_format":
                raise
            continue
        root, files, entry = recording_files(path)
        if files not in taken:
            taken.add(files)
            formats[root / entry if entry else root] = kind
    if not formats:
        raise InputMissingError(
            f"{folder} holds no recording of a known format. Check the folder.", path=str(folder)
        )
    kinds = sorted(set(formats.values()))
    if len(kinds) > 1:
        raise _mismatch(f"{shown(folder)} holds recordings of several formats: {', '.join(kinds)}")
    return tuple(formats)


def members_of(folder: Path) -> tuple[Path, ...]:
    """Return the recordings in a folder that stands for several; () for one recording.

    A folder that a reader takes as one recording holds several only if each of them has the same
    streams: runs one after the other, and not the probes of one run. An Open Ephys folder holds the
    recordings of its experiments, however deep they are.

    Raises:
        InputMissingError, InputCorruptError: as ``find_recordings``; Record Nodes side by side,
            which recorded at the same time, are ``recordings_differ``.
    """
    if not folder.is_dir():
        return ()
    try:
        described = list_streams(folder)
        is_one = bool(described.streams)
    except SpikeSortingClassifiedError:
        described, is_one = None, False
    if described is not None and described.format == openephys.FORMAT:
        return _recordings_of_node(folder)
    try:
        found = find_recordings(folder)
        streams = {frozenset(s.stream for s in list_streams(path).streams) for path in found}
    except SpikeSortingClassifiedError:
        if is_one:
            return ()
        raise
    return found if len(found) > 1 and (len(streams) == 1 or not is_one) else ()


def _recordings_of_node(folder: Path) -> tuple[Path, ...]:
    """Return the recordings of one Open Ephys Record Node, in order; () where there is one."""
    files = folder.rglob(openephys.STRUCTURE_FILE_NAME)
    found = {file.parent for file in files if not is_in_hidden_folder(file, folder)}
    nodes = sorted({recording.parents[1].name for recording in found})
    if len(nodes) > 1:
        raise _mismatch(
            f"{shown(folder)} holds {len(nodes)} Record Nodes ({', '.join(nodes[:4])}), which "
            "recorded at the same time; only recordings of one node are joined"
        )
    ordered = sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))
    return tuple(ordered) if len(ordered) > 1 else ()


def describe_concatenated(named: Mapping[str, Path]) -> RecordingDescription:
    """Return the streams of several recordings joined, from their headers; names in order.

    A stream that cannot be joined is listed with its ``problem``, so that it hides no other. The
    format is "" where the recordings are of several.

    Raises:
        InputMissingError, InputCorruptError: one of the recordings cannot be described.
    """
    described = {name: list_streams(path) for name, path in named.items()}
    streams = joined_streams(list(described.values()))
    formats = {each.format for each in described.values()}
    return RecordingDescription(
        formats.pop() if len(formats) == 1 else "",
        tuple(_describe_joined(named, described, stream) for stream in streams),
    )


def _describe_joined(
    named: Mapping[str, Path], described: Mapping[str, RecordingDescription], stream: str
) -> StreamDescription:
    problem = _absence(described, stream)
    if problem:
        return StreamDescription(stream, 0, 0.0, 0.0, "", problem=problem)
    try:
        recording = open_concatenated(named, stream).recording
    except SpikeSortingClassifiedError as error:
        return StreamDescription(stream, 0, 0.0, 0.0, "", problem=error.message)
    return StreamDescription(
        stream,
        int(recording.get_num_channels()),
        float(recording.sampling_frequency),
        float(recording.get_total_duration()),
        str(recording.get_dtype()),
    )


def _absence(described: Mapping[str, RecordingDescription], stream: str) -> str:
    """Say which recording has the stream and which has not; "" when all have it."""
    has = {
        name: bool(
            takes_of(each, stream)
            if stream.endswith(ALL_TAKES)
            else stream in (*(s.stream for s in each.streams), *each.other_streams)
        )
        for name, each in described.items()
    }
    if all(has.values()):
        return ""
    present = next(name for name, there in has.items() if there)
    absent = next(name for name, there in has.items() if not there)
    return f"{present} has the stream {stream!r} and {absent} has not."


def open_concatenated(
    named: Mapping[str, Path],
    stream: str = "",
    *,
    hdf5_plugin_path: str | Path | None = None,
    format: str = "",
) -> Concatenation:
    """Open one stream of every recording, in the order given, and join them lazily.

    "STREAM/takes" is all takes of a stream, of one recording or of several. ``format`` is the
    reader that was chosen for all of them before; "" recognises each again.

    Raises:
        InputMissingError, HDF5PluginMissingError: as ``open_recording``.
        InputCorruptError: as ``open_recording``, one holds no spikes (``field_potential``), or they
            do not belong together (``recordings_differ``).
        InvalidConfigurationError: one of them has no such stream.
    """
    names: list[str] = []
    opened: list[BaseRecording] = []
    for name, path in named.items():
        chosen = _chosen(path, stream)
        names += [name] if len(chosen) == 1 else [f"{name}-take{n}" for n in range(len(chosen))]
        for one in chosen:
            part = open_recording(path, one, hdf5_plugin_path=hdf5_plugin_path, format=format)
            require_spike_band(part, path, one)
            opened.append(part)
    return concatenate(names, opened)


def _chosen(path: Path, stream: str) -> tuple[str, ...]:
    """Return the streams of one recording that ``stream`` stands for."""
    if not stream.endswith(ALL_TAKES):
        return (stream,)
    described = list_streams(path)
    found = takes_of(described, stream)
    # A recording without such takes may have the stream itself, or says what it has.
    return found or (stream.removesuffix(ALL_TAKES),)


def concatenate(names: Sequence[str], recordings: Sequence[BaseRecording]) -> Concatenation:
    """Join recordings of one segment each, in the order given; one alone is returned as it is.

    Raises:
        InputCorruptError: ``recordings_differ``: there are none, or the message says which file
            differs from the first, in what: probe, moment, channel count, ids, rate, locations,
            gain, offset or dtype.
    """
    if not recordings:
        raise _mismatch("no recording was given")
    first = _Likeness.of(recordings[0])
    for name, recording in zip(names[1:], recordings[1:], strict=True):
        difference = clash(recordings[0], recording) or first.difference(_Likeness.of(recording))
        if difference:
            raise _mismatch(f"{name} differs from {names[0]}: {difference}")
    spans = tuple(
        FileSpan(name, int(recording.get_num_samples()))
        for name, recording in zip(names, recordings, strict=True)
    )
    whole = recordings[0]
    if len(recordings) > 1:
        whole = concatenate_recordings(
            list(recordings),
            sampling_frequency_max_diff=first.sampling_rate_hz * RATE_TOLERANCE_PPM * 1e-6,
        )
    return Concatenation(whole, spans, tuple(recordings))


def rate_difference_ppm(first_hz: float, other_hz: float) -> float:
    """Return how much faster the other clock ran, in parts per million."""
    return (other_hz / first_hz - 1.0) * 1e6


def check_joined(
    joined: Concatenation, scale: Callable[[BaseRecording], BaseRecording]
) -> tuple[Finding, ...]:
    """Check every recording by itself, as ``scale`` leaves it; worst first.

    What a file says of its gaps and its gain is lost once it is joined. Findings name the recording
    where there are several. Raises InputCorruptError: the traces cannot be read.
    """
    if len(joined.parts) == 1:
        return check_truth(scale(joined.parts[0]))
    found = [
        finding.of_part(span.name)
        for span, part in zip(joined.files, joined.parts, strict=True)
        for finding in check_truth(scale(part))
    ]
    found += _rate_differences(joined)
    return worst_first(found)


def _rate_differences(joined: Concatenation) -> list[Finding]:
    """Tell of recordings whose clock is not quite the first one's, whose rate all are given."""
    first_hz = float(joined.parts[0].sampling_frequency)
    rates = {
        span.name: float(part.sampling_frequency)
        for span, part in zip(joined.files, joined.parts, strict=True)
    }
    apart = {name: rate_difference_ppm(first_hz, rate_hz) for name, rate_hz in rates.items()}
    worst = max(apart, key=lambda name: abs(apart[name]))
    if abs(apart[worst]) < _TOLD_PPM:
        return []
    return [
        warn(
            "rates_differ",
            f"{worst} ran at {rates[worst]:.6f} Hz, {apart[worst]:+.2f} ppm from the first; "
            f"all times are told at {first_hz:.6f} Hz.",
            recording=worst,
            rate_hz=rates[worst],
            ppm=apart[worst],
        )
    ]


@dataclass(frozen=True)
class _Likeness:
    """What files must have in common to be one recording."""

    channel_ids: tuple[str, ...]
    sampling_rate_hz: float
    dtype: str
    locations_um: NDArray[np.float64]
    gains: NDArray[np.float64]
    offsets: NDArray[np.float64]

    @classmethod
    def of(cls, recording: BaseRecording) -> _Likeness:
        has_probe = recording.has_probe()
        locations_um = recording.get_channel_locations() if has_probe else np.zeros((0, 2))
        return cls(
            tuple(str(channel) for channel in recording.channel_ids),
            float(recording.sampling_frequency),
            str(np.dtype(recording.get_dtype())),
            np.asarray(locations_um, dtype=np.float64),
            np.asarray(recording.get_channel_gains(), dtype=np.float64),
            np.asarray(recording.get_channel_offsets(), dtype=np.float64),
        )

    def difference(self, other: _Likeness) -> str:
        """Say what is different, "" when nothing is."""
        mine, others = self.channel_ids, other.channel_ids
        if len(mine) != len(others):
            return f"{len(others)} channels, not {len(mine)}"
        apart_ppm = rate_difference_ppm(self.sampling_rate_hz, other.sampling_rate_hz)
        if abs(apart_ppm) > RATE_TOLERANCE_PPM:
            return (
                f"{other.sampling_rate_hz:.6f} Hz, not {self.sampling_rate_hz:.6f} Hz "
                f"({apart_ppm:+.1f} ppm; up to {RATE_TOLERANCE_PPM:g} are joined)"
            )
        if mine != others:
            odd = next(index for index in range(len(mine)) if mine[index] != others[index])
            return f"channel {odd} is {others[odd]!r}, not {mine[odd]!r}"
        if self.dtype != other.dtype:
            return f"samples are {other.dtype}, not {self.dtype}"
        if self.locations_um.shape != other.locations_um.shape or not np.allclose(
            self.locations_um, other.locations_um, rtol=0, atol=_LOCATION_TOLERANCE_UM
        ):
            return "its channels are in other places"
        for what, before, after in (
            ("gain", self.gains, other.gains),
            ("offset", self.offsets, other.offsets),
        ):
            if not np.allclose(before, after, rtol=1e-6, atol=0, equal_nan=True):
                return f"its {what} to µV is another"
        return ""


def _mismatch(text: str) -> InputCorruptError:
    return InputCorruptError(
        f"{text}. Sort them apart, or submit only files that belong together.",
        reason=RECORDINGS_DIFFER,
    )
