"""An HDF5 file of spike trains, laid out as SpikeLab's own export is (ragged).

``spike_times`` are the trains of all units one after the other (float64, seconds from the start of
the recording), ``spike_times_index`` where each ends; SpikeLab's ``load_spikedata_from_hdf5`` reads
the two and the attributes ``start_time`` and ``length_ms`` (the whole recording, whatever part of
it was sorted). Nothing in it is pickled. What that loader leaves aside stands under ``unit_table``:
a row for each unit in the same order, and what of the recording was sorted.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from spikefleet.signal.exports.source import ExportSource

SPIKE_TIMES, SPIKE_TIMES_INDEX = "spike_times", "spike_times_index"


def write_spikelab(source: ExportSource, path: Path) -> None:
    """Write the file."""
    rate_hz = source.data.sampling_rate_hz
    trains = [unit.frames / rate_hz for unit in source.units]
    measured = [unit.quality for unit in source.units]
    with h5py.File(path, "w") as file:
        file.attrs["start_time"] = 0.0  # ms, where the recording begins
        file.attrs["length_ms"] = source.data.original_s * 1000.0
        file.create_dataset(SPIKE_TIMES, data=np.concatenate([*trains, np.zeros(0)]))
        ends = np.cumsum([len(train) for train in trains], dtype=np.int64)
        file.create_dataset(SPIKE_TIMES_INDEX, data=ends)
        table = file.create_group("unit_table")
        table.attrs["run_id"] = source.results.run_id
        table.attrs["sampling_rate_hz"] = rate_hz
        observed = np.asarray(source.observed_s(), dtype=np.float64).reshape(-1, 2)
        table.create_dataset("sorted_s", data=observed)
        text = h5py.string_dtype()
        for name, values in (
            ("unit_id", [unit.unit_id for unit in measured]),
            ("failed_on", [unit.fetched.failed_on for unit in source.units]),
            ("label", [str(unit.fetched.metrics.get("label") or "") for unit in source.units]),
            ("channel_id", [unit.channel_id for unit in measured]),
        ):
            table.create_dataset(name, data=np.asarray(values, dtype=object), dtype=text)
        places = [source.data.channel_locations_um[unit.channel_index] for unit in measured]
        table.create_dataset("location_um", data=np.asarray(places, dtype=float).reshape(-1, 2))
        passed = np.asarray([unit.fetched.passed for unit in source.units], dtype=bool)
        table.create_dataset("passed", data=passed)
