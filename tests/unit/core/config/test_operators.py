"""What names places or programs of the machine is set by its operator, and by nobody else."""

from __future__ import annotations

import pytest
from scripts.pages.configuration import render_configuration

from spikefleet.core.config import SortingConfig, resolve
from spikefleet.core.config.names import dotted_names
from spikefleet.core.config.operators import OPERATOR_FIELDS, require_client_settings
from spikefleet.core.config.presets import PRESETS, preset
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.sorters.parameters import read_table


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


@pytest.mark.parametrize("field", sorted(OPERATOR_FIELDS))
def test_the_published_page_tells_of_each_who_sets_it(field: str) -> None:
    group, _, name = field.partition(".")
    section = render_configuration().partition(f"\n## {group}\n")[2].partition("\n## ")[0]
    (row,) = [line for line in section.splitlines() if line.startswith(f"| `{name}`")]
    assert f"The operator's: set by {OPERATOR_FIELDS[field]}" in row


@pytest.mark.parametrize(
    "params",
    [
        {"results_dir": "/etc"},
        {"cache_preprocessing": {"mode": "folder", "folder": "/srv"}},
        {"matching": {"engine": {"weights_path": "/evil"}}},
        {"model_url": "http://evil"},
    ],
)
def test_a_sorters_own_parameter_that_is_a_place_is_refused_however_deep(params) -> None:
    base = preset("kilosort4")
    with pytest.raises(InvalidConfigurationError, match="is the operator's") as caught:
        require_client_settings(base.override(sorter_params=params), base)
    assert str(caught.value.evidence["field"]).startswith("sorter.sorter_params.")


@pytest.mark.parametrize("sorter", sorted(BACKENDS))
def test_no_parameter_that_a_sorter_publishes_is_taken_for_a_place(sorter: str) -> None:
    table = read_table(sorter)
    assert table
    defaults = {name: entry.default for name, entry in table.items()}
    base = preset("kilosort4")
    require_client_settings(base.override(sorter_params=defaults), base)
