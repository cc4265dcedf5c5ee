"""A raw binary file with its sidecar, and a signal smooth enough to tell how it is laid out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import probeinterface
from scipy.signal import lfilter


def smooth_samples(n_samples: int, n_channels: int, seed: int = 0) -> np.ndarray:
    """Return int16 samples x channels of noise that runs smoothly, as a filtered signal does."""
    noise = np.random.default_rng(seed).normal(0, 60, (n_samples, n_channels))
    return np.asarray(np.rint(lfilter([1], [1, -0.9], noise, axis=0)), dtype=np.int16)


def probe_of(n_channels: int) -> dict[str, Any]:
    """Return a wired line of contacts 20 µm apart, as probeinterface writes it."""
    probe = probeinterface.generate_linear_probe(num_elec=n_channels, ypitch=20)
    probe.set_device_channel_indices(np.arange(n_channels))
    group = probeinterface.ProbeGroup()
    group.add_probe(probe)
    return dict(json.loads(json.dumps(group.to_dict(array_as_list=True))))


def write_raw_binary(path: Path, samples: np.ndarray, **said: Any) -> Path:
    """Write samples x channels and the sidecar; ``said`` changes its keys, None removes one."""
    path.write_bytes(np.ascontiguousarray(samples).tobytes())
    n_channels = int(said.get("n_channels", samples.shape[1]))
    sidecar: dict[str, Any] = {
        "dtype": str(samples.dtype),
        "n_channels": n_channels,
        "sampling_rate_hz": 20000.0,
        "gain_to_uv": 0.195,
        "offset_to_uv": 0.0,
        "probe": probe_of(n_channels),
    } | said
    kept = {key: value for key, value in sidecar.items() if value is not None}
    path.with_suffix(".json").write_text(json.dumps(kept), encoding="utf-8")
    return path
