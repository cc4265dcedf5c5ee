"""What the service must know of each backend without importing it: pure data.

The controller picks slots by it, the runner's parent parses progress by it, ``doctor`` prints it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ProgressRule:
    """A log line that says where the sorter is.

    ``pattern`` is searched in each line. ``step`` names the stage and ``fraction`` how much of the
    whole sort lies behind it. Named groups ``done`` and ``total`` (a batch counter) or ``percent``
    move inside the step.
    """

    pattern: re.Pattern[str]
    step: str
    fraction: float
    spikes_group: bool = False


@dataclass(frozen=True)
class LadderStep:
    """One parameter change a backend offers for a cause.

    ``result_neutral`` steps cannot change spikes; the others need opt-in and are stamped.
    """

    cause: str
    changes: dict[str, Any]
    result_neutral: bool


@dataclass(frozen=True)
class BackendInfo:
    """One row of the catalogue."""

    name: str
    title: str
    extra: str
    distribution: str
    uses_gpu: bool
    min_channels: int = 1
    min_duration_s: float = 0.0
    progress: tuple[ProgressRule, ...] = ()
    ladder: tuple[LadderStep, ...] = ()
    log_names: tuple[str, ...] = ()


def _rule(pattern: str, step: str, fraction: float) -> ProgressRule:
    return ProgressRule(re.compile(pattern), step, fraction)


BACKENDS: dict[str, BackendInfo] = {
    info.name: info
    for info in (
        BackendInfo(
            "kilosort4", "Kilosort 4", "kilosort4", "kilosort", uses_gpu=True, min_duration_s=3.0
        ),
        BackendInfo("lupin", "Lupin", "sorters", "spikeinterface", uses_gpu=False),
        BackendInfo(
            "spykingcircus2", "Spyking Circus 2", "sorters", "spikeinterface", uses_gpu=False
        ),
        BackendInfo("tridesclous2", "Tridesclous 2", "sorters", "spikeinterface", uses_gpu=False),
        BackendInfo("mountainsort5", "MountainSort 5", "sorters", "mountainsort5", uses_gpu=False),
    )
}
