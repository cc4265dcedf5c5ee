"""What is refused before a sorter and after it: a recording without spikes, a sort without units.

Sorters meet silence each in their own way: a crash inside a clustering library, an assertion, an
empty result, or units invented out of noise. So none of them is asked. Whether a signal holds
spikes is decided where recordings are measured, for preflight and here alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikefleet.core.failures.errors import InsufficientActivityError
from spikefleet.signal.measuring.activity import CrossingTally
from spikefleet.signal.measuring.measure import search_for_spikes

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting


def require_activity(recording: BaseRecording, sorter: str) -> CrossingTally:
    """Return what was found. Raises InsufficientActivityError when noise alone explains it."""
    found = search_for_spikes(recording)
    if found.noise_explains_it:
        raise InsufficientActivityError(
            f"No spikes stand out of the noise: {found.n_crossings} threshold crossings in "
            f"{found.channel_seconds:.0f} channel-seconds, up to {found.n_crossings_noise} of them "
            "from noise alone. Check that the culture or probe was active and the reference "
            "connected.",
            sorter=sorter,
            threshold_crossings=found.n_crossings,
            crossings_of_noise=found.n_crossings_noise,
        )
    return found


def require_units(sorting: BaseSorting, sorter: str, activity: CrossingTally) -> BaseSorting:
    """Return ``sorting`` without spikeless units. Raises InsufficientActivityError when none is
    left."""
    kept = sorting.remove_empty_units()
    if len(kept.unit_ids) == 0:
        raise InsufficientActivityError(
            f"{sorter} found no units in this recording.",
            sorter=sorter,
            threshold_crossings=activity.n_crossings,
            units_at_failure=0,
            nspks_at_failure=0,
        )
    return kept
