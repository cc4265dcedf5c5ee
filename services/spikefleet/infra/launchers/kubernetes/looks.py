"""One round's look at everything: two lists, and what only a part of the Jobs needs beside them.

However many attempts wait, a round asks for warnings once and for the queue's objects once. The
store is read where the cluster cannot tell: heartbeats now and then, outcomes of what has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from spikefleet.core.attempts import AttemptSpec
from spikefleet.infra import foreign_documents
from spikefleet.infra.launchers.base import LauncherUnreachableError, Observation, Phase
from spikefleet.infra.launchers.kubernetes.api import ClusterApi, ClusterRefusedError
from spikefleet.infra.launchers.kubernetes.manifests import ATTEMPT_PREFIX
from spikefleet.infra.launchers.kubernetes.objects import (
    Json,
    annotations_of,
    holds,
    newest,
    owner_uids,
    spec,
    status,
    uid_of,
)
from spikefleet.infra.launchers.kubernetes.reading import Patience, Sight, read_attempt
from spikefleet.infra.launchers.kubernetes.waiting import needs_events

log = logging.getLogger(__name__)

_HEARTBEAT_S = 20.0


class AttemptDocuments(Protocol):
    """The documents of attempts in the artifact store, which the pod and the launcher share.

    Every method raises LauncherUnreachableError while the store does not answer.
    """

    def write_spec(self, spec: AttemptSpec) -> tuple[str, str]:
        """Store the attempt's spec.json; return its key and SHA-256. A second time is the same."""
        ...

    def live(self, prefix: str) -> Mapping[str, object]:
        """Return what an attempt last told of itself (``started``, ``heartbeat``), {} if nothing.

        ``prefix`` is where the attempt stores its artifacts.
        """
        ...

    def outcome(self, prefix: str) -> Mapping[str, object] | None:
        """Return the attempt's outcome.json; None where there is none, or a damaged one."""
        ...


@dataclass(frozen=True)
class Round:
    """What one round has listed: pods by their Job's uid, warnings and queue entries."""

    now: datetime
    pods: Mapping[str, Sequence[Json]]
    warnings: Sequence[Json] = ()
    workloads: Sequence[Json] = ()

    def warnings_about(self, *uids: str) -> list[Json]:
        """Return the warnings about any of these objects."""
        return [w for w in self.warnings if (w.get("involvedObject") or {}).get("uid") in uids]

    def workload_of(self, job: Json) -> Json | None:
        """Return the queue's object for a Job."""
        found = [each for each in self.workloads if uid_of(job) in owner_uids(each)]
        return found[-1] if found else None


class Looks:
    """Makes observations of Jobs. What it remembers only spares requests."""

    def __init__(
        self,
        api: ClusterApi,
        documents: AttemptDocuments,
        patience: Patience,
        clock: Callable[[], datetime],
    ) -> None:
        self._api, self._documents = api, documents
        self._patience, self._clock = patience, clock
        self._heard: dict[str, tuple[datetime, Mapping[str, object] | None]] = {}

    def begin(self, jobs: Sequence[Json], pods: Sequence[Json]) -> Round:
        """List what some of the Jobs need beside their pods."""
        by_job: dict[str, list[Json]] = {uid_of(job): [] for job in jobs}
        for pod in pods:
            for uid in owner_uids(pod) & by_job.keys():
                by_job[uid].append(pod)
        warnings: Sequence[Json] = ()
        if any(needs_events(job, newest(by_job[uid_of(job)])) for job in jobs):
            warnings = self._listed(self._api.list_warnings)
        workloads: Sequence[Json] = ()
        if any(spec(job).get("suspend") for job in jobs):
            workloads = self._listed(self._api.list_workloads)
        return Round(self._clock(), by_job, warnings, workloads)

    def read(self, name: str, job: Json, turn: Round, *, may_have_run: bool) -> Observation:
        """Return what a Job is. ``may_have_run`` asks the store whether a suspended one has."""
        prefix = str(annotations_of(job).get(ATTEMPT_PREFIX) or "")
        has_ended = holds(job, "Complete") or holds(job, "Failed")
        sight = Sight(job, turn.pods[uid_of(job)], turn.now, patience=self._patience)
        pod = sight.pod
        if has_ended or (pod is not None and status(pod).get("phase") != "Pending"):
            sight = replace(sight, heartbeat=self._heartbeat(name, prefix))
        if spec(job).get("suspend"):
            started = may_have_run and bool(self._documents.live(prefix).get("started"))
            sight = replace(sight, workload=turn.workload_of(job), started=started)
        uids = [uid_of(job), *([uid_of(pod)] if pod else [])]
        seen = read_attempt(replace(sight, events=turn.warnings_about(*uids)))
        if seen.phase in (Phase.PENDING, Phase.RUNNING):
            return seen
        return self.with_outcome(seen, prefix)

    def with_outcome(self, seen: Observation, prefix: str) -> Observation:
        """Add what the attempt stored last; it tells the exit code where no container does.

        While the store does not answer nothing is known of the end, so the attempt has not ended.
        """
        try:
            outcome = self._documents.outcome(prefix)
        except LauncherUnreachableError as error:
            log.warning("attempt.end_unread", extra={"attempt": seen.name, "why": str(error)})
            return replace(seen, phase=Phase.RUNNING)
        outcome = foreign_documents.bounded_table(outcome)
        code = seen.exit_code
        if code is None and outcome is not None:
            code = foreign_documents.exit_code(outcome.get("exit_code"))
        return replace(seen, outcome=outcome, exit_code=code)

    def forget(self, name: str) -> None:
        """Drop what is remembered of an attempt."""
        self._heard.pop(name, None)

    def _heartbeat(self, name: str, prefix: str) -> Mapping[str, object] | None:
        """The attempt's last readings; the store is not asked every round."""
        now = self._clock()
        at, heard = self._heard.get(name, (None, None))
        if at is None or (now - at).total_seconds() >= _HEARTBEAT_S:
            try:
                told = self._documents.live(prefix).get("heartbeat")
                heard = foreign_documents.bounded_table(told)
                if told is not None and _is_unsound(heard, now):
                    log.warning("attempt.heartbeat_unsound", extra={"attempt": name})
            except LauncherUnreachableError as error:
                log.info("attempt.heartbeat_unread", extra={"attempt": name, "why": str(error)})
            self._heard[name] = (now, heard)
        return heard

    def _listed(self, call: Callable[[], Sequence[Json]]) -> Sequence[Json]:
        """Words are told where they can be had; without them an attempt waits all the same."""
        try:
            return call()
        except (ClusterRefusedError, LauncherUnreachableError) as error:
            log.info("cluster.words_missing", extra={"error": str(error)})
            return []


def _is_unsound(heartbeat: Mapping[str, object] | None, now: datetime) -> bool:
    """Whether it tells no time that can be believed, and so not when the attempt was heard."""
    return heartbeat is None or foreign_documents.moment_of(heartbeat.get("at"), now) is None
