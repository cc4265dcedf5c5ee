"""Preparing a recording for a sorter: windows, band-pass and one int16 copy on scratch.

Decides what the copy holds and what it is called: a digest of the recording and of all that is done
to it, so that the same preparation is made once. Microvolts are applied exactly once: the copy
keeps integer codes with their gain, so whoever scales it gets µV and whoever does not gets codes.
What already fits is not copied.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from probeinterface import Probe, ProbeGroup
from spikeinterface.core import BaseRecording
from spikeinterface.core.core_tools import SIJsonEncoder

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.recordings.band_pass import (
    Implementation,
    choose_implementation,
    design_band_pass,
)
from spikefleet.core.recordings.coding import DEFAULT_LSB_UV, choose_coding
from spikefleet.core.recordings.prepared_copy import (
    TIMELINE,
    CopyPlan,
    Progress,
    Reference,
    find_copy,
    write_copy,
)
from spikefleet.core.recordings.timeline import FileSpan, Timeline
from spikefleet.core.recordings.windows import keep_frames

__all__ = [
    "DEFAULT_LSB_UV",
    "TIMELINE",
    "PrepareOptions",
    "Prepared",
    "prepare",
    "prepare_recording",
]

# Part of every digest: raised when the same parameters would give other samples.
_PREPARATION = 1
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True)
class PrepareOptions:
    """What may be said about a preparation beyond the configuration.

    ``recording_digest`` names the content; without it, the files' paths, sizes and times do.
    ``files`` are those a concatenated recording was made of: nothing is filtered across their ends.
    ``implementation`` is chosen by the recording's size unless given.
    """

    n_jobs: int = 1
    progress: Progress | None = None
    recording_digest: str = ""
    files: tuple[FileSpan, ...] = ()
    reference: Reference = "none"
    implementation: Implementation | None = None


@dataclass(frozen=True)
class Prepared:
    """What a sorter is given, and the map from its samples to the original ones.

    ``folder`` is the copy's; None when the recording was fit as it was. ``implementation`` is what
    filtered it, "none" when nothing did; ``reused`` says that the copy was found complete.
    """

    recording: BaseRecording
    timeline: Timeline
    folder: Path | None = None
    implementation: str = "none"
    reused: bool = False
    digest: str = field(default="", repr=False)


def prepare(
    recording: BaseRecording,
    config: RecordingConfig,
    folder: Path,
    *,
    n_jobs: int = 1,
    progress: Progress | None = None,
) -> BaseRecording:
    """Return the recording a sorter is given. As ``prepare_recording``, for the recording alone."""
    options = PrepareOptions(n_jobs=n_jobs, progress=progress)
    return prepare_recording(recording, config, folder, options).recording


def prepare_recording(
    recording: BaseRecording,
    config: RecordingConfig,
    folder: Path,
    options: PrepareOptions | None = None,
) -> Prepared:
    """Prepare a recording as one segment, int16, with gain and offset to µV.

    The copy is ``folder/prepared-<digest>``, a SpikeInterface binary folder with its
    ``timeline.json``; a complete one is found again instead of written. A recording that is already
    int16 on disk in that form, and to whose samples nothing has to be done, is returned uncopied.
    Memory is bounded by ``n_jobs`` blocks; ``progress`` gets the fraction written.

    Raises:
        InvalidConfigurationError: names the field that does not fit this recording.
        DiskExhaustionError: the copy does not fit on the disk.
        InputCorruptError: samples cannot be read, or are no numbers.
    """
    options = options or PrepareOptions()
    recording = _with_scaling(recording, config)
    recording = _with_flipped_map(recording, config.mea_y_max)
    rate_hz, n_samples = float(recording.sampling_frequency), int(recording.get_num_samples())
    timeline = Timeline(
        rate_hz,
        options.files or (FileSpan("", n_samples),),
        keep_frames(config, n_samples, rate_hz),
    )
    band_pass = design_band_pass(config, rate_hz)
    is_left_alone = band_pass is None and options.reference == "none"
    if is_left_alone and timeline.is_identity and _is_plain_int16(recording):
        return Prepared(recording, timeline)
    inputs = _describe_inputs(recording, options.recording_digest)
    steps = _describe_steps(config, timeline, options.reference)
    text = json.dumps([_PREPARATION, inputs, steps], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    place = folder / f"prepared-{digest}"
    copy = find_copy(place, digest) if inputs["content"] else None
    reused = copy is not None
    implementation = options.implementation or choose_implementation(
        timeline.n_samples * int(recording.get_num_channels())
    )
    if copy is None:
        coding = choose_coding(recording, filtered=band_pass is not None)
        plan = CopyPlan(recording, timeline, band_pass, options.reference, coding, implementation)
        manifest = {
            "digest": digest,
            "inputs": inputs,
            "steps": steps,
            "filtered_by": implementation if band_pass else "none",
        }
        copy = write_copy(plan, place, manifest, options.n_jobs, options.progress)
    if options.progress is not None:
        options.progress(1.0)
    filtered_by = implementation if band_pass else "none"
    return Prepared(copy, timeline, place, filtered_by, reused, digest)


def _describe_inputs(recording: BaseRecording, recording_digest: str) -> dict[str, Any]:
    """Return what tells one input from another; ``content`` is empty for samples in memory."""
    made_with = _made_with(recording)
    content: Any = recording_digest or [
        [str(path), status.st_size, status.st_mtime_ns]
        for path in _files_of(made_with)
        for status in (path.stat(),)
    ]
    return {
        "content": content,
        # Wells of a plate may share everything but this; scratch folders differ and do not matter.
        "opened_with": _without_folders(made_with),
        "n_samples": int(recording.get_num_samples()),
        "sampling_rate_hz": float(recording.sampling_frequency),
        "dtype": str(recording.get_dtype()),
        "channels": [str(channel) for channel in recording.channel_ids],
        "gain_to_uv": np.asarray(recording.get_channel_gains(), dtype=float).tolist(),
        "offset_to_uv": np.asarray(recording.get_channel_offsets(), dtype=float).tolist(),
        "locations_um": np.asarray(recording.get_channel_locations(), dtype=float).tolist()
        if recording.has_probe()
        else [],
    }


def _describe_steps(
    config: RecordingConfig, timeline: Timeline, reference: Reference
) -> dict[str, Any]:
    return {
        "kept": timeline.kept,
        "files": [file.n_samples for file in timeline.files],
        "band_hz": [config.freq_min, config.freq_max],
        "reference": reference,
    }


def _made_with(recording: BaseRecording) -> Any:
    """Return the arguments a lazily read recording was opened with; None for one in memory."""
    if not recording.check_serializability("json"):
        return None
    return json.loads(json.dumps(recording.to_dict(recursive=True)["kwargs"], cls=SIJsonEncoder))


def _files_of(made_with: Any) -> list[Path]:
    """Find the files that are read, in what a recording was opened with."""
    found: set[Path] = set()
    waiting: list[Any] = [made_with]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and Path(value).is_absolute():
            path = Path(value)
            inside = path.rglob("*") if path.is_dir() else [path]
            found.update(file for file in inside if file.is_file())
    return sorted(found)


def _without_folders(value: Any) -> Any:
    """Shorten every absolute path to its last part."""
    if isinstance(value, dict):
        return {key: _without_folders(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_folders(entry) for entry in value]
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name
    return value


def _with_scaling(recording: BaseRecording, config: RecordingConfig) -> BaseRecording:
    """Apply the configured gain and offset, on a view: the caller's recording stays as it was."""
    if config.gain_to_uv is None and config.offset_to_uv is None:
        return recording
    view = recording.select_channels(recording.channel_ids)
    for name, value, setter in (
        ("gain_to_uv", config.gain_to_uv, view.set_channel_gains),
        ("offset_to_uv", config.offset_to_uv, view.set_channel_offsets),
    ):
        if value is None:
            continue
        values = np.atleast_1d(np.asarray(value, dtype=np.float64))
        if values.size not in (1, view.get_num_channels()):
            raise InvalidConfigurationError(
                f"recording.{name} has {values.size} values for {view.get_num_channels()} "
                "channels; give one, or one per channel.",
                field=f"recording.{name}",
                value=values.size,
            )
        if name == "gain_to_uv" and (values == 0.0).any():
            raise InvalidConfigurationError(
                "recording.gain_to_uv holds a 0, which would erase its channel. "
                "Give the µV of one count.",
                field="recording.gain_to_uv",
                value=0.0,
            )
        setter(np.broadcast_to(values, view.get_num_channels()).copy())
    return view


def _with_flipped_map(recording: BaseRecording, mea_y_max: float | None) -> BaseRecording:
    """Turn the electrode map upside down: y becomes ``mea_y_max`` (-1: the largest y) minus y."""
    if mea_y_max is None:
        return recording
    if mea_y_max < 0 and mea_y_max != -1:
        raise InvalidConfigurationError(
            f"recording.mea_y_max is {mea_y_max:g}; give a height in µm, or -1 for "
            "each probe's own.",
            field="recording.mea_y_max",
            value=mea_y_max,
        )
    view = recording.select_channels(recording.channel_ids)
    flipped = ProbeGroup()
    for probe in view.get_probegroup().probes:
        document = probe.to_dict(array_as_list=False)
        positions_um = np.array(document["contact_positions"], dtype=np.float64)
        top_um = positions_um[:, 1].max() if mea_y_max == -1 else mea_y_max
        positions_um[:, 1] = top_um - positions_um[:, 1]
        document["contact_positions"] = positions_um
        document.pop("probe_planar_contour", None)
        flipped.add_probe(Probe.from_dict(document))
    view.set_probegroup(flipped)
    return view


def _is_plain_int16(recording: BaseRecording) -> bool:
    if recording.get_dtype() != np.dtype("int16") or not recording.is_binary_compatible():
        return False
    return bool(recording.get_binary_description()["time_axis"] == 0)
