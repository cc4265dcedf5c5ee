"""Which part of a recording is tried first: a stretch that is known to be active.

The first seconds of a recording are often its worst, and a sorter that learns from a few batches
sees nothing else of a short stretch. So the trial starts where preflight measured activity, is long
enough for two of the batches a sorter learns from, and stays inside what the run sorts. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.recording.windows import keep_frames
from spikefleet.core.sorters.row import BackendInfo

_LEAD_S = 0.5
_LEAST_S = 1.0


@dataclass(frozen=True)
class ActivePoint:
    """What preflight counted around one moment: milliseconds with a crossing, per second."""

    at_s: float
    rate_hz: float


@dataclass(frozen=True)
class StreamLength:
    """How long the stream is, in s and at which rate."""

    duration_s: float
    sampling_rate_hz: float


@dataclass(frozen=True)
class CanaryWindow:
    """The stretch that is tried, in s from the start; ``chosen_by`` is "activity" or "middle"."""

    start_s: float
    end_s: float
    chosen_by: str

    @property
    def length_s(self) -> float:
        """Length in s."""
        return self.end_s - self.start_s


def read_activity(measurements: Mapping[str, Any]) -> tuple[ActivePoint, ...]:
    """Return preflight's activity over time; nothing where it was not measured."""
    points = measurements.get("activity_over_time") or ()
    return tuple(
        ActivePoint(float(point["at_s"]), float(point["n_moments"]) / float(point["seconds"]))
        for point in points
        if float(point.get("seconds") or 0.0) > 0
    )


def kept_spans(recording: Mapping[str, Any], stream: StreamLength) -> list[tuple[float, float]]:
    """Return the [start, end) that the run sorts, in s; neighbours are joined.

    Raises:
        InvalidConfigurationError: a configured window does not fit the recording.
    """
    rate_hz = stream.sampling_rate_hz
    group = RecordingConfig.model_validate(dict(recording))
    frames = keep_frames(group, round(stream.duration_s * rate_hz), rate_hz)
    spans: list[tuple[float, float]] = []
    for start, end in frames:
        if spans and start / rate_hz <= spans[-1][1]:
            spans[-1] = (spans[-1][0], end / rate_hz)
        else:
            spans.append((start / rate_hz, end / rate_hz))
    return spans


def wanted_length_s(
    info: BackendInfo, params: Mapping[str, Any], first_n_s: float, sampling_rate_hz: float
) -> float:
    """Return how long the trial must be: as asked, and two template batches at least, in s."""
    two_batches_s, knob = 0.0, info.batch
    if knob is not None and knob.learns_from_every:  # the second one follows that many
        two_batches_s = (knob.learns_from_every + 1) * knob.samples(params) / sampling_rate_hz
    return max(first_n_s, two_batches_s, info.min_duration_s, _LEAST_S)


def choose_window(
    spans: Sequence[tuple[float, float]], length_s: float, activity: Iterable[ActivePoint]
) -> CanaryWindow:
    """Return the most active stretch of that length inside one of ``spans``.

    Where none is long enough it is the longest span; where nothing is known of the activity, the
    middle of it. Its first moment counts twice: it is where sorters begin to learn.
    """
    roomy = [span for span in spans if span[1] - span[0] >= length_s]
    if not roomy:
        start, end = max(spans, key=lambda span: span[1] - span[0])
        return CanaryWindow(start, end, "middle")
    points = [point for point in activity if point.rate_hz > 0]
    best: tuple[float, float] | None = None
    for span in roomy:
        for point in points:
            if not span[0] <= point.at_s < span[1]:
                continue
            start = min(max(span[0], point.at_s - _LEAD_S), span[1] - length_s)
            inside = sum(p.rate_hz for p in points if start <= p.at_s < start + length_s)
            score = inside + point.rate_hz
            if best is None or score > best[0]:
                best = (score, start)
    if best is not None:
        return CanaryWindow(best[1], best[1] + length_s, "activity")
    start, end = max(roomy, key=lambda span: span[1] - span[0])
    middle = (start + end - length_s) / 2
    return CanaryWindow(middle, middle + length_s, "middle")
