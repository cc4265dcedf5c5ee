"""``load_results``: a fetched folder as values, for a script or a notebook.

Needs numpy alone: no GPU, no sorter, no SpikeInterface. Nothing is unpickled, and a file that would
need it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.signal.preparing.timeline import Timeline
from spikefleet.signal.units.plain_arrays import what_is_wrong

_REPORT = "report/recording_report.json"
_CURATION = "curate/curation.json"
_SPIKES = "sort/sorting/spikes.npy"
_SORTING = "sort/sorting/numpysorting_info.json"
_TIMELINE = "sort/timeline.json"
_FIELDS = ("sample_index", "unit_index")


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
    run, InputCorruptError where a file in it is not what a run leaves.
    """
    root = Path(folder).expanduser()
    record = _document(root, _REPORT)
    if not record:
        raise InputMissingError(
            f"{root} holds no {_REPORT}: it is not the folder of a run. Fetch one with: "
            "spikefleet fetch RUN FOLDER",
            path=str(root / _REPORT),
        )
    run = record.get("run") or {}
    return FetchedResults(
        folder=root,
        run_id=str(run.get("run_id") or ""),
        status=str(record.get("status") or ""),
        units=_units(root),
        provenance={
            "run": run,
            "recording": record.get("recording") or {},
            "settings": record.get("config_diff") or {},
            "sorter_params": _document(root, "sort/result.json").get("sorter_params") or {},
            "versions": record.get("versions") or {},
        },
    )


def _units(root: Path) -> dict[str, FetchedUnit]:
    curation = _document(root, _CURATION)
    if not curation:
        return {}
    rejected = {
        str(unit): str(name) for name, units in curation["failed"].items() for unit in units
    }
    trains, rate_hz = _trains(root)
    rows = {str(row["unit_id"]): row for row in curation["units"]}
    return {
        unit_id: FetchedUnit(
            unit_id=unit_id,
            passed=unit_id not in rejected,
            failed_on=rejected.get(unit_id, ""),
            metrics={name: value for name, value in row.items() if name != "unit_id"},
            spike_frames=trains.get(unit_id, np.empty(0, np.int64)),
            sampling_rate_hz=rate_hz,
        )
        for unit_id, row in rows.items()
    }


def _trains(root: Path) -> tuple[dict[str, NDArray[np.int64]], float]:
    """Return the original frames of every sorted unit, and the sampling rate."""
    try:
        timeline = Timeline.from_json(_document(root, _TIMELINE))
        unit_ids = [str(unit_id) for unit_id in _document(root, _SORTING)["unit_ids"]]
        if wrong := what_is_wrong(root / _SPIKES):
            raise ValueError(wrong)
        spikes = np.load(root / _SPIKES, allow_pickle=False)
        samples, owners = (spikes[name].astype(np.int64) for name in _FIELDS)
        frames = timeline.to_original(samples)
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise InputCorruptError(
            f"The spikes in {root / 'sort'} cannot be read ({error}). Fetch the run again with "
            "--overwrite.",
            path=str(root / _SPIKES),
        ) from error
    trains = {unit_id: frames[owners == index] for index, unit_id in enumerate(unit_ids)}
    return trains, timeline.sampling_rate_hz


def _document(root: Path, name: str) -> dict[str, Any]:
    """Return a JSON document of the folder; nothing where it is not there."""
    try:
        found = json.loads((root / name).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError) as error:
        raise InputCorruptError(
            f"{root / name} is no JSON document. Fetch it again with --overwrite.",
            path=str(root / name),
        ) from error
    return found if isinstance(found, dict) else {}
