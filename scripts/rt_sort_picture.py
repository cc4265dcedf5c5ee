"""Draws docs/images/rt_sort_sequence.png: ``python -m scripts.rt_sort_picture [FILE]``.

One unit of a simulated recording whose action potential travels along an axon: the average of its
known spikes on every electrode, coloured by when each sees it. RT-Sort calls that a sequence.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from spikefleet.signal.open import open_recording
from spikefleet.signal.simulation import SimulationRequest, Truth, load_truth, simulate

PICTURE = Path(__file__).resolve().parents[1] / "docs/images/rt_sort_sequence.png"
UNIT = 3
HALF_UM = 7.6
SHOWN_UV = 4.0
BEFORE_MS, AFTER_MS = 0.6, 1.4
FULL_UV = 110.0  # a waveform this deep fills the height of its electrode twice
INK, PALE, RED = "#22303c", "#eceff2", "#d1495b"


def average_of(uv: NDArray[np.float32], truth: Truth) -> NDArray[np.float64]:
    """Window x channels, around the known spikes of the unit."""
    before, after = (round(ms * truth.sampling_rate_hz / 1e3) for ms in (BEFORE_MS, AFTER_MS))
    samples = truth.spike_samples[truth.unit_ids[UNIT]]
    inside = samples[(samples >= before) & (samples < len(uv) - after)]
    average = np.mean([uv[at - before : at + after] for at in inside], axis=0, dtype=np.float64)
    return np.asarray(average - np.median(average, axis=0))


def draw(
    axes: Axes, contacts_um: NDArray[np.float64], truth: Truth, average: NDArray[np.float64]
) -> None:
    """The map, with a scale of time and one of voltage."""
    told = truth.propagation
    assert told is not None
    latencies_ms = np.where(told.troughs_uv[UNIT] >= SHOWN_UV, told.latencies_ms[UNIT], np.nan)
    colours = pyplot.get_cmap("viridis_r")
    norm = matplotlib.colors.Normalize(0.0, float(np.nanmax(latencies_ms)))
    times = np.linspace(-HALF_UM * 0.92, HALF_UM * 0.92, len(average))
    for channel, (x_um, y_um) in enumerate(contacts_um):
        seen = not np.isnan(latencies_ms[channel])
        face = colours(norm(latencies_ms[channel])) if seen else PALE
        corner = (x_um - HALF_UM, y_um - HALF_UM)
        axes.add_patch(Rectangle(corner, 2 * HALF_UM, 2 * HALF_UM, color=face, lw=0))
        if seen:
            light = norm(latencies_ms[channel]) > 0.45
            wave = y_um + HALF_UM * 0.55 + average[:, channel] / FULL_UV * 2 * HALF_UM
            axes.plot(x_um + times, wave, color="white" if light else INK, lw=1.1, zorder=4)
    path = told.paths[UNIT]
    axes.plot(path[:, 0], path[:, 1], color=RED, lw=2.4, alpha=0.55, zorder=3)
    root_um = contacts_um[told.root_channels[UNIT]]
    corner = tuple(root_um - HALF_UM)
    axes.add_patch(
        Rectangle(corner, 2 * HALF_UM, 2 * HALF_UM, fill=False, ec=RED, lw=2.6, zorder=5)
    )
    left_um, low_um = contacts_um.min(axis=0) - HALF_UM
    axes.text(left_um - 3, root_um[1], "root", ha="right", va="center", color=RED, weight="bold")
    axes.plot([left_um, left_um + 50.0], [low_um - 5] * 2, color=INK, lw=2.4, solid_capstyle="butt")
    depth_uv = told.troughs_uv[UNIT].max()
    said = (
        f"50 µm.  Each square: {BEFORE_MS + AFTER_MS:g} ms; the root's trough is {depth_uv:.0f} µV "
        "deep. Line: the axon."
    )
    axes.text(left_um + 54.0, low_um - 5, said, va="center", color=INK, fontsize=9)
    bar = pyplot.colorbar(
        matplotlib.cm.ScalarMappable(norm, colours), ax=axes, shrink=0.72, pad=0.02
    )
    bar.set_label("latency after the root (ms)")
    bar.outline.set_visible(False)  # type: ignore[operator]


def main(target: Path) -> None:
    """Simulate, average, draw."""
    with tempfile.TemporaryDirectory() as folder:
        size = {"n_channels": 144, "n_units": 6, "duration_s": 20.0, "seed": 9}
        request = SimulationRequest("maxwell", Path(folder) / "culture", propagation=True, **size)  # type: ignore[arg-type]
        made = simulate(request)
        recording, truth = open_recording(made.path), load_truth(made.truth_path)
        average = average_of(recording.get_traces(return_in_uV=True), truth)
        contacts_um = recording.get_channel_locations()
    contacts_um = contacts_um.astype(np.float64)
    figure, axes = pyplot.subplots(figsize=(8.2, 7.0), dpi=110, layout="constrained")
    draw(axes, contacts_um, truth, average)
    axes.set_aspect("equal")
    axes.set_axis_off()
    figure.savefig(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
