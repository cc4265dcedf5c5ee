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
    """What was measured. Times are seconds from the start; channels are ids as text."""

    n_channels: int  #: channels of the stream
    sampling_rate_hz: float  #: its rate
    duration_s: float  #: its length
    measured_s: float  #: how much of it was looked at
    finite_fraction: float  #: share of samples that are numbers
    first_non_finite_s: float | None  #: where the first sample is that is not a number
    first_non_finite_channel: str | None  #: its channel
    noise_uv: tuple[float, ...]  #: robust deviation, by channel (µV)
    median_noise_uv: float  #: its median over channels that move
    flat_channels: tuple[str, ...]  #: channels that never move
    flat_fraction: float  #: their share
    silent_fraction: float  #: share of channels that hold nothing but zeros
    saturated_channels: tuple[str, ...]  #: channels that sit at the rail
    rail_fraction: float  #: share of samples at the rails, over all channels
    range_uv: tuple[float, float]  #: lowest and highest value (µV)
    median_peak_to_peak_uv: float  #: span of a typical channel (µV)
    channel_seconds: float  #: channels times seconds in which crossings were counted
    n_crossings: int  #: threshold crossings of both polarities in these
    n_crossings_noise: int  #: the most that noise alone may show there
    negative_crossings_hz: float  #: negative crossings by channel and second
    gaussian_crossings_hz: float  #: what Gaussian noise would show of them
    #: "ok", "volts" (far too small to be µV), "coarse" (far too large), "unknown" (nothing moves)
    scale: str
    dropped_frames: int = 0  #: frames the file says it lost
    #: what noise does not explain: "crossings", "channel", "skewed", "skewed_channel"; "" nothing
    activity: str = ""
    n_moments: int = 0  #: milliseconds with a crossing on any channel
    n_active_channels: int = 0  #: channels that show more than noise on their own
    dead_channels: tuple[str, ...] = ()  #: channels quieter than all others
    noisy_channels: tuple[str, ...] = ()  #: channels far louder than all others
    identical_channels: tuple[tuple[str, ...], ...] = ()  #: groups that carry the same samples
    activity_over_time: tuple[ActivityAt, ...] = ()  #: moments by place in the recording
    #: share of the time that artifacts over a large array took; not counted above
    artifact_fraction: float = 0.0
    #: share of the raw power below 1 kHz at ``mains_hz`` and its harmonics
    mains_fraction: float = 0.0
    mains_hz: float = 0.0  #: 50 or 60

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        document: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return document
