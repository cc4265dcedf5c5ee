"""The results of several files that were sorted as one, apart again.

Opens nothing: a timeline and the spikes are all it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikefleet.signal.preparing.timeline import Timeline

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class FileResult:
    """The part of a result that belongs to one file.

    ``trains`` are each unit's spikes as frames of the file, one entry per unit, possibly empty.
    ``n_samples`` is the file's length and ``n_kept`` how many of its frames were sorted, whatever
    the last spike's time: rates divide by what was sorted.
    """

    name: str
    n_samples: int
    n_kept: int
    trains: Mapping[object, NDArray[np.int64]]


def split_trains(trains: Mapping[object, ArrayLike], timeline: Timeline) -> tuple[FileResult, ...]:
    """Return the result of each file, in order; those without a spike or a sorted frame too.

    ``trains`` are each unit's sorted samples, in any order; order and repeats are kept.

    Raises:
        ValueError: a spike is outside what was sorted.
    """
    placed = {unit: timeline.locate(samples) for unit, samples in trains.items()}
    kept = [0] * len(timeline.files)
    for index, (start, end) in timeline.pieces():
        kept[index] += end - start
    return tuple(
        FileResult(
            name=file.name,
            n_samples=file.n_samples,
            n_kept=kept[index],
            trains={unit: frames[where == index] for unit, (where, frames) in placed.items()},
        )
        for index, file in enumerate(timeline.files)
    )
