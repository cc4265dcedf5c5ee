"""``load_results``: a fetched folder as values, for a script or a notebook.

Needs numpy alone: no GPU, no sorter, no SpikeInterface. Nothing is unpickled, and a file that would
need it is refused.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.signal.preparing.timeline import Timeline
from spikefleet.signal.units.plain_arrays import what_is_wrong
from spikefleet.signal.units.unit_edits import UnitEdits
from spikefleet.signal.units.unit_names import unit_names

REPORT_RECORD = "report/recording_report.json"
_SORT = "sort/result.json"
CURATION = "curate/curation.json"
_SPIKES = "sort/sorting/spikes.npy"
_SORTING = "sort/sorting/numpysorting_info.json"
_TIMELINE = "sort/timeline.json"
_FIELDS = ("sample_index", "unit_index")
_MOST_DOCUMENT_BYTES = 256 << 20


@dataclass(frozen=True)
class FetchedUnit:
    """One sorted unit: its spikes, its metrics, and whether curation kept it.

    ``spike_frames`` are original frames, from the start of the (first) recording, in order;
    ``spike_times_s`` the same in seconds. ``metrics`` are the columns of ``units.csv``.
    """

    unit_id: str
    passed: bool
    failed_on: str
    metrics: Mapping[str, Any]
    spike_frames: NDArray[np.int64]
    sampling_rate_hz: float

    @property
    def spike_times_s(self) -> NDArray[np.float64]:
        """Seconds from the start of the (first) recording."""
        return self.spike_frames / self.sampling_rate_hz


@dataclass(frozen=True)
class FetchedResults:
    """What one run left: ``units`` by id, those of curation first asked with ``curated``.

    ``provenance`` is what the result was made from and by: run, recording with its digest, the
    settings that are not at their defaults, the sorter's parameters, versions.
    """

    folder: Path
    run_id: str
    status: str
    units: Mapping[str, FetchedUnit]
    provenance: Mapping[str, Any] = field(repr=False)
    timeline: Timeline | None = None  #: which frames were sorted; None without units
    edits: UnitEdits = field(default_factory=UnitEdits)  #: merges and splits of the sort's units

    @property
    def curated(self) -> Mapping[str, FetchedUnit]:
        """The units that curation kept."""
        return {unit_id: unit for unit_id, unit in self.units.items() if unit.passed}

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row per unit, as ``pandas.DataFrame`` takes it."""
        return [
            {"unit_id": unit.unit_id, "passed": unit.passed, "failed_on": unit.failed_on}
            | dict(unit.metrics)
            for unit in self.units.values()
        ]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.status}, {len(self.curated)} of {len(self.units)} units kept"


def load_results(folder: str | Path) -> FetchedResults:
    """Read the folder of one run, as ``spikefleet fetch`` or ``sort_recording`` left it.

    A run that ended without units has none. Raises InputMissingError where the folder is none of a
    run, or holds the report alone of a run that has units; InputCorruptError where a file in it is
    not what a run leaves.
    """
    root = Path(folder).expanduser()
    record = read_document(root, REPORT_RECORD)
    if not record:
        raise InputMissingError(
            f"{root} holds no {REPORT_RECORD}: it is not the folder of a run. Fetch one with: "
            "spikefleet fetch RUN FOLDER",
            path=str(root / REPORT_RECORD),
        )
    run = _part(root, REPORT_RECORD, record, "run")
    _require_more_than_the_report(root, record)
    sort = read_document(root, _SORT)
    units, timeline = _units(root)
    return FetchedResults(
        folder=root,
        run_id=str(run.get("run_id") or ""),
        status=str(record.get("status") or ""),
        units=units,
        timeline=timeline,
        edits=_edits(root),
        provenance={
            "run": run,
            "recording": _part(root, REPORT_RECORD, record, "recording"),
            "settings": _part(root, REPORT_RECORD, record, "config_diff"),
            "sorter_params": _part(root, _SORT, sort, "sorter_params"),
            "versions": _part(root, REPORT_RECORD, record, "versions"),
        },
    )


def _require_more_than_the_report(root: Path, record: Mapping[str, Any]) -> None:
    """Raise InputMissingError for what ``spikefleet report`` left of a run that has units."""
    if record.get("units") and not (root / "curate").exists() and not (root / "sort").exists():
        run = _part(root, REPORT_RECORD, record, "run")
        raise InputMissingError(
            f"{root} holds the report of a run and not its units. Fetch them with: "
            f"spikefleet fetch {run.get('run_id') or 'RUN'} {root}",
            path=str(root),
        )


def _units(root: Path) -> tuple[dict[str, FetchedUnit], Timeline | None]:
    """Return every sorted unit by its id, and which frames were sorted; nothing uncurated."""
    curation = read_document(root, CURATION)
    if not curation:
        return {}, None
    try:
        rejected = {
            str(unit): str(name)
            for name, units in _mapping(curation["failed"]).items()
            for unit in _list(units)
        }
        rows = [_mapping(row) for row in _list(curation["units"])]
        names = unit_names(row["unit_id"] for row in rows)
    except (ValueError, LookupError) as error:
        raise unreadable(root / CURATION, error) from error
    trains, timeline = _trains(root, curation)
    found = {
        unit_id: FetchedUnit(
            unit_id=unit_id,
            passed=unit_id not in rejected,
            failed_on=rejected.get(unit_id, ""),
            metrics={name: value for name, value in row.items() if name != "unit_id"},
            spike_frames=trains.get(unit_id, np.empty(0, np.int64)),
            sampling_rate_hz=timeline.sampling_rate_hz,
        )
        for unit_id, row in zip(names, rows, strict=True)
    }
    return found, timeline


def _trains(
    root: Path, curation: Mapping[str, Any]
) -> tuple[dict[str, NDArray[np.int64]], Timeline]:
    """Return the original frames of every unit sorted or made, and which were sorted."""
    try:
        _require_plain_file(root / _SPIKES)
        timeline = Timeline.from_json(read_document(root, _TIMELINE))
        unit_ids = unit_names(_list(read_document(root, _SORTING)["unit_ids"]))
        if wrong := what_is_wrong(root / _SPIKES):
            raise ValueError(wrong)
        spikes = np.load(root / _SPIKES, allow_pickle=False)
        samples, owners = (spikes[name].astype(np.int64) for name in _FIELDS)
        if owners.size and not 0 <= owners.min() <= owners.max() < len(unit_ids):
            raise ValueError(f"a spike of unit number {owners.max()} of {len(unit_ids)}")
        own = {unit_id: samples[owners == index] for index, unit_id in enumerate(unit_ids)}
        own |= _made(curation, own, timeline)
        trains = {unit_id: timeline.to_original(train) for unit_id, train in own.items()}
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise InputCorruptError(
            f"The spikes in {root / 'sort'} cannot be read ({error}). Fetch the run again with "
            "--overwrite.",
            path=str(root / _SPIKES),
        ) from error
    return trains, timeline


def _edits(root: Path) -> UnitEdits:
    """The merges and splits of the curation. Raises InputCorruptError."""
    given = read_document(root, CURATION).get("edits")
    try:
        return UnitEdits.from_json(_mapping(given)) if given else UnitEdits()
    except ValueError as error:
        raise unreadable(root / CURATION, error) from error


def _made(
    curation: Mapping[str, Any], trains: Mapping[str, NDArray[np.int64]], timeline: Timeline
) -> dict[str, NDArray[np.int64]]:
    """The trains of the units that curation merged or split. Raises ValueError."""
    if not curation.get("edits"):
        return {}
    edits = UnitEdits.from_json(_mapping(curation["edits"]))
    made = edits.made_trains(trains, timeline.n_samples)
    return {unit_id: train.samples for unit_id, train in made.items()}


def read_document(root: Path, name: str) -> dict[str, Any]:
    """Return a JSON document of a fetched folder; nothing where it is not there.

    Raises InputCorruptError where it is none.
    """
    try:
        _require_plain_file(root / name, _MOST_DOCUMENT_BYTES)
        found = json.loads((root / name).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError) as error:
        why = "it is no JSON" if isinstance(error, json.JSONDecodeError) else error
        raise unreadable(root / name, why) from error
    if not isinstance(found, dict):
        raise unreadable(root / name, "it is no document of a run")
    return found


def _require_plain_file(path: Path, most_bytes: int | None = None) -> None:
    """Raise ValueError for what is no file or too long: to open a pipe would wait for ever."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no plain file")
    if most_bytes is not None and status.st_size > most_bytes:
        raise ValueError(f"it is longer than {most_bytes} bytes")


def unreadable(path: Path, why: object) -> InputCorruptError:
    """Return the error of a fetched file that is not what a run leaves."""
    return InputCorruptError(
        f"{path} cannot be read ({str(why)[:300]}). Fetch the run again with --overwrite.",
        path=str(path),
    )


def _part(root: Path, name: str, document: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return a section of a document; {} where it has none."""
    try:
        return _mapping(document.get(part) or {})
    except ValueError as error:
        raise unreadable(root / name, f"{part}: {error}") from error


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.60} in place of names with values")  # noqa: TRY004 - of a file
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r:.60} in place of a list")  # noqa: TRY004 - of a file
    return value
