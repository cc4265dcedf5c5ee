"""SpikeInterface's own metrics of units, as the analyzer of a sort keeps them.

``library_measuring`` has them measured once, where the sort ran, since some take longer than a
curation may. What was not measured is empty and has a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spikeinterface.core import SortingAnalyzer

QUALITY, TEMPLATE = "quality_metrics", "template_metrics"
NOT_MEASURED = "not_measured"
_AMPLITUDES, _COMPONENTS = "spike_amplitudes", "principal_components"
# What the library calls a metric: the extension it needs, and its columns.
_QUALITY: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "num_spikes": ("", ()),
    "firing_rate": ("", ()),
    "snr": ("templates", ("snr",)),
    "presence_ratio": ("", ("presence_ratio",)),
    "firing_range": ("", ("firing_range",)),
    "amplitude_median": (_AMPLITUDES, ("amplitude_median",)),
    "amplitude_cutoff": (_AMPLITUDES, ("amplitude_cutoff",)),
    "amplitude_cv": (_AMPLITUDES, ("amplitude_cv_median", "amplitude_cv_range")),
    "noise_cutoff": (_AMPLITUDES, ("noise_cutoff", "noise_ratio")),
    "sd_ratio": (_AMPLITUDES, ("sd_ratio",)),
    "drift": ("spike_locations", ("drift_ptp", "drift_std", "drift_mad")),
    "mahalanobis": (_COMPONENTS, ("isolation_distance", "l_ratio")),
    "d_prime": (_COMPONENTS, ("d_prime",)),
    "nearest_neighbor": (_COMPONENTS, ("nn_hit_rate", "nn_miss_rate")),
    "silhouette": (_COMPONENTS, ("silhouette",)),
}
_TEMPLATE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "peak_to_trough_duration": ("templates", ("peak_to_trough_duration",)),
    "half_width": ("templates", ("trough_half_width", "peak_half_width")),
    "repolarization_slope": ("templates", ("repolarization_slope",)),
    "recovery_slope": ("templates", ("recovery_slope",)),
    "number_of_peaks": ("templates", ("num_positive_peaks", "num_negative_peaks")),
    "main_to_next_extremum_duration": ("templates", ("main_to_next_extremum_duration",)),
    "waveform_ratios": (
        "templates",
        (
            "peak_before_to_trough_ratio",
            "peak_after_to_trough_ratio",
            "peak_before_to_peak_after_ratio",
            "main_peak_to_trough_ratio",
        ),
    ),
    "waveform_widths": ("templates", ("trough_width", "peak_before_width", "peak_after_width")),
    "waveform_baseline_flatness": ("templates", ("waveform_baseline_flatness",)),
    "velocity_fits": ("templates", ("velocity_above", "velocity_below")),
    "exp_decay": ("templates", ("exp_decay",)),
    "spread": ("templates", ("spread",)),
}
METRICS = {QUALITY: _QUALITY, TEMPLATE: _TEMPLATE}
_COUNTS = frozenset({"num_positive_peaks", "num_negative_peaks"})
_UNMEASURED = "not measured by this sort"
_UNFIT = "no unit has what it needs"
# Ours of that name means something else.
_RENAMED = {"snr": "si_snr", "presence_ratio": "si_presence_ratio"}


@dataclass(frozen=True)
class LibraryMetrics:
    """Values by column, each (U,), NaN where unmeasured; and why a column has none at all."""

    values: Mapping[str, NDArray[np.float64]] = field(default_factory=lambda: MappingProxyType({}))
    not_measured: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def of_unit(self, index: int) -> dict[str, float | int | None]:
        """Return every column's value of one unit; None where it was not measured."""
        told: dict[str, float | int | None] = dict.fromkeys(_columns())
        for name, values in self.values.items():
            if np.isfinite(values[index]):
                kind = int if name in _COUNTS else float
                told[name] = kind(values[index])
        return told


def read_library_metrics(analyzer: SortingAnalyzer) -> LibraryMetrics:
    """Return what SpikeInterface measured when the sort was made; of an earlier sort nothing.

    Raises ValueError where the numbers are those of other units, or none.
    """
    values: dict[str, NDArray[np.float64]] = {}
    reasons: dict[str, str] = {}
    for name, metrics in METRICS.items():
        extension = analyzer.get_extension(name)
        data = {} if extension is None else extension.data
        told = data.get(NOT_MEASURED)
        frame = data.get("metrics")
        if frame is not None and len(frame) != len(analyzer.unit_ids):
            raise ValueError(f"{name} of {len(frame)} units, not {len(analyzer.unit_ids)}")
        for metric, (_, columns) in metrics.items():
            reason = told.get(metric) if isinstance(told, dict) else None
            for column in columns:
                found = _column(frame, column)
                if found.size and found.shape != (len(analyzer.unit_ids),):
                    raise ValueError(f"{column} has the shape {found.shape}")
                if np.isfinite(found).any():
                    values[_RENAMED.get(column, column)] = found
                else:
                    told_none = _UNFIT if found.size else _UNMEASURED
                    reasons[_RENAMED.get(column, column)] = str(reason or told_none)[:300]
    return LibraryMetrics(MappingProxyType(values), MappingProxyType(reasons))


def _column(frame: Any, name: str) -> NDArray[np.float64]:
    """One column; nothing where it is not there. Raises ValueError where it holds text."""
    if frame is None or name not in frame:
        return np.zeros(0)
    return np.asarray(frame[name], dtype=np.float64)


def _columns() -> tuple[str, ...]:
    """Every column that the library may fill, as it is called here."""
    return tuple(
        _RENAMED.get(column, column)
        for metrics in METRICS.values()
        for _, columns in metrics.values()
        for column in columns
    )
