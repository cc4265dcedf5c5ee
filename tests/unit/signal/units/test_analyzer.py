"""The analyzer of a sort: complete, repeatable, and loadable when the recording is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import (
    BaseRecording,
    BaseSorting,
    NumpySorting,
    generate_ground_truth_recording,
    load,
    load_sorting_analyzer,
)

from spikefleet.core.config.units import WaveformConfig
from spikefleet.signal.units.analyzer import build_analyzer, leave_out_pairs_across
from spikefleet.signal.units.analyzer_folder import open_analyzer
from spikefleet.signal.units.unit_data import read_units

EXTENSIONS = {
    "noise_levels",
    "random_spikes",
    "waveforms",
    "templates",
    "unit_locations",
    "spike_amplitudes",
    "spike_locations",
    "correlograms",
    "template_similarity",
}


def make(folder: Path, n_channels: int = 8) -> tuple[BaseRecording, BaseSorting]:
    generated, truth = generate_ground_truth_recording(
        durations=[5.0], num_channels=n_channels, num_units=3, seed=3
    )
    saved = generated.save(folder=folder)
    saved.set_channel_gains(1.0)
    saved.set_channel_offsets(0.0)
    return saved, truth


def test_holds_what_curation_and_the_report_need(tmp_path: Path) -> None:
    recording, truth = make(tmp_path / "recording")
    analyzer = build_analyzer(
        recording, truth, tmp_path / "analyzer", WaveformConfig(max_waveforms_per_unit=20), seed=1
    )
    assert set(analyzer.get_loaded_extension_names()) == EXTENSIONS
    templates = analyzer.get_extension("templates")
    n_samples = round(0.004 * recording.get_sampling_frequency())
    for operator in ("average", "std"):
        assert templates.get_data(operator=operator).shape == (3, n_samples, 8)
    assert analyzer.get_extension("waveforms").get_data().shape[0] == 60
    assert len(analyzer.get_extension("spike_amplitudes").get_data()) == sum(
        truth.count_num_spikes_per_unit().values()
    )


def test_can_be_read_when_the_recording_is_gone(tmp_path: Path) -> None:
    recording, truth = make(tmp_path / "recording")
    build_analyzer(recording, truth, tmp_path / "analyzer", WaveformConfig(), seed=1)
    shutil.rmtree(tmp_path / "recording")
    shutil.move(tmp_path / "analyzer", tmp_path / "elsewhere")
    analyzer = load_sorting_analyzer(tmp_path / "elsewhere", load_extensions=True)
    assert not analyzer.has_recording()
    assert analyzer.get_probe().get_contact_count() == 8
    assert analyzer.get_extension("templates").get_templates().shape[0] == 3
    assert analyzer.get_total_duration() == pytest.approx(5.0)
    train = analyzer.sorting.get_unit_spike_train(truth.unit_ids[0])
    np.testing.assert_array_equal(train, truth.get_unit_spike_train(truth.unit_ids[0]))


def test_the_same_seed_gives_the_same_analyzer(tmp_path: Path) -> None:
    recording, truth = make(tmp_path / "recording")
    config = WaveformConfig(max_waveforms_per_unit=10)
    first, second = (
        build_analyzer(recording, truth, tmp_path / name, config, seed=5) for name in ("a", "b")
    )
    for extension in ("random_spikes", "waveforms", "noise_levels"):
        np.testing.assert_array_equal(
            first.get_extension(extension).get_data(), second.get_extension(extension).get_data()
        )


def test_a_large_array_is_kept_sparse(tmp_path: Path) -> None:
    recording, truth = make(tmp_path / "recording", n_channels=70)
    analyzer = build_analyzer(recording, truth, tmp_path / "analyzer", WaveformConfig(), seed=1)
    assert analyzer.is_sparse()
    assert analyzer.get_extension("waveforms").get_data().shape[2] < 70


def test_a_sorting_without_units_has_noise_levels_only(tmp_path: Path) -> None:
    recording, _ = make(tmp_path / "recording")
    empty = NumpySorting.from_unit_dict([{}], recording.get_sampling_frequency())
    analyzer = build_analyzer(recording, empty, tmp_path / "analyzer", WaveformConfig(), seed=1)
    assert analyzer.get_loaded_extension_names() == ["noise_levels"]
    assert load(tmp_path / "analyzer").get_num_units() == 0


def test_waveforms_are_dropped_when_they_are_not_wanted(tmp_path: Path) -> None:
    recording, truth = make(tmp_path / "recording")
    config = WaveformConfig(save_waveform_files=False, max_waveforms_per_unit=None)
    analyzer = build_analyzer(recording, truth, tmp_path / "analyzer", config, seed=1)
    assert not analyzer.has_extension("waveforms")
    assert analyzer.has_extension("templates")


@pytest.mark.filterwarnings("ignore:Projection attempted")
def test_principal_components_are_kept_on_request_and_hold_data_only(tmp_path: Path) -> None:
    recording, truth = make(tmp_path / "recording")
    asked = WaveformConfig(
        principal_components=True, save_waveform_files=False, max_waveforms_per_unit=20
    )
    analyzer = build_analyzer(recording, truth, tmp_path / "analyzer", asked, seed=1)
    assert not analyzer.has_extension("waveforms")
    found = open_analyzer(tmp_path / "analyzer").get_extension("principal_components")
    assert found.get_data().shape == (60, found.params["n_components"], 8)
    assert np.isfinite(found.get_data()).all()
    assert found.get_data().any()


@pytest.mark.parametrize("most", [None, 100])
def test_a_spike_whose_window_reaches_over_an_end_is_not_sampled_and_counted(
    tmp_path: Path, most: int | None
) -> None:
    recording, _ = make(tmp_path / "recording")
    rate_hz, end = recording.get_sampling_frequency(), recording.get_num_samples()
    before, after = round(0.001 * rate_hz), round(0.003 * rate_hz)
    inside = [after, end // 2, end - after - 1]
    at = np.array([0, 5, *inside, end - after, end - 1])
    sorting = NumpySorting.from_samples_and_labels(at, np.zeros(len(at), dtype=int), rate_hz)
    waveform = WaveformConfig(ms_before=1.0, ms_after=3.0, max_waveforms_per_unit=most)
    analyzer = build_analyzer(recording, sorting, tmp_path / "analyzer", waveform, seed=1)
    sampled = analyzer.get_extension("random_spikes").get_random_spikes()["sample_index"]
    assert list(sampled) == inside
    assert analyzer.get_extension("waveforms").get_data().shape[1] == before + after
    assert read_units(tmp_path / "analyzer").edge_spike_count == 4


def test_correlograms_count_no_pair_across_a_seam(tmp_path: Path) -> None:
    recording, _ = make(tmp_path / "recording")
    trains = {"a": np.array([1000, 49_990, 50_010, 99_000]), "b": np.array([50_020, 99_010])}
    sorting = NumpySorting.from_unit_dict([trains], recording.get_sampling_frequency())
    analyzer = build_analyzer(recording, sorting, tmp_path / "analyzer", WaveformConfig(), seed=1)
    whole = analyzer.get_extension("correlograms").get_data()[0].copy()
    leave_out_pairs_across(analyzer, (50_000,))
    kept = load_sorting_analyzer(tmp_path / "analyzer").get_extension("correlograms")
    counts, bins = kept.get_data()
    assert whole[0, 0].sum() == 2  # the two spikes of "a" around the seam, either way
    assert counts[0, 0].sum() == 0
    assert whole[0, 1].sum() == 3
    assert counts[0, 1].sum() == 2
    assert len(bins) == counts.shape[2] + 1


def test_units_without_a_spike_are_measured_as_nothing(tmp_path: Path) -> None:
    recording, _ = make(tmp_path / "recording")
    none = {"a": np.zeros(0, dtype=int), "b": np.zeros(0, dtype=int)}
    sorting = NumpySorting.from_unit_dict([none], recording.get_sampling_frequency())
    analyzer = build_analyzer(recording, sorting, tmp_path / "analyzer", WaveformConfig(), seed=1)
    assert not analyzer.get_extension("correlograms").get_data()[0].any()
    assert not analyzer.get_extension("templates").get_templates().any()


def test_without_seams_or_units_nothing_is_counted_again(tmp_path: Path) -> None:
    recording, truth = make(tmp_path / "recording")
    analyzer = build_analyzer(recording, truth, tmp_path / "some", WaveformConfig(), seed=1)
    before = analyzer.get_extension("correlograms").get_data()[0].copy()
    leave_out_pairs_across(analyzer, ())
    np.testing.assert_array_equal(analyzer.get_extension("correlograms").get_data()[0], before)
    empty = NumpySorting.from_unit_dict([{}], recording.get_sampling_frequency())
    none = build_analyzer(recording, empty, tmp_path / "none", WaveformConfig(), seed=1)
    leave_out_pairs_across(none, (50_000,))
    assert not none.has_extension("correlograms")


def test_of_very_many_units_no_table_of_pairs_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording, truth = make(tmp_path / "recording")
    monkeypatch.setattr("spikefleet.signal.units.analyzer.MOST_CORRELATED_UNITS", 1)
    analyzer = build_analyzer(recording, truth, tmp_path / "many", WaveformConfig(), seed=1)
    assert not analyzer.has_extension("correlograms")
    assert analyzer.has_extension("template_similarity")
    leave_out_pairs_across(analyzer, (50_000,))  # nothing to count again, and no error
