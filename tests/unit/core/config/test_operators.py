"""What names places or programs of the machine is set by its operator, and by nobody else."""

from __future__ import annotations

import pytest

from spikefleet.core.config import SortingConfig, resolve
from spikefleet.core.config.names import dotted_names
from spikefleet.core.config.operators import OPERATOR_FIELDS, require_client_settings
from spikefleet.core.config.presets import PRESETS, preset
from spikefleet.core.failures.errors import InvalidConfigurationError


@pytest.mark.parametrize("field", sorted(OPERATOR_FIELDS))
def test_a_client_sets_none_of_them_and_is_told_who_does(field: str) -> None:
    base = preset("kilosort4")
    with pytest.raises(InvalidConfigurationError, match=field) as caught:
        require_client_settings(base.override(**{field: "/evil"}), base)
    assert caught.value.evidence["field"] == field
    assert OPERATOR_FIELDS[field] in str(caught.value)


def test_the_defaults_may_be_repeated_and_everything_else_changed() -> None:
    base = preset("kilosort4")
    same = base.override(hdf5_plugin_path=None, use_docker=True, snr_min=3.0, n_jobs=2)
    require_client_settings(same, base)


def test_a_run_that_has_one_from_before_keeps_it_when_it_is_retried() -> None:
    before = preset("kilosort4").override(hdf5_plugin_path="/opt/plugins")
    require_client_settings(before.override(snr_min=3.0), before)


def test_no_preset_names_a_place_of_the_machine() -> None:
    assert PRESETS
    for name in PRESETS:
        require_client_settings(resolve(name, {}), SortingConfig())


def test_every_field_that_sounds_like_a_place_is_listed() -> None:
    words = ("path", "docker", "image", "folder")
    found = {
        name
        for name in dotted_names(SortingConfig)
        if any(word in name.rpartition(".")[2] for word in words)
    }
    assert found <= set(OPERATOR_FIELDS)
