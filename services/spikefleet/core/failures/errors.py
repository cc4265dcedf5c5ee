"""One exception class per row of the failure table, and ``Failure``, the same thing as plain data.

Code raises the classes; what crosses a process, a wire or a database carries ``Failure``.
Attributes are evidence: each lands in ``Failure.evidence`` under its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from spikefleet.core.failures.codes import BY_CODE, FailureCategory, FailureCode, FailureRow

JsonValue = str | int | float | bool | None | list[Any] | dict[str, Any]


class SpikeSortingClassifiedError(RuntimeError):
    """Base of every classified failure.

    ``message`` is one sentence for the person at the rig; ``evidence`` holds the measured values.
    """

    code: ClassVar[FailureCode] = FailureCode.UNCLASSIFIED

    def __init__(self, message: str, **evidence: JsonValue) -> None:
        super().__init__(message)
        self.message = message
        self.evidence: dict[str, JsonValue] = dict(evidence)

    def __getattr__(self, name: str) -> JsonValue:
        """Read a piece of evidence as an attribute; None is never invented for unknown names."""
        evidence = self.__dict__.get("evidence", {})
        if name in evidence:
            return evidence[name]  # type: ignore[no-any-return]
        raise AttributeError(f"{type(self).__name__} carries no evidence named {name!r}")

    @property
    def row(self) -> FailureRow:
        """The table row this class is rendered from."""
        return BY_CODE[self.code]

    @property
    def category(self) -> FailureCategory:
        """Whose failure it is."""
        return self.row.category


class BiologicalSortFailure(SpikeSortingClassifiedError):
    """The tissue or the array: skip, never retry."""


class InputSortFailure(SpikeSortingClassifiedError):
    """The submitted files: skip and tell the submitter."""


class EnvironmentSortFailure(SpikeSortingClassifiedError):
    """The facility: hold the lane and call the operator. Evidence: reason, path, device."""

    code = FailureCode.ENVIRONMENT_OTHER


class ResourceSortFailure(SpikeSortingClassifiedError):
    """Too little of something: retry with a change. Evidence: reason."""

    code = FailureCode.RESOURCE_OTHER


class InternalSortFailure(SpikeSortingClassifiedError):
    """Ours to fix: retry once, then fail."""


class InfrastructureFailure(SpikeSortingClassifiedError):
    """The machine went away: retry the same."""


class InsufficientActivityError(BiologicalSortFailure):
    """Evidence: sorter, threshold_crossings, units_at_failure, nspks_at_failure, log_path."""

    code = FailureCode.INSUFFICIENT_ACTIVITY


class NoGoodChannelsError(BiologicalSortFailure):
    """Evidence: sorter, total_channels, bad_channels, log_path."""

    code = FailureCode.NO_GOOD_CHANNELS


class SaturatedSignalError(BiologicalSortFailure):
    """Evidence: channels_saturated, total_channels."""

    code = FailureCode.SATURATED_SIGNAL


class EmptyWaveformMetricsError(BiologicalSortFailure, ValueError):
    """Evidence: metric_name."""

    code = FailureCode.EMPTY_WAVEFORM_METRICS


class InputMissingError(InputSortFailure, FileNotFoundError):
    """Evidence: path."""

    code = FailureCode.INPUT_MISSING


class InputCorruptError(InputSortFailure, ValueError):
    """Evidence: path, reason (truncated, empty, non_finite, unreadable, digest_mismatch, ...)."""

    code = FailureCode.INPUT_CORRUPT


class HDF5PluginMissingError(EnvironmentSortFailure):
    """Evidence: configured_path."""

    code = FailureCode.HDF5_PLUGIN_MISSING


class DockerEnvironmentError(EnvironmentSortFailure):
    """Evidence: reason (daemon_down, client_missing, image_pull_failed, permission_denied, ...)."""

    code = FailureCode.DOCKER_ENVIRONMENT


class ModelLoadingError(EnvironmentSortFailure):
    """Evidence: sorter, model_path."""

    code = FailureCode.MODEL_LOADING


class ConcurrentSortError(EnvironmentSortFailure):
    """Evidence: lock_path, holder_pid, holder_hostname, started_at."""

    code = FailureCode.CONCURRENT_SORT


class LicenseUnavailableError(EnvironmentSortFailure):
    """Evidence: sorter, licence."""

    code = FailureCode.LICENSE_UNAVAILABLE


class StorageUnavailableError(EnvironmentSortFailure, OSError):
    """Evidence: store, operation."""

    code = FailureCode.STORAGE_UNAVAILABLE


class InvalidConfigurationError(EnvironmentSortFailure, ValueError):
    """Evidence: field, value."""

    code = FailureCode.INVALID_CONFIGURATION


class GPUOutOfMemoryError(ResourceSortFailure):
    """Evidence: sorter, log_path."""

    code = FailureCode.GPU_OUT_OF_MEMORY


class GpuMemoryWatchdogError(ResourceSortFailure):
    """Evidence: device_index, used_pct_at_trip, abort_pct."""

    code = FailureCode.GPU_MEMORY_WATCHDOG


class GpuThermalWatchdogError(ResourceSortFailure):
    """Evidence: device_index, temperature_c_at_trip, abort_temp_c."""

    code = FailureCode.GPU_THERMAL_WATCHDOG


class GpuFaultError(ResourceSortFailure):
    """Evidence: sorter, fault."""

    code = FailureCode.GPU_FAULT


class HostMemoryWatchdogError(ResourceSortFailure):
    """Evidence: percent_at_trip, abort_pct."""

    code = FailureCode.HOST_MEMORY_WATCHDOG


class HostOutOfMemoryError(ResourceSortFailure, MemoryError):
    """Evidence: sorter, requested_bytes."""

    code = FailureCode.HOST_OUT_OF_MEMORY


class DiskExhaustionError(ResourceSortFailure):
    """Evidence: folder, free_gb_at_trip, abort_threshold_gb, report."""

    code = FailureCode.DISK_EXHAUSTION


class IOStallError(ResourceSortFailure):
    """Evidence: device, stall_s."""

    code = FailureCode.IO_STALL


class SorterTimeoutError(ResourceSortFailure):
    """Evidence: sorter, inactivity_s, log_path."""

    code = FailureCode.SORTER_TIMEOUT


class SorterCrashError(InternalSortFailure):
    """Evidence: sorter, signal, exit_code."""

    code = FailureCode.SORTER_CRASH


class ParameterSensitiveError(InternalSortFailure):
    """Evidence: sorter, parameter."""

    code = FailureCode.PARAMETER_SENSITIVE


class UnclassifiedSortFailure(InternalSortFailure):
    """Evidence: fingerprint, exception_type, log_tail."""

    code = FailureCode.UNCLASSIFIED


class AttemptInterrupted(InfrastructureFailure):
    """Evidence: signal."""

    code = FailureCode.ATTEMPT_INTERRUPTED


class AttemptDisrupted(InfrastructureFailure):
    """Evidence: reason."""

    code = FailureCode.DISRUPTED


class AttemptNeverStarted(InfrastructureFailure):
    """Evidence: reason."""

    code = FailureCode.NEVER_STARTED


class AttemptLost(InfrastructureFailure):
    """Evidence: last_seen."""

    code = FailureCode.LOST


class IncompleteOutcome(InfrastructureFailure):
    """Evidence: missing."""

    code = FailureCode.INCOMPLETE


class DeadlineExceeded(InfrastructureFailure):
    """Evidence: deadline_s."""

    code = FailureCode.DEADLINE


def _leaves(cls: type[SpikeSortingClassifiedError]) -> list[type[SpikeSortingClassifiedError]]:
    found = [cls]
    for child in cls.__subclasses__():
        found += _leaves(child)
    return found


CLASS_BY_CODE: Mapping[FailureCode, type[SpikeSortingClassifiedError]] = MappingProxyType(
    {
        cls.code: cls
        for cls in _leaves(SpikeSortingClassifiedError)
        if cls.__name__ == BY_CODE[cls.code].class_name
    }
)


@dataclass(frozen=True)
class Failure:
    """A classified failure as data: what crosses processes, the wire and the database.

    ``rule_id`` names the classifier rule, guard or check that decided; ``suggest`` holds hints for
    the next attempt (for example ``{"batch_size": 30000}``).
    """

    code: FailureCode
    message: str
    stage: str = ""
    rule_id: str = ""
    evidence: Mapping[str, JsonValue] = field(default_factory=dict)
    suggest: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def row(self) -> FailureRow:
        """The table row of this failure."""
        return BY_CODE[self.code]

    @property
    def category(self) -> FailureCategory:
        """Whose failure it is."""
        return self.row.category

    def to_json(self) -> dict[str, JsonValue]:
        """Return a JSON-ready dictionary; ``from_json`` reads it back."""
        return {
            "code": str(self.code),
            "category": str(self.category),
            "message": self.message,
            "next_step": self.row.next_step,
            "stage": self.stage,
            "rule_id": self.rule_id,
            "evidence": dict(self.evidence),
            "suggest": dict(self.suggest),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Failure:
        """Read what ``to_json`` wrote. Raises ValueError on an unknown code."""
        return cls(
            code=FailureCode(document["code"]),
            message=str(document.get("message", "")),
            stage=str(document.get("stage", "")),
            rule_id=str(document.get("rule_id", "")),
            evidence=dict(document.get("evidence", {})),
            suggest=dict(document.get("suggest", {})),
        )

    @classmethod
    def from_error(
        cls, error: SpikeSortingClassifiedError, *, stage: str = "", rule_id: str = ""
    ) -> Failure:
        """Turn a raised classified error into data, evidence included."""
        return cls(error.code, error.message, stage, rule_id, dict(error.evidence))

    def to_error(self) -> SpikeSortingClassifiedError:
        """Return the exception class of the table, carrying this failure's evidence."""
        return CLASS_BY_CODE[self.code](self.message, **dict(self.evidence))
