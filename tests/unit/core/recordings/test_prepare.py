import numpy as np
import pytest
from spikeinterface.core import NumpyRecording, load
from tests.support.recordings import make_recording

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.recordings.open import open_recording
from spikefleet.core.recordings.prepare import DEFAULT_LSB_UV, prepare

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
    assert np.array_equal(load(tmp_path / "copy").get_traces(), prepared.get_traces())
    assert np.array_equal(open_recording(tmp_path / "copy").get_traces(), prepared.get_traces())
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert [entry.name for entry in tmp_path.iterdir() if "partial" in entry.name] == []
