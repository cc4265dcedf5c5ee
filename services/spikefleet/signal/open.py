"""Opening a recording: which format family it is, which streams it has, and one of them lazily.

Decides by content, not by name. What comes back always has one segment, a located probe and gains;
a recording that cannot be brought into that form is refused here, with the reason, so that no
sorter meets it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from spikeinterface.core import BaseRecording

from spikefleet.core.failures.errors import (
    InputCorruptError,
    InputMissingError,
    InvalidConfigurationError,
)
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.recording.file_sets import visible_entries
from spikefleet.signal.archive import reading as archive_reading
from spikefleet.signal.formats import (
    biocam,
    blackrock,
    intan,
    maxwell,
    mcs,
    neuralynx,
    nwb,
    openephys,
    openephys_legacy,
    raw_binary,
    spikeglx,
    spikeinterface_folder,
)
from spikefleet.signal.formats.family import FormatFamily, pick_stream
from spikefleet.signal.formats.hdf5 import is_hdf5, open_hdf5
from spikefleet.signal.formats.openephys_places import PLACES_UNKNOWN
from spikefleet.signal.formats.plain_files import require_plain_files
from spikefleet.signal.formats.probe_layout import lay_probes_apart
from spikefleet.signal.formats.reader_errors import corrupt, reading, shown
from spikefleet.signal.formats.spike_bands import is_fast_enough, why_unsortable

__all__ = [
    "FAMILIES",
    "RecordingDescription",
    "StreamDescription",
    "find_neighbours",
    "list_streams",
    "locate",
    "make_sortable",
    "open_recording",
    "open_unchecked",
    "require_spike_band",
]

log = logging.getLogger(__name__)

FAMILIES: tuple[FormatFamily, ...] = (
    maxwell.FAMILY,
    nwb.FAMILY,
    spikeinterface_folder.FAMILY,
    spikeglx.FAMILY,
    openephys.FAMILY,
    openephys_legacy.FAMILY,
    intan.FAMILY,
    blackrock.FAMILY,
    neuralynx.FAMILY,
    biocam.FAMILY,
    mcs.FAMILY,
    raw_binary.FAMILY,
    archive_reading.FAMILY,
)
# A folder of more entries than this is not a recording; its first ones are looked at.
_NEIGHBOURS_LOOKED_AT = 1000
_HDF5_SUFFIXES = (".h5", ".hdf5", ".nwb", ".brw")


def list_streams(path: Path) -> RecordingDescription:
    """Return a recording's format and streams, from its header only.

    Raises:
        InputMissingError: nothing is at ``path``, or a sidecar is missing.
        InputCorruptError: ``reason`` is unknown_format, empty, truncated or unreadable.
    """
    family, located = _find_family(Path(path))
    with reading(located):
        return _without_slow(family.describe(located))


def _without_slow(described: RecordingDescription) -> RecordingDescription:
    """Move streams too slow for spikes to the other ones, where faster ones are beside them."""
    slow = [
        stream
        for stream in described.streams
        if stream.sampling_rate_hz > 0 and not is_fast_enough(stream.sampling_rate_hz)
    ]
    kept = tuple(stream for stream in described.streams if stream not in slow)
    if not slow or not kept:
        return described
    others = (*described.other_streams, *(stream.stream for stream in slow))
    return RecordingDescription(described.format, kept, others)


def open_recording(
    path: Path,
    stream: str = "",
    *,
    hdf5_plugin_path: str | Path | None = None,
    format: str = "",
) -> BaseRecording:
    """Open one stream of a recording, lazily: samples x channels in the stored dtype.

    The recording has one segment, one probe with contact positions in µm (several are laid apart),
    and per-channel gain and offset to µV. ``stream`` "" means the first. ``format`` is the reader
    that was chosen before; "" recognises the files again.

    Raises:
        InputMissingError, InputCorruptError: as ``list_streams``; also ``no_geometry`` and
            ``several_segments``.
        InvalidConfigurationError: there is no such stream or format, or the stream holds no spikes.
        HDF5PluginMissingError: the traces need a plugin this machine lacks.
    """
    recording = open_unchecked(path, stream, hdf5_plugin_path=hdf5_plugin_path, format=format)
    make_sortable(recording, Path(path), stream)
    return recording


def open_unchecked(
    path: Path,
    stream: str = "",
    *,
    hdf5_plugin_path: str | Path | None = None,
    format: str = "",
) -> BaseRecording:
    """Open one stream as its reader gives it: perhaps without a probe or gains, or in segments.

    For looking at a recording, not for sorting it. Raises as ``open_recording`` does, but for
    ``no_geometry``, ``several_segments`` and a recording without samples.
    """
    family, located = _find_family(Path(path), format)
    with reading(located):
        described = family.describe(located)
        # One stream that holds spikes needs no name, whatever is beside it.
        chosen = pick_stream(described if stream else _without_slow(described), stream, located)
        plugin_path = str(hdf5_plugin_path) if hdf5_plugin_path else None
        recording: BaseRecording = family.open(located, chosen, plugin_path)
    if recording.has_probe() and recording.get_channel_groups() is None:
        # A copy that lost the list of groups has one, as a recording of one probe has.
        recording.set_channel_groups(np.zeros(recording.get_num_channels(), dtype=np.int64))
    return recording


def open_header(path: Path, stream: str) -> BaseRecording | None:
    """Open one stream for what needs no sample, though its traces need a plugin that is absent.

    Its scale, probe, length and gaps can be told; None where the format does not tell them so.
    Raises InputMissingError, InputCorruptError and InvalidConfigurationError as ``list_streams``.
    """
    family, located = _find_family(Path(path))
    if family.open_header is None:
        return None
    with reading(located):
        return family.open_header(located, pick_stream(family.describe(located), stream, located))


def locate(path: Path) -> Path:
    """Return what a reader opens of ``path``: of a folder around one HDF5 file, that file."""
    return _find_family(Path(path))[1]


def find_neighbours(path: Path) -> tuple[str, ...]:
    """Return "format (name)" of recordings directly in a folder that are not part of the one there.

    A folder stands for one recording; whoever points at it should hear of the others in it.
    """
    family, located = _find_family(Path(path))
    if not located.is_dir() or family is archive_reading.FAMILY:
        return ()
    found: list[str] = []
    for entry in visible_entries(located)[:_NEIGHBOURS_LOOKED_AT]:
        others = _recognise(entry, required=False)
        if others and family not in [other for other, _ in others]:
            found.append(f"{others[0][0].format} ({entry.name})")
    return tuple(found)


def _find_family(path: Path, format: str = "") -> tuple[FormatFamily, Path]:
    """Return the family and what it opens; a folder holding one HDF5 file stands for that file."""
    if format and format not in {family.format for family in FAMILIES}:
        known = ", ".join(family.format for family in FAMILIES)
        raise InvalidConfigurationError(
            f"There is no format {format!r}; name one of {known}.", field="format", value=format
        )
    if not path.exists():
        raise InputMissingError(
            f"There is no file or folder at {path}. Check the path and the mount.", path=str(path)
        )
    require_plain_files(path)
    path = archive_reading.kept_entry(path) or path
    if archive_reading.recognises(path):
        return archive_reading.FAMILY, path  # what it keeps inside must not be a second candidate
    found: list[tuple[FormatFamily, Path]] = []
    for candidate in [path, *_containers(path)]:
        found.extend(
            (family, at)
            for family, at in _recognise(candidate, required=not found)
            if format in ("", family.format)
        )
    if len({located for _, located in found}) > 1 and not any(at == path for _, at in found):
        raise _several(path, [located for _, located in found])
    if len(found) > 1:
        listed = ", ".join(f"{family.format} ({located.name})" for family, located in found)
        raise corrupt(
            path,
            "two_candidates",
            f"it can be read in {len(found)} ways: {listed}.",
        )
    if found:
        return found[0]
    inside = _inside(path)
    if inside:
        raise _several(path, inside)
    known = ", ".join(family.known_as for family in FAMILIES)
    raise corrupt(path, "unknown_format", f"this is none of the formats known here: {known}.")


def _several(path: Path, inside: Sequence[Path]) -> InputCorruptError:
    count = "a recording" if len(inside) == 1 else f"{len(inside)} recordings"
    listed = ", ".join(located.name for located in inside[:5])
    further = ", or all of them as one (--concatenate)" if len(inside) > 1 else ""
    return corrupt(
        path,
        "several_recordings",
        f"the folder is not a recording but holds {count} ({listed}).",
        f"Submit by name{further}.",
    )


def _inside(path: Path) -> list[Path]:
    """The recordings directly in a folder that is none itself; of many entries the first ones."""
    if not path.is_dir():
        return []
    entries = visible_entries(path)[:_NEIGHBOURS_LOOKED_AT]
    found = [entry for entry in entries if _recognise(entry, required=False)]
    folders = [entry for entry in found if entry.is_dir()]
    return folders or list({file.stem: file for file in found}.values())


def _recognise(candidate: Path, *, required: bool) -> list[tuple[FormatFamily, Path]]:
    """Return each family that claims a file or folder; a broken one counts only if required."""
    try:
        with reading(candidate):
            _require_content(candidate)
            return [(family, candidate) for family in FAMILIES if family.recognises(candidate)]
    except (InputCorruptError, InputMissingError):
        if required:
            raise
        return []


def _containers(path: Path) -> list[Path]:
    """The HDF5 files directly in a folder; none for a file."""
    if not path.is_dir():
        return []
    return [file for file in visible_entries(path) if file.suffix in _HDF5_SUFFIXES]


def _require_content(path: Path) -> None:
    if path.is_dir():
        if not visible_entries(path):
            raise corrupt(path, "empty", "the folder is empty.")
        return
    if path.stat().st_size == 0:
        raise corrupt(path, "empty", "the file has no bytes.")
    if path.suffix in _HDF5_SUFFIXES and not is_hdf5(path):
        raise corrupt(path, "unreadable", "the name says HDF5, the content does not.")
    if path.suffix in _HDF5_SUFFIXES:
        open_hdf5(path).close()
    if path.suffix in (".bin", ".raw") and not any(
        path.with_suffix(suffix).is_file() for suffix in (".meta", ".json")
    ):
        raise InputMissingError(
            f"{path.name} has no header beside it: SpikeGLX's .meta, or a .json that says what the "
            "samples are.",
            next_step="Copy the pair, not the samples alone.",
            path=str(path.with_suffix(".meta" if path.suffix == ".bin" else ".json")),
        )


def require_spike_band(recording: BaseRecording, path: Path, stream: str) -> None:
    """Refuse to sort what holds no spikes, also where it is alone; it may still be archived.

    Raises:
        InputCorruptError: ``field_potential``.
    """
    why = why_unsortable(stream, float(recording.sampling_frequency))
    if why:
        raise corrupt(path, "field_potential", f"its signal {why}.")


def make_sortable(recording: BaseRecording, path: Path, stream: str = "") -> None:
    """Refuse what no sorter can work on; lay probes apart; note where a gain had to be assumed.

    Raises:
        InputCorruptError: ``several_segments``, ``empty`` or ``no_geometry``.
        InvalidConfigurationError: the stream is too slow for spikes, or an LFP by its name, and
            is beside others that are not.
    """
    why = why_unsortable(stream, float(recording.sampling_frequency))
    if why and stream in list_streams(path).other_streams:
        raise InvalidConfigurationError(
            f"Stream {stream!r} of {shown(path)} {why}; name a broadband stream.",
            field="streams",
            value=stream,
        )
    n_segments = recording.get_num_segments()
    if n_segments != 1:
        raise InputCorruptError(
            f"{shown(path)}: it has {n_segments} segments. Save one segment per file.",
            path=str(path),
            reason="several_segments",
        )
    if recording.get_num_samples() == 0 or recording.get_num_channels() == 0:
        raise corrupt(path, "empty", "the recording holds no samples.")
    if not recording.has_probe():
        why = recording.get_annotation(PLACES_UNKNOWN)
        raise corrupt(path, "no_geometry", why or "it does not say where its channels are.")
    lay_probes_apart(recording)
    if not recording.has_scaleable_traces():
        log.info("recording.gain_assumed", extra={"path": str(path)})
        n_channels = recording.get_num_channels()
        recording.set_channel_gains(np.ones(n_channels))
        recording.set_channel_offsets(np.zeros(n_channels))
        recording.annotate(gain_assumed=True)
    gains, offsets = recording.get_channel_gains(), recording.get_channel_offsets()
    if not (np.isfinite(gains).all() and np.isfinite(offsets).all() and np.all(gains != 0)):
        raise corrupt(path, "unreadable", "its header gives channels without a gain.")
