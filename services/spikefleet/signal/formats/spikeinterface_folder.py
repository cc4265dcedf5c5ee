"""Folders SpikeInterface saved: ``binary_folder`` and Zarr. One stream, "traces".

SpikeInterface's own loading unpickles properties, instantiates the class a folder names and follows
the paths it lists. So a binary folder is opened here, from its own files only, and a Zarr folder
after every array in it was found harmless. Checks too that the samples on disk fill whole frames
and that no chunk is missing; SpikeInterface itself reads missing chunks as zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import probeinterface
from numpy.typing import NDArray
from probeinterface import ProbeGroup
from spikeinterface.core import BaseRecording, BinaryRecordingExtractor, read_zarr

from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.recording.file_sets import is_hidden
from spikefleet.signal.formats.family import FormatFamily
from spikefleet.signal.formats.header_fields import (
    MOST_CHANNELS,
    entry,
    number,
    read_json,
    sample_type,
    whole,
)
from spikefleet.signal.formats.probe_sidecar import place_channels, require_probes
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.zarr_chunks import (
    reading_zarr,
    require_all_chunks,
    require_plain_tree,
)

FORMAT = "spikeinterface"
STREAM = "traces"
_CLASS = "BinaryRecordingExtractor"
_TIME_BYTES = np.dtype("float64").itemsize
_MOST_PROPERTY_BYTES = 64 << 20
# Written by this project's own tools, so that a copy cut between frames is noticed.
ANNOTATED_LENGTH = "n_samples"
_COUNTS = (ANNOTATED_LENGTH, "dropped_frames", "unplaced_channels", "repeated_stamps")
# Made while opening; a folder cannot say them of itself.
_OURS = ("clock", "probes_laid_apart", "not_closed", "gain_assumed")


@dataclass(frozen=True)
class _Header:
    """What ``binary.json`` says, checked; ``files`` are in the folder itself."""

    files: tuple[Path, ...]
    n_channels: int
    dtype: np.dtype[Any]
    sampling_rate_hz: float
    channel_ids: list[Any] | None
    t_starts: list[float] | None
    offset_bytes: int
    gains: Any
    offsets: Any
    is_filtered: bool | None


def recognises(path: Path) -> bool:
    """Say whether a folder was saved by SpikeInterface as a recording."""
    return (path / "binary.json").is_file() or _is_zarr(path)


def describe(path: Path) -> RecordingDescription:
    """Describe the folder's single stream."""
    recording = open_stream(path, STREAM, None)
    stream = StreamDescription(
        STREAM,
        int(recording.get_num_channels()),
        float(recording.sampling_frequency),
        float(recording.get_total_samples() / recording.sampling_frequency),
        str(recording.dtype),
    )
    return RecordingDescription(FORMAT, (stream,))


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open the folder; a ``probe.json`` of this project's kind places channels that it does not.

    Raises:
        InputCorruptError: samples are missing from the files (``truncated`` or ``empty``);
            ``unsafe``: it names another class, lists files elsewhere, or holds pickles.
    """
    del stream, hdf5_plugin_path
    if not _is_zarr(path):
        recording = _open_binary(path)
        _check_length(recording, path)
        return place_channels(recording, path)
    require_plain_tree(path, path)
    for array in sorted(path.glob("traces_seg*")):
        require_all_chunks(array, path)
    with reading_zarr(path):
        opened = read_zarr(path)
    number(opened.sampling_frequency, "the sampling rate", path, above=0.0)
    for key in opened.get_annotation_keys():
        if not _is_sane(key, opened.get_annotation(key)):
            opened.set_annotation(key, None, overwrite=True)
    return place_channels(opened, path)


def _is_zarr(path: Path) -> bool:
    return (path / ".zgroup").is_file() and (path / "traces_seg0" / ".zarray").is_file()


def _open_binary(path: Path) -> BaseRecording:
    header = _read_header(path)
    _check_raw_files(header)
    with reading(path):
        recording = BinaryRecordingExtractor(
            file_paths=[str(file) for file in header.files],
            sampling_frequency=header.sampling_rate_hz,
            num_channels=header.n_channels,
            dtype=header.dtype.str,
            t_starts=header.t_starts,
            channel_ids=header.channel_ids,
            file_offset=header.offset_bytes,
            gain_to_uV=header.gains,
            offset_to_uV=header.offsets,
            is_filtered=header.is_filtered,
        )
    _load_properties(recording, path)
    _load_annotations(recording, path)
    probes = _read_probes(path)
    if probes is not None:
        with reading(path):
            recording.set_probegroup(probes, check_overlap=False)
    return recording


def _read_header(path: Path) -> _Header:
    file = path / "binary.json"
    document = read_json(file)
    named = str(entry(document, "class", file))
    if named.rpartition(".")[2] != _CLASS or not named.startswith("spikeinterface."):
        raise corrupt(
            path,
            "unsafe",
            f"binary.json names the class {named[:80]!r}, and only SpikeInterface's {_CLASS} is "
            "opened.",
            "Save it with recording.save(format='binary').",
        )
    said = entry(document, "kwargs", file)
    listed = entry(said, "file_paths", file)
    if not isinstance(listed, list) or not 0 < len(listed) <= 10_000:
        raise corrupt(file, "unreadable", "file_paths lists no files.")
    if said.get("time_axis") not in (0, None):
        raise corrupt(file, "unreadable", "time_axis 1 is not read; save it frame by frame.")
    n_channels = said.get("num_channels") or said.get("num_chan")
    n_channels = whole(n_channels, "num_channels", file, least=1, most=MOST_CHANNELS)
    ids = said.get("channel_ids")
    if ids is not None and (not isinstance(ids, list) or len(ids) != n_channels):
        raise corrupt(file, "unreadable", f"channel_ids is not a list of {n_channels} names.")
    starts = said.get("t_starts")
    return _Header(
        files=tuple(_inside(path, name) for name in listed),
        n_channels=n_channels,
        dtype=sample_type(entry(said, "dtype", file), "dtype", file),
        sampling_rate_hz=number(
            entry(said, "sampling_frequency", file), "sampling_frequency", file, above=0.0
        ),
        channel_ids=None if ids is None else [_plain_id(name, file) for name in ids],
        t_starts=[number(start, "t_starts", file) for start in starts]
        if isinstance(starts, list) and len(starts) == len(listed)
        else None,
        offset_bytes=whole(said.get("file_offset") or 0, "file_offset", file),
        gains=_scale(said.get("gain_to_uV"), n_channels, file),
        offsets=_scale(said.get("offset_to_uV"), n_channels, file),
        is_filtered=said.get("is_filtered") if isinstance(said.get("is_filtered"), bool) else None,
    )


def _inside(path: Path, name: Any) -> Path:
    """Return a file of the folder by its bare name; a path that leads anywhere else is refused."""
    parts = PurePosixPath(str(name)).parts
    if len(parts) != 1 or parts[0] in ("..", ".", "/") or "\x00" in str(name):
        raise corrupt(
            path, "unsafe", f"binary.json lists {str(name)[:80]!r}, which is not in the folder."
        )
    return path / parts[0]


def _plain_id(name: Any, file: Path) -> str | int:
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise corrupt(file, "unreadable", f"channel id {str(name)[:60]!r} is not a name.")
    return name


def _scale(value: Any, n_channels: int, file: Path) -> Any:
    if value is None:
        return None
    values = value if isinstance(value, list) else [value] * n_channels
    if len(values) != n_channels:
        raise corrupt(file, "unreadable", f"{len(values)} gains are listed for {n_channels}.")
    return np.array([number(each, "a gain or offset", file) for each in values])


def _check_raw_files(header: _Header) -> None:
    frame_bytes = header.n_channels * header.dtype.itemsize
    for raw in header.files:
        with reading(raw):
            size_bytes = raw.stat().st_size - header.offset_bytes
        if size_bytes <= 0:
            raise corrupt(raw, "empty", "the file has no samples.")
        if size_bytes % frame_bytes:
            raise corrupt(
                raw,
                "truncated",
                f"{size_bytes} bytes do not make whole frames of {frame_bytes} bytes.",
            )


def _load_properties(recording: BaseRecording, path: Path) -> None:
    """Set the folder's properties; one that only a pickle could hold is refused, never loaded."""
    folder = path / "properties"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for file in (each for each in files if not is_hidden(each)):
        if file.suffix != ".npy":
            raise corrupt(path, "unsafe", f"properties/{file.name} is not an array; take it out.")
        if file.stem in ("contact_vector", "location", "group") and _has_probe_file(path):
            continue
        values = load_array(file, path)
        if values.ndim == 0 or len(values) != recording.get_num_channels():
            raise corrupt(path, "unreadable", f"properties/{file.name} is not one per channel.")
        with reading(file):
            recording.set_property(file.stem, values)


def load_array(file: Path, path: Path) -> NDArray[Any]:
    """Return a small array from a ``.npy`` file that holds plain values.

    Raises:
        InputCorruptError: ``unsafe``: it holds objects, which means a pickle; ``absurd``.
    """
    with reading(file):
        if file.stat().st_size > _MOST_PROPERTY_BYTES:
            raise corrupt(path, "absurd", f"{file.name} is too large for a property.")
        with file.open("rb") as content:
            if content.read(6) != b"\x93NUMPY":
                raise corrupt(path, "unsafe", f"{file.name} is not a NumPy array.")
    try:
        values = np.load(file, allow_pickle=False)
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise corrupt(path, "unreadable", f"{file.name} cannot be read.") from error
        raise corrupt(
            path,
            "unsafe",
            f"{file.name} holds pickled objects, which could run code when loaded.",
            "Take the file out of the folder, or save the property as numbers or text.",
        ) from error
    except (OSError, EOFError, SyntaxError, TypeError) as error:
        raise corrupt(path, "unreadable", f"{file.name} cannot be read.") from error
    return np.asarray(values)


def _load_annotations(recording: BaseRecording, path: Path) -> None:
    """Carry the folder's annotations over, as either of SpikeInterface's versions kept them."""
    file, older = path / "annotations.json", path / "si_folder.json"
    said: Any = read_json(file) if file.is_file() else {}
    if not file.is_file() and older.is_file():
        document = read_json(older)
        said = document.get("annotations", {}) if isinstance(document, dict) else {}
    if not isinstance(said, dict):
        raise corrupt(path, "unreadable", "its annotations are no table.")
    for key, value in said.items():
        if _is_sane(key, value):
            recording.set_annotation(key, value, overwrite=True)


def _is_sane(key: str, value: Any) -> bool:
    """Say whether an annotation is what this project means by its name; others are anybody's."""
    if key in _COUNTS:
        return isinstance(value, int)
    if key != "frame_gaps":
        return key not in _OURS
    return isinstance(value, list) and all(
        isinstance(gap, list) and len(gap) == 2 and all(isinstance(each, int) for each in gap)
        for gap in value
    )


def _has_probe_file(path: Path) -> bool:
    return (path / "probegroup.json").is_file() or (path / "probe.json").is_file()


def _read_probes(path: Path) -> ProbeGroup | None:
    """Return the folder's probes in channel order, as either of SpikeInterface's versions kept."""
    for name in ("probegroup.json", "probe.json"):
        file = path / name
        if not file.is_file():
            continue
        require_probes(file)
        with reading(file):
            probes = probeinterface.read_probeinterface(file)
            if name == "probegroup.json":
                return probes
            order = np.argsort(probes.to_numpy(complete=True)["device_channel_indices"])
            in_order = np.array_equal(order, np.arange(len(order)))
            return probes if in_order else probes.get_slice(order)
    return None


def _check_length(recording: BaseRecording, path: Path) -> None:
    """Compare the frames on disk with what else says how many there are.

    The folder's own header does not; a time vector or an annotation "n_samples" may.
    """
    said = recording.get_annotation(ANNOTATED_LENGTH)
    header = read_json(path / "binary.json")["kwargs"]
    listed = header.get("file_timestamps_paths")
    time_files = (
        listed
        if isinstance(listed, list) and len(listed) == recording.get_num_segments()
        else [f"times_cached_seg{index}.npy" for index in range(recording.get_num_segments())]
    )
    for index, name in enumerate(time_files):
        stored = int(recording.get_num_samples(segment_index=index))
        expected = [whole(said, "n_samples", path)] if said and len(time_files) == 1 else []
        times = _inside(path, PurePosixPath(str(name)).name)
        if times.suffix == ".npy" and times.is_file():
            with reading(times):
                expected.append(len(np.load(times, mmap_mode="r", allow_pickle=False)))
        elif times.is_file():
            expected.append(times.stat().st_size // _TIME_BYTES)
        if any(count != stored for count in expected):
            raise corrupt(
                path, "truncated", f"{stored} frames are stored of {max(expected)} that were saved."
            )


FAMILY = FormatFamily(
    FORMAT, "SpikeInterface binary_folder or .zarr", recognises, describe, open_stream
)
