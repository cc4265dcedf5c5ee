"""Record how Kilosort 4 fails: ``python -m tests.corpus.record_kilosort4`` (minutes of CPU).

Every case runs in a process of its own and leaves what the runner's child would leave: the document
of the exception, the log, and what was measured of the recording. Paths are made the same for every
machine. The tests read the result; only a new release of Kilosort needs a new recording.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kilosort.run_kilosort import run_kilosort

from tests.corpus.capture import record
from tests.corpus.signals import N_CHANNELS, RATE_HZ, SIGNALS, positions_um


@dataclass(frozen=True)
class Case:
    """One call of Kilosort. ``settings`` and ``arguments`` are added to those of a good call."""

    signal: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    probe: Mapping[str, Any] = field(default_factory=dict)
    without: str = ""
    full_disk: bool = False


def probe(**changed: Any) -> dict[str, Any]:
    """Return the probe as Kilosort wants it."""
    where = positions_um().astype(np.float32)
    return {
        "xc": where[:, 0].copy(),
        "yc": where[:, 1].copy(),
        "kcoords": np.zeros(N_CHANNELS, dtype=np.float32),
        "chanMap": np.arange(N_CHANNELS, dtype=np.int32),
        "n_chan": N_CHANNELS,
        **changed,
    }


_ONE_PLACE = {"xc": np.zeros(N_CHANNELS, np.float32), "yc": np.zeros(N_CHANNELS, np.float32)}
_LARGER = {
    "xc": np.zeros(32, np.float32),
    "yc": np.arange(32, dtype=np.float32) * 20,
    "kcoords": np.zeros(32, np.float32),
    "chanMap": np.arange(32, dtype=np.int32),
    "n_chan": 32,
}

CASES: dict[str, Case] = {
    "silent": Case("silent"),
    "silent_with_drift": Case("silent", {"nblocks": 1}),
    "flat": Case("flat"),
    "flat_without_reference": Case("flat", arguments={"do_CAR": False}),
    "saturated": Case("saturated"),
    "one_lsb": Case("one_lsb"),
    "noise": Case("noise"),
    "volts": Case("volts", arguments={"data_dtype": "float32"}),
    "artifact_threshold": Case("active", {"artifact_threshold": 1.0}),
    "threshold_of_one_channel": Case("active", {"Th_single_ch": 1000}),
    "one_place": Case("active", probe=_ONE_PLACE),
    "one_channel_left": Case("active", arguments={"bad_channels": list(range(1, 16))}),
    "quiet_start": Case("quiet_start"),
    "isolation": Case("isolation"),
    "universal_threshold_with_drift": Case("active", {"Th_universal": 1000, "nblocks": 1}),
    "universal_threshold": Case("active", {"Th_universal": 1000}),
    "learned_threshold": Case("active", {"Th_learned": 1000}),
    "one_spike": Case("one_spike"),
    "three_spikes": Case("three_spikes"),
    "five_spikes": Case("five_spikes"),
    "many_templates": Case("active", {"n_templates": 5000}),
    "all_channels_excluded": Case("active", arguments={"bad_channels": list(range(16))}),
    "shorter_than_a_batch": Case("one_second"),
    "batch_longer_than_the_recording": Case("active", {"batch_size": 1_800_000}),
    "empty": Case("empty"),
    "window_past_the_end": Case("active", {"tmin": 60.0}),
    "nan": Case("nan", arguments={"data_dtype": "float32"}),
    "wrong_dtype": Case("active", arguments={"data_dtype": "float32"}),
    "wrong_channel_count": Case("active", {"n_chan_bin": 17}),
    "larger_probe": Case("active", probe=_LARGER),
    "channel_map_from_one": Case("active", probe={"chanMap": np.arange(1, 17, dtype=np.int32)}),
    "unknown_bad_channel": Case("active", arguments={"bad_channels": [99]}),
    "empty_shank": Case("active", arguments={"shank_idx": 7}),
    "missing_file": Case("active", arguments={"filename": Path("/scratch/none.bin")}),
    "results_not_writable": Case("active", arguments={"results_dir": Path("/proc/none")}),
    "results_full": Case("active", full_disk=True),
    "gpu_on_a_cpu_build": Case("active", arguments={"device": torch.device("cuda")}),
    "no_sampling_rate": Case("active", {"fs": 0.0}),
    "download_without_network": Case("active", {"templates_from_data": False, "nt": 61}),
    "unknown_setting": Case("active", {"foo": 1}),
    "even_nt": Case("active", {"nt": 60}),
    "no_channel_count": Case("active", without="n_chan_bin"),
    "probe_of_unknown_kind": Case("active", arguments={"probe_name": "/scratch/probe.txt"}),
    "probe_of_unequal_lengths": Case("active", probe={"xc": np.zeros(3, np.float32)}),
    "fit_for_comparison": Case("active"),
}


def run(case: Case, folder: Path) -> None:
    """Call Kilosort as the case says; raises what it raises."""
    binary = folder / "recording.bin"
    SIGNALS[case.signal]().tofile(binary)
    settings: dict[str, Any] = {"n_chan_bin": N_CHANNELS, "fs": RATE_HZ, "nblocks": 0}
    settings |= case.settings
    settings.pop(case.without, None)
    arguments: dict[str, Any] = {
        "filename": binary,
        "results_dir": folder / "sorter_output",
        "probe": probe(**case.probe),
        "data_dtype": "int16",
        "device": torch.device("cpu"),
        "do_CAR": True,
        "torch_thread_lim": 1,
    }
    arguments |= case.arguments
    if "probe_name" in arguments:
        del arguments["probe"]
    if case.full_disk:
        with _small_disk(folder / "disk") as disk:
            run_kilosort(settings=settings, **arguments | {"results_dir": disk / "results"})
    else:
        run_kilosort(settings=settings, **arguments)


@contextmanager
def _small_disk(place: Path) -> Iterator[Path]:
    """A disk of 300 kB; only root may mount one."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def cases() -> dict[str, tuple[Callable[[Path], None], dict[str, Any]]]:
    """Every case as a function of its folder, with what is known of it before."""
    return {
        name: (
            lambda folder, case=case: run(case, folder),
            {
                "signal": case.signal,
                "one_place": case.probe is _ONE_PLACE,
                "sorter_params": {
                    key: value
                    for key, value in {**case.settings, **case.arguments}.items()
                    if isinstance(value, int | float | list) and key not in ("n_chan_bin", "fs")
                },
            },
        )
        for name, case in CASES.items()
    }


if __name__ == "__main__":
    record("kilosort4", cases(), names=sys.argv[1:])
