"""What is exported and how figures look. Nothing here can change a spike."""

from __future__ import annotations

from pydantic import Field

from spikefleet.core.config.group import Colour, ConfigGroup, NonNegative, Positive, PositiveCount
from spikefleet.core.config.units import Fraction

_PALETTE = ("#f74343", "#fccd56", "#74fc56", "#56fcf6", "#1e1efa", "#fa1ed2")


class CompilationConfig(ConfigGroup):
    """Files made of the curated units, beside the report and the analyzer."""

    compile_single_recording: bool = Field(
        default=True,
        description="Of recordings sorted as one, compile each by itself as well.",
    )
    compile_to_mat: bool = Field(
        default=False, description="`fetch --as compiled` writes a MATLAB file."
    )
    compile_to_npz: bool = Field(
        default=True, description="`fetch --as compiled` writes a NumPy archive."
    )
    compile_waveforms: bool = Field(
        default=False, description="Add the sampled waveforms to compiled files."
    )
    save_electrodes: bool = Field(
        default=True, description="Add each unit's electrode to compiled files."
    )
    save_spike_times: bool = Field(
        default=True, description="Accepted, no effect: spike times are always exported."
    )
    save_raw_pkl: bool = Field(
        default=False,
        description="Accepted, no effect: pickles are not written, since reading one runs code.",
    )
    save_dl_data: bool = Field(
        default=False,
        description="Accepted, no effect: pickles are not written; use the NumPy or NWB export.",
    )


class FiguresConfig(ConfigGroup):
    """Figures and pages beside the report. Labels and colours are those of the PNG files."""

    create_figures: bool = Field(
        default=False, description="Write the summary figures as PNG files beside the report."
    )
    create_unit_figures: bool = Field(
        default=False, description="Write a page for each unit beside the report."
    )
    dpi: PositiveCount | None = Field(
        default=None,
        description="Resolution (dots per inch); null: 100. A file is kept below 2 MB.",
    )
    font_size: Positive = Field(default=12, description="Font size (pt).")
    bar_x_label: str = Field(default="Recording", description="Bar chart: label of the x axis.")
    bar_y_label: str = Field(
        default="Number of Units", description="Bar chart: label of the y axis."
    )
    bar_label_rotation: float = Field(
        default=0, description="Bar chart: rotation of the labels (degrees)."
    )
    bar_total_label: str = Field(
        default="First Curation", description="Bar chart: legend of all units."
    )
    bar_selected_label: str = Field(
        default="Selected Curation", description="Bar chart: legend of the kept units."
    )
    scatter_std_max_units_per_recording: PositiveCount | None = Field(
        default=None,
        description="Scatter: at most this many units of one recording (count); null: all.",
    )
    scatter_recording_colors: tuple[Colour, ...] = Field(
        default=_PALETTE, description="Scatter: colours given to recordings in turn (hex)."
    )
    scatter_recording_alpha: Fraction = Field(default=1.0, description="Scatter: opacity (0 to 1).")
    scatter_x_label: str = Field(
        default="Number of Spikes", description="Scatter: label of the x axis."
    )
    scatter_y_label: str = Field(
        default="avg. STD / amplitude", description="Scatter: label of the y axis."
    )
    scatter_x_max_buffer: NonNegative = Field(
        default=300.0,
        description="Scatter: room right of the last point (spikes); the default is shortened to "
        "a quarter of the largest count.",
    )
    scatter_y_max_buffer: NonNegative = Field(
        default=0.2, description="Scatter: room above the highest point (ratio)."
    )
    templates_color_curated: Colour = Field(
        default="#000000", description="Templates: colour of kept units (hex)."
    )
    templates_color_failed: Colour = Field(
        default="#FF0000", description="Templates: colour of rejected units (hex)."
    )
    templates_per_column: PositiveCount = Field(
        default=50, description="Templates: units drawn in one column (count)."
    )
    templates_y_spacing: Positive = Field(
        default=50.0, description="Templates: distance between two units (µV)."
    )
    templates_y_lim_buffer: NonNegative = Field(
        default=10.0, description="Templates: room above and below a column (µV)."
    )
    templates_window_ms_before: Positive = Field(
        default=5.0, description="Templates: time drawn before the peak (ms)."
    )
    templates_window_ms_after: Positive = Field(
        default=5.0, description="Templates: time drawn after the peak (ms)."
    )
    templates_line_ms_before: NonNegative | None = Field(
        default=1.0, description="Templates: guide line before the peak (ms); null: none."
    )
    templates_line_ms_after: NonNegative | None = Field(
        default=4.0, description="Templates: guide line after the peak (ms); null: none."
    )
    templates_x_label: str = Field(
        default="Time Rel. to Peak (ms)", description="Templates: label of the x axis."
    )
