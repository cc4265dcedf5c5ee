import numpy as np
import pytest
from spikeinterface.extractors.neoextractors.openephys import OpenEphysLegacyRecordingExtractor
from tests.support.formats.openephys import write_continuous
from tests.support.formats.probes import make_noise, write_probe

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.signal.open import list_streams, open_recording


def write_folder(folder, samples, first_numbers=None):
    for column in range(samples.shape[1]):
        write_continuous(folder, f"CH{column + 1}", samples[:, column], first_numbers)
    return folder


def corrupt_reason(path):
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    return caught.value.reason


def test_a_folder_reads_back_bit_exact_in_natural_order(tmp_path):
    samples = make_noise(1024 * 3, 11)
    folder = write_folder(tmp_path / "day1", samples)
    positions = write_probe(folder, 11)
    recording = open_recording(folder)
    assert recording.get_dtype() == np.dtype("int16")
    assert np.array_equal(recording.get_traces(), samples)
    assert recording.sampling_frequency == 30_000.0
    assert recording.get_channel_gains().tolist() == [0.195] * 11
    assert [str(name) for name in recording.channel_ids] == [f"CH{i}" for i in range(1, 12)]
    assert np.array_equal(recording.get_channel_locations(), positions)
    description = list_streams(folder)
    assert description.format == "openephys_legacy"
    assert [entry.stream for entry in description.streams] == ["100"]
    assert description.streams[0].duration_s == 1024 * 3 / 30_000


def test_our_files_are_what_neo_reads_too(tmp_path):
    samples = make_noise(1024 * 3, 3)
    theirs = OpenEphysLegacyRecordingExtractor(write_folder(tmp_path / "day1", samples))
    assert np.array_equal(theirs.get_traces(), samples)


def test_analog_inputs_are_named_but_refused(tmp_path):
    samples = make_noise(2048, 2)
    folder = write_folder(tmp_path / "day1", samples)
    write_probe(folder, 2)
    write_continuous(folder, "ADC1", samples[:, 0], bit_volts=0.00015)
    assert list_streams(folder).other_streams == ("100/adc",)
    assert open_recording(folder).get_num_channels() == 2
    with pytest.raises(InvalidConfigurationError, match="electrodes"):
        open_recording(folder, "100/adc")


def test_takes_of_one_folder_are_streams(tmp_path):
    samples = make_noise(1024 * 3, 2)
    folder = write_folder(tmp_path / "day1", samples)
    write_probe(folder, 2)
    for file in list(folder.glob("*.continuous")):
        file.with_stem(f"{file.stem}_2").write_bytes(file.read_bytes()[: 1024 + 2070])
    streams = [entry.stream for entry in list_streams(folder).streams]
    assert sorted(streams) == ["100", "100/take2"]
    assert np.array_equal(open_recording(folder, "100/take2").get_traces(), samples[:1024])


def test_lost_records_are_located_and_not_filled(tmp_path):
    samples = make_noise(1024 * 4, 2)
    folder = write_folder(tmp_path / "day1", samples, 1024 * np.array([5, 6, 9, 10]))
    write_probe(folder, 2)
    recording = open_recording(folder)
    assert np.array_equal(recording.get_traces(), samples)
    assert recording.get_annotation("frame_gaps") == [[2048, 2048]]


def test_record_numbers_that_are_set_back_part_takes(tmp_path):
    samples = make_noise(1024 * 5, 2)
    numbers = np.array([90_000, 91_024, 92_048, 0, 1024 + 64])
    folder = write_folder(tmp_path / "day1", samples, numbers)
    write_probe(folder, 2)
    names = ["100/take0", "100/take1"]
    assert [entry.stream for entry in list_streams(folder).streams] == names
    second = open_recording(folder, names[1])
    assert np.array_equal(second.get_traces(), samples[3072:])
    assert second.get_annotation("frame_gaps") == [[1024, 64]]
    assert open_recording(folder, names[0]).get_annotation("take")["start_s"] == 3.0


@pytest.mark.parametrize("n_bytes", [10, 2070])
def test_a_cut_channel_is_truncated_and_named(tmp_path, n_bytes):
    folder = write_folder(tmp_path / "day1", make_noise(1024 * 3, 3))
    cut = folder / "100_CH2.continuous"
    with cut.open("r+b") as file:
        file.truncate(cut.stat().st_size - n_bytes)
    with pytest.raises(InputCorruptError) as caught:
        open_recording(folder)
    assert (caught.value.reason, caught.value.path) == ("truncated", str(cut))


def test_headers_without_samples_are_empty(tmp_path):
    assert corrupt_reason(write_folder(tmp_path / "day1", np.empty((0, 2)))) == "empty"


def test_channels_named_twice_are_refused(tmp_path):
    folder = write_folder(tmp_path / "day1", make_noise(1024, 2))
    copy = (folder / "100_CH2.continuous").read_bytes().replace(b"'CH2'", b"'CH1'")
    (folder / "100_CH2.continuous").write_bytes(copy)
    (folder / "100_CH2.continuous").rename(folder / "100__CH1.continuous")
    assert corrupt_reason(folder) == "duplicate_channels"


def test_without_a_probe_it_has_no_geometry(tmp_path):
    assert corrupt_reason(write_folder(tmp_path / "day1", make_noise(1024, 2))) == "no_geometry"
