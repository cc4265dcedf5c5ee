"""Figures: deterministic SVG that follows the page's colours."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.support.sorted_units import make_data, trough

from spikefleet.reporter.figures import draw_all
from spikefleet.signal.preparing.timeline import FileSpan, Timeline
from spikefleet.signal.units.quality import measure_units

CURATION = {
    "parameters": {"isi_violation_method": "percent"},
    "steps": [
        {"name": "snr_min", "metric": "snr", "bound": 5.0, "at_least": True}
        | {"n_failed": 1, "n_left": 2}
    ],
}


def draw(**changes):
    templates = np.stack([trough(0, 60.0), trough(1, 30.0), trough(1, 10.0)])
    data = make_data([[100, 9_000], [200, 40_000], [300]], templates, **changes)
    units = [
        u.to_json() | {"passed": u.unit_id != "u2", "failed_on": ""} for u in measure_units(data)
    ]
    return draw_all(data, units, CURATION, [])


def test_figures_come_with_a_text_for_those_who_cannot_see_them():
    drawings = draw()
    assert [d.name for d in drawings] == [
        "raster", "probe", "metrics", "templates", "curation", "scatter", "noise",
    ]  # fmt: skip
    assert all(len(d.alt) > 20 for d in drawings)


def test_waveforms_say_over_which_time_they_go():
    templates = next(d for d in draw() if d.name == "templates")
    assert re.search(r"each over [\d.]+ ms", templates.alt)
    assert re.search(r">[\d.]+ ms</text>", templates.svg)


def test_a_square_array_gets_a_square_map_and_a_long_probe_a_high_one():
    def height_per_width(locations_um):
        probe = next(d for d in draw(channel_locations_um=locations_um) if d.name == "probe")
        _, _, width, height = re.search(r'viewBox="([^"]+)"', probe.svg)[1].split()
        return float(height) / float(width)

    square, long = np.array([[0.0, 0.0], [60.0, 60.0]]), np.array([[0.0, 0.0], [20.0, 900.0]])
    assert height_per_width(square) < 0.95
    assert height_per_width(long) > 1.1


def test_raster_and_map_name_their_units():
    raster, probe = draw()[:2]
    for drawing in (raster, probe):
        names = re.findall(r">(u\d)</text>", drawing.svg)
        assert sorted(names) == ["u0", "u1", "u2"]


def test_where_the_next_recording_begins_is_marked():
    files = (FileSpan("a", 60_000), FileSpan("b", 40_000))
    joined = draw(timeline=Timeline(10_000.0, files, ((0, 100_000),)))[0]
    assert "Dashed: where the next recording begins." in joined.alt
    assert joined.svg.count("stroke-dasharray") == draw()[0].svg.count("stroke-dasharray") + 2


def test_histograms_say_what_their_dashed_lines_are():
    assert "Dashed lines are the curation thresholds" in draw()[2].alt


def test_same_units_give_the_same_bytes():
    assert [d.svg for d in draw()] == [d.svg for d in draw()]


def test_every_figure_is_well_formed():
    drawings = draw()
    assert drawings
    for drawing in drawings:
        assert ElementTree.fromstring(drawing.svg).tag.endswith("svg")


def test_colours_are_variables_of_the_page():
    svg = "".join(d.svg for d in draw())
    assert "var(--accent)" in svg
    assert "#010101" not in svg


def test_ids_are_unique_over_all_figures():
    ids = [i for d in draw() for i in re.findall(r'\bid="([^"]+)"', d.svg)]
    assert len(ids) == len(set(ids))


def test_no_figure_asks_for_anything_outside():
    links = re.findall(r'href="([^"]{0,30})', "".join(drawing.svg for drawing in draw()))
    assert links
    assert [link for link in links if not link.startswith(("#", "data:"))] == []


def test_no_units_draw_nothing():
    assert draw_all(make_data([], np.zeros((0, 4, 2))), [], {}, []) == []


@pytest.mark.parametrize("field", ["noise_uv", "unit_locations_um", "template_stds_uv"])
def test_unmeasured_values_do_not_stop_the_figures(field):
    shapes = {"noise_uv": (2,), "unit_locations_um": (3, 2), "template_stds_uv": (3, 4, 2)}
    assert len(draw(**{field: np.full(shapes[field], np.nan)})) == 6 + (
        field == "unit_locations_um"
    )


def test_a_figure_that_cannot_be_drawn_fails_no_other_and_says_why():
    data = make_data([[100, 9_000]], np.stack([trough(0, 60.0)]))
    units = [u.to_json() | {"passed": True, "failed_on": ""} for u in measure_units(data)]
    units[0]["channel_index"] = 99
    notes = []
    drawn = [drawing.name for drawing in draw_all(data, units, CURATION, notes)]
    assert drawn == ["raster", "probe", "metrics", "curation", "scatter", "noise"]
    assert [note.partition(" (")[0] for note in notes] == ['Not drawn: the figure "Waveforms"']
