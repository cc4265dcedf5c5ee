"""How well a sort found what a recording is known to hold, counted as the reference's was."""

from __future__ import annotations

from typing import Any

import numpy as np
import spikeinterface.core as si
from spikeinterface.comparison import compare_sorter_to_ground_truth

DELTA_MS = 0.4
WELL = 0.8


def score(truth: si.BaseSorting, found: si.BaseSorting) -> dict[str, Any]:
    """Return means over the true units (0 where one is not matched), counts, and events.

    Events are all spikes, whosever they are: ``event_recall`` is the share of true ones within
    0.4 ms of a found one, each used once, ``event_precision`` the share of found ones.
    """
    found = found.remove_empty_units()
    n_true, n_found = len(truth.unit_ids), len(found.unit_ids)
    events = _events(truth, found)
    if n_found == 0:
        nothing = dict.fromkeys(("accuracy", "precision", "recall"), 0.0)
        return {"found": 0, "true": n_true, **nothing, "units_well": 0, **events}
    comparison = compare_sorter_to_ground_truth(
        truth, found, delta_time=DELTA_MS, exhaustive_gt=True
    )
    units = comparison.get_performance(method="by_unit", output="pandas").fillna(0.0)
    return {
        "found": n_found,
        "true": n_true,
        **{
            name: round(float(units[name].mean()), 3)
            for name in ("accuracy", "precision", "recall")
        },
        "units_well": int((units["accuracy"] >= WELL).sum()),
        **events,
        "false_positive_units": comparison.count_false_positive_units(),
        "redundant_units": comparison.count_redundant_units(),
        "overmerged_units": comparison.count_overmerged_units(),
    }


def sorting_of(
    samples: np.ndarray, units: np.ndarray, rate_hz: float, n_units: int | None = None
) -> si.BaseSorting:
    """Return spikes (flat, in any order) as a sorting; units are numbers."""
    order = np.argsort(samples, kind="stable")
    ids = np.arange(n_units) if n_units is not None else np.unique(units)
    return si.NumpySorting.from_samples_and_labels(
        [samples[order].astype(np.int64)], [units[order].astype(np.int64)], rate_hz, unit_ids=ids
    )


def _events(truth: si.BaseSorting, found: si.BaseSorting) -> dict[str, float]:
    true, seen = (np.sort(each.to_spike_vector()["sample_index"]) for each in (truth, found))
    within = round(DELTA_MS / 1000 * truth.sampling_frequency)
    hits = at = 0
    for sample in true:  # both in order: the earliest that is left is the one to use
        while at < len(seen) and seen[at] < sample - within:
            at += 1
        if at < len(seen) and seen[at] <= sample + within:
            hits, at = hits + 1, at + 1
    return {
        "event_recall": round(hits / max(len(true), 1), 3),
        "event_precision": round(hits / max(len(seen), 1), 3),
    }
