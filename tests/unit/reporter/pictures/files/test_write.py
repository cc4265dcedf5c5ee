"""The summary figures as files: what the settings ask for is what is written."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from tests.support.summary_units import STEPS, make_units

from spikefleet.core.config.products import FiguresConfig
from spikefleet.reporter.pictures.files.write import MOST_BYTES, write_figures


def make_record(units: list[dict[str, Any]]) -> dict[str, Any]:
    return {"units": units, "curation": {"steps": STEPS}, "rec_name": "slice $4"}


def size_of(picture: Path) -> tuple[int, int]:
    return struct.unpack(">II", picture.read_bytes()[16:24])  # type: ignore[return-value]


def test_the_same_settings_write_the_same_bytes_in_the_resolution_asked_for(tmp_path: Path) -> None:
    data, units = make_units()
    notes: list[str] = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        settings = FiguresConfig(dpi=50)
        written = write_figures(tmp_path / name, data, make_record(units), settings, notes)
    assert notes == []
    assert [Path(name).name for name in written] == [
        "curation_bar_plot.png",
        "std_scatter_plot.png",
        "all_templates_plot.png",
    ]
    for name in written:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert size_of(tmp_path / "a" / written[0]) == (320, 240)


def test_a_picture_that_would_be_too_large_is_made_smaller_and_told(tmp_path: Path) -> None:
    data, units = make_units()
    notes: list[str] = []
    written = write_figures(tmp_path, data, make_record(units), FiguresConfig(dpi=5000), notes)
    assert all((tmp_path / name).stat().st_size <= MOST_BYTES for name in written)
    assert notes[0].startswith("curation_bar_plot.png has ")
    assert "at 5000 it would be too large" in notes[0]


def test_a_figure_without_data_is_told_and_fails_no_other(tmp_path: Path) -> None:
    data, units = make_units()
    bare = [unit | {"std_norm": None} for unit in units]
    notes: list[str] = []
    written = write_figures(tmp_path, data, make_record(bare), FiguresConfig(), notes)
    assert len(written) == 2
    assert notes == [
        'Not drawn: the figure "std_scatter_plot.png" (no unit has a spread of its waveforms).'
    ]


def test_letters_are_as_large_as_asked_for(tmp_path: Path) -> None:
    data, units = make_units()
    pictures = []
    for size in (8, 20):
        folder = tmp_path / str(size)
        folder.mkdir()
        name, *_ = write_figures(
            folder, data, make_record(units), FiguresConfig(font_size=size), []
        )
        pictures.append((folder / name).read_bytes())
    assert pictures[0] != pictures[1]
