"""Places of a figure's panels by margins that are known beforehand.

Matplotlib's own layout measures every label several times, which is most of what drawing a figure
costs. Where labels are short, fixed margins do: they leave room for five digits.
"""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Margins:
    """Room around panels and between them, in inches."""

    left: float
    right: float
    bottom: float
    top: float
    columns: float = 0.0
    rows: float = 0.0


def place_panels(figure: Figure, n_rows: int, n_columns: int, margins: Margins) -> None:
    """Lay the figure's grid of panels out, without measuring anything."""
    width, height = figure.get_size_inches()
    panel_width = (
        width - margins.left - margins.right - (n_columns - 1) * margins.columns
    ) / n_columns
    panel_height = (height - margins.bottom - margins.top - (n_rows - 1) * margins.rows) / n_rows
    figure.subplots_adjust(
        left=margins.left / width,
        right=1 - margins.right / width,
        bottom=margins.bottom / height,
        top=1 - margins.top / height,
        wspace=margins.columns / panel_width,
        hspace=margins.rows / panel_height,
    )
