"""Checks of the signal: is there anything in it to sort, and which of it is not fit.

What proves a recording unsortable is decided by ``core.recording.verdict``; here each proof gets
the code and the words of a finding, and lesser oddities become warnings.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spikefleet.core.findings.finding import Finding, fail, warn
from spikefleet.core.recording.measurements import SignalMeasurements
from spikefleet.core.recording.verdict import finding_of
from spikefleet.preflight.registry import Facts, check

MAINS_LIMIT = 0.5
ARTIFACT_LIMIT = 0.05
# A quiet start is told when so many moments were due in it, and this share of them came at most.
_QUIET_DUE = 10.0
_QUIET_SHARE = 0.1


def _verdict_check(code: str) -> Callable[[Facts], Finding | None]:
    def check_verdict(facts: Facts) -> Finding | None:
        verdict = facts.verdict
        return fail(code, verdict) if verdict and finding_of(verdict) == code else None

    return check_verdict


for _code in ("finite", "saturated", "flat", "silent", "noise_only", "signal"):
    check(_code)(_verdict_check(_code))


@check("units_suspicious")
def check_units(facts: Facts) -> Finding | None:
    """Noise far from any amplifier's: volts fail, what is far too large is only told."""
    measured = facts.measured
    if facts.verdict is not None:
        return _verdict_check("units_suspicious")(facts)
    if measured is None or measured.scale != "coarse":
        return None
    return warn(
        "units_suspicious",
        f"The noise is {measured.median_noise_uv:.3g} µV, which no amplifier's input has: the "
        "samples may be raw counts.",
    )


@check("flat_channels")
def check_flat_channels(facts: Facts) -> Finding | None:
    """Some channels never change, but others can be sorted."""
    return _some_channels(facts, "flat_channels", "never change")


@check("saturated_channels")
def check_saturated_channels(facts: Facts) -> Finding | None:
    """Some channels sit at the rail, but others can be sorted."""
    return _some_channels(facts, "saturated_channels", "sit at the amplifier's rail")


@check("dead_channels")
def check_dead_channels(facts: Facts) -> Finding | None:
    """Some channels have far less noise than the others."""
    return _some_channels(facts, "dead_channels", "have far less noise than the others")


@check("noisy_channels")
def check_noisy_channels(facts: Facts) -> Finding | None:
    """Some channels have far more noise than the others."""
    return _some_channels(facts, "noisy_channels", "have far more noise than the others")


@check("identical_channels")
def check_identical_channels(facts: Facts) -> Finding | None:
    """Channels that carry the same samples as another one."""
    measured = _sortable(facts)
    if measured is None or not measured.identical_channels:
        return None
    groups = measured.identical_channels
    listed = "; ".join(" and ".join(group[:4]) for group in groups[:4])
    return warn(
        "identical_channels",
        f"{sum(len(group) for group in groups)} channels carry the samples of another one "
        f"({listed}{' and others' if len(groups) > 4 else ''}).",
    )


@check("mains_load")
def check_mains(facts: Facts) -> Finding | None:
    """Hum outweighs the rest of the slow signal."""
    measured = _sortable(facts)
    if measured is None or measured.mains_fraction <= MAINS_LIMIT:
        return None
    return warn(
        "mains_load",
        f"{measured.mains_fraction:.0%} of the power below 1 kHz is hum of "
        f"{measured.mains_hz:g} Hz.",
    )


@check("artifact_load")
def check_artifacts(facts: Facts) -> Finding | None:
    """Artifacts over the whole array take a noticeable share of the time."""
    measured = _sortable(facts)
    if measured is None or measured.artifact_fraction <= ARTIFACT_LIMIT:
        return None
    return warn(
        "artifact_load",
        f"{measured.artifact_fraction:.0%} of the time holds artifacts on nearly all channels.",
    )


@check("quiet_start")
def check_quiet_start(facts: Facts) -> Finding | None:
    """Silent at first, active later: no fault, but some sorters learn from the start."""
    measured = _sortable(facts)
    quiet_s = quiet_until_s(measured) if measured is not None else 0.0
    if quiet_s <= 0:
        return None
    return warn(
        "quiet_start",
        f"The first spikes come after about {quiet_s:.3g} s.",
        _sampling_remedy(facts, quiet_s),
    )


def _sampling_remedy(facts: Facts, quiet_s: float) -> str:
    """Of a sorter that learns from a part of its batches; "" unless all of these are quiet."""
    kept_s, rate_hz, knob = facts.kept_s or 0.0, facts.sampling_rate_hz or 0.0, facts.backend.batch
    if knob is None or not knob.learns_from_every or not kept_s or not rate_hz:
        return ""
    batch_s = knob.samples(facts.sorter_params) / rate_hz
    learned_s = np.arange(0.0, kept_s, knob.learns_from_every * batch_s)
    if (learned_s + batch_s > quiet_s).any():
        return ""
    wanted = int((quiet_s + kept_s) / 2 / knob.learns_from_every * rate_hz)
    return (
        f"{facts.backend.title} learns from every {knob.learns_from_every}th batch, and all of "
        "these are quiet: start the window at the activity or set "
        f"sorter_params.{knob.name} to {wanted} or less."
    )


def quiet_until_s(measured: SignalMeasurements) -> float:
    """Return when activity begins, as far as the windows tell; 0 when it is there at once."""
    points = sorted(measured.activity_over_time, key=lambda point: point.at_s)
    for index, point in enumerate(points):
        came = sum(entry.n_moments for entry in points[: index + 1])
        later = points[index + 1 :]
        later_s = sum(entry.seconds for entry in later)
        if not later_s:
            return 0.0
        due_hz = sum(entry.n_moments for entry in later) / later_s
        due = due_hz * sum(entry.seconds for entry in points[: index + 1])
        if came > _QUIET_SHARE * due:
            return 0.0
        if due >= _QUIET_DUE and later[0].n_moments > _QUIET_SHARE * due_hz * later[0].seconds:
            return max(point.at_s + point.seconds / 2, 0.0)
    return 0.0


def _sortable(facts: Facts) -> SignalMeasurements | None:
    """The measurements of a recording that can be sorted: its lesser faults are worth telling."""
    return facts.measured if facts.verdict is None else None


def _some_channels(facts: Facts, code: str, words: str) -> Finding | None:
    measured = _sortable(facts)
    channels: tuple[str, ...] = getattr(measured, code) if measured is not None else ()
    if measured is None or not channels:
        return None
    listed = ", ".join(channels[:8]) + ("" if len(channels) <= 8 else " and others")
    return warn(code, f"{len(channels)} of {measured.n_channels} channels {words} ({listed}).")
