"""spikefleet: a spike-sorting service for a whole neuroscience facility.

``sort_recording`` and ``sort_multistream`` sort from a notebook; ``SortingClient`` talks to a
service; ``load_results`` reads what either left in a folder, and ``export_results`` writes it as
files of other tools. They are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikefleet.client.sorting import SortingClient
    from spikefleet.deploy.notebook import RecordingResult, sort_multistream, sort_recording
    from spikefleet.signal.exports.session_metadata import SessionMetadata
    from spikefleet.signal.exports.write import export_results
    from spikefleet.signal.units.fetched_results import FetchedResults, load_results

__all__ = [
    "FetchedResults",
    "RecordingResult",
    "SessionMetadata",
    "SortingClient",
    "export_results",
    "load_results",
    "sort_multistream",
    "sort_recording",
]

_HOMES = {
    "SortingClient": "spikefleet.client.sorting",
    "FetchedResults": "spikefleet.signal.units.fetched_results",
    "RecordingResult": "spikefleet.deploy.notebook",
    "SessionMetadata": "spikefleet.signal.exports.session_metadata",
    "export_results": "spikefleet.signal.exports.write",
    "load_results": "spikefleet.signal.units.fetched_results",
    "sort_multistream": "spikefleet.deploy.notebook",
    "sort_recording": "spikefleet.deploy.notebook",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, also those that are not loaded yet."""
    return sorted(__all__)
