"""Curated units as files that other tools open."""

import csv

import numpy as np
from tests.support.sorted_units import make_data, trough

from spikefleet.core.units.curate import CurationThresholds, curate_units
from spikefleet.core.units.export import UNIT_COLUMNS, format_units_csv, write_curated_npz
from spikefleet.core.units.quality import measure_units

ANYTHING = CurationThresholds(curate_first=False, curate_second=False)


def make_three_units():
    positive = np.zeros((4, 2))
    positive[1, 0] = 90.0
    templates = np.stack([trough(0, 20.0), positive, trough(1, 50.0)])
    return make_data([[100, 900], [200], [300, 400, 500]], templates)


def test_curated_units_read_back_without_pickle(tmp_path):
    data = make_three_units()
    units = measure_units(data)
    write_curated_npz(tmp_path / "curated.npz", data, units, ["u0", "u2"])
    with np.load(tmp_path / "curated.npz", allow_pickle=False) as stored:
        table, trains = stored["units"], stored["spike_trains"]
        assert [trains[row["spikes_start"] : row["spikes_stop"]].tolist() for row in table] == [
            [300, 400, 500],
            [100, 900],
        ]
        assert stored["templates"].shape == (2, 4)
        assert stored["templates"][0].min() == -50.0
        assert float(stored["fs"]) == 10_000.0
        assert stored["locations"].tolist() == [[0.0, 0.0], [0.0, 20.0]]


def test_negative_units_come_first_then_by_falling_amplitude(tmp_path):
    data = make_three_units()
    write_curated_npz(tmp_path / "c.npz", data, measure_units(data), ["u0", "u1", "u2"])
    with np.load(tmp_path / "c.npz") as stored:
        assert stored["units"]["unit_id"].tolist() == ["u2", "u0", "u1"]
        assert stored["units"]["y_max"].tolist() == [20.0, 0.0, 0.0]


def test_no_curated_units_still_make_a_readable_file(tmp_path):
    data = make_three_units()
    write_curated_npz(tmp_path / "c.npz", data, measure_units(data), [])
    with np.load(tmp_path / "c.npz") as stored:
        assert len(stored["units"]) == 0
        assert stored["spike_trains"].size == 0


def test_same_units_give_the_same_bytes(tmp_path):
    data = make_three_units()
    for name in ("a.npz", "b.npz"):
        write_curated_npz(tmp_path / name, data, measure_units(data), ["u0"])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_csv_lists_every_unit_and_what_rejected_it():
    units = measure_units(make_three_units())
    history = curate_units(units, CurationThresholds())
    rows = list(csv.DictReader(format_units_csv(units, history.failed_on()).splitlines()))
    assert tuple(rows[0]) == UNIT_COLUMNS
    assert {row["failed_on"] for row in rows} == {"spikes_min_first"}
    assert [row["passed"] for row in rows] == ["False"] * 3
    accepted = curate_units(units, ANYTHING)
    kept = list(csv.DictReader(format_units_csv(units, accepted.failed_on()).splitlines()))
    assert [row["passed"] for row in kept] == ["True"] * 3
