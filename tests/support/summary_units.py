"""Three units, of which each stage of curation rejected one, for the summary figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.support.sorted_units import make_data, trough

from spikefleet.signal.units.unit_data import UnitData

STEPS = [
    {"name": "spikes_min_first", "stage": "first", "metric": "spike_count", "bound": 30.0},
    {"name": "std_norm_max", "stage": "second", "metric": "std_norm", "bound": 1.0},
]


def make_units() -> tuple[UnitData, list[dict[str, Any]]]:
    """Three units: a curated one, one that the first stage rejected and one that the second did."""
    data = make_data(
        [[100, 200], [300], [400, 500, 600]],
        np.stack([trough(0, 80.0), trough(1, 40.0), trough(0, 60.0)]),
    )
    reasons = ("", "spikes_min_first", "std_norm_max")
    units = [
        {
            "unit_id": f"u{i}",
            "passed": not reason,
            "failed_on": reason,
            "spike_count": count,
            "std_norm": spread,
            "amplitude_uv": 50.0,
            "channel_index": 0,
        }
        for i, (reason, count, spread) in enumerate(
            zip(reasons, (200, 10, 90), (0.2, 0.4, 1.5), strict=True)
        )
    ]
    return data, units
