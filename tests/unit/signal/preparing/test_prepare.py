import re

import numpy as np
import pytest
from spikeinterface import preprocessing
from spikeinterface.core import NumpyRecording, load
from tests.support.recordings import make_recording

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.core.files import read_json
from spikefleet.signal.open import open_recording
from spikefleet.signal.preparing.concatenate import concatenate
from spikefleet.signal.preparing.prepare import (
    DEFAULT_LSB_UV,
    PrepareOptions,
    prepare,
    prepare_recording,
)
from spikefleet.signal.preparing.timeline import Timeline

UNFILTERED = RecordingConfig(freq_min=None, freq_max=None)
RATE_HZ = 30000.0


def in_memory(samples, gain_to_uv=1.0, offset_to_uv=0.0):
    recording = NumpyRecording([samples], RATE_HZ)
    recording.set_channel_gains(gain_to_uv)
    recording.set_channel_offsets(offset_to_uv)
    n_channels = samples.shape[1]
    recording.set_dummy_probe_from_locations(
        np.stack([np.zeros(n_channels), 20.0 * np.arange(n_channels)], axis=1)
    )
    return recording


def tone(frequency_hz, amplitude, seconds=0.5, n_channels=2):
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = amplitude * np.sin(2 * np.pi * frequency_hz * time_s)
    return np.repeat(wave[:, np.newaxis], n_channels, axis=1)


def microvolts(recording):
    return recording.get_traces(return_in_uV=True)


@pytest.mark.parametrize("format", ["maxwell", "spikeglx", "nwb", "binary"])
def test_unfiltered_microvolts_are_the_sources_exactly(tmp_path, format):
    source = open_recording(make_recording(tmp_path, format).path)
    prepared = prepare(source, UNFILTERED, tmp_path / "prepared")
    assert prepared.get_dtype() == np.int16
    assert np.array_equal(microvolts(prepared), microvolts(source))
    assert np.array_equal(prepared.get_channel_gains(), source.get_channel_gains())
    assert np.array_equal(prepared.get_channel_locations(), source.get_channel_locations())
    assert list(prepared.channel_ids) == list(source.channel_ids)


def test_channels_that_are_left_out_are_not_in_the_copy_and_make_it_another(tmp_path):
    source = in_memory(np.random.default_rng(2).normal(0, 30, (3000, 4)).astype("float32"))
    options = PrepareOptions(recording_digest="known")
    whole = prepare_recording(source, UNFILTERED, tmp_path, options)
    fewer = prepare_recording(
        source, RecordingConfig(freq_min=None, freq_max=None, bad_channels=["1"]), tmp_path, options
    )
    assert [str(channel) for channel in fewer.recording.channel_ids] == ["0", "2", "3"]
    assert fewer.recording.get_channel_locations()[:, 1].tolist() == [0.0, 40.0, 60.0]
    assert fewer.folder != whole.folder


@pytest.mark.parametrize("config", [RecordingConfig(), UNFILTERED])
@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32", "int32"])
def test_a_gain_is_applied_exactly_once(tmp_path, config, dtype):
    counts = tone(750.0, 200.0) + (512 if dtype == "uint16" else 0)
    source = in_memory(np.rint(counts).astype(dtype), gain_to_uv=6.3)
    prepared = prepare(source, config, tmp_path / "prepared")
    middle = slice(2000, -2000)
    swing_uv = np.ptp(microvolts(prepared)[middle], axis=0)
    assert swing_uv == pytest.approx(400 * 6.3, rel=0.02)


def test_a_configured_gain_replaces_the_recordings_own(tmp_path):
    source = in_memory(np.rint(tone(750.0, 200.0)).astype("int16"), gain_to_uv=6.3)
    config = RecordingConfig(freq_min=None, freq_max=None, gain_to_uv=2.0, offset_to_uv=5.0)
    prepared = prepare(source, config, tmp_path / "prepared")
    assert microvolts(prepared).max() == pytest.approx(405.0)
    assert source.get_channel_gains() == pytest.approx(6.3)


def test_a_gain_for_the_wrong_number_of_channels_is_refused(tmp_path):
    source = in_memory(np.zeros((100, 2), dtype="int16"))
    with pytest.raises(InvalidConfigurationError) as caught:
        prepare(source, RecordingConfig(gain_to_uv=(1.0, 2.0, 3.0)), tmp_path / "prepared")
    assert caught.value.field == "recording.gain_to_uv"


def test_the_band_pass_keeps_spikes_and_removes_hum_and_offset(tmp_path):
    samples = tone(750.0, 100.0) + tone(50.0, 3000.0) + 700.0
    prepared = prepare(
        in_memory(np.rint(samples).astype("int16")), RecordingConfig(), tmp_path / "prepared"
    )
    middle = microvolts(prepared)[3000:-3000]
    assert middle.max() == pytest.approx(100.0, rel=0.05)
    assert abs(middle.mean()) < 1.0
    assert prepared.is_filtered()


def test_a_band_above_nyquist_ends_at_nyquist(tmp_path):
    slow = in_memory(np.rint(tone(750.0, 100.0)).astype("int16"))
    slow = NumpyRecording([slow.get_traces()], 10000.0)
    slow.set_channel_gains(1.0)
    slow.set_channel_offsets(0.0)
    prepared = prepare(slow, RecordingConfig(), tmp_path / "prepared")
    assert prepared.get_num_samples() == slow.get_num_samples()
    with pytest.raises(InvalidConfigurationError) as caught:
        prepare(slow, RecordingConfig(freq_min=5000, freq_max=6000), tmp_path / "refused")
    assert caught.value.field == "recording.freq_min"


def test_float_sources_are_coded_finely_and_large_ones_still_fit(tmp_path):
    small = prepare(in_memory(tone(750.0, 100.0).astype("float32")), UNFILTERED, tmp_path / "small")
    assert small.get_channel_gains() == pytest.approx(DEFAULT_LSB_UV)
    large = prepare(
        in_memory(tone(750.0, 50_000.0).astype("float32")), UNFILTERED, tmp_path / "large"
    )
    assert microvolts(large).max() == pytest.approx(50_000.0, rel=1e-3)


def test_values_past_int16_are_clipped_not_wrapped(tmp_path):
    samples = tone(750.0, 100.0, seconds=2.0).astype("float32")
    samples[4321, 0] = 1e6
    prepared = prepare(in_memory(samples), UNFILTERED, tmp_path / "prepared")
    assert prepared.get_traces()[4321, 0] == 32767


def test_unsigned_samples_of_full_range_keep_their_microvolts(tmp_path):
    samples = np.array([[0, 65535], [32768, 32767], [65535, 0], [32768, 32768]], dtype="uint16")
    source = in_memory(np.tile(samples, (50, 1)), gain_to_uv=0.5, offset_to_uv=-16384.0)
    prepared = prepare(source, UNFILTERED, tmp_path / "prepared")
    assert np.abs(microvolts(prepared) - microvolts(source)).max() <= 0.5


def test_int16_on_disk_is_not_copied_when_nothing_changes(tmp_path):
    source = open_recording(make_recording(tmp_path, "binary").path)
    assert prepare(source, UNFILTERED, tmp_path / "prepared") is source
    assert not (tmp_path / "prepared").exists()


def test_windows_are_cut_after_filtering_and_joined(tmp_path):
    source = open_recording(make_recording(tmp_path, "binary").path)
    whole = prepare(source, RecordingConfig(), tmp_path / "whole").get_traces()
    config = RecordingConfig(rec_chunks_s=((0.5, 1.0), (2.0, 3.5)))
    parts = prepare(source, config, tmp_path / "parts").get_traces()
    rate = int(source.sampling_frequency)
    expected = np.concatenate([whole[rate // 2 : rate], whole[2 * rate : 7 * rate // 2]])
    assert parts.shape == expected.shape
    assert np.abs(parts.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("mea_y_max", "top_um"), [(-1, None), (500.0, 500.0)])
def test_the_electrode_map_can_be_flipped(tmp_path, mea_y_max, top_um):
    source = open_recording(make_recording(tmp_path, "binary").path)
    config = RecordingConfig(mea_y_max=mea_y_max, freq_min=None, freq_max=None)
    before, after = (
        recording.get_channel_locations()
        for recording in (source, prepare(source, config, tmp_path / "prepared"))
    )
    assert np.allclose(after[:, 1], (top_um or before[:, 1].max()) - before[:, 1])
    assert np.array_equal(after[:, 0], before[:, 0])
    assert np.array_equal(source.get_channel_locations(), before)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_copy_opens_again_and_says_how_far_it_is(tmp_path, n_jobs):
    source = open_recording(make_recording(tmp_path, "maxwell").path)
    seen = []
    prepared = prepare(
        source, RecordingConfig(), tmp_path / "copy", n_jobs=n_jobs, progress=seen.append
    )
    (copy,) = (tmp_path / "copy").iterdir()
    assert np.array_equal(load(copy).get_traces(), prepared.get_traces())
    assert np.array_equal(open_recording(copy).get_traces(), prepared.get_traces())
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert re.fullmatch("prepared-[0-9a-f]{16}", copy.name)


def test_the_same_preparation_is_found_again_and_another_is_not(tmp_path):
    source = make_recording(tmp_path, "maxwell").path
    copies = tmp_path / "copies"
    first = prepare_recording(open_recording(source), RecordingConfig(), copies)
    again = prepare_recording(open_recording(source), RecordingConfig(), copies)
    assert (first.reused, again.reused) == (False, True)
    assert again.folder == first.folder
    assert np.array_equal(again.recording.get_traces(), first.recording.get_traces())
    assert list(again.recording.channel_ids) == list(first.recording.channel_ids)
    others = [
        prepare_recording(open_recording(source), config, copies, options).folder
        for config, options in (
            (RecordingConfig(freq_min=301), None),
            (RecordingConfig(end_time_s=1.5), None),
            (RecordingConfig(gain_to_uv=6.3), None),
            (RecordingConfig(mea_y_max=-1), None),
            (RecordingConfig(), PrepareOptions(reference="median")),
            (RecordingConfig(), PrepareOptions(recording_digest="sha256:other")),
        )
    ]
    assert len({first.folder, *others}) == 1 + len(others)


@pytest.mark.parametrize("digest", ["", "sha256:one file"])
def test_wells_that_look_alike_are_not_taken_for_each_other(tmp_path, digest):
    plate = make_recording(tmp_path, "maxwell", wells=2).path
    options = PrepareOptions(recording_digest=digest)
    wells = [
        prepare_recording(open_recording(plate, well), RecordingConfig(), tmp_path / "c", options)
        for well in ("well000", "well001")
    ]
    assert not wells[1].reused
    assert wells[0].folder != wells[1].folder


def test_a_file_that_moved_is_known_by_its_digest(tmp_path):
    source = make_recording(tmp_path / "here", "maxwell").path
    options = PrepareOptions(recording_digest="sha256:one file")
    copies = tmp_path / "copies"
    prepare_recording(open_recording(source), RecordingConfig(), copies, options)
    moved = source.rename(tmp_path / source.name)
    assert prepare_recording(open_recording(moved), RecordingConfig(), copies, options).reused


def test_a_changed_source_is_prepared_anew(tmp_path):
    source = make_recording(tmp_path, "binary").path
    first = prepare_recording(open_recording(source), RecordingConfig(), tmp_path / "copies")
    (raw,) = source.glob("*.raw")
    samples = np.fromfile(raw, dtype="int16")
    samples[::7] += 100
    samples.tofile(raw)
    again = prepare_recording(open_recording(source), RecordingConfig(), tmp_path / "copies")
    assert not again.reused
    assert again.folder != first.folder


@pytest.mark.parametrize("damage", ["cut", "no manifest", "no traces"])
def test_a_copy_that_is_not_whole_is_written_again(tmp_path, damage):
    source = make_recording(tmp_path, "binary").path
    first = prepare_recording(open_recording(source), RecordingConfig(), tmp_path / "copies")
    expected = first.recording.get_traces().copy()
    traces, manifest = first.folder / "traces_cached_seg0.raw", first.folder / "prepared.json"
    if damage == "cut":
        traces.write_bytes(traces.read_bytes()[:-2])
    else:
        (manifest if damage == "no manifest" else traces).unlink()
    again = prepare_recording(open_recording(source), RecordingConfig(), tmp_path / "copies")
    assert not again.reused
    assert np.array_equal(again.recording.get_traces(), expected)


def test_samples_in_memory_are_never_taken_for_others(tmp_path):
    loud, quiet = (in_memory(np.rint(tone(750.0, uv)).astype("int16")) for uv in (400.0, 100.0))
    before = prepare_recording(loud, RecordingConfig(), tmp_path)
    after = prepare_recording(quiet, RecordingConfig(), tmp_path)
    assert before.folder == after.folder
    assert not after.reused
    assert microvolts(after.recording).max() < 150.0


def test_the_copy_is_spikeinterfaces_own_within_half_a_code(tmp_path):
    source = open_recording(make_recording(tmp_path, "spikeglx").path)
    copies = [
        prepare_recording(
            source, RecordingConfig(), tmp_path / name, PrepareOptions(implementation=name)
        )
        for name in ("compiled", "scipy")
    ]
    expected = preprocessing.bandpass_filter(source, dtype="float32").get_traces()
    for copy in copies:
        assert np.abs(copy.recording.get_traces() - expected).max() <= 0.5 + 1e-3
    assert [copy.implementation for copy in copies] == ["compiled", "scipy"]


def test_the_timeline_lies_beside_the_copy_and_finds_the_original(tmp_path):
    source = open_recording(make_recording(tmp_path, "binary").path)
    config = RecordingConfig(rec_chunks_s=((0.5, 1.0), (2.0, 3.5)))
    prepared = prepare_recording(source, config, tmp_path / "copies")
    timeline = Timeline.from_json(read_json(prepared.folder / "timeline.json"))
    assert timeline == prepared.timeline
    rate = int(source.sampling_frequency)
    assert timeline.to_original_s([0, rate // 2]).tolist() == [0.5, 2.0]
    assert timeline.n_samples == prepared.recording.get_num_samples()


def test_nothing_is_filtered_across_the_end_of_a_file(tmp_path):
    parts = [in_memory(np.rint(tone(750.0, 100.0) + level).astype("int16")) for level in (0, 9000)]
    joined = concatenate(["a", "b"], parts)
    options = PrepareOptions(files=joined.files)
    together = prepare_recording(joined.recording, RecordingConfig(), tmp_path / "both", options)
    alone = [
        prepare(part, RecordingConfig(), tmp_path / name).get_traces()
        for name, part in zip("ab", parts, strict=True)
    ]
    expected = np.concatenate(alone)
    assert np.array_equal(together.recording.get_traces(), expected)
    assert together.timeline.seams == (parts[0].get_num_samples(),)


@pytest.mark.parametrize("reference", ["median", "average"])
def test_a_reference_takes_away_what_all_channels_share(tmp_path, reference):
    shared = tone(750.0, 500.0, n_channels=5)
    shared[:, 2] += tone(1500.0, 100.0, n_channels=1)[:, 0]
    source = in_memory(np.rint(shared).astype("int16"))
    prepared = prepare_recording(
        source, RecordingConfig(), tmp_path, PrepareOptions(reference=reference)
    )
    swings_uv = np.ptp(microvolts(prepared.recording)[3000:-3000], axis=0)
    assert swings_uv[2] > 150.0
    assert swings_uv[0] < 60.0


@pytest.mark.parametrize("implementation", ["compiled", "scipy"])
@pytest.mark.parametrize("config", [RecordingConfig(), UNFILTERED])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_leave_no_copy(tmp_path, config, implementation, value):
    samples = tone(750.0, 100.0).astype("float32")
    samples[7000, 1] = value
    options = PrepareOptions(implementation=implementation)
    with pytest.raises(InputCorruptError) as caught:
        prepare_recording(in_memory(samples), config, tmp_path / "copies", options)
    assert caught.value.evidence["reason"] == "non_finite"
    assert list((tmp_path / "copies").iterdir()) == []
