"""One recording sorted by our RT-Sort in this process: what ``bench.rt_sort`` measures.

CPU seconds are those of all threads, by the step they were spent in; memory is the most that was
held above what was held before; files are the most bytes that lay in the sort's folder at a time.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.rt_sort import SIDES
from bench.rt_sort_recordings import load
from bench.rt_sort_scores import score
from spikefleet.rt_sort import pipeline, scan
from spikefleet.rt_sort.assignment import Assigner
from spikefleet.rt_sort.detections import DetectionStore
from spikefleet.rt_sort.events import EventFinder
from spikefleet.rt_sort.network import Network
from spikefleet.rt_sort.sorting import RtSortOptions, detect_and_sort
from spikefleet.rt_sort.traces import TraceSpan

_STEPS: tuple[tuple[Any, str, str], ...] = (
    (TraceSpan, "read", "reading"),
    (scan, "centre", "centring and noise"),
    (Network, "logits", "network"),
    (scan, "above", "keeping detections"),
    (DetectionStore, "append", "keeping detections"),
    (EventFinder, "look", "events on roots"),
    (pipeline, "split_root", "splitting"),
    (pipeline, "measure", "measuring sequences"),
    (Assigner, "assign", "assignment"),
    (pipeline, "merge_twice", "merging"),
)
_WARM_MS = (0.0, 2000.0)  # sorted first, so that nothing is compiled on the clock


def sort(name: str, precision: str, out: Path) -> dict[str, Any]:
    """Sort one recording and return its row."""
    known, probe = load(name), SIDES[name]
    detect_and_sort(known.filtered, _made(out / "warm"), _options(probe, precision, _WARM_MS))
    spent = _timed()
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before_mb, started_s = _held_mb("VmRSS"), time.process_time()
    folder = _made(out / "sort")
    with _most_bytes(folder) as most:
        found = detect_and_sort(known.filtered, folder, _options(probe, precision, None))
    cpu_s = time.process_time() - started_s
    peak_mb = _held_mb("VmHWM") - before_mb
    steps = {**spent, "everything else": cpu_s - sum(spent.values())}
    largest = max(steps, key=lambda step: steps[step])
    return {
        "cpu_s": round(cpu_s, 1),
        "disk_mb": round(most[0] / 1e6, 1),
        "peak_mb": round(peak_mb, 1),
        "largest_share": f"{largest}: {steps[largest] / cpu_s:.0%}",
        "steps_cpu_s": {step: round(seconds, 1) for step, seconds in steps.items()},
        "score": score(known.truth, found.to_sorting()),
    }


def _options(probe: str, precision: str, window_ms: tuple[float, float] | None) -> RtSortOptions:
    return RtSortOptions(probe=probe, precision=precision, window_ms=window_ms)  # type: ignore[arg-type]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _timed() -> dict[str, float]:
    """CPU seconds by step from now on; a step within a step counts as the outer one."""
    spent: dict[str, float] = defaultdict(float)
    inside = threading.local()

    def wrapped(work: Callable[..., Any], step: str) -> Callable[..., Any]:
        def measured(*args: Any, **kwargs: Any) -> Any:
            if getattr(inside, "step", None):
                return work(*args, **kwargs)
            inside.step, started_s = step, time.thread_time()
            try:
                return work(*args, **kwargs)
            finally:
                inside.step = None
                spent[step] += time.thread_time() - started_s

        return measured

    for owner, name, step in _STEPS:
        setattr(owner, name, wrapped(getattr(owner, name), step))
    return spent


@contextmanager
def _most_bytes(folder: Path) -> Iterator[list[int]]:
    """The most bytes of files below a folder, looked at every 50 ms."""
    most, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            sizes = (file.lstat().st_size for file in folder.rglob("*") if file.is_file())
            try:
                most[0] = max(most[0], sum(sizes))
            except FileNotFoundError:
                continue  # removed while it was looked at

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        ended.set()
        watcher.join()


def _held_mb(which: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{which}:")[1].split()[0]) / 1024


if __name__ == "__main__":
    print(json.dumps(sort(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
