"""Every unit by itself on the page."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
from tests.support.sorted_units import make_data, trough

from spikefleet.reporter.unit_cards import FOOTPRINT_HEIGHT, FOOTPRINT_WIDTH, HEIGHT, draw_units
from spikefleet.signal.units.quality import measure_units
from spikefleet.signal.units.relations import measure_relations
from spikefleet.signal.units.unit_data import UnitData


def rows_of(data: UnitData, rejected: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    return [
        quality.to_json()
        | relation.to_json()
        | {
            "passed": quality.unit_id not in rejected,
            "failed_on": "snr_min" if quality.unit_id in rejected else "",
        }
        for quality, relation in zip(measure_units(data), measure_relations(data), strict=True)
    ]


def split_neuron() -> UnitData:
    """One regular neuron whose spikes are dealt out to two units, and another beside it."""
    whole = np.arange(1000, 90_000, 150)
    trains = [whole[::2].tolist(), whole[1::2].tolist(), (whole + 40).tolist()]
    data = make_data(trains, np.stack([trough(0, 80.0), trough(0, 79.0), trough(1, 50.0)]))
    amplitudes = np.where(data.spike_units == 2, -50.0, -80.0)
    return replace(data, spike_amplitudes_uv=amplitudes)


def test_a_split_neuron_is_told_on_both_cards_with_the_other() -> None:
    data = split_neuron()
    rows = rows_of(data)
    for row in rows[:2]:
        row |= {"possible_duplicate": True, "refractory_dip": 0.0, "shared_spikes": 0.0}
    cards = {card.unit_id: card for card in draw_units(data, rows)}
    assert {unit: card.twin for unit, card in cards.items()} == {"u0": "u1", "u1": "u0", "u2": ""}
    told = "duplicate of unit u1: the two never spike within a refractory period of each other"
    assert told in cards["u0"].warning
    assert cards["u2"].warning == ""
    assert cards["u0"].cross is not None
    assert cards["u2"].cross is None


def test_spikes_found_twice_are_told_as_shared() -> None:
    data = split_neuron()
    rows = rows_of(data)
    rows[0] |= {"possible_duplicate": True, "shared_spikes": 0.76}
    (card,) = [card for card in draw_units(data, rows) if card.unit_id == "u0"]
    assert "76 % of the spikes of the smaller are spikes of the other" in card.warning


def test_the_autocorrelogram_is_empty_where_a_neuron_never_fires() -> None:
    data = make_data([list(range(1000, 90_000, 100))], trough(0, 80.0)[np.newaxis])
    (card,) = draw_units(data, rows_of(data))
    assert card.autocorrelogram is not None
    left = {float(x) for x in re.findall(r"M([\d.]+),", card.autocorrelogram.path)}
    assert left == {0, 20, 40, 60, 80, 120, 140, 160, 180}  # bins 10 ms apart, none within 10
    assert "0 within 2 ms" in card.autocorrelogram.alt


def test_curated_units_come_first() -> None:
    data = split_neuron()
    cards = draw_units(data, rows_of(data, rejected=("u0",)))
    assert [card.unit_id for card in cards] == ["u1", "u2", "u0"]
    assert [card.failed_on for card in cards] == ["", "", "snr_min"]


def test_amplitudes_lie_on_the_recordings_time() -> None:
    data = split_neuron()
    card = draw_units(data, rows_of(data))[0]
    assert card.amplitudes is not None
    points = re.findall(r"M(\d+),(\d+)h", card.amplitudes.path)
    assert len(points) == 297
    assert [int(points[0][0]), int(points[-1][0])] == [2, 180]
    assert (card.amplitudes.high, card.amplitudes.top) == ("10 s", "80 µV")


def test_drawings_stay_in_their_boxes() -> None:
    data = split_neuron()
    for card in draw_units(data, rows_of(data)):
        for line in card.footprint:
            for x, y in (point.split(",") for point in line.split()):
                assert 0 <= float(x) <= FOOTPRINT_WIDTH
                assert 0 <= float(y) <= FOOTPRINT_HEIGHT
        assert card.amplitudes is not None
        assert all(0 <= float(y) <= HEIGHT for y in re.findall(r",(\d+)h", card.amplitudes.path))


def test_a_unit_of_one_spike_without_amplitudes_or_templates_is_a_card_of_facts() -> None:
    data = make_data([[500]], np.zeros((1, 0, 2)))
    (card,) = draw_units(data, rows_of(data))
    assert (card.autocorrelogram, card.amplitudes, card.footprint) == (None, None, ())
    assert card.facts[0] == "1 spike"


def test_no_units_are_no_cards() -> None:
    assert draw_units(make_data([], np.zeros((0, 4, 2))), []) == []


def test_a_channel_without_numbers_has_no_line() -> None:
    template = trough(0, 80.0)
    template[:, 1] = np.nan
    data = make_data([[100, 9_000]], template[np.newaxis])
    rows = [{"unit_id": "u0", "passed": True, "failed_on": "", "channel_index": 0}]
    (card,) = draw_units(data, rows)
    assert len(card.footprint) == data.templates_uv.shape[2] - 1
    assert not any("nan" in points for points in card.footprint)
