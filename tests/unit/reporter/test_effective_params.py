"""Who chose each parameter that a sorter ran with."""

from spikefleet.core.sorters.parameters import read_table
from spikefleet.reporter.effective_params import effective_params


def test_every_parameter_says_who_chose_it_and_defaults_come_last() -> None:
    table = read_table("kilosort4")
    assert table is not None
    ran_with = {
        "Th_universal": table["Th_universal"].default,
        "Th_learned": 7,
        "batch_size": 30000,
        "nblocks": 0,
    }
    rows = effective_params(
        "kilosort4", ran_with, {"Th_learned": 7, "batch_size": 60000}, {"batch_size": 30000}
    )
    assert [(row["name"], row["value"], row["chosen_by"]) for row in rows] == [
        ("Th_learned", 7, "submission"),
        ("batch_size", 30000, "retry"),
        ("nblocks", 0, "spikefleet"),
        ("Th_universal", table["Th_universal"].default, "sorter's default"),
    ]


def test_a_sort_that_says_nothing_has_no_rows() -> None:
    assert effective_params("kilosort4", {}, {"Th_learned": 7}, {}) == []
