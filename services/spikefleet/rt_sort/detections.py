"""What is kept of the network's output: samples above a floor, per electrode, in a scratch file.

A sample is a frame, its logit, and the electrode's amplitude there as a multiple of its noise. That
is 2 % of all samples, and everything that the steps after the network look at. The file is made of
pieces of time; each holds, besides its own frames, a margin on both sides, so that every window
around one of its frames is within it. The file is scratch: it is never read by another version.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from spikefleet.rt_sort.compiled import compiled

UNSEEN = -128  # latency of an electrode that saw nothing


class Samples(NamedTuple):
    """Samples of every electrode, one after the other: those of electrode c are
    ``offsets[c]:offsets[c + 1]``, in the order of time. Amplitudes are signed, in σ of noise."""

    offsets: NDArray[np.int64]
    frames: NDArray[np.int64]
    logits: NDArray[np.float32]
    amplitudes: NDArray[np.float32]


@dataclass(frozen=True)
class Piece:
    """Frames [first, last) of the window, and the samples of these and of the margins."""

    first: int
    last: int
    samples: Samples


@dataclass(frozen=True)
class _Entry:
    first: int
    last: int
    origin: int
    position: int
    sizes: tuple[int, ...]


class DetectionStore:
    """A scratch file of pieces. One writer, then readers; closed with the ``with`` statement."""

    def __init__(self, path: Path, n_electrodes: int) -> None:
        """Begin an empty file."""
        self._path = path
        self._n_electrodes = n_electrodes
        self._entries: list[_Entry] = []
        self._file: BinaryIO = path.open("w+b")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return self._file.seek(0, 2)

    def append(self, piece: Piece, origin: int) -> None:
        """Write a piece whose samples count from ``origin``, at most 65 535 frames before its
        last."""
        samples = piece.samples
        arrays = (
            np.diff(samples.offsets).astype(np.uint32),
            (samples.frames - origin).astype(np.uint16),
            samples.logits.astype(np.float16),
            samples.amplitudes.astype(np.float16),
        )
        packed = [zlib.compress(_planes(array), 1) for array in arrays]
        position = self._file.seek(0, 2)
        for data in packed:
            self._file.write(data)
        sizes = tuple(len(data) for data in packed)
        self._entries.append(_Entry(piece.first, piece.last, origin, position, sizes))

    def pieces(self, first: int = 0, last: int | None = None) -> Iterator[Piece]:
        """Yield the pieces that hold a frame of [first, last), in order."""
        for entry in self._entries:
            if entry.last > first and (last is None or entry.first < last):
                yield Piece(entry.first, entry.last, self._read(entry))

    def _read(self, entry: _Entry) -> Samples:
        self._file.seek(entry.position)
        counts, frames, logits, amplitudes = (
            zlib.decompress(self._file.read(size)) for size in entry.sizes
        )
        offsets = np.zeros(self._n_electrodes + 1, dtype=np.int64)
        np.cumsum(_whole(counts, np.dtype(np.uint32)), out=offsets[1:])
        return Samples(
            offsets,
            _whole(frames, np.dtype(np.uint16)).astype(np.int64) + entry.origin,
            _whole(logits, np.dtype(np.float16)).astype(np.float32),
            _whole(amplitudes, np.dtype(np.float16)).astype(np.float32),
        )


def _planes(array: NDArray[np.generic]) -> bytes:
    """Bytes of the same place together: they compress better."""
    return np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.itemsize).T.tobytes()


def _whole(planes: bytes, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    turned = np.frombuffer(planes, dtype=np.uint8).reshape(dtype.itemsize, -1).T
    return np.ascontiguousarray(turned).view(dtype).ravel()


def stringent(store: DetectionStore, n_electrodes: int, threshold: float, end: int) -> Samples:
    """Return all samples before ``end`` with a logit of at least ``threshold``, in memory."""
    parts: list[Samples] = []
    for piece in store.pieces(0, end):
        samples = piece.samples
        wanted = (samples.logits >= np.float32(threshold)) & (samples.frames >= piece.first)
        wanted &= samples.frames < min(piece.last, end)
        electrodes = np.repeat(np.arange(n_electrodes), np.diff(samples.offsets))
        parts.append(
            Samples(
                electrodes[wanted],
                samples.frames[wanted],
                samples.logits[wanted],
                samples.amplitudes[wanted],
            )
        )
    if not parts:
        nothing = np.zeros(0, dtype=np.float32)
        offsets = np.zeros(n_electrodes + 1, dtype=np.int64)
        return Samples(offsets, offsets[:0], nothing, nothing)
    electrode = np.concatenate([part.offsets for part in parts])
    order = np.argsort(electrode, kind="stable")  # pieces follow each other in time
    return Samples(
        np.searchsorted(electrode[order], np.arange(n_electrodes + 1)),
        np.concatenate([part.frames for part in parts])[order],
        np.concatenate([part.logits for part in parts])[order],
        np.concatenate([part.amplitudes for part in parts])[order],
    )


@compiled
def first_at(frames: NDArray[np.int64], low: int, high: int, wanted: int) -> int:
    """Index of the first of ``frames[low:high]`` that is not before ``wanted``."""
    while low < high:
        middle = (low + high) // 2
        if frames[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def strongest(samples: Samples, electrode: int, first: int, last: int) -> int:
    """Index of the electrode's largest logit in frames [first, last]; the first of equals; -1 where
    it saw nothing."""
    end = samples.offsets[electrode + 1]
    at = first_at(samples.frames, samples.offsets[electrode], end, first)
    best = -1
    while at < end and samples.frames[at] <= last:
        if best < 0 or samples.logits[at] > samples.logits[best]:
            best = at
        at += 1
    return best


@compiled
def at_frame(samples: Samples, electrode: int, frame: int) -> int:
    """Index of the electrode's sample at a frame; -1 where there is none."""
    end = samples.offsets[electrode + 1]
    at = first_at(samples.frames, samples.offsets[electrode], end, frame)
    return at if at < end and samples.frames[at] == frame else -1


@compiled
def latencies_on(
    samples: Samples, electrode: int, peaks: NDArray[np.int64], before: int, after: int
) -> NDArray[np.int8]:
    """Frames between each peak and the electrode's largest logit around it; UNSEEN where none."""
    found = np.empty(len(peaks), dtype=np.int8)
    for index in range(len(peaks)):
        best = strongest(samples, electrode, peaks[index] - before, peaks[index] + after)
        found[index] = UNSEEN if best < 0 else samples.frames[best] - peaks[index]
    return found
