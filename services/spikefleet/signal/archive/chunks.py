"""An array in chunks on disk: encoding it in one pass, and decoding one chunk at a time.

A chunk is about a second of a group of channels, stored channel by channel as Zarr's F order, so
that a codec sees each channel as the smooth signal it is and any Zarr reader understands it.
Refuses to decode a chunk whose bytes are not those that were written: codecs carry no checksum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numpy.typing import NDArray

from spikefleet.signal.archive.codec import codec_from_config
from spikefleet.signal.archive.digests import Digest, digest_of
from spikefleet.signal.archive.manifest import ArchivedArray, StoredObject
from spikefleet.signal.archive.objects import write_object
from spikefleet.signal.formats.reader_errors import corrupt

CHUNK_S = 1.0
CHUNK_BYTES = 8_000_000
# Transposing in slabs that fit a core's cache is four times as fast as in one go.
_SLAB_FRAMES = 512

Samples = NDArray[Any]


@dataclass(frozen=True)
class ChunkGrid:
    """How an array of ``n_frames`` x ``n_channels`` is cut."""

    n_frames: int
    n_channels: int
    chunk_frames: int
    chunk_channels: int

    @property
    def n_rows(self) -> int:
        """Chunks along time."""
        return math.ceil(self.n_frames / self.chunk_frames)

    @property
    def n_groups(self) -> int:
        """Chunks across channels."""
        return math.ceil(self.n_channels / self.chunk_channels)

    def frames(self, row: int) -> tuple[int, int]:
        """First frame of a row of chunks and the one past its last."""
        start = row * self.chunk_frames
        return start, min(start + self.chunk_frames, self.n_frames)

    def names(self) -> Iterator[str]:
        """File names of all chunks, as Zarr v2 names them."""
        for row in range(self.n_rows):
            for group in range(self.n_groups):
                yield f"{row}.{group}"


def plan_grid(
    n_frames: int, n_channels: int, sampling_rate_hz: float, itemsize_bytes: int
) -> ChunkGrid:
    """Return chunks of about a second and at most ``CHUNK_BYTES``, in equal groups of channels."""
    chunk_frames = max(1, min(n_frames, round(CHUNK_S * sampling_rate_hz)))
    most = max(1, CHUNK_BYTES // (chunk_frames * itemsize_bytes))
    n_groups = math.ceil(n_channels / most)
    return ChunkGrid(n_frames, n_channels, chunk_frames, math.ceil(n_channels / n_groups))


def grid_of(array: ArchivedArray) -> ChunkGrid:
    """Return how an archived array is cut."""
    return ChunkGrid(array.n_frames, array.n_channels, array.chunk_frames, array.chunk_channels)


class ArrayWriter:
    """Writes an array row of chunks by row of chunks; holds one row in memory."""

    def __init__(self, root: Path, path: str, grid: ChunkGrid, codec: Codec) -> None:
        self._root = root
        self._path = path
        self._grid = grid
        self._codec = codec
        self._digest = Digest()
        self._row = 0
        self._block: Samples | None = None

    def append(self, traces: Samples) -> list[StoredObject]:
        """Encode the next row: up to ``chunk_frames`` x ``n_channels``. Returns what it stored."""
        block = self._transpose(traces)
        stored = []
        for group in range(self._grid.n_groups):
            first = group * self._grid.chunk_channels
            payload = self._codec.encode(block[first : first + self._grid.chunk_channels])
            name = f"{self._path}/{self._row}.{group}"
            stored.append(write_object(self._root, name, payload))
        self._row += 1
        return stored

    def finish(self, dtype: np.dtype[Any]) -> ArchivedArray:
        """Return the record of the array."""
        return ArchivedArray(
            path=self._path,
            n_frames=self._grid.n_frames,
            n_channels=self._grid.n_channels,
            dtype=dtype.str,
            chunk_frames=self._grid.chunk_frames,
            chunk_channels=self._grid.chunk_channels,
            codec=self._codec.get_config(),
            samples_digest=self._digest.text,
        )

    def _transpose(self, traces: Samples) -> Samples:
        n_frames, n_channels = traces.shape
        if self._block is None:
            n_rows = self._grid.n_groups * self._grid.chunk_channels
            self._block = np.zeros((n_rows, self._grid.chunk_frames), dtype=traces.dtype)
        block = self._block
        for start in range(0, n_frames, _SLAB_FRAMES):
            stop = min(start + _SLAB_FRAMES, n_frames)
            slab = np.ascontiguousarray(traces[start:stop])
            self._digest.update(slab.data)
            block[:n_channels, start:stop] = slab.T
        # Padding that repeats the last sample costs next to nothing, zeros would be a step.
        block[:n_channels, n_frames:] = block[:n_channels, n_frames - 1 : n_frames]
        return block


class ArrayReader:
    """Decodes chunks of an archived array, each checked against its digest first."""

    def __init__(
        self, root: Path, array: ArchivedArray, find: Callable[[str], StoredObject]
    ) -> None:
        self.grid = grid_of(array)
        self._root = root
        self._array = array
        self._find = find
        self._codec = codec_from_config(dict(array.codec))

    def chunk(self, row: int, group: int) -> Samples:
        """Return one chunk, padding included: ``chunk_channels`` x ``chunk_frames``.

        Raises:
            InputCorruptError: the chunk's bytes are not those that were archived.
            FileNotFoundError: there is no such chunk any more.
        """
        name = f"{self._array.path}/{row}.{group}"
        file = self._root / name
        known = self._find(name)
        with file.open("rb") as stored:
            payload = stored.read(known.size_bytes + 1)  # a longer one is damaged, however long
        if digest_of(payload, known.digest) != known.digest:
            raise corrupt(
                file, "digest_mismatch", "this chunk is not what was archived (spikefleet verify)."
            )
        return self.decode(payload)

    def decode(self, payload: bytes, out: Samples | None = None) -> Samples:
        """Decode the bytes of one chunk, into ``out`` where given."""
        if out is None:
            out = self.room()
        self._codec.decode(payload, out=out)
        return out

    def room(self) -> Samples:
        """Return an array that one chunk fits."""
        shape = (self.grid.chunk_channels, self.grid.chunk_frames)
        return np.empty(shape, dtype=np.dtype(self._array.dtype))

    def update_digest(self, digest: Digest, row: int, blocks: list[Samples]) -> None:
        """Feed the samples of one row of chunks to ``digest``, in order of time."""
        start, stop = self.grid.frames(row)
        width = self.grid.chunk_channels
        room = np.empty((_SLAB_FRAMES, self.grid.n_channels), dtype=blocks[0].dtype)
        for first in range(0, stop - start, _SLAB_FRAMES):
            last = min(first + _SLAB_FRAMES, stop - start)
            slab = room[: last - first]
            for group, block in enumerate(blocks):
                columns = slab[:, group * width : (group + 1) * width]
                columns[:] = block[: columns.shape[1], first:last].T
            digest.update(slab.data)
