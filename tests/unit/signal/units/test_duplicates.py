"""Units that are one neuron, and how they join."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.support.sorted_units import RATE_HZ, make_data, trough

from spikefleet.signal.preparing.timeline import FileSpan, Timeline
from spikefleet.signal.units.duplicates import find_duplicates, merged_id, similar_pairs
from spikefleet.signal.units.unit_data import UnitData

SAMPLES = 60


def wave(at: int, depth_uv: float = 50.0, channel: int = 0) -> np.ndarray:
    """A template of 60 samples and two channels with a trough of five samples at ``at``."""
    template = np.zeros((SAMPLES, 2))
    template[at - 2 : at + 3, channel] = -depth_uv * np.array([0.3, 0.8, 1.0, 0.6, 0.2])
    return template


def units_of(trains: list[list[int]], templates: list[np.ndarray], **changes: object) -> UnitData:
    return make_data(trains, np.stack(templates), duration_s=100.0, **changes)


def every(step: int, start: int, count: int = 100) -> list[int]:
    return list(range(start, start + step * count, step))


def found(data: UnitData) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    return [(s.merge.unit_ids, s.merge.shifts) for s in find_duplicates(data, 1.5)]


SPLIT = [every(200, 1000, 90), every(200, 1100, 80)]
ALIKE = [wave(30), wave(30)]


@pytest.mark.parametrize(
    ("trains", "templates", "changes", "expected"),
    [
        (SPLIT, ALIKE, {}, [(("u0", "u1"), (0, 0))]),
        (SPLIT[::-1], ALIKE, {}, [(("u1", "u0"), (0, 0))]),  # most spikes first
        ([SPLIT[0], SPLIT[0]], ALIKE, {}, [(("u0", "u1"), (0, 0))]),  # found twice
        (SPLIT, [wave(30), wave(33)], {}, [(("u0", "u1"), (0, 3))]),  # ran into at another sample
        (SPLIT, [wave(30), wave(27)], {}, [(("u0", "u1"), (0, -3))]),
        (SPLIT, [wave(30), wave(39)], {}, [(("u0", "u1"), (0, 9))]),
        (SPLIT, [wave(30), wave(40)], {}, []),  # at the longest lag: no lag
        (SPLIT, [wave(30), wave(30, channel=1)], {}, []),  # not alike
        (SPLIT, ALIKE, {"unit_locations_um": np.array([[0.0, 0.0], [0.0, 200.0]])}, 1),
        (SPLIT, ALIKE, {"unit_locations_um": np.array([[0.0, 0.0], [0.0, 200.1]])}, []),
        ([SPLIT[0], every(200, 1010, 80)], ALIKE, {}, []),  # together they violate
        ([every(10, 1000), SPLIT[1]], ALIKE, {}, []),  # one violates by itself
        ([SPLIT[0], []], ALIKE, {}, []),
        ([SPLIT[0]], ALIKE[:1], {}, []),
        ([], [], {}, []),
    ],
)
def test_units_are_joined_where_all_speaks_for_it(trains, templates, changes, expected):
    if not trains:
        data = make_data([], np.zeros((0, SAMPLES, 2)))
    else:
        data = units_of(trains, templates, **changes)
    joined = found(data)
    assert (len(joined) if isinstance(expected, int) else joined) == expected


def test_a_neuron_in_three_units_ends_in_one_and_moves_as_a_whole():
    trains = [every(300, 1000, 90), every(300, 1100, 80), every(300, 1200, 70)]
    data = units_of(trains, [wave(30), wave(33), wave(36)])
    (suggestion,) = find_duplicates(data, 1.5)
    assert suggestion.merge.unit_ids == ("u0", "u1", "u2")
    assert suggestion.merge.shifts == (0, 3, 6)
    assert suggestion.merge.new_id == "u0+u1+u2"
    assert (suggestion.violations_before, suggestion.violations_after) == (0.0, 0.0)
    assert suggestion.n_dropped == 0
    assert 0.99 < suggestion.similarity <= 1.001
    json.dumps(suggestion.to_json())


def test_of_three_alike_only_those_join_that_are_one_neuron():
    trains = [every(300, 1000, 90), every(300, 1100, 80), every(300, 1010, 70)]
    data = units_of(trains, [wave(30), wave(30), wave(30, 40.0)])
    ((units, _),) = found(data)
    assert set(units) in ({"u0", "u1"}, {"u1", "u2"})


def test_what_was_found_twice_is_dropped_and_counted():
    data = units_of([SPLIT[0], [s + 4 for s in SPLIT[0]]], ALIKE)
    (suggestion,) = find_duplicates(data, 1.5)
    assert suggestion.merge.drop_within == 4  # 0.4 ms at 10 kHz
    assert suggestion.n_dropped == 90


def test_intervals_across_a_cut_are_no_violations():
    trains = [every(200, 1000, 90), [*every(200, 1100, 40), *every(200, 9100 + 5, 40)]]
    cut = Timeline(RATE_HZ, (FileSpan("a", 2_000_000),), ((0, 9102), (20_000, 1_010_898)))
    assert find_duplicates(units_of(trains, ALIKE), 1.5)
    data = units_of([[9000], [9001]], ALIKE)
    data = replace(data, timeline=cut)
    assert [s.violations_after for s in find_duplicates(data, 1.5)] == [0.0]


def test_pairs_come_by_falling_similarity():
    data = units_of([[1], [2], [3]], [wave(30), wave(30) + wave(40) * 0.4, wave(30)])
    pairs = similar_pairs(data, np.ones(3, dtype=bool))
    assert [(p.first, p.second) for p in pairs] == [(0, 2), (0, 1), (1, 2)]
    assert similar_pairs(data, np.array([True, False, False])) == []
    assert (
        similar_pairs(make_data([[1], [2]], np.stack([trough(0, 0.0)] * 2)), np.ones(2, bool)) == []
    )


def test_a_made_name_is_nobodys():
    assert merged_id(("1", "2"), ("1", "2", "1+2")) == "1+2'"
    assert merged_id(tuple(str(i) * 9 for i in range(1, 9)), ()) == "111111111+7more"
