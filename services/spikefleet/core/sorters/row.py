"""What a row of the sorters' catalogue holds: facts, no behaviour beyond reading them.

The controller picks slots and ladder steps by a row, preflight its projection, the runner's parent
its progress, the classifier the sorter's own frames and logs, ``doctor`` prints it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Frames of sorters that are built from SpikeInterface's own parts.
SORTING_COMPONENTS = ("spikeinterface/sorters/internal/", "spikeinterface/sortingcomponents/")
# What the trace writer of SpikeInterface prints before such a sorter begins.
WRITING = r"^(write_memory|write_binary|write_zarr)\b"


@dataclass(frozen=True)
class ProgressRule:
    """A log line that says where the sorter is.

    ``pattern`` is searched in each line. ``step`` names the stage and ``fraction`` how much of the
    whole sort is behind it; an empty step only reads the line's count. Groups ``done`` and
    ``total``, a progress bar on the same line, or an unlabelled one after it, move inside the step.
    With ``spikes_group`` the pattern's group ``spikes`` is a count of spikes.
    """

    pattern: re.Pattern[str]
    step: str
    fraction: float
    spikes_group: bool = False


@dataclass(frozen=True)
class LadderStep:
    """One parameter change a backend offers for a cause.

    ``result_neutral`` steps cannot change spikes; the others need opt-in and are stamped. A batch
    size is the largest the step allows: the policy never raises the one an attempt ran with.
    """

    cause: str
    changes: dict[str, Any]
    result_neutral: bool


@dataclass(frozen=True)
class BatchKnob:
    """The parameter that sets how much of a recording a sorter holds at once, in samples.

    It takes ``default`` where unset and works down to ``smallest``. A sorter that learns its
    templates from a part of its batches learns from every ``learns_from_every``-th; 0: from all.
    """

    name: str
    default: int
    smallest: int
    learns_from_every: int = 0

    def samples(self, params: Mapping[str, Any]) -> int:
        """Return the length of a batch with these parameters of the sorter."""
        given = params.get(self.name)
        is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
        return int(given) if is_number and given and given > 0 else self.default


@dataclass(frozen=True)
class GpuCost:
    """What a sorter takes on a GPU; time is over real time, at so many channels."""

    memory_mb: float
    memory_mb_per_channel: float
    start_s: float
    slowness: float
    channels: int
    least_slowness: float


@dataclass(frozen=True)
class Cost:
    """What a sorter was seen to take on a CPU: a start, and so much for each channel or sample.

    Fitted to whole attempts on one thread (``bench.projection``). ``gpu`` where it can use one.
    """

    memory_mb: float
    memory_mb_per_channel: float
    memory_bytes_per_sample: float
    scratch_mb: float
    scratch_bytes_per_sample: float
    start_s: float
    s_per_megasample: float
    gpu: GpuCost | None = None


@dataclass(frozen=True)
class BackendInfo:
    """One row of the catalogue."""

    #: Name in configurations, and of its files; what people call it.
    name: str
    title: str  #: what people call it
    #: Extra of our package that installs it, and the distribution whose version counts.
    extra: str
    distribution: str  #: whose version counts
    #: Whether it takes a GPU slot.
    uses_gpu: bool
    #: Fewest channels it runs with.
    min_channels: int = 1
    #: Contacts on one shank from which it finds units well: with fewer it merges neurons.
    suited_from: int = 1
    #: Shortest signal it runs with (s).
    min_duration_s: float = 0.0
    #: Where it is, by lines of its log.
    progress: tuple[ProgressRule, ...] = ()
    #: Parameter changes for a retry, by cause, in order.
    ladder: tuple[LadderStep, ...] = ()
    #: Its own logs, relative to the attempt's ``sorter`` folder.
    log_names: tuple[str, ...] = ()
    #: Beginnings of its own files in a traceback.
    packages: tuple[str, ...] = SORTING_COMPONENTS
    #: How much of a recording it holds at once; None where nothing sets it.
    batch: BatchKnob | None = None
    #: What a sort takes; None is not measured, and counted like the most expensive one.
    cost: Cost | None = None


def rule(pattern: str, step: str, fraction: float) -> ProgressRule:
    """Make a progress rule; a group ``spikes`` in the pattern is a count of spikes."""
    compiled = re.compile(pattern)
    return ProgressRule(compiled, step, fraction, "spikes" in compiled.groupindex)
