"""A small NWB file on Zarr or HDF5, with one or two series, at a rate or with time stamps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numcodecs
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
    rate_hz: float = RATE_HZ,
    second_name: str = "probe1",
    n_groups: int = 1,
    placed: bool = True,
) -> Path:
    """Write samples x channels as "probe0", ``second`` as "probe1" and a filtered copy besides.

    A name that ends in .zarr makes a Zarr folder. ``n_groups`` electrode groups lie on the same
    places; ``second`` has a rate of its own (``rate_hz``); ``placed`` False leaves rel_x out.
    """
    file = NWBFile("Written for a test", path.stem, datetime(2024, 1, 1, tzinfo=UTC))
    device = file.create_device("probe")
    groups = [
        file.create_electrode_group(f"shank{number}", "line", "unknown", device)
        for number in range(n_groups)
    ]
    if placed:
        file.add_electrode_column("rel_x", "µm across")
        file.add_electrode_column("rel_y", "µm along")
    n_channels = max(samples.shape[1], len(electrodes or ()))
    per_group = n_channels // n_groups
    for channel in range(n_channels):
        place = {"rel_x": 0.0, "rel_y": 25.0 * (channel % per_group)} if placed else {}
        file.add_electrode(location="unknown", group=groups[channel // per_group], **place)
    on_zarr = path.suffix == ".zarr"

    def series(name: str, data: np.ndarray, at_hz: float = RATE_HZ) -> ElectricalSeries:
        timing = {"rate": at_hz} if timestamps_s is None else {"timestamps": timestamps_s}
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
        file.add_acquisition(series(second_name, second, rate_hz))
    module = file.create_processing_module("ecephys", "filtered")
    module.add(LFP(electrical_series=series("slow", samples), name="LFP"))
    with _pickling(), (NWBZarrIO if on_zarr else NWBHDF5IO)(str(path), mode="w") as io:
        io.write(file)
    return path


@contextmanager
def _pickling() -> Iterator[None]:
    """hdmf-zarr writes references as pickles; spikefleet makes numcodecs forget how."""
    numcodecs.register_codec(numcodecs.Pickle)
    try:
        yield
    finally:
        numcodecs.registry.codec_registry.pop("pickle", None)
