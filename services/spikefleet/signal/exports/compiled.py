"""Compiled results: one ``.npz`` or MATLAB file with the names that earlier pipelines gave.

``units`` has, for each unit, ``unit_id``, ``spike_train`` (original frames from 0), ``x_max`` and
``y_max`` (µm, of the largest channel), ``template`` ((samples, channels), µV), ``electrode``,
``sorted_index``, ``max_channel_si`` (from 0), ``max_channel_id``, ``peak_sign`` ("neg", "pos"),
``peak_ind`` (sample of the peak in the template, from 0) and, for each channel, ``amplitudes`` (µV)
and ``std_norms``; and whether curation kept it (``passed``, ``failed_on``). Beside it stand
``locations`` ((channels, 2), µm) and ``fs`` (samples per second). In MATLAB ``units`` is a cell
array of structs. An ``.npz`` without pickled objects has no such thing: there ``units`` is a table,
``spike_train`` holds all trains one after the other (``spike_start`` and ``spike_stop`` of a row
point into it), and ``template``, ``amplitudes`` and ``std_norms`` have a row for each unit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from spikefleet.signal.exports.source import ExportedUnit, ExportSource
from spikefleet.signal.units.unit_data import FloatArray

_IN_ROWS = ("template", "amplitudes", "std_norms")


def write_npz(source: ExportSource, path: Path) -> None:
    """Write the units without pickled objects."""
    units = [_unit(source, number, unit) for number, unit in enumerate(source.units)]
    trains = [unit.pop("spike_train") for unit in units]
    stops = np.cumsum([len(train) for train in trains], dtype=np.int64)
    table = np.zeros(len(units), dtype=_row_type(units))
    for row, (unit, train, stop) in enumerate(zip(units, trains, stops, strict=True)):
        named = {**unit, "spike_start": stop - len(train), "spike_stop": stop}
        for name in table.dtype.names or ():
            table[name][row] = named[name]
    n_samples, n_channels = source.data.templates_uv.shape[1:]
    empty = {
        "template": np.zeros((0, n_samples, n_channels)),
        "amplitudes": np.zeros((0, n_channels)),
        "std_norms": np.zeros((0, n_channels)),
    }
    rows = {name: np.stack([u[name] for u in units]) if units else empty[name] for name in _IN_ROWS}
    with path.open("wb") as handle:
        np.savez_compressed(
            handle,
            allow_pickle=False,
            units=table,
            spike_train=np.concatenate([*trains, np.zeros(0, np.int64)]),
            locations=source.data.channel_locations_um,
            fs=np.float64(source.data.sampling_rate_hz),
            **rows,
        )


def _row_type(units: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Columns of the table; names keep whole, however long a sorter or a recorder made them."""
    longest = {
        name: max([1, *(len(unit[name]) for unit in units)])
        for name in ("unit_id", "failed_on", "max_channel_id")
    }
    return [
        ("unit_id", f"U{longest['unit_id']}"),
        ("passed", "?"),
        ("failed_on", f"U{longest['failed_on']}"),
        ("x_max", "f8"),
        ("y_max", "f8"),
        ("electrode", f"U{longest['max_channel_id']}"),
        ("sorted_index", "i8"),
        ("max_channel_si", "i8"),
        ("max_channel_id", f"U{longest['max_channel_id']}"),
        ("peak_sign", "U3"),
        ("peak_ind", "i8"),
        ("spike_start", "i8"),
        ("spike_stop", "i8"),
    ]


def write_mat(source: ExportSource, path: Path) -> None:
    """Write the units as a cell array of structs (MATLAB 5; frames and indices from 0)."""
    cells = np.empty((1, len(source.units)), dtype=object)
    for number, unit in enumerate(source.units):
        cells[0, number] = _unit(source, number, unit)
    document = {
        "units": cells,
        "locations": source.data.channel_locations_um,
        "fs": np.float64(source.data.sampling_rate_hz),
    }
    savemat(path, document, do_compression=True, appendmat=False)


def _unit(source: ExportSource, number: int, unit: ExportedUnit) -> dict[str, Any]:
    data, channel = source.data, unit.quality.channel_index
    template = data.templates_uv[unit.index]
    amplitudes, std_norms = _by_channel(template, data.template_stds_uv[unit.index])
    x_um, y_um = data.channel_locations_um[channel]
    return {
        "unit_id": unit.quality.unit_id,
        "passed": unit.fetched.passed,
        "failed_on": unit.fetched.failed_on,
        "spike_train": unit.frames,
        "x_max": float(x_um),
        "y_max": float(y_um),
        "template": template,
        "electrode": unit.quality.channel_id,
        "sorted_index": number,
        "max_channel_si": channel,
        "max_channel_id": unit.quality.channel_id,
        "peak_sign": "pos" if unit.quality.has_positive_peak else "neg",
        "peak_ind": int(np.abs(template[:, channel]).argmax()) if len(template) else 0,
        "amplitudes": amplitudes,
        "std_norms": std_norms,
    }


def _by_channel(template: FloatArray, stds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Height of the template on each channel, and its spread there over that height; inf at 0."""
    if not len(template):
        missing = np.full(template.shape[1], np.nan)
        return missing, missing
    peaks = np.abs(template).argmax(axis=0)
    channels = np.arange(template.shape[1])
    heights = np.abs(template[peaks, channels])
    spread = stds[peaks, channels] if len(stds) else np.full(len(channels), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return heights, np.where(heights > 0, spread / heights, np.inf)
