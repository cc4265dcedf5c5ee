"""Every unit by itself: what a person looks at before trusting it, as small drawings.

Paths in the units of the template's view boxes, a few kilobytes for each unit, so that a page of
hundreds of them stays small. Draws what was measured and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikefleet.core.text import counted, format_duration
from spikefleet.reporter.curated import is_replaced
from spikefleet.reporter.unit_rows import contamination_text
from spikefleet.reporter.wording import format_number
from spikefleet.signal.units.correlograms import correlogram
from spikefleet.signal.units.relations import SHARED_SPIKES
from spikefleet.signal.units.unit_data import FloatArray, IntArray, UnitData

WIDTH, HEIGHT = 200.0, 72.0
FOOTPRINT_WIDTH, FOOTPRINT_HEIGHT = 120.0, 150.0
_BIN_MS, _BINS = 1.0, 50
_MOST_POINTS = 300
_CHANNELS = 9
_MOST_SAMPLES = 48

Unit = Mapping[str, Any]


@dataclass(frozen=True)
class Plot:
    """One small drawing: ``path`` in its view box, ``alt`` what it shows; where its axes end."""

    path: str
    alt: str
    low: str = ""
    high: str = ""
    top: str = ""


@dataclass(frozen=True)
class UnitCard:
    """One unit: its drawings and what is said of it."""

    unit_id: str  #: as the sorter called it
    passed: bool  #: curation kept it
    failed_on: str  #: the criterion that rejected it; "" for none
    facts: tuple[str, ...]  #: what was measured, in words
    autocorrelogram: Plot | None = None  #: None: no two spikes near each other
    cross: Plot | None = None  #: with ``twin``
    amplitudes: Plot | None = None  #: over the recording's time
    footprint: tuple[str, ...] = ()  #: points of a line for each channel, the largest first
    footprint_alt: str = ""  #: what the footprint shows
    twin: str = ""  #: the unit most alike, which is on the page too
    warning: str = ""  #: why both may be one neuron; "" where nothing says so


def draw_units(data: UnitData, units: Sequence[Unit]) -> list[UnitCard]:
    """Draw every unit, curated ones first by falling amplitude. ``units`` are the record's rows."""
    trains, times = data.trains(), data.original_trains()
    amplitudes = data.amplitude_trains()
    index_of = {str(unit["unit_id"]): index for index, unit in enumerate(units)}
    order = sorted(
        index_of.values(),
        key=lambda i: (not units[i]["passed"], -(units[i].get("amplitude_uv") or 0.0), i),
    )
    cards = []
    for index in order:
        unit = units[index]
        twin = str(unit.get("similar_unit") or "")
        other = index_of.get(twin)
        footprint, alt = _footprint(data, index, unit)
        cards.append(
            UnitCard(
                unit_id=str(unit["unit_id"]),
                passed=bool(unit["passed"]),
                failed_on=str(unit["failed_on"] or ""),
                facts=_facts(unit),
                autocorrelogram=_correlogram(data, trains[index], None, ""),
                cross=None
                if other is None
                else _correlogram(data, trains[index], trains[other], twin),
                amplitudes=_over_time(data, times[index], amplitudes[index]),
                footprint=footprint,
                footprint_alt=alt,
                twin="" if other is None else twin,
                warning=_warning(unit) if other is not None else "",
            )
        )
    return cards


def _facts(unit: Unit) -> tuple[str, ...]:
    facts = [counted(int(unit.get("spike_count") or 0), "spike")]
    for name, text in (("firing_rate_hz", "{} Hz"), ("amplitude_uv", "{} µV"), ("snr", "SNR {}")):
        if unit.get(name) is not None:
            facts.append(text.format(format_number(unit[name])))
    share = contamination_text(unit)
    return (*facts, f"contamination {share}") if share else tuple(facts)


def _warning(unit: Unit) -> str:
    """Why two units may be one neuron; "" where nothing says so."""
    if not unit.get("possible_duplicate") or is_replaced(unit):
        return ""
    shared, dip = unit.get("shared_spikes"), unit.get("refractory_dip")
    other = unit.get("similar_unit")
    if shared is not None and shared >= SHARED_SPIKES:
        return (
            f"Possible duplicate of unit {other}: {100 * shared:.0f} % of the spikes of the "
            "smaller are spikes of the other, too."
        )
    told = "never spike" if not dip else f"spike {100 * dip:.0f} % as often as by chance"
    return (
        f"Possible duplicate of unit {other}: the two {told} within a refractory period of each "
        "other, as if they were one neuron."
    )


def _correlogram(
    data: UnitData, first: IntArray, second: IntArray | None, other: str
) -> Plot | None:
    bin_samples = max(1, round(_BIN_MS * data.sampling_rate_hz / 1000))
    counts = correlogram(first, second, bin_samples=bin_samples, n_bins=_BINS, seams=data.seams)
    highest = int(counts.max()) if counts.size else 0
    if highest == 0:
        return None
    width = WIDTH / len(counts)
    bars = [
        f"M{i * width:.0f},{HEIGHT:.0f}v{-HEIGHT * count / highest:.1f}h{width:.0f}V{HEIGHT:.0f}"
        for i, count in enumerate(counts)
        if count
    ]
    centre = int(counts[_BINS - 2 : _BINS + 2].sum())
    what = f"with unit {other}" if other else "with itself"
    alt = (
        f"Spikes {what}, 50 ms to each side: at most {counted(highest, 'pair')} in a bin of 1 ms, "
        f"{centre} within 2 ms."
    )
    return Plot("".join(bars), alt, "−50 ms", "50 ms")


def _over_time(data: UnitData, frames: IntArray, amplitudes_uv: FloatArray) -> Plot | None:
    """Amplitude of spikes over the recording's time; of very many, some spread over it."""
    known = np.flatnonzero(np.isfinite(amplitudes_uv))
    if not known.size or len(frames) != len(amplitudes_uv) or data.original_s <= 0:
        return None
    chosen = known[np.linspace(0, known.size - 1, min(known.size, _MOST_POINTS)).astype(int)]
    heights = np.abs(amplitudes_uv[chosen])
    top = float(heights.max()) or 1.0
    x = frames[chosen] / (data.original_s * data.sampling_rate_hz) * WIDTH
    y = HEIGHT - 2 - heights / top * (HEIGHT - 4)
    alt = (
        f"Amplitude over time: {format_number(float(np.median(heights)))} µV in the middle, "
        f"at most {format_number(top)} µV."
    )
    points = "".join(f"M{a:.0f},{b:.0f}h.1" for a, b in zip(x, y, strict=True))
    return Plot(points, alt, "0 s", format_duration(data.original_s), f"{format_number(top)} µV")


def _footprint(data: UnitData, index: int, unit: Unit) -> tuple[tuple[str, ...], str]:
    """The mean waveform on the channels nearest to the largest one, where they are."""
    n_samples = data.templates_uv.shape[1]
    peak = int(unit.get("channel_index") or 0)
    places = data.channel_locations_um
    if n_samples < 2 or not len(places):
        return (), ""
    near = np.asarray(data.channels_around(peak, _CHANNELS))
    kept = np.linspace(0, n_samples - 1, min(n_samples, _MOST_SAMPLES)).astype(int)
    waves = data.templates_uv[index][np.ix_(kept, near)].T
    known = np.isfinite(waves).all(axis=1)
    near, waves = near[known], waves[known]
    if not near.size:
        return (), ""
    highest = float(np.abs(waves).max()) or 1.0
    x, y = _spread(places[near, 0]), 1.0 - _spread(places[near, 1])
    width, height = FOOTPRINT_WIDTH * 0.4, FOOTPRINT_HEIGHT * 0.16
    steps = np.linspace(0, width, len(kept))
    lines = []
    for wave, at_x, at_y in zip(waves, x, y, strict=True):
        left = at_x * (FOOTPRINT_WIDTH - width)
        middle = height + at_y * (FOOTPRINT_HEIGHT - 2 * height)
        points = zip(left + steps, middle - wave / highest * height, strict=True)
        lines.append(" ".join(f"{a:.1f},{b:.1f}" for a, b in points))
    alt = f"Mean waveform on {counted(len(near), 'channel')} around {unit.get('channel_id')}."
    return tuple(lines), alt


def _spread(values: FloatArray) -> FloatArray:
    """Values between 0 and 1; 0.5 where all are one."""
    span = float(np.ptp(values))
    return (values - values.min()) / span if span else np.full(len(values), 0.5)
