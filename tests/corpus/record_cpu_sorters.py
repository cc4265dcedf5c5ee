"""Record how the sorters for CPUs fail: ``python -m tests.corpus.record_cpu_sorters``.

They are called as the runner calls them, but for the look at the signal that comes before: only so
do they meet silence themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from probeinterface import Probe
from spikeinterface.core import NumpyRecording

from spikefleet.signal.measuring.activity import CrossingTally
from spikefleet.signal.sorters import stages
from spikefleet.signal.sorters.base import SortRequest, load_backend
from tests.corpus.capture import record
from tests.corpus.signals import RATE_HZ, SIGNALS, UV_PER_CODE, positions_um

BACKENDS = ("lupin", "spykingcircus2", "tridesclous2", "mountainsort5")


def recording(signal: str, *, with_probe: bool = True, channels: int | None = None) -> Any:
    """Return the signal as a recording in memory."""
    traces = SIGNALS[signal]()
    traces = traces if channels is None else traces[:, :channels]
    found = NumpyRecording([traces], RATE_HZ)
    found.set_channel_gains(1.0 if traces.dtype.kind == "f" else UV_PER_CODE)
    found.set_channel_offsets(0.0)
    if with_probe:
        probe = Probe(ndim=2, si_units="um")
        probe.set_contacts(positions_um()[: traces.shape[1]], shapes="circle")
        probe.set_device_channel_indices(np.arange(traces.shape[1]))
        found.set_probe(probe, in_place=True)
    return found


def sort(backend: str, made: Any, folder: Path, params: dict[str, Any]) -> None:
    """Sort without looking at the signal before; raises what the sorter raises."""
    stages.require_activity = lambda _recording, _sorter: CrossingTally(0, 0, 0.0, 0.0)
    on_disk = made.save(folder=folder / "prepared", verbose=False)
    load_backend(backend).sort(SortRequest(on_disk, folder / "sorter", params))


VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "silent": ({"signal": "silent"}, {}),
    "noise": ({"signal": "noise"}, {}),
    "three_spikes": ({"signal": "three_spikes"}, {}),
    "nan": ({"signal": "nan"}, {}),
    "no_probe": ({"signal": "one_second", "with_probe": False}, {}),
    "one_channel": ({"signal": "one_second", "channels": 1}, {}),
    "unknown_parameter": ({"signal": "one_second"}, {"foo": 1}),
}


def cases(backend: str) -> dict[str, tuple[Callable[[Path], None], dict[str, Any]]]:
    """Every case as a function of its folder, with what is known of it before."""

    def run(folder: Path, made: dict[str, Any], params: dict[str, Any]) -> None:
        sort(backend, recording(**made), folder, params)

    return {
        name: (
            lambda folder, made=made, params=params: run(folder, made, params),
            {"signal": made["signal"], "sorter_params": params},
        )
        for name, (made, params) in VARIANTS.items()
    }


if __name__ == "__main__":
    for wanted in BACKENDS:
        record(wanted, cases(wanted), names=sys.argv[1:])
