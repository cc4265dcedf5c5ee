"""The leave to write a run: asked of the controller, and claimed beside the result itself.

The controller's lease distinguishes two attempts of one run, two processes of one attempt also
a file that is written once under the attempt's prefix, which holds without a controller. A
controller that is away stops nothing: what this process writes is under its own attempt.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Protocol

from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.failures.errors import (
    AttemptInterrupted,
    ConcurrentSortError,
    SpikeSortingClassifiedError,
    StorageUnavailableError,
)
from spikefleet.core.runs import LeaseAnswer, LeaseRefusal
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactExistsError,
    ArtifactMissingError,
    ArtifactStore,
)

_log = logging.getLogger(__name__)

CLAIM = "holder.json"


@cache
def process_name() -> str:
    """This process, unlike every other one: host, pid and a random number."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:12]}"


class LeaseDesk(Protocol):
    """Who gives leases."""

    def take_lease(self, spec: AttemptSpec) -> LeaseAnswer:
        """Take or renew the lease for this process. Waits for seconds at most; never raises."""
        ...


class RunLease:
    """One process's leave to write one attempt's result."""

    def __init__(self, spec: AttemptSpec, artifacts: ArtifactStore, desk: LeaseDesk) -> None:
        self._spec, self._artifacts, self._desk = spec, artifacts, desk
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self.owns_prefix = True

    def hold(self) -> None:
        """Go on only as the one who may write.

        Raises ConcurrentSortError (another attempt or process has the run), AttemptInterrupted
        (the records have ended this attempt).
        """
        self._claim()
        answer = self._desk.take_lease(self._spec)
        if not answer.is_known:
            _log.warning("lease.unknown", extra={"attempt_id": self._spec.attempt_id})
        if answer.refusal is not None:
            self.owns_prefix = answer.refusal is not LeaseRefusal.OTHER_PROCESS
            raise _refused(answer, answer.refusal)

    def _claim(self) -> None:
        """Write this process beside the result, once; the second to come finds the first."""
        claim = f"{self._spec.artifacts_prefix}/{CLAIM}"
        mine = {
            "attempt_id": self._spec.attempt_id,
            "holder": process_name(),
            "started_at": self._started_at,  # the same bytes whenever it asks again
        }
        try:
            self._artifacts.put_bytes(claim, json.dumps(mine).encode())
        except ArtifactExistsError as error:
            first = self._first_claim(claim)
            if first is None:  # the store refuses the key itself: the upload will say so
                _log.warning("lease.not_claimed", extra={"error": str(error)})
                return
            self.owns_prefix = False
            refusal = LeaseRefusal.OTHER_PROCESS
            answer = LeaseAnswer(refusal, first.get("holder", ""), self._spec.number)
            known = {"lock_path": claim, "started_at": first.get("started_at")}
            raise _refused(answer, refusal, known) from error
        except StorageUnavailableError as error:  # asked again before anything is published
            _log.warning("lease.not_claimed", extra={"error": str(error)})

    def _first_claim(self, claim: str) -> Mapping[str, str] | None:
        """What the first process wrote, empty where that cannot be read; None when nobody did."""
        try:
            raw = self._artifacts.get_bytes(claim)
        except ArtifactMissingError:
            return None
        try:
            return {name: str(value) for name, value in json.loads(raw).items()}
        except (ValueError, AttributeError):
            return {}


def _refused(
    answer: LeaseAnswer, refusal: LeaseRefusal, claim: Mapping[str, str | None] | None = None
) -> SpikeSortingClassifiedError:
    holder = answer.holder or "an unnamed process"
    messages = {
        LeaseRefusal.HELD: (
            f"Attempt {answer.token} of this run may still be at work ({holder}); its lease lasts "
            f"{answer.wait_s:.0f} s more."
        ),
        LeaseRefusal.SUPERSEDED: (
            f"Attempt {answer.token} ({holder}) has taken this run over; this attempt came late."
        ),
        LeaseRefusal.OTHER_PROCESS: f"Another process ({holder}) carries out this very attempt.",
    }
    if refusal is LeaseRefusal.ENDED:
        return AttemptInterrupted(
            "The records have ended this attempt; it writes nothing more.", signal="attempt_ended"
        )
    host, _, pid = answer.holder.rpartition("/")[0].partition("/")
    return ConcurrentSortError(
        messages[refusal],
        reason=str(refusal),
        holder=answer.holder or None,
        holder_hostname=host or None,
        holder_pid=int(pid) if pid.isdigit() else None,
        token=answer.token,
        wait_s=round(answer.wait_s, 1),
        **(claim or {}),
    )
