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

The run's settings decide the window of ``template``, whether it is in µV or in the counts of what
was sorted (``waveform_unit``), whether ``electrode`` is there, and whether sampled waveforms are:
``waveforms`` (spikes, samples, K), ``waveform_frames`` (spikes,) and ``waveform_channels`` (K,), in
an ``.npz`` with ``_`` and the row of the unit behind each name. ``notes`` says in words what a
setting asked for and the sort did not keep.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.signal.exports.compiled_content import CompiledContent
from spikefleet.signal.exports.source import ExportedUnit, ExportSource
from spikefleet.signal.units.unit_data import FloatArray

_IN_ROWS = ("template", "amplitudes", "std_norms")
_MOST_MATLAB_BYTES = 1_500_000_000  # of waveforms, in a variable that may have 2 GiB


def write_compiled(source: ExportSource, folder: Path) -> tuple[str, ...]:
    """Write the files that the run's settings ask for (``compile_to_npz``, ``compile_to_mat``).

    Returns ``notes``, as the next two do.
    Raises InputMissingError where they ask for none.
    """
    asked = source.compilation
    if not (asked.compile_to_npz or asked.compile_to_mat):
        raise InputMissingError(
            f"The settings of {source.results.run_id} ask for no compiled file (compile_to_npz and "
            "compile_to_mat are off). Name one instead: --as npz or --as mat.",
            path=str(folder),
        )
    folder.mkdir()
    notes: tuple[str, ...] = ()
    if asked.compile_to_npz:
        notes += write_npz(source, folder / "sorted.npz")
    if asked.compile_to_mat:
        notes += write_mat(source, folder / "sorted.mat")
    return notes


def write_npz(source: ExportSource, path: Path) -> tuple[str, ...]:
    """Write the units without pickled objects, one array after the other."""
    content = CompiledContent.of(source)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in _arrays(source, content):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return content.notes


def _arrays(source: ExportSource, content: CompiledContent) -> Iterator[tuple[str, Any]]:
    units = [_unit(content, number, unit) for number, unit in enumerate(source.units)]
    trains = [unit.pop("spike_train") for unit in units]
    stops = np.cumsum([len(train) for train in trains], dtype=np.int64)
    columns = _row_type(units)
    if not source.compilation.save_electrodes:
        columns = [column for column in columns if column[0] != "electrode"]
    table = np.zeros(len(units), dtype=columns)
    for row, (unit, train, stop) in enumerate(zip(units, trains, stops, strict=True)):
        named = {**unit, "spike_start": stop - len(train), "spike_stop": stop}
        for name in table.dtype.names or ():
            table[name][row] = named[name]
    n_channels = len(source.data.channel_ids)
    n_samples = content.window.stop - content.window.start
    empty = {
        "template": np.zeros((0, n_samples, n_channels)),
        "amplitudes": np.zeros((0, n_channels)),
        "std_norms": np.zeros((0, n_channels)),
    }
    yield "units", table
    yield "spike_train", np.concatenate([*trains, np.zeros(0, np.int64)])
    for name in _IN_ROWS:
        yield name, np.stack([unit[name] for unit in units]) if units else empty[name]
    yield from _beside(content).items()
    for row, exported in enumerate(source.units):
        for name, array in _sampled(content, exported).items():
            yield f"{name}_{row}", array


def _beside(content: CompiledContent) -> dict[str, Any]:
    return {
        "locations": content.source.data.channel_locations_um,
        "fs": np.float64(content.source.data.sampling_rate_hz),
        "waveform_unit": np.asarray(content.unit),
        "notes": np.asarray(content.notes, dtype=np.str_),
    }


def _sampled(content: CompiledContent, unit: ExportedUnit) -> dict[str, Any]:
    found = content.sampled(unit)
    if found is None:
        return {}
    return {
        "waveforms": found.waveforms,
        "waveform_frames": found.frames,
        "waveform_channels": found.channels,
    }


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


def write_mat(source: ExportSource, path: Path) -> tuple[str, ...]:
    """Write the units as a cell array of structs (MATLAB 5; frames and indices from 0)."""
    content = CompiledContent.of(source)
    beside, notes = _beside(content), content.notes
    room = _MOST_MATLAB_BYTES
    cells = np.empty((1, len(source.units)), dtype=object)
    for number, unit in enumerate(source.units):
        cells[0, number] = _unit(content, number, unit)
        if not source.compilation.save_electrodes:
            del cells[0, number]["electrode"]
        sampled = _sampled(content, unit) if room > 0 else {}
        room -= sum(array.nbytes for array in sampled.values())
        if room > 0:
            cells[0, number] |= sampled
    if room <= 0:
        told = "waveforms of some units only: a MATLAB 5 file holds 2 GB; take --as npz"
        notes = (*notes, told)
        beside["notes"] = np.asarray(notes)
    document = {"units": cells, **beside}
    savemat(path, document, do_compression=True, appendmat=False)
    return notes


def _unit(content: CompiledContent, number: int, unit: ExportedUnit) -> dict[str, Any]:
    data, channel = content.source.data, unit.quality.channel_index
    whole_uv = data.templates_uv[unit.index]
    amplitudes, std_norms = _by_channel(whole_uv, data.template_stds_uv[unit.index])
    shown_uv = whole_uv[content.window]
    x_um, y_um = data.channel_locations_um[channel]
    return {
        "unit_id": unit.quality.unit_id,
        "passed": unit.fetched.passed,
        "failed_on": unit.fetched.failed_on,
        "spike_train": unit.frames,
        "x_max": float(x_um),
        "y_max": float(y_um),
        "template": content.template(whole_uv),
        "electrode": unit.quality.channel_id,
        "sorted_index": number,
        "max_channel_si": channel,
        "max_channel_id": unit.quality.channel_id,
        "peak_sign": "pos" if unit.quality.has_positive_peak else "neg",
        "peak_ind": int(np.abs(shown_uv[:, channel]).argmax()) if len(shown_uv) else 0,
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
