"""The steps of a sort in the child: ``load`` → ``sort`` → ``analyze``, on what was staged.

Imported only once the child is confined: everything here may meet what a stranger recorded. It
decides nothing about failures; what is raised travels up to ``child``.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np
from spikeinterface.core import globals as spikeinterface_places
from threadpoolctl import threadpool_limits

from spikefleet.core.attempts import KEPT_RECORDING, SORTER_OUTPUT, AttemptSpec, RunFolder
from spikefleet.core.config.own_params import own_params
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import SpikeSortingClassifiedError
from spikefleet.core.files import write_json
from spikefleet.core.text import format_size
from spikefleet.infra.system.allocator import keep_freed_memory
from spikefleet.infra.system.confinement import Confinement
from spikefleet.runner.load import load_recording, open_inputs, told_fractions, workers
from spikefleet.signal.filtering.numba_kernels import keep_kernels
from spikefleet.signal.formats.reader_version import reader_version
from spikefleet.signal.preparing.prepare import Prepared
from spikefleet.signal.preparing.scaling import with_scaling
from spikefleet.signal.sorters.base import SorterBackend, SortRequest, load_backend
from spikefleet.signal.sorters.own_output import KeptSamples, keep_own_output
from spikefleet.signal.units.analyzer import build_analyzer, leave_out_pairs_across
from spikefleet.signal.units.library_measuring import measure_in_library
from spikefleet.signal.units.strip import STRIP_FILE, cut_strip

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting


@dataclass
class Steps:
    """Which step runs, and what the finished ones cost."""

    say: Callable[[str], None]
    current: str = "load"
    timings_s: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step on stdout, where the parent reads progress, and time it."""
        self.current = name
        self.say(f"step={name}")
        wall, cpu = time.monotonic(), time.process_time()
        yield
        self.timings_s[name] = round(time.monotonic() - wall, 3)
        self.cpu_s[name] = round(time.process_time() - cpu, 3)


def settle(kernels: str) -> None:
    """Read again what imported libraries have read of another environment, before anything else.

    For a process that was forked after its imports. ``kernels`` is the folder of compiled kernels.
    """
    tempfile.tempdir = None
    spikeinterface_places.base = Path(tempfile.gettempdir()) / "spikeinterface_cache"
    keep_kernels(kernels)
    np.random.seed()  # no two processes may draw the same numbers unasked


def run_steps(folder: RunFolder, spec: AttemptSpec, steps: Steps, confinement: Confinement) -> None:
    """Load, sort, analyze; leave ``result/`` with ``result.json`` written last."""
    config = SortingConfig.from_document(spec.config)
    seed = config.execution.random_seed
    with steps.step("load"):
        backend = load_backend(spec.backend)
        keep_freed_memory()  # blocks of samples come and go by the hundred
        gc.freeze()  # writers collect garbage once per chunk; imported modules are no garbage
        threadpool_limits(limits=spec.cpus)
        prepared = load_recording(folder, spec, config, steps.say)
        recording = prepared.recording
        n_jobs = workers(spec, config, float(recording.get_total_duration()))
    with steps.step("sort"):
        request = SortRequest(
            recording=recording,
            folder=folder.sorter,
            params=own_params(config),
            device="cuda" if spec.gpu else "cpu",
            n_jobs=n_jobs,
            seed=seed,
            threads=spec.cpus,
        )
        folder.sorter.mkdir(parents=True, exist_ok=True)
        params = backend.resolve(request)
        sorting = backend.sort(request)
        sorting.save(folder=folder.result / "sorting", overwrite=True)
        keep_files(backend, folder)
    with steps.step("analyze"):
        analyzer = build_analyzer(
            recording,
            sorting,
            folder.result / "analyzer",
            config.waveform,
            seed,
            told_fractions(steps.say),
        )
        leave_out_pairs_across(analyzer, prepared.timeline.seams)
        measure_in_library(analyzer, seed)
        leave_strip(folder, spec, config, (prepared, sorting))
        kept = keep_on_request(folder, config, recording, n_jobs)
    write_json(folder.timeline, prepared.timeline.to_json())
    write_json(
        folder.child_result,
        {
            **measure(recording, sorting),
            "backend": spec.backend,
            "sorter_params": params,
            **kept,
            "timings_s": steps.timings_s,
            "cpu_s": steps.cpu_s,
            "versions": library_versions(backend) | other_reader(spec),
            "confinement": confinement.to_json(),
            "prepared": {
                "digest": prepared.digest,
                "reused": prepared.reused,
                "filtered_by": prepared.implementation,
            },
        },
    )
    prepared.release()


def leave_strip(
    folder: RunFolder,
    spec: AttemptSpec,
    config: SortingConfig,
    made: tuple[Prepared, BaseSorting],
) -> None:
    """Leave a short stretch of the recording, raw and as it was sorted, for the report.

    A sort is complete without one: what stands in its way is a line of the log.
    """
    prepared, sorting = made
    try:
        raw = with_scaling(open_inputs(folder, spec, config).recording, config.recording)
        strip = cut_strip(raw, prepared.recording, prepared.timeline, sorting)
    except (ValueError, LookupError, RuntimeError, OSError, SpikeSortingClassifiedError) as error:
        sys.stdout.write(f"WARNING: no strip of the recording for the report: {error}\n")
        return
    write_json(folder.result / STRIP_FILE, strip.to_json())


def keep_files(backend: SorterBackend, folder: RunFolder) -> None:
    """Move what the sorter left besides its spikes and belongs to the result."""
    for name in backend.keeps:
        if (folder.sorter / name).is_file():
            (folder.sorter / name).replace(folder.result / name)


def keep_recording(recording: BaseRecording, folder: Path, n_jobs: int) -> None:
    """Write what was sorted as a folder that SpikeInterface opens, in its own samples.

    Nothing in it says where the samples came from: that place is the attempt's, and goes with it.
    """
    recording.save(folder=folder, format="binary", n_jobs=n_jobs, progress_bar=False)
    for left in folder.glob("provenance.*"):
        left.unlink()


def keep_on_request(
    folder: RunFolder, config: SortingConfig, recording: BaseRecording, n_jobs: int
) -> dict[str, Any]:
    """Keep the recording and the sorter's own folder where asked for; its size, for the result."""
    if config.waveform.save_recording:
        keep_recording(recording, folder.result / KEPT_RECORDING, n_jobs)
    if not config.waveform.save_sorter_output:
        return {}
    samples = None
    if config.waveform.save_recording:
        file = next(path for path in (folder.result / KEPT_RECORDING).glob("*.raw"))
        samples = KeptSamples(
            PurePosixPath("..", KEPT_RECORDING, file.name), str(recording.get_dtype())
        )
    kept = keep_own_output(folder.sorter, folder.result / SORTER_OUTPUT, samples)
    sys.stdout.write(
        f"kept the sorter's own output: {kept.files} files, {format_size(kept.size_bytes)}\n"
    )
    return {SORTER_OUTPUT: kept.to_json()}


def measure(recording: BaseRecording, sorting: BaseSorting) -> dict[str, Any]:
    """Return the sizes of what was sorted and of what came out."""
    return {
        "n_units": len(sorting.unit_ids),
        "n_spikes": int(sorting.count_total_num_spikes()),
        "duration_s": float(recording.get_total_duration()),
        "sampling_rate_hz": float(recording.get_sampling_frequency()),
        "n_channels": int(recording.get_num_channels()),
    }


def other_reader(spec: AttemptSpec) -> dict[str, str]:
    """Tell the readers that the recording was described by, where they are not those of here."""
    is_same = spec.reader in ("", reader_version())
    return {} if is_same else {"reader_at_registration": spec.reader}


def library_versions(backend: SorterBackend) -> dict[str, str]:
    """Return the versions that decide the result."""
    own = {name: version(name) for name in ("spikefleet", "spikeinterface", "numpy")}
    return {"python": python_version(), **own, **backend.versions()}
