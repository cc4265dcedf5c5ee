"""A user's parameters over a sorter's defaults."""

from __future__ import annotations

import pytest

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.sorters.params import merge_params


def test_given_values_win_and_the_defaults_stay_untouched() -> None:
    defaults = {"batch_size": 60000, "nested": {"a": 1}}
    merged = merge_params("Kilosort 4", defaults, {"batch_size": 30000})
    merged["nested"]["a"] = 2
    assert merged["batch_size"] == 30000
    assert defaults == {"batch_size": 60000, "nested": {"a": 1}}


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InvalidConfigurationError, match="did you mean 'batch_size'") as raised:
        merge_params("Kilosort 4", {"batch_size": 60000}, {"batchsize": 30000})
    assert raised.value.field == "sorter.sorter_params.batchsize"
