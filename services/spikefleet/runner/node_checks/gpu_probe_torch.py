"""The process that the node preflight asks: a small computation on the first GPU.

``python -m spikefleet.runner.node_checks.gpu_probe_torch`` prints the fields of a ``ProbeAnswer``
as one JSON document. Nothing else may import this module.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

_SIZE = 64


def compute() -> dict[str, Any]:
    """Multiply two small matrices on the first GPU; return what ``ProbeAnswer`` holds."""
    known = {"torch": str(torch.__version__), "cuda": str(torch.version.cuda or "")}
    if not torch.cuda.is_available():
        return {**known, "error": "torch sees no GPU"}
    try:
        ones = torch.ones((_SIZE, _SIZE), device="cuda")
        total = float((ones @ ones).sum().item())
        name = str(torch.cuda.get_device_name())
    except RuntimeError as error:  # torch's own out-of-memory error is one
        said = str(error).splitlines()[0]
        return {**known, "error": said, "out_of_memory": "out of memory" in said}
    if total != _SIZE**3:
        return {**known, "device": name, "error": f"it computed {total:g} where {_SIZE**3} is due"}
    return {**known, "device": name}


if __name__ == "__main__":
    json.dump(compute(), sys.stdout)
