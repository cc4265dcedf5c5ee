"""The part of a recording that is sorted, measured as one signal and told in the recording's time.

What is outside the configured windows must not decide: a saturated start that was cut away is
no fault of what is sorted, and spikes that were cut away help no sorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spikeinterface.core import BaseRecording, concatenate_recordings

from spikefleet.core.recording.measurements import SignalMeasurements
from spikefleet.core.recording.windows import Frames
from spikefleet.signal.measuring.measure import measure_signal


def measure_kept(recording: BaseRecording, kept: Sequence[Frames]) -> SignalMeasurements:
    """Measure the kept frames; times in the result are those of the whole recording.

    ``duration_s`` is the length kept.

    Raises:
        InputCorruptError: the traces cannot be read.
    """
    if tuple(kept) == ((0, int(recording.get_num_samples())),):
        return measure_signal(recording)
    pieces = [recording.frame_slice(start, end) for start, end in kept]
    measured = measure_signal(pieces[0] if len(pieces) == 1 else concatenate_recordings(pieces))
    rate_hz = measured.sampling_rate_hz
    first_s = measured.first_non_finite_s
    return replace(
        measured,
        first_non_finite_s=None if first_s is None else original_s(first_s, kept, rate_hz),
        activity_over_time=tuple(
            replace(entry, at_s=original_s(entry.at_s, kept, rate_hz))
            for entry in measured.activity_over_time
        ),
    )


def original_s(at_s: float, kept: Sequence[Frames], sampling_rate_hz: float) -> float:
    """Return the time in the whole recording of a time in the kept signal."""
    left = at_s * sampling_rate_hz
    for start, end in kept:
        if left < end - start:
            return (start + left) / sampling_rate_hz
        left -= end - start
    return kept[-1][1] / sampling_rate_hz
