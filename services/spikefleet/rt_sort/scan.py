"""The one pass: traces through the network, into the store of detections and the root events.

Chunks follow each other without a gap; each sample is read once and each output computed once. What
comes out does not depend on the length of chunks or on the number of workers: the network is given
inputs of one shape at places that depend on neither.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikefleet.rt_sort.detections import DetectionStore, Piece
from spikefleet.rt_sort.events import EventFinder, RootEvents
from spikefleet.rt_sort.limits import RtSortLimits
from spikefleet.rt_sort.network import Network
from spikefleet.rt_sort.rates import Array, FrameCounts, logit
from spikefleet.rt_sort.stretch import Stretch, above
from spikefleet.rt_sort.traces import TraceSpan, centre

# Inputs of the network: so many electrodes, and blocks of 50 ms. Fastest on a CPU's caches.
_GROUP, _TILE_BLOCKS = 8, 2
_CHUNK_SAMPLES = 3_000_000
_LONGEST_PIECE = 65_535
_NOTHING = np.float32(-1e4)

Progress = Callable[[float], None]


@dataclass(frozen=True)
class ScanPlan:
    """How a recording is looked at: by which network, scaled by what, cut how."""

    network: Network
    gain: float
    limits: RtSortLimits
    counts: FrameCounts
    array: Array
    workers: int = 1
    chunk_frames: int = 0  #: rounded to whole inputs of the network; 0: by the electrodes

    @property
    def tile(self) -> int:
        """Frames of one input of the network, without its ends."""
        return _TILE_BLOCKS * self.counts.noise_block

    @property
    def margin(self) -> int:
        """Frames around a piece whose samples it holds, too."""
        return max(self.counts.before, self.counts.after) + self.counts.overlap + 1

    @property
    def chunk(self) -> int:
        """Frames of a chunk: whole tiles, at most what a piece can count."""
        wanted = self.chunk_frames or _CHUNK_SAMPLES // max(1, len(self.array))
        most = (_LONGEST_PIECE - 4 * self.margin) // self.tile - 1
        return self.tile * max(1, min(most, wanted // self.tile))


@dataclass
class _Strip:
    """Centred traces and logits of a stretch that begins at frame ``first`` of the window."""

    first: int
    traces: NDArray[np.float32]
    logits: NDArray[np.float32]


@dataclass
class Scan:
    """One pass over a window. ``run`` fills the store and returns the root events."""

    plan: ScanPlan
    window: TraceSpan
    store: DetectionStore
    events_end: int
    progress: Progress | None = None
    _noise: NDArray[np.float32] = field(init=False)
    _first_block: int = field(init=False, default=0)

    def run(self) -> RootEvents:
        """Look at every frame once."""
        plan, total = self.plan, self.window.n_frames
        finder = EventFinder(plan.array, plan.limits, plan.counts)
        front = plan.network.model.front
        keep = 2 * plan.margin
        empty = np.zeros((self.window.n_electrodes, 0), dtype=np.float32)
        self._noise = empty
        strip = _Strip(0, empty, empty)
        tail = np.zeros((self.window.n_electrodes, front), dtype=np.float32)
        ahead = self._read(0)
        done = 0
        with ThreadPoolExecutor(plan.workers, "rt-sort") as pool:
            last = 0
            while last < total:
                first, (traces, missing) = last, ahead
                last = first + traces.shape[1]
                ahead = self._read(last) if last < total else (empty, None)
                logits = self._logits(pool, (tail, traces, ahead[0]), first)
                if missing is not None:
                    logits[missing] = _NOTHING
                tail = np.concatenate([tail, traces], axis=1)[:, -front:]
                strip = _Strip(
                    strip.first,
                    np.concatenate([strip.traces, traces], axis=1),
                    np.concatenate([strip.logits, logits], axis=1),
                )
                until = last if last == total else last - plan.margin
                self._keep(finder, strip, (done, until))
                done, cut = until, max(0, last - keep - strip.first)
                strip = _Strip(strip.first + cut, strip.traces[:, cut:], strip.logits[:, cut:])
                if self.progress:
                    self.progress(last / total)
        return finder.found()

    def _read(self, first: int) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Return a chunk's centred traces and which values were no numbers. The stub of a block at
        the very end belongs to the block before it, wherever chunks end."""
        block, total = self.plan.counts.noise_block, self.window.n_frames
        last = first + self.plan.chunk
        if total - last < block // 2:
            last = total
        centred = centre(self.window.read(first, last), block)
        self._noise = np.concatenate([self._noise, centred.noise], axis=1)
        return centred.traces, centred.missing

    def _logits(
        self, pool: ThreadPoolExecutor, parts: tuple[NDArray[np.float32], ...], first: int
    ) -> NDArray[np.float32]:
        """Return one logit per sample of the middle part; the window's ends have none."""
        plan, (tail, traces, ahead) = self.plan, parts
        front = plan.network.model.front
        electrodes, frames = traces.shape
        scale = np.float32(plan.network.model.input_scale * plan.gain)
        padding = max(0, front - ahead.shape[1])
        joined = np.concatenate(
            [tail, traces, ahead[:, :front], np.zeros((electrodes, padding), np.float32)], axis=1
        )
        found = np.empty_like(traces)

        def look(place: tuple[int, int]) -> None:
            row, column = place
            rows = slice(row, row + _GROUP)
            until = min(column + plan.tile, frames)
            tile = joined[rows, column : until + 2 * front] * scale
            found[rows, column:until] = plan.network.logits(tile)

        places = [
            (row, column)
            for column in range(0, frames, plan.tile)
            for row in range(0, electrodes, _GROUP)
        ]
        for _ in pool.map(look, places):
            pass
        if first < front:
            found[:, : front - first] = _NOTHING
        short = first + frames - (self.window.n_frames - front)
        if short > 0:
            found[:, max(0, frames - short) :] = _NOTHING
        return found

    def _keep(self, finder: EventFinder, strip: _Strip, frames: tuple[int, int]) -> None:
        """Store the samples around frames [first, last) and find the events in them."""
        plan, (first, last) = self.plan, frames
        origin = max(strip.first, first - plan.margin)
        end = min(strip.first + strip.traces.shape[1], last + plan.margin)
        inside = slice(origin - strip.first, end - strip.first)
        stretch = Stretch(
            np.ascontiguousarray(strip.traces[:, inside]),
            np.ascontiguousarray(strip.logits[:, inside]),
            self._noise,
            origin,
            plan.counts.noise_block,
            plan.counts.before,
            self._first_block,
        )
        floor = logit(plan.limits.min_loose_elec_prob)
        self.store.append(Piece(first, last, above(stretch, floor)), origin)
        finder.look(stretch, first, min(last, self.events_end))
        # Noise is taken from the block before a window: what is further back is done with.
        needed = max(0, (last - plan.margin - plan.counts.before) // plan.counts.noise_block - 2)
        if needed > self._first_block:
            self._noise = self._noise[:, needed - self._first_block :]
            self._first_block = needed
