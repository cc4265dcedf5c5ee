"""Examines a recording before a sorter does. Runs in a worker process and answers in plain data.

Finds the files (in place or in the artifact store), opens the stream, measures the signal once,
reads the machine, and hands all of it to the checks. A recording that cannot be opened is a
finding like any other; nothing here raises for what is wrong with a recording.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from spikefleet.core.backends.catalogue import BACKENDS, BackendInfo
from spikefleet.core.config.pending import pending_changes
from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import SpikeSortingClassifiedError
from spikefleet.core.findings.checks import decide
from spikefleet.core.findings.finding import PreflightFinding
from spikefleet.core.guards.memory_reader import MemoryReader
from spikefleet.core.recordings.concatenate import open_concatenated
from spikefleet.core.recordings.description import StreamDescription
from spikefleet.core.recordings.measure import measure_signal, signal_failure
from spikefleet.core.recordings.open import list_streams
from spikefleet.core.recordings.scaling import with_flipped_map, with_scaling
from spikefleet.core.recordings.truth_checks import check_truth
from spikefleet.core.recordings.windows import keep_frames
from spikefleet.preflight import checks_host, checks_recording, checks_truth
from spikefleet.preflight.estimate import ResourceEstimate, estimate_resources
from spikefleet.preflight.located import located_parts
from spikefleet.preflight.registry import Facts, HostFacts, run_preflight
from spikefleet.preflight.task import Examination, ExamineTask, FoundFinding, PreflightPlaces

# Importing a module of checks registers them; order of findings is order of registration.
CHECK_MODULES = (checks_recording, checks_truth, checks_host)
# Present wherever the driver of a CUDA device is loaded.
_GPU_DEVICE = Path("/dev/nvidiactl")


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
        with located_parts(places, task.recording) as named:
            group = RecordingConfig.model_validate(task.config.get("recording") or {})
            opened = open_concatenated(
                named, task.stream, hdf5_plugin_path=group.hdf5_plugin_path
            ).recording
            rate_hz = float(opened.sampling_frequency)
            n_samples = int(opened.get_num_samples())
            stream = StreamDescription(
                task.stream or list_streams(next(iter(named.values()))).streams[0].stream,
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
                scaled = with_flipped_map(with_scaling(opened, group), group.mea_y_max)
                facts = replace(facts, truth=check_truth(scaled))
                measured = measure_signal(scaled)
                facts = replace(facts, measured=measured, verdict=signal_failure(measured))
            return replace(facts, kept_s=kept_s), stream
    except SpikeSortingClassifiedError as error:
        return replace(facts, read_error=error), stream


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
