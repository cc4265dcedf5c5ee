"""One exception class per row of the failure table, and ``Failure``, the same thing as plain data.

Code raises the classes; what crosses a process, a wire or a database carries ``Failure``.
Both carry the row's evidence (``evidence_rows``): every published name is an attribute of the
exception, None where unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar

from spikefleet.core.failures.codes import BY_CODE, FailureCategory, FailureCode, FailureRow
from spikefleet.core.failures.evidence import FailureEvidence, JsonValue


class SpikeSortingClassifiedError(RuntimeError):
    """Base of every classified failure.

    ``message`` is one sentence for the person at the rig; ``evidence`` holds the measured values
    under the names of the row's evidence class. ``refusal`` is the reason that a caller is told
    where one of them ends a call.
    """

    refusal: ClassVar[str] = "SORT_FAILURE"
    code: ClassVar[FailureCode] = FailureCode.UNCLASSIFIED

    def __init__(self, message: str, **evidence: Any) -> None:
        super().__init__(message)
        self.message = message
        self.evidence: FailureEvidence = self.row.evidence.of(evidence)

    def __getattr__(self, name: str) -> Any:
        """Read a piece of evidence; None where it is unknown, an error where no row has it."""
        evidence = self.__dict__.get("evidence")
        if isinstance(evidence, FailureEvidence):
            if name in evidence.names():
                return getattr(evidence, name)
            if name in evidence.extra:
                return evidence.extra[name]
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
    """The facility: hold the lane and call the operator."""

    code = FailureCode.ENVIRONMENT_OTHER


class ResourceSortFailure(SpikeSortingClassifiedError):
    """Too little of something: retry with a change."""

    code = FailureCode.RESOURCE_OTHER


class InternalSortFailure(SpikeSortingClassifiedError):
    """Ours to fix: retry once, then fail."""


class InfrastructureFailure(SpikeSortingClassifiedError):
    """The machine went away: retry the same."""


class InsufficientActivityError(BiologicalSortFailure):
    """Row ``insufficient_activity``."""

    code = FailureCode.INSUFFICIENT_ACTIVITY


class NoGoodChannelsError(BiologicalSortFailure):
    """Row ``no_good_channels``."""

    code = FailureCode.NO_GOOD_CHANNELS


class SaturatedSignalError(BiologicalSortFailure):
    """Row ``saturated_signal``."""

    code = FailureCode.SATURATED_SIGNAL


class EmptyWaveformMetricsError(BiologicalSortFailure, ValueError):
    """Row ``empty_waveform_metrics``."""

    code = FailureCode.EMPTY_WAVEFORM_METRICS


class InputMissingError(InputSortFailure, FileNotFoundError):
    """Row ``input_missing``."""

    code = FailureCode.INPUT_MISSING


class InputCorruptError(InputSortFailure, ValueError):
    """Row ``input_corrupt``."""

    code = FailureCode.INPUT_CORRUPT


class HDF5PluginMissingError(EnvironmentSortFailure):
    """Row ``hdf5_plugin_missing``."""

    code = FailureCode.HDF5_PLUGIN_MISSING


class DockerEnvironmentError(EnvironmentSortFailure):
    """Row ``docker_environment``."""

    code = FailureCode.DOCKER_ENVIRONMENT


class ModelLoadingError(EnvironmentSortFailure):
    """Row ``model_loading``."""

    code = FailureCode.MODEL_LOADING


class ConcurrentSortError(EnvironmentSortFailure):
    """Row ``concurrent_sort``."""

    code = FailureCode.CONCURRENT_SORT


class LicenseUnavailableError(EnvironmentSortFailure):
    """Row ``license_unavailable``."""

    code = FailureCode.LICENSE_UNAVAILABLE


class StorageUnavailableError(EnvironmentSortFailure, OSError):
    """Row ``storage_unavailable``."""

    refusal: ClassVar[str] = "STORAGE_UNAVAILABLE"
    code = FailureCode.STORAGE_UNAVAILABLE


class InvalidConfigurationError(EnvironmentSortFailure, ValueError):
    """Row ``invalid_configuration``."""

    refusal: ClassVar[str] = "INVALID_CONFIGURATION"
    code = FailureCode.INVALID_CONFIGURATION


class GPUOutOfMemoryError(ResourceSortFailure):
    """Row ``gpu_out_of_memory``."""

    code = FailureCode.GPU_OUT_OF_MEMORY


class GpuMemoryWatchdogError(ResourceSortFailure):
    """Row ``gpu_memory_watchdog``."""

    code = FailureCode.GPU_MEMORY_WATCHDOG


class GpuThermalWatchdogError(ResourceSortFailure):
    """Row ``gpu_thermal_watchdog``."""

    code = FailureCode.GPU_THERMAL_WATCHDOG


class GpuFaultError(ResourceSortFailure):
    """Row ``gpu_fault``."""

    code = FailureCode.GPU_FAULT


class HostMemoryWatchdogError(ResourceSortFailure):
    """Row ``host_memory_watchdog``."""

    code = FailureCode.HOST_MEMORY_WATCHDOG


class HostOutOfMemoryError(ResourceSortFailure, MemoryError):
    """Row ``host_out_of_memory``."""

    code = FailureCode.HOST_OUT_OF_MEMORY


class DiskExhaustionError(ResourceSortFailure):
    """Row ``disk_exhaustion``."""

    code = FailureCode.DISK_EXHAUSTION


class IOStallError(ResourceSortFailure):
    """Row ``io_stall``."""

    code = FailureCode.IO_STALL


class SorterTimeoutError(ResourceSortFailure):
    """Row ``sorter_timeout``."""

    code = FailureCode.SORTER_TIMEOUT


class SorterCrashError(InternalSortFailure):
    """Row ``sorter_crash``."""

    code = FailureCode.SORTER_CRASH


class ParameterSensitiveError(InternalSortFailure):
    """Row ``parameter_sensitive``."""

    code = FailureCode.PARAMETER_SENSITIVE


class UnclassifiedSortFailure(InternalSortFailure):
    """Row ``unclassified``."""

    code = FailureCode.UNCLASSIFIED


class AttemptInterrupted(InfrastructureFailure):
    """Row ``attempt_interrupted``."""

    code = FailureCode.ATTEMPT_INTERRUPTED


class AttemptDisrupted(InfrastructureFailure):
    """Row ``disrupted``."""

    code = FailureCode.DISRUPTED


class AttemptNeverStarted(InfrastructureFailure):
    """Row ``never_started``."""

    code = FailureCode.NEVER_STARTED


class AttemptLost(InfrastructureFailure):
    """Row ``lost``."""

    code = FailureCode.LOST


class IncompleteOutcome(InfrastructureFailure):
    """Row ``incomplete``."""

    code = FailureCode.INCOMPLETE


class DeadlineExceeded(InfrastructureFailure):
    """Row ``deadline``."""

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
    the next attempt (for example ``{"batch_size": 30000}``). ``evidence`` may be given as the row's
    evidence class or as a mapping of its names; it always becomes the class.
    """

    code: FailureCode
    message: str
    stage: str = ""
    rule_id: str = ""
    evidence: Mapping[str, JsonValue] = field(default_factory=dict)
    suggest: Mapping[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "evidence", self.row.evidence.of(self.evidence))

    @property
    def row(self) -> FailureRow:
        """The table row of this failure."""
        return BY_CODE[self.code]

    @property
    def category(self) -> FailureCategory:
        """Whose failure it is."""
        return self.row.category

    @property
    def next_step(self) -> str:
        """What a person does next: the refusal's own words where it has some, else the row's."""
        return str(self.evidence.get("next_step") or self.row.next_step)

    def __str__(self) -> str:
        told = self.next_step
        return self.message if told in self.message else f"{self.message} {told}"

    def becomes(
        self, code: FailureCode, rule_id: str, message: str = "", **found: JsonValue
    ) -> Failure:
        """Return the same end under another code; what only the old row knows is its complaint."""
        kept = BY_CODE[code].evidence.names()
        evidence = {name: value for name, value in self.evidence.items() if name in kept}
        complaint = {name: value for name, value in self.evidence.items() if name not in kept}
        if complaint:
            evidence["complaint"] = complaint
        return replace(
            self,
            code=code,
            rule_id=rule_id,
            message=message or self.message,
            evidence={**evidence, **found},
        )

    def to_json(self) -> dict[str, JsonValue]:
        """Return a JSON-ready dictionary; ``from_json`` reads it back."""
        return {
            "code": str(self.code),
            "category": str(self.category),
            "message": self.message,
            "next_step": self.next_step,
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
        return CLASS_BY_CODE[self.code](self.message, **self.evidence)
