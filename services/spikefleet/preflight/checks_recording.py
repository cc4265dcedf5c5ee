"""Checks of the recording as a file: can it be read, does it fit the sorter and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import (
    InputCorruptError,
    InsufficientActivityError,
    InvalidConfigurationError,
    NoGoodChannelsError,
    SpikeSortingClassifiedError,
)
from spikefleet.core.findings.finding import Finding, fail, warn
from spikefleet.core.recording.verdict import LEAST_S
from spikefleet.core.sorters.catalogue import BACKENDS, RT_SORT
from spikefleet.core.text import counted
from spikefleet.preflight.registry import Facts, check

RATE_WINDOW_HZ = (10_000.0, 50_000.0)
# RT-Sort's detection models know one rate each.
_RT_SORT_RATES_HZ: Mapping[str, float] = {"mea": 20_000.0, "neuropixels": 30_000.0}
_RT_SORT_TOLERANCE = 0.005
# A sorter's batch in samples: its parameter and its default. A recording must fill one.
_KNOWN_SUFFIXES = frozenset(
    (
        *(".h5", ".hdf5", ".nwb", ".brw", ".bxr", ".zarr"),
        *(".dat", ".raw", ".bin", ".cbin", ".meta", ".json", ".oebin", ".xml", ".continuous"),
        *(".rhd", ".rhs", ".ncs", ".nev", ".ns1", ".ns2", ".ns3", ".ns4", ".ns5", ".ns6"),
    )
)
# Below this even an active unit has too few spikes for stable templates and metrics.
SHORT_S = 10.0

READ_CODES: Mapping[FailureCode, str] = {
    FailureCode.INPUT_MISSING: "recording_missing",
    FailureCode.HDF5_PLUGIN_MISSING: "hdf5_plugin_missing",
    FailureCode.INVALID_CONFIGURATION: "configuration",
}


@check("readable")
def check_readable(facts: Facts) -> Finding | None:
    """Whatever opening or reading the recording raised; the code says which kind."""
    if facts.read_error is None:
        return None
    return fail(READ_CODES.get(facts.read_error.code, "readable"), facts.read_error)


@check("channels")
def check_channels(facts: Facts) -> Finding | None:
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
            f"stream has {count}. {_others(count)}",
            field="sorter.sorter_name",
            value=facts.backend.name,
            channels=count,
        ),
    )


@check("few_contacts")
def check_few_contacts(facts: Facts) -> Finding | None:
    """Tetrodes and other small groups, given to a sorter made for long rows of contacts."""
    most = facts.geometry.most_in_group if facts.geometry else 0
    if not 0 < most < facts.backend.suited_from:
        return None
    return warn(
        "few_contacts",
        f"{facts.backend.title} is made for {facts.backend.suited_from} contacts and more on a "
        f"shank, here are {most} at most: neurons of one group may come out as one unit.",
    )


def _others(count: int) -> str:
    """Name the sorters that can work on so few channels."""
    able = [info.name for info in BACKENDS.values() if info.min_channels <= count]
    return f"Choose {', '.join(able)} (--sorter)." if able else "No sorter here can sort it."


@check("sample_rate_out_of_window")
def check_rate(facts: Facts) -> Finding | None:
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
    low_hz, high_hz = _rate_window(facts)
    if low_hz <= rate_hz <= high_hz:
        return None
    return warn(
        "sample_rate_out_of_window",
        f"The sampling rate of {rate_hz:g} Hz is outside what {facts.backend.title} is made for "
        f"({low_hz:g} to {high_hz:g} Hz).",
    )


def _rate_window(facts: Facts) -> tuple[float, float]:
    if facts.backend.name != RT_SORT:
        return RATE_WINDOW_HZ
    wanted_hz = _RT_SORT_RATES_HZ.get(facts.config.rt_sort.probe)
    if wanted_hz is None:
        return RATE_WINDOW_HZ
    return wanted_hz * (1 - _RT_SORT_TOLERANCE), wanted_hz * (1 + _RT_SORT_TOLERANCE)


@check("recording_extension_unknown")
def check_extension(facts: Facts) -> Finding | None:
    """A file whose name says nothing of its format; it was recognised by what it holds."""
    suffixes = [suffix.lower() for suffix in PurePath(facts.entry).suffixes]
    if facts.read_error is not None or not suffixes or _KNOWN_SUFFIXES.intersection(suffixes):
        return None
    return warn(
        "recording_extension_unknown",
        f"{PurePath(facts.entry).name} has the suffix of no known format.",
    )


@check("window_clipped")
def check_window_clipped(facts: Facts) -> Finding | None:
    """A window that was asked for past the recording's end: sorted is what there is."""
    if facts.recorded_s is None or not facts.sampling_rate_hz:
        return None
    group = facts.config.recording
    ends_s = [group.end_time_s or 0.0]
    ends_s += [end_s for _, end_s in group.rec_chunks_s]
    ends_s += [end / facts.sampling_rate_hz for _, end in group.rec_chunks]
    asked_s = max(ends_s)
    if asked_s <= facts.recorded_s + 0.5 / facts.sampling_rate_hz:
        return None
    return warn(
        "window_clipped",
        f"A window up to {asked_s:g} s was asked for; the recording ends at {facts.recorded_s:g} s "
        "and is sorted up to there.",
    )


@check("duration_short")
def check_duration(facts: Facts) -> Finding | None:
    """Shorter than the backend can sort, or short enough that units will be missed."""
    kept_s = facts.kept_s
    if kept_s is None:
        return None
    batch_s, field = _batch(facts)
    shortest_s = max(facts.backend.min_duration_s, batch_s, LEAST_S)
    if kept_s < shortest_s:
        return fail("duration_short", _too_short(facts, kept_s, shortest_s, field))
    if kept_s >= max(SHORT_S, 2 * shortest_s):
        return None
    return warn(
        "duration_short",
        f"Only {kept_s:.3g} s of signal: units with few spikes will be missed.",
    )


def _batch(facts: Facts) -> tuple[float, str]:
    """Return (length of one batch in s, the parameter that was set for it or "")."""
    knob = facts.backend.batch
    if knob is None or not facts.sampling_rate_hz:
        return 0.0, ""
    field = f"sorter.sorter_params.{knob.name}" if facts.sorter_params.get(knob.name) else ""
    return knob.samples(facts.sorter_params) / facts.sampling_rate_hz, field


def _too_short(
    facts: Facts, kept_s: float, shortest_s: float, batch_field: str
) -> SpikeSortingClassifiedError:
    whole_s = facts.recorded_s or kept_s
    text = f"{facts.backend.title} needs at least {shortest_s:g} s of signal, here are"
    if batch_field and kept_s >= facts.backend.min_duration_s:
        return InvalidConfigurationError(
            f"{text} {kept_s:.3g} s, less than one batch; make the batches smaller.",
            field=batch_field,
            value=facts.sorter_params.get(batch_field.rsplit(".", 1)[1]),
            duration_s=kept_s,
        )
    if whole_s >= shortest_s:
        return InvalidConfigurationError(
            f"{text} {kept_s:.3g} s in the configured window; widen the window.",
            field="recording.end_time_s",
            value=kept_s,
            duration_s=whole_s,
        )
    return InsufficientActivityError(
        f"{text} {kept_s:.3g} s.",
        reason="too_short",
        duration_s=kept_s,
        next_step="Check that the recording was not stopped as it began, then record longer.",
    )


@check("dropped_frames")
def check_dropped_frames(facts: Facts) -> Finding | None:
    """The acquisition lost samples; times after a gap are early."""
    measured = facts.measured
    if measured is None or measured.dropped_frames <= 0:
        return None
    if any(doubt.code == "frame_gaps" for doubt in facts.truth):
        return None  # the same frames, told with their place
    return warn(
        "dropped_frames",
        f"The acquisition dropped {counted(measured.dropped_frames, 'frame')}.",
    )


@check("settings_without_effect")
def check_settings(facts: Facts) -> Finding | None:
    """Somebody changed a setting and would wait in vain for what it promises."""
    if not facts.pending_changes:
        return None
    return warn(
        "settings_without_effect",
        f"{', '.join(facts.pending_changes)} changed, which has no effect yet.",
    )
