"""Checks of what a file says of itself: gaps, scale, type, channel count, places.

``signal.measuring.truth_checks`` decides what is doubtful; here each doubt becomes a finding, and
those that would spoil every result become failures. Samples that are not numbers are left to the
signal's verdict, which looks at all of them.
"""

from __future__ import annotations

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.core.findings.checks import Look
from spikefleet.core.findings.finding import PreflightFinding, fail, warn
from spikefleet.core.recording.truth_findings import TruthFinding, TruthLevel
from spikefleet.preflight.registry import Facts, check

_CODES = (
    "duplicate_channels",
    "gain_invalid",
    "scaled_twice",
    "frame_gaps",
    "gain_missing",
    "scale_doubtful",
    "wrong_dtype",
    "wrong_channel_count",
    "duplicate_positions",
    "unplaced_channels",
    "clock_differs",
    "rates_differ",
    "repeated_stamps",
    "not_closed",
    "probes_laid_apart",
    "sidecar_decided",
    "clock_set_back",
    "unnumbered_frames",
    "channels_left_out",
)
_SCALE_CODES = ("gain_invalid", "scaled_twice")


def _truth_check(code: str) -> Look[Facts]:
    def check_doubt(facts: Facts) -> PreflightFinding | None:
        doubt = next((entry for entry in facts.truth if entry.code == code), None)
        if doubt is None:
            return None
        if doubt.level is TruthLevel.FAIL:
            return fail(code, _error(doubt))
        return warn(code, doubt.message, doubt.remediation)

    return check_doubt


def _error(doubt: TruthFinding) -> InputCorruptError | InvalidConfigurationError:
    text = f"{doubt.message} {doubt.remediation}"
    evidence = dict(doubt.where)
    if doubt.code in _SCALE_CODES:
        return InvalidConfigurationError(
            text, field="recording.gain_to_uv", value=None, reason=doubt.code, **evidence
        )
    return InputCorruptError(text, reason=doubt.code, **evidence)


for _code in _CODES:
    check(_code)(_truth_check(_code))


@check("geometry_suspicious")
def check_geometry(facts: Facts) -> PreflightFinding | None:
    """Places that no array has: sorters would merge or lose units by them."""
    if facts.geometry is None or not facts.geometry.doubt:
        return None
    return warn("geometry_suspicious", f"{facts.geometry.doubt}.")
