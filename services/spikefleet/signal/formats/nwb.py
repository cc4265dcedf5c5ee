"""NWB on HDF5 and on Zarr. One stream is one ElectricalSeries, named by its path in the file.

Sorts the series under ``acquisition``; filtered, slow and LFP series are listed as other streams.
The rate of a series that stores time stamps is measured over all of them, and gaps are looked for
in them. Places are ``rel_x`` and ``rel_y`` of the electrodes table, each group a probe of its own,
else those of a ``probe.json``. Data stored channels x time is refused as such.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from probeinterface import Probe, ProbeGroup
from spikeinterface.core import BaseRecording

from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.signal.formats.family import FormatFamily, describe_each
from spikefleet.signal.formats.frame_gaps import require_unique_ids
from spikefleet.signal.formats.hdf5 import add_plugin_path, is_hdf5, open_hdf5, require_filters
from spikefleet.signal.formats.hdf5_layouts import InterleavedSegment
from spikefleet.signal.formats.header_fields import number
from spikefleet.signal.formats.nwb_store import Hdf5Store, ZarrStore, open_store, opened
from spikefleet.signal.formats.probe_sidecar import place_channels
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.spike_bands import why_unsortable
from spikefleet.signal.formats.stamp_clock import StampClock, measure_clock
from spikefleet.signal.formats.takes import (
    Take,
    cut_take,
    list_takes,
    part_takes,
    stream_of_take,
)

FORMAT = "nwb"
_TABLE = "general/extracellular_ephys/electrodes"
_UV_PER_V = 1e6


@dataclass(frozen=True)
class _Series:
    """What one series says of itself; ``places_um`` is None without ``rel_x`` and ``rel_y``."""

    n_samples: int
    n_channels: int
    dtype: str
    clock: StampClock
    nominal_hz: float | None
    channel_ids: tuple[str, ...]
    gains_to_uv: NDArray[np.float64]
    offsets_to_uv: NDArray[np.float64]
    groups: NDArray[Any]
    places_um: NDArray[np.float64] | None
    areas: NDArray[Any] | None

    def takes(self, path: Path) -> tuple[Take, ...]:
        """Return the takes that the clock parts the series into."""
        first = round(self.clock.first_s * self.clock.rate_hz)
        return part_takes(self.clock.jumps, self.n_samples, first, path)


def recognises(path: Path) -> bool:
    """Say whether an HDF5 file or a Zarr folder declares itself NWB."""
    if path.is_dir():
        return _is_zarr(path)
    if not is_hdf5(path):
        return False
    with open_hdf5(path) as file, reading(path):
        return "nwb_version" in file.attrs


def describe(path: Path) -> RecordingDescription:
    """List the electrical series of a file; those that hold no spikes are other streams."""
    with opened(path) as store:
        found = store.find_series()
        raw = [name for name in found if name.startswith("acquisition/")]
        chosen = raw or found
        if not chosen:
            raise corrupt(path, "empty", "the file holds no ElectricalSeries.")
        lengths = list_takes(chosen, lambda name: _read_series(store, name).takes(path))

        def describe_one(take: str) -> StreamDescription:
            return _describe_series(store, stream_of_take(take, chosen), take, lengths[take])

        streams = describe_each(lengths, describe_one, path)
    fit = tuple(
        stream
        for stream in streams
        if not why_unsortable(stream_of_take(stream.stream, found), stream.sampling_rate_hz)
    )
    kept = fit or streams
    names = {stream_of_take(stream.stream, found) for stream in kept}
    return RecordingDescription(FORMAT, kept, tuple(n for n in found if n not in names))


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open one series; a ``probe.json`` beside it places channels that the file does not.

    Raises:
        InputCorruptError: ``truncated``: a chunk of a Zarr series is missing; ``clock``: its time
            stamps are none; ``duplicate_channels``; ``transposed``.
        HDF5PluginMissingError: the series is compressed with a filter this machine lacks.
    """
    with opened(path) as store:
        name = stream_of_take(stream, store.find_series())
        takes = _read_series(store, name).takes(path)
    recording = NwbRecording(str(path), name, hdf5_plugin_path)
    return place_channels(cut_take(recording, stream, name, takes, path), path)


class NwbRecording(BaseRecording):  # type: ignore[misc]
    """One series with all its takes, read lazily.

    Channel ids are ``channel_name`` where the table has it, else the electrodes' ids. Annotations:
    "repeated_stamps", and "clock" with the nominal and the measured rate where a file gives both.
    """

    def __init__(self, file_path: str, stream: str, hdf5_plugin_path: str | None = None) -> None:
        path = Path(file_path)
        add_plugin_path(hdf5_plugin_path)
        store = open_store(path)
        series = _read_series(store, stream)
        data = store.array(f"{stream}/data")
        if isinstance(store, Hdf5Store):
            require_filters(data, path, hdf5_plugin_path)
        rate_hz = series.clock.rate_hz
        super().__init__(
            sampling_frequency=rate_hz, channel_ids=list(series.channel_ids), dtype=data.dtype
        )
        shape = (series.n_samples, series.n_channels)
        self.add_recording_segment(InterleavedSegment(data, shape, rate_hz, path))
        self.set_channel_gains(series.gains_to_uv)
        self.set_channel_offsets(series.offsets_to_uv)
        if series.places_um is not None:
            # Two groups may be on the same places; whoever sorts them lays them apart.
            self.set_probegroup(_make_probes(series.places_um, series.groups), check_overlap=False)
        self.set_channel_groups(series.groups)
        if series.areas is not None:
            self.set_property("brain_area", series.areas)
        if series.clock.repeated:
            self.annotate(repeated_stamps=series.clock.repeated)
        if series.nominal_hz is not None:
            self.annotate(clock={"nominal_hz": series.nominal_hz, "measured_hz": rate_hz})
        self._kwargs = {
            "file_path": str(path.absolute()),
            "stream": stream,
            "hdf5_plugin_path": hdf5_plugin_path,
        }


def _is_zarr(path: Path) -> bool:
    attributes = path / ".zattrs"
    if not (path / ".zgroup").is_file() or not attributes.is_file():
        return False
    try:
        document = json.loads(attributes.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, RecursionError):
        raise corrupt(path, "unreadable", "its Zarr metadata is damaged.") from None
    return isinstance(document, dict) and "nwb_version" in document


def _describe_series(
    store: Hdf5Store | ZarrStore, name: str, take: str, n_frames: int | None
) -> StreamDescription:
    series = _read_series(store, name)
    rate_hz = series.clock.rate_hz
    duration_s = (n_frames or series.n_samples) / rate_hz
    return StreamDescription(take, series.n_channels, rate_hz, duration_s, series.dtype)


def _read_series(store: Hdf5Store | ZarrStore, name: str) -> _Series:
    path = store.path
    data = store.array(f"{name}/data")
    rows = store.column(f"{name}/electrodes")
    if rows is None or rows.dtype.kind not in "iu":
        raise corrupt(path, "geometry", f"{name} does not say which electrodes it recorded.")
    n_samples, n_channels = _shape(data.shape, rows.size, path)
    require_unique_ids(rows, path)
    ids = _table_column(store, "id", rows)
    names = _table_column(store, "channel_name", rows)
    numbered = rows if ids is None else ids
    channel_ids = tuple(str(entry) for entry in (numbered if names is None else names))
    require_unique_ids(channel_ids, path)
    clock, nominal_hz = _clock(store, name, n_samples)
    gains_to_uv, offsets_to_uv = _scale(store, name, rows)
    groups = _table_column(store, "group_name", rows)
    return _Series(
        n_samples=n_samples,
        n_channels=n_channels,
        dtype=str(data.dtype),
        clock=clock,
        nominal_hz=nominal_hz,
        channel_ids=channel_ids,
        gains_to_uv=gains_to_uv,
        offsets_to_uv=offsets_to_uv,
        groups=np.zeros(rows.size, dtype=np.int64) if groups is None else groups,
        places_um=_places_um(store, rows),
        areas=_table_column(store, "location", rows),
    )


def _shape(shape: tuple[int, ...], n_electrodes: int, path: Path) -> tuple[int, int]:
    """Return (samples, channels); one axis must be as long as the series has electrodes."""
    n_samples, n_channels = (*shape, 1)[:2] if len(shape) == 1 else shape
    if n_channels == n_electrodes:
        return int(n_samples), int(n_channels)
    stored = " x ".join(str(size) for size in shape)
    if n_samples == n_electrodes:
        raise corrupt(
            path, "transposed", f"{n_electrodes} electrodes, data of {stored}: transposed."
        )
    raise corrupt(path, "unreadable", f"{n_electrodes} electrodes are listed for data of {stored}.")


def _table_column(
    store: Hdf5Store | ZarrStore, name: str, rows: NDArray[Any]
) -> NDArray[Any] | None:
    """Return one value per channel out of the electrodes table; None for what has none."""
    column = store.column(f"{_TABLE}/{name}")
    if column is None or store.has(f"{_TABLE}/{name}_index"):
        return None
    if column.ndim != 1 or rows.min() < 0 or rows.max() >= len(column):
        raise corrupt(store.path, "geometry", f"column {name} of its electrodes table is short.")
    chosen: NDArray[Any] = column[rows]
    return chosen


def _places_um(store: Hdf5Store | ZarrStore, rows: NDArray[Any]) -> NDArray[np.float64] | None:
    across = _table_column(store, "rel_x", rows)
    along = _table_column(store, "rel_y", rows)
    if across is None or along is None or across.dtype.kind not in "iuf":
        return None
    if along.dtype.kind not in "iuf":
        return None
    places_um = np.stack([across, along], axis=1).astype(np.float64)
    return places_um if np.isfinite(places_um).any() else None


def _scale(
    store: Hdf5Store | ZarrStore, name: str, rows: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return gains and offsets to µV: conversion (x channel_conversion) and offset are in volts."""
    said, path = store.attributes(f"{name}/data"), store.path
    gains = np.full(rows.size, number(said.get("conversion", 1.0), "conversion", path))
    per_channel = store.column(f"{name}/channel_conversion")
    if per_channel is not None:
        if per_channel.shape != rows.shape or per_channel.dtype.kind not in "iuf":
            raise corrupt(path, "unreadable", "channel_conversion has not one entry per channel.")
        gains = gains * per_channel
    offset = number(said.get("offset", 0.0), "offset", path)
    offsets: Any = np.full(rows.size, offset)
    listed = _table_column(store, "offset", rows) if offset == 0 else None
    if listed is not None and listed.dtype.kind in "iuf":
        offsets = listed
    return gains * _UV_PER_V, np.asarray(offsets, dtype=np.float64) * _UV_PER_V


def _clock(
    store: Hdf5Store | ZarrStore, name: str, n_samples: int
) -> tuple[StampClock, float | None]:
    """Return the rate, gaps, and the nominal rate where time stamps are given beside it."""
    path, nominal_hz = store.path, None
    if store.has(f"{name}/starting_time"):
        rate = store.attributes(f"{name}/starting_time").get("rate")
        nominal_hz = number(rate, f"the rate of {name}", path, above=0.0)
    if not store.has(f"{name}/timestamps"):
        if nominal_hz is None:
            raise corrupt(path, "clock", f"{name} has neither a rate nor time stamps.")
        return StampClock(nominal_hz), None
    stamps_s = store.array(f"{name}/timestamps")
    if stamps_s.ndim != 1 or stamps_s.shape[0] != n_samples:
        raise corrupt(
            path, "truncated", f"{stamps_s.shape[0]} time stamps are stored for {n_samples} frames."
        )
    return _Stamps(stamps_s, path, f"{name}/timestamps").measure(), nominal_hz


class _Stamps:
    """Time stamps of one file as it is now: what was measured of them is remembered."""

    def __init__(self, stamps_s: Any, path: Path, name: str) -> None:
        self._stamps_s = stamps_s
        self._path = path
        beside = path / name / ".zarray" if path.is_dir() else path
        found = beside.stat()
        self._key = (str(path.absolute()), name, found.st_size, found.st_mtime_ns, found.st_ino)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Stamps) and self._key == other._key

    def measure(self) -> StampClock:
        """Return the clock, measured once."""
        known = _measured()
        if self not in known:
            if len(known) >= _REMEMBERED:
                known.clear()
            clock = measure_clock(self._stamps_s, self._path)
            self._stamps_s = None  # the file is not kept open by what is remembered
            known[self] = clock
        return known[self]


_REMEMBERED = 32


@lru_cache(maxsize=1)
def _measured() -> dict[_Stamps, StampClock]:
    return {}


def _make_probes(places_um: NDArray[np.float64], groups: NDArray[Any]) -> ProbeGroup:
    """Return a probe per electrode group: their places are relative to the group."""
    probes = ProbeGroup()
    for name in np.unique(groups):
        rows = np.flatnonzero(groups == name)
        probe = Probe(ndim=2, si_units="um")
        probe.set_contacts(places_um[rows], shapes="circle", shape_params={"radius": 1})
        probe.set_device_channel_indices(rows)
        probes.add_probe(probe)
    return probes


FAMILY = FormatFamily(FORMAT, "NWB (HDF5 or Zarr)", recognises, describe, open_stream)
