"""Everything ``spikefleet inspect`` says of a recording: header, scale, probe, tables, doubts.

Looks at each stream on its own, so that one bad well never hides the others, and at a bounded part
of the samples unless asked for all. A recording that could not be sorted is still described as far
as it can be read; the refusal is part of what is said. Draws nothing and changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.core.failures.errors import (
    Failure,
    HDF5PluginMissingError,
    SpikeSortingClassifiedError,
)
from spikefleet.core.findings.finding import Finding, FindingLevel, warn
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.core.recording.verdict import finding_of, signal_failure
from spikefleet.signal.formats import maxwell, maxwell_events
from spikefleet.signal.formats.family import pick_stream
from spikefleet.signal.formats.plain_files import require_no_way_out
from spikefleet.signal.measuring.bad_channels import detect_bad_channels
from spikefleet.signal.measuring.measure import measure_signal
from spikefleet.signal.measuring.truth_checks import check_truth
from spikefleet.signal.open import (
    find_neighbours,
    list_streams,
    locate,
    make_sortable,
    open_header,
    open_unchecked,
    require_spike_band,
)

__all__ = [
    "InspectOptions",
    "ProbeSummary",
    "RecordingInspection",
    "ScaleSummary",
    "StreamInspection",
    "inspect_recording",
]

_SAME_PLACE_DECIMALS = 3

Progress = Callable[[float], None]


@dataclass(frozen=True)
class InspectOptions:
    """``stream`` "" means all; ``every_sample`` reads all samples instead of a few places."""

    stream: str = ""
    every_sample: bool = False
    hdf5_plugin_path: str | None = None


@dataclass(frozen=True)
class ScaleSummary:
    """µV = code x gain + offset. Lowest and highest over the channels; ``assumed``: not stated."""

    gain_to_uv: tuple[float, float]
    offset_to_uv: tuple[float, float]
    assumed: bool


@dataclass(frozen=True)
class ProbeSummary:
    """Where the channels are: names, and the span of their positions in µm."""

    names: tuple[str, ...]
    n_contacts: int
    n_shanks: int
    x_um: tuple[float, float]
    y_um: tuple[float, float]


@dataclass(frozen=True)
class StreamInspection:
    """What is known of one stream.

    ``tables`` counts the entries of event and stimulation tables; ``bad_channels`` says per channel
    id what is wrong with it; ``refusal`` is the failure a sort of this stream would end with, None
    where nothing stands in its way. ``frame_gaps`` lists (frame, missing frames), the first
    thousand.
    """

    stream: StreamDescription  #: its description
    n_samples: int = 0  #: its length
    scale: ScaleSummary | None = None  #: how its values were read as µV
    probe: ProbeSummary | None = None  #: where its contacts are
    tables: Mapping[str, int] = field(default_factory=dict)
    bad_channels: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()  #: what is doubtful
    refusal: Failure | None = None
    frame_gaps: tuple[tuple[int, int], ...] = ()

    @property
    def sortable(self) -> bool:
        """True when neither a refusal nor a finding of level *fail* stands in the way."""
        failed = any(finding.level is FindingLevel.FAIL for finding in self.findings)
        return self.refusal is None and not failed

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "stream": self.stream.stream,
            "n_channels": self.stream.n_channels,
            "sampling_rate_hz": self.stream.sampling_rate_hz,
            "duration_s": self.stream.duration_s,
            "n_samples": self.n_samples,
            "dtype": self.stream.dtype,
            "scale": None if self.scale is None else {**vars(self.scale), "unit": "uV"},
            "probe": None if self.probe is None else vars(self.probe),
            "tables": dict(self.tables),
            "bad_channels": dict(self.bad_channels),
            "sortable": self.sortable,
            "frame_gaps": [list(gap) for gap in self.frame_gaps],
            "findings": [finding.to_json() for finding in self.findings],
            "refusal": None if self.refusal is None else self.refusal.to_json(),
        }


@dataclass(frozen=True)
class RecordingInspection:
    """A recording and its streams; ``beside`` names other recordings in the same folder."""

    format: str
    size_bytes: int
    n_files: int
    streams: tuple[StreamInspection, ...]
    other_streams: tuple[str, ...]
    beside: tuple[str, ...]

    @property
    def sortable(self) -> bool:
        """True when every stream is."""
        return all(stream.sortable for stream in self.streams)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "format": self.format,
            "size_bytes": self.size_bytes,
            "n_files": self.n_files,
            "sortable": self.sortable,
            "streams": [stream.to_json() for stream in self.streams],
            "other_streams": list(self.other_streams),
            "beside": list(self.beside),
        }


def inspect_recording(
    path: Path,
    options: InspectOptions = InspectOptions(),
    progress: Progress = lambda fraction: None,
) -> RecordingInspection:
    """Look at all streams of a recording, or at one. ``progress`` hears fractions up to 1.

    Raises:
        InputMissingError, InputCorruptError: nothing of it can be described.
        InvalidConfigurationError: there is no such stream.
    """
    path = Path(path)
    _, files, _ = recording_files(path)
    require_no_way_out(path)
    described = list_streams(path)
    streams = []
    wanted = _wanted(described, options.stream, path)
    for index, stream in enumerate(wanted):

        def advance(fraction: float, done: int = index) -> None:
            progress((done + fraction) / len(wanted))

        streams.append(_inspect_stream(path, described.format, stream, options, advance))
        advance(1.0)
    return RecordingInspection(
        format=described.format,
        size_bytes=sum(file.stat().st_size for file in files),
        n_files=len(files),
        streams=tuple(streams),
        other_streams=described.other_streams,
        beside=find_neighbours(path),
    )


def _wanted(described: RecordingDescription, stream: str, path: Path) -> list[StreamDescription]:
    if not stream:
        return list(described.streams)
    name = pick_stream(described, stream, path)
    known = [entry for entry in described.streams if entry.stream == name]
    return known or [StreamDescription(name, 0, 0.0, 0.0, "")]


def _inspect_stream(
    path: Path,
    format_name: str,
    stream: StreamDescription,
    options: InspectOptions,
    progress: Progress,
) -> StreamInspection:
    tables: dict[str, int] = {}
    try:
        if format_name == maxwell.FORMAT:
            tables = _count_events(locate(path), stream.stream)
        recording = open_unchecked(path, stream.stream, hdf5_plugin_path=options.hdf5_plugin_path)
    except SpikeSortingClassifiedError as error:
        refused = StreamInspection(stream, tables=tables, refusal=Failure.from_error(error))
        is_header_known = isinstance(error, HDF5PluginMissingError)
        header = open_header(path, stream.stream) if is_header_known else None
        return refused if header is None else _with_header(header, refused)
    refusal: Failure | None = None
    try:
        make_sortable(recording, path, stream.stream)
        require_spike_band(recording, path, stream.stream)
    except SpikeSortingClassifiedError as error:
        refusal = Failure.from_error(error)
    known = _describe(recording, stream)
    if recording.get_num_segments() != 1 or not recording.get_num_samples():
        return StreamInspection(known, tables=tables, refusal=refusal)
    findings: tuple[Finding, ...] = ()
    bad_channels: dict[str, str] = {}
    try:
        bad_channels = _bad_channels(recording)
        findings = check_truth(
            recording, every_sample=options.every_sample, progress=progress
        ) + tuple(_doubt_channels(bad_channels, known.n_channels))
        verdict = signal_failure(measure_signal(recording)) if refusal is None else None
        if verdict is not None:
            refusal = Failure.from_error(verdict, rule_id=f"preflight.{finding_of(verdict)}")
    except SpikeSortingClassifiedError as error:
        refusal = Failure.from_error(error)
    found = StreamInspection(
        stream=known,
        tables=tables,
        bad_channels=bad_channels,
        findings=findings,
        refusal=refusal,
    )
    return _with_header(recording, found)


def _with_header(recording: BaseRecording, found: StreamInspection) -> StreamInspection:
    """Add what needs no sample: length, scale, probe, gaps."""
    gaps = recording.get_annotation("frame_gaps") or ()
    return replace(
        found,
        n_samples=int(recording.get_num_samples()),
        scale=_scale(recording),
        probe=_probe(recording),
        frame_gaps=tuple((int(frame), int(missing)) for frame, missing in gaps),
    )


def _describe(recording: BaseRecording, stream: StreamDescription) -> StreamDescription:
    rate_hz = float(recording.sampling_frequency)
    duration_s = float(recording.get_total_samples()) / rate_hz if rate_hz > 0 else 0.0
    n_channels, dtype = int(recording.get_num_channels()), str(recording.get_dtype())
    return StreamDescription(stream.stream, n_channels, rate_hz, duration_s, dtype)


def _count_events(path: Path, stream: str) -> dict[str, int]:
    events = maxwell_events.list_events(path, stream)
    return dict(Counter(event.table for event in events))


def _scale(recording: BaseRecording) -> ScaleSummary | None:
    gains, offsets = recording.get_channel_gains(), recording.get_channel_offsets()
    if gains is None or offsets is None:
        return None
    assumed = bool(recording.get_annotation("gain_assumed"))
    return ScaleSummary(_span(gains), _span(offsets), assumed)


def _probe(recording: BaseRecording) -> ProbeSummary | None:
    if not recording.has_probe():
        return None
    probes = recording.get_probegroup().probes
    names = [" ".join(_said(probe)) for probe in probes]
    positions = recording.get_channel_locations()
    return ProbeSummary(
        names=tuple(names),
        n_contacts=sum(int(probe.get_contact_count()) for probe in probes),
        n_shanks=sum(max(1, int(probe.get_shank_count())) for probe in probes),
        x_um=_span(positions[:, 0]),
        y_um=_span(positions[:, 1]),
    )


def _said(probe: Any) -> list[str]:
    said = [str(value) for value in (probe.manufacturer, probe.model_name or probe.name) if value]
    return said or ["unnamed"]


def _span(values: Any) -> tuple[float, float]:
    found = np.asarray(values, dtype=np.float64)
    return float(found.min()), float(found.max())


def _bad_channels(recording: BaseRecording) -> dict[str, str]:
    """Return channel id -> what is wrong with it or its place."""
    ids = [str(channel) for channel in recording.channel_ids]
    shared = np.flatnonzero(_sharing_a_place(recording))
    return {ids[index]: "shares a place" for index in shared} | detect_bad_channels(recording)


def _sharing_a_place(recording: BaseRecording) -> NDArray[np.bool_]:
    if not recording.has_probe():
        return np.zeros(recording.get_num_channels(), dtype=np.bool_)
    positions = np.round(recording.get_channel_locations(), _SAME_PLACE_DECIMALS)
    groups = recording.get_channel_groups()
    places = [(str(group), *place) for group, place in zip(groups, positions.tolist(), strict=True)]
    count = Counter(places)
    return np.array([count[place] > 1 for place in places], dtype=np.bool_)


def _doubt_channels(bad_channels: Mapping[str, str], n_channels: int) -> list[Finding]:
    findings = []
    for why, code in (("never changes", "flat_channels"), ("at a rail", "saturated_channels")):
        named = [name for name, said in bad_channels.items() if said == why]
        if named:
            listed = ", ".join(named[:8]) + (" and others" if len(named) > 8 else "")
            text = f"{len(named)} of {n_channels} channels: {why} where looked at ({listed})."
            findings.append(warn(code, text, channels=named))
    return findings
