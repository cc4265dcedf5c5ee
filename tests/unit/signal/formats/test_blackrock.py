import numpy as np
import pytest
from spikeinterface.extractors import read_blackrock
from tests.support.formats.blackrock import write_nsx, write_packets
from tests.support.formats.probes import make_noise, write_probe

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.signal.measuring.truth_checks import check_truth
from spikefleet.signal.open import list_streams, open_recording

CHANNELS = [(number, "uV") for number in (1, 2, 7)]
GAIN = 8191 * 2 / (32764 * 2)


def corrupt_reason(path):
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    return caught.value.reason


@pytest.mark.parametrize("spec", ["2.3", "3.0"])
@pytest.mark.parametrize("suffix", ["ns5", "ns6"])
def test_a_file_reads_back_bit_exact(tmp_path, spec, suffix):
    samples = make_noise(2000, 3)
    path = write_nsx(tmp_path / f"day1.{suffix}", [(0, samples)], CHANNELS, spec)
    positions = write_probe(tmp_path, 3)
    recording = open_recording(path)
    assert np.array_equal(recording.get_traces(), samples)
    assert np.array_equal(recording.get_traces(start_frame=5, end_frame=7), samples[5:7])
    assert recording.sampling_frequency == 30_000.0
    assert recording.get_channel_gains().tolist() == [GAIN] * 3
    assert np.allclose(recording.get_channel_offsets(), 0.0, atol=1e-9)
    assert [str(name) for name in recording.channel_ids] == ["1", "2", "7"]
    assert np.array_equal(recording.get_channel_locations(), positions)
    description = list_streams(path)
    assert description.format == "blackrock"
    assert [entry.stream for entry in description.streams] == [suffix]
    assert description.streams[0].duration_s == 2000 / 30_000


@pytest.mark.parametrize("spec", ["2.3", "3.0"])
def test_our_file_is_what_neo_reads_too(tmp_path, spec):
    samples = make_noise(2000, 3)
    path = write_nsx(tmp_path / "day1.ns5", [(0, samples)], CHANNELS, spec)
    theirs = read_blackrock(path)
    assert np.array_equal(theirs.get_traces(), samples)
    assert np.allclose(theirs.get_channel_gains(), GAIN)


def test_slow_files_and_analog_inputs_are_named_but_refused(tmp_path):
    samples = make_noise(2000, 4)
    write_nsx(tmp_path / "day1.ns5", [(0, samples)], [*CHANNELS, (129, "mV")])
    write_nsx(tmp_path / "day1.ns2", [(0, make_noise(66, 3))], CHANNELS, period=30)
    write_probe(tmp_path, 3)
    description = list_streams(tmp_path)
    assert [entry.stream for entry in description.streams] == ["ns5"]
    assert description.streams[0].n_channels == 3
    assert description.other_streams == ("ns2", "ns5/analog")
    assert np.array_equal(open_recording(tmp_path).get_traces(), samples[:, :3])
    with pytest.raises(InvalidConfigurationError, match="too slowly"):
        open_recording(tmp_path, "ns2")


def test_any_file_of_a_recording_opens_all_of_it(tmp_path):
    samples = make_noise(2000, 3)
    write_nsx(tmp_path / "day1.ns5", [(0, samples)], CHANNELS)
    slow = write_nsx(tmp_path / "day1.ns2", [(0, make_noise(66, 3))], CHANNELS, period=30)
    write_nsx(tmp_path / "day2.ns6", [(0, samples)], CHANNELS)
    write_probe(tmp_path, 3)
    assert [entry.stream for entry in list_streams(slow).streams] == ["ns5"]
    assert np.array_equal(open_recording(slow).get_traces(), samples)


def test_blocks_on_one_clock_are_one_recording_with_its_gaps(tmp_path):
    blocks = [make_noise(300, 3) for _ in range(40)]
    stamped = [(number * 310, block) for number, block in enumerate(blocks)]
    path = write_nsx(tmp_path / "day1.ns5", stamped, CHANNELS)
    write_probe(tmp_path, 3)
    assert [entry.stream for entry in list_streams(path).streams] == ["ns5"]
    recording = open_recording(path)
    assert np.array_equal(recording.get_traces(), np.concatenate(blocks))
    gaps = recording.get_annotation("frame_gaps")
    assert gaps == [[300 * number, 10] for number in range(1, 40)]
    assert "frame_gaps" in [finding.code for finding in check_truth(recording)]


def test_a_pause_is_a_gap_of_its_length(tmp_path):
    first, second = make_noise(300, 3), make_noise(900, 3)
    blocks = [(0, first), (5000, np.empty((0, 3))), (90_000, second)]
    path = write_nsx(tmp_path / "day1.ns5", blocks, CHANNELS)
    write_probe(tmp_path, 3)
    recording = open_recording(path)
    assert np.array_equal(recording.get_traces(), np.concatenate([first, second]))
    assert recording.get_annotation("frame_gaps") == [[300, 89_700]]


def test_a_clock_that_is_set_back_parts_takes_with_their_starts(tmp_path):
    first, second, third = make_noise(1, 3), make_noise(900, 3), make_noise(50, 3)
    blocks = [(120_000, first), (0, second), (910, third)]
    path = write_nsx(tmp_path / "day1.ns5", blocks, CHANNELS)
    write_probe(tmp_path, 3)
    assert [entry.stream for entry in list_streams(path).streams] == ["ns5/take0", "ns5/take1"]
    assert open_recording(path, "ns5/take0").get_annotation("take")["start_s"] == 4.0
    later = open_recording(path, "ns5/take1")
    assert np.array_equal(later.get_traces(), np.concatenate([second, third]))
    assert later.get_annotation("frame_gaps") == [[900, 10]]
    assert "clock_set_back" in [finding.code for finding in check_truth(later)]


def test_a_gap_between_stamped_packets_is_located(tmp_path):
    samples = make_noise(2000, 3)
    numbers = np.arange(2000)
    numbers[700:] += 41
    path = write_packets(tmp_path / "day1.ns6", samples, CHANNELS, numbers)
    write_probe(tmp_path, 3)
    recording = open_recording(path)
    assert np.array_equal(recording.get_traces(), samples)
    assert recording.get_annotation("frame_gaps") == [[700, 41]]


def test_stamped_packets_whose_clock_is_set_back_part_takes(tmp_path):
    samples = make_noise(2000, 3)
    numbers = np.arange(2000) + 30_000
    numbers[700:] -= 30_700
    numbers[1500:] += 9
    path = write_packets(tmp_path / "day1.ns6", samples, CHANNELS, numbers)
    write_probe(tmp_path, 3)
    names = ["ns6/take0", "ns6/take1"]
    assert [entry.stream for entry in list_streams(path).streams] == names
    first, second = (open_recording(path, name) for name in names)
    assert np.array_equal(first.get_traces(), samples[:700])
    assert np.array_equal(second.get_traces(), samples[700:])
    assert first.get_annotation("take")["start_s"] == pytest.approx(1.0, abs=1e-4)
    assert second.get_annotation("frame_gaps") == [[800, 9]]


def test_blocks_on_a_nanosecond_clock_are_one_timeline(tmp_path):
    epoch_ns = 1_790_000_000_000_000_000
    parts = [make_noise(300, 3), make_noise(900, 3), make_noise(50, 3)]
    frames = [0, 300, 1300]
    blocks = [
        (epoch_ns + round(frame * 1e9 / 30_000), part)
        for frame, part in zip(frames, parts, strict=True)
    ]
    path = write_nsx(
        tmp_path / "day1.ns6", blocks, CHANNELS, spec="3.0", stamps_per_s=1_000_000_000
    )
    write_probe(tmp_path, 3)
    recording = open_recording(path)
    assert np.array_equal(recording.get_traces(), np.concatenate(parts))
    assert recording.get_annotation("frame_gaps") == [[1200, 100]]


@pytest.mark.parametrize("n_bytes", [1, 6 * 100])
def test_a_cut_file_is_truncated(tmp_path, n_bytes):
    path = write_nsx(tmp_path / "day1.ns5", [(0, make_noise(2000, 3))], CHANNELS)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - n_bytes)
    assert corrupt_reason(path) == "truncated"


def test_a_file_cut_inside_its_header_is_truncated(tmp_path):
    path = write_nsx(tmp_path / "day1.ns5", [(0, make_noise(2000, 3))], CHANNELS)
    with path.open("r+b") as file:
        file.truncate(400)
    assert corrupt_reason(path) == "truncated"


def test_a_file_without_samples_is_empty(tmp_path):
    path = write_nsx(tmp_path / "day1.ns5", [(0, np.empty((0, 3)))], CHANNELS)
    assert corrupt_reason(path) == "empty"


def test_electrodes_named_twice_are_refused(tmp_path):
    channels = [(1, "uV"), (2, "uV"), (1, "uV")]
    path = write_nsx(tmp_path / "day1.ns5", [(0, make_noise(100, 3))], channels)
    assert corrupt_reason(path) == "duplicate_channels"


def test_files_that_do_not_hold_their_gain_are_refused(tmp_path):
    path = tmp_path / "day1.ns5"
    path.write_bytes(b"NEURALSG" + bytes(500))
    assert corrupt_reason(path) == "unsupported_version"


def test_two_recordings_in_a_folder_are_not_guessed_at(tmp_path):
    for name in ("day1.ns5", "day2.ns5"):
        write_nsx(tmp_path / name, [(0, make_noise(100, 3))], CHANNELS)
    with pytest.raises(
        InputCorruptError, match=r"holds 2 recordings \(day1.ns5, day2.ns5\)"
    ) as caught:
        list_streams(tmp_path)
    assert caught.value.reason == "several_recordings"
    assert "by name" in str(caught.value)


def test_without_a_probe_it_has_no_geometry(tmp_path):
    path = write_nsx(tmp_path / "day1.ns5", [(0, make_noise(100, 3))], CHANNELS)
    assert corrupt_reason(path) == "no_geometry"
