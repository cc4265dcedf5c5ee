"""An NWB file of the sorted units: spikes in original seconds, templates in volts, metrics.

It holds no traces. ``obs_intervals`` say what of the recording was sorted, an interval for each
unbroken stretch. What a metric is stands in the description of its column; one that was not
measured for any unit has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject
from pynwb.misc import Units

from spikefleet.signal.exports.session_metadata import SessionMetadata, require_complete
from spikefleet.signal.exports.source import ExportedUnit, ExportSource
from spikefleet.signal.units.metric_definitions import MetricDefinition, metric_definitions

_MOST_WORDS = 4000
_MOST_CHANNELS = 32  # of a template: the nearest to its peak
_COLUMNS: Mapping[str, str] = {
    "unit_name": "name of the unit in the sort",
    "quality": "good where it met every threshold of curation, else rejected",
    "failed_on": "the first threshold that it did not meet",
    "firing_rate_hz": "spikes per second of what was sorted (Hz)",
    "amplitude_uv": "height of the template on its largest channel (microvolts)",
    "snr": "that height over the noise of the channel",
    "isi_violation_ratio": "intervals below the refractory period over the number of spikes",
    "isi_hill": "violation rate in the refractory period over the unit's rate (Hill et al. 2011)",
    "std_norm": "spread of the waveforms at the peak over the height",
    "presence_ratio": "share of time bins with a spike",
    "peak_channel": "name of the largest channel",
    "estimated_x_um": "place of the unit (micrometres)",
    "estimated_y_um": "place of the unit (micrometres)",
}

_SAID = {
    "label": "what the unit was called: by hand, or by a rule of curation",
    "label_why": "why it is called so",
}
# The same numbers stand under names of their own above.
_TOLD_ALREADY = ("isi_percent", "channel_id", "x_um", "y_um")


def write_nwb(source: ExportSource, path: Path, metadata: SessionMetadata | None) -> None:
    """Write the file.

    Raises InvalidConfigurationError, before anything is written, naming what ``metadata`` lacks.
    """
    known = require_complete(metadata)
    file = _file(source, known)
    _add_electrodes(file, source, known)
    if source.units:
        file.units = _units(file, source)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)


def _file(source: ExportSource, known: SessionMetadata) -> NWBFile:
    run, session = source.results.provenance["run"], known.session
    start = session.session_start_time
    assert isinstance(start, datetime)  # require_complete asked for it
    told = session.model_dump(exclude_none=True, exclude={"session_start_time", "experimenter"})
    return NWBFile(
        session_start_time=start,
        identifier=source.results.run_id,
        **{
            "session_description": f"Units of {run.get('recording_name') or 'a recording'}",
            **{name: value for name, value in told.items() if value},
            "keywords": list(session.keywords) or ["spike sorting"],
        },
        experimenter=list(session.experimenter) or None,
        source_script=f"spikefleet {source.results.provenance['versions'].get('spikefleet', '')}",
        source_script_file_name="spikefleet",
        subject=Subject(**known.subject.model_dump(exclude_none=True)),
        data_collection=_what_was_sorted(source),
    )


def _what_was_sorted(source: ExportSource) -> str:
    """Name recording, stream and files; the names are a person's, so that they are bounded."""
    run, timeline = source.results.provenance["run"], source.data.timeline
    stream = run.get("stream")
    told = [f"Recording {run.get('recording_name') or 'without a name'}"]
    if stream:
        told.append(f"stream {stream}")
    files = [file.name for file in timeline.files if file.name] if timeline else []
    if files:
        told.append(f"files {', '.join(files)}")
    return f"{'; '.join(told)[:_MOST_WORDS]}. Sorted with {run.get('backend') or 'a spike sorter'}."


def _add_electrodes(file: NWBFile, source: ExportSource, known: SessionMetadata) -> None:
    told = known.device
    device = file.create_device(
        name=told.name, description=told.description, manufacturer=told.manufacturer
    )
    group = file.create_electrode_group(
        name="electrodes", description=told.description, location=told.location, device=device
    )
    file.add_electrode_column("channel_name", "name of the channel in the recording")
    places = zip(source.data.channel_ids, source.data.channel_locations_um, strict=True)
    for name, (x_um, y_um) in places:
        file.add_electrode(
            group=group,
            location=told.location,
            rel_x=float(x_um),
            rel_y=float(y_um),
            channel_name=name,
        )


def _units(file: NWBFile, source: ExportSource) -> Units:
    rate_hz = source.data.sampling_rate_hz
    table = Units(
        name="units",
        description="units found by a spike sorter",
        electrode_table=file.electrodes,
        resolution=1.0 / rate_hz,
        waveform_rate=rate_hz,
    )
    for name, description in _COLUMNS.items():
        table.add_column(name=name, description=description)
    measured = _measured(source.units)
    for name in measured:
        table.add_column(name=name, description=_described(metric_definitions().get(name), name))
    observed = np.asarray(source.observed_s())
    for row, unit in enumerate(source.units):
        table.add_unit(
            spike_times=unit.frames / rate_hz,
            obs_intervals=observed,
            **_waveforms(source, unit),
            **_values(unit),
            **{name: values[row] for name, values in measured.items()},
        )
    return table


def _measured(units: Sequence[ExportedUnit]) -> dict[str, list[Any]]:
    """Label and metrics that curation wrote, each of one type: text, a flag, or a number (NaN)."""
    found: dict[str, list[Any]] = {}
    for name in (*_SAID, *metric_definitions()):
        values = [unit.fetched.metrics.get(name) for unit in units]
        known = [value for value in values if value is not None and value != ""]
        if name in _COLUMNS or name in _TOLD_ALREADY or not known:
            continue
        if all(isinstance(value, str) for value in known):
            found[name] = [value or "" for value in values]
        elif all(isinstance(value, bool) for value in values):
            found[name] = values
        elif all(isinstance(value, int | float) for value in known):
            found[name] = [math.nan if value is None else float(value) for value in values]
    return found


def _described(metric: MetricDefinition | None, name: str) -> str:
    """What a metric is, with its unit and who described it, in plain text."""
    if metric is None:
        return _SAID[name]
    notes = [note for note in (metric.unit, metric.source) if note]
    return f"{metric.words} ({'; '.join(notes)})" if notes else metric.words


def _waveforms(source: ExportSource, unit: ExportedUnit) -> dict[str, Any]:
    """Mean and spread in volts, (samples, channels), and which electrodes the channels are."""
    data = source.data
    channels = data.channels_around(unit.quality.channel_index, _MOST_CHANNELS)
    found: dict[str, Any] = {"electrodes": channels}
    if data.templates_uv.shape[1]:
        found["waveform_mean"] = data.templates_uv[unit.index][:, channels] * 1e-6
    if data.template_stds_uv.shape[1]:
        found["waveform_sd"] = data.template_stds_uv[unit.index][:, channels] * 1e-6
    return found


def _values(unit: ExportedUnit) -> dict[str, Any]:
    measured = unit.quality
    return {
        "unit_name": measured.unit_id,
        "quality": "good" if unit.fetched.passed else "rejected",
        "failed_on": unit.fetched.failed_on or "none",
        "firing_rate_hz": measured.firing_rate_hz,
        "amplitude_uv": measured.amplitude_uv,
        "snr": measured.snr,
        "isi_violation_ratio": measured.isi_percent,
        "isi_hill": measured.isi_hill,
        "std_norm": measured.std_norm,
        "presence_ratio": measured.presence_ratio,
        "peak_channel": measured.channel_id,
        "estimated_x_um": measured.x_um,
        "estimated_y_um": measured.y_um,
    }
