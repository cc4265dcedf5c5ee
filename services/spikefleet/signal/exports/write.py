"""A fetched run in the formats that were asked for, each whole or not there."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.exports.compiled import write_mat, write_npz
from spikefleet.signal.exports.nwb import write_nwb
from spikefleet.signal.exports.phy import write_phy
from spikefleet.signal.exports.session_metadata import SessionMetadata, require_complete
from spikefleet.signal.exports.source import ExportSource, read_source
from spikefleet.signal.exports.unit_table import write_parquet

FOLDER = "exports"
NWB = "nwb"
_PLACES = {
    "mat": "sorted.mat",
    NWB: "sorted.nwb",
    "npz": "sorted.npz",
    "parquet": "units.parquet",
    "phy": "phy",
}
FORMATS = tuple(_PLACES)


def export_results(
    folder: str | Path,
    formats: Sequence[str] = FORMATS,
    *,
    metadata: SessionMetadata | None = None,
    with_failed: bool = False,
) -> dict[str, Path]:
    """Write a fetched run below ``folder/exports`` and return where each format is.

    ``formats`` are of ``FORMATS``; an earlier export is replaced. ``with_failed`` takes the units
    that curation rejected too, marked. ``metadata`` is what an NWB file says of session and
    subject (``read_metadata`` reads it).

    Raises InvalidConfigurationError for an unknown format or missing metadata, before anything is
    written; InputMissingError where the run has nothing to export, InputCorruptError where a file
    of it is not what a run leaves.
    """
    wanted = require_formats(formats)
    if NWB in wanted:
        require_complete(metadata)
    root = Path(folder).expanduser()
    source = read_source(root, with_failed=with_failed)
    writers: dict[str, Callable[[ExportSource, Path], None]] = {
        "mat": write_mat,
        NWB: lambda given, path: write_nwb(given, path, metadata),
        "npz": write_npz,
        "parquet": write_parquet,
        "phy": write_phy,
    }
    return {name: _whole(source, root / FOLDER / _PLACES[name], writers[name]) for name in wanted}


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


def _whole(source: ExportSource, place: Path, write: Callable[[ExportSource, Path], None]) -> Path:
    """Write beside ``place`` and put it there at the end."""
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f".{uuid.uuid4().hex}{place.suffix}")
    try:
        write(source, unfinished)
        if place.is_dir():
            shutil.rmtree(place)
        unfinished.replace(place)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        unfinished.unlink(missing_ok=True)
    return place
