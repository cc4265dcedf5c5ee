"""Files of units that other tools read: ``units.csv``, ``epochs.csv`` and ``curated.npz``.

All times are original: frames from the start of the recording (of the first file, where several
were sorted as one), whatever part of it was sorted. ``timeline.json`` beside them is the map.

``curated.npz`` keeps the top-level names ``units``, ``locations`` and ``fs`` known from earlier
pipelines, but holds no pickled objects, so ``numpy.load`` opens it with its safe default:

* ``units``: one structured row per curated unit with ``unit_id``, ``channel_id``, ``x_max`` and
  ``y_max`` (µm, position of the largest channel), ``amplitude`` (µV), ``snr``, ``std_norm``,
  ``firing_rate_hz``, ``has_pos_peak``, and ``spikes_start`` / ``spikes_stop`` into ``spike_trains``
* ``spike_trains``: original frames of all units one after the other (int64), and
  ``sorted_spike_trains``: the same spikes as samples of what the sorter saw, for the analyzer
* ``templates``: (units, samples) in µV on each unit's largest channel; ``peak_ind`` the sample in
  it at the spike
* ``locations``: (channels, 2) in µm; ``fs``: samples per second

Units come in the order negative peaks by falling amplitude, then positive peaks likewise.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.submissions import safe_part
from spikefleet.signal.preparing.split_results import split_trains
from spikefleet.signal.units.epochs import EPOCH_COLUMNS
from spikefleet.signal.units.metric_definitions import metric_definitions
from spikefleet.signal.units.quality import UnitQuality
from spikefleet.signal.units.unit_data import IntArray, UnitData

UNIT_COLUMNS: tuple[str, ...] = (
    "unit_id",
    "passed",
    "failed_on",
    "label",
    "label_why",
    *metric_definitions(),
)

FILE_COLUMNS: tuple[str, ...] = (
    "unit_id",
    "passed",
    "failed_on",
    "spike_count",
    "firing_rate_hz",
    "channel_id",
    "x_um",
    "y_um",
)

_UNIT_DTYPE = [
    ("unit_id", "U64"),
    ("channel_id", "U64"),
    ("x_max", "f8"),
    ("y_max", "f8"),
    ("amplitude", "f8"),
    ("snr", "f8"),
    ("std_norm", "f8"),
    ("firing_rate_hz", "f8"),
    ("has_pos_peak", "?"),
    ("spikes_start", "i8"),
    ("spikes_stop", "i8"),
]


def unit_rows(
    units: Sequence[Mapping[str, Any]], failed_on: Mapping[str, str]
) -> list[dict[str, object]]:
    """Return one row per unit, sorted or curated alike, with the criterion that rejected it.

    ``units`` are what ``unit_records`` says of each; what an
    earlier curation did not measure is None.
    """
    rows = []
    for unit in units:
        reason = failed_on.get(unit["unit_id"], "")
        values = {**unit, "failed_on": reason, "passed": unit["unit_id"] not in failed_on}
        rows.append({name: values.get(name) for name in UNIT_COLUMNS})
    return rows


def format_units_csv(units: Sequence[Mapping[str, Any]], failed_on: Mapping[str, str]) -> str:
    """Return the text of ``units.csv``: a header, then one line per unit; unmeasured is empty.

    ``units`` are as for ``unit_rows``.
    """
    return _csv(UNIT_COLUMNS, unit_rows(units, failed_on))


def format_epochs_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the text of ``epochs.csv``: one line per unit and epoch, of ``epoch_records``."""
    return _csv(EPOCH_COLUMNS, rows)


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue()


# A spreadsheet takes text that begins like this for a formula and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value):
        return f"'{value}"
    return f"{value:.6g}" if isinstance(value, float) else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unit_table(
    data: UnitData, units: Sequence[UnitQuality], trains: Sequence[IntArray]
) -> NDArray[np.void]:
    """Return one structured row per unit, pointing into ``trains`` put one after the other."""
    stops = np.cumsum([len(train) for train in trains]).astype(np.int64)
    table = np.zeros(len(units), dtype=_UNIT_DTYPE)
    for row, unit in enumerate(units):
        x_um, y_um = data.channel_locations_um[unit.channel_index]
        table[row] = (
            unit.unit_id,
            unit.channel_id,
            x_um,
            y_um,
            unit.amplitude_uv,
            unit.snr,
            unit.std_norm,
            unit.firing_rate_hz,
            unit.has_positive_peak,
            stops[row] - len(trains[row]),
            stops[row],
        )
    return table


def write_files(
    folder: Path, data: UnitData, units: Sequence[UnitQuality], failed_on: Mapping[str, str]
) -> tuple[str, ...]:
    """Write the part of the result that belongs to each recording sorted together with others.

    ``folder/<name>/units.csv`` lists every unit, also those without spikes here, with its
    spikes and its rate over what of the recording was sorted; ``curated.npz`` the curated units
    with ``spike_trains`` as frames of this recording, ``n_samples`` (its length) and ``n_kept``
    (how many of them were sorted). Returns the names, in order; () for a recording sorted alone.

    Raises InputCorruptError as ``UnitData.original_samples``.
    """
    if data.timeline is None or len(data.timeline.files) < 2:
        return ()
    data.original_samples  # noqa: B018 - refuses a timeline that does not fit
    by_unit: dict[object, IntArray] = dict(zip(data.unit_ids, data.trains(), strict=True))
    results = split_trains(by_unit, data.timeline)
    for result in results:
        kept_s = result.n_kept / data.sampling_rate_hz
        own = [
            replace(
                unit,
                spike_count=len(result.trains[unit.unit_id]),
                firing_rate_hz=len(result.trains[unit.unit_id]) / kept_s if kept_s else math.nan,
            )
            for unit in units
        ]
        place = folder / safe_part(result.name)
        place.mkdir(parents=True)
        (place / "units.csv").write_text(_format_file_csv(own, failed_on), encoding="utf-8")
        passed = [unit for unit in own if unit.unit_id not in failed_on]
        trains = [result.trains[unit.unit_id] for unit in passed]
        np.savez_compressed(
            place / "curated.npz",
            units=_unit_table(data, passed, trains),
            spike_trains=np.concatenate(trains or [np.zeros(0, np.int64)]),
            fs=np.float64(data.sampling_rate_hz),
            n_samples=np.int64(result.n_samples),
            n_kept=np.int64(result.n_kept),
        )
    return tuple(safe_part(result.name) for result in results)


def _format_file_csv(units: Sequence[UnitQuality], failed_on: Mapping[str, str]) -> str:
    """As ``units.csv``, with the columns that a part of a recording has values of its own for."""
    return _csv(FILE_COLUMNS, unit_rows([unit.to_json() for unit in units], failed_on))


def write_curated_npz(
    path: Path, data: UnitData, units: Sequence[UnitQuality], curated: Sequence[str]
) -> None:
    """Write the curated units as described above. No curated units give empty arrays."""
    wanted = set(curated)
    chosen = sorted(
        (i for i, unit in enumerate(units) if unit.unit_id in wanted),
        key=lambda i: (units[i].has_positive_peak, -units[i].amplitude_uv),
    )
    trains, original = data.trains(), data.original_trains()
    parts = [original[i] for i in chosen]
    table = _unit_table(data, [units[i] for i in chosen], parts)
    channels = [units[i].channel_index for i in chosen]
    templates = data.templates_uv[chosen, :, channels] if chosen else np.zeros((0, 0))
    np.savez_compressed(
        path,
        units=table,
        spike_trains=np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64),
        sorted_spike_trains=np.concatenate([trains[i] for i in chosen] or [np.zeros(0, np.int64)]),
        templates=templates,
        peak_ind=np.int64(data.peak_index),
        locations=data.channel_locations_um,
        fs=np.float64(data.sampling_rate_hz),
    )
