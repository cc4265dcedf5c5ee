import pickle
import subprocess
import sys

import pytest
from pydantic import ValidationError

from spikefleet.core.config import SortingConfig, preset
from spikefleet.core.config.names import RENAMED, dotted_names, flat_names
from spikefleet.core.failures.errors import InvalidConfigurationError


def test_a_configuration_cannot_be_changed_in_place():
    with pytest.raises(ValidationError, match="frozen"):
        preset("kilosort4").curation.snr_min = 3


def test_override_returns_another_configuration_and_keeps_the_first():
    base = preset("kilosort4")
    changed = base.override(snr_min=3.5)
    assert (base.curation.snr_min, changed.curation.snr_min) == (5.0, 3.5)


def test_overrides_start_at_the_defaults_and_take_the_sorter_by_name():
    config = SortingConfig().override(sorter="Kilosort4", fr_min=0.1)
    assert config.sorter.sorter_name == "kilosort4"
    assert config.override(sorter_name="rt-sort").sorter.sorter_name == "rt_sort"
    assert config.curation.fr_min == 0.1
    assert config.recording == SortingConfig().recording


def test_every_field_can_be_named_by_group_and_field():
    base = SortingConfig()
    document = base.to_document()
    assert dotted_names(SortingConfig)
    for dotted in dotted_names(SortingConfig):
        group, field = dotted.split(".")
        value = document[group].get(field, getattr(getattr(base, group), field))
        assert base.override(**{dotted: value}) == base


def test_every_flat_name_leads_to_a_field_that_exists():
    assert set(flat_names(SortingConfig).values()) <= set(dotted_names(SortingConfig))
    assert set(RENAMED.values()) <= set(dotted_names(SortingConfig))
    reachable = set(flat_names(SortingConfig).values())
    assert set(dotted_names(SortingConfig)) - reachable == set()


@pytest.mark.parametrize(
    ("flat", "value", "group", "field"),
    [
        ("kilosort_path", "/opt/ks", "sorter", "sorter_path"),
        ("waveforms_ms_before", 1.5, "waveform", "ms_before"),
        ("compiled_waveforms_ms_after", 3.0, "waveform", "compiled_ms_after"),
        ("figures_dpi", 200, "figures", "dpi"),
        ("all_templates_window_ms_before_peak", 4.0, "figures", "templates_window_ms_before"),
        ("rt_sort_save_pickle", False, "rt_sort", "save_rt_sort_pickle"),
        ("delete_inter", False, "execution", "delete_inter"),
    ],
)
def test_the_old_flat_names_still_work(flat, value, group, field):
    config = SortingConfig().override(**{flat: value})
    assert getattr(getattr(config, group), field) == value


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(InvalidConfigurationError, match="did you mean 'snr_min'") as caught:
        SortingConfig().override(snr_mim=3)
    assert caught.value.evidence["field"] == "snr_mim"
    assert caught.value.evidence["nearest"] == "snr_min"


@pytest.mark.parametrize("name", ["curation.snr_mini", "snr", "recording.freq_mn"])
def test_a_misspelt_dotted_or_short_name_is_refused_too(name):
    with pytest.raises(InvalidConfigurationError, match="There is no configuration field"):
        SortingConfig().override(**{name: 1})


def test_sorter_parameters_merge_and_none_clears_them():
    config = preset("kilosort4").override(sorter_params={"Th_universal": 8})
    config = config.override(**{"sorter_params.batch_size": 30000.0})
    assert config.sorter.sorter_params == {"Th_universal": 8, "batch_size": 30000}
    assert isinstance(config.sorter.sorter_params["batch_size"], int)
    assert config.override(kilosort_params={"nblocks": 0}).sorter.sorter_params["nblocks"] == 0
    assert config.override(sorter_params=None).sorter.sorter_params is None


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"n_jobs": "many"}, "execution.n_jobs", "valid integer"),
        ({"n_jobs": True}, "execution.n_jobs", "must be a number, not true or false"),
        ({"snr_min": True}, "curation.snr_min", "must be a number, not true or false"),
        ({"gain_to_uv": False}, "recording.gain_to_uv", "must be a number, not true or false"),
        ({"n_jobs": 0}, "execution.n_jobs", "greater than or equal to 1"),
        ({"snr_min": float("nan")}, "curation.snr_min", "finite"),
        ({"isi_violation_method": "guess"}, "curation.isi_violation_method", "'percent' or 'hill'"),
        ({"oom_retry_factor": 1.0}, "execution.oom_retry_factor", "less than 1"),
        ({"ms_before": 100_000}, "waveform.ms_before", "less than or equal to 100"),
        ({"std_norm_max": 0}, "curation.std_norm_max", "greater than 0"),
        ({"isi_viol_max": 5}, "curation.isi_viol_max", "0.05 is 5 %"),
        ({"host_ram_warn_pct": 92}, "execution.host_ram_warn_pct", "below host_ram_abort_pct"),
        ({"gpu_warn_pct": 95}, "execution.gpu_warn_pct", "below gpu_abort_pct"),
        ({"disk_warn_free_gb": 1}, "execution.disk_abort_free_gb", "below disk_warn_free_gb"),
        (
            {"sorter_inactivity_base_s": 9000},
            "execution.sorter_inactivity_base_s",
            "sorter_inactivity_max_s",
        ),
        ({"freq_min": 7000}, "recording.freq_min", "must be below freq_max"),
        ({"freq_min": None}, "recording.freq_min", "give both"),
        ({"start_time_s": 9, "end_time_s": 9}, "recording.start_time_s", "before end_time_s"),
        ({"rec_chunks": [[0, 10]], "end_time_s": 9}, "recording.rec_chunks", "not both"),
        ({"rec_chunks_s": [[5, 2]]}, "recording.rec_chunks_s", "not 5 to 2"),
        ({"host_ram_warn_pct": 99}, "execution.host_ram_warn_pct", "must be below"),
        ({"disk_abort_free_gb": 9}, "execution.disk_abort_free_gb", "must be below"),
    ],
)
def test_a_bad_value_is_refused_naming_the_field(changes, field, told):
    with pytest.raises(InvalidConfigurationError) as caught:
        preset("kilosort4").override(**changes)
    assert caught.value.evidence["field"] == field
    assert told in caught.value.message


def test_two_bad_values_are_both_named():
    with pytest.raises(InvalidConfigurationError) as caught:
        SortingConfig().override(n_jobs=0, snr_min=-1)
    assert set(caught.value.evidence["fields"]) == {"execution.n_jobs", "curation.snr_min"}


def test_the_band_pass_can_be_switched_off():
    config = SortingConfig().override(freq_min=None, freq_max=None)
    assert (config.recording.freq_min, config.recording.freq_max) == (None, None)


def test_gain_may_be_one_value_or_one_per_channel():
    assert SortingConfig().override(gain_to_uv=6.3).recording.gain_to_uv == 6.3
    assert SortingConfig().override(gain_to_uv=[1, 2]).recording.gain_to_uv == (1.0, 2.0)


def test_a_document_survives_the_trip_to_json_and_back():
    config = preset("rt_sort_neuropixels").override(rec_chunks_s=[[0, 1.5]], gain_to_uv=[1, 2])
    assert SortingConfig.from_document(config.to_document()) == config
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_document_with_a_foreign_field_is_refused():
    with pytest.raises(InvalidConfigurationError, match=r"did you mean 'curation.snr_min'"):
        SortingConfig.from_document({"curation": {"snr_mn": 3}})
    with pytest.raises(InvalidConfigurationError, match="no configuration field called 'curator'"):
        SortingConfig.from_document({"curator": {}})


def test_more_than_all_spikes_may_violate_by_the_other_method():
    config = SortingConfig().override(isi_violation_method="hill", isi_viol_max=5)
    assert config.curation.isi_viol_max == 5.0


def test_the_configuration_needs_no_numpy():
    code = (
        "import sys, spikefleet.core.config as c; c.preset('kilosort4'); "
        "print('numpy' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


def test_a_parameter_of_the_sorters_own_is_named_as_it_must_be_written() -> None:
    with pytest.raises(InvalidConfigurationError, match=r"'sorter_params\.detect_threshold'"):
        preset("lupin").override(detect_thresh=4)
    with pytest.raises(InvalidConfigurationError, match="`spikefleet settings` lists"):
        preset("lupin").override(qqqq=4)
