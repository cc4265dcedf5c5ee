import pytest

from spikefleet.core.config import SortingConfig, config_digest, diff, preset, sort_digest


def test_the_digest_does_not_depend_on_how_a_number_was_written():
    assert config_digest(SortingConfig.from_kwargs(freq_min=300)) == config_digest(
        SortingConfig.from_kwargs(freq_min=300.0)
    )
    whole = SortingConfig.from_kwargs(sorter_params={"batch_size": 60000})
    double = SortingConfig.from_kwargs(sorter_params={"batch_size": 60000.0})
    assert config_digest(whole) == config_digest(double)


@pytest.mark.parametrize(
    "changes", [{"snr_min": 3}, {"compile_to_mat": True}, {"n_jobs": 2}, {"figures_dpi": 90}]
)
def test_curation_figures_and_cores_do_not_change_what_is_sorted(changes):
    base = preset("kilosort4")
    assert config_digest(base) != config_digest(base.override(**changes))
    assert sort_digest(base) == sort_digest(base.override(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"freq_min": 250},
        {"sorter": "lupin"},
        {"sorter_params.Th_universal": 8},
        {"random_seed": 2},
        {"rt_sort_probe": "neuropixels"},
        {"waveforms_ms_before": 1},
    ],
)
def test_band_sorter_seed_and_waveforms_change_what_is_sorted(changes):
    base = preset("kilosort4")
    assert sort_digest(base) != sort_digest(base.override(**changes))


def test_the_sort_digest_takes_recording_and_stream_into_account():
    config = preset("kilosort4")
    assert sort_digest(config, "abc", "well000") != sort_digest(config, "abc", "well001")


def test_the_difference_names_default_and_value_of_changed_fields_only():
    assert diff(SortingConfig()) == {}
    assert diff(preset("kilosort4").override(snr_min=3)) == {
        "sorter.sorter_name": ("kilosort2", "kilosort4"),
        "curation.snr_min": (5.0, 3.0),
    }
