"""What the controller is asked to do with runs, and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spikefleet.core.attempts import Stage
from spikefleet.core.ids import BatchId, RecordingId, RunId
from spikefleet.core.runs import Run

if TYPE_CHECKING:  # a rig's client imports no configuration
    from spikefleet.core.config.sorting import SortingConfig


@dataclass(frozen=True)
class BatchWish:
    """Runs to make: ``streams`` are (recording id, stream) in order, ``config`` is resolved.

    ``owner`` is whose runs they become; an idempotency key counts among its owner's only.
    """

    streams: Sequence[tuple[RecordingId, str]]
    config: SortingConfig
    idempotency_key: str = ""
    submitter: str = ""
    label: str = ""
    owner: str = ""


@dataclass(frozen=True)
class BatchAnswer:
    """A batch with its runs in submission order, and which of them were there before."""

    batch_id: BatchId
    runs: tuple[Run, ...]
    summary: str = ""
    existing_run_ids: tuple[RunId, ...] = ()
    restarted_run_ids: tuple[RunId, ...] = ()


@dataclass(frozen=True)
class RetryWish:
    """A run to start again; ``force`` sorts once more although its result is complete."""

    run_id: RunId
    stage: Stage | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    force: bool = False
