"""A fetched run in the formats that were asked for, each whole or not there."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.files import sha256_of, write_json
from spikefleet.signal.exports.analyzer import write_analyzer
from spikefleet.signal.exports.compiled import write_compiled, write_mat, write_npz
from spikefleet.signal.exports.curation_json import write_curation_json
from spikefleet.signal.exports.nwb import write_nwb
from spikefleet.signal.exports.phy import write_phy
from spikefleet.signal.exports.recordings import recordings_of
from spikefleet.signal.exports.session_metadata import SessionMetadata, require_complete
from spikefleet.signal.exports.source import ExportSource, read_source
from spikefleet.signal.exports.spikelab import write_spikelab
from spikefleet.signal.exports.unit_table import write_parquet

FOLDER, RECORDINGS = "exports", "recordings"
COMPILED = "compiled"
NWB = "nwb"
_PLACES = {
    "analyzer": "analyzer",
    COMPILED: "compiled",
    "curation-json": "curation_v2.json",
    "mat": "sorted.mat",
    NWB: "sorted.nwb",
    "npz": "sorted.npz",
    "parquet": "units.parquet",
    "phy": "phy",
    "spikelab": "spikelab.h5",
}
FORMATS = tuple(_PLACES)
# Analyzer, Phy and a curation by hand are of all spikes of a sort: they change them everywhere.
_ONLY_WHOLE = ("analyzer", "curation-json", "phy")
_COMPILED = (COMPILED, "mat", "npz")
_Writer = Callable[[ExportSource, Path], tuple[str, ...] | None]
_UNFINISHED, _WRITTEN = ".unfinished-", ".written.json"


class ExportChangedError(FileExistsError):
    """An export was changed since it was written, and is kept."""

    def __init__(self, place: Path) -> None:
        super().__init__(
            f"{place} was changed since it was exported, and is kept. Move it away, or replace it "
            "with --overwrite (overwrite=True)."
        )


def export_results(
    folder: str | Path,
    formats: Sequence[str] = FORMATS,
    *,
    metadata: SessionMetadata | None = None,
    with_failed: bool = False,
    overwrite: bool = False,
) -> dict[str, Path]:
    """Write a fetched run below ``folder/exports`` and return where each format is.

    As ``write_exports``, without its notes.
    """
    written = write_exports(
        folder, formats, metadata=metadata, with_failed=with_failed, overwrite=overwrite
    )
    return {name: one.place for name, one in written.items()}


@dataclass(frozen=True)
class WrittenExport:
    """Where a format is, and in words what a setting asked for and the sort did not keep."""

    place: Path
    notes: tuple[str, ...]


def write_exports(
    folder: str | Path,
    formats: Sequence[str] = FORMATS,
    *,
    metadata: SessionMetadata | None = None,
    with_failed: bool = False,
    overwrite: bool = False,
) -> dict[str, WrittenExport]:
    """Write a fetched run below ``folder/exports``; return where each format is, with notes.

    Of recordings sorted as one, each has its own spikes in the same formats below
    ``exports/recordings/NAME``, in frames or seconds from its start; not in ``analyzer``, ``phy``
    and ``curation-json``, which are of the sort.

    ``formats`` are of ``FORMATS``; an earlier export is replaced, one that was changed since (Phy
    keeps labels and merges there) with ``overwrite`` only. ``with_failed`` takes the units
    that curation rejected too, marked. ``metadata`` is what an NWB file says of session and
    subject (``read_metadata`` reads it).

    It works in the caller's process, unconfined: all that stands between a run and the caller is
    that every file is looked at before a library reads it. ``spikefleet fetch --as`` makes the same
    files in a confined process.

    Raises InvalidConfigurationError for an unknown format or missing metadata, before anything is
    written; ExportChangedError; InputMissingError where the run has nothing to export,
    InputCorruptError where a file of it is not what a run leaves.
    """
    wanted = require_formats(formats)
    if NWB in wanted:
        require_complete(metadata)
    root = Path(folder).expanduser()
    source = read_source(root, with_failed=with_failed)
    writers: dict[str, _Writer] = {
        "analyzer": write_analyzer,
        COMPILED: write_compiled,
        "curation-json": write_curation_json,
        "mat": write_mat,
        NWB: lambda given, path: write_nwb(given, path, metadata),
        "npz": write_npz,
        "parquet": write_parquet,
        "phy": write_phy,
        "spikelab": write_spikelab,
    }
    exports = root / FOLDER
    made: dict[str, WrittenExport] = {}
    for name in wanted:
        notes: dict[str, None] = {}  # of several recordings each once
        for place, part in _parts(exports, name, source):
            _sweep(place.parent)
            told = _whole(part, place, writers[name], overwrite=overwrite)
            notes |= dict.fromkeys(told)
        made[name] = WrittenExport(exports / _PLACES[name], tuple(notes))
    return made


def _parts(exports: Path, name: str, source: ExportSource) -> Iterator[tuple[Path, ExportSource]]:
    """What is written of a format and where: the run, and each of several recordings."""
    yield exports / _PLACES[name], source
    apart = name not in _COMPILED or source.compilation.compile_single_recording
    if apart and name not in _ONLY_WHOLE:
        for recording, part in recordings_of(source).items():
            place = exports / RECORDINGS / recording
            if any(folder.is_symlink() for folder in (place, place.parent)):
                raise ExportChangedError(place)
            yield place / _PLACES[name], part


def require_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return the formats, each once. Raises InvalidConfigurationError for one that is unknown."""
    for name in formats:
        if name not in FORMATS:
            raise InvalidConfigurationError(
                f"There is no format {name!r}. Known: {', '.join(FORMATS)}.",
                field="formats",
                value=name,
            )
    return tuple(dict.fromkeys(formats))


def _whole(
    source: ExportSource,
    place: Path,
    write: _Writer,
    *,
    overwrite: bool,
) -> tuple[str, ...]:
    """Write beside ``place`` and put it there at the end; what was there goes last. Its notes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not overwrite:
        _require_untouched(place)
    unfinished = place.with_name(f"{_UNFINISHED}{uuid.uuid4().hex}{place.suffix}")
    former = place.with_name(f"{_UNFINISHED}{uuid.uuid4().hex}")
    try:
        notes = write(source, unfinished) or ()
        written = _digests(unfinished)
        if place.is_dir() and not place.is_symlink():
            place.replace(former)
        unfinished.replace(place)
        _remember(place, written)
    finally:
        for left in (unfinished, former):
            if left.is_dir():
                shutil.rmtree(left)
            left.unlink(missing_ok=True)
    return notes


def _require_untouched(place: Path) -> None:
    """Refuse to replace what a person changed: Phy keeps labels and merges in its folder.

    Raises ExportChangedError.
    """
    if not (place.exists() or place.is_symlink()):
        return
    if place.is_symlink() or _digests(place) != _remembered(place.parent).get(place.name):
        raise ExportChangedError(place)


def _digests(place: Path) -> dict[str, str]:
    """SHA-256 of each file of an export by its path in it; Phy's own caches do not count."""
    if not place.is_dir():
        return {"": sha256_of(place)}
    files = (path for path in sorted(place.rglob("*")) if path.is_file() or path.is_symlink())
    names = {path.relative_to(place).as_posix(): path for path in files}
    return {
        name: "link" if path.is_symlink() else sha256_of(path)
        for name, path in names.items()
        if not name.startswith(".phy/") and name != "phy.log"
    }


def _remembered(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _WRITTEN).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(place: Path, digests: dict[str, str]) -> None:
    write_json(place.parent / _WRITTEN, _remembered(place.parent) | {place.name: digests})


def _sweep(folder: Path) -> None:
    """Remove what an export that was killed left behind."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)
