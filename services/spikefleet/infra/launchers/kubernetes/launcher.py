"""Attempts as Jobs: started by name, seen by LIST, forgotten once their outcome is on record.

Every round reads all Jobs and all pods of this installation; what is in memory only spares
requests, so a new controller resumes from the same two lists. A list that fails changes nothing.
The launcher judges no outcome and retries no attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import RLock

from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.runs import LogPart
from spikefleet.infra.launchers.base import (
    LauncherUnreachableError,
    NoSlotError,
    Observation,
    Phase,
    Slots,
)
from spikefleet.infra.launchers.kubernetes.api import (
    ClusterApi,
    ClusterConflictError,
    ClusterMissingError,
    ClusterRefusedError,
)
from spikefleet.infra.launchers.kubernetes.looks import AttemptDocuments, Looks, Round
from spikefleet.infra.launchers.kubernetes.manifests import (
    ATTEMPT_PREFIX,
    LAUNCHED,
    RECORDED,
    RECORDED_AT,
    UNKNOWN_SINCE,
    WANTS_GPU,
    Order,
    job_manifest,
    job_name,
    secret_manifest,
    selector,
)
from spikefleet.infra.launchers.kubernetes.namesakes import is_leaving, is_made_by_this, is_of
from spikefleet.infra.launchers.kubernetes.objects import (
    Json,
    annotations_of,
    attempt_name,
    holds,
    moment,
    name_of,
    newest,
    uid_of,
)
from spikefleet.infra.launchers.kubernetes.pod_template import METRICS_PORT, SORTER
from spikefleet.infra.launchers.kubernetes.profiles import Runners, RunnersFileError
from spikefleet.infra.launchers.kubernetes.reading import Patience
from spikefleet.infra.launchers.kubernetes.refusals import StartRefusals
from spikefleet.infra.launchers.log_parts import read_part

log = logging.getLogger(__name__)

NO_LIMIT = 10_000  #: slots of a kind that the cluster alone limits
STARTS_A_ROUND = 50  #: of each kind: a round that starts a thousand would see none end
KEPT_S = 3600  #: how long a recorded Job can still be looked at

# What reading a document of another shape raises.
_UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ArithmeticError,
    OSError,
)


@dataclass(frozen=True)
class LauncherTerms:
    """What the operator decides: slots (None: the cluster decides), and how long to wait."""

    slots: Slots | None = None
    patience: Patience = field(default_factory=Patience)
    kept_s: int = KEPT_S


@dataclass
class _Known:
    """What is remembered of a Job between two rounds."""

    uid: str
    wants_gpu: bool
    seen: Observation
    job: Json = field(default_factory=dict)
    pod: str = ""
    stopped: bool = False
    gone: bool = False


class KubernetesLauncher:
    """Starts attempts as Jobs. ``clock`` is UTC. Safe to call from several threads."""

    def __init__(
        self,
        api: ClusterApi,
        runners: Runners,
        documents: AttemptDocuments,
        *,
        terms: LauncherTerms | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api, self._runners, self._documents = api, runners, documents
        self._terms, self._clock = terms or LauncherTerms(), clock
        self._looks = Looks(api, documents, self._terms.patience, clock)
        self._known: dict[str, _Known] | None = None
        self._owner_uid: str | None = None
        self._copies: set[str] = set()
        self._refusals = StartRefusals(clock)
        self._lock = RLock()

    def start(self, spec: AttemptSpec, *, secret: str = "") -> None:
        """Start the attempt; a second time with one name does nothing.

        The Job is made first and owns the Secret, and a mark on the Job says that both are there:
        a start cut short between them is taken back by ``observe`` and made again. Raises
        NoSlotError (StartRefusedError), NameConflictError, LauncherUnreachableError, OSError.
        """
        with self._lock:
            known = self._attempts().get(spec.name)
            if known is not None and is_of(known.job, spec):
                return
            self._refusals.check()
            self._take_slot(spec.gpu)
            # The port that the pod's manifest names, where its metrics are looked for.
            spec = replace(spec, metrics_port=METRICS_PORT)
            key, sha256 = self._documents.write_spec(spec)
            try:
                order = Order(spec, key, sha256, self._runners, self._owner(), secret)
                job = self._make_job(order)
                self._make_secret(order, job)
                self._api.patch_job(name_of(job), {"metadata": {"annotations": {LAUNCHED: "true"}}})
            except RunnersFileError as error:
                raise OSError(str(error)) from error
            except ClusterMissingError as error:
                raise LauncherUnreachableError(f"what was made is gone again: {error}") from error
            except ClusterRefusedError as error:
                if error.is_of_the_moment:
                    raise self._refusals.note(error) from error
                raise OSError(f"the cluster refuses the attempt: {error}") from error
            self._copies.discard(uid_of(job))
            seen = Observation(spec.name, Phase.PENDING, waiting="waits for the cluster")
            self._attempts()[spec.name] = _Known(uid_of(job), spec.gpu, seen, job)
            self._refusals.passed()
            log.info("attempt.started", extra={"attempt": spec.name, "job": name_of(job)})

    def observe(self) -> dict[str, Observation]:
        """Read every Job and pod, and what they leave in the store."""
        with self._lock:
            try:
                jobs = self._api.list_jobs(f"{selector(self._runners)},!{RECORDED}")
                pods = self._api.list_pods(selector(self._runners)) if jobs else []
            except ClusterRefusedError as error:
                raise LauncherUnreachableError(f"the cluster does not tell: {error}") from error
            before = self._known or {}
            own = self._own(jobs, before)
            turn = self._looks.begin(list(own.values()), pods)
            now = {
                name: known
                for name, job in own.items()
                if (known := self._look_alone(name, job, turn, before.get(name))) is not None
            }
            for name, known in before.items():
                if name not in own and known.stopped:
                    now[name] = self._after_stop(known)
            self._known = now
            return {name: known.seen for name, known in now.items()}

    def stop(self, name: str, *, grace_s: float) -> None:
        """Delete the Job, its pod first: SIGTERM now, SIGKILL after the grace of its profile.

        ``grace_s`` is not shorter than that: a Job's pod gets the time its template says.
        """
        with self._lock:
            known = self._attempts().get(name)
            if known is None or known.seen.phase not in (Phase.PENDING, Phase.RUNNING):
                return
            known.stopped = True
            self._delete(name, known.uid, "Foreground")

    def forget(self, name: str) -> None:
        """Mark an ended Job as recorded and let it expire; take an abandoned one away."""
        with self._lock:
            known = self._attempts().get(name)
            if known is None or known.seen.phase in (Phase.PENDING, Phase.RUNNING):
                return
            if holds(known.job, "Complete") or holds(known.job, "Failed"):
                self._record(known)
            elif not known.gone:
                self._delete(name, known.uid, "Background")
            self._attempts().pop(name, None)
            self._looks.forget(name)

    def mark_unknown(self, name: str, since: datetime) -> datetime:
        """Annotate the Job with the time, once; a mark of before says since when."""
        known = self._attempts().get(name)
        if known is None:
            return since
        marked = moment(annotations_of(known.job).get(UNKNOWN_SINCE))
        if marked is not None:
            return marked
        change = {"metadata": {"annotations": {UNKNOWN_SINCE: since.isoformat()}}}
        with suppress(ClusterRefusedError, LauncherUnreachableError):
            self._api.patch_job(name_of(known.job), change)
        return since

    def read_log(self, name: str, offset: int, most_bytes: int) -> LogPart | None:
        """Return a part of what the pod has written, as far as its node still keeps it."""
        known = (self._known or {}).get(name)
        if known is None or not known.pod:
            return None
        try:
            return read_part(self._api.read_log(known.pod, SORTER), offset, most_bytes)
        except (ClusterRefusedError, LauncherUnreachableError):
            return None

    def free_slots(self) -> Slots:
        """Slots no live attempt holds, as far as one round may start."""
        slots = self._terms.slots or Slots(NO_LIMIT, NO_LIMIT)
        if self._refusals.is_waiting:
            return Slots(0, 0)
        with self._lock:
            held = [
                known.wants_gpu
                for known in self._attempts().values()
                if known.seen.phase in (Phase.PENDING, Phase.RUNNING)
            ]
        n_gpu = sum(held)
        free = (slots.cpu - (len(held) - n_gpu), slots.gpu - n_gpu)
        return Slots(*(max(0, min(each, STARTS_A_ROUND)) for each in free))

    def _attempts(self) -> dict[str, _Known]:
        """What the last round saw and was started since; the first asker looks himself."""
        if self._known is None:
            self.observe()
        assert self._known is not None
        return self._known

    def _take_slot(self, is_gpu: bool) -> None:
        free = self.free_slots()
        if (free.gpu if is_gpu else free.cpu) <= 0:
            kind = "GPU" if is_gpu else "CPU"
            raise NoSlotError(f"every {kind} slot is taken; the attempt waits for one")

    def _owner(self) -> str:
        """The uid of the ConfigMap that owns every Job; a release that is gone owns nothing."""
        if self._owner_uid is None:
            name = self._runners.owner
            try:
                self._owner_uid = uid_of(self._api.get_config_map(name))
            except ClusterMissingError as error:
                raise RunnersFileError(f"there is no ConfigMap {name} to own the Jobs") from error
        return self._owner_uid

    def _make_job(self, order: Order) -> Json:
        """Create the Job, or find the one that an earlier start of this attempt has made.

        One that is spent makes room first.
        """
        manifest = job_manifest(order)
        name = name_of(manifest)
        try:
            return self._api.create_job(manifest)
        except ClusterConflictError:
            found = self._api.get_job(name)
        if is_made_by_this(found, order):
            return found
        self._delete(order.spec.name, uid_of(found), "Background")
        try:
            return self._api.create_job(manifest)
        except ClusterConflictError as error:
            raise LauncherUnreachableError(f"the Job {name} is still being removed") from error

    def _make_secret(self, order: Order, job: Json) -> None:
        """Create the Secret. One of that name holds the same, so an earlier start has made it."""
        try:
            self._api.create_secret(secret_manifest(order, uid_of(job)))
        except ClusterConflictError:
            log.info("attempt.secret_found", extra={"attempt": order.spec.name})

    def _own(self, jobs: Sequence[Json], before: Mapping[str, _Known]) -> dict[str, Json]:
        """The Jobs of attempts by the attempt's name, without those that only look like one.

        A copy has another name. One that was made anew under the name has another uid than the Job
        that we have seen: its attempt is gone, and it stays a copy for as long as it is there.
        """
        own: dict[str, Json] = {}
        copies: set[str] = set()
        for job in jobs:
            name = attempt_name(job)
            known = before.get(name)
            is_another = known is not None and known.uid != uid_of(job)
            is_another = is_another or uid_of(job) in self._copies
            if name and name_of(job) == job_name(name) and not is_another:
                own[name] = job
            else:
                copies.add(uid_of(job))
                if uid_of(job) not in self._copies:
                    told = {"job": name_of(job), "attempt": name}
                    log.warning("attempt.job_is_a_copy", extra=told)
        self._copies = copies
        return own

    def _look_alone(
        self, name: str, job: Json, turn: Round, before: _Known | None
    ) -> _Known | None:
        """Look at one Job; what is wrong with it, or with what its pod left, stays its own trouble.

        While it cannot be read it has not ended.
        """
        try:
            return self._look_at(name, job, turn, before)
        except (LauncherUnreachableError, *_UNREADABLE) as error:
            why = f"{type(error).__name__}: {error}"
            log.warning("attempt.unreadable", extra={"attempt": name, "why": why})
        seen = Observation(name, Phase.RUNNING, waiting="its Job cannot be read")
        return before or _Known(uid_of(job), False, seen, job)

    def _look_at(self, name: str, job: Json, turn: Round, before: _Known | None) -> _Known | None:
        """What a Job is; None for one whose start was cut short, which is taken back."""
        uid = uid_of(job)
        if annotations_of(job).get(LAUNCHED) != "true" and before is None:
            log.warning("attempt.half_started", extra={"attempt": name})
            self._delete(name, uid, "Background")
            return None
        pod = newest(turn.pods[uid])
        may_have_run = before is None or bool(before.pod)
        return _Known(
            uid=uid,
            wants_gpu=annotations_of(job).get(WANTS_GPU) == "true",
            seen=self._looks.read(name, job, turn, may_have_run=may_have_run),
            job=job,
            pod=name_of(pod) if pod else (before.pod if before else ""),
            stopped=bool(before and before.stopped) or is_leaving(job),
        )

    def _after_stop(self, known: _Known) -> _Known:
        """A stopped Job is gone with its pod; what it left in the store tells the rest."""
        prefix = str(annotations_of(known.job).get(ATTEMPT_PREFIX) or "")
        reason = "the attempt was stopped"
        gone = replace(known.seen, phase=Phase.GONE, reason=reason, waiting="")
        told = self._looks.with_outcome(gone, prefix)
        if told.outcome is not None:
            told = replace(told, phase=Phase.EXITED)
        return replace(known, seen=told, gone=True)

    def _record(self, known: _Known) -> None:
        """Name the Job recorded and let it expire, in one request."""
        change = {
            "metadata": {
                "labels": {RECORDED: "true"},
                "annotations": {RECORDED_AT: self._clock().isoformat()},
            },
            "spec": {"ttlSecondsAfterFinished": self._terms.kept_s},
        }
        try:
            self._api.patch_job(name_of(known.job), change)
        except ClusterMissingError:
            return
        except ClusterRefusedError as error:
            raise LauncherUnreachableError(f"the Job cannot be recorded: {error}") from error

    def _delete(self, name: str, uid: str, policy: str) -> None:
        try:
            self._api.delete_job(job_name(name), uid, policy=policy)
        except (ClusterMissingError, ClusterConflictError):
            return  # it is gone, and a namesake is not touched
        except ClusterRefusedError as error:
            raise LauncherUnreachableError(f"the Job cannot be deleted: {error}") from error
