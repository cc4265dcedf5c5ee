"""SpikeLab's RT-Sort on one recording, on a CPU; run by the Python that has SpikeLab.

As published it cannot run without CUDA, nor beside this SpikeInterface. What is changed here is
where things are computed and found, never what: the device is the CPU wherever CUDA is the default,
weights are loaded onto it, and names that SpikeInterface gave up are put back. With ``bfloat16``
as a last word the network is run in that, which changes its scores by next to nothing: for what it
finds, not for what it costs.
"""

from __future__ import annotations

import json
import resource
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spikeinterface.preprocessing import scale_to_uV

from bench.rt_sort_recordings import load
from bench.rt_sort_scores import score, sorting_of
from bench.spikelab_names import accept_return_scaled, name_readers

name_readers()  # before they are imported

from spikelab.spike_sorting.rt_sort import _algorithm  # noqa: E402
from spikelab.spike_sorting.rt_sort.model import ModelSpikeSorter  # noqa: E402

# The limits of its Neuropixels preset, with the thresholds of the MEA network.
TIGHT = {
    "max_latency_diff_spikes": 2.5,
    "max_latency_diff_sequences": 2.5,
    "max_amp_median_diff_spikes": 0.45,
    "max_amp_median_diff_sequences": 0.45,
    "max_root_amp_median_std_sequences": 2.5,
}
PARAMETERS = {"tight": TIGHT, "mea": {}, "neuropixels": _algorithm.neuropixels_params}


def sort(name: str, limits: str, model_folder: Path, out: Path) -> dict[str, Any]:
    """Sort one recording; CPU seconds of this process and its children, bytes on disk, scores."""
    _stay_on_the_cpu(model_folder, out / "model")
    known = load(name)
    microvolts = scale_to_uV(known.filtered)
    started_s = _cpu_s()
    sorter = _algorithm.detect_sequences(
        recording=microvolts,
        inter_path=out / "inter",
        detection_model=ModelSpikeSorter.load(out / "model"),
        device="cpu",
        num_processes=2,
        verbose=False,
        **PARAMETERS[limits],
    )
    detected_s = _cpu_s()
    found = sorter.sort_offline(
        recording=microvolts,
        inter_path=out / "inter",
        return_spikeinterface_sorter=True,
        verbose=False,
    )
    ended_s = _cpu_s()
    spikes = found.to_spike_vector()
    sorting = sorting_of(
        spikes["sample_index"], spikes["unit_index"], known.truth.sampling_frequency
    )
    return {
        "cpu_s": round(ended_s - started_s, 1),
        "detect_cpu_s": round(detected_s - started_s, 1),
        "disk_mb": round(_bytes(out / "inter") / 1e6, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "score": score(known.truth, sorting),
    }


def _stay_on_the_cpu(model_folder: Path, copy: Path) -> None:
    copy.mkdir(parents=True)
    document = json.loads((model_folder / "init_dict.json").read_text())
    (copy / "init_dict.json").write_text(json.dumps(document | {"device": "cpu"}))
    (copy / "state_dict.pt").write_bytes((model_folder / "state_dict.pt").read_bytes())
    accept_return_scaled()
    torch.load = partial(torch.load, map_location="cpu")
    initial = _algorithm.RTSort.__init__

    def on_cpu(self: Any, *args: Any, **kwargs: Any) -> None:
        initial(self, *args, **{**kwargs, "device": "cpu"})

    _algorithm.RTSort.__init__ = on_cpu


class _Network(torch.nn.Module):
    """The same layers over a picture of one row, channels last, in bfloat16."""

    def __init__(self, layers: torch.nn.Sequential) -> None:
        super().__init__()
        flat = []
        for layer in layers:
            if not isinstance(layer, torch.nn.Conv1d):
                flat.append(layer)
                continue
            wide = torch.nn.Conv2d(layer.in_channels, layer.out_channels, (1, layer.kernel_size[0]))
            wide.weight.data = layer.weight.data.float().unsqueeze(2)
            wide.bias.data = layer.bias.data.float()
            flat.append(wide)
        self.layers = torch.nn.Sequential(*flat).to(
            dtype=torch.bfloat16, memory_format=torch.channels_last
        )

    def forward(self, traces: torch.Tensor) -> torch.Tensor:
        picture = traces.to(torch.bfloat16).unsqueeze(2)
        found = self.layers(picture.contiguous(memory_format=torch.channels_last))
        return found.squeeze(2).to(torch.float16)


def _run_in_bfloat16() -> None:
    def compiled(self: ModelSpikeSorter, *_: Any, **__: Any) -> _Network:
        return _Network(self.model.conv)

    ModelSpikeSorter.compile = compiled
    initial = _algorithm.RTSort.__init__

    def faster(self: Any, sequences: Any, model: Any, *args: Any, **kwargs: Any) -> None:
        initial(self, sequences, model, *args, **kwargs)
        self.model = _Network(model.model.conv)

    _algorithm.RTSort.__init__ = faster


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    np.seterr(all="ignore")
    name, limits, model, target, *kind = sys.argv[1:]
    if kind == ["bfloat16"]:
        _run_in_bfloat16()
    print(json.dumps(sort(name, limits, Path(model), Path(target))))
