"""The runner's child: one recording through one backend, in a process that is allowed to die.

``load`` → ``sort`` → ``analyze``. What it leaves is in the run folder: the result, or one document
saying which exception ended it and where. It classifies nothing beyond what was raised as
classified, retries nothing and talks to nobody; the parent watches, judges and uploads.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from io import TextIOWrapper
from os import getppid
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from spikefleet.core.attempts import AttemptSpec, RunFolder, read_json, write_json
from spikefleet.core.backends.base import SorterBackend, SortRequest, load_backend
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.codes import BY_CODE, FailureCode
from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.core.failures.thrown import to_document
from spikefleet.core.units.analyzer import build_analyzer
from spikefleet.runner.load import load_recording, workers

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

PR_SET_PDEATHSIG = 1
EXIT_UNCLASSIFIED_EXCEPTION = 1


@dataclass
class Steps:
    """Which step runs, and what the finished ones cost."""

    current: str = "load"
    timings_s: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step on stdout, where the parent reads progress, and time it."""
        self.current = name
        say(f"step={name}")
        wall, cpu = time.monotonic(), time.process_time()
        yield
        self.timings_s[name] = round(time.monotonic() - wall, 3)
        self.cpu_s[name] = round(time.process_time() - cpu, 3)


def say(words: str) -> None:
    """Write a line that the parent's progress parser understands."""
    sys.stdout.write(f"[spikefleet] {words}\n")
    sys.stdout.flush()


def main(root: Path) -> int:
    """Run the attempt described in ``root``. Returns the exit code: 0, the table's, or 1."""
    folder = RunFolder(root)
    faulthandler.enable()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # silence in the log means a stalled sorter
    if not die_with_parent(folder):
        return BY_CODE[FailureCode.ATTEMPT_INTERRUPTED].exit_code or EXIT_UNCLASSIFIED_EXCEPTION
    steps = Steps()
    try:
        run_steps(folder, steps)
    except Exception as error:  # noqa: BLE001 - a border: whatever ends a sort must be written down
        traceback.print_exc()
        write_json(folder.child_failure, describe(error, steps.current))
        if isinstance(error, SpikeSortingClassifiedError) and error.row.exit_code:
            return error.row.exit_code
        return EXIT_UNCLASSIFIED_EXCEPTION
    return 0


def run_steps(folder: RunFolder, steps: Steps) -> None:
    """Load, sort, analyze; leave ``result/`` with ``result.json`` written last."""
    spec = AttemptSpec.from_json(read_json(folder.spec) or {})
    config = SortingConfig.from_document(spec.config)
    seed = config.execution.random_seed
    with steps.step("load"):
        backend = load_backend(spec.backend)
        gc.freeze()  # writers collect garbage once per chunk; imported modules are no garbage
        threadpool_limits(limits=spec.cpus)
        prepared = load_recording(folder, spec, config, say)
        recording = prepared.recording
        n_jobs = workers(spec, config, float(recording.get_total_duration()))
    with steps.step("sort"):
        request = SortRequest(
            recording=recording,
            folder=folder.sorter,
            params=config.sorter.sorter_params or {},
            device="cuda" if spec.gpu else "cpu",
            n_jobs=n_jobs,
            seed=seed,
            threads=spec.cpus,
        )
        folder.sorter.mkdir(parents=True, exist_ok=True)
        params = backend.resolve(request)
        sorting = backend.sort(request)
        sorting.save(folder=folder.result / "sorting", overwrite=True)
    with steps.step("analyze"):
        build_analyzer(
            recording, sorting, folder.result / "analyzer", config.waveform, seed, n_jobs
        )
    write_json(folder.timeline, prepared.timeline.to_json())
    write_json(
        folder.child_result,
        {
            **measure(recording, sorting),
            "backend": spec.backend,
            "sorter_params": params,
            "timings_s": steps.timings_s,
            "cpu_s": steps.cpu_s,
            "versions": library_versions(backend),
            "prepared": {
                "digest": prepared.digest,
                "reused": prepared.reused,
                "filtered_by": prepared.implementation,
            },
        },
    )
    prepared.release()


def measure(recording: BaseRecording, sorting: BaseSorting) -> dict[str, Any]:
    """Return the sizes of what was sorted and of what came out."""
    return {
        "n_units": len(sorting.unit_ids),
        "n_spikes": int(sorting.count_total_num_spikes()),
        "duration_s": float(recording.get_total_duration()),
        "sampling_rate_hz": float(recording.get_sampling_frequency()),
        "n_channels": int(recording.get_num_channels()),
    }


def library_versions(backend: SorterBackend) -> dict[str, str]:
    """Return the versions that decide the result."""
    own = {name: version(name) for name in ("spikefleet", "spikeinterface", "numpy")}
    return {"python": python_version(), **own, **backend.versions()}


def describe(error: Exception, step: str) -> dict[str, Any]:
    """Return the exception as data: what the failure rules read instead of a traceback's text."""
    classified = (
        Failure.from_error(error, stage="sort", rule_id="child.raised").to_json()
        if isinstance(error, SpikeSortingClassifiedError)
        else None
    )
    return {"step": step, **to_document(error), "classified": classified}


def die_with_parent(folder: RunFolder) -> bool:
    """Ask the kernel to kill this process when its parent dies.

    Returns False when the parent is gone already: then nobody would ever read the result.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    started = read_json(folder.started) or {}
    return bool(started.get("pid", getppid()) == getppid())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
