"""Sorts that run in the simulated world, and the launcher through which a controller sees them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from spikefleet.core.attempts import AttemptOutcome, AttemptSpec, WaitsFor
from spikefleet.core.failures.codes import BY_CODE, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.ids import AttemptId
from spikefleet.core.runs import LeaseRefusal, LogPart
from spikefleet.infra.launchers.base import (
    LauncherUnreachableError,
    NameConflictError,
    NoSlotError,
    Observation,
    Phase,
    Slots,
    StartRefusedError,
)
from spikefleet.infra.stores.bytes.artifacts import ArtifactExistsError, write_manifest
from spikefleet.infra.stores.sql.runs import RunStore
from tests.simulation.plan import SortEnd
from tests.simulation.world import BrokenInvariantError, World

LEASE_S = 900.0
_BEAT_S = 400.0
_NOT_STARTED = {
    "refused": StartRefusedError("the quota is used up", WaitsFor.QUOTA),
    "unreachable": LauncherUnreachableError("no answer"),
    "os_error": OSError("no process could be made"),
    "name_conflict": NameConflictError("somebody else has the name"),
    "no_slot": NoSlotError("taken"),
}
#: what the outside sees of ends that say nothing themselves
_SEEN: dict[str, dict[str, Any]] = {
    "oom_killed": {"exit_code": 137, "oom_killed": True},
    "disrupted": {"exit_code": 137, "disruption": "EvictionByEvictionAPI"},
    "queue": {"reason": "JobSuspended"},
    "nothing": {"exit_code": 0},
    "foreign": {
        "exit_code": 0,
        "outcome": AttemptOutcome(AttemptId("attempt-of-another"), 0, n_units=7).to_json(),
    },
    "deadline": {"exit_code": 143, "reason": "DeadlineExceeded"},
    "scratch_limit": {
        "exit_code": 137,
        "reason": "Evicted: Pod ephemeral local storage usage exceeds the total limit",
    },
    "refused_by_node": {"reason": "UnexpectedAdmissionError: no device"},
    "image": {"reason": "ImagePullBackOff: not found"},
}
_FINE = SortEnd("success", 0.0)


@dataclass
class Sort:
    """One process of an attempt. ``is_cut_off``: it lives, and nobody can see or reach it."""

    spec: AttemptSpec
    end: SortEnd
    holder: str
    observation: Observation
    is_alive: bool = True
    is_cut_off: bool = False
    is_listed: bool = True
    leased_until_s: float = -1.0
    told_to_stop: bool = False
    published: bool = False


class SimulatedLauncher:
    """A Launcher over the world; all controllers share one, as they share a cluster.

    ``door`` is where sorts report, ``may_start`` raises where a start breaks a rule.
    """

    def __init__(
        self, world: World, door: RunStore, slots: int, may_start: Callable[[AttemptSpec], None]
    ) -> None:
        self._world, self._door, self._slots, self._may_start = world, door, slots, may_start
        self.sorts: dict[str, Sort] = {}
        self.all_sorts: list[Sort] = []
        self.overlooked = 0
        self._last_overlooked = ""
        self.quiet = False

    # What the controller calls.

    def start(self, spec: AttemptSpec, *, secret: str = "") -> None:
        if not secret:
            raise BrokenInvariantError(f"{spec.name} was started without a secret")
        self._reach()
        if spec.name in self.sorts:
            return
        trouble = self._trouble(spec)
        if trouble in _NOT_STARTED:
            raise _NOT_STARTED[trouble]
        free = self.free_slots()
        if (free.gpu if spec.gpu else free.cpu) <= 0:
            raise NoSlotError("taken")
        self._begin(spec)
        if trouble == "unreachable_started":
            raise LauncherUnreachableError("no answer, but it has begun")
        if trouble == "os_error_started":
            raise OSError("its bookkeeping failed")

    def observe(self) -> dict[str, Observation]:
        self._reach()
        seen = {name: sort.observation for name, sort in self.sorts.items() if sort.is_listed}
        there = sorted(set(seen) - {self._last_overlooked})
        self._last_overlooked = ""
        if self.overlooked and there:  # never the same twice: then it would be gone
            self.overlooked -= 1
            self._last_overlooked = there[0]
            del seen[there[0]]
        return seen

    def stop(self, name: str, *, grace_s: float) -> None:
        self._reach()
        sort = self.sorts.get(name)
        if sort is not None and sort.is_alive and not sort.told_to_stop:
            sort.told_to_stop = True
            self._world.later(grace_s / 2, lambda: self._interrupted(sort))

    def forget(self, name: str) -> None:
        self._reach()
        sort = self.sorts.get(name)
        if sort is not None and (not sort.is_alive or sort.is_cut_off or not sort.is_listed):
            del self.sorts[name]

    def mark_unknown(self, name: str, since: datetime) -> datetime:
        del name
        return since

    def read_log(self, name: str, offset: int, most_bytes: int) -> LogPart | None:
        del name, offset, most_bytes
        return None

    def free_slots(self) -> Slots:
        held = [sort for sort in self.sorts.values() if sort.is_alive and not sort.is_cut_off]
        gpu = sum(sort.spec.gpu for sort in held)
        return Slots(max(0, self._slots - len(held) + gpu), max(0, self._slots - gpu))

    def is_seen(self, name: str) -> bool:
        """Whether the attempt runs in plain sight."""
        sort = self.sorts.get(name)
        return sort is not None and sort.is_alive and sort.is_listed and not sort.is_cut_off

    # What happens to sorts.

    def _reach(self) -> None:
        if self._world.now_s < self._world.launcher_away_until_s:
            raise LauncherUnreachableError("the cluster gives no answer")

    def _trouble(self, spec: AttemptSpec) -> str:
        planned = self._world.plans[spec.run_id].starts
        nth = self._world.nth(spec.run_id, "start")
        return planned[nth] if nth < len(planned) and not self.quiet else ""

    def _begin(self, spec: AttemptSpec) -> None:
        self._may_start(spec)
        for other in self.sorts.values():
            if (
                other.spec.run_id == spec.run_id
                and other.is_alive
                and not other.is_cut_off
                and not other.told_to_stop
            ):
                raise BrokenInvariantError(
                    f"{spec.name} begins while {other.spec.name} of its run runs in plain sight"
                )
        plan = self._world.plans[spec.run_id]
        nth = self._world.nth(spec.run_id, "sort")
        end = plan.sorts[nth] if nth < len(plan.sorts) and not self.quiet else _FINE
        running = Observation(spec.name, Phase.RUNNING, node=f"node-{nth % 3}")
        sort = Sort(spec, end, f"{spec.name}/{nth}", running)
        self.sorts[spec.name] = sort
        self.all_sorts.append(sort)
        self._world.tell(f"sort {spec.name} begins, will be {end.kind} {end.code or ''}")
        if not self._has_leave(sort):
            return
        takes_s = end.takes_s or plan.sort_s
        self._world.later(_BEAT_S, lambda: self._beat(sort))
        if end.kind in ("node_lost", "vanished_alive"):
            self._world.later(takes_s / 2, lambda: self._out_of_sight(sort))
        self._world.later(takes_s, lambda: self._end(sort))

    def _beat(self, sort: Sort) -> None:
        if sort.is_alive and not sort.is_cut_off:
            if self._door.hear(sort.spec.attempt_id, {"step": "sort"}).stop_requested:
                self._interrupted(sort)
                return
            if self._world.now_s < sort.leased_until_s:
                sort.leased_until_s = self._world.now_s + LEASE_S
            self._world.later(_BEAT_S, lambda: self._beat(sort))

    def _out_of_sight(self, sort: Sort) -> None:
        if not sort.is_alive:
            return
        sort.is_cut_off = True
        if sort.end.kind == "node_lost":
            sort.observation = replace(
                sort.observation, phase=Phase.GONE, reason="NodeLost", may_live=True
            )
        else:
            sort.is_listed = False

    def _has_leave(self, sort: Sort) -> bool:
        """Ask for the run's lease, as a runner does; end where it is refused."""
        if sort.is_cut_off and sort.end.kind == "node_lost":
            return True  # nobody can be asked: it goes on, under its own prefix
        answer = self._door.take_lease(sort.spec.attempt_id, sort.holder)
        if answer.refusal is None:
            self._only_writer(sort)
            sort.leased_until_s = self._world.now_s + LEASE_S
            return True
        ended = answer.refusal is LeaseRefusal.ENDED
        code = FailureCode.ATTEMPT_INTERRUPTED if ended else FailureCode.CONCURRENT_SORT
        self._exit(sort, self._says(sort, code))
        return False

    def _only_writer(self, sort: Sort) -> None:
        for other in self.all_sorts:
            if (
                other is not sort
                and other.spec.run_id == sort.spec.run_id
                and other.is_alive
                and other.leased_until_s > self._world.now_s
            ):
                raise BrokenInvariantError(
                    f"{sort.spec.name} may write while the lease of {other.spec.name} lasts"
                )

    def _interrupted(self, sort: Sort) -> None:
        if sort.is_alive:
            self._exit(sort, self._says(sort, FailureCode.ATTEMPT_INTERRUPTED))

    def _exit(self, sort: Sort, observation: Observation) -> None:
        sort.is_alive, sort.is_listed = False, sort.end.kind != "vanished"
        sort.observation = observation
        self._world.tell(f"sort {sort.spec.name} ends {observation.exit_code} {observation.reason}")

    def _says(self, sort: Sort, code: FailureCode, *, document: bool = True) -> Observation:
        exit_code = BY_CODE[code].exit_code
        assert exit_code is not None
        failure = Failure(code, "It was simulated.", stage="sort", rule_id="simulated")
        outcome = AttemptOutcome(sort.spec.attempt_id, exit_code, failure)
        return replace(
            sort.observation,
            phase=Phase.EXITED,
            exit_code=exit_code,
            outcome=outcome.to_json() if document else None,
        )

    def _end(self, sort: Sort) -> None:
        if not sort.is_alive:
            return
        if sort.end.kind in (
            "success",
            "disrupted_after_success",
            "torn",
            "node_lost",
            "vanished_alive",
        ):
            if not self._has_leave(sort):
                return
            outcome = self._publish(sort, torn=sort.end.kind == "torn")
            if outcome is None:
                self._exit(sort, self._says(sort, FailureCode.STORAGE_UNAVAILABLE))
                return
            sort.published = True
            done = replace(sort.observation, phase=Phase.EXITED, exit_code=0, outcome=outcome)
            if sort.end.kind == "disrupted_after_success":
                done = replace(done, exit_code=137, disruption="EvictionByEvictionAPI")
            self._exit(sort, done)
            return
        self._exit(sort, self._observed(sort))

    def _observed(self, sort: Sort) -> Observation:
        """What the outside sees of an end without a result."""
        if sort.end.kind in ("says", "exit"):
            code = sort.end.code or FailureCode.UNCLASSIFIED
            return self._says(sort, code, document=sort.end.kind == "says")
        seen = _SEEN.get(sort.end.kind, {"exit_code": 1})
        return replace(sort.observation, phase=Phase.EXITED, **seen)

    def _publish(self, sort: Sort, *, torn: bool) -> dict[str, object] | None:
        """Store a result under the attempt's own prefix, manifest last; None: the store is away."""
        prefix, store = sort.spec.artifacts_prefix, self._world.artifacts
        outcome = AttemptOutcome(sort.spec.attempt_id, 0, n_units=3, n_spikes=9).to_json()
        try:
            files = [
                store.put_bytes(f"{prefix}/result.json", sort.spec.name.encode()),
                store.put_bytes(f"{prefix}/outcome.json", json.dumps(outcome).encode()),
            ]
            if torn:
                files.append(replace(files[0], key=f"{prefix}/absent.json"))
            write_manifest(store, prefix, files)
        except ArtifactExistsError as error:
            raise BrokenInvariantError(f"{sort.spec.name} meets the bytes of another") from error
        except OSError:
            return None
        return outcome
