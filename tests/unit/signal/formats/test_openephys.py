import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.support.formats.openephys import describe_stream, write_recording, write_stream
from tests.support.formats.probes import make_noise, write_probe

from spikefleet.core.failures.errors import (
    InputCorruptError,
    InputMissingError,
    InvalidConfigurationError,
)
from spikefleet.signal.measuring.truth_checks import check_truth
from spikefleet.signal.open import list_streams, open_recording

REAL_HEADERS = Path("../shared/data/recordings/openephys/NP1/Record_Node_101")
CHANNELS = [(f"CH{number}", 0.195, "uV") for number in range(1, 5)]
STREAM = "Acquisition_Board-100.Stream"


def samples_file(node):
    return node / "experiment1/recording1/continuous" / STREAM / "continuous.dat"


def corrupt_reason(path):
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    return caught.value.reason


def test_a_recording_reads_back_bit_exact(tmp_path):
    samples = make_noise(3000, 4)
    node = write_recording(tmp_path, samples, CHANNELS)
    positions = write_probe(node, 4)
    recording = open_recording(node)
    assert np.array_equal(recording.get_traces(), samples)
    assert recording.sampling_frequency == 30_000.0
    assert recording.get_channel_gains().tolist() == [0.195] * 4
    assert recording.get_channel_offsets().tolist() == [0.0] * 4
    assert [str(name) for name in recording.channel_ids] == ["CH1", "CH2", "CH3", "CH4"]
    assert np.array_equal(recording.get_channel_locations(), positions)
    assert recording.get_annotation("dropped_frames") == 0
    description = list_streams(node)
    assert description.format == "openephys"
    assert [entry.stream for entry in description.streams] == [STREAM]
    assert description.streams[0].duration_s == 0.1


@pytest.mark.skipif(not REAL_HEADERS.exists(), reason=f"{REAL_HEADERS} is not here")
def test_a_real_header_opens_with_its_neuropixels_probe(tmp_path):
    node = tmp_path / REAL_HEADERS.name
    shutil.copytree(REAL_HEADERS, node)
    oebin = node / "experiment1/recording1/structure.oebin"
    entry = json.loads(oebin.read_text())["continuous"][0]
    samples = make_noise(300, entry["num_channels"])
    write_stream(oebin.parent / "continuous" / entry["folder_name"], samples)
    recording = open_recording(node)
    assert np.array_equal(recording.get_traces(), samples)
    assert [str(name) for name in recording.channel_ids] == [f"CH{i}" for i in range(384)]
    locations = recording.get_channel_locations()
    assert locations[:4].tolist() == [[0, 0], [32, 0], [0, 15], [32, 15]]
    assert len(np.unique(locations, axis=0)) == 384
    assert set(recording.get_channel_gains()) == {0.1949999928}


def test_analog_inputs_are_left_out_of_their_stream(tmp_path):
    samples = make_noise(500, 6)
    extra = [("ADC1", 0.00015258789, "V"), ("AUX1", 0.0000374, "V")]
    node = write_recording(tmp_path, samples, [*CHANNELS, *extra])
    write_probe(node, 4)
    assert np.array_equal(open_recording(node).get_traces(), samples[:, :4])


def test_bands_without_spikes_are_named_but_refused(tmp_path):
    node = write_recording(tmp_path, make_noise(500, 4), CHANNELS)
    oebin = node / "experiment1/recording1/structure.oebin"
    content = json.loads(oebin.read_text())
    content["continuous"] += [
        describe_stream("Neuropix-PXI-102.ProbeA-LFP", CHANNELS, 2500.0),
        describe_stream("NI-DAQmx-103.PXIe-6341", [("AI0", 0.0003, "V")]),
    ]
    oebin.write_text(json.dumps(content))
    description = list_streams(node)
    assert [entry.stream for entry in description.streams] == [STREAM]
    assert description.other_streams == ("Neuropix-PXI-102.ProbeA-LFP", "NI-DAQmx-103.PXIe-6341")
    with pytest.raises(InvalidConfigurationError, match="LFP"):
        open_recording(node, "Neuropix-PXI-102.ProbeA-LFP")


def test_each_recording_of_a_node_is_its_own_stream(tmp_path):
    first, second = make_noise(400, 4), make_noise(700, 4)
    node = write_recording(tmp_path, first, CHANNELS)
    write_recording(tmp_path, second, CHANNELS, place="experiment1/recording2")
    write_probe(node, 4)
    streams = [entry.stream for entry in list_streams(node).streams]
    assert streams == [f"experiment1/recording{number}/{STREAM}" for number in (1, 2)]
    assert np.array_equal(open_recording(node, streams[1]).get_traces(), second)


def test_a_gap_in_the_sample_numbers_is_located(tmp_path):
    numbers = np.arange(3000) + 100
    numbers[1200:] += 37
    numbers[2000:] += 3
    node = write_recording(tmp_path, make_noise(3000, 4), CHANNELS, numbers)
    write_probe(node, 4)
    recording = open_recording(node)
    assert recording.get_annotation("dropped_frames") == 40
    assert recording.get_annotation("frame_gaps") == [[1200, 37], [2000, 3]]


def test_sample_numbers_that_start_again_part_takes(tmp_path):
    numbers = np.concatenate([np.arange(768) + 60_000, np.arange(2232)])
    samples = make_noise(3000, 4)
    node = write_recording(tmp_path, samples, CHANNELS, numbers)
    write_probe(node, 4)
    streams = list_streams(node).streams
    assert [entry.stream for entry in streams] == [f"{STREAM}/take0", f"{STREAM}/take1"]
    assert streams[1].duration_s == pytest.approx(2232 / 30_000)
    first, later = (open_recording(node, entry.stream) for entry in streams)
    assert np.array_equal(later.get_traces(), samples[768:])
    assert first.get_annotation("take") == {"number": 0, "of": 2, "start_s": 2.0}


def test_frames_beyond_the_last_number_are_left_out_and_told(tmp_path):
    samples = make_noise(3000, 4)
    node = write_recording(tmp_path, samples, CHANNELS, np.arange(2979))
    write_probe(node, 4)
    recording = open_recording(node)
    assert np.array_equal(recording.get_traces(), samples[:2979])
    told = {finding.code: finding for finding in check_truth(recording)}
    assert told["unnumbered_frames"].evidence == {"n_frames": 21}


def test_time_stamps_of_no_use_do_not_matter_beside_sample_numbers(tmp_path):
    node = write_recording(tmp_path, make_noise(3000, 4), CHANNELS)
    write_probe(node, 4)
    for stamps in (np.full(3000, -1.0), np.arange(3000) % 700 / 30_000):
        np.save(samples_file(node).with_name("timestamps.npy"), stamps)
        assert open_recording(node).get_num_samples() == 3000


@pytest.mark.parametrize("n_bytes", [1, 8])
def test_a_cut_file_is_truncated_inside_a_frame_and_between_frames(tmp_path, n_bytes):
    node = write_recording(tmp_path, make_noise(3000, 4), CHANNELS)
    write_probe(node, 4)
    with samples_file(node).open("r+b") as file:
        file.truncate(3000 * 8 - n_bytes)
    assert corrupt_reason(node) == "truncated"


def test_a_dividing_wrong_channel_count_is_caught_by_the_sample_numbers(tmp_path):
    node = write_recording(tmp_path, make_noise(3000, 4), CHANNELS[:2])
    write_probe(node, 2)
    assert corrupt_reason(node) == "truncated"


def test_a_file_without_samples_is_empty(tmp_path):
    node = write_recording(tmp_path, np.empty((0, 4)), CHANNELS)
    assert corrupt_reason(node) == "empty"


def test_channels_named_twice_are_refused(tmp_path):
    node = write_recording(tmp_path, make_noise(100, 4), [*CHANNELS[:3], CHANNELS[0]])
    write_probe(node, 4)
    assert corrupt_reason(node) == "duplicate_channels"


@pytest.mark.parametrize("name", ["continuous.dat", "sample_numbers.npy"])
def test_a_missing_file_is_named(tmp_path, name):
    node = write_recording(tmp_path, make_noise(100, 4), CHANNELS)
    missing = samples_file(node).with_name(name)
    missing.unlink()
    with pytest.raises(InputMissingError) as caught:
        open_recording(node)
    assert caught.value.path == str(missing)


def test_without_a_probe_it_has_no_geometry(tmp_path):
    assert corrupt_reason(write_recording(tmp_path, make_noise(100, 4), CHANNELS)) == "no_geometry"
