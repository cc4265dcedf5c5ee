"""Every series of a server's calls at zero, before the first call is counted.

Prometheus sees no increase in a series that appears with its first event, so that the first refusal
of a method would be told to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf import descriptor_pool

from spikefleet.infra.rpc.interceptors import RpcMeter
from spikefleet.infra.rpc.reasons import REASONS
from spikefleet.infra.telemetry import RPC_DURATION, RPC_HANDLED, RPC_STARTED

# What a call ends with beside the refusals of the table.
_OF_GRPC = ("OK", "CANCELLED", "UNKNOWN", "INTERNAL", "DEADLINE_EXCEEDED", "UNAVAILABLE")
ANSWERS = tuple(sorted({*_OF_GRPC, *(row.code.name for row in REASONS.values())}))


def begin_counts(meter: RpcMeter, services: Iterable[str]) -> None:
    """Show the calls of every method of ``services`` (full names), and their answers, at zero.

    Raises KeyError for a service whose stubs are not loaded.
    """
    pool = descriptor_pool.Default()
    for service in services:
        for method in pool.FindServiceByName(service).methods:
            labels = {"service": service, "method": method.name}
            meter.begin(RPC_STARTED, **labels)
            meter.begin(RPC_DURATION, **labels)
            for code in ANSWERS:
                meter.begin(RPC_HANDLED, **labels, code=code)
