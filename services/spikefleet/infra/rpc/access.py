"""Who may make which call: one table, and how a caller is known.

People are known by the uid that the kernel names for their connection; the operator is the user
who runs the service (and root). Rooms know each other by a secret: drawn at every start where they
share a process, from a file where they do not. A runner has the secret of its attempt, which the
controller compares. A call that the table does not list is refused.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.rpc.peers import peer_uid

ROOM_KEY = "x-spikefleet-room"
ATTEMPT_KEY = "x-spikefleet-attempt"
_OURS = "/spikefleet.api."
_ROOT = 0


class Access(StrEnum):
    """Who may make a call."""

    EVERYBODY = "everybody"  # the door itself asks whose a run, an upload or a recording is
    OPERATOR = "operator"
    ROOM = "room"
    ATTEMPT = "attempt"  # the door compares the attempt's secret


_PEOPLE = Access.EVERYBODY
CALLS: Mapping[str, Access] = MappingProxyType(
    {
        "IngestService/CreateUpload": _PEOPLE,
        "IngestService/GetUpload": _PEOPLE,
        "IngestService/UploadParts": _PEOPLE,
        "IngestService/SignParts": _PEOPLE,
        "IngestService/CompleteUpload": _PEOPLE,
        "IngestService/AbortUpload": _PEOPLE,
        "IngestService/RegisterRecording": _PEOPLE,
        "IngestService/GetRecording": _PEOPLE,
        "IngestService/Submit": _PEOPLE,
        "IngestService/PlanSubmission": _PEOPLE,
        "ControllerService/CreateBatch": Access.ROOM,
        "ControllerService/GetBatch": _PEOPLE,
        "ControllerService/GetRun": _PEOPLE,
        "ControllerService/ListRuns": _PEOPLE,
        "ControllerService/WatchRun": _PEOPLE,
        "ControllerService/ListRunEvents": _PEOPLE,
        "ControllerService/ReadLog": _PEOPLE,
        "ControllerService/CancelRun": _PEOPLE,
        "ControllerService/RetryRun": _PEOPLE,
        "ControllerService/CurateRun": _PEOPLE,
        "ControllerService/ListCurations": _PEOPLE,
        "ControllerService/ChooseCuration": _PEOPLE,
        "ControllerService/ListSorters": _PEOPLE,
        "ControllerService/ListHolds": _PEOPLE,
        "ControllerService/ReleaseHold": Access.OPERATOR,
        "PreflightService/DescribeRecording": Access.ROOM,
        "PreflightService/Check": Access.ROOM,
        "CurationService/Curate": Access.ROOM,
        "ReporterService/Render": Access.ROOM,
        "ReporterService/GetReport": _PEOPLE,
        "ReporterService/ListArtifacts": _PEOPLE,
        "ReporterService/ReadArtifact": _PEOPLE,
        "RunReportService/TakeLease": Access.ATTEMPT,
        "RunReportService/ReportProgress": Access.ATTEMPT,
        "RunReportService/ReportOutcome": Access.ATTEMPT,
    }
)
"""Every call of ``protos/``; a test holds the table to them."""


def call_name(method: str) -> str:
    """Return a call of ours (``/package.Service/Name``) as the table names it; "" for others."""
    return method.removeprefix(_OURS).partition(".")[2] if method.startswith(_OURS) else ""


def is_bounded(method: str) -> bool:
    """Say whether a call is held to the bounds of ``bounds``: all of ours but the rooms' own."""
    return method.startswith(_OURS) and CALLS.get(call_name(method)) is not Access.ROOM


def is_counted(method: str) -> bool:
    """Say whether a call takes of its caller's share: those of people, ours and the others."""
    return CALLS.get(call_name(method)) not in (Access.ROOM, Access.ATTEMPT)


@dataclass(frozen=True)
class Caller:
    """Who makes a call. ``uid`` is None for somebody of whom this machine's kernel knows nothing.

    ``attempt_secret`` is what a runner showed, not compared with anything yet.
    """

    uid: int | None = None
    is_operator: bool = False
    attempt_secret: str = field(default="", repr=False)

    @property
    def owner(self) -> str:
        """Whose runs, uploads and recordings this caller's are, as the records write it."""
        return "anyone" if self.uid is None else f"uid:{self.uid}"


_CALLER: ContextVar[Caller | None] = ContextVar("spikefleet_caller", default=None)


def current_caller() -> Caller:
    """Who makes the call being served; outside one, somebody unknown."""
    return _CALLER.get() or Caller()


@dataclass(frozen=True)
class Admission:
    """Lets calls in by the table; ``operators`` are uids."""

    room_secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    operators: frozenset[int] = field(default_factory=lambda: frozenset({os.geteuid(), _ROOT}))

    def admit(self, method: str, context: Any, port: int) -> None:
        """Note who calls ``method`` (``/package.Service/Name``). Raises RpcProblem."""
        metadata = {str(key): value for key, value in context.invocation_metadata() or ()}
        uid = peer_uid(str(context.peer()), port)
        shown = str(metadata.get(ATTEMPT_KEY, ""))
        caller = Caller(uid, uid is not None and uid in self.operators, shown)
        _CALLER.set(caller)
        if not method.startswith(_OURS):
            return  # health and reflection tell nothing of anybody
        name = call_name(method)
        match CALLS.get(name):
            case Access.EVERYBODY | Access.ATTEMPT:
                return
            case Access.OPERATOR if caller.is_operator:
                return
            case Access.OPERATOR:
                raise RpcProblem("OPERATORS_ONLY", f"{name} is for the operator of the service.")
            case Access.ROOM if self._is_room(str(metadata.get(ROOM_KEY, ""))):
                return
        raise RpcProblem("ROOMS_ONLY", f"{name} is for the service's own rooms.")

    def _is_room(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode(), self.room_secret.encode())


def require_own(caller: Caller, owner: str, what: str) -> None:
    """Refuse a caller who is neither ``owner`` nor an operator. ``what`` begins the sentence.

    Raises RpcProblem NOT_YOURS.
    """
    if caller.is_operator or caller.owner == owner:
        return
    raise not_yours(what)


def not_yours(what: str) -> RpcProblem:
    """The refusal of somebody who did not submit a thing. ``what`` begins the sentence."""
    return RpcProblem("NOT_YOURS", f"{what} belongs to another user of this service.")
