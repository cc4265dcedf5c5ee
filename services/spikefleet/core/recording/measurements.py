"""What is measured of a signal, as plain data. Measures nothing itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ActivityAt:
    """Milliseconds with a crossing on any channel, in ``seconds`` looked at around ``at_s``."""

    at_s: float
    n_moments: int
    seconds: float


@dataclass(frozen=True)
class SignalMeasurements:
    """What was measured. Times are seconds from the start; channels are ids as text.

    ``scale`` is "ok", "volts" (values a million or a thousand times too small to be µV), "coarse"
    (far too large) or "unknown" (nothing moves). ``n_crossings`` counts both polarities over
    ``channel_seconds``; ``n_crossings_noise`` is the most that noise alone may show there.
    ``activity`` names what noise does not explain ("crossings", "channel", "skewed",
    "skewed_channel"), "" when it explains everything. ``n_moments`` counts milliseconds with a
    crossing on any channel. Artifacts common to a large array are not
    counted; ``artifact_fraction`` is the share of the time they took. ``mains_fraction`` is the
    share of the raw power below 1 kHz at ``mains_hz`` and its harmonics.
    """

    n_channels: int
    sampling_rate_hz: float
    duration_s: float
    measured_s: float
    finite_fraction: float
    first_non_finite_s: float | None
    first_non_finite_channel: str | None
    noise_uv: tuple[float, ...]
    median_noise_uv: float
    flat_channels: tuple[str, ...]
    flat_fraction: float
    silent_fraction: float
    saturated_channels: tuple[str, ...]
    rail_fraction: float
    range_uv: tuple[float, float]
    median_peak_to_peak_uv: float
    channel_seconds: float
    n_crossings: int
    n_crossings_noise: int
    negative_crossings_hz: float
    gaussian_crossings_hz: float
    scale: str
    dropped_frames: int = 0
    activity: str = ""
    n_moments: int = 0
    n_active_channels: int = 0
    dead_channels: tuple[str, ...] = ()
    noisy_channels: tuple[str, ...] = ()
    identical_channels: tuple[tuple[str, ...], ...] = ()
    activity_over_time: tuple[ActivityAt, ...] = ()
    artifact_fraction: float = 0.0
    mains_fraction: float = 0.0
    mains_hz: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        document: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return document
