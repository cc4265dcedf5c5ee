"""The spikes a simulated recording is known to hold, beside it as ``<name>.truth.npz``.

The file keeps, for every stream: unit_ids, spike_samples and spike_units (flat, sorted by time),
unit_locations_um and peak_amplitudes_uv; where action potentials travel also root_channels,
latencies_ms, troughs_uv, velocities_um_per_ms, paths (flat) and path_starts; and once, streams,
sampling_rate_hz, and the recording's name with its files and their sizes: whose truth it is.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.failures.errors import InvalidConfigurationError


@dataclass(frozen=True)
class Propagation:
    """How the action potential of each unit of a stream travels over the electrodes.

    ``root_channels`` is the channel (from 0) that sees a unit best, where its latency is 0.
    ``latencies_ms`` and ``troughs_uv`` (positive) are units x channels: when and how deep each
    electrode sees the trough; no latency (NaN) below 1 µV. ``velocities_um_per_ms`` is units x
    (least, greatest) along the axon: equal where it is constant. ``paths`` has for every unit the
    points of its axon, points x (x, y, z in µm, ms since the first point).
    """

    root_channels: NDArray[np.int64]
    latencies_ms: NDArray[np.float64]
    troughs_uv: NDArray[np.float64]
    velocities_um_per_ms: NDArray[np.float64]
    paths: tuple[NDArray[np.float64], ...]

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays of the file."""
        starts = np.cumsum([0, *(len(path) for path in self.paths)])
        return {
            **{name: getattr(self, name) for name in _PLAIN_ARRAYS},
            "paths": np.concatenate(self.paths),
            "path_starts": starts,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], stream: str) -> Propagation:
        """Read what ``to_arrays`` gave, below the stream's name."""
        plain = {name: arrays[f"{stream}/{name}"] for name in _PLAIN_ARRAYS}
        starts = arrays[f"{stream}/path_starts"].astype(np.int64)
        points = arrays[f"{stream}/paths"].astype(np.float64)
        paths = (points[start:end] for start, end in pairwise(starts))
        return cls(**plain, paths=tuple(paths))  # type: ignore[arg-type]


_PLAIN_ARRAYS = ("root_channels", "latencies_ms", "troughs_uv", "velocities_um_per_ms")


@dataclass(frozen=True)
class Truth:
    """The known units of one stream.

    ``spike_samples`` maps a unit id to its sample indices (int64, sorted); ``locations_um`` is
    units x (x, y, z); ``peak_amplitudes_uv`` is the trough on the unit's best channel (positive).
    ``propagation`` is there where action potentials travel along axons.
    """

    unit_ids: tuple[str, ...]
    spike_samples: Mapping[str, NDArray[np.int64]]
    sampling_rate_hz: float
    locations_um: NDArray[np.float64]
    peak_amplitudes_uv: NDArray[np.float64]
    propagation: Propagation | None = None

    @classmethod
    def without_units(cls, sampling_rate_hz: float) -> Truth:
        """Return the truth about a signal that holds no spikes."""
        return cls((), {}, sampling_rate_hz, np.zeros((0, 3)), np.zeros(0))


def sizes_of(recording: Path) -> dict[str, int]:
    """Return the bytes of a recording's files by their path in it; one file alone is ""."""
    if recording.is_file():
        return {"": recording.stat().st_size}
    files = (path for path in sorted(recording.rglob("*")) if not path.is_dir())
    return {p.relative_to(recording).as_posix(): p.lstat().st_size for p in files}


def truth_is_of(path: Path) -> dict[str, dict[str, int]]:
    """Return the name of the recording whose truth this is, with its ``sizes_of``; or nothing."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if "recording" not in arrays:
                return {}
            sizes = zip(arrays["recording_files"], arrays["recording_sizes"], strict=True)
            return {str(arrays["recording"]): {str(name): int(size) for name, size in sizes}}
    except (ValueError, OSError, zipfile.BadZipFile):
        return {}


def save_truth(path: Path, truths: Mapping[str, Truth], recording: Path) -> None:
    """Write the truth of every stream of a recording, atomically."""
    sizes = sizes_of(recording)
    arrays: dict[str, NDArray[np.generic]] = {
        "recording": np.array(recording.name),
        "recording_files": np.array(list(sizes), dtype=str),
        "recording_sizes": np.array(list(sizes.values()), dtype=np.int64),
        "streams": np.array(list(truths), dtype=str),
        "sampling_rate_hz": np.array(next(iter(truths.values())).sampling_rate_hz),
    }
    for stream, truth in truths.items():
        trains = [truth.spike_samples[unit] for unit in truth.unit_ids]
        samples = np.concatenate(trains) if trains else np.zeros(0, dtype=np.int64)
        units = np.repeat(np.arange(len(trains)), [train.size for train in trains])
        order = np.argsort(samples, kind="stable")
        arrays[f"{stream}/unit_ids"] = np.array(truth.unit_ids, dtype=str)
        arrays[f"{stream}/spike_samples"] = samples[order].astype(np.int64)
        arrays[f"{stream}/spike_units"] = units[order].astype(np.int64)
        arrays[f"{stream}/unit_locations_um"] = truth.locations_um
        arrays[f"{stream}/peak_amplitudes_uv"] = truth.peak_amplitudes_uv
        if truth.propagation is not None:
            for name, array in truth.propagation.to_arrays().items():
                arrays[f"{stream}/{name}"] = array
    partial = path.with_name(f".{path.name}.partial.npz")
    np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def truth_streams(path: Path) -> tuple[str, ...]:
    """Return the streams whose truth a file holds; none of a file that is no truth."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return tuple(str(name) for name in arrays["streams"])
    except (KeyError, ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile):
        return ()


def load_truth(path: Path, stream: str = "") -> Truth:
    """Read one stream's truth; "" means the first stream.

    Raises:
        InvalidConfigurationError: the file is no truth, or knows no such stream.
        FileNotFoundError: it is not there.
    """
    try:
        return _stream_of(path, stream)
    except InvalidConfigurationError:
        raise
    except (KeyError, ValueError, IndexError, zipfile.BadZipFile, EOFError) as error:
        raise InvalidConfigurationError(
            f"{path} is not the truth of a simulated recording ({error}).",
            field="truth",
            value=str(path),
        ) from error


def _stream_of(path: Path, stream: str) -> Truth:
    with np.load(path, allow_pickle=False) as arrays:
        streams = [str(name) for name in arrays["streams"]]
        chosen = stream or streams[0]
        if chosen not in streams:
            raise InvalidConfigurationError(
                f"{path.name} knows no stream {stream!r}; it has: {', '.join(streams)}.",
                field="stream",
                value=stream,
            )
        unit_ids = tuple(str(unit) for unit in arrays[f"{chosen}/unit_ids"])
        samples = arrays[f"{chosen}/spike_samples"]
        units = arrays[f"{chosen}/spike_units"]
        return Truth(
            unit_ids=unit_ids,
            spike_samples={unit: samples[units == i] for i, unit in enumerate(unit_ids)},
            sampling_rate_hz=float(arrays["sampling_rate_hz"]),
            locations_um=arrays[f"{chosen}/unit_locations_um"],
            peak_amplitudes_uv=arrays[f"{chosen}/peak_amplitudes_uv"],
            propagation=Propagation.from_arrays(arrays, chosen)
            if f"{chosen}/latencies_ms" in arrays
            else None,
        )
