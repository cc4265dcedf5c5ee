"""Which signals can hold spikes at all: by their rate, and by the band their name says they are.

A local field potential sorted by accident gives units that look real. Every format asks here, so
that a slow or low-passed stream is named beside the others and never among them.
"""

from __future__ import annotations

import re

LEAST_SPIKE_RATE_HZ = 5000.0
"""A spike lasts about a millisecond: below this rate it is five samples or fewer."""
LEAST_HIGH_CUT_HZ = 1000.0
"""Spikes are above 300 Hz; what is cut off below this holds none of their shape."""
_FIELD_POTENTIAL = re.compile(r"(?<![A-Z])LFP?(?![a-z])|(?<![A-Za-z])lfp?(?![a-z])")
_TAKE = re.compile(r"/takes?\d*$")


def is_fast_enough(sampling_rate_hz: float) -> bool:
    """Say whether a signal of this rate can hold spikes."""
    return sampling_rate_hz >= LEAST_SPIKE_RATE_HZ


def is_field_potential(name: str) -> bool:
    """Say whether a stream's own name ("ElectricalSeriesLF", "lfp") calls it a field potential."""
    own = _TAKE.sub("", name).rpartition("/")[2]
    return _FIELD_POTENTIAL.search(own) is not None


def why_unsortable(name: str, sampling_rate_hz: float) -> str:
    """Return why a stream holds no spikes, "" where nothing says so."""
    if sampling_rate_hz and not is_fast_enough(sampling_rate_hz):
        return f"is sampled at {sampling_rate_hz:g} Hz, too slowly for spikes"
    return "is a local field potential by its name" if is_field_potential(name) else ""
