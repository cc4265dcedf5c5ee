"""Trained sequences: everything that is needed to sort another recording of the same electrodes.

One ``.npz`` file with a JSON header; no pickle, so it is safe to open from anyone, and nothing here
needs torch. It holds the network's weights, too. What does not fit together is refused.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.files import write_bytes
from spikefleet.rt_sort.detection_model import (
    DetectionModel,
    arrays_of,
    header_of,
    model_from_arrays,
)
from spikefleet.rt_sort.fixed import FixedSequences
from spikefleet.rt_sort.limits import RtSortLimits, limits_of
from spikefleet.rt_sort.rates import Array, FrameCounts

FORMAT, SCHEMA = "spikefleet rt_sort sequences", 1
_LARGEST_BYTES = 1 << 30
_COLUMNS = {
    "roots": np.int32,
    "required": np.int32,
    "spreads": np.float32,
    "offsets": np.int64,
    "electrodes": np.int32,
    "loose": np.bool_,
    "inner": np.bool_,
    "latencies": np.float32,
    "amplitudes": np.float32,
    "weights": np.float32,
}


@dataclass(frozen=True)
class TrainedSequences:
    """Sequences with the electrodes, limits and network they belong to.

    Unit k of every sort with them is sequence k. ``trains`` are the spikes that each was made from,
    in frames of the recording it was trained on; they are for looking at, not for sorting.
    """

    sampling_rate_hz: float  #: of the recordings that it sorts
    channel_ids: tuple[str, ...]  #: electrodes, in the order of the recording
    positions_um: NDArray[np.float64]  #: electrodes x 2
    limits: RtSortLimits  #: what spikes are assigned by
    gain: float  #: what brings the noise to the level that the network knows
    model: DetectionModel  #: the network
    fixed: FixedSequences  #: the sequences
    trains: tuple[NDArray[np.int64], ...]
    origin: Mapping[str, Any] = field(default_factory=dict)  #: what they were trained on

    def __len__(self) -> int:
        return len(self.fixed)

    @property
    def root_channels(self) -> tuple[str, ...]:
        """The channel of each sequence's root electrode."""
        return tuple(self.channel_ids[root] for root in self.fixed.roots)

    @property
    def array(self) -> Array:
        """The electrodes with their distances."""
        return Array.at(self.positions_um)

    @property
    def counts(self) -> FrameCounts:
        """Lengths in frames at the sampling rate."""
        return FrameCounts.at(self.sampling_rate_hz, self.limits)

    def latencies_ms(self, sequence: int) -> dict[str, float]:
        """Return a sequence's mean latency after its root on each channel that sees it (ms)."""
        at = self.fixed.of_sequence(sequence)
        return {
            self.channel_ids[electrode]: float(latency) / self.sampling_rate_hz * 1000.0
            for electrode, latency, seen in zip(
                self.fixed.electrodes[at],
                self.fixed.latencies[at],
                self.fixed.loose[at],
                strict=True,
            )
            if seen
        }

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        header = {
            "format": FORMAT,
            "schema": SCHEMA,
            "sampling_rate_hz": self.sampling_rate_hz,
            "channel_ids": list(self.channel_ids),
            "limits": self.limits.to_json(),
            "gain": self.gain,
            "model": header_of(self.model),
            "origin": dict(self.origin),
        }
        offsets = np.concatenate([[0], np.cumsum([len(train) for train in self.trains])])
        frames = np.concatenate(self.trains) if self.trains else np.zeros(0)
        arrays: dict[str, Any] = {
            "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
            "positions_um": self.positions_um,
            "train_offsets": offsets.astype(np.int64),
            "train_frames": frames.astype(np.int64),
            **{name: getattr(self.fixed, name) for name in _COLUMNS},
            **arrays_of(self.model),
        }
        held = io.BytesIO()
        np.savez_compressed(held, **arrays)
        write_bytes(path, held.getvalue())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Raises InvalidConfigurationError saying what is wrong with it."""
        arrays = _read(path)
        try:
            header = json.loads(arrays["header"].astype(np.uint8).tobytes())
            if (header["format"], header["schema"]) != (FORMAT, SCHEMA):
                raise _refusal(path, f"it is of another format ({header['format']!r})")
            fixed = FixedSequences(
                **{name: np.asarray(arrays[name], dtype=kind) for name, kind in _COLUMNS.items()}
            )
            made = cls(
                sampling_rate_hz=float(header["sampling_rate_hz"]),
                channel_ids=tuple(str(name) for name in header["channel_ids"]),
                positions_um=np.asarray(arrays["positions_um"], dtype=np.float64),
                limits=limits_of("mea", header["limits"]),
                gain=float(header["gain"]),
                model=model_from_arrays(header["model"], arrays),
                fixed=fixed,
                trains=tuple(_split(arrays["train_frames"], arrays["train_offsets"])),
                origin=dict(header["origin"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, InvalidConfigurationError):
                raise
            raise _refusal(path, f"it is incomplete or damaged ({error})") from error
        problem = _problem(made)
        if problem:
            raise _refusal(path, problem)
        return made


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _LARGEST_BYTES:
                raise _refusal(path, "it is larger than 1 GiB")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InvalidConfigurationError):
            raise
        raise _refusal(path, f"it cannot be read ({error})") from error


def _split(frames: NDArray[Any], offsets: NDArray[Any]) -> list[NDArray[np.int64]]:
    edges = np.asarray(offsets, dtype=np.int64)
    if edges[0] != 0 or edges[-1] != len(frames) or (np.diff(edges) < 0).any():
        raise ValueError("its spike trains do not fit their offsets")
    return np.split(np.asarray(frames, dtype=np.int64), edges[1:-1]) if len(edges) > 1 else []


def _problem(made: TrainedSequences) -> str:
    """What does not fit together in a file that was read; "" when all does."""
    fixed, electrodes = made.fixed, len(made.channel_ids)
    of_sequences = {len(fixed.roots), len(fixed.required), len(fixed.spreads), len(made.trains)}
    per_electrode = [len(getattr(fixed, name)) for name in list(_COLUMNS)[4:]]
    if made.positions_um.shape != (electrodes, 2) or not np.isfinite(made.positions_um).all():
        return "its channels have no positions"
    if of_sequences != {len(fixed.offsets) - 1} or fixed.offsets[0] != 0:
        return "its sequences are not equally many everywhere"
    if (np.diff(fixed.offsets) < 1).any() or set(per_electrode) - {int(fixed.offsets[-1])}:
        return "its electrodes are not equally many everywhere"
    for index in (fixed.roots, fixed.electrodes):
        if len(index) and not (index.min() >= 0 and index.max() < electrodes):
            return "it names electrodes that it does not have"
    numbers = (fixed.spreads, fixed.latencies, fixed.amplitudes, fixed.weights)
    if not all(np.isfinite(values).all() for values in numbers):
        return "it holds values that are no numbers"
    rate = made.sampling_rate_hz
    if not (math.isfinite(rate) and 0 < rate < 1e6 and math.isfinite(made.gain) and made.gain > 0):
        return "its sampling rate or gain is no number above zero"
    return ""


def _refusal(path: Path, why: str) -> InvalidConfigurationError:
    return InvalidConfigurationError(
        f"{path.name} cannot be used as trained sequences of RT-Sort: {why}. Take the file "
        "sequences.npz of a finished run of RT-Sort.",
        field="sequences",
        value=path.name,
    )
