"""Sequences as they are sorted by: numbers only, nothing of the spikes that they were made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikefleet.rt_sort.sequences import Sequence, SortingGround


@dataclass(frozen=True)
class FixedSequences:
    """Sequences 0 … n - 1. What belongs to electrodes is one list after the other: those of
    sequence k are ``offsets[k]:offsets[k + 1]``, its root first."""

    roots: NDArray[np.int32]  #: root electrode of each
    required: NDArray[np.int32]  #: electrodes that must see a spike
    spreads: NDArray[np.float32]  #: standard deviation of the amplitude on the root (σ)
    offsets: NDArray[np.int64]  #: where each one's electrodes begin
    electrodes: NDArray[np.int32]  #: those that it is compared on
    loose: NDArray[np.bool_]  #: of these, those that see it
    inner: NDArray[np.bool_]  #: of these, those near the root
    latencies: NDArray[np.float32]  #: mean latency after the root (frames)
    amplitudes: NDArray[np.float32]  #: mean amplitude (σ)
    weights: NDArray[np.float32]  #: median probability: how much each electrode counts

    def __len__(self) -> int:
        return len(self.roots)

    @classmethod
    def of(cls, sequences: list[Sequence], around: SortingGround) -> Self:
        """Return the fixed form of sequences, in their order."""
        orders = []
        for sequence in sequences:
            others = np.flatnonzero(sequence.compared)
            orders.append(np.concatenate([[sequence.root], others[others != sequence.root]]))

        def column(name: str, dtype: Any) -> NDArray[Any]:
            parts = [getattr(item, name)[o] for item, o in zip(sequences, orders, strict=True)]
            return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype=dtype)

        return cls(
            roots=np.array([item.root for item in sequences], dtype=np.int32),
            required=np.array([s.required(around.limits) for s in sequences], dtype=np.int32),
            spreads=np.array([s.spread[s.root] for s in sequences], dtype=np.float32),
            offsets=np.concatenate([[0], np.cumsum([len(o) for o in orders])]).astype(np.int64),
            electrodes=(
                np.concatenate(orders).astype(np.int32) if orders else np.zeros(0, dtype=np.int32)
            ),
            loose=column("loose", np.bool_),
            inner=column("inner", np.bool_),
            latencies=column("latency", np.float32),
            amplitudes=column("amplitude", np.float32),
            weights=column("seen", np.float32),
        )

    def of_sequence(self, index: int) -> slice:
        """Where a sequence's electrodes are."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))
