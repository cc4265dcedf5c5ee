"""The page's table of units: columns with what they mean, and one row for each unit."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikefleet.core.text import MISSING
from spikefleet.reporter.curated import is_replaced
from spikefleet.reporter.wording import format_number
from spikefleet.signal.units.metric_definitions import metric_definitions
from spikefleet.signal.units.unit_data import FloatArray

_OF_THE_UNIT = "The unit as the sorter called it."
_INTERVAL = " With its 95 % interval."
_MARKED = (
    " With their similarity. Marked where both are probably one neuron: alike templates, and "
    "either the same spikes or a refractory period between them."
)
# The columns that are always shown, with their titles; the definitions of all are one table.
_TITLES: Mapping[str, str] = {
    "unit_id": "Unit",
    "spike_count": "Spikes",
    "firing_rate_hz": "Rate (Hz)",
    "amplitude_uv": "Amplitude (µV)",
    "snr": "SNR",
    "isi_percent": "ISI violations/spikes",
    "contamination": "Contamination",
    "similar_unit": "Most alike",
    "std_norm": "Spread",
    "presence_ratio": "Presence",
    "channel_id": "Channel",
    "y_um": "y (µm)",
}
_LABEL = (
    "What the unit looks like by the preset of labels: good, mua (spikes of several neurons) or "
    "noise; a label says why when it is pointed at, and rejects nothing."
)
_TOLD_ELSEWHERE = frozenset({"contamination_low", "contamination_high", "similarity"})


@dataclass(frozen=True)
class Column:
    """One column of the table: ``meaning`` is what a person is told who asks."""

    name: str  #: in the record
    title: str  #: with the unit of its numbers
    meaning: str
    is_more: bool = False  #: shown only to who wants all of them


def table_columns(units: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Return the columns: those always shown, then every other metric that some unit has."""
    always = [Column(name, title, _meaning(name)) for name, title in _TITLES.items()]
    if any(unit.get("label") for unit in units):
        always.append(Column("label", "Label", _LABEL))
    others = (
        Column(name, f"{name} ({row.unit})" if row.unit else name, _meaning(name), is_more=True)
        for name, row in metric_definitions().items()
        if name not in _TITLES and name not in _TOLD_ELSEWHERE
        if any(unit.get(name) is not None for unit in units)
    )
    return (*always, *others)


def _meaning(name: str) -> str:
    """What the number is, in which unit, and who described it."""
    if name == "unit_id":
        return _OF_THE_UNIT
    row = metric_definitions()[name]
    words = row.words.replace("`", "")
    start = words[:1] if row.words.startswith("`") else words[:1].upper()  # a name stays as it is
    told = f"{start}{words[1:]}" + (f", in {row.unit}" if row.unit else "")
    told += f" ({row.source})." if row.source else "."
    return told + {"contamination": _INTERVAL, "similar_unit": _MARKED}.get(name, "")


_SPARK_WIDTH, _SPARK_HEIGHT = 64.0, 26.0


def unit_rows(
    units: Sequence[Mapping[str, Any]],
    waveforms: Mapping[str, FloatArray],
    shown: Container[str],
) -> list[dict[str, Any]]:
    """Return the rows: curated units first, by falling amplitude. ``shown`` are on the page."""
    columns = table_columns(units)
    ordered = sorted(units, key=lambda u: (not u["passed"], -(u.get("amplitude_uv") or 0.0)))
    return [
        {
            "unit_id": str(unit.get("unit_id")),
            "passed": unit["passed"],
            "failed_on": unit["failed_on"],
            "spark": _spark(waveforms.get(str(unit.get("unit_id")))),
            "anchor": str(unit["unit_id"]) if str(unit.get("unit_id")) in shown else "",
            "label_why": str(unit.get("label_why") or ""),
            "duplicate": bool(unit.get("possible_duplicate")) and not is_replaced(unit),
            "cells": [(column, *cell_of(column.name, unit)) for column in columns],
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
        ends.append(f"{100 * value:.0f}" if value >= 0.1 else f"{100 * value:.2g}")
    return "{} % ({} to {} %)".format(*ends)


def cell_of(name: str, unit: Mapping[str, Any]) -> tuple[str, str]:
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
