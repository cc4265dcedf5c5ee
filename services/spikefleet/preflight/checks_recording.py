"""Checks of the recording: can it be read, and is there anything in it to sort.

What proves a recording unsortable is decided by ``core.recordings``; here each proof gets the code
and the words of a finding, and lesser oddities become warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import (
    InputCorruptError,
    InsufficientActivityError,
    InvalidConfigurationError,
    NoGoodChannelsError,
)
from spikefleet.core.findings.finding import PreflightFinding, fail, warn
from spikefleet.preflight.registry import Facts, check

RATE_WINDOW_HZ = (10_000.0, 50_000.0)
# Below this even an active unit has too few spikes for stable templates and metrics.
SHORT_S = 10.0

_READ_CODES: Mapping[FailureCode, str] = {
    FailureCode.INPUT_MISSING: "recording_missing",
    FailureCode.HDF5_PLUGIN_MISSING: "hdf5_plugin_missing",
    FailureCode.INVALID_CONFIGURATION: "configuration",
}
# The finding's code for the reason or class that the signal's verdict carries.
_VERDICT_CODES: Mapping[str, str] = {
    "non_finite": "finite",
    "saturated_signal": "saturated",
    "flat": "flat",
    "silent": "silent",
    "noise_only": "noise_only",
    "scale": "units_suspicious",
}


@check("readable")
def check_readable(facts: Facts) -> PreflightFinding | None:
    """Whatever opening or reading the recording raised; the code says which kind."""
    if facts.read_error is None:
        return None
    return fail(_READ_CODES.get(facts.read_error.code, "readable"), facts.read_error)


@check("channels")
def check_channels(facts: Facts) -> PreflightFinding | None:
    """No channel, or fewer than the backend can work with."""
    count = facts.channel_count
    if count is None or count >= max(1, facts.backend.min_channels):
        return None
    if count == 0:
        return fail(
            "channels",
            NoGoodChannelsError("The stream has no channels.", total_channels=0, bad_channels=0),
        )
    return fail(
        "channels",
        InvalidConfigurationError(
            f"{facts.backend.title} needs at least {facts.backend.min_channels} channels, the "
            f"stream has {count}; choose another sorter.",
            field="sorter.sorter_name",
            value=facts.backend.name,
            channels=count,
        ),
    )


@check("sample_rate_out_of_window")
def check_rate(facts: Facts) -> PreflightFinding | None:
    """A rate that spike sorters are not made for, or none at all."""
    rate_hz = facts.sampling_rate_hz
    if rate_hz is None:
        return None
    if not rate_hz > 0:
        return fail(
            "sample_rate_out_of_window",
            InputCorruptError(
                f"The recording says it has {rate_hz} samples per second.",
                reason="sampling_rate",
                sampling_rate_hz=rate_hz,
            ),
        )
    low_hz, high_hz = RATE_WINDOW_HZ
    if low_hz <= rate_hz <= high_hz:
        return None
    return warn(
        "sample_rate_out_of_window",
        f"The sampling rate of {rate_hz:g} Hz is outside {low_hz:g} to {high_hz:g} Hz.",
    )


@check("duration_short")
def check_duration(facts: Facts) -> PreflightFinding | None:
    """Shorter than the backend can sort, or short enough that units will be missed."""
    kept_s, shortest_s = facts.kept_s, facts.backend.min_duration_s
    if kept_s is None:
        return None
    if kept_s < shortest_s:
        whole_s = facts.measured.duration_s if facts.measured else kept_s
        text = f"{facts.backend.title} needs at least {shortest_s:g} s of signal, here are"
        if whole_s >= shortest_s:
            return fail(
                "duration_short",
                InvalidConfigurationError(
                    f"{text} {kept_s:.3g} s in the configured window; widen the window.",
                    field="recording.end_time_s",
                    value=kept_s,
                    duration_s=whole_s,
                ),
            )
        return fail(
            "duration_short",
            InsufficientActivityError(
                f"{text} {kept_s:.3g} s.", reason="too_short", duration_s=kept_s
            ),
        )
    if kept_s >= max(SHORT_S, 2 * shortest_s):
        return None
    return warn(
        "duration_short",
        f"Only {kept_s:.3g} s of signal: units with few spikes will be missed.",
    )


def _verdict_check(code: str) -> Callable[[Facts], PreflightFinding | None]:
    def check_verdict(facts: Facts) -> PreflightFinding | None:
        verdict = facts.verdict
        if verdict is None:
            return None
        reason = str(verdict.evidence.get("reason") or verdict.code)
        if _VERDICT_CODES.get(reason, "signal") != code:
            return None
        return fail(code, verdict)

    return check_verdict


for _code in ("finite", "saturated", "flat", "silent", "noise_only", "signal"):
    check(_code)(_verdict_check(_code))


@check("flat_channels")
def check_flat_channels(facts: Facts) -> PreflightFinding | None:
    """Some channels never change, but not so many that nothing is left."""
    measured = facts.measured
    if measured is None or facts.verdict is not None or not measured.flat_channels:
        return None
    return warn(
        "flat_channels",
        f"{len(measured.flat_channels)} of {measured.n_channels} channels never change.",
        f"Check the connection of {_some(measured.flat_channels)}.",
    )


@check("saturated_channels")
def check_saturated_channels(facts: Facts) -> PreflightFinding | None:
    """Some channels sit at the rail, but most do not."""
    measured = facts.measured
    if measured is None or facts.verdict is not None or not measured.saturated_channels:
        return None
    return warn(
        "saturated_channels",
        f"{len(measured.saturated_channels)} of {measured.n_channels} channels sit at the "
        "amplifier's rail.",
        f"Check the reference and the gain of {_some(measured.saturated_channels)}.",
    )


@check("units_suspicious")
def check_units(facts: Facts) -> PreflightFinding | None:
    """Noise far from any amplifier's: volts fail, what is far too large is only told."""
    measured = facts.measured
    if facts.verdict is not None:
        return _verdict_check("units_suspicious")(facts)
    if measured is None or measured.scale != "coarse":
        return None
    return warn(
        "units_suspicious",
        f"The noise is {measured.median_noise_uv:.3g} µV, which no amplifier's input has.",
    )


@check("dropped_frames")
def check_dropped_frames(facts: Facts) -> PreflightFinding | None:
    """The acquisition lost samples; times after a gap are early."""
    measured = facts.measured
    if measured is None or measured.dropped_frames <= 0:
        return None
    if any(doubt.code == "frame_gaps" for doubt in facts.truth):
        return None  # the same frames, told with their place
    return warn(
        "dropped_frames",
        f"The acquisition dropped {measured.dropped_frames} frames.",
    )


def _some(channels: tuple[str, ...]) -> str:
    listed = ", ".join(channels[:8])
    return f"channels {listed}" + ("" if len(channels) <= 8 else " and others")


@check("settings_without_effect")
def check_settings(facts: Facts) -> PreflightFinding | None:
    """Somebody changed a setting and would wait in vain for what it promises."""
    if not facts.pending_changes:
        return None
    return warn(
        "settings_without_effect",
        f"{', '.join(facts.pending_changes)} changed, which has no effect yet.",
    )
