from typing import get_args

import pytest

from spikefleet.core.config import SortingConfig, config_digest, diff, preset, sort_digest
from spikefleet.core.config.compat import ACCEPTED
from spikefleet.core.config.digests import pending_changes, sort_inputs
from spikefleet.core.config.effects import SORT_FIELDS
from spikefleet.core.config.names import dotted_names
from spikefleet.core.failures.errors import InvalidConfigurationError


def test_the_digest_does_not_depend_on_how_a_number_was_written():
    assert config_digest(SortingConfig().override(freq_min=300)) == config_digest(
        SortingConfig().override(freq_min=300.0)
    )
    whole = SortingConfig().override(sorter_params={"batch_size": 60000})
    double = SortingConfig().override(sorter_params={"batch_size": 60000.0})
    assert config_digest(whole) == config_digest(double)


OTHERS = sorted(set(dotted_names(SortingConfig)) - SORT_FIELDS)


def another(dotted: str, config: SortingConfig) -> SortingConfig | None:
    """The configuration with one field at another value; None where no other value was found."""
    group, _, field = dotted.partition(".")
    value = getattr(getattr(config, group), field)
    tries = [not value] if isinstance(value, bool) else []
    if isinstance(value, int | float) and not isinstance(value, bool):
        tries += [value + 1, value * 0.9, int(value) + 1]
    kinds = get_args(type(getattr(config, group)).model_fields[field].annotation)
    tries += [kind for kind in kinds if isinstance(kind, str)]
    tries += ["another", "#123456", "device", "neuropixels", "median", 1, 2.5]
    tries += [[1, 2], [[0, 10]], ["#123456"], {"a": 1}, None]
    for tried in tries:
        try:
            changed = config.override(**{dotted: tried})
        except InvalidConfigurationError:
            continue
        if changed != config:
            return changed
    return None


@pytest.mark.parametrize("dotted", OTHERS)
def test_a_field_that_no_sorter_reads_keeps_the_sort(dotted):
    base = preset("kilosort4")
    changed = another(dotted, base)
    assert changed is not None
    assert config_digest(base) != config_digest(changed)
    assert sort_digest(base) == sort_digest(changed)


@pytest.mark.parametrize("dotted", sorted(SORT_FIELDS))
def test_every_field_that_can_change_spikes_is_part_of_the_sort(dotted):
    base = preset("kilosort4")
    changed = another(dotted, base)
    assert changed is not None
    assert sort_digest(base) != sort_digest(changed)


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_name_without_effect_changes_no_digest_at_all(name):
    base = preset("kilosort4")
    assert config_digest(base) == config_digest(base.override(**{name: None}))


def test_no_parameters_and_an_empty_table_of_them_are_the_same_sort():
    base = preset("kilosort4")
    assert sort_digest(base) == sort_digest(base.override(sorter_params={}))


@pytest.mark.parametrize(
    "changes",
    [
        {"freq_min": 250},
        {"sorter": "lupin"},
        {"sorter_params.Th_universal": 8},
        {"random_seed": 2},
        {"waveforms_ms_before": 1},
        {"start_time_s": 1},
        {"common_reference": "median"},
        {"bad_channels": "detected"},
        {"mea_y_max": -1},
    ],
)
def test_band_sorter_seed_and_waveforms_change_what_is_sorted(changes):
    base = preset("kilosort4")
    assert sort_digest(base) != sort_digest(base.override(**changes))


def test_channels_left_out_are_a_set_and_unset_they_leave_no_trace():
    base = preset("kilosort4")
    assert "recording.bad_channels" not in sort_inputs(base)
    assert "bad_channels" not in base.to_document()["recording"]
    one = base.override(bad_channels=["b", 7.0, "a", "b"])
    assert one.recording.bad_channels == ("7", "a", "b")
    assert sort_digest(one) == sort_digest(base.override(bad_channels="a, b,7"))
    assert sort_digest(base.override(bad_channels=[])) == sort_digest(base)


def test_the_sort_digest_takes_recording_and_stream_into_account():
    config = preset("kilosort4")
    assert sort_digest(config, "abc", "well000") != sort_digest(config, "abc", "well001")


def test_the_difference_names_default_and_value_of_changed_fields_only():
    assert diff(SortingConfig()) == {}
    assert diff(preset("kilosort4").override(snr_min=3)) == {
        "curation.snr_min": (5.0, 3.0),
    }


def test_only_changed_fields_without_effect_are_named():
    config = preset("kilosort4").override(snr_min=6.0, delete_inter=False, curation_epoch=1)
    assert pending_changes(config) == ("execution.delete_inter",)


def test_no_preset_of_a_sorter_here_changes_one():
    for name in ("kilosort4", "lupin", "mountainsort5"):
        assert pending_changes(preset(name)) == ()


def test_another_refractory_period_is_another_run_of_the_same_sort():
    base = preset("kilosort4")
    assert "refractory_period_ms" not in base.to_document()["curation"]
    longer = base.override(refractory_period_ms=2.0)
    assert longer.to_document()["curation"]["refractory_period_ms"] == 2.0
    assert config_digest(longer) != config_digest(base)
    assert config_digest(longer.override(refractory_period_ms=1.5)) == config_digest(base)
    assert sort_digest(longer) == sort_digest(base)
    with pytest.raises(InvalidConfigurationError, match="must be shorter"):
        base.override(censored_period_ms=1.5)
