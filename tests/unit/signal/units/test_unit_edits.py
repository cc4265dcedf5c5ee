"""Merges and splits as data, and the trains that follow."""

import numpy as np
import pytest

from spikefleet.signal.units.unit_edits import Merge, Split, UnitEdits, merge_trains


def at(*samples):
    return np.array(samples, dtype=np.int64)


@pytest.mark.parametrize(
    ("trains", "shifts", "within", "samples", "sources"),
    [
        ([at(10, 50), at(30)], (0, 0), 0, [10, 30, 50], [0, 1, 0]),
        ([at(10), at(10)], (0, 0), 0, [10, 10], [0, 1]),
        ([at(10), at(10)], (0, 0), 8, [10], [0]),  # the unit named first is kept
        ([at(10), at(18)], (0, 0), 8, [10], [0]),  # exactly as far apart
        ([at(10), at(19)], (0, 0), 8, [10, 19], [0, 1]),
        ([at(10, 15), at(90)], (0, 0), 8, [10, 15, 90], [0, 0, 1]),  # of one unit: both stay
        ([at(10, 26), at(18)], (0, 0), 8, [10, 26], [0, 0]),  # the dropped one drops nothing
        ([at(10), at(14), at(20)], (0, 0, 0), 8, [10, 20], [0, 2]),
        ([at(10, 12), at(13)], (0, 0), 8, [10, 12], [0, 0]),
        ([at(20, 40), at(25, 47)], (0, -5), 0, [20, 20, 40, 42], [0, 1, 0, 1]),
        ([at(20), at(3)], (0, -5), 0, [0, 20], [1, 0]),  # never before the start
        ([at(20), at(98)], (0, 5), 0, [20, 99], [0, 1]),  # nor behind the end
        ([at(), at(5)], (0, 0), 8, [5], [1]),
        ([at(), at()], (0, 0), 8, [], []),
    ],
)
def test_trains_are_joined_and_what_was_found_twice_is_dropped(
    trains, shifts, within, samples, sources
):
    found, owners, spikes = merge_trains(trains, shifts, within, 100)
    assert (found.tolist(), owners.tolist()) == (samples, sources)
    own = [np.clip(train + shift, 0, 99) for train, shift in zip(trains, shifts, strict=True)]
    assert [own[o][s] for o, s in zip(owners, spikes, strict=True)] == samples


EDITS = UnitEdits((Merge(("a", "b"), "a+b", (0, 2), 8),), (Split("c", ("c1", "c2"), ((0, 2),)),))
TRAINS = {"a": at(10, 50), "b": at(9, 70), "c": at(1, 2, 3)}


def test_units_are_made_of_those_of_the_sort_and_say_so():
    made = EDITS.made_trains(TRAINS, 100)
    assert {name: train.samples.tolist() for name, train in made.items()} == {
        "a+b": [10, 50, 72],
        "c1": [1, 3],
        "c2": [2],
    }
    assert made["a+b"].n_dropped == 1
    assert EDITS.replaced == {
        "a": "merged into a+b",
        "b": "merged into a+b",
        "c": "split into c1, c2",
    }
    assert EDITS.made_from == {"a+b": ("a", "b"), "c1": ("c",), "c2": ("c",)}
    assert UnitEdits.from_json(EDITS.to_json()) == EDITS


def _changed(part, **changes):
    document = EDITS.to_json()
    document[part][0] |= changes
    return document


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"version": 2, "merges": [], "splits": []},
        {"version": 1, "merges": "ab", "splits": []},
        _changed("merges", unit_ids=["a"], shifts=[0]),
        _changed("merges", unit_ids=["a", "a"]),
        _changed("merges", unit_ids=["a", "c"]),
        _changed("merges", new_id="c1"),
        _changed("merges", new_id="a"),
        _changed("merges", new_id="x\x00"),
        _changed("merges", shifts=[0, 1.5]),
        _changed("merges", shifts=[0, 1 << 40]),
        _changed("merges", drop_within=-1),
        _changed("splits", new_ids=["c1"], parts=[]),
        _changed("splits", parts=[[-1]]),
        _changed("splits", parts=[[True]]),
    ],
)
def test_what_is_no_merge_or_split_is_refused(document):
    with pytest.raises(ValueError, match=r".+"):
        UnitEdits.from_json(document)


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (UnitEdits((Merge(("a", "z"), "n", (0, 0)),)), "no unit 'z'"),
        (UnitEdits((Merge(("a", "b"), "c", (0, 0)),)), "'c' is the name of more"),
        (UnitEdits((), (Split("c", ("x", "y"), ((3,),)),)), "'c' has 3 spikes"),
        (UnitEdits((), (Split("c", ("x", "y", "z"), ((0,), (0,))),)), "in two parts"),
        (UnitEdits((), (Split("c", ("x", "y"), ((0, 0),)),)), "in two parts"),
    ],
)
def test_edits_of_another_sort_are_refused(edits, said):
    with pytest.raises(ValueError, match=said):
        edits.made_trains(TRAINS, 100)
