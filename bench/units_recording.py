"""The recording and the sorting that ``bench.units`` measures, as plain files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from probeinterface import generate_linear_probe
from spikeinterface.core import BinaryRecordingExtractor, NumpySorting

N_CHANNELS, RATE_HZ, SECONDS = 64, 30_000.0, 120
N_UNITS, SPIKES_PER_S = 40, 7.25
GAIN_UV = 2.34375


def write(folder: Path, seconds: int) -> Path:
    """Write ``source.raw`` and ``spikes.npz``: ten seconds of noise over and over, and spikes."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    second = round(RATE_HZ)
    noise = [rng.normal(scale=8.0, size=(second, N_CHANNELS)).astype(np.float32) for _ in range(10)]
    samples, units = _spikes(rng, seconds * second)
    shapes = _shapes(rng)
    with (folder / "source.raw").open("wb") as file:
        for at in range(seconds):
            piece = noise[at % len(noise)].copy()
            here = slice(*np.searchsorted(samples, [at * second + 60, (at + 1) * second - 90]))
            for sample, unit in zip(samples[here] - at * second, units[here], strict=True):
                piece[sample - 30 : sample + 60] += shapes[unit]
            file.write(np.rint(piece).astype("<i2").tobytes())
    np.savez(folder / "spikes.npz", samples=samples, units=units, shapes=np.stack(shapes))
    return folder


def _spikes(rng: np.random.Generator, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    n_spikes = round(n_samples / RATE_HZ * N_UNITS * SPIKES_PER_S)
    samples = np.sort(rng.integers(0, n_samples, n_spikes))
    return samples, rng.integers(0, N_UNITS, n_spikes)


def _shapes(rng: np.random.Generator) -> list[np.ndarray]:
    """Troughs of 90 samples that fall off over 40 µm, from 20 to 160 counts."""
    times = np.arange(90) - 30
    wave = -np.exp(-((times / 5.0) ** 2)) + 0.4 * np.exp(-(((times - 14) / 9.0) ** 2))
    channels = np.arange(N_CHANNELS)
    centres = rng.permutation(N_CHANNELS)[:N_UNITS]
    sizes = np.geomspace(20, 160, N_UNITS)
    return [
        (size * np.exp(-np.abs(channels - centre) / 2.0) * wave[:, np.newaxis]).astype(np.float32)
        for size, centre in zip(sizes, centres, strict=True)
    ]


def open_recording(folder: Path) -> BinaryRecordingExtractor:
    """Return the recording, 20 µm from channel to channel."""
    recording = BinaryRecordingExtractor(
        [folder / "source.raw"], sampling_frequency=RATE_HZ, dtype="int16", num_channels=N_CHANNELS
    )
    recording.set_channel_gains(GAIN_UV)
    recording.set_channel_offsets(0.0)
    probe = generate_linear_probe(num_elec=N_CHANNELS, ypitch=20.0)
    probe.set_device_channel_indices(np.arange(N_CHANNELS))
    return recording.set_probe(probe) or recording


def open_sorting(folder: Path, n_units: int = N_UNITS) -> NumpySorting:
    """Return its sorting; with more units than it has, of its spikes dealt out among them."""
    with np.load(folder / "spikes.npz") as spikes:
        samples, units = spikes["samples"], spikes["units"]
    if n_units > N_UNITS:
        units = np.arange(len(samples)) % n_units
    return NumpySorting.from_samples_and_labels([samples], [units], RATE_HZ)


def write_kilosort_folder(source: Path, folder: Path) -> None:
    """Write the sorting as Kilosort leaves it, for a reader of such folders."""
    folder.mkdir(parents=True)
    with np.load(source / "spikes.npz") as spikes:
        np.save(folder / "spike_times.npy", spikes["samples"].astype(np.int64))
        np.save(folder / "spike_clusters.npy", spikes["units"].astype(np.int32))
        np.save(folder / "templates.npy", spikes["shapes"].astype(np.float32))
    np.save(folder / "channel_map.npy", np.arange(N_CHANNELS))
    (folder / "params.py").write_text(f"sample_rate = {RATE_HZ}\n")
