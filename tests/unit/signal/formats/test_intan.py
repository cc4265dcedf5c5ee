import numpy as np
import pytest
from spikeinterface.extractors import read_intan
from tests.support.formats.intan import write_attached, write_per_channel, write_per_signal
from tests.support.formats.probes import make_noise, write_probe

from spikefleet.core.failures.errors import (
    InputCorruptError,
    InputMissingError,
    InvalidConfigurationError,
)
from spikefleet.signal.open import list_streams, open_recording

NAMES = ["A-000", "A-001", "A-005"]
FRAMES = 128 * 7


def corrupt_reason(path):
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["rhd", "rhs"])
def test_a_file_with_its_header_reads_back_bit_exact(tmp_path, kind):
    samples = make_noise(FRAMES, 3, "uint16")
    path = write_attached(tmp_path / f"day1.{kind}", samples, NAMES)
    positions = write_probe(tmp_path, 3)
    recording = open_recording(path)
    assert recording.get_dtype() == np.uint16
    assert np.array_equal(recording.get_traces(), samples)
    assert np.array_equal(
        recording.get_traces(start_frame=100, end_frame=300, channel_ids=["A-005", "A-000"]),
        samples[100:300][:, [2, 0]],
    )
    assert recording.sampling_frequency == 30_000.0
    assert recording.get_channel_gains().tolist() == [0.195] * 3
    assert recording.get_channel_offsets().tolist() == [-32768 * 0.195] * 3
    assert [str(name) for name in recording.channel_ids] == NAMES
    assert np.array_equal(recording.get_channel_locations(), positions)


@pytest.mark.parametrize("kind", ["rhd", "rhs"])
def test_our_file_is_what_neo_reads_too(tmp_path, kind):
    samples = make_noise(FRAMES, 3, "uint16")
    path = write_attached(tmp_path / f"day1.{kind}", samples, NAMES)
    assert np.array_equal(read_intan(path, stream_id="0").get_traces(), samples)


@pytest.mark.parametrize("write", [write_per_signal, write_per_channel])
@pytest.mark.parametrize("kind", ["rhd", "rhs"])
def test_separate_sample_files_read_back_bit_exact(tmp_path, write, kind):
    samples = make_noise(1000, 3)
    folder = write(tmp_path / "day1", samples, NAMES, kind)
    positions = write_probe(folder, 3)
    for path in (folder, folder / f"info.{kind}"):
        recording = open_recording(path)
        assert recording.get_dtype() == np.int16
        assert np.array_equal(recording.get_traces(), samples)
        assert recording.get_channel_gains().tolist() == [0.195] * 3
        assert recording.get_channel_offsets().tolist() == [0.0] * 3
        assert [str(name) for name in recording.channel_ids] == NAMES
        assert np.array_equal(recording.get_channel_locations(), positions)


def test_only_the_amplifier_is_a_stream(tmp_path):
    path = write_attached(tmp_path / "day1.rhd", make_noise(FRAMES, 3, "uint16"), NAMES)
    description = list_streams(path)
    assert description.format == "intan"
    assert [entry.stream for entry in description.streams] == ["amplifier"]
    assert description.streams[0].duration_s == FRAMES / 30_000
    assert "USB board ADC input channel" in description.other_streams
    with pytest.raises(InvalidConfigurationError, match="amplifier"):
        open_recording(path, "USB board ADC input channel")


def test_lost_blocks_are_located(tmp_path):
    stamps = 128 * np.arange(7)
    stamps[3:] += 256
    path = write_attached(tmp_path / "day1.rhd", make_noise(FRAMES, 3, "uint16"), NAMES, stamps)
    write_probe(tmp_path, 3)
    recording = open_recording(path)
    assert recording.get_annotation("frame_gaps") == [[3 * 128, 256]]
    assert recording.get_annotation("dropped_frames") == 256


def test_lost_frames_are_located_in_separate_files(tmp_path):
    stamps = np.arange(1000)
    stamps[400:] += 9
    folder = write_per_signal(tmp_path / "day1", make_noise(1000, 3), NAMES, stamps=stamps)
    write_probe(folder, 3)
    assert open_recording(folder).get_annotation("frame_gaps") == [[400, 9]]


def test_time_stamps_that_are_set_back_part_takes(tmp_path):
    samples = make_noise(128 * 6, 3, "uint16")
    stamps = 128 * np.arange(6) + 60_000
    stamps[4:] -= 60_512
    path = write_attached(tmp_path / "day.rhd", samples, NAMES, stamps)
    write_probe(tmp_path, len(NAMES))
    names = ["amplifier/take0", "amplifier/take1"]
    described = list_streams(path).streams
    assert [(entry.stream, round(entry.duration_s * 30_000)) for entry in described] == [
        (names[0], 512),
        (names[1], 256),
    ]
    assert np.array_equal(open_recording(path, names[1]).get_traces(), samples[512:])
    assert open_recording(path, names[0]).get_annotation("take")["start_s"] == 2.0


def test_time_stamps_count_on_through_the_end_of_32_bits(tmp_path):
    samples = make_noise(128 * 6, 3, "uint16")
    stamps = (1 << 31) - 384 + 128 * np.arange(6)
    stamps[5:] += 128
    wrapped = np.where(stamps >= 1 << 31, stamps - (1 << 32), stamps)
    path = write_attached(tmp_path / "day.rhd", samples, NAMES, wrapped)
    write_probe(tmp_path, len(NAMES))
    recording = open_recording(path)
    assert np.array_equal(recording.get_traces(), samples)
    assert recording.get_annotation("frame_gaps") == [[640, 128]]


def test_a_file_cut_inside_a_block_is_truncated(tmp_path):
    path = write_attached(tmp_path / "day1.rhd", make_noise(FRAMES, 3, "uint16"), NAMES)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)
    assert corrupt_reason(path) == "truncated"


def test_a_file_cut_inside_its_header_is_refused(tmp_path):
    path = write_attached(tmp_path / "day1.rhd", make_noise(FRAMES, 3, "uint16"), NAMES)
    with path.open("r+b") as file:
        file.truncate(100)
    assert corrupt_reason(path) in ("truncated", "unreadable")


def test_a_channel_shorter_than_the_others_is_truncated(tmp_path):
    folder = write_per_channel(tmp_path / "day1", make_noise(1000, 3), NAMES)
    with (folder / "amp-A-001.dat").open("r+b") as file:
        file.truncate(1990)
    assert corrupt_reason(folder) == "truncated"


def test_times_that_number_other_frames_are_truncated(tmp_path):
    stamps = np.arange(900)
    folder = write_per_signal(tmp_path / "day1", make_noise(1000, 3), NAMES, stamps=stamps)
    assert corrupt_reason(folder) == "truncated"


def test_a_header_without_samples_is_empty(tmp_path):
    path = write_attached(tmp_path / "day1.rhd", np.empty((0, 3)), NAMES)
    assert corrupt_reason(path) == "empty"


def test_channels_named_twice_are_refused(tmp_path):
    names = ["A-000", "A-001", "A-000"]
    path = write_attached(tmp_path / "day1.rhd", make_noise(FRAMES, 3, "uint16"), names)
    assert corrupt_reason(path) == "duplicate_channels"


@pytest.mark.parametrize("missing", ["amp-A-001.dat", "time.dat"])
def test_a_missing_file_is_named(tmp_path, missing):
    folder = write_per_channel(tmp_path / "day1", make_noise(1000, 3), NAMES)
    (folder / missing).unlink()
    with pytest.raises(InputMissingError) as caught:
        open_recording(folder)
    assert caught.value.path == str(folder / missing)


def test_without_a_probe_it_has_no_geometry(tmp_path):
    path = write_attached(tmp_path / "day1.rhd", make_noise(FRAMES, 3, "uint16"), NAMES)
    assert corrupt_reason(path) == "no_geometry"


def write_series(folder, stamps, names=("A-0", "A-1"), stem="day"):
    """Write timed files that begin at ``stamps``, two blocks each; returns all samples."""
    parts = []
    for index, first in enumerate(stamps):
        samples = make_noise(256, len(names), "uint16")
        write_attached(
            folder / f"{stem}_251121_1200{index:02d}.rhd",
            samples,
            list(names),
            [first, first + 128],
        )
        parts.append(samples)
    write_probe(folder, len(names))
    return np.concatenate(parts)


def test_timed_files_of_one_run_are_one_recording(tmp_path):
    samples = write_series(tmp_path, [0, 256, 512])
    (stream,) = list_streams(tmp_path).streams
    assert stream.duration_s == pytest.approx(768 / 30_000)
    recording = open_recording(tmp_path)
    assert np.array_equal(recording.get_traces(), samples)
    assert np.array_equal(recording.get_traces(start_frame=200, end_frame=600), samples[200:600])
    assert recording.get_annotation("dropped_frames") == 0


def test_a_file_lost_from_a_series_is_a_gap_with_place_and_length(tmp_path):
    write_series(tmp_path, [0, 256, 768, 1152])
    recording = open_recording(tmp_path)
    assert recording.get_annotation("frame_gaps") == [[512, 256], [768, 128]]


@pytest.mark.parametrize("how", ["clock", "name", "channels"])
def test_files_that_do_not_continue_one_another_are_asked_for_by_name(tmp_path, how):
    write_series(tmp_path, [0, 0] if how == "clock" else [0])
    if how == "name":
        write_series(tmp_path, [256], stem="night")
    if how == "channels":
        write_attached(
            tmp_path / "day_251121_130000.rhd",
            make_noise(256, 1, "uint16"),
            ["A-0"],
            [256, 384],
        )
    with pytest.raises(InputCorruptError) as caught:
        list_streams(tmp_path)
    assert caught.value.reason == "several_recordings"
    assert "day_251121_120000.rhd" in caught.value.message


def test_a_series_whose_last_file_is_cut_is_truncated(tmp_path):
    write_series(tmp_path, [0, 256])
    last = tmp_path / "day_251121_120001.rhd"
    last.write_bytes(last.read_bytes()[:-7])
    with pytest.raises(InputCorruptError) as caught:
        list_streams(tmp_path)
    assert caught.value.reason == "truncated"
