"""A small NWB file on Zarr or HDF5, with one or two series, at a rate or with time stamps."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from hdmf_zarr import NWBZarrIO, ZarrDataIO
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ecephys import LFP, ElectricalSeries

RATE_HZ = 20000.0
GAIN_TO_UV = 0.5


def write_nwb(
    path: Path,
    samples: np.ndarray,
    *,
    timestamps_s: np.ndarray | None = None,
    second: np.ndarray | None = None,
    electrodes: list[int] | None = None,
) -> Path:
    """Write samples x channels as "probe0", ``second`` as "probe1" and a filtered copy besides.

    A name that ends in .zarr makes a Zarr folder.
    """
    file = NWBFile("Written for a test", path.stem, datetime(2024, 1, 1, tzinfo=UTC))
    group = file.create_electrode_group("shank0", "line", "unknown", file.create_device("probe"))
    file.add_electrode_column("rel_x", "µm across")
    file.add_electrode_column("rel_y", "µm along")
    for channel in range(samples.shape[1]):
        file.add_electrode(location="unknown", group=group, rel_x=0.0, rel_y=25.0 * channel)
    on_zarr = path.suffix == ".zarr"

    def series(name: str, data: np.ndarray) -> ElectricalSeries:
        timing = {"rate": RATE_HZ} if timestamps_s is None else {"timestamps": timestamps_s}
        return ElectricalSeries(
            name=name,
            data=ZarrDataIO(data, chunks=(256, data.shape[1])) if on_zarr else data,
            electrodes=file.create_electrode_table_region(
                electrodes or list(range(samples.shape[1])), "all"
            ),
            conversion=GAIN_TO_UV * 1e-6,
            **timing,
        )

    file.add_acquisition(series("probe0", samples))
    if second is not None:
        file.add_acquisition(series("probe1", second))
    module = file.create_processing_module("ecephys", "filtered")
    module.add(LFP(electrical_series=series("slow", samples), name="LFP"))
    with (NWBZarrIO if on_zarr else NWBHDF5IO)(str(path), mode="w") as io:
        io.write(file)
    return path
