"""The one failure table: code, exit code, category and default disposition.

Everything else that names a failure is rendered from here and held to it by a test: the Python
classes in ``errors``, the proto enum, the pod's exit codes, docs/failures.md and the metric label.
This module decides what a failure *is*; what the controller *does* lives in ``core.policy``.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikefleet.core.failures import evidence_rows as rows
from spikefleet.core.failures.evidence import FailureEvidence
from spikefleet.core.failures.vocabulary import (
    Disposition,
    FailureCategory,
    FailureCode,
    RunStatus,
)

__all__ = [
    "BY_CODE",
    "BY_EXIT_CODE",
    "FAILURES",
    "Disposition",
    "FailureCategory",
    "FailureCode",
    "FailureRow",
    "RunStatus",
    "row_for_exit",
]


@dataclass(frozen=True)
class FailureRow:
    """One line of the table.

    ``exit_code`` is None for causes that only an observer outside the pod can name.
    ``number`` is the proto enum value: the exit code where there is one, 200 upwards otherwise.
    ``evidence`` is what is known of such a failure beside its message, each field by its name.
    """

    code: FailureCode  #: stable name
    class_name: str  #: Python class
    exit_code: int | None
    number: int
    category: FailureCategory  #: whose failure it is
    disposition: Disposition  #: default answer
    status: RunStatus  #: how the recording ended, in its report
    meaning: str  #: one sentence
    next_step: str  #: what a person does
    evidence: type[FailureEvidence]


_B, _I, _E = FailureCategory.BIOLOGICAL, FailureCategory.INPUT, FailureCategory.ENVIRONMENT
_R, _N, _X = FailureCategory.RESOURCE, FailureCategory.INTERNAL, FailureCategory.INFRASTRUCTURE


def _row(  # noqa: PLR0913 - a row of the table reads best on one call
    code: FailureCode,
    class_name: str,
    number: int,
    category: FailureCategory,
    disposition: Disposition,
    status: RunStatus,
    meaning: str,
    next_step: str,
    evidence: type[FailureEvidence],
) -> FailureRow:
    return FailureRow(
        code=code,
        class_name=class_name,
        exit_code=number if number < 200 else None,
        number=number,
        category=category,
        disposition=disposition,
        status=status,
        meaning=meaning,
        next_step=next_step,
        evidence=evidence,
    )


_F, _D, _S = FailureCode, Disposition, RunStatus

# A row keeps its keys on one line.
# fmt: off
FAILURES: tuple[FailureRow, ...] = (
    _row(
        _F.INSUFFICIENT_ACTIVITY, "InsufficientActivityError", 80, _B, _D.SKIP, _S.UNSORTABLE,
        "Too few spikes in the signal for any sorter to build templates from.",
        "Check that the culture or probe was active and the reference connected; "
        "if it was, lower the detection threshold and resubmit.",
        rows.InsufficientActivityEvidence,
    ),
    _row(
        _F.NO_GOOD_CHANNELS, "NoGoodChannelsError", 81, _B, _D.SKIP, _S.UNSORTABLE,
        "No channel carries a usable signal (flat, disconnected or excluded).",
        "Check the headstage, the cable and the channel selection, then record again.",
        rows.NoGoodChannelsEvidence,
    ),
    _row(
        _F.SATURATED_SIGNAL, "SaturatedSignalError", 82, _B, _D.SKIP, _S.UNSORTABLE,
        "The amplifier sat at its rail for most of the recording.",
        "Check the reference and the gain; a saturated recording cannot be repaired.",
        rows.SaturatedSignalEvidence,
    ),
    _row(
        _F.EMPTY_WAVEFORM_METRICS, "EmptyWaveformMetricsError", 83, _B, _D.SKIP, _S.UNSORTABLE,
        "The sorted units have no waveforms to measure.",
        "Sort the run again (retry); to curate without waveforms, set the criterion named to null.",
        rows.EmptyWaveformMetricsEvidence,
    ),
    _row(
        _F.INPUT_MISSING, "InputMissingError", 85, _I, _D.SKIP, _S.INPUT_ERROR,
        "The submitted recording is not where the submission says.",
        "Check the path and the mount, then submit again.",
        rows.InputMissingEvidence,
    ),
    _row(
        _F.INPUT_CORRUPT, "InputCorruptError", 86, _I, _D.RETRY_SAME, _S.INPUT_ERROR,
        "The recording's files are truncated, empty, unreadable or hold non-finite samples.",
        "Compare with the copy on the rig and submit that one; keep both until it has sorted.",
        rows.InputCorruptEvidence,
    ),
    _row(
        _F.ENVIRONMENT_OTHER, "EnvironmentSortFailure", 90, _E, _D.HOLD, _S.ENVIRONMENT,
        "The machine or image the sorter runs in is not fit for it.",
        "Read the evidence, repair this machine or the image, then release the hold.",
        rows.EnvironmentEvidence,
    ),
    _row(
        _F.HDF5_PLUGIN_MISSING, "HDF5PluginMissingError", 91, _E, _D.HOLD, _S.ENVIRONMENT,
        "The vendor's HDF5 decompression plugin is missing, so the traces cannot be read.",
        "Install the plugin where HDF5_PLUGIN_PATH points, then release the hold.",
        rows.Hdf5PluginEvidence,
    ),
    _row(
        _F.DOCKER_ENVIRONMENT, "DockerEnvironmentError", 92, _E, _D.HOLD, _S.ENVIRONMENT,
        "The container runtime or image is not available.",
        "Pull the image or start the runtime, then release the hold.",
        rows.DockerEvidence,
    ),
    _row(
        _F.MODEL_LOADING, "ModelLoadingError", 93, _E, _D.HOLD, _S.ENVIRONMENT,
        "The sorter's model or one of its libraries cannot be loaded.",
        "Reinstall the sorter's extra or point it at its model, then release the hold.",
        rows.ModelLoadingEvidence,
    ),
    _row(
        _F.CONCURRENT_SORT, "ConcurrentSortError", 94, _E, _D.REQUEUE, _S.CONCURRENT_SORT,
        "Another attempt holds this run's lease.",
        "Nothing to do: the run is queued again when the lease ends.",
        rows.ConcurrentSortEvidence,
    ),
    _row(
        _F.LICENSE_UNAVAILABLE, "LicenseUnavailableError", 95, _E, _D.HOLD, _S.ENVIRONMENT,
        "The sorter's licence could not be checked out.",
        "Check the licence server, then release the hold.",
        rows.LicenseEvidence,
    ),
    _row(
        _F.STORAGE_UNAVAILABLE, "StorageUnavailableError", 96, _E, _D.RETRY_SAME, _S.ENVIRONMENT,
        "The artifact store could not be reached.",
        "Check the store; the run continues by itself, and is held if it stays away.",
        rows.StorageEvidence,
    ),
    _row(
        _F.INVALID_CONFIGURATION, "InvalidConfigurationError", 97, _E, _D.FAIL, _S.FAILED,
        "The sorter refused the run's parameters.",
        "Correct the named parameter and submit again.",
        rows.InvalidConfigurationEvidence,
    ),
    _row(
        _F.RESOURCE_OTHER, "ResourceSortFailure", 100, _R, _D.RETRY_SCALED, _S.FAILED,
        "The attempt ran out of a resource.",
        "The run is retried with more; if it keeps failing, shorten the recording window.",
        rows.ResourceEvidence,
    ),
    _row(
        _F.GPU_OUT_OF_MEMORY, "GPUOutOfMemoryError", 101, _R, _D.RETRY_SCALED, _S.OOM_GPU,
        "The sorter ran out of GPU memory.",
        "The run is retried with smaller batches; if it keeps failing, use a larger GPU.",
        rows.GpuOutOfMemoryEvidence,
    ),
    _row(
        _F.GPU_MEMORY_WATCHDOG, "GpuMemoryWatchdogError", 102, _R, _D.RETRY_SCALED, _S.OOM_GPU,
        "GPU memory came too close to its limit and the sorter was stopped.",
        "The run is retried with smaller batches; if it keeps failing, use a larger GPU.",
        rows.GpuMemoryEvidence,
    ),
    _row(
        _F.GPU_THERMAL_WATCHDOG, "GpuThermalWatchdogError", 103,
        _R, _D.RETRY_ELSEWHERE, _S.GPU_THERMAL,
        "The GPU grew too hot and the sorter was stopped.",
        "The run is retried elsewhere; check the node's cooling.",
        rows.GpuThermalEvidence,
    ),
    _row(
        _F.GPU_FAULT, "GpuFaultError", 104, _R, _D.RETRY_ELSEWHERE, _S.FAILED,
        "The GPU reported a fault (illegal address, Xid or ECC error).",
        "The run is retried elsewhere; drain the node if its faults repeat.",
        rows.GpuFaultEvidence,
    ),
    _row(
        _F.HOST_MEMORY_WATCHDOG, "HostMemoryWatchdogError", 105,
        _R, _D.RETRY_SCALED, _S.OOM_HOST_RAM,
        "Memory came too close to the limit and the sorter was stopped before the kernel did it.",
        "The run is retried with more memory; if it keeps failing, shorten the window.",
        rows.HostMemoryEvidence,
    ),
    _row(
        _F.HOST_OUT_OF_MEMORY, "HostOutOfMemoryError", 106, _R, _D.RETRY_SCALED, _S.OOM_MEMORYERROR,
        "The sorter ran out of memory.",
        "The run is retried with more memory; if it keeps failing, shorten the window.",
        rows.HostOutOfMemoryEvidence,
    ),
    _row(
        _F.DISK_EXHAUSTION, "DiskExhaustionError", 107, _R, _D.RETRY_SAME, _S.DISK_EXHAUSTED,
        "The scratch disk filled up.",
        "Free space on the scratch disk; on a cluster raise scratch.maxSize in the sorter's runner "
        "profile.",
        rows.DiskExhaustionEvidence,
    ),
    _row(
        _F.IO_STALL, "IOStallError", 108, _R, _D.RETRY_ELSEWHERE, _S.IO_STALL,
        "The sorter's reads and writes stopped.",
        "The run is retried elsewhere; check the storage mount of the node.",
        rows.IOStallEvidence,
    ),
    _row(
        _F.SORTER_TIMEOUT, "SorterTimeoutError", 109, _R, _D.RETRY_ELSEWHERE, _S.SORTER_TIMEOUT,
        "The sorter made no progress for longer than allowed.",
        "The run is retried once; if it stalls again, look at the last log lines.",
        rows.SorterTimeoutEvidence,
    ),
    _row(
        _F.SORTER_CRASH, "SorterCrashError", 110, _N, _D.RETRY_SAME, _S.FAILED,
        "The sorter's process died without saying why.",
        "The run is retried once; if it dies again, report it with the attempt's log.",
        rows.SorterCrashEvidence,
    ),
    _row(
        _F.PARAMETER_SENSITIVE, "ParameterSensitiveError", 111, _N, _D.RETRY_SCALED, _S.FAILED,
        "The sorter hit a numerical dead end that depends on its parameters.",
        "Submit again with execution.allow_result_affecting=true: then the run is retried with the "
        "next step of the sorter's parameter ladder. Or set the parameter named yourself.",
        rows.ParameterSensitiveEvidence,
    ),
    _row(
        _F.UNCLASSIFIED, "UnclassifiedSortFailure", 112, _N, _D.RETRY_SAME, _S.FAILED,
        "The failure matches no known cause; its fingerprint is kept for triage.",
        "Read the last log lines in the evidence and report the fingerprint.",
        rows.UnclassifiedEvidence,
    ),
    _row(
        _F.ATTEMPT_INTERRUPTED, "AttemptInterrupted", 113, _X, _D.RETRY_SAME, _S.FAILED,
        "The attempt was told to stop before it had finished.",
        "Nothing to do: the run is tried again.",
        rows.InterruptedEvidence,
    ),
    _row(
        _F.DISRUPTED, "AttemptDisrupted", 200, _X, _D.RETRY_SAME, _S.FAILED,
        "The machine was taken away under the attempt.",
        "Nothing to do: the run is tried again.",
        rows.OutsideEvidence,
    ),
    _row(
        _F.NEVER_STARTED, "AttemptNeverStarted", 201, _X, _D.RETRY_SAME, _S.FAILED,
        "The attempt could not be started.",
        "Look at the launcher's message; the run is tried again.",
        rows.OutsideEvidence,
    ),
    _row(
        _F.LOST, "AttemptLost", 202, _X, _D.RETRY_SAME, _S.FAILED,
        "The attempt vanished without leaving an outcome.",
        "Nothing to do: the run is tried again; look at the machine if it repeats.",
        rows.LostEvidence,
    ),
    _row(
        _F.INCOMPLETE, "IncompleteOutcome", 203, _X, _D.RETRY_SAME, _S.FAILED,
        "The attempt claimed success but its results are not complete.",
        "The run is tried once more; check the artifact store if it repeats.",
        rows.IncompleteEvidence,
    ),
    _row(
        _F.DEADLINE, "DeadlineExceeded", 204, _X, _D.RETRY_ELSEWHERE, _S.SORTER_TIMEOUT,
        "The attempt passed its deadline.",
        "The run is retried once; raise the deadline if the recording is long.",
        rows.DeadlineEvidence,
    ),
)
# fmt: on

BY_CODE: dict[FailureCode, FailureRow] = {row.code: row for row in FAILURES}
BY_EXIT_CODE: dict[int, FailureRow] = {
    row.exit_code: row for row in FAILURES if row.exit_code is not None
}


def row_for_exit(exit_code: int) -> FailureRow | None:
    """Return the table row of a runner's exit code, or None when the code is not ours."""
    return BY_EXIT_CODE.get(exit_code)
