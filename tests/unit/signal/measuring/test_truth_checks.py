import json

import numpy as np
import probeinterface
import pytest
from spikeinterface.core import NumpyRecording
from spikeinterface.preprocessing import scale
from tests.support.formats.raw_binary import smooth_samples
from tests.support.recordings import make_recording

from spikefleet.core.findings.finding import FindingLevel
from spikefleet.signal.measuring.truth_checks import check_truth
from spikefleet.signal.open import open_recording

RATE_HZ = 20000.0


def recording_of(samples, gain_to_uv=1.0):
    recording = NumpyRecording([samples], RATE_HZ)
    n_channels = samples.shape[1]
    places = np.array([[0.0, 20.0 * index] for index in range(n_channels)])
    recording.set_dummy_probe_from_locations(places)
    if gain_to_uv is not None:
        recording.set_channel_gains(np.full(n_channels, gain_to_uv))
        recording.set_channel_offsets(np.zeros(n_channels))
    return recording


def found(recording, **how):
    return {finding.code: finding for finding in check_truth(recording, **how)}


@pytest.mark.parametrize("format", ["spikeglx", "nwb", "binary"])
def test_a_good_recording_gives_no_finding(tmp_path, format):
    assert check_truth(open_recording(make_recording(tmp_path, format).path)) == ()


def test_maxwells_unsigned_samples_are_worth_a_note(tmp_path):
    (note,) = check_truth(open_recording(make_recording(tmp_path, "maxwell").path))
    assert (note.code, note.level) == ("unsigned", FindingLevel.NOTE)
    assert note.evidence["middle_code"] == pytest.approx(512, abs=2)


def test_missing_frames_are_told_with_place_and_length():
    recording = recording_of(smooth_samples(4000, 4))
    recording.annotate(dropped_frames=40, frame_gaps=[[1000, 37], [3000, 3]])
    gap = found(recording)["frame_gaps"]
    assert gap.level is FindingLevel.WARN
    assert gap.evidence == {
        "n_gaps": 2,
        "n_missing_frames": 40,
        "frame": 1000,
        "at_s": 0.05,
        "missing_frames": 37,
    }


@pytest.mark.parametrize(("at_frame", "every_sample"), [(10, False), (70_123, True)])
def test_a_burst_of_nan_is_found_where_it_starts(at_frame, every_sample):
    samples = smooth_samples(200_000, 8).astype("float32")
    samples[at_frame : at_frame + 30, 5] = np.nan
    (finding,) = check_truth(recording_of(samples), every_sample=every_sample)
    assert (finding.code, finding.level) == ("finite", FindingLevel.FAIL)
    assert finding.evidence["frame"] == at_frame
    assert finding.evidence["channel"] == "5"
    assert finding.evidence["n_samples"] == 30


def test_channels_in_one_place_are_named():
    group = probeinterface.ProbeGroup()
    for first in (0, 2):
        probe = probeinterface.generate_linear_probe(num_elec=2, ypitch=20)
        probe.set_device_channel_indices([first, first + 1])
        group.add_probe(probe)
    recording = NumpyRecording([smooth_samples(4000, 4)], RATE_HZ)
    recording.set_probegroup(group, check_overlap=False)
    recording.set_channel_gains(np.ones(4))
    recording.set_channel_offsets(np.zeros(4))
    assert check_truth(recording) == ()  # two probes, each with its own coordinates
    recording.set_channel_groups([0, 0, 0, 0])
    finding = found(recording)["duplicate_positions"]
    assert finding.evidence["channels"] == [["0", "2"], ["1", "3"]]


def test_microvolts_scaled_once_carry_no_gain():
    raw = recording_of(smooth_samples(4000, 4), gain_to_uv=6.3)
    assert check_truth(raw) == ()
    scaled = scale(raw, gain=6.3, dtype="float32")
    assert scaled.get_channel_gains()[0] == 6.3
    finding = found(scaled)["scaled_twice"]
    assert finding.level is FindingLevel.FAIL
    scaled.set_channel_gains(np.ones(4))
    assert check_truth(scaled) == ()


def test_float_samples_with_an_odd_gain_may_be_scaled_already():
    samples = smooth_samples(4000, 4).astype("float32")
    assert found(recording_of(samples, gain_to_uv=6.3))["scale_doubtful"].evidence == {
        "gain_to_uv": 6.3
    }
    for gain_to_uv in (1.0, 1e6):
        assert check_truth(recording_of(samples, gain_to_uv=gain_to_uv)) == ()


def test_a_missing_or_impossible_gain_is_told():
    assert "gain_missing" in found(recording_of(smooth_samples(4000, 4), gain_to_uv=None))
    assert found(recording_of(smooth_samples(4000, 4), gain_to_uv=0.0))["gain_invalid"].level is (
        FindingLevel.FAIL
    )


def test_a_wrong_type_or_channel_count_is_doubted():
    stored = smooth_samples(8000, 8)
    assert "wrong_dtype" in found(recording_of(stored.view("uint16")))
    doubt = found(recording_of(stored.reshape(-1, 4)))["wrong_channel_count"]
    assert doubt.evidence == {"stated": 4, "likely": 8}


def test_findings_come_worst_first_and_ready_for_json():
    samples = smooth_samples(4000, 4).astype("float32")
    samples[5, 1] = np.inf
    recording = recording_of(samples, gain_to_uv=6.3)
    recording.annotate(unplaced_channels=2)
    findings = check_truth(recording)
    assert [finding.level for finding in findings] == sorted(
        (finding.level for finding in findings), key=["fail", "warn", "note"].index
    )
    assert {finding.code for finding in findings} == {
        "finite",
        "scale_doubtful",
        "unplaced_channels",
    }
    assert json.loads(json.dumps([finding.to_json() for finding in findings]))
