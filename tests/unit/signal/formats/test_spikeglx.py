import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.signal.measuring.truth_checks import check_truth
from spikefleet.signal.open import list_streams, open_recording

REAL_HEADERS = Path("../shared/data/recordings/spikeglx")


def pair_with_samples(meta, folder, n_frames=2000):
    """Put a real header beside synthetic samples; returns (the .bin, samples x saved channels)."""
    fields = dict(line.split("=", 1) for line in meta.read_text().splitlines() if "=" in line)
    n_saved = int(fields["nSavedChans"])
    size_bytes = n_frames * n_saved * 2
    text = meta.read_text().replace(
        f"fileSizeBytes={fields['fileSizeBytes']}", f"fileSizeBytes={size_bytes}"
    )
    (folder / meta.name).write_text(text)
    samples = np.random.default_rng(1).integers(-500, 500, (n_frames, n_saved), dtype="<i2")
    binary = (folder / meta.name).with_suffix(".bin")
    samples.tofile(binary)
    return binary, samples


@pytest.mark.skipif(not REAL_HEADERS.exists(), reason=f"{REAL_HEADERS} is not here")
@pytest.mark.parametrize("name", ["Noise_g0_t0.imec0.ap.meta", "NP2_4_shanks.imec0.ap.meta"])
def test_real_headers_open_bit_exact_with_their_probe(tmp_path, name):
    binary, samples = pair_with_samples(REAL_HEADERS / name, tmp_path)
    recording = open_recording(binary)
    n_signals = recording.get_num_channels()
    assert n_signals == 384
    assert np.array_equal(recording.get_traces(), samples[:, :n_signals])
    assert len(np.unique(recording.get_channel_locations(), axis=0)) == n_signals
    assert (recording.get_channel_gains() > 0.1).all()


def test_a_file_opens_as_its_folder_does(tmp_path):
    folder = make_recording(tmp_path, "spikeglx").path
    by_file = open_recording(next(folder.glob("*.bin")))
    assert np.array_equal(by_file.get_traces(), open_recording(folder).get_traces())


def test_the_sync_channel_is_left_out(tmp_path):
    recording = open_recording(make_recording(tmp_path, "spikeglx", channels=5).path)
    assert [str(name) for name in recording.channel_ids] == [f"imec0.ap#AP{i}" for i in range(5)]


def triggers(folder, n_triggers, first_samples):
    """Make the one file of a folder the first of several triggers, at these first samples."""
    (meta,), (binary,) = list(folder.glob("*.meta")), list(folder.glob("*.bin"))
    text = "\n".join(line for line in meta.read_text().splitlines() if "firstSample" not in line)
    for trigger, first in zip(range(n_triggers), first_samples, strict=True):
        name = meta.name.replace("_t0.", f"_t{trigger}.")
        said = "" if first is None else f"\nfirstSample={first}"
        (folder / name).write_text(text + said + "\n")
        if trigger:
            shutil.copyfile(binary, (folder / name).with_suffix(".bin"))
    return folder


def test_the_triggers_of_a_run_are_one_stream_with_gaps(tmp_path):
    made = make_recording(tmp_path, "spikeglx").path
    one = open_recording(made).get_traces()
    n = len(one)
    folder = triggers(made, 11, [100 + trigger * (n + 50) for trigger in range(11)])
    (stream,) = list_streams(folder).streams
    recording = open_recording(folder)
    assert (stream.stream, stream.duration_s) == ("imec0.ap", recording.get_total_duration())
    assert np.array_equal(recording.get_traces(), np.tile(one, (11, 1)))
    gaps = recording.get_annotation("frame_gaps")
    assert gaps == [[trigger * n, 50] for trigger in range(1, 11)]


def test_triggers_that_overlap_are_takes_and_those_without_a_clock_streams_apart(tmp_path):
    made = make_recording(tmp_path, "spikeglx").path
    one = open_recording(made).get_traces()
    folder = triggers(made, 2, [0, len(one) - 500])
    names = [entry.stream for entry in list_streams(folder).streams]
    assert names == ["imec0.ap/take0", "imec0.ap/take1"]
    assert np.array_equal(open_recording(folder, names[1]).get_traces(), one)
    for meta in folder.glob("*.meta"):
        meta.write_text(meta.read_text().replace("firstSample", "noSample"))
    streams = [entry.stream for entry in list_streams(folder).streams]
    assert streams == ["recording_g0_t0.imec0.ap", "recording_g0_t1.imec0.ap"]
    assert open_recording(folder, streams[1]).get_num_channels() == 8


def test_lfp_streams_are_named_but_refused(tmp_path):
    folder = make_recording(tmp_path, "spikeglx").path
    for file in list(folder.iterdir()):
        name = file.name.replace(".ap.", ".lf.")
        shutil.copyfile(file, folder / name)
        if file.suffix == ".meta":
            (folder / name).write_text(file.read_text().replace(".ap.bin", ".lf.bin"))
    description = list_streams(folder)
    assert [entry.stream for entry in description.streams] == ["imec0.ap"]
    assert description.other_streams == ("imec0.lf",)
    with pytest.raises(InvalidConfigurationError, match=r"\.ap"):
        open_recording(folder, "imec0.lf")


def test_whole_frames_short_of_the_header_are_truncated(tmp_path):
    folder = make_recording(tmp_path, "spikeglx", channels=5).path
    binary = next(folder.glob("*.bin"))
    with binary.open("r+b") as file:
        file.truncate(binary.stat().st_size - 12 * 100)
    with pytest.raises(InputCorruptError) as caught:
        open_recording(folder)
    assert caught.value.reason == "truncated"


def change_header(folder, change):
    meta = next(folder.glob("*.meta"))
    meta.write_text(change(meta.read_text()))
    return folder


def without_closing_entries(text):
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("fileSize", "fileTime")))


def test_a_file_that_spikeglx_did_not_close_is_read_from_its_bytes_and_told(tmp_path):
    folder = make_recording(tmp_path, "spikeglx").path
    whole = open_recording(folder).get_traces()
    recording = open_recording(change_header(folder, without_closing_entries))
    assert np.array_equal(recording.get_traces(), whole)
    assert "not_closed" in [each.code for each in check_truth(recording)]


def test_samples_that_their_header_does_not_know_of_are_read_and_told(tmp_path):
    folder = make_recording(tmp_path, "spikeglx").path
    assert "not_closed" not in [each.code for each in check_truth(open_recording(folder))]
    n_before = open_recording(folder).get_num_samples()
    (binary,) = folder.glob("*.bin")
    with binary.open("ab") as file:  # the header was copied earlier than the samples
        file.write(binary.read_bytes())
    recording = open_recording(folder)
    assert recording.get_num_samples() == 2 * n_before
    (told,) = [each for each in check_truth(recording) if each.code == "not_closed"]
    assert "its header is older than its last" in told.message
    assert f"{n_before / recording.sampling_frequency:.3g} s" in told.message


def test_a_header_whose_lists_lost_their_tilde_says_so(tmp_path):
    folder = make_recording(tmp_path, "spikeglx").path
    with pytest.raises(InputCorruptError, match="lost the ~"):
        list_streams(change_header(folder, lambda text: text.replace("~", "")))


def test_compressed_samples_are_named_with_what_decompresses_them(tmp_path):
    folder = make_recording(tmp_path, "spikeglx").path
    binary = next(folder.glob("*.bin"))
    binary.rename(binary.with_suffix(".cbin"))
    with pytest.raises(InputCorruptError, match="mtscomp") as caught:
        open_recording(folder)
    assert caught.value.reason == "compressed"


def test_a_header_older_than_its_samples_gives_their_own_length(tmp_path):
    folder = make_recording(tmp_path, "spikeglx").path
    n_samples = open_recording(folder).get_num_samples()
    rate_hz = open_recording(folder).sampling_frequency

    def halve(text):
        said = next(line for line in text.splitlines() if line.startswith("fileSizeBytes="))
        return text.replace(said, "fileSizeBytes=1000")

    stream = list_streams(change_header(folder, halve)).streams[0]
    assert stream.duration_s == pytest.approx(n_samples / rate_hz)


def test_probes_in_folders_of_their_own_with_one_file_name_are_streams_of_their_own(tmp_path):
    run = tmp_path / "run"
    for number in (1, 2, 3):
        made = make_recording(tmp_path, "spikeglx", name=f"made{number}", seed=number).path
        (run / f"probe_{number}").mkdir(parents=True)
        for file in made.glob("*.imec0.ap.*"):
            shutil.copyfile(file, run / f"probe_{number}" / f"npx.imec.ap{file.suffix}")
    streams = [entry.stream for entry in list_streams(run).streams]
    assert streams == [f"probe_{number}/npx.imec.ap" for number in (1, 2, 3)]
    for number, stream in enumerate(streams, start=1):
        own = open_recording(tmp_path / f"made{number}")
        assert np.array_equal(open_recording(run, stream).get_traces(), own.get_traces())


@pytest.mark.parametrize("name", ["mouse 7 day 2", "録音 一", "50% #3"])
def test_a_run_may_have_blanks_and_any_script_in_its_name(tmp_path, name):
    folder = make_recording(tmp_path, "spikeglx", name=name, seconds=0.2).path
    (stream,) = list_streams(folder).streams
    binary = next(folder.glob("*.bin"))
    assert stream.stream == "imec0.ap"
    assert np.array_equal(
        open_recording(binary).get_traces(), open_recording(folder, "imec0.ap").get_traces()
    )
