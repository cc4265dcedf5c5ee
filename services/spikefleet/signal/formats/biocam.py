"""3Brain BioCAM ``.brw``: BrainWave 3 files and the raw data of BrainWave 4 files.

One stream is one well ("Well_A1"); a BrainWave 3 file has one, "Raw". Contact positions come from
the channels the file says it stored, not from a guessed square. Event-compressed and wavelet files
are refused: between their snippets there is no signal to sort.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from probeinterface import Probe
from spikeinterface.core import BaseRecording

from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.signal.formats.family import FormatFamily, describe_each
from spikefleet.signal.formats.frame_gaps import require_unique_ids
from spikefleet.signal.formats.hdf5 import (
    add_plugin_path,
    dataset_at,
    is_hdf5,
    open_hdf5,
    read_whole,
    require_filters,
    require_samples,
)
from spikefleet.signal.formats.hdf5_fields import (
    first_value,
    groups_in,
    number_at,
    numbers_at,
    table_at,
)
from spikefleet.signal.formats.hdf5_layouts import InterleavedSegment
from spikefleet.signal.formats.header_fields import entry, number, whole
from spikefleet.signal.formats.reader_errors import corrupt

FORMAT = "biocam"
_OLD_STREAM = "Raw"
_OLD_SAMPLES = "3BData/Raw"
# Fields of the older header, and what each must be above.
_OLD_FIELDS: Mapping[str, float | None] = {
    "MinVolt": None,
    "MaxVolt": None,
    "BitDepth": 0,
    "SignalInversion": None,
    "NRecFrames": None,
    "SamplingRate": 0,
}
_MOST_BITS = 32
_ARRAY_COLUMNS = 64
_NOT_CONTINUOUS = ("EventsBasedSparseRaw", "WaveletBasedEncodedRaw")
# Pitch and electrode width in µm by plate model; Arena, Prime and the BrainWave 3 chips by default.
_PITCH_UM: Mapping[str, float] = {"accura": 60.0, "coreplate": 60.0, "stimulo": 81.0}
_WIDTH_UM: Mapping[str, float] = {"coreplate": 25.0}
_DEFAULT_PITCH_UM, _DEFAULT_WIDTH_UM = 42.0, 21.0


@dataclass(frozen=True)
class _Well:
    """One well's samples and how to read them; rows and columns count from 0."""

    dataset: str
    n_samples: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    sampling_rate_hz: float
    gain_to_uv: float
    offset_to_uv: float
    pitch_um: float
    width_um: float
    inverted_from: int | None = None


def recognises(path: Path) -> bool:
    """Say whether an HDF5 file has one of BrainWave's layouts for raw recordings."""
    if not is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return "3BRecInfo" in file or (
            ("ExperimentSettings" in file or "ExperimentInfo" in file)
            and any(name.startswith("Well_") for name in file)
        )


def describe(path: Path) -> RecordingDescription:
    """List the wells from the header alone."""
    with open_hdf5(path) as file:
        names = _well_names(file, path)
        streams = describe_each(names, lambda name: _describe_well(file, name, path), path)
    return RecordingDescription(FORMAT, streams)


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BioCamRecording:
    """Open one well."""
    return BioCamRecording(str(path), stream, hdf5_plugin_path)


class BioCamRecording(BaseRecording):  # type: ignore[misc]
    """One well, all stored channels, read lazily. Channel ids are "row-column" counted from 1."""

    def __init__(self, file_path: str, stream: str, hdf5_plugin_path: str | None = None) -> None:
        path = Path(file_path)
        add_plugin_path(hdf5_plugin_path)
        file = open_hdf5(path)
        well = _read_well(file, stream, path)
        data = file[well.dataset]
        require_filters(data, path, hdf5_plugin_path)
        names = [
            f"{row + 1}-{column + 1}" for row, column in zip(well.rows, well.columns, strict=True)
        ]
        require_unique_ids(names, path)
        super().__init__(
            sampling_frequency=well.sampling_rate_hz, channel_ids=names, dtype=data.dtype
        )
        shape = (well.n_samples, well.rows.size)
        segment = InterleavedSegment(data, shape, well.sampling_rate_hz, path)
        segment.inverted_from = well.inverted_from
        self.add_recording_segment(segment)
        self.set_probe(_make_probe(well))
        self.set_channel_gains(np.full(well.rows.size, well.gain_to_uv))
        self.set_channel_offsets(np.full(well.rows.size, well.offset_to_uv))
        self._kwargs = {
            "file_path": str(path.absolute()),
            "stream": stream,
            "hdf5_plugin_path": hdf5_plugin_path,
        }


def _well_names(file: Any, path: Path) -> list[str]:
    if "3BRecInfo" in file:
        return [_OLD_STREAM]
    wells = {
        name: well for name, well in groups_in(file, "/", path).items() if name.startswith("Well_")
    }
    raw = [name for name, well in wells.items() if "Raw" in well]
    if raw:
        return raw
    if any(kind in well for well in wells.values() for kind in _NOT_CONTINUOUS):
        raise corrupt(
            path,
            "not_continuous",
            "only compressed snippets were stored, and sorting needs the continuous signal: "
            "record or export it as raw data.",
        )
    raise corrupt(path, "empty", "no well of this file holds raw data.")


def _describe_well(file: Any, name: str, path: Path) -> StreamDescription:
    well = _read_well(file, name, path)
    return StreamDescription(
        name,
        int(well.rows.size),
        well.sampling_rate_hz,
        well.n_samples / well.sampling_rate_hz,
        str(file[well.dataset].dtype),
    )


def _read_well(file: Any, name: str, path: Path) -> _Well:
    return _read_old(file, path) if "3BRecInfo" in file else _read_new(file, name, path)


def _read_old(file: Any, path: Path) -> _Well:
    values = {
        name: number_at(file, f"3BRecInfo/3BRecVars/{name}", path, above=least)
        for name, least in _OLD_FIELDS.items()
    }
    n_codes = 2 ** whole(values["BitDepth"], "BitDepth", path, least=1, most=_MOST_BITS)
    if values["SignalInversion"] not in (1.0, -1.0):
        inversion = values["SignalInversion"]
        raise corrupt(path, "unreadable", f"signal inversion {inversion} is neither 1 nor -1.")
    channels = table_at(file, "3BRecInfo/3BMeaStreams/Raw/Chs", path, numbers=("Row", "Col"))
    expected = whole(values["NRecFrames"], "NRecFrames", path)
    low_uv, high_uv = values["MinVolt"], values["MaxVolt"]
    if not high_uv > low_uv:
        raise corrupt(path, "unreadable", "its range of voltages is empty.")
    return _Well(
        dataset=_OLD_SAMPLES,
        n_samples=_count_frames(file, _OLD_SAMPLES, channels.size, path, expected),
        rows=channels["Row"].astype(np.int64) - 1,
        columns=channels["Col"].astype(np.int64) - 1,
        sampling_rate_hz=values["SamplingRate"],
        gain_to_uv=(high_uv - low_uv) / n_codes,
        offset_to_uv=low_uv,
        pitch_um=_DEFAULT_PITCH_UM,
        width_um=_DEFAULT_WIDTH_UM,
        inverted_from=n_codes if values["SignalInversion"] < 0 else None,
    )


def _read_new(file: Any, name: str, path: Path) -> _Well:
    if f"{name}/StoredChIdxs" not in file:
        raise corrupt(path, "unreadable", f"{name} does not say which channels it stored.")
    stored = numbers_at(file, f"{name}/StoredChIdxs", path).astype(np.int64)
    rate_hz, low_uv, high_uv, low_code, high_code, model = _read_settings(file, path)
    if not (rate_hz > 0 and high_code > low_code):
        raise corrupt(path, "unreadable", "its rate or its range of codes is empty.")
    gain_to_uv = (high_uv - low_uv) / (high_code - low_code)
    expected = None
    if "TOC" in file:
        contents = read_whole(dataset_at(file, "TOC", path), path).reshape(-1)
        expected = whole(contents[-1] if contents.size else None, "TOC", path)
    return _Well(
        dataset=f"{name}/Raw",
        n_samples=_count_frames(file, f"{name}/Raw", stored.size, path, expected),
        rows=stored // _ARRAY_COLUMNS,
        columns=stored % _ARRAY_COLUMNS,
        sampling_rate_hz=rate_hz,
        gain_to_uv=gain_to_uv,
        offset_to_uv=low_uv - low_code * gain_to_uv,
        pitch_um=_by_model(_PITCH_UM, model, _DEFAULT_PITCH_UM),
        width_um=_by_model(_WIDTH_UM, model, _DEFAULT_WIDTH_UM),
    )


def _read_settings(file: Any, path: Path) -> tuple[float, float, float, float, float, str]:
    """Return (rate in Hz, lowest and highest µV, lowest and highest code, plate model)."""
    if "ExperimentSettings" in file:
        settings = _document(file, "ExperimentSettings", path)
        values = entry(settings, "ValueConverter", path)
        factor = number(values.get("ScaleFactor", 1.0), "ScaleFactor", path)
        plate = settings.get("MeaPlate")
        return (
            _number(entry(settings, "TimeConverter", path), "FrameRate", path),
            factor * _number(values, "MinAnalogValue", path),
            factor * _number(values, "MaxAnalogValue", path),
            _number(values, "MinDigitalValue", path),
            _number(values, "MaxDigitalValue", path),
            str(plate.get("Model", "")) if isinstance(plate, Mapping) else "",
        )
    info = _document(file, "ExperimentInfo", path)
    converter = entry(info, "SignalConverter", path)
    values = entry(converter, "DigitalToAnalogConverter", path)
    return (
        _number(entry(converter, "SampleToTimeConverter", path), "FrameRateHertz", path),
        _number(values, "MinAnalogValueMicroVolt", path),
        _number(values, "MaxAnalogValueMicroVolt", path),
        _number(values, "MinDigitalValue", path),
        _number(values, "MaxDigitalValue", path),
        "coreplate" if "CorePlateData" in info else "",
    )


def _document(file: Any, name: str, path: Path) -> Mapping[str, Any]:
    text = first_value(file, name, path)
    try:
        found = json.loads(text) if isinstance(text, str | bytes) else None
    except (ValueError, RecursionError) as error:
        raise corrupt(path, "unreadable", f"{name} is not JSON.") from error
    if not isinstance(found, Mapping):
        raise corrupt(path, "unreadable", f"{name} holds no table of fields.")
    return found


def _number(fields: Any, key: str, path: Path) -> float:
    return number(entry(fields, key, path), key, path)


def _count_frames(file: Any, name: str, n_channels: int, path: Path, expected: int | None) -> int:
    data = dataset_at(file, name, path)
    require_samples(data, path, n_dimensions=(1, 2))
    n_values = int(data.size)
    if n_channels == 0:
        raise corrupt(path, "empty", f"{data.name} holds no samples.")
    if n_values % n_channels or (data.ndim == 2 and data.shape[1] != n_channels):
        raise corrupt(
            path,
            "truncated",
            f"{n_values} values of {data.name} are no whole frames of {n_channels} channels.",
        )
    n_samples = n_values // n_channels
    if expected is not None and n_samples < expected:
        raise corrupt(
            path, "truncated", f"the header counts {expected} frames, {n_samples} are stored."
        )
    return n_samples


def _by_model(sizes_um: Mapping[str, float], model: str, default_um: float) -> float:
    return next(
        (size_um for name, size_um in sizes_um.items() if model.lower().startswith(name)),
        default_um,
    )


def _make_probe(well: _Well) -> Probe:
    probe = Probe(ndim=2, si_units="um", manufacturer="3Brain")
    probe.set_contacts(
        positions=np.stack([well.rows, well.columns], axis=1) * well.pitch_um,
        shapes="square",
        shape_params={"width": well.width_um},
    )
    probe.annotate_contacts(row=well.rows, column=well.columns)
    probe.set_device_channel_indices(np.arange(well.rows.size))
    return probe


FAMILY = FormatFamily(FORMAT, "3Brain BioCAM .brw", recognises, describe, open_stream)
