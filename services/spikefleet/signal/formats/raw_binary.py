"""Raw interleaved samples with a sidecar: ``signal.raw`` (.bin, .dat), ``signal.json`` beside it.

The sidecar is written by people, so every key is checked, none is guessed, unknown ones are
refused, and the samples are asked whether they look like its dtype and channel count. One stream,
"traces".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from probeinterface import ProbeGroup
from spikeinterface.core import BaseRecording, BinaryRecordingExtractor

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.recording.file_sets import RAW_SUFFIXES, visible_entries
from spikefleet.signal.formats.family import FormatFamily
from spikefleet.signal.formats.frame_gaps import require_unique_ids
from spikefleet.signal.formats.header_fields import MOST_CHANNELS, read_json
from spikefleet.signal.formats.plausibility import channel_count_doubt, type_doubt
from spikefleet.signal.formats.reader_errors import corrupt, reading

FORMAT = "raw_binary"
STREAM = "traces"
REQUIRED_KEYS = (
    "dtype",
    "n_channels",
    "sampling_rate_hz",
    "gain_to_uv",
    "offset_to_uv",
    "probe",
)
OPTIONAL_KEYS = ("channel_ids", "n_samples")
DTYPES = ("int16", "uint16", "int32", "uint32", "float32", "float64")
_LOOKED_AT_VALUES = 1 << 18


@dataclass(frozen=True)
class Sidecar:
    """What a sidecar says, checked. ``dtype`` has its byte order; gains are one per channel."""

    dtype: str
    n_channels: int
    sampling_rate_hz: float
    gains_to_uv: tuple[float, ...]
    offsets_to_uv: tuple[float, ...]
    probe: Mapping[str, Any]
    channel_ids: tuple[str, ...]
    n_samples: int | None


def recognises(path: Path) -> bool:
    """Say whether a file has a sidecar that speaks of samples, or one that cannot be read."""
    located = _find_raw(path)
    return located is not None and _speaks_of_samples(located.with_suffix(".json"))


def describe(path: Path) -> RecordingDescription:
    """Describe the one stream from the sidecar and the file's size."""
    located = _locate(path)
    sidecar = read_sidecar(located.with_suffix(".json"))
    n_samples = _count_frames(located, sidecar)
    return RecordingDescription(
        FORMAT,
        (
            StreamDescription(
                STREAM,
                sidecar.n_channels,
                sidecar.sampling_rate_hz,
                n_samples / sidecar.sampling_rate_hz,
                str(np.dtype(sidecar.dtype)),
            ),
        ),
    )


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open the file, memory-mapped.

    Raises:
        InputCorruptError: ``wrong_dtype`` or ``wrong_channel_count``: the samples do not look like
            what the sidecar says; ``geometry``: its probe does not fit.
    """
    del stream, hdf5_plugin_path
    located = _locate(path)
    sidecar_path = located.with_suffix(".json")
    sidecar = read_sidecar(sidecar_path)
    n_samples = _count_frames(located, sidecar)
    _require_plausible(located, sidecar, n_samples)
    with reading(located):
        recording = BinaryRecordingExtractor(
            located,
            sampling_frequency=sidecar.sampling_rate_hz,
            dtype=sidecar.dtype,
            num_channels=sidecar.n_channels,
            channel_ids=list(sidecar.channel_ids),
        )
        recording.set_channel_gains(np.array(sidecar.gains_to_uv))
        recording.set_channel_offsets(np.array(sidecar.offsets_to_uv))
    recording.set_probegroup(_read_probe(sidecar, sidecar_path))
    return recording


def read_sidecar(path: Path) -> Sidecar:
    """Read and check a sidecar.

    Raises:
        InputMissingError: it is not there.
        InputCorruptError: ``sidecar``: it is not JSON, or a key is missing, unknown or wrong;
            ``duplicate_channels``: a channel id is listed twice.
    """
    said = read_json(path)
    if not isinstance(said, dict):
        raise corrupt(path, "sidecar", "it must hold one JSON object.")
    missing = [key for key in REQUIRED_KEYS if key not in said]
    unknown = sorted(set(said) - set(REQUIRED_KEYS) - set(OPTIONAL_KEYS))
    if missing or unknown:
        text = f"it lacks {', '.join(missing)}." if missing else f"unknown: {', '.join(unknown)}."
        raise corrupt(path, "sidecar", f"{text} Its keys are {', '.join(REQUIRED_KEYS)}.")
    n_channels = _require_count(said["n_channels"], "n_channels", path)
    ids = said.get("channel_ids", list(range(n_channels)))
    if not isinstance(ids, list) or len(ids) != n_channels:
        raise _wrong(path, "channel_ids", ids, f"a list of {n_channels} names")
    require_unique_ids([str(name) for name in ids], path)
    n_samples = said.get("n_samples")
    if not isinstance(said["probe"], dict):
        raise _wrong(path, "probe", said["probe"], "probeinterface's JSON object")
    gains_to_uv = _per_channel(said, "gain_to_uv", n_channels, path)
    if 0.0 in gains_to_uv:
        raise _wrong(path, "gain_to_uv", 0, "the µV of one count, which is not zero")
    return Sidecar(
        dtype=_require_dtype(said["dtype"], path),
        n_channels=n_channels,
        sampling_rate_hz=_require_rate(said["sampling_rate_hz"], path),
        gains_to_uv=gains_to_uv,
        offsets_to_uv=_per_channel(said, "offset_to_uv", n_channels, path),
        probe=said["probe"],
        channel_ids=tuple(str(name) for name in ids),
        n_samples=None if n_samples is None else _require_count(n_samples, "n_samples", path),
    )


def _find_raw(path: Path) -> Path | None:
    """Return the sample file with a sidecar that ``path`` is or, as a folder, holds alone."""
    if path.is_dir():
        found = [
            file
            for file in visible_entries(path)
            if file.suffix in RAW_SUFFIXES and _speaks_of_samples(file.with_suffix(".json"))
        ]
        return found[0] if found else None
    if path.suffix == ".json":
        beside = [path.with_suffix(suffix) for suffix in RAW_SUFFIXES]
        return next((file for file in beside if file.is_file()), None)
    return path if path.suffix in RAW_SUFFIXES and path.is_file() else None


def _locate(path: Path) -> Path:
    located = _find_raw(path)
    if located is None:
        raise InputMissingError(
            f"There are no samples ({', '.join(RAW_SUFFIXES)}) for {path.name}. Copy both files.",
            path=str(path),
        )
    if path.is_dir():
        several = [
            file.name
            for file in visible_entries(path)
            if file.suffix in RAW_SUFFIXES and _speaks_of_samples(file.with_suffix(".json"))
        ]
        if len(several) > 1:
            raise corrupt(
                path,
                "several_recordings",
                f"the folder holds {len(several)} recordings ({', '.join(several[:5])}).",
            )
    return located


def _speaks_of_samples(sidecar: Path) -> bool:
    if not sidecar.is_file():
        return False
    try:
        said = json.loads(sidecar.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return True
    return isinstance(said, dict) and sum(key in said for key in REQUIRED_KEYS) >= 2


def _count_frames(located: Path, sidecar: Sidecar) -> int:
    with reading(located):
        size_bytes = located.stat().st_size
    frame_bytes = sidecar.n_channels * np.dtype(sidecar.dtype).itemsize
    if size_bytes == 0:
        raise corrupt(located, "empty", "the file has no bytes.")
    if size_bytes % frame_bytes:
        raise corrupt(
            located,
            "truncated",
            f"{size_bytes} bytes do not make whole frames of {frame_bytes} bytes "
            f"({sidecar.n_channels} channels of {sidecar.dtype}).",
        )
    n_samples = size_bytes // frame_bytes
    if sidecar.n_samples is not None and sidecar.n_samples != n_samples:
        raise corrupt(
            located,
            "truncated" if n_samples < sidecar.n_samples else "sidecar",
            f"the sidecar counts {sidecar.n_samples} frames, the file holds {n_samples}.",
        )
    return n_samples


def _require_plausible(located: Path, sidecar: Sidecar, n_samples: int) -> None:
    """Look at three places of the file and compare them with what the sidecar says."""
    with reading(located):
        samples: NDArray[Any] = np.memmap(
            located, dtype=sidecar.dtype, mode="r", shape=(n_samples, sidecar.n_channels)
        )
        n_frames = max(2, min(n_samples // 3, _LOOKED_AT_VALUES // sidecar.n_channels))
        starts = (0, max(0, n_samples // 2 - n_frames // 2), max(0, n_samples - n_frames))
        blocks = [np.array(samples[start : start + n_frames]) for start in starts]
    doubt = next((text for text in map(type_doubt, blocks) if text), "")
    if doubt:
        raise corrupt(located, "wrong_dtype", f"{doubt}. Check dtype in the sidecar.")
    count = channel_count_doubt(blocks, n_samples * sidecar.n_channels)
    if count is not None:
        raise corrupt(
            located,
            "wrong_channel_count",
            f"the sidecar says {count.stated} channels, the samples run smoother as "
            f"{count.likely}. Check n_channels in the sidecar.",
        )


def _read_probe(sidecar: Sidecar, path: Path) -> ProbeGroup:
    with reading(path):
        group = ProbeGroup.from_dict(dict(sidecar.probe))
        wired = [index for probe in group.probes for index in _wiring(probe)]
    if sorted(wired) != list(range(sidecar.n_channels)):
        raise corrupt(
            path,
            "geometry",
            f"probe must have one contact per channel, with device_channel_indices from 0 to "
            f"{sidecar.n_channels - 1}; it has {len(wired)} wired contacts.",
        )
    return group


def _wiring(probe: Any) -> list[int]:
    indices = probe.device_channel_indices
    return [] if indices is None else [int(index) for index in indices]


def _require_dtype(said: Any, path: Path) -> str:
    plain = said.lstrip("<>") if isinstance(said, str) else ""
    if plain not in DTYPES:
        raise _wrong(path, "dtype", said, f"one of {', '.join(DTYPES)}; > before it: big-endian")
    dtype = np.dtype(plain).newbyteorder(">" if said.startswith(">") else "<")
    return str(dtype.str)


def _require_count(said: Any, key: str, path: Path) -> int:
    most = MOST_CHANNELS if key == "n_channels" else 1 << 48
    if isinstance(said, bool) or not isinstance(said, int) or not 1 <= said <= most:
        raise _wrong(path, key, said, f"a whole number from 1 to {most}")
    return said


def _require_rate(said: Any, path: Path) -> float:
    if not _is_number(said) or not said > 0:
        raise _wrong(path, "sampling_rate_hz", said, "a number above 0")
    return float(said)


def _per_channel(
    said: Mapping[str, Any], key: str, n_channels: int, path: Path
) -> tuple[float, ...]:
    value = said[key]
    values = value if isinstance(value, list) else [value] * n_channels
    if len(values) != n_channels or not all(_is_number(entry) for entry in values):
        raise _wrong(path, key, value, f"a number, or a list of {n_channels} numbers")
    return tuple(float(entry) for entry in values)


def _is_number(said: Any) -> bool:
    return isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said)


def _wrong(path: Path, key: str, said: Any, wanted: str) -> Exception:
    return corrupt(path, "sidecar", f"{key} must be {wanted}, not {str(said)[:60]!r}.")


FAMILY = FormatFamily(
    FORMAT, "raw binary (.raw, .bin, .dat with a .json sidecar)", recognises, describe, open_stream
)
