"""Having SpikeInterface measure the units of a sort, once, beside the analyzer that keeps them.

What the library cannot measure is left empty with its reason, and fails nothing. Metrics for which
only machine code would do are not asked for; ``library_timing`` has them.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spikeinterface.core import get_noise_levels, sorting_tools
from spikeinterface.curation import curation_tools

from spikefleet.signal.units.library_metrics import (
    LIBRARY_RAISES,
    METRICS,
    NOT_MEASURED,
    QUALITY,
    TEMPLATE,
)

if TYPE_CHECKING:
    from spikeinterface.core import SortingAnalyzer

log = logging.getLogger(__name__)

# Fits over channels, which the library itself calls unreliable on fewer.
_OF_MANY_CHANNELS = ("velocity_fits", "exp_decay", "spread")
FEWEST_CHANNELS = 10
_MOST_COMPARED = 200_000_000  # spikes times units: half a second
_MOST_INTERPRETED = 2_000_000  # spikes: half a second
_FAILED = re.compile(r"Error computing metric (\w+): (.*)", re.DOTALL)


def measure_in_library(analyzer: SortingAnalyzer, seed: int) -> None:
    """Have SpikeInterface measure every unit of an analyzer, and keep the results in it.

    Its extensions ``quality_metrics`` and ``template_metrics`` are filled, where any other program
    finds them too. Without units nothing is measured. The same seed gives the same numbers.
    """
    if not len(analyzer.unit_ids):
        return
    if analyzer.has_recording():
        # Kept with the recording, where ``sd_ratio`` finds them; it would draw other pieces.
        get_noise_levels(
            analyzer.recording,
            return_in_uV=analyzer.return_in_uV,
            method="std",
            random_slices_kwargs={"seed": seed},
        )
    is_wide = analyzer.get_num_channels() >= FEWEST_CHANNELS
    for name, options in (
        (QUALITY, {"seed": seed}),
        (TEMPLATE, {"include_multi_channel_metrics": is_wide}),
    ):
        reasons = _out_of_reach(analyzer, name)
        # Those of many channels are added by their option, never by name: then they come twice.
        wanted = [m for m in METRICS[name] if m not in reasons and m not in _OF_MANY_CHANNELS]
        if wanted:
            with _compiled_where_it_pays(analyzer):
                _measure(analyzer, name, wanted, options, reasons)


def _out_of_reach(analyzer: SortingAnalyzer, name: str) -> dict[str, str]:
    """Return why a metric is not asked for at all."""
    reasons = {
        metric: f"needs {need}, which the sort did not keep"
        for metric, (need, _) in METRICS[name].items()
        if need and not analyzer.has_extension(need)
    }
    if name == QUALITY and not analyzer.has_recording():
        reasons["sd_ratio"] = "needs the recording"
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
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            analyzer.compute(name, metric_names=list(wanted), **options)
    except LIBRARY_RAISES as error:
        log.warning("SpikeInterface measured no %s: %s", name, error)
        if analyzer.has_extension(name):
            analyzer.delete_extension(name)
        return
    extension = analyzer.get_extension(name)
    reasons |= {
        metric: reason
        for metric, reason in _failures(caught)
        if not _measure_each(analyzer, extension, metric)
    }
    extension.data[NOT_MEASURED] = reasons
    extension.save()


@contextmanager
def _compiled_where_it_pays(analyzer: SortingAnalyzer) -> Iterator[None]:
    """Let the library run as Python and NumPy, which gives the same, where spikes are few.

    A second of compiling in each sort is more than most sorts' metrics take.
    """
    has_compiler = sorting_tools.HAVE_NUMBA
    compiled = curation_tools._find_duplicated_spikes_keep_first_iterative
    n_spikes = len(analyzer.sorting.to_spike_vector())
    if n_spikes * len(analyzer.unit_ids) <= _MOST_COMPARED:
        sorting_tools.HAVE_NUMBA = False
    if n_spikes <= _MOST_INTERPRETED:
        curation_tools._find_duplicated_spikes_keep_first_iterative = compiled.py_func
    try:
        yield
    finally:
        sorting_tools.HAVE_NUMBA = has_compiler
        curation_tools._find_duplicated_spikes_keep_first_iterative = compiled


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
            except LIBRARY_RAISES:
                continue
        for column in found.columns:
            kept.loc[unit_id, column] = found[column].iloc[0]
    columns = list(extension.get_metric_by_name(metric).metric_columns)
    return bool(kept[columns].notna().to_numpy().any())
