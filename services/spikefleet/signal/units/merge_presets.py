"""SpikeInterface's presets for units that are one neuron: the one door to its automatic merges.

It is given a copy in memory, so that it writes nothing beside the sort, and no recording. A preset
that needs what the sort did not keep is refused with what that is.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from spikeinterface.core import SortingAnalyzer

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.units.analyzer_folder import open_analyzer
from spikefleet.signal.units.library_metrics import LIBRARY_RAISES

# A preset may also need a package that is not installed.
_RAISED = (*LIBRARY_RAISES, ImportError)
# Beyond what a preset makes itself from templates and spike times.
_NEEDS = {"feature_neighbors": ("spike_locations", "spike_amplitudes")}
_FEWEST_UNITS = 2


def groups_by_preset(folder: Path, preset: str) -> list[tuple[str, ...]]:
    """Return the groups of units that a preset would merge, by their ids as texts.

    Raises InputCorruptError for a folder that is no analyzer, InvalidConfigurationError for a
    preset that cannot be applied to this sort.
    """
    from spikeinterface.curation import compute_merge_unit_groups  # noqa: PLC0415 - takes a second

    analyzer = open_analyzer(folder)
    if len(analyzer.unit_ids) < _FEWEST_UNITS:
        return []
    missing = [name for name in _NEEDS.get(preset, ()) if not analyzer.has_extension(name)]
    if missing:
        raise _refused(preset, f"the sort kept no {' or '.join(missing)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            groups = compute_merge_unit_groups(_in_memory(analyzer), preset, resolve_graph=True)
    except _RAISED as error:
        told = " ".join((str(error) or type(error).__name__).split())[:200]
        raise _refused(preset, told) from error
    return [tuple(str(unit) for unit in group) for group in groups]


def _in_memory(analyzer: SortingAnalyzer) -> SortingAnalyzer:
    """A copy that the library may write into, which it does: it blanks bins of correlograms."""
    copied = analyzer.copy()
    for extension in copied.extensions.values():
        for name, values in extension.data.items():
            if isinstance(values, np.ndarray) and not values.flags.writeable:
                extension.data[name] = np.array(values)
    return copied


def _refused(preset: str, why: str) -> InvalidConfigurationError:
    return InvalidConfigurationError(
        f"Merges by {preset} cannot be found in this sort: {why}. Choose another "
        "curation.merge_method, or curation.merge=none.",
        field="curation.merge_method",
        value=preset,
    )
