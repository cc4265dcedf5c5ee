"""The page's table of units."""

import numpy as np
import pytest

from spikefleet.reporter.unit_rows import contamination_text, table_columns, unit_rows


def unit(name: str, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "unit_id": name,
        "passed": True,
        "failed_on": "",
        "amplitude_uv": 50.0,
        "contamination": 0.021,
        "contamination_low": 0.0,
        "contamination_high": 0.094,
        "similar_unit": "7",
        "similarity": 0.913,
        "possible_duplicate": True,
    }
    return row | changes


def cells(row: dict[str, object]) -> dict[str, tuple[str, str]]:
    (found,) = unit_rows([row], {}, {"7"})
    return {column.name: (text, key) for column, text, key in found["cells"]}


def test_every_column_says_what_it_means() -> None:
    columns = table_columns([unit("1", amplitude_cutoff=0.1)])
    assert all(column.meaning.endswith(".") for column in columns)
    assert {column.name: column.is_more for column in columns}["amplitude_cutoff"]


def test_a_meaning_stands_alone_and_spells_names_as_they_are() -> None:
    columns = table_columns([unit("1", isi_hill=0.0, y_um=3.0)])
    told = {column.name: column.meaning for column in columns}
    assert told["snr"].startswith("amplitude_uv over")
    assert not told["y_um"].startswith("The same")


def test_what_no_unit_has_gets_no_column() -> None:
    assert "amplitude_cutoff" not in {column.name for column in table_columns([unit("1")])}


def test_contamination_comes_with_its_interval_and_sorts_by_its_value() -> None:
    assert cells(unit("1"))["contamination"] == ("2.1 % (0 to 9.4 %)", "0.021")


def test_the_most_alike_unit_comes_with_its_cosine() -> None:
    assert cells(unit("1"))["similar_unit"] == ("7 (0.91)", "0.913")


@pytest.mark.parametrize("lacking", ["contamination", "contamination_high"])
def test_what_was_not_measured_is_not_made_up(lacking: str) -> None:
    row = unit("1", **{lacking: None})
    assert contamination_text(row) == ""
    assert cells(row)["contamination"][1] == ""


def test_a_record_of_before_such_measures_is_shown_without_them() -> None:
    old = {"unit_id": "1", "passed": True, "failed_on": "", "amplitude_uv": 5.0}
    (row,) = unit_rows([old], {}, set())
    assert (row["duplicate"], row["anchor"]) == (False, "")


def test_only_a_unit_that_the_page_shows_is_linked() -> None:
    rows = unit_rows([unit("7"), unit("8", amplitude_uv=10.0)], {}, {"7"})
    assert [row["anchor"] for row in rows] == ["7", ""]


def test_curated_units_come_first_by_falling_amplitude() -> None:
    units = [unit("1", passed=False, amplitude_uv=90.0), unit("2"), unit("3", amplitude_uv=70.0)]
    rows = unit_rows(units, {"3": np.array([0.0, -1.0, 0.5])}, {"1", "2", "3"})
    assert [row["anchor"] for row in rows] == ["3", "2", "1"]
    assert rows[0]["spark"].count(",") == 3
    assert rows[1]["spark"] == ""


def test_a_label_has_a_column_where_units_have_one_and_says_why() -> None:
    assert "label" not in {column.name for column in table_columns([unit("1")])}
    labelled = unit("1", label="mua", label_why="contamination 0.3 above 0.2")
    assert cells(labelled)["label"] == ("mua", "mua")
    (row,) = unit_rows([labelled], {}, set())
    assert row["label_why"] == "contamination 0.3 above 0.2"
