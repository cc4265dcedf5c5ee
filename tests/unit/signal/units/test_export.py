"""Curated units as files that other tools open."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sorted_units import make_data, trough

from spikefleet.core.config.units import CurationConfig
from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.preparing.timeline import FileSpan, Timeline
from spikefleet.signal.units.curate import curate_units
from spikefleet.signal.units.export import (
    UNIT_COLUMNS,
    format_units_csv,
    write_curated_npz,
    write_files,
)
from spikefleet.signal.units.quality import measure_units

ANYTHING = CurationConfig(curate_first=False, curate_second=False)


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
    history = curate_units(units, CurationConfig())
    told = [unit.to_json() for unit in units]
    rows = list(csv.DictReader(format_units_csv(told, history.failed_on()).splitlines()))
    assert tuple(rows[0]) == UNIT_COLUMNS
    assert {row["failed_on"] for row in rows} == {"spikes_min_first"}
    assert [row["passed"] for row in rows] == ["False"] * 3
    accepted = curate_units(units, ANYTHING)
    kept = list(csv.DictReader(format_units_csv(told, accepted.failed_on()).splitlines()))
    assert [row["passed"] for row in kept] == ["True"] * 3


def test_a_spreadsheet_finds_no_formula_in_the_tables():
    told = [unit.to_json() for unit in measure_units(make_three_units())]
    names = ("=cmd()", "-1", "@SUM(A1)")
    rows = [unit | {"unit_id": name} for unit, name in zip(told, names, strict=True)]
    found = list(csv.DictReader(format_units_csv(rows, {"=cmd()": "snr_min"}).splitlines()))
    assert [row["unit_id"] for row in found] == ["'=cmd()", "-1", "'@SUM(A1)"]
    assert found[0]["failed_on"] == "snr_min"


def trains_in(path):
    with np.load(path) as stored:
        spikes = stored["spike_trains"]
        return {
            str(row["unit_id"]): spikes[row["spikes_start"] : row["spikes_stop"]].tolist()
            for row in stored["units"]
        }


def joined_units(trains, files, kept):
    timeline = Timeline(10_000.0, tuple(FileSpan(*file) for file in files), kept)
    templates = np.stack([trough(0, 50.0 - index) for index in range(len(trains))])
    duration_s = timeline.n_samples / 10_000.0
    return make_data(trains, templates, timeline=timeline, duration_s=duration_s)


def test_a_window_comes_back_on_the_original_timeline(tmp_path):
    data = joined_units([[0, 9, 10, 29]], [("", 1000)], ((100, 110), (500, 520)))
    write_curated_npz(tmp_path / "c.npz", data, measure_units(data), ["u0"])
    assert trains_in(tmp_path / "c.npz") == {"u0": [100, 109, 500, 519]}
    with np.load(tmp_path / "c.npz") as stored:
        assert stored["sorted_spike_trains"].tolist() == [0, 9, 10, 29]
    assert write_files(tmp_path / "exports", data, measure_units(data), {}) == ()


def test_each_file_gets_its_own_spikes_length_and_rates(tmp_path):
    files = [("a", 20_000), ("b", 10_000), ("c", 5_000)]
    trains = [[0, 19_999, 20_000, 34_999], [25_000]]
    data = joined_units(trains, files, ((0, 35_000),))
    units = measure_units(data)
    assert write_files(tmp_path, data, units, {"u1": "snr_min"}) == ("a", "b", "c")
    assert [trains_in(tmp_path / name / "curated.npz") for name in "abc"] == [
        {"u0": [0, 19_999]},
        {"u0": [0]},
        {"u0": [4_999]},
    ]
    tables = [list(csv.DictReader((tmp_path / name / "units.csv").open())) for name in "abc"]
    assert [[row["spike_count"] for row in table] for table in tables] == [
        ["2", "0"],
        ["1", "1"],
        ["1", "0"],
    ]
    assert [table[0]["firing_rate_hz"] for table in tables] == ["1", "1", "2"]
    assert tables[1][1]["failed_on"] == "snr_min"


def test_a_file_that_ends_in_silence_or_was_not_sorted_keeps_its_length(tmp_path):
    files = [("a", 20_000), ("b", 10_000), ("c", 5_000)]
    data = joined_units([[5]], files, ((100, 12_000),))
    write_files(tmp_path, data, measure_units(data), {})
    lengths = {}
    for name in "abc":
        with np.load(tmp_path / name / "curated.npz") as stored:
            lengths[name] = (int(stored["n_samples"]), int(stored["n_kept"]))
    assert lengths == {"a": (20_000, 11_900), "b": (10_000, 0), "c": (5_000, 0)}
    (row,) = csv.DictReader((tmp_path / "c" / "units.csv").open())
    assert (row["spike_count"], row["firing_rate_hz"]) == ("0", "")


@given(
    st.lists(st.integers(1, 200), min_size=2, max_size=4),
    st.lists(st.integers(0, 10**6), max_size=30),
)
def test_a_spike_placed_in_a_file_comes_back_there(tmp_path_factory, lengths, drawn):
    folder = tmp_path_factory.mktemp("exports")
    total = sum(lengths)
    spikes = sorted(sample % total for sample in drawn)
    files = [(f"f{index}", length) for index, length in enumerate(lengths)]
    data = joined_units([spikes], files, ((0, total),))
    names = write_files(folder, data, measure_units(data), {})
    starts = np.cumsum([0, *lengths[:-1]])
    again = [
        frame + start
        for name, start in zip(names, starts, strict=True)
        for frame in trains_in(folder / name / "curated.npz")["u0"]
    ]
    assert again == spikes


def test_the_timeline_of_another_sort_is_refused(tmp_path):
    data = joined_units([[50]], [("a", 10), ("b", 10)], ((0, 20),))
    with pytest.raises(InputCorruptError, match="timeline"):
        write_files(tmp_path, data, measure_units(data), {})
    with pytest.raises(InputCorruptError, match="timeline"):
        write_curated_npz(tmp_path / "c.npz", data, measure_units(data), ["u0"])
