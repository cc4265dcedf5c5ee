"""Where every sample of what was sorted is in what was recorded, and back.

A sorter sees one joined signal: windows cut out of one recording, or of several files one after the
other. All results leave in the original time, so that the map is kept with them. It never guesses:
a sample that was not sorted has no original time, and asking for one is an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikefleet.core.recording.windows import Frames

_VERSION = 1
_LONGEST = 2**53  # samples: every one of them is exact as a float, too


@dataclass(frozen=True)
class FileSpan:
    """One file of the original recording: its name and its length in frames."""

    name: str
    n_samples: int


@dataclass(frozen=True)
class Timeline:
    """The map between sorted samples and original frames.

    Original frames count from the start of the first file through all files in order. ``kept`` are
    the [start, end) original frames that were sorted, in order and apart.

    Raises:
        ValueError: the windows overlap, go back, are empty or are outside the files.
    """

    sampling_rate_hz: float
    files: tuple[FileSpan, ...]
    kept: tuple[Frames, ...]

    def __post_init__(self) -> None:
        edges = [frame for window in self.kept for frame in window]
        inside = bool(edges) and edges[0] >= 0 and edges[-1] <= self.n_original
        if not inside or any(start >= end for start, end in self.kept) or edges != sorted(edges):
            raise ValueError(f"{self.kept} are no windows of {self.n_original} frames, in order")

    @classmethod
    def whole(cls, n_samples: int, sampling_rate_hz: float, name: str = "") -> Timeline:
        """Return the map of one recording sorted from end to end."""
        return cls(sampling_rate_hz, (FileSpan(name, n_samples),), ((0, n_samples),))

    @property
    def n_original(self) -> int:
        """Frames of all files together."""
        return sum(file.n_samples for file in self.files)

    @property
    def n_samples(self) -> int:
        """Samples that were sorted."""
        return sum(end - start for start, end in self.kept)

    @property
    def is_identity(self) -> bool:
        """Whether a sorted sample is its own original frame, in a single file."""
        return len(self.files) == 1 and self.kept == ((0, self.n_original),)

    @property
    def file_bounds(self) -> tuple[Frames, ...]:
        """The [start, end) original frames of each file."""
        starts = accumulate((file.n_samples for file in self.files), initial=0)
        return tuple(pairwise(starts))

    @property
    def seams(self) -> tuple[int, ...]:
        """Sorted samples before which time jumps or another file begins; ends excluded.

        An interval between two spikes that spans a seam is not an interval that a neuron made.
        """
        inside = [
            bound
            for _, bound in self.file_bounds[:-1]
            if any(start < bound < end for start, end in self.kept)
        ]
        joins = [
            after[0]
            for before, after in pairwise(self.kept)
            if before[1] != after[0] or any(bound == after[0] for _, bound in self.file_bounds)
        ]
        frames = sorted({*inside, *joins})
        return tuple(int(sample) for sample in self.to_sorted(frames))

    def pieces(self) -> tuple[tuple[int, Frames], ...]:
        """Return (index of the file, [start, end) original frames) of every unbroken stretch."""
        return tuple(
            (index, (max(start, first), min(end, last)))
            for start, end in self.kept
            for index, (first, last) in enumerate(self.file_bounds)
            if max(start, first) < min(end, last)
        )

    def to_original(self, samples: ArrayLike) -> NDArray[np.int64]:
        """Return the original frame of each sorted sample.

        Raises:
            ValueError: a sample is outside what was sorted.
        """
        given = np.asarray(samples, dtype=np.int64)
        if given.size and (given.min() < 0 or given.max() >= self.n_samples):
            raise ValueError(
                f"samples {given.min()} to {given.max()} are outside the {self.n_samples} sorted"
            )
        starts, sorted_starts, _ = self._edges()
        piece = np.searchsorted(sorted_starts, given, side="right") - 1
        frames: NDArray[np.int64] = starts[piece] + given - sorted_starts[piece]
        return frames

    def to_sorted(self, frames: ArrayLike) -> NDArray[np.int64]:
        """Return the sorted sample of each original frame; -1 where it was not kept."""
        given = np.asarray(frames, dtype=np.int64)
        starts, sorted_starts, lengths = self._edges()
        piece = np.maximum(np.searchsorted(starts, given, side="right") - 1, 0)
        into = given - starts[piece]
        was_kept = (into >= 0) & (into < lengths[piece])
        return np.where(was_kept, sorted_starts[piece] + into, -1)

    def to_original_s(self, samples: ArrayLike) -> NDArray[np.float64]:
        """Return the original time of each sorted sample, in seconds from the first file's start.

        Raises:
            ValueError: as ``to_original``.
        """
        return self.to_original(samples) / self.sampling_rate_hz

    def locate(self, samples: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (index of the file, frame within it) of each sorted sample.

        Raises:
            ValueError: as ``to_original``.
        """
        frames = self.to_original(samples)
        starts = np.array([start for start, _ in self.file_bounds], dtype=np.int64)
        index = np.searchsorted(starts, frames, side="right") - 1
        return index, frames - starts[index]

    def _edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return per window: original start, sorted start, length."""
        kept = np.array(self.kept, dtype=np.int64)
        lengths = kept[:, 1] - kept[:, 0]
        return kept[:, 0], np.cumsum(lengths) - lengths, lengths

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary, to be kept beside the results."""
        return {
            "version": _VERSION,
            "sampling_rate_hz": self.sampling_rate_hz,
            "files": [{"name": file.name, "n_samples": file.n_samples} for file in self.files],
            "kept": [list(window) for window in self.kept],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Timeline:
        """Read what ``to_json`` wrote.

        Raises:
            ValueError: another version of the contract, or a document of another shape.
        """
        if document.get("version") != _VERSION:
            raise ValueError(f"timeline version {document.get('version')!r} is not understood")
        try:
            rate_hz = float(document["sampling_rate_hz"])
            files = tuple(
                FileSpan(str(file["name"]), int(file["n_samples"])) for file in document["files"]
            )
            kept = tuple((int(start), int(end)) for start, end in document["kept"])
        except (LookupError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"the timeline is of another shape: {error!r}") from error
        lengths = [file.n_samples for file in files]
        if not 0 < rate_hz < math.inf or any(n < 0 for n in lengths) or sum(lengths) > _LONGEST:
            raise ValueError(f"{lengths} samples at {rate_hz} Hz are no recording")
        return cls(rate_hz, files, kept)
