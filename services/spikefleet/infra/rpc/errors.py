"""How an error crosses the wire, both ways, by the table in ``reasons``.

A servicer or room raises ``RpcProblem`` (or a domain error the table knows); the interceptor
sends google.rpc.Status; a client gets ``ServiceError`` back with the same reason, sentence and
next step. An exception that is not in the table is sent as INTERNAL, without details.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.infra.rpc.reasons import REASONS, Reason

DOMAIN = "spikefleet"
DETAILS_KEY = "grpc-status-details-bin"
REQUEST_ID_KEY = "x-request-id"
ROOM_SECRET_DIFFERS = "ROOM_SECRET_DIFFERS"
_MAX_METADATA_CHARS = 1024

_START_IT = "Start it with `spikefleet serve`, or name another address."
_CUT_OFF = ("Socket closed", "Connection reset")  # so does TLS answer who does not speak it
_MAYBE_TLS = "Call again in a moment; if it is behind TLS, write its address as https://HOST."

# How gRPC words the end of a TLS handshake: reason, sentence, next step.
_TLS_ENDS: Mapping[str, tuple[str, str, str]] = {
    "CERTIFICATE_VERIFY_FAILED": (
        "CERTIFICATE_NOT_TRUSTED",
        "The certificate of {address} is not trusted here{why}.",
        "If your institute has a certificate authority of its own, name its file: --ca-file, "
        "SPIKEFLEET_CA_FILE or ca_file in the configuration file.",
    ),
    "Hostname Verification Check failed": (
        "CERTIFICATE_OF_ANOTHER_HOST",
        "The certificate of {address} is for another host.",
        "Write the address with the name that is in the certificate, or ask who runs the service.",
    ),
    "WRONG_VERSION_NUMBER": (
        "NO_TLS_THERE",
        "What answers at {address} speaks no TLS.",
        "Write the address as HOST:PORT, without https://, or name the port at which TLS ends.",
    ),
}

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


def require(**fields: str) -> None:
    """Refuse a call whose text fields are empty: an empty id names nothing. Raises RpcProblem."""
    for name, value in fields.items():
        if not value.strip():
            raise RpcProblem("INVALID_ARGUMENT", f"{name} is empty.", field=name)


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
    """No service answers at the address, or it is shutting down."""


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
        if row.code is grpc.StatusCode.INVALID_ARGUMENT:
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
    if isinstance(error, ServiceError):
        return _passed_on(error)
    reason = getattr(type(error), "refusal", None) or _reason_of_others(error)
    return _known(str(reason), error) if reason else None


def _reason_of_others(error: BaseException) -> str | None:
    paths = (f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__)
    return next(
        (_REASON_BY_EXCEPTION[path] for path in paths if path in _REASON_BY_EXCEPTION), None
    )


def _passed_on(error: ServiceError) -> Problem | None:
    """What another room answered to this one, in its own words."""
    if isinstance(error, ServiceUnreachable) and error.reason != ROOM_SECRET_DIFFERS:
        # What follows in brackets is the network stack's own account.
        said = error.message.partition(" (")[0].rstrip(".")
        return Problem("ROOM_UNREACHABLE", f"A part of the service is away: {said}.")
    if error.reason not in REASONS:
        return None
    return Problem(error.reason, error.message, error.field, str(error.details.get("resource", "")))


def _known(reason: str, error: BaseException) -> Problem:
    if isinstance(error, SpikeSortingClassifiedError):
        failure = Failure.from_error(error)
        metadata = {"failure_code": str(failure.code), "next_step": failure.next_step}
        if failure.code is FailureCode.STORAGE_UNAVAILABLE:
            del metadata["next_step"]  # it is about a run; this call may be of none
        field = str(failure.evidence.get("field", ""))
        return Problem(reason, failure.message, field=field, metadata=metadata)
    message = str(error) or f"{type(error).__name__}"
    return Problem(reason, message, field=str(getattr(error, "field", "") or ""))


def service_error(error: grpc.RpcError, address: str) -> ServiceError:
    """Turn what grpc raised in a client into ServiceError or ServiceUnreachable."""
    code: grpc.StatusCode = error.code()
    info, details = _unpack(error)
    message = str(error.details() or code.name)
    if info is None and (refused := _of_certificate(address, message)) is not None:
        return refused
    if info is None:
        # A server that goes away while it answers cancels the call; nobody here cancels one.
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            return ServiceUnreachable(
                "UNREACHABLE",
                f"No service answers at {address} ({message}).",
                next_step=_MAYBE_TLS if any(c in message for c in _CUT_OFF) else _START_IT,
            )
        if "http2 header with status" in message:
            return ServiceError(
                "NOT_SPIKEFLEET",
                f"What answers at {address} is not spikefleet.",
                next_step="Check the address; a gateway in front of the service must pass on gRPC.",
            )
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return ServiceError(
                code.name,
                f"What answers at {address} does not know this call ({message.rstrip('!.')}).",
                next_step="Check the address, and that service and client are of one version.",
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


def _of_certificate(address: str, message: str) -> ServiceError | None:
    """What ended a TLS connection, in words; None where something else did.

    The texts are those of gRPC and BoringSSL, which give no code.
    """
    for text, (reason, said, next_step) in _TLS_ENDS.items():
        if text in message:
            told = message.partition("CERTIFICATE_VERIFY_FAILED: ")[2].partition(":")[0]
            words = said.format(address=address, why=f" ({told})" if told else "")
            return ServiceError(reason, words, next_step=next_step)
    return None


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
        raise service_error(error, address) from None
