"""How an error crosses the wire: one table of reason, gRPC code and exception, and both ways.

A servicer or room raises ``RpcProblem`` (or a domain error the table knows); the interceptor
sends google.rpc.Status; a client gets ``ServiceError`` back with the same reason, sentence and
next step. Exceptions of sibling packages are named by their path: this package imports none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError

DOMAIN = "spikefleet"
DETAILS_KEY = "grpc-status-details-bin"
REQUEST_ID_KEY = "x-request-id"
_MAX_METADATA_CHARS = 1024

Code = grpc.StatusCode


@dataclass(frozen=True)
class Reason:
    """One line of the table. ``exceptions`` are paths of classes that mean this reason.

    ``retry_after_s`` is sent as RetryInfo; ``resource`` names the kind of thing not found.
    """

    code: grpc.StatusCode
    next_step: str
    exceptions: tuple[str, ...] = ()
    retry_after_s: float | None = None
    resource: str = ""


_STORES = "spikefleet.infra.stores"
_ERRORS = "spikefleet.core.failures.errors"

REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        "INVALID_ARGUMENT": Reason(
            Code.INVALID_ARGUMENT,
            "Correct the named field and call again.",
            ("pydantic_core._pydantic_core.ValidationError",),
        ),
        "INVALID_PAGE_TOKEN": Reason(
            Code.INVALID_ARGUMENT,
            "Use the token of the previous page as it came, or none.",
            (f"{_STORES}.run_records.BadCursorError",),
        ),
        "INVALID_CONFIGURATION": Reason(
            Code.INVALID_ARGUMENT,
            "Correct the named parameter and submit again.",
            (f"{_ERRORS}.InvalidConfigurationError",),
        ),
        "UNKNOWN_STREAM": Reason(
            Code.INVALID_ARGUMENT, "Choose one of the streams the message lists."
        ),
        "RUN_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "List the runs to see their ids.",
            (f"{_STORES}.run_records.RunNotFoundError",),
            resource="run",
        ),
        "BATCH_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "List the runs to see their batches.",
            (f"{_STORES}.run_records.BatchNotFoundError",),
            resource="batch",
        ),
        "RECORDING_NOT_FOUND": Reason(
            Code.NOT_FOUND, "Upload or register the recording first.", resource="recording"
        ),
        "UPLOAD_NOT_FOUND": Reason(
            Code.NOT_FOUND, "Open a new upload and send the files again.", resource="upload"
        ),
        "HOLD_NOT_FOUND": Reason(
            Code.NOT_FOUND, "List the holds to see which lanes are held.", resource="hold"
        ),
        "REPORT_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "Wait until the run has ended; its report is made then.",
            resource="report",
        ),
        "ARTIFACT_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "List the run's artifacts to see which exist.",
            (f"{_STORES}.artifacts.ArtifactMissingError",),
            resource="artifact",
        ),
        "PATH_NOT_VISIBLE": Reason(
            Code.FAILED_PRECONDITION, "Upload the recording instead of registering it in place."
        ),
        "ILLEGAL_MOVE": Reason(
            Code.FAILED_PRECONDITION,
            "Look at the run's state; it allows other moves.",
            ("spikefleet.core.runs.IllegalMoveError",),
        ),
        "UPLOAD_INCOMPLETE": Reason(
            Code.FAILED_PRECONDITION, "Ask for the upload's parts and send those that are missing."
        ),
        "UPLOAD_MISMATCH": Reason(
            Code.FAILED_PRECONDITION,
            "The file changed since the upload began; open a new upload for it.",
        ),
        "PART_DAMAGED": Reason(Code.ABORTED, "Send the part again."),
        "FILE_DAMAGED": Reason(Code.DATA_LOSS, "Keep the source and upload the file again."),
        "ARTIFACT_DAMAGED": Reason(
            Code.DATA_LOSS,
            "Check the artifact store's disk; the run can be sorted again.",
            (f"{_STORES}.artifacts.ArtifactDamagedError",),
        ),
        "ARTIFACT_EXISTS": Reason(
            Code.ALREADY_EXISTS,
            "Results are written once; ask for a new run instead.",
            (f"{_STORES}.artifacts.ArtifactExistsError",),
        ),
        "CONFLICT": Reason(
            Code.ABORTED,
            "Somebody else changed the run at the same time; call again.",
            (f"{_STORES}.run_records.StaleRunError",),
            retry_after_s=0.2,
        ),
        "SORT_FAILURE": Reason(
            Code.FAILED_PRECONDITION,
            "Read the failure's next step.",
            (f"{_ERRORS}.SpikeSortingClassifiedError",),
        ),
        "STORAGE_UNAVAILABLE": Reason(
            Code.UNAVAILABLE,
            "Check the artifact store; call again in a moment.",
            (f"{_ERRORS}.StorageUnavailableError",),
            retry_after_s=5.0,
        ),
        "SERVICE_DRAINING": Reason(
            Code.UNAVAILABLE, "The service is restarting; call again.", retry_after_s=1.0
        ),
        "DEADLINE_EXCEEDED": Reason(
            Code.DEADLINE_EXCEEDED, "Call again with a longer deadline.", ("builtins.TimeoutError",)
        ),
        "UNSUPPORTED": Reason(Code.UNIMPLEMENTED, "Use a client of the service's version."),
        "WORKER_DIED": Reason(
            Code.INTERNAL,
            "Look for an out-of-memory kill in the system's log, then call again.",
            ("spikefleet.infra.workers.WorkerDiedError",),
        ),
        "INTERNAL": Reason(
            Code.INTERNAL, "Report the id; the service's log holds the details under it."
        ),
    }
)

_REASON_BY_EXCEPTION: Mapping[str, str] = {
    path: name for name, row in REASONS.items() for path in row.exceptions
}


class RpcProblem(RuntimeError):  # noqa: N818 - a refusal, named for the people who raise it
    """What a servicer or room raises when it refuses a call. ``reason`` is a key of REASONS."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        field: str = "",
        resource: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if reason not in REASONS:
            raise KeyError(f"{reason} is not in the table of reasons")
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.resource = resource
        self.metadata = dict(metadata or {})


class ServiceError(RuntimeError):
    """What a client gets: the service answered no. ``reason`` is stable, the rest is for people."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        next_step: str = "",
        request_id: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{message} {next_step}".strip())
        self.reason = reason
        self.message = message
        self.next_step = next_step
        self.request_id = request_id
        self.details: dict[str, Any] = dict(details or {})

    @property
    def field(self) -> str:
        """Field or parameter the service refused; empty when it named none."""
        return str(self.details.get("field", ""))

    @property
    def retry_after_s(self) -> float | None:
        """Seconds after which the service expects a new try to be worth it."""
        value = self.details.get("retry_after_s")
        return None if value is None else float(value)


class ServiceUnreachable(ServiceError):  # noqa: N818 - a state of the world, not a bug
    """Nobody answers at the address, or whoever does is going away."""


@dataclass(frozen=True)
class Problem:
    """An error ready for the wire."""

    reason: str
    message: str
    field: str = ""
    resource: str = ""
    metadata: Mapping[str, str] = dataclass_field(default_factory=dict)

    @property
    def row(self) -> Reason:
        """The table's line."""
        return REASONS[self.reason]

    def to_status(self, request_id: str = "") -> Any:
        """Return google.rpc.Status with ErrorInfo and what else belongs to the reason."""
        row = self.row
        metadata = {"next_step": row.next_step, **self.metadata, "request_id": request_id}
        details: list[Any] = [
            error_details_pb2.ErrorInfo(
                reason=self.reason,
                domain=DOMAIN,
                metadata={k: v[:_MAX_METADATA_CHARS] for k, v in metadata.items() if v},
            )
        ]
        if row.code is Code.INVALID_ARGUMENT:
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=self.field, description=self.message
            )
            details.append(error_details_pb2.BadRequest(field_violations=[violation]))
        if row.resource:
            details.append(
                error_details_pb2.ResourceInfo(
                    resource_type=row.resource, resource_name=self.resource
                )
            )
        if row.retry_after_s is not None:
            delay = Duration()
            delay.FromNanoseconds(int(row.retry_after_s * 1e9))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        status = status_pb2.Status(code=row.code.value[0], message=self.message)
        for detail in details:
            packed = AnyMessage()
            packed.Pack(detail)
            status.details.append(packed)
        return status


def problem_of(error: BaseException) -> Problem | None:
    """Return the wire form of an error the table knows, None for any other."""
    if isinstance(error, RpcProblem):
        return Problem(error.reason, error.message, error.field, error.resource, error.metadata)
    for cls in type(error).__mro__:
        reason = _REASON_BY_EXCEPTION.get(f"{cls.__module__}.{cls.__qualname__}")
        if reason is not None:
            return _known(reason, error)
    return None


def _known(reason: str, error: BaseException) -> Problem:
    if isinstance(error, SpikeSortingClassifiedError):
        failure = Failure.from_error(error)
        return Problem(
            reason,
            failure.message,
            field=str(failure.evidence.get("field", "")),
            metadata={"failure_code": str(failure.code), "next_step": failure.row.next_step},
        )
    message = str(error) or f"{type(error).__name__}"
    return Problem(reason, message, field=str(getattr(error, "field", "") or ""))


def service_error(error: grpc.RpcError, address: str) -> ServiceError:
    """Turn what grpc raised in a client into ServiceError or ServiceUnreachable."""
    code: grpc.StatusCode = error.code()
    info, details = _unpack(error)
    message = str(error.details() or code.name)
    if info is None:
        if code is Code.UNAVAILABLE:
            return ServiceUnreachable(
                "UNREACHABLE",
                f"No service answers at {address} ({message}).",
                next_step="Start it with `spikefleet serve`, or name another address.",
            )
        return ServiceError(code.name, message)
    cls = ServiceUnreachable if info.reason == "SERVICE_DRAINING" else ServiceError
    metadata = dict(info.metadata)
    return cls(
        info.reason,
        message,
        next_step=metadata.pop("next_step", ""),
        request_id=metadata.pop("request_id", ""),
        details=metadata | details,
    )


def failure_of(error: ServiceError) -> Failure | None:
    """Return the classified failure behind a service's answer, when it was one."""
    code = error.details.get("failure_code")
    return None if code is None else Failure(FailureCode(code), error.message)


def _unpack(error: grpc.RpcError) -> tuple[Any | None, dict[str, Any]]:
    """Read ErrorInfo of our domain and the plain values of its neighbours."""
    trailing: Any = error.trailing_metadata() or ()
    raw = next((value for key, value in trailing if key == DETAILS_KEY), None)
    if raw is None:
        return None, {}
    status = status_pb2.Status.FromString(raw)
    info: Any | None = None
    values: dict[str, Any] = {}
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            found = error_details_pb2.ErrorInfo()
            detail.Unpack(found)
            info = found if found.domain == DOMAIN else info
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            values["field"] = next((v.field for v in bad.field_violations), "")
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            values["retry_after_s"] = retry.retry_delay.ToNanoseconds() / 1e9
        elif detail.Is(error_details_pb2.ResourceInfo.DESCRIPTOR):
            resource = error_details_pb2.ResourceInfo()
            detail.Unpack(resource)
            values["resource"] = resource.resource_name
    return info, values


@contextmanager
def answering(address: str) -> Iterator[None]:
    """Let only ServiceError and ServiceUnreachable out of a client's call."""
    try:
        yield
    except grpc.RpcError as error:
        raise service_error(error, address) from error
