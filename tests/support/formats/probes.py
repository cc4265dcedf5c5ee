"""A ``probe.json`` beside a recording: one column of contacts, 20 µm apart, wired in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from probeinterface import Probe, write_probeinterface


def write_probe(folder: Path, n_channels: int):
    """Write ``probe.json`` into ``folder``; returns the positions in µm, contacts x 2."""
    positions = np.stack([np.zeros(n_channels), 20.0 * np.arange(n_channels)], axis=1)
    probe = Probe(ndim=2, si_units="um")
    probe.set_contacts(positions=positions)
    probe.set_device_channel_indices(np.arange(n_channels))
    write_probeinterface(folder / "probe.json", probe)
    return positions


def make_noise(n_frames: int, n_channels: int, dtype="int16"):
    """Return samples x channels that reach both ends of the type."""
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(n_frames + n_channels)
    samples = rng.integers(limits.min, limits.max, (n_frames, n_channels), dtype=dtype)
    samples[0, 0], samples[-1, -1] = limits.min, limits.max
    return samples
