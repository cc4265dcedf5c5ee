"""SpikeInterface's analyzer with what curation decided, for its GUI and for scripts.

The units are the sort's, as they were measured: what curation made of them stands in properties of
each unit, and in ``spikeinterface_gui/curation_data.json``, where the GUI looks for labels, merges
and removals. A unit that was merged or split is there as the units of the sort that it is made of.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import ChannelSparsity, SortingAnalyzer

from spikefleet.core.attempts import KEPT_RECORDING
from spikefleet.core.failures.errors import InputMissingError
from spikefleet.core.files import write_json
from spikefleet.signal.exports.curation_json import curation_document
from spikefleet.signal.exports.hand_curation import hand_curation
from spikefleet.signal.exports.source import ANALYZER, ExportSource
from spikefleet.signal.units.analyzer_folder import open_analyzer, reading
from spikefleet.signal.units.library_metrics import METRICS

# Where SpikeInterface's GUI looks for a curation of the analyzer it opens.
_GUI = "spikeinterface_gui/curation_data.json"
_KEPT = Path("sort") / KEPT_RECORDING


def write_analyzer(source: ExportSource, folder: Path) -> None:
    """Write the analyzer of the exported units, with the recording by its place where it was kept.

    Raises InputMissingError where no unit is left: SpikeInterface makes no analyzer of none.
    """
    parts = _parts(source)
    root = source.results.folder
    analyzer = open_analyzer(root / ANALYZER)
    chosen = [unit for unit in map(str, analyzer.unit_ids) if unit in parts]
    if not chosen:
        raise InputMissingError(
            f"{source.results.run_id} has no units to open in SpikeInterface. Export the rejected "
            "ones too (--with-failed), or see what rejected them in curate/units.csv.",
            path=str(folder),
        )
    with reading(root / ANALYZER):
        for name in METRICS:
            if name in analyzer.get_saved_extension_names():
                analyzer.load_extension(name)
        _name_units(analyzer)
    columns = _columns(source, list(analyzer.unit_ids))
    for name, values in columns.items():
        analyzer.sorting.set_property(name, values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there is no recording is intended
        analyzer.select_units(chosen, folder=folder, format="binary_folder")
    for left in (folder / "sorting").glob("provenance.*"):
        left.unlink()  # the place it names is where this was made
    _name_recording(root / _KEPT, folder)
    document = curation_document(hand_curation(source), chosen)
    write_json(folder / _GUI, document)


def _parts(source: ExportSource) -> set[str]:
    """The units of the sort that the exported ones are, or are made of."""
    made_from = source.edits.made_from
    names = (unit.quality.unit_id for unit in source.units)
    return {part for name in names for part in made_from.get(name, (name,))}


def _name_units(analyzer: SortingAnalyzer) -> None:
    """Call units by their names, as the curation does: most sorters number theirs.

    SpikeInterface can rename the units of a sorting, not of an analyzer.
    """
    names = [str(unit) for unit in analyzer.unit_ids]
    analyzer.sorting = analyzer.sorting.rename_units(names)
    if analyzer.sparsity is not None:
        mask, channels = analyzer.sparsity.mask, analyzer.channel_ids
        analyzer.sparsity = ChannelSparsity(mask, names, channels)
    for name in METRICS:
        tables = analyzer.extensions[name].data.values() if name in analyzer.extensions else ()
        for table in tables:
            if hasattr(table, "loc"):  # a table; others are arrays of numbers
                table.index = names


def _columns(source: ExportSource, sorted_units: list[str]) -> Mapping[str, NDArray[Any]]:
    """What curation decided of each unit of the sort, by the name of its property.

    A unit that became one other has that one's verdict and label; one that became several is kept
    where any of them is, and has the label that they share.
    """
    became: dict[str, list[str]] = {unit: [] for unit in sorted_units}
    for made, parts in source.edits.made_from.items():
        for part in parts:
            became[part].append(made)
    rows = []
    for unit in sorted_units:
        names = [name for name in became[unit] or [unit] if name in source.results.units]
        found = [source.results.units[name] for name in names]
        rows.append(
            {
                "curated_unit": " ".join(names),
                "passed": any(each.passed for each in found),
                "failed_on": _shared([each.failed_on for each in found]),
                "label": _shared([str(each.metrics.get("label") or "") for each in found]),
                "label_why": _shared([str(each.metrics.get("label_why") or "") for each in found]),
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]} if rows else {}


def _shared(values: list[str]) -> str:
    return values[0] if len(set(values)) == 1 else ""


def _name_recording(kept: Path, folder: Path) -> None:
    """Let the analyzer name the recording that was kept beside the sort, relative to itself.

    Written as SpikeInterface would write it, so that the recording need not be opened for it.
    """
    if not kept.is_dir() or kept.is_symlink():
        return
    document = {
        "class": "spikeinterface.core.binaryfolder.BinaryFolderRecording",
        "module": "spikeinterface",
        "version": version("spikeinterface"),
        "kwargs": {"folder_path": os.path.relpath(kept, folder)},
        "annotations": {},
        "properties": {},
        "relative_paths": True,
    }
    write_json(folder / "recording.json", document)
