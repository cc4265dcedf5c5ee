"""Whether an opened recording is what it says it is: findings for preflight and ``inspect``.

Readers refuse what cannot be read right (truncated, out of order, no geometry); here is what can be
read and may still be wrong: missing frames, doubtful scale, type or channel count, channels that
share a place, samples that are not numbers. Looks at a bounded part of the samples unless asked
for all; changes nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.core.findings.finding import Finding, fail, note, warn, worst_first
from spikefleet.core.recording.windows import Frames, spread_frames
from spikefleet.signal.formats.hdf5_layouts import RowsSegment
from spikefleet.signal.formats.plausibility import channel_count_doubt, type_doubt
from spikefleet.signal.formats.reader_errors import reading_traces
from spikefleet.signal.measuring.truth_told import what_readers_told

_N_BLOCKS = 3
_BLOCK_VALUES = 1 << 18
_SCANNED_VALUES = 1 << 22
_LISTED = 8
# SpikeInterface's steps that turn codes into µV; the last leaves the old gain on the result.
_SCALING_STEPS = ("ScaleTouVRecording", "ScaleToPhysicalUnits", "ScaleRecording")


def check_truth(
    recording: BaseRecording,
    *,
    every_sample: bool = False,
    progress: Callable[[float], None] = lambda fraction: None,
) -> tuple[Finding, ...]:
    """Check a recording as ``open_recording`` returns it, before any scaling; worst first.

    ``every_sample`` reads all samples, which shows that they can be read, and looks for those that
    are not numbers everywhere instead of in a few places; ``progress`` hears how far that is, from
    0 to 1. Memory is bounded either way.

    Raises:
        InputCorruptError: the traces cannot be read.
    """
    sample = _Sample(recording, every_sample, progress)
    found = [finding for check in _CHECKS if (finding := check(sample)) is not None]
    found += what_readers_told(recording)
    return worst_first(found)


class _Sample:
    """A recording and a few blocks of its samples, read once."""

    def __init__(
        self, recording: BaseRecording, every_sample: bool, progress: Callable[[float], None]
    ) -> None:
        self.recording = recording
        self.every_sample = every_sample
        self.progress = progress
        self.dtype = np.dtype(recording.get_dtype())
        self.rate_hz = float(recording.sampling_frequency)
        self.ids = [str(name) for name in recording.channel_ids]
        n_samples = int(recording.get_num_samples())
        length = max(1, min(n_samples, _BLOCK_VALUES // max(1, len(self.ids))))
        self.spans = spread_frames(n_samples, length, _N_BLOCKS) if n_samples else []
        self.blocks = [self.read(span) for span in self.spans]
        self.n_samples = n_samples

    def read(self, span: Frames) -> NDArray[Any]:
        """Return samples x channels, as stored."""
        with reading_traces():
            block: NDArray[Any] = self.recording.get_traces(start_frame=span[0], end_frame=span[1])
        return block

    def walk(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (first frame, block) of the places looked at, or of everything."""
        if not self.every_sample:
            yield from (
                (span[0], block) for span, block in zip(self.spans, self.blocks, strict=True)
            )
            return
        step = max(1, _SCANNED_VALUES // max(1, len(self.ids)))
        for start in range(0, self.n_samples, step):
            stop = min(start + step, self.n_samples)
            yield start, self.read((start, stop))
            self.progress(stop / self.n_samples)


def _check_ids(sample: _Sample) -> Finding | None:
    repeated = [name for name, count in Counter(sample.ids).items() if count > 1]
    if not repeated:
        return None
    return fail(
        "duplicate_channels",
        InputCorruptError(
            f"{len(repeated)} channel ids are given twice ({_listed(repeated)}).",
            reason="duplicate_channels",
            channels=repeated[:_LISTED],
        ),
    )


def _check_positions(sample: _Sample) -> Finding | None:
    if not sample.recording.has_probe():
        return None
    # Positions count within a probe or shank; two probes may use the same ones.
    groups = sample.recording.get_channel_groups()
    places: dict[tuple[Any, ...], list[str]] = {}
    for name, group, position in zip(
        sample.ids, groups, sample.recording.get_channel_locations(), strict=True
    ):
        places.setdefault((str(group), *np.round(position, 3)), []).append(name)
    shared = [names for names in places.values() if len(names) > 1]
    if not shared:
        return None
    return warn(
        "duplicate_positions",
        f"{len(shared)} places hold more than one channel "
        f"({_listed([' and '.join(names) for names in shared])}).",
        channels=shared[:_LISTED],
    )


def _check_unsigned(sample: _Sample) -> Finding | None:
    if sample.dtype.kind != "u" or not sample.blocks:
        return None
    middle = float(np.median(np.concatenate([block.reshape(-1) for block in sample.blocks])))
    return note(
        "unsigned",
        f"Samples are unsigned ({sample.dtype}), centred on code {middle:g}.",
        middle_code=middle,
    )


def _check_gain(sample: _Sample) -> Finding | None:
    recording = sample.recording
    if recording.get_annotation("gain_assumed") or not recording.has_scaleable_traces():
        return warn(
            "gain_missing",
            "The file does not say how many µV one count is; 1 µV is assumed.",
        )
    scale = np.concatenate([recording.get_channel_gains(), recording.get_channel_offsets()])
    gains = np.asarray(recording.get_channel_gains(), dtype=np.float64)
    if not np.isfinite(scale.astype(np.float64)).all() or (gains == 0).any():
        return fail(
            "gain_invalid",
            InvalidConfigurationError(
                "A channel's gain is zero, or a gain or offset is not a number.",
                field="recording.gain_to_uv",
                value=None,
                reason="gain_invalid",
                channels=[sample.ids[index] for index in np.flatnonzero(gains == 0)[:_LISTED]],
            ),
        )
    return None


def _check_scaled_once(sample: _Sample) -> Finding | None:
    recording = sample.recording
    gains = recording.get_channel_gains()
    if gains is None or sample.dtype.kind != "f":
        return None
    odd = sorted({float(gain) for gain in gains if not _is_power_of_ten(float(gain))})
    scaled = _scaling_step(recording)
    unit = all(float(gain) == 1.0 for gain in gains)
    if scaled and not unit:
        return fail(
            "scaled_twice",
            InvalidConfigurationError(
                f"The samples were scaled to µV already ({scaled}) and still carry a gain of "
                f"{float(gains[0]):g}: it would be applied twice.",
                field="recording.gain_to_uv",
                value=None,
                reason="scaled_twice",
                gain_to_uv=float(gains[0]),
            ),
        )
    if odd:
        return warn(
            "scale_doubtful",
            f"Floating-point samples carry a gain of {odd[0]:g}: they may be µV already.",
            gain_to_uv=odd[0],
        )
    return None


def _check_type(sample: _Sample) -> Finding | None:
    doubt = next((text for text in map(type_doubt, sample.blocks) if text), "")
    if not doubt:
        return None
    return warn(
        "wrong_dtype",
        f"The samples do not look like their type: {doubt}.",
        dtype=str(sample.dtype),
    )


def _check_channel_count(sample: _Sample) -> Finding | None:
    segments = getattr(sample.recording, "_recording_segments", ())
    if any(isinstance(segment, RowsSegment) for segment in segments):
        return None  # one row per channel: the file itself counts them
    doubt = channel_count_doubt(sample.blocks, sample.n_samples * len(sample.ids))
    if doubt is None:
        return None
    return warn(
        "wrong_channel_count",
        f"The header says {doubt.stated} channels; the samples run smoother as {doubt.likely}.",
        stated=doubt.stated,
        likely=doubt.likely,
    )


def _check_finite(sample: _Sample) -> Finding | None:
    n_bad, first = 0, None
    for start, block in sample.walk():
        if sample.dtype.kind != "f":
            continue
        bad = ~np.isfinite(block)
        count = int(bad.sum())
        n_bad += count
        if count and first is None:
            row = int(np.argmax(bad.any(axis=1)))
            first = (start + row, sample.ids[int(np.argmax(bad[row]))])
    if first is None:
        return None
    frame, channel = first
    at_s = frame / sample.rate_hz
    return fail(
        "finite",
        InputCorruptError(
            f"{n_bad} samples are not numbers, first at {at_s:.4f} s on channel {channel}.",
            reason="non_finite",
            frame=frame,
            at_s=at_s,
            channel=channel,
            n_samples=n_bad,
        ),
    )


def _scaling_step(recording: BaseRecording) -> str:
    """Return the name of the step in the recording's history that made µV of it, or ""."""
    current: Any = recording
    while current is not None:
        name = type(current).__name__
        if name in _SCALING_STEPS:
            return name
        current = current.get_parent()
    return ""


def _is_power_of_ten(gain: float) -> bool:
    return gain > 0 and abs(math.log10(gain) - round(math.log10(gain))) < 1e-6


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (" and others" if len(names) > _LISTED else "")


_CHECKS: tuple[Callable[[_Sample], Finding | None], ...] = (
    _check_ids,
    _check_gain,
    _check_scaled_once,
    _check_finite,
    _check_type,
    _check_channel_count,
    _check_positions,
    _check_unsigned,
)
