"""Labels of units by preset: good, mua (several neurons), noise; plain tables of thresholds.

A label says what a unit looks like; whether it is kept is curation's own verdict. The same metrics
under the same preset are the same labels, and the table that was applied is stored with them. A
rule whose metric no unit has (an analyzer of an earlier version) is left out, and told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

GOOD, MUA, NOISE, NON_SOMA = "good", "mua", "noise", "non_soma"
LABELS = (GOOD, MUA, NOISE, NON_SOMA)
NONE = "none"


@dataclass(frozen=True)
class LabelRule:
    """A unit that breaks it is called ``label``; bounds are inclusive.

    ``needs_value``: a unit of which the metric could not be measured breaks it, too. ``is_size``:
    the number counts without its sign.
    """

    label: str
    metric: str
    at_least: float | None = None
    at_most: float | None = None
    needs_value: bool = True
    is_size: bool = False

    def is_broken_by(self, value: Any) -> bool:
        """Say whether a metric's value breaks the rule; None and NaN are no values."""
        number = _number(value)
        if math.isnan(number):
            return self.needs_value
        number = abs(number) if self.is_size else number
        too_low = self.at_least is not None and number < self.at_least
        return too_low or (self.at_most is not None and number > self.at_most)

    def to_text(self, value: Any) -> str:
        """Say in words how a value broke the rule."""
        number = _number(value)
        told = "not measured" if math.isnan(number) else f"{number:.3g}"
        below = self.at_least is not None and not abs(number) >= self.at_least
        bound = f"below {self.at_least:g}" if below else f"above {self.at_most:g}"
        return f"{self.metric} {told}" if math.isnan(number) else f"{self.metric} {told} {bound}"


_FACILITY = (
    LabelRule(NOISE, "spike_count", at_least=30),
    LabelRule(NOISE, "snr", at_least=3.0),
    LabelRule(NOISE, "std_norm", at_most=1.0),
    LabelRule(MUA, "snr", at_least=5.0),
    LabelRule(MUA, "isi_percent", at_most=0.01),
    LabelRule(MUA, "contamination", at_most=0.2),
    LabelRule(MUA, "presence_ratio", at_least=0.5),
    LabelRule(MUA, "amplitude_cutoff", at_most=0.2, needs_value=False),
)
# The bars that large surveys of acute recordings are held to.
_STRICT = (
    LabelRule(NOISE, "spike_count", at_least=100),
    LabelRule(NOISE, "snr", at_least=4.0),
    LabelRule(NOISE, "std_norm", at_most=0.8),
    LabelRule(MUA, "spike_count", at_least=300),
    LabelRule(MUA, "snr", at_least=6.0),
    LabelRule(MUA, "isi_percent", at_most=0.005),
    LabelRule(MUA, "contamination_high", at_most=0.2),
    LabelRule(MUA, "presence_ratio", at_least=0.8),
    LabelRule(MUA, "amplitude_cutoff", at_most=0.1),
)
# Cultures fire rarely and in bursts: presence and counts say little there.
_ORGANOID = (
    LabelRule(NOISE, "spike_count", at_least=20),
    LabelRule(NOISE, "snr", at_least=3.0),
    LabelRule(NOISE, "std_norm", at_most=1.0),
    LabelRule(MUA, "firing_rate_hz", at_least=0.02),
    LabelRule(MUA, "snr", at_least=4.0),
    LabelRule(MUA, "isi_percent", at_most=0.02),
    LabelRule(MUA, "contamination", at_most=0.3),
)
# Bombcell's published defaults (Fabre et al. 2023), as SpikeInterface has them; a test holds them
# equal. A metric of ours that is not SpikeInterface's of that name stands under SpikeInterface's.
_BOMBCELL = (
    LabelRule(NOISE, "num_positive_peaks", at_most=2),
    LabelRule(NOISE, "num_negative_peaks", at_most=1),
    LabelRule(NOISE, "peak_to_trough_duration", at_least=0.0001, at_most=0.00115),
    LabelRule(NOISE, "waveform_baseline_flatness", at_most=0.5),
    LabelRule(NOISE, "peak_after_to_trough_ratio", at_most=0.8),
    LabelRule(NOISE, "exp_decay", at_least=0.01, at_most=0.1),
    LabelRule(MUA, "amplitude_median", at_least=30, needs_value=False, is_size=True),
    LabelRule(MUA, "si_snr", at_least=5, needs_value=False),
    LabelRule(MUA, "amplitude_cutoff", at_most=0.2, needs_value=False),
    LabelRule(MUA, "spike_count", at_least=300, needs_value=False),
    LabelRule(MUA, "sliding_rp_violation", at_most=0.1),
    LabelRule(MUA, "si_presence_ratio", at_least=0.7, needs_value=False),
    LabelRule(MUA, "drift_ptp", at_most=100, needs_value=False),
    LabelRule(MUA, "isolation_distance", at_least=20, needs_value=False),
    LabelRule(MUA, "l_ratio", at_most=0.3, needs_value=False),
)
_NARROW = (
    LabelRule(NON_SOMA, "peak_before_width", at_least=0.00015, needs_value=False),
    LabelRule(NON_SOMA, "trough_width", at_least=0.0002, needs_value=False),
)
_PEAK_BEFORE = (
    LabelRule(NON_SOMA, "peak_before_to_trough_ratio", at_most=3, needs_value=False),
    LabelRule(NON_SOMA, "peak_before_to_peak_after_ratio", at_most=3, needs_value=False),
)
_UPRIGHT = (LabelRule(NON_SOMA, "main_peak_to_trough_ratio", at_most=0.8, needs_value=False),)

PRESETS: Mapping[str, tuple[LabelRule, ...]] = {
    "facility": _FACILITY,
    "strict": _STRICT,
    "organoid": _ORGANOID,
    "bombcell": (*_BOMBCELL, *_NARROW, *_PEAK_BEFORE, *_UPRIGHT),
}


@dataclass(frozen=True)
class UnitLabel:
    """What a unit is called, and the rules that it broke; () for a good one."""

    label: str
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Labelling:
    """The labels of all units under one preset, in their order, with the table applied."""

    preset: str
    units: Mapping[str, UnitLabel]
    not_measured: tuple[str, ...] = ()  #: metrics of rules that were left out

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary: preset, rules, counts and what was left out."""
        counts = dict.fromkeys(LABELS, 0)
        for unit in self.units.values():
            counts[unit.label] += 1
        rules = [asdict(rule) for rule in PRESETS[self.preset]]
        return {
            "preset": self.preset,
            "rules": rules,
            "not_measured": list(self.not_measured),
            "counts": counts,
        }


def labelled(
    units: Sequence[Mapping[str, Any]], preset: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows with ``label`` and ``label_why``, and the document of the labelling.

    The preset "none" leaves the rows as they are, and no document.
    """
    if preset == NONE:
        return [dict(unit) for unit in units], {}
    found = label_units(units, preset)
    rows = [
        {**unit, "label": label.label, "label_why": "; ".join(label.why)}
        for unit, label in zip(units, found.units.values(), strict=True)
    ]
    return rows, found.to_json()


def label_units(units: Sequence[Mapping[str, Any]], preset: str) -> Labelling:
    """Label every unit by its metrics: noise before mua before good.

    ``units`` are rows of ``units.csv`` with their ``unit_id``. Raises KeyError for an unknown
    preset.
    """
    rules = PRESETS[preset]
    measured = {
        rule.metric
        for rule in rules
        if any(not math.isnan(_number(unit.get(rule.metric))) for unit in units)
    }
    left_out = dict.fromkeys(rule.metric for rule in rules if rule.metric not in measured)
    return Labelling(
        preset,
        {unit["unit_id"]: _label(unit, rules, measured) for unit in units},
        tuple(left_out) if units else (),
    )


def _label(unit: Mapping[str, Any], rules: Sequence[LabelRule], measured: set[str]) -> UnitLabel:
    broken = [rule for rule in rules if rule.metric in measured and _breaks(unit, rule)]
    for label in (NOISE, NON_SOMA, MUA):
        if label == NON_SOMA and not _is_non_somatic(unit, broken, measured):
            continue
        why = [rule for rule in broken if rule.label == label]
        if why:
            return UnitLabel(label, tuple(rule.to_text(unit.get(rule.metric)) for rule in why))
    return UnitLabel(GOOD)


def _breaks(unit: Mapping[str, Any], rule: LabelRule) -> bool:
    return rule.is_broken_by(unit.get(rule.metric))


def _is_non_somatic(
    unit: Mapping[str, Any], broken: Sequence[LabelRule], measured: set[str]
) -> bool:
    """Narrow and with a large peak before the trough, or upright: an axon's waveform."""
    widths = [rule for rule in _NARROW if rule.metric in measured]
    known = [rule for rule in widths if not math.isnan(_number(unit.get(rule.metric)))]
    is_narrow = bool(widths) and all(rule in broken for rule in known)
    has_peak_before = any(rule in broken for rule in _PEAK_BEFORE)
    return (is_narrow and has_peak_before) or any(rule in broken for rule in _UPRIGHT)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value)
