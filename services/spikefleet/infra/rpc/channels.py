"""How a caller reaches a service: channel, deadline, request id, and what is tried again.

Decides that only calls which change nothing, or carry an idempotency key, are repeated, and only
on UNAVAILABLE. A call without a deadline gets one; a stream gets none. Credentials are sent only
where the caller of ``dial`` hands some in: people are known by their connection.
"""

from __future__ import annotations

import json
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import grpc.aio

from spikefleet.infra.rpc.addresses import ServiceAddress
from spikefleet.infra.rpc.errors import REQUEST_ID_KEY

_MAX_MESSAGE_BYTES = 64 << 20  # a manifest of 100 000 files with their digests
DEFAULT_DEADLINE_S = 30.0

_PACKAGE = "spikefleet.api.v1"
Credentials = tuple[tuple[str, str], ...]  # names and values of metadata
REPEATABLE: dict[str, tuple[str, ...]] = {
    "IngestService": (
        "CreateUpload",
        "GetUpload",
        "CompleteUpload",
        "AbortUpload",
        "RegisterRecording",
        "GetRecording",
        "Submit",
    ),
    "ControllerService": (
        "CreateBatch",
        "GetBatch",
        "GetRun",
        "ListRuns",
        "ListRunEvents",
        "CancelRun",
        "CurateRun",
        "ListCurations",
        "ChooseCuration",
        "ListSorters",
        "ListHolds",
    ),
    "PreflightService": ("DescribeRecording", "Check"),
    "CurationService": ("Curate",),
    "ReporterService": ("Render", "GetReport", "ListArtifacts"),
}
"""Calls that may be sent twice: they read, or they write the same thing under the same key."""


def service_config() -> str:
    """The channel's service config as JSON: retries for ``REPEATABLE`` calls only."""
    names = [
        {"service": f"{_PACKAGE}.{service}", "method": method}
        for service, methods in REPEATABLE.items()
        for method in methods
    ]
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.2s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps(
        {
            "methodConfig": [{"name": names, "retryPolicy": policy}],
            "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.2},
        }
    )


def _options() -> list[tuple[str, Any]]:
    return [
        ("grpc.service_config", service_config()),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # An institute's proxy must not see a call to this machine.
        ("grpc.enable_http_proxy", 0),
    ]


class _CallDetails(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Prepared(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc,unused-ignore]
    grpc.UnaryStreamClientInterceptor,  # type: ignore[misc,unused-ignore]
    grpc.StreamStreamClientInterceptor,  # type: ignore[misc,unused-ignore]
):
    """Gives every call a request id and the channel's credentials, and unary calls a deadline."""

    def __init__(self, deadline_s: float, credentials: Credentials) -> None:
        self._deadline_s = deadline_s
        self._credentials = credentials

    def _details(self, details: Any, *, unary: bool) -> _CallDetails:
        metadata = [*(details.metadata or ()), *self._credentials]
        if all(key != REQUEST_ID_KEY for key, _ in metadata):
            metadata.append((REQUEST_ID_KEY, secrets.token_hex(8)))
        timeout = details.timeout
        if timeout is None and unary:
            timeout = self._deadline_s
        return _CallDetails(
            details.method,
            timeout,
            metadata,
            getattr(details, "credentials", None),
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return continuation(self._details(client_call_details, unary=True), request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return continuation(self._details(client_call_details, unary=False), request)

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self._details(client_call_details, unary=False), request_iterator)


def dial(
    address: str,
    *,
    deadline_s: float = DEFAULT_DEADLINE_S,
    credentials: Credentials = (),
    ca_file: Path | None = None,
) -> grpc.Channel:
    """Return a channel to ``host:port`` or ``https://host[:port]``.

    It connects when first used and reconnects by itself. ``credentials`` go with every call;
    ``ca_file`` (PEM) holds the certificate authorities to trust instead of the public ones. Raises
    ValueError, OSError.
    """
    place = ServiceAddress.parse(address)
    if place.is_encrypted:
        trusted = None if ca_file is None else _authorities(ca_file)
        secure = grpc.ssl_channel_credentials(root_certificates=trusted)
        channel = grpc.secure_channel(place.target, secure, options=_options())
    else:
        channel = grpc.insecure_channel(place.target, options=_options())
    return grpc.intercept_channel(channel, _Prepared(deadline_s, credentials))


def _authorities(path: Path) -> bytes:
    """The certificates in a PEM file. Raises ValueError for a file of anything else, OSError."""
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise ValueError(f"{path} holds no certificates in PEM form") from error
    return path.read_bytes()
