"""SpikeInterface's own metrics of units, as the analyzer of a sort keeps them.

``library_measuring`` has them measured once, where the sort ran, since some take longer than a
curation may. What was not measured is empty and has a reason.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUALITY, TEMPLATE = "quality_metrics", "template_metrics"
NOT_MEASURED = "not_measured"
# What the library and those below it raise on units that they did not expect.
LIBRARY_RAISES = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,
)
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
_LIBRARY_COLUMNS = frozenset(
    column for metrics in METRICS.values() for _, columns in metrics.values() for column in columns
)
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


def read_library_metrics(folder: Path, n_units: int) -> LibraryMetrics:
    """Return what SpikeInterface measured when a sort was made; of an earlier sort nothing.

    ``folder`` is the sort's analyzer, whose tables are read as text. Raises ValueError where one is
    of other units or holds other than numbers.
    """
    values: dict[str, NDArray[np.float64]] = {}
    reasons: dict[str, str] = {}
    for name, metrics in METRICS.items():
        table = _table(folder / "extensions" / name / "metrics.csv", n_units)
        told = _reasons(folder / "extensions" / name / f"{NOT_MEASURED}.json")
        for metric, (_, columns) in metrics.items():
            for column in columns:
                found, ours = table.get(column), _RENAMED.get(column, column)
                if found is not None and np.isfinite(found).any():
                    values[ours] = found
                else:
                    told_none = _UNMEASURED if found is None else _UNFIT
                    reasons[ours] = str(told.get(metric) or told_none)[:300]
    return LibraryMetrics(MappingProxyType(values), MappingProxyType(reasons))


def _table(path: Path, n_units: int) -> dict[str, NDArray[np.float64]]:
    """The columns of numbers of a table, by their names; nothing where there is none."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        try:
            header, *rows = csv.reader(file)
        except csv.Error as error:
            raise ValueError(f"{path.name} is no table: {error}") from error
    if len(rows) != n_units or any(len(row) != len(header) for row in rows):
        raise ValueError(f"{path.name} has {len(rows)} rows, not one for each of {n_units} units")
    return {
        name: np.array([float(row[at]) if row[at] else np.nan for row in rows])
        for at, name in enumerate(header)
        if name in _LIBRARY_COLUMNS
    }


def _reasons(path: Path) -> dict[str, Any]:
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return told if isinstance(told, dict) else {}


def _columns() -> tuple[str, ...]:
    """Every column that the library may fill, as it is called here."""
    return tuple(
        _RENAMED.get(column, column)
        for metrics in METRICS.values()
        for _, columns in metrics.values()
        for column in columns
    )
