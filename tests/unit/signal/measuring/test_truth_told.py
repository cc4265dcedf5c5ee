import numpy as np
from spikeinterface.core import NumpyRecording

from spikefleet.signal.measuring.truth_told import what_readers_told


def test_a_recording_without_notes_has_nothing_told():
    assert what_readers_told(NumpyRecording([np.zeros((10, 2))], 30_000.0)) == []


def test_each_note_of_a_reader_is_told():
    recording = NumpyRecording([np.zeros((10, 2))], 30_000.0)
    recording.annotate(
        frame_gaps=[[3, 30]],
        dropped_frames=30,
        take={"number": 1, "of": 3, "start_s": 4.5},
        unnumbered_frames=12,
        sidecar_decided=True,
        unplaced_channels=2,
    )
    told = {finding.code: finding.message for finding in what_readers_told(recording)}
    assert set(told) == {
        "frame_gaps",
        "clock_set_back",
        "unnumbered_frames",
        "sidecar_decided",
        "unplaced_channels",
    }
    assert "take 2 of 3" in told["clock_set_back"]
    assert "4.5000 s" in told["clock_set_back"]
