"""Compiled results, opened by the readers of numpy and MATLAB files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from spikefleet.signal.exports.compiled import write_mat, write_npz
from spikefleet.signal.exports.source import ExportSource


@pytest.fixture(scope="module")
def stored(source: ExportSource, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    path = tmp_path_factory.mktemp("npz") / "sorted.npz"
    write_npz(source, path)
    with np.load(path, allow_pickle=False) as found:
        return dict(found)


@pytest.fixture(scope="module")
def cells(source: ExportSource, tmp_path_factory: pytest.TempPathFactory) -> list[np.void]:
    path = tmp_path_factory.mktemp("mat") / "sorted.mat"
    write_mat(source, path)
    return [cell[0, 0] for cell in loadmat(path)["units"][0]]


def test_a_train_of_the_table_is_the_units(
    source: ExportSource, stored: dict[str, np.ndarray]
) -> None:
    assert len(stored["units"]) == len(source.units) > 0
    for unit, row in zip(source.units, stored["units"], strict=True):
        train = stored["spike_train"][row["spike_start"] : row["spike_stop"]]
        assert np.array_equal(train, unit.frames)
        assert row["unit_id"] == unit.quality.unit_id


def test_template_and_amplitudes_are_in_microvolts(
    source: ExportSource, stored: dict[str, np.ndarray]
) -> None:
    for unit, row, template, heights in zip(
        source.units, stored["units"], stored["template"], stored["amplitudes"], strict=True
    ):
        assert np.allclose(template, source.data.templates_uv[unit.index])
        assert heights[row["max_channel_si"]] == pytest.approx(unit.quality.amplitude_uv)
        assert abs(template[row["peak_ind"], row["max_channel_si"]]) == pytest.approx(heights.max())


def test_the_spread_on_the_largest_channel_is_the_metric(
    source: ExportSource, stored: dict[str, np.ndarray]
) -> None:
    for unit, row, spread in zip(source.units, stored["units"], stored["std_norms"], strict=True):
        assert spread[row["max_channel_si"]] == pytest.approx(unit.quality.std_norm)


def test_places_and_rate_stand_beside_the_units(
    source: ExportSource, stored: dict[str, np.ndarray]
) -> None:
    assert float(stored["fs"]) == 20_000.0
    assert np.array_equal(stored["locations"], source.data.channel_locations_um)
    row = stored["units"][0]
    assert [row["x_max"], row["y_max"]] == stored["locations"][row["max_channel_si"]].tolist()
    assert set(stored["units"]["peak_sign"]) == {"neg"}


def test_matlab_gets_a_struct_for_each_unit(source: ExportSource, cells: list[np.void]) -> None:
    assert len(cells) == len(source.units)
    for unit, cell in zip(source.units, cells, strict=True):
        assert np.array_equal(cell["spike_train"].ravel(), unit.frames)
        assert cell["unit_id"].item() == unit.quality.unit_id
        assert np.allclose(cell["template"], source.data.templates_uv[unit.index])


def test_rejected_units_are_marked(everything: ExportSource, tmp_path: Path) -> None:
    write_npz(everything, tmp_path / "a.npz")
    write_mat(everything, tmp_path / "a.mat")
    told = {(unit.fetched.passed, unit.fetched.failed_on) for unit in everything.units}
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        table = found["units"]
        assert {(bool(row["passed"]), str(row["failed_on"])) for row in table} == told
    cells = [cell[0, 0] for cell in loadmat(tmp_path / "a.mat")["units"][0]]
    assert {bool(cell["passed"].item()) for cell in cells} == {True, False}


def test_no_units_make_a_readable_file_of_each_kind(nothing: ExportSource, tmp_path: Path) -> None:
    write_npz(nothing, tmp_path / "a.npz")
    write_mat(nothing, tmp_path / "a.mat")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert (len(found["units"]), len(found["spike_train"])) == (0, 0)
        assert found["template"].shape[0] == 0
    assert loadmat(tmp_path / "a.mat")["units"].size == 0


def test_a_long_name_keeps_whole(source: ExportSource, tmp_path: Path) -> None:
    first, *others = source.units
    name = "u" * 70
    named = replace(first, quality=replace(first.quality, unit_id=name, channel_id=name))
    write_npz(replace(source, units=(named, *others)), tmp_path / "sorted.npz")
    with np.load(tmp_path / "sorted.npz", allow_pickle=False) as found:
        row = found["units"][0]
    assert [row[key] for key in ("unit_id", "electrode", "max_channel_id")] == [name] * 3
