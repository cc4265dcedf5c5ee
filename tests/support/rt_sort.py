"""Small recordings and detections made by hand, for the parts of RT-Sort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import NumpyRecording

from spikefleet.rt_sort.detections import DetectionStore, Piece, Samples
from spikefleet.rt_sort.limits import RtSortLimits, limits_of
from spikefleet.rt_sort.rates import Array, FrameCounts
from spikefleet.rt_sort.sequences import SortingGround

RATE_HZ = 20_000.0
NEVER = -9.0


def grid(columns: int, rows: int, pitch_um: float = 35.0) -> NDArray[np.float64]:
    """Positions of a grid of electrodes, row by row."""
    return np.array([[x * pitch_um, y * pitch_um] for y in range(rows) for x in range(columns)])


def ground(positions_um: NDArray[np.float64], limits: RtSortLimits | None = None) -> SortingGround:
    """What sequences on these electrodes are measured by, at 20 kHz."""
    chosen = limits or limits_of("mea")
    return SortingGround(Array.at(positions_um), chosen, FrameCounts.at(RATE_HZ, chosen))


def stored(
    path: Path, n_electrodes: int, seen: list[tuple[int, int, float, float]], n_frames: int
) -> DetectionStore:
    """A store of one piece that holds samples (electrode, frame, logit, amplitude)."""
    ordered = sorted(seen)
    counts = np.bincount([row[0] for row in ordered], minlength=n_electrodes)
    samples = Samples(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.array([row[1] for row in ordered], dtype=np.int64),
        np.array([row[2] for row in ordered], dtype=np.float32),
        np.array([row[3] for row in ordered], dtype=np.float32),
    )
    store = DetectionStore(path, n_electrodes)
    store.append(Piece(0, n_frames, samples), 0)
    return store


def travelling_recording(
    seconds: float = 6.0, columns: int = 4, rows: int = 4, seed: int = 5, noise_uv: float = 6.0
) -> tuple[NumpyRecording, list[NDArray[np.int64]]]:
    """Three neurons whose troughs reach neighbouring electrodes later and smaller, in noise.

    Returns the recording (int16, 0.2 µV, 20 kHz) and the frames of each neuron's spikes.
    """
    draw = np.random.default_rng(seed)
    positions = grid(columns, rows) + draw.uniform(-1.0, 1.0, (columns * rows, 2))
    frames = int(seconds * RATE_HZ)
    traces = draw.normal(0.0, noise_uv, (frames, len(positions)))
    trains = []
    roots = (0, columns * rows // 2 + 1, columns * rows - 1)
    for root, size_uv in zip(roots, (160.0, 120.0, 200.0), strict=True):
        train = np.sort(draw.choice(np.arange(200, frames - 200, 90), int(8 * seconds), False))
        away = np.hypot(*(positions - positions[root]).T)
        for frame in train:
            for electrode, distance in enumerate(away):
                late = round(distance / 35.0)
                at = frame + late + np.arange(-10, 21)
                shape = _trough(np.arange(-10, 21))
                traces[at, electrode] += -size_uv * np.exp(-distance / 45.0) * shape
        trains.append(train.astype(np.int64))
    recording = NumpyRecording([np.rint(traces / 0.2).astype(np.int16)], RATE_HZ)
    recording.set_channel_gains(0.2)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(positions)
    return recording, trains


def _trough(frames: NDArray[np.int64]) -> NDArray[np.float64]:
    fast = np.exp(-0.5 * (frames / 2.0) ** 2)
    slow: NDArray[np.float64] = fast - 0.35 * np.exp(-0.5 * ((frames - 7) / 4.0) ** 2)
    return slow
