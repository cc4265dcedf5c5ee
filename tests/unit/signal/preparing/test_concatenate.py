import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spikeinterface.core import NumpyRecording
from tests.support.formats.blackrock import write_nsx
from tests.support.formats.openephys import write_recording as write_openephys
from tests.support.formats.probes import write_probe
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import (
    InputCorruptError,
    InputMissingError,
)
from spikefleet.signal.open import open_recording
from spikefleet.signal.preparing.concatenate import (
    Concatenation,
    check_joined,
    concatenate,
    describe_concatenated,
    find_recordings,
    members_of,
    natural_key,
    open_concatenated,
)
from spikefleet.signal.preparing.timeline import FileSpan

RATE_HZ = 1000.0


def recording_of(n_samples, *, n_channels=2, rate_hz=RATE_HZ, gain=1.0, pitch_um=20.0, **options):
    samples = np.random.default_rng(n_samples).integers(
        -500, 500, (n_samples, n_channels), dtype="int16"
    )
    recording = NumpyRecording(
        [samples.astype(options.get("dtype", "int16"))],
        rate_hz,
        channel_ids=options.get("channel_ids", [f"c{index}" for index in range(n_channels)]),
    )
    recording.set_channel_gains(gain)
    recording.set_channel_offsets(options.get("offset", 0.0))
    heights_um = pitch_um * np.arange(n_channels)
    recording.set_dummy_probe_from_locations(np.stack([0 * heights_um, heights_um], axis=1))
    return recording


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_channels": 3}, "3 channels, not 2"),
        ({"rate_hz": 999.0}, r"999\.000000 Hz, not 1000\.000000 Hz"),
        ({"channel_ids": ["c0", "c7"]}, "'c7', not 'c1'"),
        ({"pitch_um": 20.1}, "other places"),
        ({"gain": 6.3}, "gain"),
        ({"offset": 1.0}, "offset"),
        ({"dtype": "int32"}, "int32"),
    ],
)
def test_files_that_do_not_belong_together_are_refused_by_name(options, said):
    parts = [recording_of(50), recording_of(60), recording_of(70, **options)]
    with pytest.raises(InputCorruptError, match=said) as caught:
        concatenate(["a", "b", "odd one"], parts)
    assert "odd one differs from a" in str(caught.value)
    assert caught.value.evidence["reason"] == "recordings_differ"


def test_nothing_cannot_be_joined():
    with pytest.raises(InputCorruptError):
        concatenate([], [])


def test_joined_files_follow_each_other_and_keep_their_scale():
    parts = [recording_of(50, gain=6.3), recording_of(61, gain=6.3), recording_of(1, gain=6.3)]
    joined = concatenate(["a", "b", "c"], parts)
    expected = np.concatenate([part.get_traces() for part in parts])
    assert np.array_equal(joined.recording.get_traces(), expected)
    assert joined.files == (FileSpan("a", 50), FileSpan("b", 61), FileSpan("c", 1))
    assert joined.recording.get_channel_gains() == pytest.approx(6.3)
    assert np.array_equal(
        joined.recording.get_channel_locations(), parts[0].get_channel_locations()
    )


@given(st.permutations(["rec1.h5", "rec2.h5", "Rec10.h5", "rec10b.h5", "rec100.h5", "x", "2"]))
def test_natural_order_counts_numbers_as_numbers(names):
    assert sorted(names, key=natural_key) == [
        "2", "rec1.h5", "rec2.h5", "Rec10.h5", "rec10b.h5", "rec100.h5", "x",
    ]  # fmt: skip


def folder_of(tmp_path, *numbers):
    folder = tmp_path / "day"
    for number in numbers:
        made = make_recording(
            folder, "maxwell", seconds=1.0, channels=4, units=1, name=f"run{number}.raw.h5"
        )
        assert made.path.is_file()
    return folder


def test_a_folder_is_joined_in_natural_order_past_its_notes(tmp_path):
    folder = folder_of(tmp_path, 10, 9)
    (folder / "notes.txt").write_text("slice 3, good one")
    paths = find_recordings(folder)
    assert [path.name for path in paths] == ["run9.raw.h5", "run10.raw.h5"]
    joined = open_concatenated({path.name: path for path in paths})
    assert [file.name for file in joined.files] == ["run9.raw.h5", "run10.raw.h5"]
    single = open_recording(paths[0]).get_traces()
    assert np.array_equal(joined.recording.get_traces(), np.concatenate([single, single]))


def test_samples_and_their_header_count_once(tmp_path):
    folder = tmp_path / "day"
    folder.mkdir()
    for number in (10, 9):
        made = make_recording(
            tmp_path / str(number), "spikeglx", seconds=1.0, channels=4, units=1
        ).path
        for file in made.rglob("*.ap.*"):
            file.rename(folder / f"run{number}_g0_t0.imec0.ap{file.suffix}")
    assert [path.name for path in find_recordings(folder)] == [
        "run9_g0_t0.imec0.ap.bin",
        "run10_g0_t0.imec0.ap.bin",
    ]


def test_a_damaged_member_is_not_passed_over(tmp_path):
    folder = folder_of(tmp_path, 1)
    whole = (folder / "run1.raw.h5").read_bytes()
    (folder / "run2.raw.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputCorruptError):
        find_recordings(folder)


def test_several_formats_in_one_folder_are_refused(tmp_path):
    folder = folder_of(tmp_path, 1)
    make_recording(folder, "nwb", seconds=1.0, channels=4, units=1, name="other.nwb")
    with pytest.raises(InputCorruptError, match="several formats"):
        find_recordings(folder)
    with pytest.raises(InputCorruptError, match="several formats"):
        members_of(folder)


def test_a_folder_without_recordings_says_so(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(InputMissingError):
        find_recordings(tmp_path)


def test_a_file_or_a_recording_of_several_probes_holds_no_members(tmp_path):
    folder = tmp_path / "run_g0"
    for probe in (0, 1):
        made = make_recording(tmp_path / str(probe), "spikeglx", seconds=1.0, channels=4, units=1)
        (folder / f"run_g0_imec{probe}").mkdir(parents=True)
        for file in made.path.rglob("*.ap.*"):
            name = f"run_g0_t0.imec{probe}.ap{file.suffix}"
            place = file.rename(folder / f"run_g0_imec{probe}" / name)
            if place.suffix == ".meta":
                place.write_text(place.read_text().replace("imec0", f"imec{probe}"))
    assert members_of(folder) == ()
    assert members_of(next(folder.rglob("*.bin"))) == ()


def test_runs_one_after_the_other_are_members_though_a_reader_takes_their_folder(tmp_path):
    for name in ("run2", "run10"):
        make_recording(tmp_path / "day", "spikeglx", seconds=1.0, channels=4, units=1, name=name)
    found = members_of(tmp_path / "day")
    assert [path.name for path in found] == ["run2", "run10"]


def test_joined_streams_are_described_and_one_that_differs_hides_no_other(tmp_path):
    plates = {
        "a": make_recording(tmp_path / "a", "maxwell", seconds=1.0, channels=4, wells=3).path,
        "b": make_recording(tmp_path / "b", "maxwell", seconds=2.0, channels=4, wells=2).path,
    }
    described = describe_concatenated(plates)
    streams = {stream.stream: stream for stream in described.streams}
    assert list(streams) == ["well000", "well001", "well002"]
    assert [stream.problem for stream in described.streams[:2]] == ["", ""]
    assert streams["well001"].duration_s == pytest.approx(3.0)
    assert "'well002'" in streams["well002"].problem
    assert "b has not" in streams["well002"].problem


def test_recordings_that_differ_are_described_with_both_names(tmp_path):
    named = {
        name: make_recording(tmp_path / name, seconds=1.0, channels=channels).path
        for name, channels in (("first", 4), ("second", 6))
    }
    (stream,) = describe_concatenated(named).streams
    assert stream.problem.startswith("second differs from first: 6 channels, not 4")


def test_a_doubt_about_one_recording_of_several_names_it():
    parts = [recording_of(3000), recording_of(3001)]
    assert check_joined(concatenate(["a", "b"], parts), lambda part: part) == ()
    parts[1].set_channel_gains(np.nan)
    doubted = check_joined(Concatenation(parts[0], (), tuple(parts[1:])), lambda part: part)
    assert [finding.code for finding in doubted] == ["gain_invalid"]
    parts[0].set_channel_gains(np.nan)
    both = check_joined(concatenate(["a", "b"], parts), lambda part: part)
    assert [finding.message.split(":")[0] for finding in both] == ["a", "b"]
    assert both[1].evidence["recording"] == "b"


def test_takes_whose_clocks_differ_by_ppm_are_joined_and_the_difference_is_told():
    first, second = (
        recording_of(50_000, rate_hz=rate_hz) for rate_hz in (30_000.1496, 30_000.0763)
    )
    joined = concatenate(["g0", "g1"], [first, second])
    assert joined.recording.get_num_samples() == 2 * first.get_num_samples()
    found = {each.code: each for each in check_joined(joined, lambda recording: recording)}
    assert "g1 ran at 30000.076300 Hz, -2.44 ppm" in found["rates_differ"].message


def test_a_difference_that_rounding_of_time_stamps_gives_is_not_told():
    takes = [recording_of(3000, rate_hz=rate) for rate in (30_000.0, 30_000.0008)]
    joined = concatenate(["a", "b"], takes)
    codes = {finding.code for finding in check_joined(joined, lambda recording: recording)}
    assert "rates_differ" not in codes


@pytest.mark.parametrize("named", ["", "Record Node 101", "Record Node 101/experiment1"])
def test_an_open_ephys_folder_holds_the_recordings_of_its_node_however_deep(tmp_path, named):
    for number in (10, 2, 1):
        place = f"experiment1/recording{number}"
        write_openephys(tmp_path, np.zeros((30, 1)), [("CH1", 0.195, "uV")], place=place)
    found = members_of(tmp_path / named)
    assert [path.name for path in found] == ["recording1", "recording2", "recording10"]
    assert members_of(found[0]) == ()


def test_record_nodes_side_by_side_are_not_joined_one_after_the_other(tmp_path):
    node = write_openephys(tmp_path, np.zeros((30, 1)), [("CH1", 0.195, "uV")])
    shutil.copytree(node, tmp_path / "Record Node 103")
    with pytest.raises(InputCorruptError, match="recorded at the same time") as caught:
        members_of(tmp_path)
    assert caught.value.reason == "recordings_differ"


def test_the_takes_of_one_file_are_joined_and_so_are_those_of_several(tmp_path):
    samples = np.random.default_rng(1).integers(-500, 500, (2000, 2), dtype="int16")
    one, other = tmp_path / "one.ns5", tmp_path / "other.ns5"
    channels = [(1, "uV"), (2, "uV")]
    write_nsx(one, [(90_000, samples[:5]), (0, samples[5:1200])], channels)
    write_nsx(other, [(0, samples[1200:])], channels)
    write_probe(tmp_path, 2)
    alone = open_concatenated({"one": one}, "ns5/takes")
    assert alone.files == (FileSpan("one-take0", 5), FileSpan("one-take1", 1195))
    assert np.array_equal(alone.recording.get_traces(), samples[:1200])
    found = describe_concatenated({"one": one, "other": other})
    assert [(entry.stream, entry.problem) for entry in found.streams] == [("ns5/takes", "")]
    both = open_concatenated({"one": one, "other": other}, "ns5/takes")
    assert [span.name for span in both.files] == ["one-take0", "one-take1", "other"]
    assert np.array_equal(both.recording.get_traces(), samples)
