"""What curation judged by, and what each criterion left: histograms and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spikefleet.reporter.palette import ACCENT, BAD, INK
from spikefleet.reporter.pictures.margins import Margins, place_panels
from spikefleet.signal.units.unit_data import UnitData

_BINS = 20
_MARGINS = Margins(left=0.75, right=0.15, bottom=0.5, top=0.1, columns=0.8, rows=0.6)
_CRITERIA: Mapping[str, str] = {
    "spike_count": "spikes",
    "firing_rate_hz": "rate (Hz)",
    "isi_percent": "ISI violations",
    "isi_hill": "ISI violations",
    "snr": "SNR",
    "std_norm": "spread",
}

Unit = Mapping[str, Any]


def draw_histograms(
    figure: Figure, _data: UnitData, units: Sequence[Unit], curation: Mapping[str, Any]
) -> str:
    """Amplitude, SNR, refractory violations and rate; dashed lines are the thresholds."""
    hill = (curation.get("parameters") or {}).get("isi_violation_method") == "hill"
    isi = ("isi_hill", "violations (Hill ratio)") if hill else ("isi_percent", "violations/spikes")
    panels = (
        ("amplitude_uv", "amplitude (µV)"),
        ("snr", "SNR"),
        isi,
        ("firing_rate_hz", "firing rate (Hz)"),
    )
    place_panels(figure, 2, 2, _MARGINS)
    bounds = {s["metric"]: float(s["bound"]) for s in curation.get("steps") or []}
    for axes, (metric, label) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        _draw_histogram(axes, units, metric, bounds.get(metric))
        axes.set_xlabel(label)
    dashed = " Dashed lines are the curation thresholds." if bounds else ""
    return "Histograms over units of " + ", ".join(label for _, label in panels) + f".{dashed}"


def _draw_histogram(axes: Axes, units: Sequence[Unit], metric: str, bound: float | None) -> None:
    groups = []
    for wanted in (True, False):
        values = [u.get(metric) for u in units if bool(u["passed"]) is wanted]
        groups.append(np.array([v for v in values if v is not None], dtype=float))
    everything = np.concatenate([*groups, [] if bound is None else [bound]])
    top = float(everything.max()) if everything.size else 1.0
    edges = np.linspace(0.0, top * 1.05 if top > 0 else 1.0, _BINS + 1)
    axes.hist(groups, bins=edges.tolist(), stacked=True, color=[ACCENT, BAD], alpha=0.8, rwidth=0.9)
    if bound is not None:
        axes.axvline(bound, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.locator_params(axis="x", nbins=4)
    axes.set_ylabel("units")


def draw_curation(
    figure: Figure, _data: UnitData, units: Sequence[Unit], curation: Mapping[str, Any]
) -> str:
    """How many units each criterion left."""
    steps = curation.get("steps") or []
    if not steps:
        return ""
    names = ["sorted", *(_criterion(s) for s in steps)]
    left = np.array([len(units), *(int(s["n_left"]) for s in steps)])
    lost = np.array([0, *(int(s["n_failed"]) for s in steps)])
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    position = np.arange(len(names))
    axes.barh(position, left, color=ACCENT, alpha=0.85, height=0.62)
    axes.barh(position, lost, left=left, color=BAD, alpha=0.55, height=0.62)
    for y, (kept, dropped) in enumerate(zip(left, lost, strict=True)):
        text = f"{kept}" if dropped == 0 else f"{kept}  (−{dropped})"
        axes.text(kept + dropped + len(units) * 0.015, y, text, va="center", fontsize=9)
    axes.set_yticks(position, names)
    axes.invert_yaxis()
    axes.set_xlim(0, len(units) * 1.14)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("units")
    return f"{left[0]} sorted units, {left[-1]} left after {len(steps)} curation criteria."


def _criterion(step: Mapping[str, Any]) -> str:
    sign = "≥" if step["at_least"] else "≤"
    return f"{_CRITERIA.get(str(step['metric']), step['metric'])} {sign} {step['bound']:g}"
