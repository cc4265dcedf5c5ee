"""Units that several sorts of one recording agree on, with what supports each.

A unit of the first sort is supported by another that has a unit of the same spikes. Decides nothing
about which unit is good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spikefleet.signal.preparing.timeline import Timeline
from spikefleet.signal.units.agreement import DELTA_MS, compare_sortings
from spikefleet.signal.units.by_hand import HandCuration, HandVerdict, train_digest
from spikefleet.signal.units.fetched_results import FetchedResults, FetchedUnit
from spikefleet.signal.units.unit_data import IntArray

LEAST_AGREEMENT = 0.5


@dataclass(frozen=True)
class UnitSupport:
    """A unit of another sort that a unit agrees with, and how far (0 to 1)."""

    run_id: str
    unit_id: str
    agreement: float

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return asdict(self)


def find_support(
    first: Mapping[str, IntArray],
    others: Mapping[str, Mapping[str, IntArray]],
    sampling_rate_hz: float,
    *,
    least_agreement: float = LEAST_AGREEMENT,
    delta_ms: float = DELTA_MS,
) -> dict[str, tuple[UnitSupport, ...]]:
    """Return of every unit of ``first`` who supports it, in the order of ``others`` (by run).

    Units are matched one to one with each of the others; trains are ascending, on one clock.
    """
    found: dict[str, list[UnitSupport]] = {unit: [] for unit in first}
    for run_id, trains in others.items():
        agreed = compare_sortings(first, trains, sampling_rate_hz, delta_ms=delta_ms)
        for pair in agreed.units:
            if pair.first is None or pair.second is None or pair.agreement < least_agreement:
                continue
            found[pair.first].append(UnitSupport(run_id, pair.second, round(pair.agreement, 6)))
    return {unit: tuple(support) for unit, support in found.items()}


def agreed_curation(
    results: Mapping[str, FetchedResults], *, least_agreement: float, least_runs: int
) -> tuple[HandCuration, dict[str, tuple[UnitSupport, ...]]]:
    """Return the curation of the first of ``results`` (by run) by what the others have, too.

    With the support of each of its curated units. Only what all have sorted is compared.
    """
    first = next(iter(results.values()))
    timelines = [result.timeline for result in results.values() if result.timeline is not None]
    trains = {
        run_id: {
            unit_id: _within(unit.spike_frames, timelines)
            for unit_id, unit in result.curated.items()
        }
        for run_id, result in results.items()
    }
    own = next(iter(trains))
    rate_hz = timelines[0].sampling_rate_hz
    support = find_support(trains.pop(own), trains, rate_hz, least_agreement=least_agreement)
    replaced = first.edits.replaced
    verdicts = {
        unit_id: _verdict(unit, len(support.get(unit_id, ())) + 1, least_runs)
        for unit_id, unit in first.units.items()
        if unit_id not in replaced
    }
    told = {unit: [one.to_json() for one in those] for unit, those in support.items()}
    made = first.edits.made_from
    digests = {
        unit_id: train_digest(timelines[0].to_sorted(unit.spike_frames))
        for unit_id, unit in first.units.items()
        if unit_id not in made
    }
    return HandCuration("consensus", first.edits, verdicts, digests, told), support


def _verdict(unit: FetchedUnit, n_sorts: int, least_runs: int) -> HandVerdict:
    label = str(unit.metrics.get("label") or "")
    if unit.passed and n_sorts >= least_runs:
        return HandVerdict(passed=True, label=label)
    reason = unit.failed_on or f"in fewer than {least_runs} sorts"
    return HandVerdict(passed=False, reason=reason, label=label)


def _within(frames: IntArray, timelines: Sequence[Timeline]) -> IntArray:
    for timeline in timelines:
        frames = frames[timeline.to_sorted(frames) >= 0]
    return frames
