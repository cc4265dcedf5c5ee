"""Runs a detection model: traces in, one logit per electrode and frame out. The one door to torch.

Electrodes are the batch; inputs are long, the layout is channels-last, whatever the kind of
number. On a CPU with matrix instructions for bfloat16 the three wide layers use it (five times
faster; logits differ from float32 by up to 0.14), elsewhere float32, on a GPU float16.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from spikefleet.core.failures.errors import EnvironmentSortFailure, ModelLoadingError
from spikefleet.rt_sort.detection_model import DetectionModel

Precision = Literal["auto", "float32", "bfloat16", "float16"]
_KINDS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_DAMAGED = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, OSError)
_CPUINFO = Path("/proc/cpuinfo")


def read_weights(path: Path) -> Mapping[str, NDArray[np.float32]]:
    """Return the tensors of a ``state_dict.pt`` by name, as float32.

    Only tensors are read, no code, onto the CPU from whatever device they were saved on. Raises
    ModelLoadingError.
    """
    refusal = f"The detection model's weights {path.name} cannot be read: "
    if not zipfile.is_zipfile(path):
        raise ModelLoadingError(refusal + "the file is no torch archive.", model_path=str(path))
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {str(name): tensor.to(torch.float32).numpy() for name, tensor in state.items()}
    except (UnpicklingError, EOFError, *_DAMAGED) as error:
        told = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ModelLoadingError(refusal + f"{told}.", model_path=str(path)) from error


def pick_precision(wanted: Precision, device: str, cpuinfo: Path = _CPUINFO) -> str:
    """Return the kind of number for a device: bfloat16 only where the CPU multiplies matrices of
    it, float16 on CUDA."""
    if wanted != "auto":
        return wanted
    if device.startswith("cuda"):
        return "float16"
    try:
        flags = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "float32"
    words = set(flags.split())
    return "bfloat16" if words & {"amx_bf16", "avx512_bf16"} else "float32"


class Network:
    """A model on a device, in one kind of number. May be called from several threads at once."""

    def __init__(
        self, model: DetectionModel, device: str = "cpu", precision: Precision = "auto"
    ) -> None:
        """Move the weights. Raises EnvironmentSortFailure for a GPU that torch does not see."""
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise EnvironmentSortFailure(
                "A GPU was asked for, but torch sees none here; repair the driver or sort on the "
                "CPU.",
                device=device,
                torch=str(torch.__version__),
            )
        self.model = model
        self.precision = pick_precision(precision, device)
        self._device = torch.device(device)
        kind = _KINDS[self.precision]
        first, *wide, last = model.layers
        self._first = self._on_device(first[0][:, 0].T, kind), self._on_device(first[1], kind)
        self._wide = [
            (
                self._on_device(weight, kind)
                .unsqueeze(2)  # (out, in, taps) as a picture one row high
                .contiguous(memory_format=torch.channels_last),
                self._on_device(bias, kind),
            )
            for weight, bias in wide
        ]
        self._last = self._on_device(last[0][0], kind), float(last[1][0])

    def _on_device(self, array: NDArray[np.float32], kind: torch.dtype) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(array), device=self._device).to(kind)

    def logits(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return electrodes x (frames - front - end) logits of electrodes x frames in the model's
        own units (µV times input scale and gain)."""
        with torch.inference_mode():
            return self._run(scaled)

    def _run(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        weight, bias = self._first
        taps = self.model.taps
        # One input channel, and further down one output: a matrix product is faster there.
        windows = torch.from_numpy(scaled).to(self._device, weight.dtype).unfold(1, taps, 1)
        electrodes, frames = windows.shape[:2]
        at = torch.addmm(bias, windows.reshape(-1, taps), weight).relu_()
        at = at.view(electrodes, 1, frames, -1).permute(0, 3, 1, 2)
        for weight, bias in self._wide:
            at = functional.conv2d(at, weight, bias).relu_()
        weight, constant = self._last
        frames = at.shape[3] - taps + 1
        rows = at.permute(0, 2, 3, 1).reshape(-1, weight.shape[0])
        of_taps = (rows @ weight).view(electrodes, -1, taps)
        out = torch.full((electrodes, frames), constant, device=self._device)
        for tap in range(taps):
            out += of_taps[:, tap : tap + frames, tap]
        flat: NDArray[np.float32] = out.cpu().numpy()
        return flat


def set_threads(count: int) -> None:
    """Let torch use so many threads within one call."""
    torch.set_num_threads(max(1, count))
