"""spikefleet: a spike-sorting service for a whole neuroscience facility.

``sort_recording`` and ``sort_multistream`` sort from a notebook; ``SortingClient`` talks to a
service; ``load_results`` reads what either left in a folder, and ``export_results`` writes it as
files of other tools; ``SortRunReport``, ``extract_unit_quality_stats``, ``parse_sorting_log`` and
``generate_sorting_report`` report on them. They are loaded when first used, so that importing the
package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikefleet.client.sorting import SortingClient
    from spikefleet.deploy.notebook import RecordingResult, sort_multistream, sort_recording
    from spikefleet.deploy.sorting_report import (
        SortRunReport,
        extract_unit_quality_stats,
        generate_sorting_report,
        parse_sorting_log,
    )
    from spikefleet.signal.exports.session_metadata import SessionMetadata
    from spikefleet.signal.exports.write import export_results
    from spikefleet.signal.units.fetched_results import FetchedResults, load_results

__all__ = [
    "FetchedResults",
    "RecordingResult",
    "SessionMetadata",
    "SortRunReport",
    "SortingClient",
    "export_results",
    "extract_unit_quality_stats",
    "generate_sorting_report",
    "load_results",
    "parse_sorting_log",
    "sort_multistream",
    "sort_recording",
]

_HOMES = {
    "SortingClient": "spikefleet.client.sorting",
    "FetchedResults": "spikefleet.signal.units.fetched_results",
    "RecordingResult": "spikefleet.deploy.notebook",
    "SessionMetadata": "spikefleet.signal.exports.session_metadata",
    "SortRunReport": "spikefleet.deploy.sorting_report",
    "export_results": "spikefleet.signal.exports.write",
    "extract_unit_quality_stats": "spikefleet.deploy.sorting_report",
    "generate_sorting_report": "spikefleet.deploy.sorting_report",
    "load_results": "spikefleet.signal.units.fetched_results",
    "parse_sorting_log": "spikefleet.deploy.sorting_report",
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
