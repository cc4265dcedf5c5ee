"""The page's table of units: columns with what they mean, and one row for each unit."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from spikefleet.core.text import MISSING
from spikefleet.reporter.wording import format_number
from spikefleet.signal.units.unit_data import FloatArray

# Name in the record, title, and what a person is told who asks.
COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("unit_id", "Unit", "The unit as the sorter called it; the link shows it below."),
    ("spike_count", "Spikes", "Spikes in what was sorted."),
    ("firing_rate_hz", "Rate (Hz)", "Spikes per second of what was sorted."),
    ("amplitude_uv", "Amplitude (µV)", "Height of the mean waveform on its largest channel."),
    ("snr", "SNR", "That height over the noise of the channel (its robust standard deviation)."),
    (
        "isi_percent",
        "ISI violations/spikes",
        "Intervals below the refractory period of 1.5 ms, over the number of spikes (a fraction).",
    ),
    (
        "contamination",
        "Contamination",
        "Share of spikes that are of other neurons, as the refractory violations tell it (Llobet "
        "2022, refractory period 1.5 ms), with its 95 % interval.",
    ),
    (
        "similar_unit",
        "Most alike",
        "The unit within 200 µm whose template is most alike, with their cosine at the best lag. "
        "Marked where both are probably one neuron: alike templates, and either the same spikes or "
        "a refractory period between them.",
    ),
    ("std_norm", "Spread", "Standard deviation of the waveforms at the peak, over the height."),
    ("presence_ratio", "Presence", "Share of the time in which it fires (bins of a minute)."),
    ("channel_id", "Channel", "Its largest channel."),
    ("y_um", "y (µm)", "Where it is along y of the probe, in micrometres."),
)
_SPARK_WIDTH, _SPARK_HEIGHT = 64.0, 26.0


def unit_rows(
    units: Sequence[Mapping[str, Any]],
    waveforms: Mapping[str, FloatArray],
    shown: Container[str],
) -> list[dict[str, Any]]:
    """Return the rows: curated units first, by falling amplitude. ``shown`` are on the page."""
    ordered = sorted(units, key=lambda u: (not u["passed"], -(u.get("amplitude_uv") or 0.0)))
    return [
        {
            "passed": unit["passed"],
            "failed_on": unit["failed_on"],
            "spark": _spark(waveforms.get(str(unit.get("unit_id")))),
            "anchor": str(unit["unit_id"]) if str(unit.get("unit_id")) in shown else "",
            "duplicate": bool(unit.get("possible_duplicate")),
            "cells": [(name, *_cell(name, unit)) for name, *_ in COLUMNS],
        }
        for unit in ordered
    ]


def contamination_text(unit: Mapping[str, Any]) -> str:
    """Return "2 % (0 to 9 %)"; "" where it was not measured."""
    ends: list[str] = []
    for name in ("contamination", "contamination_low", "contamination_high"):
        value = unit.get(name)
        if not isinstance(value, int | float):
            return ""
        ends.append(f"{100 * value:.2g}")
    return "{} % ({} to {} %)".format(*ends)


def _cell(name: str, unit: Mapping[str, Any]) -> tuple[str, str]:
    """Return (text, sort key) of one cell."""
    value = unit.get(name)
    if name == "contamination":
        text = contamination_text(unit)
        return (text, repr(float(value or 0.0))) if text else (MISSING, "")
    if name == "similar_unit":
        cosine = unit.get("similarity")
        if not value or not isinstance(cosine, int | float):
            return MISSING, ""
        return f"{value} ({cosine:.2f})", repr(float(cosine))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return format_number(value), repr(float(value))
    return (MISSING, "") if value is None else (str(value), str(value))


def _spark(waveform: FloatArray | None) -> str:
    """The points of a small waveform, fitted into the table's cell; "" without one of numbers."""
    if waveform is None or waveform.size < 2 or not np.isfinite(waveform).all():
        return ""
    span = float(np.ptp(waveform)) or 1.0
    x = np.linspace(1, _SPARK_WIDTH - 1, waveform.size)
    y = 2 + (float(waveform.max()) - waveform) / span * (_SPARK_HEIGHT - 4)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
