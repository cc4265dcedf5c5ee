"""What RT-Sort costs and finds, next to SpikeLab's: ``python -m bench.run rt_sort``.

Recordings with known spikes (``bench.rt_sort_recordings``), each sorted in its own process, one
thread. The costs are those of recording B, 64 channels x 60 s: CPU seconds in either kind of
number, files written, memory above start at that length and at eight times it; a MaxWell array's
1018 channels are sorted for their memory. SpikeLab sorts the 15 s of A15 in the same run where its
package can be installed, on the CPU (``bench.rt_sort_spikelab_sides``); the whole of B takes it a
quarter of an hour, so those figures are constants, measured the same way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import spikefleet.rt_sort
from bench.units_spikelab import install

# Recordings, by the limits they are sorted with.
SIDES = {
    "B": "mea",
    "A15": "mea",
    "C": "mea",
    "D": "neuropixels",
    "E": "mea",
    "B8": "mea",
    "W": "mea",
}
MODELS = Path(spikefleet.rt_sort.__file__).parent / "models"
# SpikeLab's own RT-Sort on a CPU, 64 channels x 60 s, limits "tight": CPU s and MB of files.
REFERENCE_CPU_S, REFERENCE_DISK_MB = 960.0, 461.0
LEAST_TIMES_CPU, LEAST_TIMES_DISK = 5.0, 10.0
MOST_GROWTH_MB = 60.0
MOST_MB = {"B": 600.0, "W": 2000.0}
# Mean accuracy of SpikeLab's on these very recordings, its network run in bfloat16 (what the last
# word of bench.rt_sort_spikelab_sides is for), and how far ours may be below it.
REFERENCE_ACCURACY = {"A15": 0.810, "B": 0.817, "C": 0.659, "D": 0.803}
MOST_BELOW = 0.03
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def _run(module: str, words: list[str], python: str = sys.executable) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-m", module, *words],
        capture_output=True,
        text=True,
        env={**os.environ, **dict.fromkeys(_THREADS, "1")},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{module} {words} ended {done.returncode}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _has_bfloat16() -> bool:
    """Whether this CPU multiplies matrices of bfloat16."""
    words = set(Path("/proc/cpuinfo").read_text().split())
    return bool(words & {"amx_bf16", "avx512_bf16"})


def _ours(folder: Path) -> dict[str, Any]:
    kinds = ["bfloat16", "float32"] if _has_bfloat16() else ["float32"]
    asked = [(name, kinds[0]) for name in SIDES] + [("B", kind) for kind in kinds[1:]]
    found = {}
    for name, kind in asked:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            found[f"{name}, {kind}"] = _run("bench.rt_sort_sides", [name, kind, out])
        print(f"{name}, {kind}: {found[f'{name}, {kind}']}", file=sys.stderr)
    return found


def _spikelab(folder: Path) -> tuple[dict[str, Any], str]:
    """SpikeLab's row, and why there is none."""
    python, why_not = install(folder / "spikelab", also=("diptest", "tqdm"))
    if why_not:
        return {}, why_not
    words = ["A15", "tight", str(MODELS / "mea"), str(folder / "reference")]
    return _run("bench.rt_sort_spikelab_sides", words, python), ""


def measure() -> tuple[dict[str, Any], bool]:
    """Return the rows with their ratios, and whether every bound is held."""
    with tempfile.TemporaryDirectory(prefix="spikefleet-bench-") as name:
        rows = _ours(Path(name))
        reference, why_not = _spikelab(Path(name))
    whole = {key.split(", ")[1]: row for key, row in rows.items() if key.startswith("B, ")}
    first = {key.split(", ")[0]: row for key, row in reversed(rows.items())}  # the faster kind
    times = {
        **{
            f"CPU of B, {kind}": round(REFERENCE_CPU_S / row["cpu_s"], 1)
            for kind, row in whole.items()
        },
        "files of B": round(REFERENCE_DISK_MB / first["B"]["disk_mb"], 1),
    }
    # Of the kind of number that a sort picks by itself; the other one is told.
    held = REFERENCE_CPU_S / first["B"]["cpu_s"] >= LEAST_TIMES_CPU
    held &= times["files of B"] >= LEAST_TIMES_DISK
    if reference:
        times["CPU of A15, same run"] = round(reference["cpu_s"] / first["A15"]["cpu_s"], 1)
        held &= times["CPU of A15, same run"] >= LEAST_TIMES_CPU
    growth_mb = round(first["B8"]["peak_mb"] - first["B"]["peak_mb"], 1)
    held &= growth_mb <= MOST_GROWTH_MB
    held &= all(first[name]["peak_mb"] <= most for name, most in MOST_MB.items())
    held &= all(
        first[name]["score"]["accuracy"] >= least - MOST_BELOW
        for name, least in REFERENCE_ACCURACY.items()
    )
    result = {
        "rows": rows,
        "reference": {
            "A15": reference,
            "B": {"cpu_s": REFERENCE_CPU_S, "disk_mb": REFERENCE_DISK_MB},
        },
        "reference_accuracy": REFERENCE_ACCURACY,
        "reference_left_out": why_not,
        "times_cheaper": times,
        "memory_growth_mb": growth_mb,
    }
    return result, bool(held)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
