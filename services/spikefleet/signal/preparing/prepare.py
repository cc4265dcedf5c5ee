"""Preparing a recording for a sorter: windows, band-pass and one int16 copy on scratch.

Decides what the copy holds and what it is called: a digest of the recording and of all that is done
to it, so that the same preparation is made once. Microvolts are applied exactly once: the copy
keeps integer codes with their gain, so whoever scales it gets µV and whoever does not gets codes.
What already fits is not copied.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from spikeinterface.core import BaseRecording
from spikeinterface.core.core_tools import SIJsonEncoder

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.recording.windows import keep_frames
from spikefleet.signal.filtering.band_pass import (
    Implementation,
    choose_implementation,
    design_band_pass,
)
from spikefleet.signal.measuring.bad_channels import choose_left_out, leave_out
from spikefleet.signal.preparing.int16_coding import DEFAULT_LSB_UV, choose_coding
from spikefleet.signal.preparing.prepared_copy import (
    TIMELINE,
    CopyPlan,
    Progress,
    Reference,
    find_copy,
    write_copy,
)
from spikefleet.signal.preparing.prepared_place import Claim, PreparedPlace
from spikefleet.signal.preparing.scaling import with_flipped_map, with_scaling
from spikefleet.signal.preparing.timeline import FileSpan, Timeline

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
    ``implementation`` is chosen by the recording's size unless given. ``place`` is the folder of
    the copies where several processes share it: copies are claimed then, and ``on_wait`` is called
    now and then while another process writes the same one.
    """

    n_jobs: int = 1
    progress: Progress | None = None
    recording_digest: str = ""
    files: tuple[FileSpan, ...] = ()
    reference: Reference = "none"
    implementation: Implementation | None = None
    place: PreparedPlace | None = None
    on_wait: Callable[[], None] | None = None


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
    claim: Claim | None = field(default=None, repr=False)

    def release(self) -> None:
        """Say that the copy has served: its place may remove it when it wants the room."""
        if self.claim is not None:
            self.claim.release(succeeded=True)


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
        NoGoodChannelsError: all channels are left out.
        DiskExhaustionError: the copy does not fit on the disk.
        InputCorruptError: samples cannot be read, or are no numbers.
    """
    options = options or PrepareOptions()
    recording = with_scaling(recording, config)
    recording = with_flipped_map(recording, config.mea_y_max)
    recording = leave_out(recording, choose_left_out(recording, config.bad_channels))
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
    target = folder / f"prepared-{digest}"
    implementation = options.implementation or choose_implementation(
        timeline.n_samples * int(recording.get_num_channels())
    )
    filtered_by = implementation if band_pass else "none"
    find = partial(find_copy, target, digest if inputs["content"] else "")
    claim = None
    if options.place is not None:
        claim, _ = options.place.use(target.name, lambda: find() is not None, options.on_wait)
    copy = find()
    reused = copy is not None
    if copy is None:
        coding = choose_coding(recording, filtered=band_pass is not None)
        plan = CopyPlan(recording, timeline, band_pass, options.reference, coding, implementation)
        manifest = {"digest": digest, "inputs": inputs, "steps": steps, "filtered_by": filtered_by}
        copy = write_copy(plan, target, manifest, options.n_jobs, options.progress)
        if claim is not None:
            claim.share()
    if options.progress is not None:
        options.progress(1.0)
    return Prepared(copy, timeline, target, filtered_by, reused, digest, claim)


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


def _is_plain_int16(recording: BaseRecording) -> bool:
    if recording.get_dtype() != np.dtype("int16") or not recording.is_binary_compatible():
        return False
    return bool(recording.get_binary_description()["time_axis"] == 0)
