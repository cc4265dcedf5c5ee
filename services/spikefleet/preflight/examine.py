"""Examines a recording before a sorter does. Runs in a worker process and answers in plain data.

Finds the files (in place or in the artifact store), opens the stream, measures the signal once,
reads the machine, and hands all of it to the checks. A recording that cannot be opened is a
finding like any other; nothing here raises for what is wrong with a recording.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from spikefleet.core.backends.catalogue import BACKENDS, BackendInfo
from spikefleet.core.config.pending import pending_changes
from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import (
    Failure,
    InputCorruptError,
    InputMissingError,
    InvalidConfigurationError,
    SpikeSortingClassifiedError,
)
from spikefleet.core.findings.checks import decide
from spikefleet.core.findings.finding import PreflightFinding
from spikefleet.core.guards.memory_reader import MemoryReader
from spikefleet.core.recordings.description import StreamDescription
from spikefleet.core.recordings.measure import measure_signal, signal_failure
from spikefleet.core.recordings.open import list_streams, open_recording
from spikefleet.core.recordings.truth_checks import check_truth
from spikefleet.core.recordings.windows import keep_frames
from spikefleet.core.submissions import Recording
from spikefleet.infra.stores.artifacts import ArtifactMissingError
from spikefleet.infra.stores.artifacts_open import open_artifacts
from spikefleet.infra.stores.checkout import checked_out
from spikefleet.preflight import checks_host, checks_recording, checks_truth
from spikefleet.preflight.estimate import ResourceEstimate, estimate_resources
from spikefleet.preflight.registry import Facts, HostFacts, run_preflight
from spikefleet.preflight.task import (
    Description,
    Examination,
    ExamineTask,
    FoundFinding,
    PreflightPlaces,
)

# Importing a module of checks registers them; order of findings is order of registration.
CHECK_MODULES = (checks_recording, checks_truth, checks_host)
# Present wherever the driver of a CUDA device is loaded.
_GPU_DEVICE = Path("/dev/nvidiactl")


def describe_recording(places: PreflightPlaces, recording: Recording) -> Description:
    """List a recording's streams from its header."""
    try:
        with _located(places, recording) as path:
            return Description(list_streams(path))
    except SpikeSortingClassifiedError as error:
        return Description(
            failure=Failure.from_error(error, stage="preflight", rule_id="preflight.readable")
        )


def examine_stream(places: PreflightPlaces, task: ExamineTask) -> Examination:
    """Run every check on one stream and return findings, estimate, measurements and verdict."""
    execution = task.config.get("execution") or {}
    backend = _backend(task.config)
    known = Facts(backend, execution=execution, pending_changes=pending_changes(task.config))
    facts, stream = _read(places, task, known)
    facts = replace(facts, host=_read_host(places))
    findings = run_preflight(facts, strict=bool(execution.get("preflight_strict", False)))
    return Examination(
        findings=tuple(_plain(finding) for finding in findings),
        stream=stream,
        estimate=_estimate(facts, task.config),
        failure=decide(findings),
        measurements=facts.measured.to_json() if facts.measured else {},
    )


def _backend(config: Mapping[str, Any]) -> BackendInfo:
    """The catalogue's row of the configured sorter; a row without demands for any other."""
    name = str((config.get("sorter") or {}).get("sorter_name") or "")
    return BACKENDS.get(name) or BackendInfo(name, name, "", "", uses_gpu=False)


def _read(
    places: PreflightPlaces, task: ExamineTask, facts: Facts
) -> tuple[Facts, StreamDescription | None]:
    """Open and measure the stream; what goes wrong becomes ``read_error``."""
    stream: StreamDescription | None = None
    try:
        with _located(places, task.recording) as path:
            group = RecordingConfig.model_validate(task.config.get("recording") or {})
            opened = open_recording(path, task.stream, hdf5_plugin_path=group.hdf5_plugin_path)
            rate_hz = float(opened.sampling_frequency)
            n_samples = int(opened.get_num_samples())
            stream = StreamDescription(
                task.stream or list_streams(path).streams[0].stream,
                int(opened.get_num_channels()),
                rate_hz,
                n_samples / rate_hz if rate_hz > 0 else 0.0,
                str(opened.get_dtype()),
            )
            facts = replace(
                facts, channel_count=stream.n_channels, sampling_rate_hz=stream.sampling_rate_hz
            )
            kept = keep_frames(group, n_samples, rate_hz)
            kept_s = sum(end - start for start, end in kept) / rate_hz
            if facts.execution.get("preflight", True):
                scaled = _scaled(opened, group)
                facts = replace(facts, truth=check_truth(scaled))
                measured = measure_signal(scaled)
                facts = replace(facts, measured=measured, verdict=signal_failure(measured))
            return replace(facts, kept_s=kept_s), stream
    except SpikeSortingClassifiedError as error:
        return replace(facts, read_error=error), stream


def _scaled(opened: Any, group: RecordingConfig) -> Any:
    """Apply a configured gain and offset, so that the scale measured is the scale sorted."""
    count = opened.get_num_channels()
    for value, setter in (
        (group.gain_to_uv, opened.set_channel_gains),
        (group.offset_to_uv, opened.set_channel_offsets),
    ):
        values = [value] * count if isinstance(value, (int, float)) else list(value or ())
        if len(values) == 1:
            values = values * count
        if values and len(values) != count:
            raise InvalidConfigurationError(
                f"{len(values)} gains or offsets are given for {count} channels; give one, or one "
                "per channel.",
                field="recording.gain_to_uv",
                value=len(values),
            )
        if values:
            setter(values)
            opened.annotate(gain_assumed=False)
    return opened


@contextmanager
def _located(places: PreflightPlaces, recording: Recording) -> Iterator[Path]:
    """Give the path a reader opens. Raises InputMissingError, InputCorruptError."""
    if recording.missing:
        raise InputMissingError(
            f"Nothing was found at {recording.location} when it was registered. "
            "Check the path and the mount, then submit again.",
            path=recording.location,
        )
    if recording.in_place:
        root = Path(recording.location)
        _require_files(root, recording)
        yield root / recording.entry if recording.entry else root
        return
    try:
        store = open_artifacts(places.artifacts_url)
        with checked_out(store, f"{recording.location}/files") as root:
            _require_files(root, recording)
            yield root / recording.entry if recording.entry else root
    except ArtifactMissingError as error:
        raise InputMissingError(
            "The uploaded recording is no longer in the artifact store; upload it again.",
            path=recording.location,
        ) from error


def _require_files(root: Path, recording: Recording) -> None:
    """Compare sizes with the manifest: a file may have changed since it was registered."""
    for file in recording.files:
        path = root / file.path
        if not path.is_file():
            raise InputMissingError(
                f"{file.path} was there when the recording was registered and is gone. "
                "Put it back or submit the copy on the rig.",
                path=str(path),
            )
        size_bytes = path.stat().st_size
        if size_bytes != file.size_bytes:
            raise InputCorruptError(
                f"{file.path} has {size_bytes} bytes; {file.size_bytes} were registered. "
                "Compare it with the copy on the rig and submit that one.",
                reason="size_changed",
                path=str(path),
                size_bytes=size_bytes,
                registered_bytes=file.size_bytes,
            )


def _read_host(places: PreflightPlaces) -> HostFacts:
    sample = MemoryReader().read()
    return HostFacts(
        free_scratch_bytes=_free_bytes(Path(places.scratch_folder)),
        free_results_bytes=_free_bytes(_results_folder(places.artifacts_url)),
        available_memory_bytes=int(sample.limit_bytes - sample.working_set_bytes)
        if sample
        else None,
    )


def _results_folder(artifacts_url: str) -> Path | None:
    """The folder of a store on this machine; None for one elsewhere."""
    parts = urlsplit(artifacts_url)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def _free_bytes(folder: Path | None) -> int | None:
    """Free bytes at the nearest existing folder above; None when it cannot be told."""
    if folder is None:
        return None
    for candidate in (folder, *folder.parents):
        if candidate.exists():
            return shutil.disk_usage(candidate).free
    return None


def _estimate(facts: Facts, config: Mapping[str, Any]) -> ResourceEstimate | None:
    if facts.kept_s is None or facts.channel_count is None or facts.sampling_rate_hz is None:
        return None
    params = (config.get("sorter") or {}).get("sorter_params") or {}
    return estimate_resources(
        channel_count=facts.channel_count,
        sampling_rate_hz=facts.sampling_rate_hz,
        kept_s=facts.kept_s,
        on_gpu=facts.backend.uses_gpu
        and str(params.get("torch_device", "auto")) != "cpu"
        and _GPU_DEVICE.exists(),
    )


def _plain(finding: PreflightFinding) -> FoundFinding:
    return FoundFinding(
        str(finding.level),
        finding.code,
        finding.message,
        finding.remediation,
        str(finding.category),
    )
