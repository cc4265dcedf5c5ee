"""Examines a recording before a sorter does. Runs in a confined process and answers in plain data.

Finds the files (in place or in the artifact store), opens the stream, measures the signal once,
reads the machine, and hands all of it to the checks. A recording that cannot be opened is a
finding like any other; nothing here raises for what is wrong with a recording.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from spikefleet.core.config.digests import pending_changes
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import SpikeSortingClassifiedError
from spikefleet.core.findings.checks import decide
from spikefleet.core.findings.finding import FindingLevel
from spikefleet.core.recording.description import StreamDescription
from spikefleet.core.recording.verdict import LEAST_S, signal_failure
from spikefleet.core.recording.windows import keep_frames
from spikefleet.core.rooms.preflight import Examination, ExamineTask, ResourceEstimate
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.sorters.row import BackendInfo
from spikefleet.preflight import checks_host, checks_recording, checks_signal, checks_truth
from spikefleet.preflight.estimate import estimate_resources
from spikefleet.preflight.host import read_host
from spikefleet.preflight.places import PreflightPlaces
from spikefleet.preflight.recording_paths import located_parts
from spikefleet.preflight.registry import Facts, run_preflight
from spikefleet.signal.measuring.bad_channels import choose_left_out, leave_out
from spikefleet.signal.measuring.geometry import describe_geometry
from spikefleet.signal.measuring.measure_window import measure_kept
from spikefleet.signal.open import list_streams
from spikefleet.signal.preparing.concatenate import check_joined, open_concatenated
from spikefleet.signal.preparing.scaling import with_flipped_map, with_scaling

# Importing a module of checks registers them; order of findings is order of registration.
CHECK_MODULES = (checks_recording, checks_signal, checks_truth, checks_host)
# Present wherever the driver of a CUDA device is loaded.
_GPU_DEVICE = Path("/dev/nvidiactl")


def examine_stream(places: PreflightPlaces, task: ExamineTask) -> Examination:
    """Run every check on one stream and return findings, estimate, measurements and verdict.

    With ``execution.preflight`` off only what makes a sort impossible is looked for: whether the
    recording opens and fits its configuration.
    """
    execution = task.config.execution
    facts, stream = _read(places, task, _asked(task))
    facts = replace(facts, projection=_estimate(facts, task.config))
    if not execution.preflight:
        findings = tuple(
            finding for finding in run_preflight(facts) if finding.level is FindingLevel.FAIL
        )
    else:
        facts = replace(facts, host=read_host(places))
        findings = run_preflight(facts, strict=execution.preflight_strict)
    return Examination(
        findings=findings,
        stream=stream,
        estimate=facts.projection,
        failure=decide(findings),
        measurements=_measurements(facts),
    )


def _asked(task: ExamineTask) -> Facts:
    """What is known before anything is opened."""
    return Facts(
        _backend(task.config),
        config=task.config,
        entry=next(iter((*task.recording.parts, task.recording))).entry,
        pending_changes=pending_changes(task.config),
    )


def _measurements(facts: Facts) -> dict[str, Any]:
    """The measurements, and what beside them tells causes apart that look the same to a sorter."""
    if facts.measured is None:
        return {}
    kept_s, rate_hz = facts.kept_s or 0.0, facts.measured.sampling_rate_hz
    return {
        **facts.measured.to_json(),
        "n_samples": round(kept_s * rate_hz),
        "distinct_locations": facts.geometry.n_places if facts.geometry else 0,
        "sorter_params": dict(facts.sorter_params),
    }


def _backend(config: SortingConfig) -> BackendInfo:
    """The catalogue's row of the configured sorter; a row without demands for any other."""
    name = config.sorter.sorter_name
    return BACKENDS.get(name) or BackendInfo(name, name, "", "", uses_gpu=False)


def _read(
    places: PreflightPlaces, task: ExamineTask, facts: Facts
) -> tuple[Facts, StreamDescription | None]:
    """Open and measure the stream; what goes wrong becomes ``read_error``."""
    stream: StreamDescription | None = None
    try:
        with located_parts(places, task.recording) as named:
            group = task.config.recording
            joined = open_concatenated(
                named,
                task.stream,
                hdf5_plugin_path=group.hdf5_plugin_path,
                format=task.recording.format,
            )
            opened = joined.recording
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
                facts,
                channel_count=stream.n_channels,
                sampling_rate_hz=stream.sampling_rate_hz,
                recorded_s=stream.duration_s,
            )
            kept = keep_frames(group, n_samples, rate_hz)
            kept_s = sum(end - start for start, end in kept) / rate_hz
            left_out = choose_left_out(opened, group.bad_channels)
            facts = replace(facts, channel_count=stream.n_channels - len(left_out))
            if task.config.execution.preflight:
                scaled = with_flipped_map(with_scaling(opened, group), group.mea_y_max)
                scaled = leave_out(scaled, left_out)
                truth = check_joined(
                    joined, lambda part: leave_out(with_scaling(part, group), left_out)
                )
                facts = replace(facts, truth=truth, geometry=describe_geometry(scaled))
                measured = measure_kept(scaled, kept)
                facts = replace(facts, measured=measured)
                if kept_s >= LEAST_S:
                    facts = replace(facts, verdict=signal_failure(measured))
            return replace(facts, kept_s=kept_s), stream
    except SpikeSortingClassifiedError as error:
        return replace(facts, read_error=error), stream


def _estimate(facts: Facts, config: SortingConfig) -> ResourceEstimate | None:
    if facts.kept_s is None or facts.channel_count is None or facts.sampling_rate_hz is None:
        return None
    params = config.sorter.sorter_params or {}
    return estimate_resources(
        sorter=facts.backend.name,
        channel_count=facts.channel_count,
        sampling_rate_hz=facts.sampling_rate_hz,
        kept_s=facts.kept_s,
        keeps_recording=config.waveform.save_recording,
        on_gpu=facts.backend.uses_gpu
        and str(params.get("torch_device", "auto")) != "cpu"
        and _GPU_DEVICE.exists(),
    )
