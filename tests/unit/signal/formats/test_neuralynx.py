import numpy as np
import pytest
from spikeinterface.extractors import read_neuralynx
from tests.support.formats.neuralynx import header, write_folder, write_ncs
from tests.support.formats.probes import make_noise, write_probe

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.signal.open import list_streams, open_recording

GAIN = 0.000000030518510385491027 * 1e6


def corrupt_reason(path):
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    return caught.value.reason


def test_a_folder_reads_back_bit_exact_in_natural_order(tmp_path):
    samples = make_noise(512 * 6 + 100, 11)
    folder = write_folder(tmp_path / "day1", samples)
    positions = write_probe(folder, 11)
    recording = open_recording(folder)
    assert np.array_equal(recording.get_traces(), samples)
    assert np.array_equal(
        recording.get_traces(start_frame=500, end_frame=1600, channel_ids=["CSC10", "CSC2"]),
        samples[500:1600][:, [9, 1]],
    )
    assert recording.sampling_frequency == 32_000.0
    assert recording.get_channel_gains().tolist() == [GAIN] * 11
    assert [str(name) for name in recording.channel_ids] == [f"CSC{i}" for i in range(1, 12)]
    assert np.array_equal(recording.get_channel_locations(), positions)
    assert recording.get_annotation("dropped_frames") == 0
    description = list_streams(folder)
    assert description.format == "neuralynx"
    assert [entry.stream for entry in description.streams] == ["csc_32000Hz"]
    assert description.streams[0].duration_s == len(samples) / 32_000


def test_our_files_are_what_neo_reads_too(tmp_path):
    samples = make_noise(512 * 6 + 100, 3)
    theirs = read_neuralynx(write_folder(tmp_path / "day1", samples))
    assert np.array_equal(theirs.get_traces(), samples)
    assert np.allclose(theirs.get_channel_gains(), GAIN)


def test_inverted_channels_are_turned_back(tmp_path):
    samples = make_noise(512 * 2, 2)
    folder = write_folder(tmp_path / "day1", samples, InputInverted="True")
    write_probe(folder, 2)
    recording = open_recording(folder)
    expected = -np.maximum(samples, -32767)
    assert np.array_equal(recording.get_traces(), expected)
    assert recording.get_channel_gains().tolist() == [GAIN] * 2


def test_lost_records_and_short_records_are_located(tmp_path):
    samples = make_noise(512 * 4 + 300 + 512, 2)
    folder = write_folder(
        tmp_path / "day1", samples, lost_before={2: 1024, 5: 7}, valid={4: 300, 5: 512}
    )
    write_probe(folder, 2)
    recording = open_recording(folder)
    assert np.array_equal(recording.get_traces(), samples)
    for start, end in ((0, 1), (2000, 2400), (2340, 2360), (2600, 2860)):
        piece = recording.get_traces(start_frame=start, end_frame=end)
        assert np.array_equal(piece, samples[start:end])
    assert recording.get_annotation("frame_gaps") == [[1024, 1024], [2348, 7]]
    assert recording.get_annotation("dropped_frames") == 1031


def test_slow_and_filtered_channels_are_named_but_refused(tmp_path):
    folder = write_folder(tmp_path / "day1", make_noise(1024, 2))
    write_probe(folder, 2)
    lfp = make_noise(1024, 1)[:, 0]
    write_ncs(folder, "LFP1", 7, lfp, DspHighCutFrequency="475")
    write_ncs(folder, "Slow1", 8, lfp, SamplingFrequency="2000")
    description = list_streams(folder)
    assert [entry.stream for entry in description.streams] == ["csc_32000Hz_0.1-8000"]
    assert description.other_streams == ("csc_32000Hz_0.1-475", "csc_2000Hz")
    assert open_recording(folder).get_num_channels() == 2
    with pytest.raises(InvalidConfigurationError, match="1 kHz"):
        open_recording(folder, "csc_32000Hz_0.1-475")


def test_a_rounded_rate_in_the_header_yields_to_the_clock(tmp_path):
    folder = tmp_path / "day1"
    write_ncs(folder, "CSC1", 0, make_noise(512 * 9, 1)[:, 0], SamplingFrequency="30303")
    file = folder / "CSC1.ncs"
    content = file.read_bytes()[16384:]
    file.write_bytes(header("CSC1", 0, SamplingFrequency="31250") + content)
    assert abs(list_streams(folder).streams[0].sampling_rate_hz - 30_303) < 2


def test_channels_that_were_switched_off_are_left_out(tmp_path):
    folder = write_folder(tmp_path / "day1", make_noise(1024, 2))
    write_probe(folder, 2)
    (folder / "CSC3.ncs").write_bytes(header("CSC3", 2))
    assert open_recording(folder).get_num_channels() == 2


@pytest.mark.parametrize("n_bytes", [10, 1044])
def test_a_cut_channel_is_truncated_and_named(tmp_path, n_bytes):
    folder = write_folder(tmp_path / "day1", make_noise(512 * 5, 3))
    cut = folder / "CSC2.ncs"
    with cut.open("r+b") as file:
        file.truncate(cut.stat().st_size - n_bytes)
    with pytest.raises(InputCorruptError) as caught:
        open_recording(folder)
    assert (caught.value.reason, caught.value.path) == ("truncated", str(cut))


def test_a_clock_that_is_set_back_parts_takes(tmp_path):
    samples = make_noise(512 * 2500 - 100, 2)
    changes = {"lost_before": {1200: 700, 2100: -9000, 2300: 64}, "valid": {2099: 400}}
    folder = write_folder(tmp_path / "day1", samples, **changes)
    write_probe(folder, 2)
    cut = 512 * 2100 - 112
    names = ["csc_32000Hz/take0", "csc_32000Hz/take1"]
    described = list_streams(folder).streams
    assert [entry.stream for entry in described] == names
    lengths = [round(entry.duration_s * entry.sampling_rate_hz) for entry in described]
    assert lengths == [cut, len(samples) - cut]
    first, second = (open_recording(folder, name) for name in names)
    assert np.array_equal(first.get_traces(), samples[:cut])
    assert np.array_equal(second.get_traces(), samples[cut:])
    assert first.get_annotation("frame_gaps") == [[512 * 1200, 700]]
    assert second.get_annotation("frame_gaps") == [[512 * 200, 64]]


def test_channels_of_different_times_are_refused(tmp_path):
    folder = write_folder(tmp_path / "day1", make_noise(512 * 5, 2))
    write_ncs(folder, "CSC3", 2, make_noise(512 * 5, 1)[:, 0], lost_before={0: 99})
    assert corrupt_reason(folder) == "misaligned"


def test_headers_without_samples_are_empty(tmp_path):
    folder = write_folder(tmp_path / "day1", np.empty((0, 2)))
    assert corrupt_reason(folder) == "empty"


def test_a_header_without_a_rate_is_refused(tmp_path):
    folder = write_folder(tmp_path / "day1", make_noise(1024, 2), SamplingFrequency=None)
    assert corrupt_reason(folder) == "unreadable"


def test_channels_named_twice_are_refused(tmp_path):
    folder = write_folder(tmp_path / "day1", make_noise(1024, 2))
    (folder / "copy.ncs").write_bytes((folder / "CSC1.ncs").read_bytes())
    assert corrupt_reason(folder) == "duplicate_channels"


def test_without_a_probe_it_has_no_geometry(tmp_path):
    assert corrupt_reason(write_folder(tmp_path / "day1", make_noise(1024, 2))) == "no_geometry"
