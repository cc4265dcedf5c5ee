"""What units and channels may be called."""

import numpy as np
import pytest

from spikefleet.signal.units.unit_names import channel_names, unit_names


def test_names_are_texts_in_order() -> None:
    assert unit_names([3, np.int64(1), "a/b", np.str_("µ"), 2.0]) == ("3", "1", "a/b", "µ", "2.0")


@pytest.mark.parametrize(
    "names", [[1, "1"], ["a", "a"], ["\ud800"], ["a\nb"], ["a\0"], [None], [True], [["a"]], [{}]]
)
def test_units_that_nothing_could_tell_apart_or_write_down_are_refused(names: list[object]) -> None:
    with pytest.raises(ValueError, match=r"name|called"):
        unit_names(names)


def test_a_name_that_no_table_could_show_is_refused_with_its_length() -> None:
    assert unit_names(["u" * 200])
    with pytest.raises(ValueError, match="has 10000 characters; 200 are the most"):
        unit_names(["1", "u" * 10_000])


def test_channels_may_be_called_what_a_header_holds_but_no_half_characters() -> None:
    assert channel_names(["A\x07", "A\x07"]) == ("A\x07", "A\x07")
    with pytest.raises(ValueError, match="name of a channel"):
        channel_names(["\ud800"])
