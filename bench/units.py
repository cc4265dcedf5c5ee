"""What it costs to measure units, next to SpikeInterface and SpikeLab doing it in the same run.

One int16 file of 64 channels x 120 s at 30 kHz with 40 units; each side in a process of its own,
one thread. Twice: from the recording as it came, with a band-pass before it, and from a copy that
is filtered already. Ours writes that copy first, as a sort does, and measures on it; the others
filter what they read when they read it. The clock is the CPU's, from the open recording to the
stored result; memory is what a started process has held above its start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.units_recording import SECONDS, write
from bench.units_sides import BEFORE, SIDES
from bench.units_spikelab import SPIKELAB_SIDES, install

LEAST_TIMES_REFERENCE, LEAST_TIMES_SPIKEINTERFACE = 6.0, 4.0
MOST_MB = 250.0
MOST_CURATION_S = 2.0
REPEATS, TIMES = 3, 8
PREPARED = "ours, prepared and measured"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def _run_side(name: str, source: Path, out: Path, python: str = sys.executable) -> dict[str, float]:
    """One side in a process of its own: CPU seconds and MB above start."""
    module = "bench.units_spikelab_sides" if name in SPIKELAB_SIDES else "bench.units"
    done = subprocess.run(
        [python, "-m", module, name, str(source), str(out)],
        capture_output=True,
        text=True,
        env={**os.environ, **dict.fromkeys(_THREADS, "1")},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{name} ended {done.returncode}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _rows(folder: Path, repeats: int) -> tuple[dict[str, Any], str]:
    """Every side's least CPU and most memory, and why SpikeLab is not among them, if so."""
    source = write(folder / "source", SECONDS)
    for name in BEFORE:
        _run_side(name, source, folder / name)
    python, why_not = install(folder / "spikelab")
    found: dict[str, list[dict[str, float]]] = {}
    for name in (*SIDES, *(() if why_not else SPIKELAB_SIDES)):
        own = python if name in SPIKELAB_SIDES else sys.executable
        for _ in range(repeats):  # in a row: memory new to a virtual machine costs whoever is first
            with tempfile.TemporaryDirectory(dir=folder) as out:
                found.setdefault(name, []).append(_run_side(name, source, Path(out), own))
    long = write(folder / "long", TIMES * SECONDS)
    with tempfile.TemporaryDirectory(dir=folder) as out:
        found[f"{PREPARED}, {TIMES}x"] = [_run_side(PREPARED, long, Path(out))]
    return {
        name: {
            "cpu_s": round(min(row["cpu_s"] for row in rows), 2),
            "all_cpu_s": [round(row["cpu_s"], 2) for row in rows],
            "peak_mb": round(max(row["peak_mb"] for row in rows), 1),
        }
        for name, rows in found.items()
    }, why_not


def measure(repeats: int = REPEATS) -> tuple[dict[str, Any], bool]:
    """Return the rows with their ratios, and whether every bound is held."""
    with tempfile.TemporaryDirectory(prefix="spikefleet-bench-") as name:
        rows, why_not = _rows(Path(name), repeats)
    cpu = {side: row["cpu_s"] for side, row in rows.items()}
    filtered, copied = cpu[PREPARED], cpu["ours, from the copy"]
    unkept = cpu["ours, from the copy, waveforms not kept"]
    theirs = {where: min(_of(cpu, "spikeinterface", where)) for where in ("filtered", "copy")}
    ratios = {
        "spikeinterface, filtered": round(theirs["filtered"] / filtered, 2),
        "spikeinterface, copy": round(theirs["copy"] / copied, 2),
    }
    held = ratios["spikeinterface, filtered"] >= LEAST_TIMES_SPIKEINTERFACE
    held &= ratios["spikeinterface, copy"] >= 1.0
    if not why_not:
        ratios["spikelab, filtered"] = round(cpu["spikelab, filtered"] / filtered, 2)
        ratios["spikelab, copy"] = round(cpu["spikelab, copy"] / copied, 2)
        ratios["spikelab, copy, waveforms not kept"] = round(
            cpu["spikelab, copy, waveforms not kept"] / unkept, 2
        )
        held &= ratios["spikelab, filtered"] >= LEAST_TIMES_REFERENCE
        held &= min(ratios["spikelab, copy"], ratios["spikelab, copy, waveforms not kept"]) >= 1.0
    peaks = [row["peak_mb"] for side, row in rows.items() if side.startswith("ours")]
    held &= max(peaks) <= MOST_MB
    held &= cpu["curation of 400 units"] <= MOST_CURATION_S
    result = {"rows": rows, "times_cheaper": ratios, "spikelab_left_out": why_not}
    return result, bool(held)


def _of(cpu: dict[str, float], who: str, where: str) -> list[float]:
    """CPU seconds of a peer's sides, those that measure what ours does and those that do less."""
    return [value for side, value in cpu.items() if side.startswith(who) and where in side]


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps((SIDES | BEFORE)[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        print(json.dumps(measure(), indent=1))
