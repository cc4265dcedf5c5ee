"""SpikeInterface's own metrics of units: measured once beside the analyzer, kept in it, read back.

They are measured where the sort ran, since some take longer than a curation may. What the library
cannot measure is left empty with its reason, and fails nothing. Metrics for which it would compile
machine code are not asked for; ``library_timing`` has them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import sorting_tools

if TYPE_CHECKING:
    from spikeinterface.core import SortingAnalyzer

QUALITY, TEMPLATE = "quality_metrics", "template_metrics"
_NOT_MEASURED = "not_measured"
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
_METRICS = {QUALITY: _QUALITY, TEMPLATE: _TEMPLATE}
# Fits over channels, which the library itself calls unreliable on fewer.
_OF_MANY_CHANNELS = ("velocity_fits", "exp_decay", "spread")
FEWEST_CHANNELS = 10
_MOST_INTERPRETED = 200_000_000  # spikes times units: half a second of comparing
# Ours of that name means something else.
_RENAMED = {"snr": "si_snr", "presence_ratio": "si_presence_ratio"}
_FAILED = re.compile(r"Error computing metric (\w+): (.*)", re.DOTALL)
# What the library and those below it raise on units that they did not expect.
_RAISED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,
)


@dataclass(frozen=True)
class LibraryMetrics:
    """Values by column, each (U,), NaN where unmeasured; and why a column has none at all."""

    values: Mapping[str, NDArray[np.float64]] = field(default_factory=lambda: MappingProxyType({}))
    not_measured: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def taken(self, units: Sequence[int | None]) -> LibraryMetrics:
        """Return those of some units, in that order; a new unit (None) has none."""
        rows = np.array([-1 if unit is None else unit for unit in units], dtype=np.int64)
        found = {
            name: np.where(rows < 0, np.nan, np.append(values, np.nan)[rows])
            for name, values in self.values.items()
        }
        return LibraryMetrics(MappingProxyType(found), self.not_measured)

    def of_unit(self, index: int) -> dict[str, float | None]:
        """Return every column's value of one unit; None where it was not measured."""
        told: dict[str, float | None] = dict.fromkeys(_columns())
        for name, values in self.values.items():
            told[name] = float(values[index]) if np.isfinite(values[index]) else None
        return told


def measure_in_library(analyzer: SortingAnalyzer, seed: int) -> None:
    """Have SpikeInterface measure every unit of an analyzer, and keep the results in it.

    Its extensions ``quality_metrics`` and ``template_metrics`` are filled, where any other program
    finds them too. Without units nothing is measured. The same seed gives the same numbers.
    """
    if not len(analyzer.unit_ids):
        return
    is_wide = analyzer.get_num_channels() >= FEWEST_CHANNELS
    for name, options in (
        (QUALITY, {"seed": seed}),
        (TEMPLATE, {"include_multi_channel_metrics": is_wide}),
    ):
        reasons = _out_of_reach(analyzer, name)
        # Those of many channels are added by their option, never by name: then they come twice.
        wanted = [m for m in _METRICS[name] if m not in reasons and m not in _OF_MANY_CHANNELS]
        if wanted:
            _measure(analyzer, name, wanted, options, reasons)


def _out_of_reach(analyzer: SortingAnalyzer, name: str) -> dict[str, str]:
    """Return why a metric is not asked for at all."""
    reasons = {
        metric: f"needs {need}, which the sort did not keep"
        for metric, (need, _) in _METRICS[name].items()
        if need and not analyzer.has_extension(need)
    }
    if name == TEMPLATE and analyzer.get_num_channels() < FEWEST_CHANNELS:
        few = f"means nothing on fewer than {FEWEST_CHANNELS} channels"
        reasons |= dict.fromkeys(_OF_MANY_CHANNELS, few)
    return reasons


def _measure(
    analyzer: SortingAnalyzer,
    name: str,
    wanted: Sequence[str],
    options: Mapping[str, Any],
    reasons: dict[str, str],
) -> None:
    try:
        with warnings.catch_warnings(record=True) as caught, _compiled_where_it_pays(analyzer):
            warnings.simplefilter("always")
            analyzer.compute(name, metric_names=list(wanted), **options)
    except _RAISED:
        if analyzer.has_extension(name):
            analyzer.delete_extension(name)
        return
    extension = analyzer.get_extension(name)
    reasons |= {
        metric: reason
        for metric, reason in _failures(caught)
        if not _measure_each(analyzer, extension, metric)
    }
    extension.data[_NOT_MEASURED] = reasons
    extension.save()


@contextmanager
def _compiled_where_it_pays(analyzer: SortingAnalyzer) -> Iterator[None]:
    """Let the library group spikes by unit in NumPy, which it does without numba, where few are.

    A second of compiling in each sort is more than most sorts' metrics take.
    """
    has_compiler = sorting_tools.HAVE_NUMBA
    work = len(analyzer.unit_ids) * len(analyzer.sorting.to_spike_vector())
    sorting_tools.HAVE_NUMBA = has_compiler and work > _MOST_INTERPRETED
    try:
        yield
    finally:
        sorting_tools.HAVE_NUMBA = has_compiler


def _failures(caught: Sequence[warnings.WarningMessage]) -> Iterator[tuple[str, str]]:
    for warning in caught:
        if found := _FAILED.match(str(warning.message)):
            yield found[1], " ".join(found[2].split())[:300]


def _measure_each(analyzer: SortingAnalyzer, extension: Any, metric: str) -> bool:
    """Measure one metric of each unit by itself; True where any has it.

    The library leaves a metric empty for all units where it fails for one, such as one without a
    waveform. It has no public way to ask for some units only.
    """
    kept = extension.data["metrics"]
    for unit_id in analyzer.unit_ids:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found, *_ = extension._compute_metrics(
                    analyzer, unit_ids=[unit_id], metric_names=[metric]
                )
            except _RAISED:
                continue
        for column in found.columns:
            kept.loc[unit_id, column] = found[column].iloc[0]
    columns = list(extension.get_metric_by_name(metric).metric_columns)
    return bool(kept[columns].notna().to_numpy().any())


def read_library_metrics(analyzer: SortingAnalyzer) -> LibraryMetrics:
    """Return what SpikeInterface measured when the sort was made; of an earlier sort nothing.

    Raises ValueError where the numbers are those of other units, or none.
    """
    values: dict[str, NDArray[np.float64]] = {}
    reasons: dict[str, str] = {}
    for name, metrics in _METRICS.items():
        extension = analyzer.get_extension(name)
        data = {} if extension is None else extension.data
        told = data.get(_NOT_MEASURED)
        frame = data.get("metrics")
        if frame is not None and len(frame) != len(analyzer.unit_ids):
            raise ValueError(f"{name} of {len(frame)} units, not {len(analyzer.unit_ids)}")
        for metric, (_, columns) in metrics.items():
            reason = told.get(metric) if isinstance(told, dict) else None
            for column in columns:
                found = _column(frame, column)
                if np.isfinite(found).any():
                    values[_RENAMED.get(column, column)] = found
                elif reason or frame is None:
                    why = str(reason)[:300] if reason else "not measured by this sort"
                    reasons[_RENAMED.get(column, column)] = why
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
        for metrics in _METRICS.values()
        for _, columns in metrics.values()
        for column in columns
    )
