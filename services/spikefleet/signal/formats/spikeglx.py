"""SpikeGLX: a ``.bin`` with its ``.meta``, or a folder of them.

One stream is one probe's action-potential band ("imec0.ap"). The files of a run's triggers (_t0,
_t1, ...) count their samples on one clock and are one stream with gaps. Checks the bytes against
the header before anything is read, because the usual readers accept a file that stopped half way.
LFP, NI and OneBox streams are named but refused: no sorter here works on them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import probeinterface
from neo.rawio.spikeglxrawio import extract_stream_info, read_meta_file
from spikeinterface.core import (
    BaseRecording,
    BinaryRecordingExtractor,
    concatenate_recordings,
)
from spikeinterface.extractors.neuropixels_utils import get_neuropixels_sample_shifts_from_probe

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.recording.file_sets import is_hidden, is_in_hidden_folder
from spikefleet.signal.formats.family import FormatFamily, describe_each
from spikefleet.signal.formats.header_fields import MOST_CHANNELS, entry, number, whole
from spikefleet.signal.formats.origins import CATGT_OF, PROBE_SERIAL, RUN_GATE
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.takes import (
    Take,
    cut_take,
    list_takes,
    part_takes,
    stream_of_take,
)

FORMAT = "spikeglx"
_SAMPLE_BYTES = 2
_TRIGGER = re.compile(r"(.+_g\d+)_t(\d+)(\..+)")
_RUN = re.compile(r"(?P<catgt>catgt_)?(?P<run>.+_g\d+)_t(?P<trigger>\d+|cat)\..+")
_LISTS = ("snsChanMap", "imroTbl", "snsShankMap", "snsGeomMap")


@dataclass(frozen=True)
class _Header:
    """One ``.meta`` and what it says about its ``.bin``."""

    meta: Path
    stream: str
    n_saved: int
    declared_bytes: int | None
    sampling_rate_hz: float
    sortable: bool
    info: dict[str, Any]
    first_sample: int | None
    electrodes: str
    probe_serial: str

    @property
    def binary(self) -> Path:
        return self.meta.with_suffix(".bin")

    @property
    def n_samples(self) -> int:
        """Frames in the file itself; the header may be older than its last samples."""
        return self.binary.stat().st_size // (_SAMPLE_BYTES * self.n_saved)

    def open_end(self) -> str:
        """Say what of the file its header does not know; "" where the two agree."""
        if self.declared_bytes is None:
            return "its header does not say how long it is"
        older_bytes = self.binary.stat().st_size - self.declared_bytes
        if older_bytes <= 0:
            return ""
        more_s = older_bytes / (_SAMPLE_BYTES * self.n_saved * self.sampling_rate_hz)
        return f"its header is older than its last {more_s:.3g} s"

    def is_like(self, other: _Header) -> bool:
        """Say whether the two saved the same channels in the same way."""
        return (self.sampling_rate_hz, self.electrodes, self.info["channel_names"]) == (
            other.sampling_rate_hz,
            other.electrodes,
            other.info["channel_names"],
        ) and np.array_equal(self.info["channel_gains"], other.info["channel_gains"])


@dataclass(frozen=True)
class _Stream:
    """The files of one stream in the order of their triggers; nearly always one."""

    stream: str
    file_name: str
    headers: tuple[_Header, ...]

    @property
    def first(self) -> _Header:
        return self.headers[0]

    def takes(self) -> tuple[Take, ...]:
        """Return the takes that the files' first samples make of the stream."""
        lengths = [header.n_samples for header in self.headers]
        ends = list(accumulate(lengths))
        starts = [header.first_sample or 0 for header in self.headers]
        jumps = [
            (end, after - before - length)
            for end, (before, after), length in zip(
                ends[:-1], pairwise(starts), lengths[:-1], strict=True
            )
            if after != before + length
        ]
        return part_takes(jumps, ends[-1], starts[0], self.first.meta)


def recognises(path: Path) -> bool:
    """Say whether ``path`` is a SpikeGLX file with its header, or a folder holding one."""
    return any(_is_header(meta) for meta in _meta_files(path))


def describe(path: Path) -> RecordingDescription:
    """List the action-potential streams; byte counts are checked against the headers."""
    streams = _read_streams(path)
    sortable = {found.stream: found for found in streams if found.first.sortable}
    if not sortable:
        raise corrupt(path, "empty", "no action-potential (.ap) stream is here.")

    def read_takes(name: str) -> tuple[Take, ...]:
        for header in sortable[name].headers:
            _check_bytes(header)
        return sortable[name].takes()

    lengths = list_takes(sortable, read_takes)

    def describe_one(name: str) -> StreamDescription:
        found = sortable[stream_of_take(name, sortable)]
        for header in found.headers:
            _check_bytes(header)
        rate_hz = found.first.sampling_rate_hz
        duration_s = (lengths[name] or 0) / rate_hz
        return StreamDescription(
            name, len(_signal_names(found.first)), rate_hz, duration_s, "int16"
        )

    others = tuple(found.stream for found in streams if not found.first.sortable)
    return RecordingDescription(FORMAT, describe_each(lengths, describe_one, path), others)


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open one action-potential stream, without its synchronisation channel.

    Raises:
        InvalidConfigurationError: the stream is an LFP, NI or OneBox stream.
        InputCorruptError: bytes and header disagree, or there is no header.
    """
    del hdf5_plugin_path
    streams = {found.stream: found for found in _read_streams(path)}
    found = streams[stream_of_take(stream, streams)]
    if not found.first.sortable:
        raise InvalidConfigurationError(
            f"Stream {stream!r} is not an action-potential stream; name one ending in .ap.",
            field="streams",
            value=stream,
        )
    header = found.first
    for one in found.headers:
        _check_bytes(one)
    with reading(header.meta):
        parts = [_open_samples(one, found.stream) for one in found.headers]
        recording = parts[0] if len(parts) == 1 else concatenate_recordings(parts)
        recording = cut_take(recording, stream, found.stream, found.takes(), header.meta)
        signals = [f"{found.stream}#{name}" for name in _signal_names(header)]
        if len(signals) != header.n_saved:
            recording = recording.select_channels(signals)
        probe = probeinterface.read_spikeglx(header.meta)
        recording.set_probe(probe)
        shifts = get_neuropixels_sample_shifts_from_probe(probe)
        if shifts is not None:
            recording.set_property("inter_sample_shift", shifts)
    recording.annotate(**_origin(header))
    open_ends = [one.open_end() for one in found.headers]
    if any(open_ends):
        recording.annotate(not_closed=next(filter(None, open_ends)))
    return recording


def _origin(header: _Header) -> dict[str, str]:
    """Return the probe and, of a file named as SpikeGLX or CatGT names it, run and gate."""
    origin = {PROBE_SERIAL: header.probe_serial} if header.probe_serial else {}
    matched = _RUN.fullmatch(header.meta.name)
    if matched is None:
        return origin
    made_by_catgt = bool(matched["catgt"]) or matched["trigger"] == "cat"
    return origin | {CATGT_OF if made_by_catgt else RUN_GATE: matched["run"]}


def _open_samples(header: _Header, stream: str) -> BaseRecording:
    return BinaryRecordingExtractor(
        file_paths=[header.binary],
        sampling_frequency=header.sampling_rate_hz,
        dtype="int16",
        num_channels=header.n_saved,
        channel_ids=[f"{stream}#{name}" for name in header.info["channel_names"]],
        gain_to_uV=np.asarray(header.info["channel_gains"], dtype=np.float64),
        offset_to_uV=np.zeros(header.n_saved),
        is_filtered=False,
    )


def _meta_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = (meta for meta in path.rglob("*.meta") if not is_hidden(meta))
        return sorted(meta for meta in found if not is_in_hidden_folder(meta, path))
    if path.suffix in (".bin", ".meta"):
        meta = path.with_suffix(".meta")
        return [meta] if meta.is_file() else []
    return []


def _is_header(meta: Path) -> bool:
    with meta.open("rb") as file:
        return b"nSavedChans=" in file.read(65536)


def _read_streams(path: Path) -> list[_Stream]:
    headers = [_read_header(meta) for meta in _meta_files(path) if _is_header(meta)]
    streams = _with_triggers(headers)
    # Several gates of one probe share a stream name, and several probes may share a file name:
    # what repeats is told apart by the file's own name, then by its folder too.
    streams = _told_apart(streams, [found.file_name for found in streams])
    folders = [found.first.meta.parent for found in streams]
    places = [folder.relative_to(path) if path.is_dir() else folder for folder in folders]
    names = zip(places, streams, strict=True)
    return _told_apart(streams, [(place / found.file_name).as_posix() for place, found in names])


def _with_triggers(headers: list[_Header]) -> list[_Stream]:
    """Return the files by stream; those of one run's triggers, saved alike, are one."""
    groups: dict[tuple[Any, ...], list[tuple[int, _Header]]] = {}
    for index, header in enumerate(headers):
        matched = _TRIGGER.fullmatch(header.meta.name)
        key: tuple[Any, ...] = (index,)
        if matched and header.sortable and header.first_sample is not None:
            key = (header.meta.parent, matched[1], matched[3])
        groups.setdefault(key, []).append((int(matched[2]) if matched else 0, header))
    streams: list[_Stream] = []
    for key, numbered in groups.items():
        members = [header for _, header in sorted(numbered, key=lambda pair: pair[0])]
        first = members[0]
        if len(members) > 1 and all(first.is_like(other) for other in members):
            name = f"{key[1]}{Path(key[2]).stem}"
            streams.append(_Stream(first.stream, name, tuple(members)))
        else:
            streams += [_Stream(one.stream, one.meta.stem, (one,)) for one in members]
    return streams


def _told_apart(streams: list[_Stream], names: list[str]) -> list[_Stream]:
    """Give streams whose name repeats another one."""
    repeated = Counter(found.stream for found in streams)
    return [
        found if repeated[found.stream] == 1 else replace(found, stream=name)
        for found, name in zip(streams, names, strict=True)
    ]


def _read_header(meta: Path) -> _Header:
    with reading(meta):
        text = meta.read_text(encoding="utf-8", errors="replace")
        if any(f"\n{name}=(" in text for name in _LISTS):
            raise corrupt(
                meta,
                "unreadable",
                "its list entries lost the ~ before their names (~snsChanMap=...).",
                f"Put it back before {', '.join(_LISTS)}, or take the .meta from the rig.",
            )
        fields = read_meta_file(meta)
        # neo looks for the probe in the name the file had, and its pattern knows no blanks.
        known_as = re.sub(r"\s", "_", str(entry(fields, "fileName", meta)))
        info = extract_stream_info(str(meta), {**fields, "fileName": known_as})
    n_saved = whole(
        entry(fields, "nSavedChans", meta), "nSavedChans", meta, least=1, most=MOST_CHANNELS
    )
    first_sample = fields.get("firstSample")
    declared = fields.get("fileSizeBytes")
    declared_bytes = None if declared is None else whole(declared, "fileSizeBytes", meta)
    if len(info["channel_names"]) != n_saved:
        raise corrupt(meta, "unreadable", f"it names {len(info['channel_names'])} of {n_saved}.")
    return _Header(
        meta=meta,
        stream=str(info["stream_name"]),
        n_saved=n_saved,
        declared_bytes=declared_bytes or None,
        sampling_rate_hz=number(info["sampling_rate"], "the sampling rate", meta, above=0.0),
        sortable=info["stream_kind"] == "ap",
        info=info,
        first_sample=whole(first_sample, "firstSample", meta) if first_sample else None,
        electrodes=str(fields.get("imroTbl", fields.get("~imroTbl", ""))),
        probe_serial=str(fields.get("imDatPrb_sn", fields.get("imProbeSN", ""))).lstrip("0"),
    )


def _signal_names(header: _Header) -> list[str]:
    return [name for name in header.info["channel_names"] if not name.startswith("SY")]


def _check_bytes(header: _Header) -> None:
    binary = header.binary
    if not binary.is_file() and binary.with_suffix(".cbin").is_file():
        raise corrupt(
            binary.with_suffix(".cbin"),
            "compressed",
            "the samples are compressed with mtscomp.",
            "Decompress it (mtdecomp) and submit the .bin.",
        )
    with reading(binary):
        size_bytes = binary.stat().st_size
    declared_bytes = size_bytes if header.declared_bytes is None else header.declared_bytes
    frame_bytes = header.n_saved * _SAMPLE_BYTES
    if size_bytes == 0:
        raise corrupt(binary, "empty", "the file has no bytes.")
    if size_bytes < declared_bytes or size_bytes % frame_bytes:
        raise corrupt(
            binary,
            "truncated",
            f"it has {size_bytes} bytes where its header says {declared_bytes} "
            f"({frame_bytes} per frame).",
        )


FAMILY = FormatFamily(FORMAT, "SpikeGLX .ap.bin with .meta", recognises, describe, open_stream)
