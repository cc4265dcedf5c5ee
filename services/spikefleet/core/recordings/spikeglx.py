"""SpikeGLX: a ``.bin`` with its ``.meta``, or a folder of them.

One stream is one probe's action-potential band ("imec0.ap"). Checks the bytes against the header
before anything is read, because the usual readers accept a file that stopped half way.
LFP, NI and OneBox streams are named but refused: no sorter here works on them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import probeinterface
from neo.rawio.spikeglxrawio import extract_stream_info, read_meta_file
from spikeinterface.core import BaseRecording, BinaryRecordingExtractor
from spikeinterface.extractors.neuropixels_utils import get_neuropixels_sample_shifts_from_probe

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.recordings.description import (
    FormatFamily,
    RecordingDescription,
    StreamDescription,
    describe_each,
)
from spikefleet.core.recordings.edge import corrupt, reading
from spikefleet.core.recordings.files import is_hidden
from spikefleet.core.recordings.header_fields import MOST_CHANNELS, entry, number, whole

FORMAT = "spikeglx"
_SAMPLE_BYTES = 2
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

    @property
    def binary(self) -> Path:
        return self.meta.with_suffix(".bin")

    @property
    def n_samples(self) -> int:
        """Frames in the file itself; the header may be older than its last samples."""
        return self.binary.stat().st_size // (_SAMPLE_BYTES * self.n_saved)


def recognises(path: Path) -> bool:
    """Say whether ``path`` is a SpikeGLX file with its header, or a folder holding one."""
    return any(_is_header(meta) for meta in _meta_files(path))


def describe(path: Path) -> RecordingDescription:
    """List the action-potential streams; byte counts are checked against the headers."""
    headers = _read_headers(path)
    sortable = {header.stream: header for header in headers if header.sortable}
    if not sortable:
        raise corrupt(path, "empty", "no action-potential (.ap) stream is here.")

    def describe_one(name: str) -> StreamDescription:
        header = sortable[name]
        _check_bytes(header)
        return StreamDescription(
            name,
            len(_signal_names(header)),
            header.sampling_rate_hz,
            header.n_samples / header.sampling_rate_hz,
            "int16",
        )

    others = tuple(header.stream for header in headers if not header.sortable)
    return RecordingDescription(FORMAT, describe_each(sortable, describe_one, path), others)


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open one action-potential stream, without its synchronisation channel.

    Raises:
        InvalidConfigurationError: the stream is an LFP, NI or OneBox stream.
        InputCorruptError: bytes and header disagree, or there is no header.
    """
    del hdf5_plugin_path
    header = next(known for known in _read_headers(path) if known.stream == stream)
    if not header.sortable:
        raise InvalidConfigurationError(
            f"Stream {stream!r} is not an action-potential stream; name one ending in .ap.",
            field="streams",
            value=stream,
        )
    _check_bytes(header)
    with reading(header.meta):
        names = header.info["channel_names"]
        recording = BinaryRecordingExtractor(
            file_paths=[header.binary],
            sampling_frequency=header.sampling_rate_hz,
            dtype="int16",
            num_channels=header.n_saved,
            channel_ids=[f"{stream}#{name}" for name in names],
            gain_to_uV=np.asarray(header.info["channel_gains"], dtype=np.float64),
            offset_to_uV=np.zeros(header.n_saved),
            is_filtered=False,
        )
        signals = [f"{stream}#{name}" for name in _signal_names(header)]
        if len(signals) != header.n_saved:
            recording = recording.select_channels(signals)
        probe = probeinterface.read_spikeglx(header.meta)
        recording.set_probe(probe)
        shifts = get_neuropixels_sample_shifts_from_probe(probe)
        if shifts is not None:
            recording.set_property("inter_sample_shift", shifts)
    if header.declared_bytes is None:
        recording.annotate(not_closed="SpikeGLX did not close this file: its header has no size")
    return recording


def _meta_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(meta for meta in path.rglob("*.meta") if not is_hidden(meta))
    if path.suffix in (".bin", ".meta"):
        meta = path.with_suffix(".meta")
        return [meta] if meta.is_file() else []
    return []


def _is_header(meta: Path) -> bool:
    with meta.open("rb") as file:
        return b"nSavedChans=" in file.read(65536)


def _read_headers(path: Path) -> list[_Header]:
    headers = [_read_header(meta) for meta in _meta_files(path) if _is_header(meta)]
    # Several triggers of one probe share a stream name, and several probes may share a file name:
    # what repeats is told apart by the file's own name, then by its folder too.
    headers = _told_apart(headers, [header.meta.stem for header in headers])
    places = [header.meta.relative_to(path) if path.is_dir() else header.meta for header in headers]
    return _told_apart(headers, [place.with_suffix("").as_posix() for place in places])


def _told_apart(headers: list[_Header], names: list[str]) -> list[_Header]:
    """Give streams whose name repeats another one."""
    repeated = Counter(header.stream for header in headers)
    return [
        header if repeated[header.stream] == 1 else replace(header, stream=name)
        for header, name in zip(headers, names, strict=True)
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
        info = extract_stream_info(str(meta), fields)
    n_saved = whole(
        entry(fields, "nSavedChans", meta), "nSavedChans", meta, least=1, most=MOST_CHANNELS
    )
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
