"""What the service must know of each backend without importing it: pure data.

The controller picks slots and ladder steps by it, the runner's parent parses progress by it,
``doctor`` prints it. The rules were read off the sorters' own logs; tests hold them to excerpts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ProgressRule:
    """A log line that says where the sorter is.

    ``pattern`` is searched in each line. ``step`` names the stage and ``fraction`` how much of the
    whole sort lies behind it; an empty step only reads the line's count. Groups ``done`` and
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
class BackendInfo:
    """One row of the catalogue.

    ``suited_from`` is the number of contacts on one shank from which it finds units well: with
    fewer it runs, and merges neurons. ``log_names`` are the sorter's own logs, relative to the
    attempt's ``sorter`` folder.
    """

    name: str
    title: str
    extra: str
    distribution: str
    uses_gpu: bool
    min_channels: int = 1
    suited_from: int = 1
    min_duration_s: float = 0.0
    progress: tuple[ProgressRule, ...] = ()
    ladder: tuple[LadderStep, ...] = ()
    log_names: tuple[str, ...] = ()


def _rule(pattern: str, step: str, fraction: float) -> ProgressRule:
    compiled = re.compile(pattern)
    return ProgressRule(compiled, step, fraction, "spikes" in compiled.groupindex)


# Shares measured on CPU and on the stored output of a 90 s Neuropixels sort on a GPU.
_KILOSORT4 = (
    _rule(r"Computing preprocessing variables", "preprocess", 0.0),
    _rule(r"Computing drift correction", "drift", 0.02),
    _rule(r"Extracting spikes using templates", "detect", 0.28),
    _rule(r"First clustering", "first clustering", 0.58),
    _rule(r"Extracting spikes using cluster waveforms", "extract", 0.70),
    _rule(r"(?P<spikes>\d+) spikes extracted in", "", 0.0),
    _rule(r"Final clustering", "final clustering", 0.80),
    _rule(r"Merging clusters", "merge", 0.94),
    _rule(r"Saving to phy", "save", 0.98),
)

# How much smaller batches get when memory ran out is the policy's matter.
_KILOSORT4_LADDER = (
    LadderStep("gpu_out_of_memory", {"clear_cache": True}, result_neutral=True),
    # Templates are learnt from every 25th batch: shorter batches look at more moments.
    LadderStep("parameter_sensitive", {"batch_size": 15000}, result_neutral=False),
    LadderStep(
        "parameter_sensitive", {"batch_size": 15000, "Th_single_ch": 5}, result_neutral=False
    ),
)

_LUPIN = (
    _rule(r"^(write_memory|write_binary|write_zarr)\b", "preprocess", 0.0),
    _rule(r"^get protoype waveforms", "prototype", 0.05),
    _rule(r"^detect peaks", "detect", 0.10),
    _rule(r"detect_peaks\(\): (?P<spikes>\d+) peaks found", "", 0.0),
    _rule(r"^Fit peaks svd", "features", 0.30),
    _rule(r"^Transform peaks svd", "features", 0.35),
    _rule(r"^split_clusters", "cluster", 0.40),
    _rule(r"^estimate_templates", "templates", 0.65),
    _rule(r"^find spikes", "match", 0.70),
)

_TRIDESCLOUS2 = (
    _rule(r"^(write_memory|write_binary|write_zarr)\b", "preprocess", 0.0),
    _rule(r"^detect peaks", "detect", 0.08),
    _rule(r"detect_peaks\(\): (?P<spikes>\d+) peaks found", "", 0.0),
    _rule(r"^Fit peaks svd", "features", 0.20),
    _rule(r"^Transform peaks svd", "features", 0.28),
    _rule(r"^split_clusters", "cluster", 0.35),
    _rule(r"^estimate_templates", "templates", 0.65),
    _rule(r"^find spikes", "match", 0.70),
)

_SPYKINGCIRCUS2 = (
    _rule(r"^Preprocessing the recording", "preprocess", 0.0),
    _rule(r"^(write_memory|write_binary|write_zarr)\b", "preprocess", 0.03),
    _rule(r"^get protoype waveforms", "prototype", 0.10),
    _rule(r"^detect peaks", "detect", 0.15),
    _rule(r"Found (?P<spikes>\d+) (peaks in total|spikes)", "", 0.0),
    _rule(r"^Fit peaks svd", "features", 0.35),
    _rule(r"^Transform peaks svd", "features", 0.42),
    _rule(r"^split_clusters", "cluster", 0.50),
    _rule(r"Kept \d+ raw clusters", "templates", 0.62),
    _rule(r"^find spikes", "match", 0.68),
    _rule(r"Kept \d+ units after final merging", "merge", 0.98),
)

_MOUNTAINSORT5 = (
    _rule(r"^filtering$", "preprocess", 0.0),
    _rule(r"^(write_memory|write_binary|write_zarr)\b", "preprocess", 0.02),
    _rule(r"^Running phase 1 sorting", "detect", 0.25),
    _rule(r"^Detected (?P<spikes>\d+) spikes", "", 0.0),
    _rule(r"^Isosplit6 clustering", "cluster", 0.35),
    _rule(r"^Computing templates", "templates", 0.45),
    _rule(r"^Training classifier", "train", 0.50),
    _rule(r"^Time chunk \d+ of \d+", "classify", 0.65),
    _rule(
        r"Scheme 2 detected (?P<spikes>\d+) spikes in chunk (?P<done>\d+) of (?P<total>\d+)",
        "classify",
        0.65,
    ),
    _rule(r"^Concatenating results", "save", 0.98),
)

BACKENDS: dict[str, BackendInfo] = {
    info.name: info
    for info in (
        BackendInfo(
            "kilosort4",
            "Kilosort 4",
            "kilosort4",
            "kilosort",
            uses_gpu=True,
            # Measured on simulated recordings of two neurons: with one electrode it finds no spikes
            # to learn its templates from. The others sort one (MountainSort 5: accuracy 0.96).
            min_channels=2,
            # Of two neurons on each of four tetrodes it made four units, each of both neurons.
            suited_from=8,
            min_duration_s=3.0,
            progress=_KILOSORT4,
            ladder=_KILOSORT4_LADDER,
            log_names=("sorter_output/kilosort4.log",),
        ),
        BackendInfo("lupin", "Lupin", "sorters", "spikeinterface", uses_gpu=False, progress=_LUPIN),
        BackendInfo(
            "spykingcircus2",
            "Spyking Circus 2",
            "sorters",
            "spikeinterface",
            uses_gpu=False,
            progress=_SPYKINGCIRCUS2,
        ),
        BackendInfo(
            "tridesclous2",
            "Tridesclous 2",
            "sorters",
            "spikeinterface",
            uses_gpu=False,
            progress=_TRIDESCLOUS2,
        ),
        BackendInfo(
            "mountainsort5",
            "MountainSort 5",
            "sorters",
            "mountainsort5",
            uses_gpu=False,
            progress=_MOUNTAINSORT5,
        ),
    )
}
