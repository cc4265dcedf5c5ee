"""From measurements to at most one failure: what a sorter would only fail on, or quietly get wrong.

The order matters: a NaN spoils every other number; then activity on channels that are not at a rail
is enough to sort, whatever the other channels do; then comes what explains its absence. A recording
that passes here may still hold few units; that is not a fault.
"""

from __future__ import annotations

from collections.abc import Mapping

from spikefleet.core.failures.errors import (
    InputCorruptError,
    InsufficientActivityError,
    InvalidConfigurationError,
    NoGoodChannelsError,
    SaturatedSignalError,
    SpikeSortingClassifiedError,
)
from spikefleet.core.recording.measurements import SignalMeasurements

_BAD_LIMIT = 0.9
_RAIL_LIMIT = 0.5

# The finding that the reason or the class of a verdict stands for.
_FINDINGS: Mapping[str, str] = {
    "non_finite": "finite",
    "saturated_signal": "saturated",
    "flat": "flat",
    "silent": "silent",
    "noise_only": "noise_only",
    "scale": "units_suspicious",
}


LEAST_S = 0.1
"""Less signal proves nothing: a frame never changes, and a moment without spikes is no silence."""


def finding_of(verdict: SpikeSortingClassifiedError) -> str:
    """Return the code of the finding that a verdict is; ``signal`` for one without its own."""
    return _FINDINGS.get(str(verdict.evidence.get("reason") or verdict.code), "signal")


def signal_failure(measured: SignalMeasurements) -> SpikeSortingClassifiedError | None:
    """Return the failure the measurements prove, or None when the recording can be sorted."""
    if measured.first_non_finite_s is not None:
        return _non_finite(measured)
    if measured.activity:
        return _volts(measured) if measured.scale == "volts" else None
    if measured.rail_fraction >= _RAIL_LIMIT:
        return _saturated(measured)
    if measured.silent_fraction == 1.0:
        return InsufficientActivityError(
            "Every sample is digital zero: nothing was recorded on this stream.",
            reason="silent",
            threshold_crossings=0,
        )
    bad = len({*measured.flat_channels, *measured.saturated_channels})
    if bad >= _BAD_LIMIT * measured.n_channels:
        return NoGoodChannelsError(
            f"{bad} of {measured.n_channels} channels never change or sit at the amplifier's rail, "
            "and the others show no spikes.",
            reason="flat",
            total_channels=measured.n_channels,
            bad_channels=bad,
        )
    return _volts(measured) if measured.scale == "volts" else _noise_only(measured)


def _saturated(measured: SignalMeasurements) -> SpikeSortingClassifiedError:
    return SaturatedSignalError(
        f"{measured.rail_fraction:.0%} of the samples sit at the amplifier's rail.",
        channels_saturated=len(measured.saturated_channels),
        total_channels=measured.n_channels,
        rail_fraction=measured.rail_fraction,
    )


def _volts(measured: SignalMeasurements) -> SpikeSortingClassifiedError:
    return InvalidConfigurationError(
        f"The noise is {measured.median_noise_uv:.2g} µV, too small by far: the samples are "
        "probably volts. Set recording.gain_to_uv to the right factor (1e6 for volts).",
        field="recording.gain_to_uv",
        value=None,
        reason="scale",
        noise_uv=measured.median_noise_uv,
    )


def _non_finite(measured: SignalMeasurements) -> SpikeSortingClassifiedError:
    at_s, channel = measured.first_non_finite_s, measured.first_non_finite_channel
    return InputCorruptError(
        f"The recording holds samples that are not numbers, first at {at_s:.3f} s on channel "
        f"{channel}.",
        reason="non_finite",
        first_at_s=at_s,
        channel=channel,
        finite_fraction=measured.finite_fraction,
    )


def _noise_only(measured: SignalMeasurements) -> SpikeSortingClassifiedError:
    return InsufficientActivityError(
        f"The noise threshold is crossed at {measured.n_moments} moments in "
        f"{measured.channel_seconds:.0f} channel-seconds, as noise alone does (up to "
        f"{measured.n_crossings_noise} crossings).",
        reason="noise_only",
        threshold_crossings=measured.n_crossings,
        crossings_of_noise=measured.n_crossings_noise,
        noise_uv=measured.median_noise_uv,
    )
