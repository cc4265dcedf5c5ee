"""From a run and an attempt to the ``AttemptSpec`` its runner gets. Reads records, writes none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spikefleet.core.attempts import AttemptSpec, InputFile, InputPart
from spikefleet.core.policy.decide import apply_changes
from spikefleet.core.policy.sizes import AttemptSize, SorterMachine, attempt_size
from spikefleet.core.runs import Attempt, Run
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.submissions import Recording, part_names
from spikefleet.infra.stores.sql.recordings import RecordingStore

_LISTS_KEPT = frozenset({"activity_over_time", "range_uv"})


@dataclass(frozen=True)
class SortLimits:
    """What one attempt may take. Zero means no limit of ours; ``gpus`` is what the machine has.

    ``image_digest`` is that of the image it must run in; empty: any.
    """

    memory_limit_bytes: int = 0
    scratch_limit_bytes: int = 0
    deadline_s: float = 0.0
    gpus: int = 0
    cpus_per_attempt: int = 1
    image_digest: str = ""


@dataclass(frozen=True)
class SortSpecs:
    """Builds specs. ``report_address`` is where the runner reports its progress.

    ``prepared_folder`` is shared by all attempts of this machine; empty: each keeps its own.
    ``machine_of`` tells of a cluster what a sorter's attempts get there; None: they run here.
    """

    recordings: RecordingStore
    artifacts_url: str
    report_address: str
    limits: SortLimits
    prepared_folder: str = ""
    machine_of: Callable[[str], SorterMachine] | None = None

    def wants_gpu(self, backend: str) -> bool:
        """True when the backend uses a GPU and its machine has one."""
        has_gpu = self.machine_of(backend).has_gpu if self.machine_of else self.limits.gpus > 0
        return BACKENDS[backend].uses_gpu and has_gpu

    def spec(self, run: Run, attempt: Attempt) -> AttemptSpec:
        """Return the attempt's spec; parameters changed by retries are merged into its config."""
        recording = self.recordings.get(run.recording_id)
        size, cpus = self._size(run, attempt)
        return AttemptSpec(
            run_id=run.run_id,
            attempt_id=attempt.attempt_id,
            name=attempt.name,
            number=attempt.number,
            backend=run.backend,
            recording=recording.entry,
            stream=run.stream,
            inputs=input_files(recording),
            config=self._config(run, attempt),
            artifacts_url=self.artifacts_url,
            artifacts_prefix=attempt.place.prefix,
            report_address=self.report_address,
            memory_limit_bytes=size.memory_bytes,
            scratch_limit_bytes=size.scratch_bytes,
            deadline_s=self.limits.deadline_s,
            gpu=self.wants_gpu(run.backend),
            cpus=cpus,
            duration_s=_duration_s(run),
            parts=input_parts(recording),
            prepared_folder=self.prepared_folder,
            preflight=_known_before(run),
            format=recording.format,
            reader=recording.reader,
            exclude_nodes=tuple(attempt.params.get("exclude_nodes", ())),
            gpu_class=size.gpu_class,
        )

    def _size(self, run: Run, attempt: Attempt) -> tuple[AttemptSize, int]:
        """What the attempt gets, and how many cores."""
        if self.machine_of is not None:
            machine = self.machine_of(run.backend)
            return attempt_size(machine.sizes, needs_in_pod(run), attempt.params), machine.cpus
        limits = self.limits
        memory = int(attempt.params.get("memory_limit_bytes", limits.memory_limit_bytes))
        return AttemptSize(memory, limits.scratch_limit_bytes), limits.cpus_per_attempt

    def _config(self, run: Run, attempt: Attempt) -> dict[str, Any]:
        """The run's configuration with what this attempt changes, and what the operator asks."""
        config = dict(apply_changes(run.config, attempt.params))
        if self.limits.image_digest:
            asked = {"docker_image_expected_digest": self.limits.image_digest}
            config["execution"] = {**config.get("execution", {}), **asked}
        return config


def estimate_of(run: Run) -> Mapping[str, Any]:
    """Return what preflight projected for the run; {} when it could not."""
    return run.result.get("preflight", {}).get("estimate") or {}


def needs_in_pod(run: Run) -> Mapping[str, Any]:
    """Return the projection with the recording itself, which a pod has on its scratch volume."""
    estimate = estimate_of(run)
    scratch = estimate.get("scratch_bytes")
    if not isinstance(scratch, int | float):
        return estimate
    staged = run.result.get("preflight", {}).get("input_bytes", 0)
    return {**estimate, "scratch_bytes": scratch + staged}


def _duration_s(run: Run) -> float:
    """The stream's length as preflight measured it; 0 when it could not."""
    stream = run.result.get("preflight", {}).get("stream") or {}
    return float(stream.get("duration_s") or 0.0)


def _known_before(run: Run) -> dict[str, Any]:
    """What preflight knows that the machine which sorts can use; channels are counted there."""
    known = run.result.get("preflight", {})
    measured = {
        name: len(value) if name.endswith("_channels") and isinstance(value, list) else value
        for name, value in (known.get("measurements") or {}).items()
        if name.endswith("_channels") or name in _LISTS_KEPT or not isinstance(value, list)
    }
    return {
        "stream": known.get("stream") or {},
        "estimate": known.get("estimate") or {},
        "measurements": measured,
    }


def input_parts(recording: Recording) -> tuple[InputPart, ...]:
    """What a reader opens of each part, staged in a folder of its own; () for one recording."""
    named = zip(part_names(recording), recording.parts, strict=True)
    return tuple(
        InputPart(name, f"{_part_folder(index)}/{part.entry}".rstrip("/"))
        for index, (name, part) in enumerate(named)
    )


def _part_folder(index: int) -> str:
    """Parts may have files of the same name, so each has a folder."""
    return f"part-{index + 1:03d}"


def input_files(recording: Recording) -> tuple[InputFile, ...]:
    """Where each file of the recording is now: beside the rig's copy, or in the store."""
    if recording.parts:
        return tuple(
            replace(file, path=f"{_part_folder(index)}/{file.path}")
            for index, part in enumerate(recording.parts)
            for file in input_files(part)
        )
    folder = recording.location if recording.in_place else f"{recording.location}/files"
    stamps = recording.stamps or ("",) * len(recording.files)
    return tuple(
        InputFile(
            path=file.path,
            source=f"{folder}/{file.path}",
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            in_place=recording.in_place,
            stamp=stamp,
        )
        for file, stamp in zip(recording.files, stamps, strict=True)
    )
