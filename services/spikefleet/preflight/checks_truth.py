"""Checks of what a file says of itself: gaps, scale, type, channel count, places.

``signal.measuring.truth_checks`` finds what is doubtful, once for each recording of a joined one;
here its findings take their place among the others. Notes are for ``inspect`` alone. Samples that
are not numbers are left to the signal's verdict, which looks at all of them.
"""

from __future__ import annotations

from spikefleet.core.findings.checks import Look
from spikefleet.core.findings.finding import Finding, warn
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


def _truth_check(code: str) -> Look[Facts]:
    def check_doubt(facts: Facts) -> tuple[Finding, ...]:
        return tuple(finding for finding in facts.truth if finding.code == code)

    return check_doubt


for _code in _CODES:
    check(_code)(_truth_check(_code))


@check("geometry_suspicious")
def check_geometry(facts: Facts) -> Finding | None:
    """Places that no array has: sorters would merge or lose units by them."""
    if facts.geometry is None or not facts.geometry.doubt:
        return None
    return warn("geometry_suspicious", f"{facts.geometry.doubt}.")
