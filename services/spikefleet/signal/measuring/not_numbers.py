"""Samples that are no numbers: where the first one is, and how many there are.

Up to a limit every sample is looked at; of a longer recording, blocks spread over all of it.
Preparing it for the sorter looks at every sample again, so that none reaches a sorter either way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from spikeinterface.core import BaseRecording

from spikefleet.core.recording.windows import spread_frames
from spikefleet.signal.formats.reader_errors import reading_traces

_SAMPLES_AT_ONCE = 12_000_000
# Eight gigabytes of float32: about ten seconds of a core when they come from memory.
MOST_SAMPLES = 2_000_000_000


@dataclass(frozen=True)
class FiniteScan:
    """``fraction`` of the samples looked at that are numbers, and the first that is none."""

    fraction: float = 1.0
    first_s: float | None = None
    first_channel: str | None = None


def scan_finite(recording: BaseRecording, *, most_samples: int = MOST_SAMPLES) -> FiniteScan:
    """Look for NaN and infinities in a float recording; integers hold none.

    Raises:
        InputCorruptError: the traces cannot be read.
    """
    if np.dtype(recording.get_dtype()).kind != "f":
        return FiniteScan()
    n_samples, n_channels = int(recording.get_num_samples()), int(recording.get_num_channels())
    block = max(1, _SAMPLES_AT_ONCE // n_channels)
    spans = spread_frames(n_samples, block, max(1, most_samples // (block * n_channels)))
    n_bad, n_seen, first = 0, 0, None
    for start, end in spans:
        with reading_traces():
            traces = recording.get_traces(start_frame=start, end_frame=end)
        n_seen += traces.size
        # One pass: a sum is finite unless a sample is not (or it overflows, which the next tells).
        if np.isfinite(np.sum(traces, dtype=np.float64)):
            continue
        bad = ~np.isfinite(traces)
        n_bad += int(bad.sum())
        if first is None and bad.any():
            frame = int(np.argmax(bad.any(axis=1)))
            channel = str(recording.channel_ids[int(np.argmax(bad[frame]))])
            first = ((start + frame) / float(recording.sampling_frequency), channel)
    if first is None:
        return FiniteScan()
    return FiniteScan(1.0 - n_bad / n_seen, *first)
