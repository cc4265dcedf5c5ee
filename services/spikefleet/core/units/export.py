"""Files of curated units that other tools read: ``units.csv`` and ``curated.npz``.

``curated.npz`` keeps the top-level names ``units``, ``locations`` and ``fs`` known from earlier
pipelines, but holds no pickled objects, so ``numpy.load`` opens it with its safe default:

* ``units``: one structured row per curated unit with ``unit_id``, ``channel_id``, ``x_max`` and
  ``y_max`` (µm, position of the largest channel), ``amplitude`` (µV), ``snr``, ``std_norm``,
  ``firing_rate_hz``, ``has_pos_peak``, and ``spikes_start`` / ``spikes_stop`` into ``spike_trains``
* ``spike_trains``: samples of all units one after the other (int64)
* ``templates``: (units, samples) in µV on each unit's largest channel; ``peak_ind`` the sample in
  it that lies on the spike
* ``locations``: (channels, 2) in µm; ``fs``: samples per second

Units come in the order negative peaks by falling amplitude, then positive peaks likewise.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spikefleet.core.units.quality import UnitQuality
from spikefleet.core.units.unit_data import UnitData

UNIT_COLUMNS: tuple[str, ...] = (
    "unit_id",
    "passed",
    "failed_on",
    "spike_count",
    "firing_rate_hz",
    "amplitude_uv",
    "snr",
    "isi_percent",
    "isi_hill",
    "isi_violation_count",
    "std_norm",
    "presence_ratio",
    "channel_id",
    "x_um",
    "y_um",
    "has_positive_peak",
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
    units: Sequence[UnitQuality], failed_on: Mapping[str, str]
) -> list[dict[str, object]]:
    """Return one row per unit, sorted or curated alike, with the criterion that rejected it."""
    rows = []
    for unit in units:
        values = unit.to_json()
        values["failed_on"] = failed_on.get(unit.unit_id, "")
        values["passed"] = unit.unit_id not in failed_on
        rows.append({name: values[name] for name in UNIT_COLUMNS})
    return rows


def format_units_csv(units: Sequence[UnitQuality], failed_on: Mapping[str, str]) -> str:
    """Return the text of ``units.csv``: a header, then one line per unit; unmeasured is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=UNIT_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in unit_rows(units, failed_on):
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def write_curated_npz(
    path: Path, data: UnitData, units: Sequence[UnitQuality], curated: Sequence[str]
) -> None:
    """Write the curated units as described above. No curated units give empty arrays."""
    wanted = set(curated)
    chosen = sorted(
        (i for i, unit in enumerate(units) if unit.unit_id in wanted),
        key=lambda i: (units[i].has_positive_peak, -units[i].amplitude_uv),
    )
    trains = data.trains()
    parts = [trains[i] for i in chosen]
    stops = np.cumsum([len(part) for part in parts]).astype(np.int64)
    table = np.zeros(len(chosen), dtype=_UNIT_DTYPE)
    for row, i in enumerate(chosen):
        unit = units[i]
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
            stops[row] - len(parts[row]),
            stops[row],
        )
    channels = [units[i].channel_index for i in chosen]
    templates = data.templates_uv[chosen, :, channels] if chosen else np.zeros((0, 0))
    np.savez_compressed(
        path,
        units=table,
        spike_trains=np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64),
        templates=templates,
        peak_ind=np.int64(data.peak_index),
        locations=data.channel_locations_um,
        fs=np.float64(data.sampling_rate_hz),
    )
