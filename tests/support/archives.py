"""Small recordings on disk in flat files, and archives of them."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from probeinterface import generate_linear_probe
from spikeinterface.core import NumpyRecording

from spikefleet.signal.archive.manifest import ArchiveManifest
from spikefleet.signal.archive.sources import ArchiveSource
from spikefleet.signal.archive.write import write_archive
from spikefleet.signal.open import list_streams, open_recording


def save_folder(traces: NDArray[Any], path: Path, rate_hz: float = 1000.0) -> Path:
    """Save samples x channels as a SpikeInterface binary folder with probe, gains and offsets."""
    n_channels = traces.shape[1]
    recording = NumpyRecording([traces], rate_hz, channel_ids=[f"ch{i}" for i in range(n_channels)])
    probe = generate_linear_probe(num_elec=n_channels, ypitch=20)
    probe.set_device_channel_indices(np.arange(n_channels))
    recording.set_probe(probe)
    recording.set_channel_gains(np.linspace(0.195, 6.3, n_channels))
    recording.set_channel_offsets(np.zeros(n_channels))
    with warnings.catch_warnings():
        # An array in memory has no file it came from, and need not be told so.
        warnings.filterwarnings("ignore", message="The extractor is not serializable")
        recording.save(folder=path, format="binary", verbose=False, progress_bar=False)
    return path


def neural_like(n_frames: int, n_channels: int, seed: int = 0) -> NDArray[np.int16]:
    """Slow waves with noise, as int16 samples x channels."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 3, (n_frames, n_channels)), axis=0)
    return np.rint(walk + rng.normal(0, 4, walk.shape)).astype(np.int16)


def archive_source(path: Path) -> ArchiveSource:
    """Describe a recording for the archiver, as the command line does."""
    return ArchiveSource(path, list_streams(path), partial(open_recording, path))


def archive_folder(path: Path, out: Path) -> ArchiveManifest:
    """Archive the recording at ``path``."""
    return write_archive(archive_source(path), out)
