"""A page for each unit, where the run's settings ask for it: the unit's drawings, large.

The pages stand below ``units`` beside the report, need nothing else and link to each other in the
report's order. What is drawn is the card's, with the intervals between spikes, the rate and the
amplitudes' distribution added. Draws what was measured and decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikefleet.core.submissions import safe_part
from spikefleet.core.text import counted, format_duration
from spikefleet.reporter.unit_cards import HEIGHT, WIDTH, Plot, UnitCard
from spikefleet.reporter.unit_rows import cell_of, table_columns
from spikefleet.reporter.wording import format_number
from spikefleet.signal.units.unit_data import FloatArray, IntArray, UnitData

UNITS_FOLDER = "units"
_LONGEST_MS, _INTERVAL_BINS = 50.0, 100
_AMPLITUDE_BINS, _RATE_BINS = 50, 100

Unit = Mapping[str, Any]


@dataclass(frozen=True)
class UnitPage:
    """What the page of one unit shows beside its card."""

    card: UnitCard
    file: str  #: its name below ``units``
    waveform: Plot | None  #: mean on the largest channel
    spread: str  #: points of the polygon of one standard deviation around it; "" for none
    intervals: Plot | None  #: between successive spikes
    amplitudes: Plot | None  #: how often each amplitude is
    rate: Plot | None  #: over the recording's time
    metrics: tuple[tuple[str, str, str], ...]  #: title, value, meaning


def page_names(unit_ids: Sequence[str]) -> dict[str, str]:
    """Map each unit to the name of its page; names that would be one get the unit's position."""
    plain = [safe_part(unit_id) for unit_id in unit_ids]
    counts = Counter(name.casefold() for name in plain)  # some disks do not tell A from a
    return {
        unit_id: f"{name}.html" if counts[name.casefold()] == 1 else f"{name}-{position}.html"
        for position, (unit_id, name) in enumerate(zip(unit_ids, plain, strict=True))
    }


def draw_unit_pages(
    data: UnitData, units: Sequence[Unit], cards: Sequence[UnitCard]
) -> list[UnitPage]:
    """Draw a page for each card, in the cards' order. ``units`` are the record's rows."""
    index_of = {str(unit["unit_id"]): index for index, unit in enumerate(units)}
    names = page_names([card.unit_id for card in cards])
    trains, times, amplitudes = data.trains(), data.original_trains(), data.amplitude_trains()
    columns = table_columns(units)
    pages = []
    for card in cards:
        index = index_of[card.unit_id]
        waveform, spread = _waveform(data, index, units[index])
        pages.append(
            UnitPage(
                card,
                names[card.unit_id],
                waveform,
                spread,
                _intervals(data, trains[index]),
                _amplitudes(amplitudes[index]),
                _rate(data, times[index]),
                tuple(
                    (column.title, cell_of(column.name, units[index])[0], column.meaning)
                    for column in columns
                ),
            )
        )
    return pages


def _waveform(data: UnitData, index: int, unit: Unit) -> tuple[Plot | None, str]:
    """The mean waveform on the largest channel and the band around it."""
    channel = int(unit.get("channel_index") or 0)
    mean = data.templates_uv[index, :, channel]
    if mean.size < 2 or not np.isfinite(mean).all():
        return None, ""
    stds = data.template_stds_uv[index, :, channel] if data.template_stds_uv.shape[1] else mean * 0
    stds = np.where(np.isfinite(stds), stds, 0.0)
    low, high = float((mean - stds).min()), float((mean + stds).max())
    x = np.linspace(0, WIDTH, mean.size)
    y, top, bottom = (_height(v, low, high) for v in (mean, mean + stds, mean - stds))
    line = "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    edge = [*zip(x, top, strict=True), *zip(x[::-1], bottom[::-1], strict=True)]
    before_ms = data.peak_index / data.sampling_rate_hz * 1000
    after_ms = (mean.size - data.peak_index) / data.sampling_rate_hz * 1000
    alt = (
        f"Mean waveform on channel {unit.get('channel_id')}, from {low:.0f} to {high:.0f} µV; the "
        "band is one standard deviation."
    )
    band = " ".join(f"{a:.1f},{b:.1f}" for a, b in edge) if stds.any() else ""
    return Plot(line, alt, f"−{before_ms:.2g} ms", f"{after_ms:.2g} ms", f"{high:.0f} µV"), band


def _height(values: FloatArray, low: float, high: float) -> FloatArray:
    """Values as heights in the plot, ``high`` at the top."""
    span = (high - low) or 1.0
    heights: FloatArray = 2 + (high - values) / span * (HEIGHT - 4)
    return heights


def _intervals(data: UnitData, train: IntArray) -> Plot | None:
    """Intervals up to 50 ms between successive spikes, none across a seam."""
    gaps = np.diff(train)
    if data.seams.size and gaps.size:
        stretch = np.searchsorted(data.seams, train, side="right")
        gaps = gaps[stretch[1:] == stretch[:-1]]
    gaps_ms = gaps / data.sampling_rate_hz * 1000
    counts, _ = np.histogram(gaps_ms, bins=_INTERVAL_BINS, range=(0.0, _LONGEST_MS))
    highest = int(counts.max())
    if not highest:
        return None
    short = int(counts[:4].sum())
    alt = (
        f"Intervals between successive spikes up to 50 ms: at most {counted(highest, 'interval')} "
        f"in a bin of 0.5 ms, {short} below 2 ms."
    )
    return Plot(_bars(counts), alt, "0 ms", "50 ms", str(highest))


def _amplitudes(amplitudes_uv: FloatArray) -> Plot | None:
    heights = np.abs(amplitudes_uv[np.isfinite(amplitudes_uv)])
    if not heights.size or not heights.max():
        return None
    counts, edges = np.histogram(heights, bins=_AMPLITUDE_BINS, range=(0.0, float(heights.max())))
    alt = (
        f"How often each amplitude is: {format_number(float(np.median(heights)))} µV in the middle."
    )
    return Plot(_bars(counts), alt, "0 µV", f"{edges[-1]:.0f} µV", str(int(counts.max())))


def _rate(data: UnitData, frames: IntArray) -> Plot | None:
    """Spikes per second over the recording's time; time that was not sorted has none."""
    if not frames.size or data.original_s <= 0:
        return None
    span = data.original_s * data.sampling_rate_hz
    counts, _ = np.histogram(frames, bins=_RATE_BINS, range=(0.0, span))
    highest_hz = counts.max() / (data.original_s / _RATE_BINS)
    alt = f"Rate over time, at most {format_number(float(highest_hz))} spikes per second."
    top = f"{format_number(float(highest_hz))} Hz"
    return Plot(_bars(counts), alt, "0 s", format_duration(data.original_s), top)


def _bars(counts: IntArray) -> str:
    highest, width = float(counts.max()) or 1.0, WIDTH / len(counts)
    return "".join(
        f"M{i * width:.1f},{HEIGHT:.0f}v{-HEIGHT * count / highest:.1f}h{width:.1f}V{HEIGHT:.0f}"
        for i, count in enumerate(counts)
        if count
    )
