"""Whether a folder that a sort left may be given to SpikeInterface: data only, nothing that runs.

A sorter that was taken over writes what it likes. SpikeInterface unpickles files by their name and
arrays by their header, and makes objects of the classes a JSON names; what such a file may hold is
decided here, before.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.units.plain_arrays import what_is_wrong

_CODE_SUFFIXES = frozenset({".pkl", ".pickle", ".py", ".pyc", ".so"})
_MODULE = "spikeinterface"
# What ``build_analyzer`` leaves. Other classes of SpikeInterface read, or run, files elsewhere.
_CLASSES = frozenset(
    {
        "spikeinterface.core.analyzer_extension_core.ComputeNoiseLevels",
        "spikeinterface.core.analyzer_extension_core.ComputeRandomSpikes",
        "spikeinterface.core.analyzer_extension_core.ComputeTemplates",
        "spikeinterface.core.analyzer_extension_core.ComputeWaveforms",
        "spikeinterface.core.binaryfolder.BinaryFolderRecording",
        "spikeinterface.core.sortingfolder.NumpyFolderSorting",
        "spikeinterface.metrics.quality.quality_metrics.ComputeQualityMetrics",
        "spikeinterface.metrics.template.template_metrics.ComputeTemplateMetrics",
        "spikeinterface.postprocessing.correlograms.ComputeCorrelograms",
        "spikeinterface.postprocessing.principal_component.ComputePrincipalComponents",
        "spikeinterface.postprocessing.spike_amplitudes.ComputeSpikeAmplitudes",
        "spikeinterface.postprocessing.spike_locations.ComputeSpikeLocations",
        "spikeinterface.postprocessing.template_similarity.ComputeTemplateSimilarity",
        "spikeinterface.postprocessing.unit_locations.ComputeUnitLocations",
    }
)
_MAX_DOCUMENT_BYTES = 64 << 20


def require_data_only(folder: Path) -> None:
    """Refuse a folder with pickles, arrays of objects, links, code or documents that name classes.

    Only the classes that a sort leaves may be named. Raises InputCorruptError, naming the file.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _refused(path, folder, "a link or no plain file")
        if path.suffix.lower() in _CODE_SUFFIXES:
            raise _refused(path, folder, "a pickle or code, which is never loaded")
        if path.suffix.lower() == ".zarr" or path.name.lower() in (".zgroup", "zarr.json"):
            raise _refused(path, folder, "a zarr store, whose codecs may unpickle")
        if path.is_file():
            _check_file(path, folder)


def _check_file(path: Path, folder: Path) -> None:
    try:
        wrong = what_is_wrong(path)
    except OSError as error:
        raise _refused(path, folder, "a file that cannot be read") from error
    if wrong:
        raise _refused(path, folder, wrong)
    suffix = path.suffix.lower()
    if suffix in (".json", ".csv") and path.stat().st_size > _MAX_DOCUMENT_BYTES:
        raise _refused(path, folder, "a document without bounds")
    if suffix == ".json":
        _check_document(path, folder)


def _check_document(path: Path, folder: Path) -> None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        foreign = _foreign_class(document)
    except (ValueError, RecursionError) as error:
        raise _refused(path, folder, "no readable document") from error
    if foreign:
        raise _refused(path, folder, f"a document that names the class {foreign[:100]!r}")


def _foreign_class(document: Any) -> str:
    """The first class or module named in a document that no sort of ours leaves; "" for none."""
    if isinstance(document, list):
        return next(filter(None, map(_foreign_class, document)), "")
    if not isinstance(document, dict):
        return ""
    named, module = document.get("class"), document.get("module")
    if isinstance(named, str) and named not in _CLASSES:
        return named
    if isinstance(module, str) and module != _MODULE:
        return module
    return next(filter(None, map(_foreign_class, document.values())), "")


def _refused(path: Path, folder: Path, what: str) -> InputCorruptError:
    return InputCorruptError(
        f"The sort's analyzer holds {what} ({path.relative_to(folder)}); sort the run again.",
        path=str(path.relative_to(folder)),
        reason="not_data_only",
    )
