"""Why a sorter finds nothing in an active recording: its settings, its sampling, or its rules.

Kilosort 4 learns its templates from every 25th batch, and only from spikes that stand alone. A
recording can be rich and yet be quiet in those batches, or hold spikes so large that their own
after-wave counts as a neighbour. Its defaults stand in its row and its table of parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spikefleet.core.failures.errors import Failure
from spikefleet.core.sorters.parameters import read_table
from spikefleet.core.sorters.rows.kilosort4 import BATCH, ROW

_RATE_HZ = 30_000.0
_ACTIVE_MOMENTS_HZ = 1.0
# Above their defaults (for the artifact threshold: below infinity) fewer spikes are seen.
_THRESHOLDS = ("artifact_threshold", "Th_single_ch", "Th_universal", "Th_learned", "n_templates")
_ANY_VALUE = ("detect_threshold", "projection_threshold")


def number(value: Any) -> float | None:
    """Return a finite number, also of a truth value; None for everything else."""
    if not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def batch_samples(params: Any) -> int:
    """Return the length of a batch with the parameters that were given, if any were."""
    return BATCH.samples(params if isinstance(params, Mapping) else {})


def harder_setting(failure: Failure, params: Any) -> list[str]:
    """Return the given parameters that let the sorter see less than it would by default."""
    if not isinstance(params, Mapping):
        return []
    given = []
    table = read_table(ROW.name) or {}
    for name in _THRESHOLDS:
        value, default = number(params.get(name)), table[name].default
        if value is not None and (default is None or value > default):
            given.append(name)
    return given + [name for name in _ANY_VALUE if number(params.get(name)) is not None]


def why_still_nothing(failure: Failure, measured: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the rule's name, the parameter to change and the sentence's end, when active."""
    if failure.evidence.get("sorter", ROW.name) != ROW.name:
        return "active", "detect_threshold", "but the sorter built no templates from it."
    if _sampled_batches_are_active(measured):
        return (
            "isolation",
            "Th_single_ch",
            "also where the sorter learns its templates, but no spike there stood alone: large "
            "after-waves or dense firing look like neighbours to it.",
        )
    message = "but not in the moments the sorter learns its templates from."
    return "quiet_window", BATCH.name, message


def _sampled_batches_are_active(measured: Mapping[str, Any]) -> bool:
    """Whether preflight saw activity inside the batches that Kilosort samples."""
    params = measured.get("sorter_params")
    rate_hz = number(measured.get("sampling_rate_hz")) or _RATE_HZ
    batch_s = batch_samples(params) / rate_hz
    moments = seconds = 0.0
    for point in _points(measured.get("activity_over_time")):
        at_s, n_moments, length_s = (number(point.get(k)) for k in ("at_s", "n_moments", "seconds"))
        if at_s is None or n_moments is None or not length_s:
            continue
        if at_s % (BATCH.learns_from_every * batch_s) < batch_s:
            moments, seconds = moments + n_moments, seconds + length_s
    return seconds > 0 and moments / seconds >= _ACTIVE_MOMENTS_HZ


def _points(value: Any) -> Sequence[Mapping[str, Any]]:
    listed = value if isinstance(value, list | tuple) else ()
    return [point for point in listed if isinstance(point, Mapping)]
