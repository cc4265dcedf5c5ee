"""Small sorted units with known templates, for metrics worked out by hand."""

from dataclasses import replace

import numpy as np

from spikefleet.signal.units.unit_data import UnitData

RATE_HZ = 10_000.0


def make_data(trains: list[list[int]], templates: np.ndarray, **changes: object) -> UnitData:
    """Units with the given trains and (U, T, C) templates on a 10 s recording at 10 kHz."""
    samples = np.array([s for train in trains for s in train], dtype=np.int64)
    units = np.array([i for i, train in enumerate(trains) for _ in train], dtype=np.int64)
    order = np.argsort(samples, kind="stable")
    channels = templates.shape[2]
    data = UnitData(
        unit_ids=tuple(f"u{i}" for i in range(len(trains))),
        channel_ids=tuple(f"ch{i}" for i in range(channels)),
        sampling_rate_hz=RATE_HZ,
        duration_s=10.0,
        spike_samples=samples[order],
        spike_units=units[order],
        templates_uv=templates,
        template_stds_uv=np.full_like(templates, 5.0),
        noise_uv=np.full(channels, 4.0),
        channel_locations_um=np.array([[0.0, 20.0 * i] for i in range(channels)]),
        unit_locations_um=np.array([[1.0 + i, 2.0] for i in range(len(trains))]).reshape(-1, 2),
        spike_amplitudes_uv=np.zeros(0),
        peak_index=1,
    )
    return replace(data, **changes)


def trough(channel: int, depth_uv: float, channels: int = 2) -> np.ndarray:
    """A template of four samples with one trough at sample 1."""
    template = np.zeros((4, channels))
    template[1, channel] = -depth_uv
    template[2, channel] = depth_uv / 4
    return template
