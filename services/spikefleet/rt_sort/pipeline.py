"""From a recording to sequences and from sequences to spikes: the order of the steps.

The network runs once over everything that is sorted; sequences are found in the first part of it
(the detection window). Counts are told as they come, for the log.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from spikefleet.rt_sort.assignment import Assigner, Assignment
from spikefleet.rt_sort.detections import DetectionStore, stringent
from spikefleet.rt_sort.events import RootEvents
from spikefleet.rt_sort.fixed import FixedSequences
from spikefleet.rt_sort.merging import merge_twice
from spikefleet.rt_sort.rates import logit
from spikefleet.rt_sort.sequences import Sequence, SortingGround, measure
from spikefleet.rt_sort.splitting import Activity, Group, split_root


@dataclass(frozen=True)
class DetectionWindow:
    """The part of a scanned window that sequences are found in: its end, in frames and s.

    ``tell`` is given a line after each step, in the words that RT-Sort's users know.
    """

    end: int
    duration_s: float
    workers: int = 1
    tell: Callable[[str], None] = field(default=lambda _: None)


def find_sequences(
    events: RootEvents, store: DetectionStore, around: SortingGround, window: DetectionWindow
) -> list[Sequence]:
    """Return the sequences of the detection window, sorted by root electrode; none is a result."""
    groups = _preliminary(events, store, around, window)
    window.tell(f"Detected {len(groups)} preliminary propagation sequences")
    kept = [item for item in measure(groups, store, around) if around.is_kept(item)]
    window.tell(f"{len(kept)} sequences remain after they were measured")
    if not kept:
        return []
    kept = _reassigned(kept, store, around, window)
    window.tell(f"{len(kept)} sequences remain after spikes were assigned again")
    merged = merge_twice(kept, around, window.duration_s)
    window.tell(f"{len(merged)} sequences remain after merging")
    return merged


def _preliminary(
    events: RootEvents, store: DetectionStore, around: SortingGround, window: DetectionWindow
) -> list[Group]:
    array, limits = around.array, around.limits
    threshold = logit(limits.stringent_thresh)
    samples = stringent(store, len(array), threshold, window.end)
    activity = Activity(samples, around.counts, window.duration_s)

    def split(root: int) -> list[Group]:
        return split_root(root, events, activity, array, limits)

    with ThreadPoolExecutor(window.workers, "rt-sort") as pool:
        return [group for groups in pool.map(split, range(len(array))) for group in groups]


def _reassigned(
    sequences: list[Sequence], store: DetectionStore, around: SortingGround, window: DetectionWindow
) -> list[Sequence]:
    fixed = FixedSequences.of(sequences, around)
    trains = Assigner(fixed, around).assign(store, window.end).trains(len(fixed))
    least = around.least_spikes(window.duration_s)
    groups = [
        Group(sequence.root, sequence.splits, frames)
        for sequence, frames in zip(sequences, trains, strict=True)
        if len(frames) >= least
    ]
    return [item for item in measure(groups, store, around) if around.is_kept(item)]


def sort_store(fixed: FixedSequences, store: DetectionStore, around: SortingGround) -> Assignment:
    """Return the spikes of the whole scanned window."""
    return Assigner(fixed, around).assign(store)
