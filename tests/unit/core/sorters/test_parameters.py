"""Sorter parameters are refused at submission: by name, type, sign and range."""

import pytest

from spikefleet.core.config.sorter_params import check_params
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.sorters.parameters import read_table

KILOSORT = ("kilosort4", "Kilosort 4")


@pytest.mark.parametrize(
    ("params", "field", "told"),
    [
        ({"batch_size": -1}, "batch_size", "a whole number from 1"),
        ({"batch_size": 0}, "batch_size", "a whole number from 1"),
        ({"batch_size": 1.5}, "batch_size", "a whole number from 1"),
        ({"batch_size": "60000"}, "batch_size", "a whole number from 1"),
        ({"batch_size": True}, "batch_size", "a whole number from 1"),
        ({"batch_size": None}, "batch_size", "a whole number from 1"),
        ({"Th_universal": "abc"}, "Th_universal", "a number above 0"),
        ({"Th_universal": 0}, "Th_universal", "a number above 0"),
        ({"dmin": 0}, "dmin", "a number above 0"),
        ({"max_peels": 10001}, "max_peels", "up to 10000"),
        ({"do_CAR": "yes"}, "do_CAR", "true or false"),
        ({"drift_smoothing": 0.5}, "drift_smoothing", "a list"),
        ({"tmax": -1}, "tmax", "a number above 0"),
        ({"Th_single_ch": float("inf")}, "Th_single_ch", "a number above 0"),
    ],
)
def test_a_value_out_of_range_is_refused_naming_the_parameter(params, field, told):
    with pytest.raises(InvalidConfigurationError) as caught:
        check_params(*KILOSORT, params)
    assert caught.value.evidence["field"] == f"sorter.sorter_params.{field}"
    assert told in caught.value.message
    assert "Kilosort 4" in caught.value.message


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"batch_size": 30000, "Th_universal": 8.5, "nblocks": 0},
        {"tmax": None, "nblocks": None, "dmin": None, "bad_channels": [1, 2]},
        {"drift_smoothing": [0.5, 0.5, 0.5], "scale": -1.5, "keep_good_only": True},
    ],
)
def test_what_kilosort_can_run_with_passes(params):
    check_params(*KILOSORT, params)


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(InvalidConfigurationError, match="did you mean 'batch_size'") as caught:
        check_params(*KILOSORT, {"batchsize": 30000})
    assert caught.value.evidence["nearest"] == "batch_size"


@pytest.mark.parametrize(
    ("sorter", "params"),
    [
        ("lupin", {"detect_threshold": -5}),
        ("lupin", {"n_peaks_per_channel": 2.5}),
        ("lupin", {"peak_sign": 1}),
        ("tridesclous2", {"freq_min": "150 Hz"}),
        ("mountainsort5", {"npca_per_channel": 0}),
        ("spykingcircus2", {"general": {"radius_um": -1}}),
        ("spykingcircus2", {"general": 7}),
        ("spykingcircus2", {"filtering": {"freq_min": "low"}}),
    ],
)
def test_the_other_sorters_keep_type_and_sign_of_their_defaults(sorter, params):
    with pytest.raises(InvalidConfigurationError, match=next(iter(params))):
        check_params(sorter, sorter, params)


def test_a_threshold_given_as_a_fraction_is_no_error():
    check_params("lupin", "Lupin", {"detect_threshold": 5.5, "freq_min": 200})
    check_params("mountainsort5", "MountainSort 5", {"freq_min": 250.5, "detect_sign": 0})


@pytest.mark.parametrize("sorter", BACKENDS)
def test_the_defaults_of_every_sorter_pass_its_own_table(sorter):
    table = read_table(sorter)
    assert table
    check_params(sorter, sorter, {name: row.default for name, row in table.items()})


def test_a_sorter_without_a_table_is_left_to_itself():
    check_params("no_such_sorter", "None", {"anything": 1})
