"""What classifying a failure costs on a log of 10 MB, beside reading the whole log.

Three logs as sorters leave them: one that ends in a GPU memory error without a traceback, one that
ends in a traceback, one that ends without a reason. Ours is what the runner does: read the ends of
the log, classify. The stand-in is not another program: it reads the whole log, and looks in it for
every literal text our own rules know, once each, as classifiers that read everything do. CPU
seconds of this process, the median of 15 after one that is not counted; memory is what Python
allocated at most.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikefleet.core.failures.classify import (
    RULES,
    Evidence,
    classify,
    read_log_head,
    read_log_tail,
)

LOG_BYTES = 10_000_000
LIMIT_MS = 5.0
LIMIT_BYTES = 2_000_000
ROUNDS = 15
_TRACE = (
    "Traceback (most recent call last):\n"
    '  File "/venv/lib/python3.11/site-packages/kilosort/spikedetect.py", line 72, in '
    "extract_wPCA_wTEMP\n    model = TruncatedSVD(n_components=6).fit(clips)\n"
    "ValueError: Found array with 0 sample(s) (shape=(0, 61)) while a minimum of 1 is required by "
    "TruncatedSVD.\n"
)
ENDS: dict[str, tuple[str, str]] = {
    "gpu_memory_line": (
        "kilosort.run_kilosort: Out of memory error, printing performance...\n"
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n",
        "gpu_out_of_memory",
    ),
    "traceback": (_TRACE, "insufficient_activity"),
    "no_reason": ("kilosort.run_kilosort: Final clustering\n", "unclassified"),
}


def measure() -> tuple[dict[str, Any], bool]:
    """Return the figures per log, and whether the bounds hold for every one."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-classify-") as folder:
        for name, (end, code) in ENDS.items():
            path = Path(folder) / f"{name}.log"
            path.write_text(_log(end), encoding="utf-8")
            found[name] = _compare(path, code)
    held = all(
        row["ours_ms"] <= LIMIT_MS and row["bytes_read"] <= LIMIT_BYTES and row["right"]
        for row in found.values()
    )
    return {"limit_ms": LIMIT_MS, "log_bytes": LOG_BYTES, "logs": found}, held


def _log(end: str) -> str:
    """Return a log with the lines that sorters really repeat."""
    lines = []
    size = 0
    number = 0
    while size < LOG_BYTES - len(end):
        line = (
            f" {number % 100:3d}%|{'#' * (number % 10):<10}| {number}/900000 [00:07<00:01, 1.8it/s]"
            if number % 5
            else f"kilosort.run_kilosort: Mem used: {number % 90}.10 % | 0.96 GB, filter, directory"
        )
        lines.append(line)
        size += len(line) + 1
        number += 1
    return "\n".join(lines) + "\n" + end


def _ours(path: Path) -> str:
    evidence = Evidence(
        "kilosort4",
        step="sort",
        exit_code=1,
        log_tail=read_log_tail(path),
        log_head=read_log_head(path),
    )
    return str(classify(evidence).code)


def _whole_log_every_signature(path: Path) -> int:
    """The stand-in: everything read, every literal text looked for."""
    text = path.read_text(encoding="utf-8", errors="replace")
    marks = {mark for rule in RULES for mark in rule.marks}
    return sum(mark in text for mark in marks)


def _compare(path: Path, code: str) -> dict[str, Any]:
    ours_ms, ours_peak = _cost(lambda: _ours(path))
    whole_ms, whole_peak = _cost(lambda: _whole_log_every_signature(path))
    return {
        "ours_ms": ours_ms,
        "ours_peak_mb": ours_peak,
        "whole_log_ms": whole_ms,
        "whole_log_peak_mb": whole_peak,
        "times": round(whole_ms / ours_ms, 1),
        "bytes_read": len(read_log_tail(path).encode()) + len(read_log_head(path).encode()),
        "right": _ours(path) == code,
    }


def _cost(act: Callable[[], object]) -> tuple[float, float]:
    act()
    times = []
    for _ in range(ROUNDS):
        before = time.process_time()
        act()
        times.append(time.process_time() - before)
    tracemalloc.start()
    act()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return round(statistics.median(times) * 1e3, 2), round(peak / 1e6, 2)
