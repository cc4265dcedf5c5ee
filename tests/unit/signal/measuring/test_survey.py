"""The walk over a recording: bounded, spread, and longer only where nothing was found."""

import tracemalloc

import numpy as np
from spikeinterface.core import BaseRecording, BaseRecordingSegment
from tests.support.preflight_signals import Signal, SignalRecording

from spikefleet.signal.measuring.measure import measure_signal
from spikefleet.signal.measuring.survey import Survey


class Watched(BaseRecording):
    """Notes which frames are read."""

    def __init__(self, inner):
        super().__init__(inner.sampling_frequency, inner.channel_ids, inner.get_dtype())
        self.read = []
        self.add_recording_segment(_WatchedSegment(inner, self.read))
        self.set_channel_gains(inner.get_channel_gains())
        self.set_channel_offsets(inner.get_channel_offsets())


class _WatchedSegment(BaseRecordingSegment):
    def __init__(self, inner, read):
        super().__init__(sampling_frequency=inner.sampling_frequency)
        self._inner, self._read = inner, read

    def get_num_samples(self):
        return self._inner.get_num_samples()

    def get_traces(self, start_frame, end_frame, channel_indices):
        self._read.append((start_frame, end_frame))
        return self._inner.get_traces(start_frame=start_frame, end_frame=end_frame)


def watched(**changes):
    return Watched(SignalRecording(Signal(n_channels=2, rate_hz=2_000.0, **changes), seed=0))


def test_the_first_look_is_spread_from_start_to_end():
    recording = watched(duration_s=1000.0)
    survey = Survey(recording, 1.0)
    survey.look_over(20)
    assert len(recording.read) == 20
    assert recording.read[0][0] == 0
    assert recording.read[-1][1] == 2_000_000
    assert survey.measured == 20 * 2_000


def test_the_second_look_is_bounded_and_has_no_rhythm():
    recording = watched(duration_s=4000.0)
    survey = Survey(recording, 1.0)
    survey.look_over(20)
    recording.read.clear()
    survey.look_longer()
    starts = np.array([start for start, _ in recording.read])
    assert len(starts) == 300
    assert np.ptp(np.diff(starts)) > 2_000
    assert all(end - start == 2_000 for start, end in recording.read)
    assert survey.tally().channel_seconds > 590


def test_the_second_look_is_the_same_every_time():
    reads = []
    for _ in range(2):
        recording = watched(duration_s=1000.0)
        survey = Survey(recording, 1.0)
        survey.look_over(5)
        survey.look_longer()
        reads.append(list(recording.read))
    assert reads[0] == reads[1]


def test_what_was_seen_whole_is_not_looked_at_again():
    recording = watched(duration_s=10.0)
    survey = Survey(recording, 1.0)
    survey.look_over(20)
    looked = len(recording.read)
    survey.look_longer()
    assert len(recording.read) == looked


def test_wide_recordings_are_read_in_shorter_windows():
    recording = SignalRecording(Signal(n_channels=4000, duration_s=2.0), seed=0)
    survey = Survey(recording, 1.0)
    assert survey.window * 4000 <= 12_000_000
    assert survey.windows(20) > 20


def test_memory_is_that_of_one_window_at_any_length():
    peaks = []
    for duration_s in (60.0, 480.0):
        recording = SignalRecording(Signal(n_channels=8, duration_s=duration_s), seed=0)
        tracemalloc.start()
        measure_signal(recording)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 40 * 8 * 20_000 * 4
