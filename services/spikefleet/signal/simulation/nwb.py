"""Writes NWB with pynwb: one ElectricalSeries in acquisition, electrodes with rel_x and rel_y."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from hdmf.backends.hdf5 import H5DataIO
from hdmf.data_utils import DataChunkIterator
from numpy.typing import NDArray
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ecephys import ElectricalSeries
from spikeinterface.core import BaseRecording

from spikefleet.signal.simulation.signal import StoredCoding

CODING = StoredCoding(lsb_uv=0.195)
_SESSION_START = datetime(2024, 1, 1, tzinfo=UTC)
_BLOCK_SAMPLES = 16384


def write(recording: BaseRecording, path: Path) -> None:
    """Write the file block by block, gzip-compressed."""
    n_channels = recording.get_num_channels()
    file = NWBFile(
        session_description="Simulated extracellular recording with known spikes",
        identifier=path.stem,
        session_start_time=_SESSION_START,
    )
    device = file.create_device(name="Simulated probe")
    group = file.create_electrode_group(
        name="shank0", description="Simulated electrodes", location="unknown", device=device
    )
    file.add_electrode_column("rel_x", "Position across the shank, in µm")
    file.add_electrode_column("rel_y", "Position along the shank, in µm")
    for x_um, y_um in recording.get_channel_locations():
        file.add_electrode(location="unknown", group=group, rel_x=float(x_um), rel_y=float(y_um))
    blocks = DataChunkIterator(
        data=_rows(recording),
        maxshape=(recording.get_num_samples(), n_channels),
        dtype=np.dtype(recording.dtype),
        buffer_size=_BLOCK_SAMPLES,
    )
    file.add_acquisition(
        ElectricalSeries(
            name="ElectricalSeries",
            description="Raw traces",
            data=H5DataIO(
                blocks,
                compression="gzip",
                compression_opts=1,
                chunks=(min(_BLOCK_SAMPLES, recording.get_num_samples()), min(64, n_channels)),
            ),
            electrodes=file.create_electrode_table_region(list(range(n_channels)), "all"),
            rate=float(recording.sampling_frequency),
            conversion=float(recording.get_channel_gains()[0]) * 1e-6,
        )
    )
    with NWBHDF5IO(str(path), mode="w") as io:
        io.write(file)


def _rows(recording: BaseRecording) -> Iterator[NDArray[Any]]:
    n_samples = recording.get_num_samples()
    for start in range(0, n_samples, _BLOCK_SAMPLES):
        yield from recording.get_traces(
            start_frame=start, end_frame=min(start + _BLOCK_SAMPLES, n_samples)
        )
