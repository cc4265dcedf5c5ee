"""Each summary figure draws the units as the settings say."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.support.summary_units import STEPS, make_units

from spikefleet.core.config.products import FiguresConfig
from spikefleet.reporter.pictures.files.summary import (
    draw_all_templates,
    draw_bars,
    draw_scatter,
)
from spikefleet.reporter.pictures.files.units_by_recording import RecordingUnits


def test_bars_are_what_the_first_stage_and_all_stages_left_under_the_labels_given() -> None:
    _, units = make_units()
    figure = Figure()
    settings = FiguresConfig(
        bar_x_label="Slices",
        bar_y_label="Count",
        bar_total_label="all",
        bar_selected_label="kept",
        bar_label_rotation=30,
    )
    recordings = (RecordingUnits("slice $4", np.arange(3), np.array([200, 10, 90])),)
    draw_bars(figure, recordings, units, STEPS, settings)
    axes = figure.axes[0]
    assert [bar.get_height() for bar in axes.patches] == [2, 1]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Slices", "Count")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["all", "kept"]
    label = axes.get_xticklabels()[0]
    assert (label.get_text(), label.get_rotation()) == ("slice $4", 30)


def test_points_are_coloured_by_recording_in_turn_and_axes_have_the_room_asked_for() -> None:
    _, units = make_units()
    figure = Figure()
    settings = FiguresConfig(
        scatter_recording_colors=("#010203", "#0a0b0c"),
        scatter_recording_alpha=0.5,
        scatter_std_max_units_per_recording=2,
        scatter_x_label="n",
        scatter_y_label="s",
        scatter_x_max_buffer=100.0,
        scatter_y_max_buffer=0.5,
    )
    recordings = (
        RecordingUnits("a", np.array([0, 1, 2]), np.array([150, 10, 40])),
        RecordingUnits("b", np.array([0, 2]), np.array([50, 50])),
    )
    draw_scatter(figure, recordings, units, {"spike_count": 30.0, "std_norm": 1.0}, settings)
    axes = figure.axes[0]
    first, second = axes.collections
    assert len(first.get_offsets()) == 2  # of three: the most that are wanted
    assert tuple(first.get_edgecolors()[0]) == pytest.approx((1 / 255, 2 / 255, 3 / 255, 0.5))
    assert tuple(second.get_edgecolors()[0][:3]) == pytest.approx((10 / 255, 11 / 255, 12 / 255))
    assert first.get_facecolors()[1][3] == 0.0  # rejected: hollow
    assert axes.get_xlim() == (0, 250)
    assert axes.get_ylim()[1] == pytest.approx(2.0)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("n", "s")
    assert [line.get_xdata()[0] for line in axes.lines] == [30.0, 0]


def test_the_default_room_of_few_spikes_leaves_no_plot_half_empty() -> None:
    _, units = make_units()
    figure = Figure()
    recordings = (RecordingUnits("a", np.array([0, 1, 2]), np.array([100, 10, 40])),)
    draw_scatter(figure, recordings, units, {}, FiguresConfig())
    assert figure.axes[0].get_xlim() == (0, 125)


def test_templates_stand_in_columns_by_amplitude_with_colours_window_and_lines_given() -> None:
    data, units = make_units()
    units[2]["amplitude_uv"] = 90.0
    figure = Figure()
    settings = FiguresConfig(
        templates_color_curated="#111111",
        templates_color_failed="#222222",
        templates_per_column=2,
        templates_y_spacing=70.0,
        templates_y_lim_buffer=5.0,
        templates_window_ms_before=0.5,
        templates_window_ms_after=0.15,
        templates_line_ms_before=0.05,
        templates_line_ms_after=None,
        templates_x_label="ms",
    )
    draw_all_templates(figure, data, units, settings)
    first, second = figure.axes
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["u0", "u2"]
    assert [tick.get_text() for tick in second.get_yticklabels()] == ["u1"]
    curated, failed, line = first.lines
    assert (curated.get_color(), failed.get_color()) == ("#111111", "#222222")
    assert abs(np.asarray(curated.get_xdata(), float)).max() <= 0.15
    assert np.asarray(failed.get_ydata(), float)[0] == pytest.approx(-70.0)
    lowest = min(np.min(curated.get_ydata()), np.min(failed.get_ydata()))
    assert first.get_ylim()[0] == pytest.approx(lowest - 5.0)
    assert line.get_xdata()[0] == pytest.approx(-0.05)
    assert figure.get_supxlabel() == "ms"
